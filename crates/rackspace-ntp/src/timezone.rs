//! A timezone as a table of servers names it: an abbreviation and a fixed offset.

use core::fmt;

/// How far local time lies from UTC, in whole minutes; positive is east of Greenwich. −14:00 to +14:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcOffset(i16);

/// The furthest that local time lies from UTC, in minutes.
const MAX_MINUTES: i16 = 14 * 60;

impl UtcOffset {
    /// Universal time.
    pub const UTC: Self = Self(0);

    /// From minutes; `None` beyond 14 hours.
    #[must_use]
    pub const fn from_minutes(minutes: i16) -> Option<Self> {
        if minutes >= -MAX_MINUTES && minutes <= MAX_MINUTES {
            Some(Self(minutes))
        } else {
            None
        }
    }

    /// For the tables of this crate.
    pub(crate) const fn from_hours(hours: i8) -> Self {
        Self(hours as i16 * 60)
    }

    /// In minutes.
    #[must_use]
    pub const fn minutes(self) -> i16 {
        self.0
    }

    /// Minutes between two offsets the shorter way round the globe: 0 to 720.
    #[must_use]
    pub const fn distance(self, other: Self) -> u16 {
        let difference = self.0.abs_diff(other.0) % 1440;
        if difference > 720 {
            1440 - difference
        } else {
            difference
        }
    }
}

/// `UTC-06:00`.
impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let minutes = self.0.unsigned_abs();
        write!(f, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// A timezone as the table prints it. It knows no daylight saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // users write their own tables
pub struct Timezone<'a> {
    /// Its letters.
    pub abbreviation: &'a str,
    /// Its offset.
    pub offset: UtcOffset,
}

/// `CST (UTC-06:00)`.
impl fmt::Display for Timezone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.abbreviation, self.offset)
    }
}
