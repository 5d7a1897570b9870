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
//! | [`adaptive`] | the engine that weighs every sample by what its delay says about it: the agent's default |
//!
//! ```
//! use ntp_discipline::{rfc5905, Engine, Policy, Sample, ServerState, SourceOptions, Verdict};
//! use ntp_types::{Applied, ClockCommand, Instant, NtpDuration, NtpTimestamp, Precision, RoundTrip, Stratum};
//!
//! let mut engine = rfc5905::Engine::new(Policy::default(), rfc5905::Options::default())?;
//! let mut sources = [rfc5905::Source::default()]; // one slot
//! engine.open(&mut sources, 0, SourceOptions::default());
//!
//! // Our clock is 350 ms behind; each exchange takes 20 ms. Four of them, two seconds apart.
//! let server = ServerState { stratum: Stratum::PRIMARY, ..ServerState::default() };
//! let mut command = ClockCommand::Hold;
//! for second in [0, 2, 4, 6] {
//!     let at = |nanos| NtpTimestamp::new(0xeb00_0000 + second, 0) + NtpDuration::from_nanos(nanos);
//!     let trip = RoundTrip { t1: at(0), t2: at(360_000_000), t3: at(360_000_000), t4: at(20_000_000) };
//!     let sent = Instant::from_nanos(u64::from(second) * 1_000_000_000);
//!     let received = Instant::from_nanos(sent.as_nanos() + 20_000_000);
//!     let sample = Sample::new(trip, Precision::default(), server, sent, received);
//!     command = engine.handle_sample(&mut sources, 0, &sample, received).command;
//! }
//! let ClockCommand::Step { offset, frequency } = command else { panic!("{command:?}") };
//! assert_eq!(offset.to_string(), "+0.350000000");
//! assert_eq!(sources[0].verdict(), Verdict::SystemPeer);
//!
//! // Whoever owns a clock applies it, and says what was really done.
//! let at = Instant::from_nanos(6_030_000_000);
//! engine.handle_applied(&mut sources, &Applied { at, stepped: offset, frequency, slew_end: at, ..Applied::default() });
//! assert_eq!(engine.source(&sources, 0, at).offset, NtpDuration::ZERO); // what it holds has followed
//! # Ok::<(), ntp_discipline::PolicyError>(())
//! ```
//!
//! Conventions: offset = server − client, **positive means our clock is behind**. Frequency is s/s. Every [`Instant`]
//! comes from one raw monotonic clock that nobody steers. Nothing here reads a clock, a random source or a file, and
//! all floating point goes through `libm`, so that a trace replays to the same bits on every target.
//!
//! The client that feeds it from packets is `ntp-client`, the clocks that take its commands are in `ntp-clock`.
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
mod total;
pub mod verdict;

pub use engine::{Decision, Engine, SourceEstimate, SourceOptions, Status, SystemEstimate};
pub use ledger::Ledger;
pub use policy::{Governor, Policy, PolicyError, Refusal, SmearGuard, StepLimit};
pub use sample::{Sample, ServerState};
pub use verdict::Verdict;
