//! A clock that cannot be right, whatever any server says.
//!
//! A timestamp names no era, so an offset is right only between clocks within 68 years of each other. A machine without
//! a battery starts in 1970; from 2038-01-19 on every server is further away than that, and the offset comes out 136
//! years wrong. The way out is a time that is known to have passed: that of the program's making, or of its last run.

use ntp_types::{NtpDuration, NtpTimestamp, UnixTime};

/// Less than this behind, 34 years, offsets come out right for as long again: the servers set the clock, as always.
const TOLD_BY_SERVERS: i128 = 1 << 30;

/// How far a clock that shows `time` is behind `not_before` at the least; `None` when it may be right, or is near enough
/// for servers to set it right.
///
/// Step it by that before the first exchange, where stepping is allowed at all.
///
/// ```
/// use ntp_client::known_lag;
/// use ntp_types::UnixTime;
///
/// let made: UnixTime = "2026-11-01T00:00:00Z".parse()?;
/// assert_eq!(known_lag(made, made), None);
/// assert_eq!(known_lag("2010-01-01T00:00:00Z".parse()?, made), None);
/// assert_eq!(known_lag(UnixTime::EPOCH, made).unwrap().to_string(), "+1793491200.000000000");
/// # Ok::<(), ntp_types::ParseTimeError>(())
/// ```
#[must_use]
pub fn known_lag(time: UnixTime, not_before: UnixTime) -> Option<NtpDuration> {
    let lag = i128::from(not_before.seconds()) - i128::from(time.seconds());
    if lag < TOLD_BY_SERVERS {
        return None;
    }
    match i32::try_from(lag) {
        Ok(_) => Some(NtpTimestamp::from_unix(not_before).since(NtpTimestamp::from_unix(time))),
        Err(_) => Some(NtpDuration::MAX),
    }
}
