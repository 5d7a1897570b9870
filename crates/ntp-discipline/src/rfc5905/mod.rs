//! The algorithms of RFC 5905 (§10, §11, §13), stage by stage, each usable alone, and the engine they make.
//!
//! | stage | module | section |
//! |---|---|---|
//! | clock filter | [`filter`] | §10 |
//! | popcorn spike suppressor | [`popcorn`] | §10 |
//! | selection by intersection | [`selection`] | §11.2.1, erratum 6207 |
//! | cluster | [`cluster`](mod@cluster) | §11.2.2 |
//! | combine | [`combine`](mod@combine) | §11.2.3 |
//! | PLL/FLL loop, stepout, panic | [`clock_loop`] | §11.3 |
//! | poll adjustment | [`poll`] | §13 |
//! | huff-n'-puff | [`huffpuff`] | ntpd |
//! | all of them | [`Engine`] | §11 |

pub mod clock_loop;
pub mod cluster;
pub mod combine;
pub mod constants;
mod engine;
pub mod filter;
pub mod huffpuff;
pub mod poll;
pub mod popcorn;
mod readout;
pub mod selection;
mod source;
mod system;
mod variables;

pub use engine::{Engine, Options};
pub use source::Source;
