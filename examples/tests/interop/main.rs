//! Other people's programs against ours, each test in a network namespace of its own.
//!
//! They are looked for where `.ci/fetch-daemons` puts them (`target/daemons`, or what `NTP_TEST_DAEMONS` names). A test
//! whose program is missing says so and passes. Nobody may change this machine's clock: everything runs without the
//! capability to, and who insists on a clock that obeys gets one that stands still (`.ci/still-clock.c`).
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // tests

mod host;
mod interleaved;
mod keys;
mod kisses;
mod ntpq;
mod they_ask;
mod we_ask;
