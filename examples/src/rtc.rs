//! How the hardware clock and what was done to it are shown.

use ntp_clock::kernel::{Host, Kernel};
use ntp_clock::rtc::{
    AdjTime, AdjustOutcome, BootOutcome, Edge, Look, RtcError, RtcModel, SaveOutcome, SetOutcome, TimeScale,
};
use ntp_clock::ClockStatus;
use ntp_types::{NtpDuration, UnixTime};

use crate::fields::Fields;
use crate::text;

/// What the clock shows, beside the system clock.
///
/// # Errors
/// The timezone of a clock in local time is not known.
pub fn shown(look: &Look, adjtime: &AdjTime, system: &ClockStatus) -> Result<Fields, RtcError> {
    let edge = &look.edge;
    let utc = in_utc(edge.rtc, adjtime.scale)?;
    let mut fields = Fields::default();
    fields.add("device", look.path.display(), look.path.display().to_string());
    fields.add("driver", look.driver.as_deref().unwrap_or("not known"), look.driver.as_deref());
    fields.add("time", utc, utc.to_string());
    fields.add("scale", adjtime.scale, adjtime.scale.to_string());
    fields.add("system_clock", edge.system, edge.system.to_string());
    add_span(&mut fields, "ahead", utc.to_nanos() - edge.system.to_nanos());
    add_correction(&mut fields, adjtime.correction_at(edge.rtc));
    fields.add("noticed_by", edge.method, edge.method.to_string());
    if let Some(validity) = look.validity {
        let voltage = validity.voltage.map(|flags| flags.to_string());
        fields.add("valid", if validity.is_valid() { "yes" } else { "no" }, validity.is_valid());
        fields.add("battery", voltage.as_deref().unwrap_or("the driver does not say"), voltage.as_deref());
    }
    if let Some(ppb) = look.correction_ppb {
        fields.add("rate_correction", format_args!("{ppb} ppb"), ppb);
    }
    add_kernel(&mut fields, !system.is_flagged_unsynchronized());
    Ok(fields)
}

/// What the system clock was set to.
#[must_use]
pub fn system_set(outcome: &BootOutcome) -> Fields {
    let mut fields = Fields::default();
    fields.add("hardware_clock", outcome.rtc, outcome.rtc.to_string());
    add_correction(&mut fields, outcome.correction);
    fields.add("set_to", outcome.time, outcome.time.to_string());
    add_span(&mut fields, "moved", outcome.moved_nanos);
    fields.add("minutes_west", outcome.minutes_west, outcome.minutes_west);
    fields
}

/// How the clock was set, and what its file says since.
#[must_use]
pub fn saved(outcome: &SaveOutcome, adjtime: &AdjTime) -> Fields {
    let mut fields = Fields::default();
    add_setting(&mut fields, &outcome.set);
    fields.add("drift", outcome.drift, adjtime.drift_factor);
    add_kernel(&mut fields, outcome.kernel_sets_it);
    fields
}

/// Whether it was adjusted for its drift, and by how much.
#[must_use]
pub fn adjusted(outcome: &AdjustOutcome) -> Fields {
    let mut fields = Fields::default();
    fields.add("adjusted", outcome, matches!(outcome, AdjustOutcome::Adjusted { .. }));
    match outcome {
        AdjustOutcome::NotDue { correction } => add_correction(&mut fields, *correction),
        AdjustOutcome::Adjusted { correction, set } => {
            add_correction(&mut fields, *correction);
            add_setting(&mut fields, set);
        }
        _ => {}
    }
    fields
}

/// What its file knows of its drift, and what was measured of it.
#[must_use]
pub fn drift(adjtime: &AdjTime, measured: Option<&RtcModel>) -> Fields {
    let when = |seconds: i64| match seconds {
        0 => "never".to_owned(),
        seconds => UnixTime::from_seconds(seconds).to_string(),
    };
    let mut fields = Fields::default();
    fields.add("drift", format_args!("{:+.6} s a day to add", adjtime.drift_factor), adjtime.drift_factor);
    fields.add("last_set", when(adjtime.last_adjustment), adjtime.last_adjustment);
    fields.add("last_calibrated", when(adjtime.last_calibration), adjtime.last_calibration);
    fields.add("left_to_add", format_args!("{:+.6} s", adjtime.not_adjusted), adjtime.not_adjusted);
    fields.add("scale", adjtime.scale, adjtime.scale.to_string());
    if let Some(model) = measured {
        let ppm = model.rate * 1e6;
        fields.add("measured_ahead", format_args!("{:+.6} s", model.offset), model.offset);
        fields.add("measured_rate", format_args!("{ppm:+.3} ppm against the system clock"), ppm);
        fields.add("residual", format_args!("{:.6} s", model.residual), model.residual);
    }
    fields
}

/// How far the clock's scale is ahead of UTC at an edge, in nanoseconds.
///
/// # Errors
/// The timezone of a clock in local time is not known.
pub fn zone_nanos(edge: &Edge, scale: TimeScale) -> Result<i128, RtcError> {
    Ok(edge.rtc.to_nanos() - in_utc(edge.rtc, scale)?.to_nanos())
}

fn in_utc(rtc: UnixTime, scale: TimeScale) -> Result<UnixTime, RtcError> {
    scale.to_utc(rtc, |time| Host.utc_offset(time)).map_err(RtcError::zone)
}

fn add_setting(fields: &mut Fields, set: &SetOutcome) {
    let error = set.error.map_or_else(|| "not looked at".into(), |error| format!("{} ahead", text::signed(error)));
    let beat =
        if set.keeps_phase { "the chip keeps its own: the error stays, and is noted in the file" } else { "follows" };
    fields.add("written", set.written, set.written.to_string());
    fields.add("error", error, set.error.map(NtpDuration::to_seconds_f64));
    fields.add("beat", beat, if set.keeps_phase { "kept" } else { "follows" });
    fields.add("attempts", set.attempts, set.attempts);
}

fn add_kernel(fields: &mut Fields, kernel_sets_it: bool) {
    fields.add("kernel", if kernel_sets_it { "sets it every 11 minutes" } else { "leaves it alone" }, kernel_sets_it);
}

fn add_correction(fields: &mut Fields, due: NtpDuration) {
    fields.add("correction", format_args!("{} for drift", text::signed(due)), due.to_seconds_f64());
}

/// A span that may be longer than a duration holds: decades.
#[allow(clippy::cast_precision_loss)] // shown to the microsecond
fn add_span(fields: &mut Fields, name: &'static str, nanos: i128) {
    let seconds = nanos as f64 * 1e-9;
    fields.add(name, format_args!("{seconds:+.6} s"), seconds);
}
