//! What the benches share: inputs, contestants and the counting of instructions.
//!
//! `cargo bench -p ntp-benches --bench codec` runs the codec under criterion (time) and, where valgrind is installed,
//! under callgrind (instructions); `--features peers` adds other people's codecs to the same run.
//! `--bench server` puts the server under load beside a bare echo and other people's servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench stops at a fault
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)] // octets in two's complement

pub mod callgrind;
pub mod codec;
pub mod server;
