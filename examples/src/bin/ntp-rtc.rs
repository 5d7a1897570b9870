//! The hardware clock: shows it, sets it, sets the system clock from it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ntp_clock::kernel::{Host, Kernel};
use ntp_clock::rtc::{
    adjust, hctosys, look, systohc, AdjTimeFile, AdjustOutcome, Look, Rtc, RtcError, RtcTracker, SaveOptions,
    SetOptions, SetOutcome, TimeScale,
};
use ntp_clock::SystemClock;
use ntp_examples::fields::Fields;
use ntp_examples::output::{finish, Report};
use ntp_examples::text;
use ntp_types::{NtpDuration, UnixTime};

/// Show and set the hardware clock, and set the system clock from it.
///
/// Looking needs no privilege where the kernel shows the clock in sysfs. The drift and the time scale are kept in
/// /etc/adjtime, as hwclock keeps them.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-rtc",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-rtc                     what it shows, and how far off it is
  ntp-rtc hctosys             at boot: set the system clock from it
  ntp-rtc systohc             at shutdown: set it from the system clock
  ntp-rtc systohc --update-drift   and learn how fast it drifts
  ntp-rtc drift --samples 30  measure its rate for half a minute

Exit status: 0 if done, 1 if not, 2 for wrong arguments."
)]
struct Arguments {
    /// For programs: one JSON object
    #[arg(long, global = true)]
    json: bool,
    /// The device; else the first of /dev/rtc, /dev/rtc0, /dev/misc/rtc
    #[arg(long, global = true, value_name = "DEVICE")]
    rtc: Option<PathBuf>,
    /// Where drift and time scale are kept
    #[arg(long, global = true, value_name = "FILE", default_value = AdjTimeFile::PATH)]
    adjtime: PathBuf,
    /// The clock shows UTC, whatever the file says
    #[arg(long, global = true, conflicts_with = "local")]
    utc: bool,
    /// The clock shows local time, whatever the file says
    #[arg(long, global = true)]
    local: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What it shows (the default)
    Show,
    /// Set the system clock from it, corrected for its drift
    Hctosys,
    /// Set it from the system clock
    Systohc {
        /// Even when the system clock is not synchronised
        #[arg(long)]
        force: bool,
        /// Learn its drift from how wrong it has become
        #[arg(long)]
        update_drift: bool,
        #[command(flatten)]
        set: Set,
    },
    /// Adjust it for the drift it is known to have
    Adjust(Set),
    /// What is known of its drift; with --samples, measure it
    Drift {
        /// Watch so many seconds begin, and fit a line through them
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        samples: u32,
    },
}

#[derive(Debug, Args)]
struct Set {
    /// Do not wait for the next second to see whether it begins when it should
    #[arg(long)]
    no_verify: bool,
}

impl Set {
    fn options(&self) -> SetOptions {
        SetOptions { verify: !self.no_verify, ..SetOptions::default() }
    }
}

const LIMIT: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = run(&arguments).map(|fields| Report::done(fields.to_text(arguments.json)));
    finish("ntp-rtc", done.map_err(|error| error.to_string()))
}

fn run(arguments: &Arguments) -> Result<Fields, RtcError> {
    let mut file = AdjTimeFile::load(&arguments.adjtime)?;
    if arguments.utc {
        file.adjtime.scale = TimeScale::Utc;
    } else if arguments.local {
        file.adjtime.scale = TimeScale::Local;
    }
    let device = arguments.rtc.as_deref();
    match arguments.command.as_ref().unwrap_or(&Command::Show) {
        Command::Show => show(&look(device, LIMIT)?, &file),
        Command::Hctosys => set_system(device, &file),
        Command::Systohc { force, update_drift, set } => {
            let options = SaveOptions { force: *force, update_drift: *update_drift, set: set.options() };
            let outcome = systohc(&open(device)?, &SystemClock::new().status()?, &mut file.adjtime, &options)?;
            file.save()?;
            let mut fields = Fields::default();
            add_setting(&mut fields, &outcome.set);
            fields.add("drift", outcome.drift, file.adjtime.drift_factor);
            add_kernel(&mut fields, outcome.kernel_sets_it);
            Ok(fields)
        }
        Command::Adjust(set) => {
            let outcome = adjust(&open(device)?, &SystemClock::new().status()?, &mut file.adjtime, &set.options())?;
            file.save()?;
            Ok(adjusted(&outcome))
        }
        Command::Drift { samples } => drift(device, &file, *samples),
    }
}

fn open(device: Option<&Path>) -> Result<Rtc, RtcError> {
    device.map_or_else(Rtc::open, Rtc::open_at)
}

fn show(look: &Look, file: &AdjTimeFile) -> Result<Fields, RtcError> {
    let (edge, adjtime) = (&look.edge, &file.adjtime);
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
    add_kernel(&mut fields, !SystemClock::new().status()?.is_flagged_unsynchronized());
    Ok(fields)
}

fn set_system(device: Option<&Path>, file: &AdjTimeFile) -> Result<Fields, RtcError> {
    let edge = look(device, LIMIT)?.edge;
    let outcome = hctosys(&mut SystemClock::new(), &edge, &file.adjtime)?;
    let mut fields = Fields::default();
    fields.add("hardware_clock", outcome.rtc, outcome.rtc.to_string());
    add_correction(&mut fields, outcome.correction);
    fields.add("set_to", outcome.time, outcome.time.to_string());
    add_span(&mut fields, "moved", outcome.moved_nanos);
    fields.add("minutes_west", outcome.minutes_west, outcome.minutes_west);
    Ok(fields)
}

fn drift(device: Option<&Path>, file: &AdjTimeFile, samples: u32) -> Result<Fields, RtcError> {
    let adjtime = &file.adjtime;
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
    let mut tracker = RtcTracker::new();
    for _ in 0..samples {
        let edge = look(device, LIMIT)?.edge;
        let scale_nanos = edge.rtc.to_nanos() - in_utc(edge.rtc, adjtime.scale)?.to_nanos();
        tracker.handle_edge(&edge, scale_nanos);
    }
    if let Some(model) = tracker.model() {
        let ppm = model.rate * 1e6;
        fields.add("measured_ahead", format_args!("{:+.6} s", model.offset), model.offset);
        fields.add("measured_rate", format_args!("{ppm:+.3} ppm against the system clock"), ppm);
        fields.add("residual", format_args!("{:.6} s", model.residual), model.residual);
    }
    Ok(fields)
}

fn in_utc(rtc: UnixTime, scale: TimeScale) -> Result<UnixTime, RtcError> {
    scale.to_utc(rtc, |time| Host.utc_offset(time)).map_err(RtcError::zone)
}

fn adjusted(outcome: &AdjustOutcome) -> Fields {
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
