//! What is done at boot and at shutdown: the system clock from the hardware clock, and the other way round.

use core::fmt;
use core::time::Duration;

use ntp_types::{NtpDuration, UnixTime};

use crate::kernel::Kernel;
use crate::rtc::adjtime::MAX_DRIFT;
use crate::rtc::zone::{moved, utc_to_local};
use crate::rtc::{AdjTime, DriftUpdate, Edge, Rtc, RtcDevice, RtcError, SetOptions, SetOutcome, TimeScale};
use crate::{ClockError, ClockStatus, Operation, SystemClock};

/// What setting the system clock came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct BootOutcome {
    /// What the hardware clock showed.
    pub rtc: UnixTime,
    /// What was added to it for its drift.
    pub correction: NtpDuration,
    /// The time at the hardware clock's edge, in UTC: what the system clock was set by.
    pub time: UnixTime,
    /// By how much the system clock moved, in nanoseconds.
    pub moved_nanos: i128,
    /// The zone the kernel was told, minutes west of Greenwich.
    pub minutes_west: i32,
}

/// How to set the hardware clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct SaveOptions {
    /// Even when the system clock is not synchronised.
    pub force: bool,
    /// Learn the drift from how far the hardware clock went wrong since it was last set.
    pub update_drift: bool,
    /// How to write it.
    pub set: SetOptions,
}

/// What setting the hardware clock came to.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct SaveOutcome {
    /// The writing.
    pub set: SetOutcome,
    /// What became of the drift.
    pub drift: DriftUpdate,
    /// The kernel sets this clock itself every 11 minutes, because it holds its own for synchronised.
    pub kernel_sets_it: bool,
}

/// What adjusting the hardware clock for its drift came to.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum AdjustOutcome {
    /// Less than a second is due.
    NotDue {
        /// What is due.
        correction: NtpDuration,
    },
    /// It was never set, so nothing is known to be due.
    NeverSet,
    /// The drift is beyond anything a clock does.
    Incredible {
        /// Seconds a day.
        drift: f64,
    },
    /// The kernel sets this clock itself every 11 minutes: there is nothing to adjust.
    KernelSetsIt,
    /// It was adjusted.
    Adjusted {
        /// By how much.
        correction: NtpDuration,
        /// The writing.
        set: SetOutcome,
    },
}

/// Whether it was adjusted, and why not.
impl fmt::Display for AdjustOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDue { .. } => f.write_str("no: less than a second is due"),
            Self::NeverSet => f.write_str("no: it was never set, so nothing is known to be due"),
            Self::Incredible { drift } => write!(f, "no: {drift} s a day is no clock's drift"),
            Self::KernelSetsIt => f.write_str("no: the kernel sets it every 11 minutes"),
            Self::Adjusted { .. } => f.write_str("yes"),
        }
    }
}

const EDGE_LIMIT: Duration = Duration::from_secs(3);

/// Sets the system clock from an edge of the hardware clock, and tells the kernel the time zone.
///
/// The order is hwclock's. The first zone the kernel is told after boot moves its clock when it had been set from a chip in
/// local time ("warp"): for a chip in UTC a zone of zero goes first, so that nothing moves; for one in local time the zone
/// itself. Then the clock is set, so whatever moved is put right.
///
/// # Errors
/// [`RtcError`] when the kernel refuses; without `CAP_SYS_TIME` that is `EPERM`.
pub fn hctosys<K: Kernel>(clock: &mut SystemClock<K>, edge: &Edge, adjtime: &AdjTime) -> Result<BootOutcome, RtcError> {
    let correction = adjtime.correction_at(edge.rtc);
    let corrected = moved(edge.rtc, i128::from(correction.to_nanos()));
    let offset_at = |time| clock.kernel().utc_offset(time);
    let zone_error = |errno| ClockError::system(Operation::TimeZone, errno);
    let time = adjtime.scale.to_utc(corrected, offset_at).map_err(zone_error)?;
    let minutes_west = -offset_at(time).map_err(zone_error)? / 60;
    if adjtime.scale == TimeScale::Utc {
        clock.kernel().set_time_zone(0).map_err(zone_error)?;
    }
    if adjtime.scale == TimeScale::Local || minutes_west != 0 {
        clock.kernel().set_time_zone(minutes_west).map_err(zone_error)?;
    }
    let moved_nanos = clock.set(time, edge.at)?;
    Ok(BootOutcome { rtc: edge.rtc, correction, time, moved_nanos, minutes_west })
}

/// Sets the hardware clock from the system clock, and keeps the books of its drift.
///
/// Where the kernel holds its clock for synchronised it sets the hardware clock itself every 11 minutes: nothing speaks against
/// setting it once more, but nothing can be learnt about its drift. An error that setting could not avoid is
/// remembered as what is left to add, so that reading it back puts it right.
///
/// # Errors
/// [`RtcError::Unsynchronized`] when the system clock is not synchronised and `force` is not given; else [`RtcError`] when the device
/// refuses.
pub fn systohc<D: RtcDevice, K: Kernel>(
    rtc: &Rtc<D, K>,
    status: &ClockStatus,
    adjtime: &mut AdjTime,
    options: &SaveOptions,
) -> Result<SaveOutcome, RtcError> {
    if !status.is_synchronized() && !options.force {
        return Err(RtcError::Unsynchronized { max_error_millis: status.max_error.to_nanos() / 1_000_000 });
    }
    let kernel_sets_it = !status.is_flagged_unsynchronized();
    let learns = options.update_drift && !kernel_sets_it;
    let before = if learns { Some(rtc.read_at_edge(EDGE_LIMIT)?) } else { None };
    let ahead = scale_nanos(rtc, adjtime.scale, status.time)?;
    let set = rtc.set(ahead, &options.set)?;

    // hwclock compares the two clocks at one moment: the hardware clock's edge.
    let known = before.map(|edge| {
        let correction = i128::from(adjtime.correction_at(edge.rtc).to_nanos());
        (moved(edge.system, ahead), moved(edge.rtc, correction))
    });
    let written_at = moved(set.at, ahead);
    let (now, corrected) = known.map_or((written_at, None), |(now, corrected)| (now, Some(corrected)));
    let mut drift = adjtime.handle_set(now, corrected, learns);
    if options.update_drift && kernel_sets_it {
        drift = DriftUpdate::KernelSetsIt;
    }
    adjtime.last_calibration = written_at.seconds();
    adjtime.last_adjustment = written_at.seconds();
    remember(adjtime, &set, &options.set);
    Ok(SaveOutcome { set, drift, kernel_sets_it })
}

/// Adjusts the hardware clock for the drift it is known to have, by its own reading: the system clock only measures the time in
/// between.
///
/// # Errors
/// [`RtcError`] when the device refuses.
pub fn adjust<D: RtcDevice, K: Kernel>(
    rtc: &Rtc<D, K>,
    status: &ClockStatus,
    adjtime: &mut AdjTime,
    options: &SetOptions,
) -> Result<AdjustOutcome, RtcError> {
    if !status.is_flagged_unsynchronized() {
        return Ok(AdjustOutcome::KernelSetsIt);
    }
    if adjtime.last_adjustment == 0 {
        return Ok(AdjustOutcome::NeverSet);
    }
    if adjtime.drift_factor.is_nan() || adjtime.drift_factor.abs() > MAX_DRIFT {
        return Ok(AdjustOutcome::Incredible { drift: adjtime.drift_factor });
    }
    let edge = rtc.read_at_edge(EDGE_LIMIT)?;
    let correction = adjtime.correction_at(edge.rtc);
    if !adjtime.needs_adjustment(edge.rtc) {
        return Ok(AdjustOutcome::NotDue { correction });
    }
    let correction_nanos = i128::from(correction.to_nanos());
    let set = rtc.set(edge.ahead_nanos() + correction_nanos, options)?;
    adjtime.last_adjustment = moved(edge.rtc, correction_nanos).seconds();
    adjtime.not_adjusted = 0.0;
    remember(adjtime, &set, options);
    Ok(AdjustOutcome::Adjusted { correction, set })
}

/// What setting could not avoid is left to add; what was good enough may be the noise of looking, and is not.
fn remember(adjtime: &mut AdjTime, set: &SetOutcome, options: &SetOptions) {
    if let Some(error) = set.error.filter(|error| error.unsigned_abs() > options.tolerance) {
        adjtime.not_adjusted = 0.0 - error.to_seconds_f64();
    }
}

/// How far the chip's scale is ahead of UTC.
fn scale_nanos<D: RtcDevice, K: Kernel>(rtc: &Rtc<D, K>, scale: TimeScale, now: UnixTime) -> Result<i128, RtcError> {
    match scale {
        TimeScale::Utc => Ok(0),
        TimeScale::Local => {
            let local = utc_to_local(now, |time| rtc.kernel.utc_offset(time))
                .map_err(|errno| ClockError::system(Operation::TimeZone, errno))?;
            Ok(local.to_nanos() - now.to_nanos())
        }
    }
}
