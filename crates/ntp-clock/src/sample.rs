//! Readings: a clock between two looks at the monotonic one, and the kernel's whole status.

use core::time::Duration;

use ntp_types::{Instant, UnixTime};

use crate::kernel::{ClockId, Kernel, Timex};
use crate::status::StatusFlags;
use crate::{ClockError, ClockStatus, Operation};

/// The structure's own time, taken together with the rest; `None` where it is not filled in.
pub(crate) fn sampled_time(timex: &Timex) -> Option<UnixTime> {
    let is_nano = timex.status & StatusFlags::NANO.to_bits() != 0;
    let nanos = u32::try_from(timex.fraction.saturating_mul(if is_nano { 1 } else { 1_000 })).ok()?;
    UnixTime::new(timex.seconds, nanos).filter(|_| timex.seconds != 0)
}

/// What the kernel's status call says; the time by a call of its own where the structure has none.
pub(crate) fn status<K: Kernel>(kernel: &K, clock: ClockId) -> Result<ClockStatus, ClockError> {
    let mut timex = Timex::default();
    let state =
        kernel.clock_adjtime(clock, &mut timex).map_err(|errno| ClockError::system(Operation::Status, errno))?;
    let time = match sampled_time(&timex) {
        Some(time) => time,
        None => kernel.clock_gettime(clock).map_err(|errno| ClockError::system(Operation::Read, errno))?,
    };
    Ok(ClockStatus::new(state, &timex, kernel.ticks_per_second(), time))
}

/// Half-way between two moments.
pub(crate) fn midpoint(before: Instant, after: Instant) -> Instant {
    before + after.since(before) / 2
}

/// The monotonic clock, which nobody steers.
pub(crate) fn monotonic<K: Kernel>(kernel: &K) -> Result<Instant, ClockError> {
    let time =
        kernel.clock_gettime(ClockId::MonotonicRaw).map_err(|errno| ClockError::system(Operation::Read, errno))?;
    Ok(Instant::from_nanos(u64::try_from(time.to_nanos()).unwrap_or(0)))
}

/// How long the machine has slept since it was started, short by what the calls take: the closest of at most three looks.
/// `None` where the system does not say.
pub(crate) fn suspended<K: Kernel>(kernel: &K) -> Option<Duration> {
    let nanos = |clock| kernel.clock_gettime(clock).ok().and_then(|time| u64::try_from(time.to_nanos()).ok());
    let mut best = Duration::ZERO;
    for _ in 0..3 {
        let with_sleep = nanos(ClockId::Boottime)?;
        best = best.max(Duration::from_nanos(with_sleep.saturating_sub(nanos(ClockId::Monotonic)?)));
    }
    Some(best)
}

/// Reads a clock between two readings of the monotonic one; the closest bracket of at most three.
pub(crate) fn read_at<K: Kernel>(kernel: &K, clock: ClockId) -> Result<(UnixTime, Instant), ClockError> {
    const CLOSE: Duration = Duration::from_micros(5);
    let bracket = || -> Result<_, ClockError> {
        let before = monotonic(kernel)?;
        let time = kernel.clock_gettime(clock).map_err(|errno| ClockError::system(Operation::Read, errno))?;
        Ok((monotonic(kernel)?.since(before), time, before))
    };
    let mut best = bracket()?;
    for _ in 0..2 {
        if best.0 < CLOSE {
            break;
        }
        let next = bracket()?;
        if next.0 < best.0 {
            best = next;
        }
    }
    let (width, time, before) = best;
    Ok((time, before + width / 2))
}
