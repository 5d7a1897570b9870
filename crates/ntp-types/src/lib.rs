//! Time quantities of NTP that cannot be misused.
//!
//! | type | what it is | arithmetic |
//! |---|---|---|
//! | [`NtpTimestamp`] | 64-bit timestamp of the wire, 32.32 seconds, no era | differences wrap, no order |
//! | [`NtpDuration`] | signed 32.32 seconds | saturates |
//! | [`NtpShort`] | unsigned 16.16 seconds: root delay, root dispersion | converts, rounding up |
//! | [`Poll`], [`Precision`] | signed log2 seconds | saturates |
//! | [`Frequency`] | signed seconds per second | saturates, never NaN |
//! | [`Instant`] | monotonic nanoseconds | saturates |
//! | [`UnixTime`], [`CivilTime`] | calendar time | checked; from a timestamp only with a pivot |
//! | [`RoundTrip`] | the four timestamps of one exchange | offset and delay, exact in every era |
//! | [`Stratum`], [`LeapIndicator`], [`ReferenceId`], [`KissCode`] | codes of the header | every value kept |
//! | [`ClockCommand`], [`Applied`] | what to do to a clock, and what was done | plain data |
//!
//! Offsets are **server minus client: positive means our clock is behind**. Nothing here reads a clock.
//!
//! ```
//! use ntp_types::{NtpTimestamp, RoundTrip, UnixTime};
//!
//! // An exchange across the end of era 0 (2036-02-07T06:28:16Z).
//! let at = |text: &str| NtpTimestamp::from_unix(text.parse().unwrap());
//! let exchange = RoundTrip {
//!     t1: at("2036-02-07T06:28:15.9Z"),
//!     t2: at("2036-02-07T06:28:16.45Z"),
//!     t3: at("2036-02-07T06:28:16.45Z"),
//!     t4: at("2036-02-07T06:28:16Z"),
//! };
//! assert_eq!(exchange.offset().to_string(), "+0.500000000");
//! assert_eq!(exchange.delay().to_string(), "+0.100000000");
//! // A date needs a pivot: any time known to lie within 68 years of it.
//! let pivot: UnixTime = "2026-01-01T00:00:00Z".parse()?;
//! assert_eq!(exchange.t2.to_unix(pivot).unwrap().to_string(), "2036-02-07T06:28:16.450000000Z");
//! # Ok::<(), ntp_types::ParseTimeError>(())
//! ```
//!
//! Features only add: `std` (`SystemTime`), `serde`, `chrono`, `time`, `jiff` (conversions with [`UnixTime`]).

#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "std", test))]
extern crate std;

mod calendar;
mod command;
mod convert;
mod duration;
mod frequency;
mod instant;
mod kiss;
mod leap;
mod log2;
mod refid;
mod round_trip;
mod short;
mod stratum;
mod timestamp;

pub use calendar::{CivilTime, InvalidTime, ParseTimeError, UnixTime};
pub use command::{Applied, ClockCommand};
#[cfg(any(feature = "std", feature = "chrono", feature = "time", feature = "jiff"))]
pub use convert::OutOfRange;
pub use duration::{Human, NegativeDuration, NtpDuration};
pub use frequency::Frequency;
pub use instant::Instant;
pub use kiss::{KissAction, KissCode};
pub use leap::LeapIndicator;
pub use log2::{Poll, Precision};
pub use refid::{DisplayReference, Reference, ReferenceId};
pub use round_trip::RoundTrip;
pub use short::NtpShort;
pub use stratum::Stratum;
pub use timestamp::NtpTimestamp;

/// A word that names no value of the code it was read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {expected}")]
pub struct ParseCodeError {
    /// What was expected, in the field's words.
    pub expected: &'static str,
}
