//! The optional conversions: identity where both types hold the time, an error where one does not.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]
#![cfg(all(feature = "std", feature = "serde", feature = "chrono", feature = "time", feature = "jiff"))]

use std::time::SystemTime;

use chrono::{Datelike, Timelike};
use ntp_types::{Frequency, LeapIndicator, NtpTimestamp, OutOfRange, RoundTrip, UnixTime};
use proptest::prelude::*;

proptest! {
    #[test]
    fn times_come_back_from_every_crate(seconds in -62_000_000_000_i64..250_000_000_000, nanos in 0_u32..1_000_000_000) {
        let time = UnixTime::new(seconds, nanos).unwrap();
        prop_assert_eq!(UnixTime::from(SystemTime::try_from(time).unwrap()), time);
        prop_assert_eq!(UnixTime::from(chrono::DateTime::<chrono::Utc>::try_from(time).unwrap()), time);
        prop_assert_eq!(UnixTime::from(time::OffsetDateTime::try_from(time).unwrap()), time);
        prop_assert_eq!(UnixTime::from(jiff::Timestamp::try_from(time).unwrap()), time);
    }

    #[test]
    fn calendars_agree(seconds in -62_000_000_000_i64..250_000_000_000) {
        let time = UnixTime::from_seconds(seconds);
        let theirs = chrono::DateTime::<chrono::Utc>::try_from(time).unwrap().naive_utc();
        let ours = time.to_civil().unwrap();
        prop_assert_eq!((ours.year, u32::from(ours.month), u32::from(ours.day)), (theirs.year(), theirs.month(), theirs.day()));
        let clock = (u32::from(ours.hour), u32::from(ours.minute), u32::from(ours.second));
        prop_assert_eq!(clock, (theirs.hour(), theirs.minute(), theirs.second()));
    }

    #[test]
    fn serde_comes_back(bits: u64, seconds: i64, nanos in 0_u32..1_000_000_000) {
        let timestamp = NtpTimestamp::from_bits(bits);
        let text = serde_json::to_string(&timestamp).unwrap();
        prop_assert_eq!(serde_json::from_str::<NtpTimestamp>(&text).unwrap(), timestamp);
        let time = UnixTime::new(seconds, nanos).unwrap();
        let text = serde_json::to_string(&time).unwrap();
        prop_assert_eq!(serde_json::from_str::<UnixTime>(&text).unwrap(), time);
        let trip = RoundTrip { t1: timestamp, t2: NtpTimestamp::from_unix(time), t3: timestamp, t4: NtpTimestamp::UNSET };
        let text = serde_json::to_string(&trip).unwrap();
        prop_assert_eq!(serde_json::from_str::<RoundTrip>(&text).unwrap(), trip);
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let far = UnixTime::from_seconds(i64::MAX);
    assert!(matches!(chrono::DateTime::<chrono::Utc>::try_from(far), Err(OutOfRange { .. })));
    assert!(matches!(time::OffsetDateTime::try_from(far), Err(OutOfRange { .. })));
    assert!(matches!(jiff::Timestamp::try_from(far), Err(OutOfRange { .. })));
    assert!(serde_json::from_str::<UnixTime>("[0, 1000000000]").is_err());
    assert!(serde_json::from_str::<LeapIndicator>("\"NoWarning\"").is_ok());
    assert!(serde_json::from_str::<Frequency>("1e300").is_err());
}
