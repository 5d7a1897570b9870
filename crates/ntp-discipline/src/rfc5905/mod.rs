//! The algorithms of RFC 5905 (§10, §11, §13), stage by stage, each usable alone.

pub mod constants;
