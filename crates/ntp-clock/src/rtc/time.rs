//! The chip's date and time, as `struct rtc_time` has it.

use ntp_types::{CivilTime, InvalidTime, UnixTime};

/// What the chip's registers say: a date and a time of day, without saying whose.
///
/// The fields are C's: month 0 to 11, year since 1900. Only [`to_unix`](Self::to_unix) vouches for them.
///
/// Source: `<linux/rtc.h>`, `struct rtc_time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct RtcTime {
    /// Seconds, 0 to 59.
    pub second: i32,
    /// Minutes, 0 to 59.
    pub minute: i32,
    /// Hours, 0 to 23.
    pub hour: i32,
    /// Day of the month, 1 to 31.
    pub day: i32,
    /// Months since January, 0 to 11.
    pub month: i32,
    /// Years since 1900.
    pub year: i32,
    /// Days since Sunday; most drivers leave it 0.
    pub weekday: i32,
    /// Days since 1 January; most drivers leave it 0.
    pub day_of_year: i32,
}

/// A date the chip cannot hold, or one that it holds and that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcTimeError {
    /// A field names no time.
    #[error("the hardware clock's {0}")]
    Field(InvalidTime),
    /// The year lies outside 1970 to 2199.
    #[error("the year {year} is not one a hardware clock holds, 1970 to 2199")]
    Year {
        /// The year.
        year: i64,
    },
}

/// The years between which a date of the chip is believed.
const YEARS: core::ops::RangeInclusive<i64> = 1970..=2199;

impl RtcTime {
    /// The chip's date and time for seconds since 1970, in the scale the chip keeps.
    ///
    /// # Errors
    /// [`RtcTimeError::Year`] outside 1970 to 2199.
    pub fn from_unix(time: UnixTime) -> Result<Self, RtcTimeError> {
        let civil = time.to_civil().ok_or(RtcTimeError::Year { year: i64::MAX })?;
        let year = i64::from(civil.year);
        if !YEARS.contains(&year) {
            return Err(RtcTimeError::Year { year });
        }
        let days = time.seconds().div_euclid(86_400);
        let new_year = CivilTime { year: civil.year, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
        let days_before = new_year.to_unix().map_err(RtcTimeError::Field)?.seconds().div_euclid(86_400);
        let small = |days: i64| i32::try_from(days).unwrap_or(0); // below 366 each
        Ok(Self {
            second: i32::from(civil.second),
            minute: i32::from(civil.minute),
            hour: i32::from(civil.hour),
            day: i32::from(civil.day),
            month: i32::from(civil.month) - 1,
            year: civil.year - 1900,
            weekday: small((days + 4).rem_euclid(7)), // 1970 began on a Thursday
            day_of_year: small(days - days_before),
        })
    }

    /// Seconds since 1970, in the scale the chip keeps. Weekday and day of the year are not looked at.
    ///
    /// # Errors
    /// [`RtcTimeError`] names the field that is out of range.
    pub fn to_unix(self) -> Result<UnixTime, RtcTimeError> {
        let year = i64::from(self.year) + 1900;
        if !YEARS.contains(&year) {
            return Err(RtcTimeError::Year { year });
        }
        let octet = |field: &'static str, value: i32, min: i64, max: i64| {
            let value = i64::from(value);
            u8::try_from(value).map_err(|_| RtcTimeError::Field(InvalidTime { field, value, min, max }))
        };
        let civil = CivilTime {
            year: self.year + 1900,
            month: octet("month", self.month.saturating_add(1), 1, 12)?,
            day: octet("day", self.day, 1, 31)?,
            hour: octet("hour", self.hour, 0, 23)?,
            minute: octet("minute", self.minute, 0, 59)?,
            second: octet("second", self.second, 0, 59)?,
        };
        civil.to_unix().map_err(RtcTimeError::Field)
    }
}
