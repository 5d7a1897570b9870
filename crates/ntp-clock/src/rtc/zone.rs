//! Between UTC and the local time that some hardware clocks keep. Pure: the zone's offset is asked of the caller.

use ntp_types::UnixTime;

/// The local time of a moment, as seconds since 1970 in local time. `offset_at` gives seconds east of Greenwich.
///
/// # Errors
/// As `offset_at`.
pub fn utc_to_local<E>(utc: UnixTime, offset_at: impl Fn(UnixTime) -> Result<i32, E>) -> Result<UnixTime, E> {
    Ok(shifted(utc, i64::from(offset_at(utc)?)))
}

/// The moment of a local time. In the hour that comes twice in autumn it is the first of the two; in the one that spring
/// leaves out, as if the change came later.
///
/// # Errors
/// As `offset_at`.
pub fn local_to_utc<E>(local: UnixTime, offset_at: impl Fn(UnixTime) -> Result<i32, E>) -> Result<UnixTime, E> {
    // A zone changes at most once within a day of any moment: the offsets on both sides are the candidates.
    let day = 86_400;
    let before = i64::from(offset_at(shifted(local, -day))?);
    let after = i64::from(offset_at(shifted(local, day))?);
    let candidate = shifted(local, -before);
    if before == after || i64::from(offset_at(candidate)?) == before {
        return Ok(candidate);
    }
    let candidate = shifted(local, -after);
    if i64::from(offset_at(candidate)?) == after {
        return Ok(candidate);
    }
    Ok(shifted(local, -before))
}

/// `time` moved by whole seconds, saturating.
pub(crate) fn shifted(time: UnixTime, seconds: i64) -> UnixTime {
    UnixTime::new(time.seconds().saturating_add(seconds), time.nanos()).unwrap_or(time)
}

/// `time` moved by nanoseconds, saturating.
pub(crate) fn moved(time: UnixTime, nanos: i128) -> UnixTime {
    UnixTime::from_nanos(time.to_nanos().saturating_add(nanos)).unwrap_or(time)
}
