//! Calendar time: POSIX seconds and the proleptic Gregorian date in UTC.

use core::fmt;
use core::str::FromStr;

/// A point in time: seconds since 1970-01-01T00:00:00Z as POSIX counts them (no leap seconds), and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "(i64, u32)", into = "(i64, u32)"))]
pub struct UnixTime {
    seconds: i64,
    nanos: u32,
}

/// A date and time of day in UTC, proleptic Gregorian; the fields are not checked until they are converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[allow(clippy::exhaustive_structs)]
pub struct CivilTime {
    /// Year, astronomical: 0 is 1 BC.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

/// A field of a date or time of day is out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value} is not between {min} and {max}")]
pub struct InvalidTime {
    /// Which field.
    pub field: &'static str,
    /// What it held.
    pub value: i64,
    /// Its least value.
    pub min: i64,
    /// Its greatest value.
    pub max: i64,
}

/// A text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTimeError {
    /// It does not have the form `2036-02-07T06:28:16.5Z`.
    #[error("expected a UTC time like 2036-02-07T06:28:16.5Z")]
    Form,
    /// It has, but names no time.
    #[error(transparent)]
    Invalid(#[from] InvalidTime),
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;
/// Days of 400 Gregorian years.
const DAYS_PER_ERA: i64 = 146_097;

impl UnixTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self { seconds: 0, nanos: 0 };

    /// From seconds and nanoseconds; `None` when there are 10⁹ nanoseconds or more.
    #[must_use]
    pub const fn new(seconds: i64, nanos: u32) -> Option<Self> {
        if nanos < 1_000_000_000 {
            Some(Self { seconds, nanos })
        } else {
            None
        }
    }

    /// From whole seconds.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// From nanoseconds; `None` beyond ±2.9·10¹¹ years.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked, and the remainder is below 10⁹
    pub const fn from_nanos(nanos: i128) -> Option<Self> {
        let seconds = nanos.div_euclid(NANOS_PER_SECOND);
        if seconds > i64::MAX as i128 || seconds < i64::MIN as i128 {
            return None;
        }
        Some(Self { seconds: seconds as i64, nanos: nanos.rem_euclid(NANOS_PER_SECOND) as u32 })
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn to_nanos(self) -> i128 {
        self.seconds as i128 * NANOS_PER_SECOND + self.nanos as i128
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds of the second, 0 to 999 999 999.
    #[must_use]
    pub const fn nanos(self) -> u32 {
        self.nanos
    }

    /// The date and time of day in UTC; `None` when the year does not fit 32 bits.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // each value is bounded by its divisor
    pub const fn to_civil(self) -> Option<CivilTime> {
        let days = self.seconds.div_euclid(SECONDS_PER_DAY);
        let second_of_day = self.seconds.rem_euclid(SECONDS_PER_DAY);
        // Years begin in March here, so that the leap day is the last of its year.
        let days = days + DAYS_TO_EPOCH;
        let era = days.div_euclid(DAYS_PER_ERA);
        let day_of_era = days.rem_euclid(DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + (if month <= 2 { 1 } else { 0 });
        if year > i32::MAX as i64 || year < i32::MIN as i64 {
            return None;
        }
        Some(CivilTime {
            year: year as i32,
            month: month as u8,
            day: day as u8,
            hour: (second_of_day / 3_600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
        })
    }
}

impl CivilTime {
    /// The point in time it names.
    ///
    /// # Errors
    /// [`InvalidTime`] names the first field out of range, the day by its month. A leap second (60) has no POSIX time.
    pub const fn to_unix(self) -> Result<UnixTime, InvalidTime> {
        const fn check(field: &'static str, value: u8, min: u8, max: u8) -> Result<(), InvalidTime> {
            if value < min || value > max {
                return Err(InvalidTime { field, value: value as i64, min: min as i64, max: max as i64 });
            }
            Ok(())
        }
        macro_rules! check {
            ($field:ident, $min:expr, $max:expr) => {
                if let Err(error) = check(stringify!($field), self.$field, $min, $max) {
                    return Err(error);
                }
            };
        }
        check!(month, 1, 12);
        check!(day, 1, days_in_month(self.year, self.month));
        check!(hour, 0, 23);
        check!(minute, 0, 59);
        check!(second, 0, 59);
        let year = self.year as i64 - (if self.month <= 2 { 1 } else { 0 });
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month as i64 + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day as i64 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH;
        let second_of_day = self.hour as i64 * 3_600 + self.minute as i64 * 60 + self.second as i64;
        Ok(UnixTime::from_seconds(days * SECONDS_PER_DAY + second_of_day))
    }
}

/// Days of a month; 31 for a month that does not exist.
const fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl TryFrom<(i64, u32)> for UnixTime {
    type Error = InvalidTime;

    fn try_from((seconds, nanos): (i64, u32)) -> Result<Self, InvalidTime> {
        Self::new(seconds, nanos).ok_or(InvalidTime {
            field: "nanosecond",
            value: i64::from(nanos),
            min: 0,
            max: 999_999_999,
        })
    }
}

impl From<UnixTime> for (i64, u32) {
    fn from(time: UnixTime) -> Self {
        (time.seconds, time.nanos)
    }
}

/// `2036-02-07T06:28:16`, years beyond four digits with their sign.
impl fmt::Display for CivilTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = *self;
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?;
        } else {
            write!(f, "{year:+05}")?;
        }
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

/// `2036-02-07T06:28:16.500000000Z`; beyond the years of 32 bits the seconds: `@9223372036854775807.000000000`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_civil() {
            Some(civil) => write!(f, "{civil}.{:09}Z", self.nanos),
            None => write!(f, "@{}.{:09}", self.seconds, self.nanos),
        }
    }
}

/// `2036-02-07T06:28:16Z`, with up to nine decimals.
impl FromStr for UnixTime {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let text = text.strip_suffix('Z').ok_or(ParseTimeError::Form)?;
        let (date, time) = text.split_once('T').ok_or(ParseTimeError::Form)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let digits = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
            if is_number { text.parse::<u8>().ok() } else { None }.ok_or(ParseTimeError::Form)
        };
        let mut date = date.rsplitn(3, '-');
        let mut next = || date.next().ok_or(ParseTimeError::Form);
        let (day, month) = (digits(next()?)?, digits(next()?)?);
        let year = next()?.parse().map_err(|_| ParseTimeError::Form)?;
        let mut time = time.splitn(3, ':');
        let mut next = || time.next().ok_or(ParseTimeError::Form);
        let (hour, minute, second) = (digits(next()?)?, digits(next()?)?, digits(next()?)?);
        if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(ParseTimeError::Form);
        }
        let nanos = fraction.bytes().chain(core::iter::repeat(b'0')).take(9).fold(0, |value, octet| {
            value * 10 + u32::from(octet - b'0') // nine digits stay below 10⁹
        });
        let whole = CivilTime { year, month, day, hour, minute, second }.to_unix()?;
        Ok(Self { nanos, ..whole })
    }
}
