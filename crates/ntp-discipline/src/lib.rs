//! The maths of NTP, from four timestamps to one clock command, as pure values.
//!
//! ```text
//! RoundTrip ─► Sample ─► Engine::handle_sample ─► Decision { command, poll, refused }
//!                             ▲                        │
//!                             │                        ▼  the caller's clock, the only effect
//!              Engine::handle_applied  ◄───────────  Applied
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`sample`] | one measurement: offset, delay, dispersion, exact in every era |
//! | [`engine`] | the contract of every engine, its read-outs ([`SourceEstimate`], [`SystemEstimate`]) |
//! | [`verdict`] | what selection says of a source, one ordered enum with the letters operators know |
//! | [`policy`] | what a clock may be told: steps, panic, slew rate, quorum; and the [`Governor`] that holds to it |
//! | [`leap`] | leap seconds: majority, arming, minutes of 61 and 59 seconds |
//! | [`ledger`] | what was really done to the clock, on the raw time base |
//! | [`rfc5905`] | the engine of RFC 5905, every stage usable alone |
//!
//! Conventions: offset = server − client, **positive means our clock is behind**. Frequency is s/s. Every [`Instant`]
//! comes from one raw monotonic clock that nobody steers. Nothing here reads a clock, a random source or a file, and
//! all floating point goes through `libm`, so that a trace replays to the same bits on every target.
//!
//! [`Instant`]: ntp_types::Instant

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod adaptive;
pub mod engine;
pub mod leap;
pub mod ledger;
pub mod policy;
pub mod rfc5905;
pub mod sample;
pub mod verdict;

pub use engine::{Decision, Engine, SourceEstimate, SourceOptions, Status, SystemEstimate};
pub use ledger::Ledger;
pub use policy::{Governor, Policy, PolicyError, Refusal, SmearGuard, StepLimit};
pub use sample::{Sample, ServerState};
pub use verdict::Verdict;
