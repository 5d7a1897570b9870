//! Conversions with other crates' calendar types, each behind its feature.

#[cfg(any(feature = "std", feature = "chrono", feature = "time", feature = "jiff"))]
use crate::UnixTime;

/// A time that the other type cannot hold.
#[cfg(any(feature = "std", feature = "chrono", feature = "time", feature = "jiff"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{time} is out of the range of {target}")]
pub struct OutOfRange {
    /// The time.
    pub time: UnixTime,
    /// The type that cannot hold it.
    pub target: &'static str,
}

#[cfg(feature = "std")]
mod std_time {
    use std::time::{Duration, SystemTime};

    use super::{OutOfRange, UnixTime};

    impl From<SystemTime> for UnixTime {
        fn from(time: SystemTime) -> Self {
            let nanos = match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => i128::try_from(after.as_nanos()).ok(),
                Err(before) => i128::try_from(before.duration().as_nanos()).ok().map(|nanos| -nanos),
            };
            // A SystemTime holds no more than a UnixTime: both count 64-bit seconds.
            nanos.and_then(Self::from_nanos).unwrap_or(Self::EPOCH)
        }
    }

    impl TryFrom<UnixTime> for SystemTime {
        type Error = OutOfRange;

        fn try_from(time: UnixTime) -> Result<Self, OutOfRange> {
            let seconds = Duration::from_secs(time.seconds().unsigned_abs());
            let whole = if time.seconds() < 0 {
                Self::UNIX_EPOCH.checked_sub(seconds)
            } else {
                Self::UNIX_EPOCH.checked_add(seconds)
            };
            whole
                .and_then(|whole| whole.checked_add(Duration::from_nanos(u64::from(time.nanos()))))
                .ok_or(OutOfRange { time, target: "std::time::SystemTime" })
        }
    }
}

#[cfg(feature = "chrono")]
mod chrono_time {
    use chrono::{DateTime, Utc};

    use super::{OutOfRange, UnixTime};

    impl From<DateTime<Utc>> for UnixTime {
        /// A leap second (chrono's nanosecond part of 10⁹ or more) becomes the second after it.
        fn from(time: DateTime<Utc>) -> Self {
            let nanos = i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos());
            Self::from_nanos(nanos).unwrap_or(Self::EPOCH) // chrono's range is far inside
        }
    }

    impl TryFrom<UnixTime> for DateTime<Utc> {
        type Error = OutOfRange;

        fn try_from(time: UnixTime) -> Result<Self, OutOfRange> {
            Self::from_timestamp(time.seconds(), time.nanos())
                .ok_or(OutOfRange { time, target: "chrono::DateTime<Utc>" })
        }
    }
}

#[cfg(feature = "time")]
mod time_time {
    use time::OffsetDateTime;

    use super::{OutOfRange, UnixTime};

    impl From<OffsetDateTime> for UnixTime {
        fn from(time: OffsetDateTime) -> Self {
            Self::from_nanos(time.unix_timestamp_nanos()).unwrap_or(Self::EPOCH)
            // time's range is far inside
        }
    }

    impl TryFrom<UnixTime> for OffsetDateTime {
        type Error = OutOfRange;

        fn try_from(time: UnixTime) -> Result<Self, OutOfRange> {
            Self::from_unix_timestamp_nanos(time.to_nanos())
                .map_err(|_| OutOfRange { time, target: "time::OffsetDateTime" })
        }
    }
}

#[cfg(feature = "jiff")]
mod jiff_time {
    use jiff::Timestamp;

    use super::{OutOfRange, UnixTime};

    impl From<Timestamp> for UnixTime {
        fn from(time: Timestamp) -> Self {
            Self::from_nanos(time.as_nanosecond()).unwrap_or(Self::EPOCH) // jiff's range is far inside
        }
    }

    impl TryFrom<UnixTime> for Timestamp {
        type Error = OutOfRange;

        fn try_from(time: UnixTime) -> Result<Self, OutOfRange> {
            Self::from_nanosecond(time.to_nanos()).map_err(|_| OutOfRange { time, target: "jiff::Timestamp" })
        }
    }
}
