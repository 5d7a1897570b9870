//! The hardware clock: shows it, sets it, sets the system clock from it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ntp_clock::kernel::{Host, Kernel};
use ntp_clock::rtc::{
    adjust, hctosys, local_to_utc, look, systohc, AdjTimeFile, AdjustOutcome, DriftUpdate, Look, Rtc, RtcError,
    RtcTracker, SaveOptions, SetOptions, SetOutcome, TimeScale,
};
use ntp_clock::SystemClock;
use ntp_examples::text;
use ntp_types::{NtpDuration, UnixTime};
use serde_json::{json, Value};

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
    match run(&arguments) {
        Ok(report) => {
            if arguments.json {
                println!(
                    "{}",
                    Value::Object(report.into_iter().map(|(key, _, value)| (key.to_owned(), value)).collect())
                );
            } else {
                for (key, words, _) in report {
                    println!("{:<16} {words}", key.replace('_', " "));
                }
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ntp-rtc: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lines of a report: the key, for people, for programs.
type Report = Vec<(&'static str, String, Value)>;

fn run(arguments: &Arguments) -> Result<Report, RtcError> {
    let mut file = AdjTimeFile::load(&arguments.adjtime)?;
    if arguments.utc {
        file.adjtime.scale = TimeScale::Utc;
    } else if arguments.local {
        file.adjtime.scale = TimeScale::Local;
    }
    let device = arguments.rtc.as_deref();
    match arguments.command.as_ref().unwrap_or(&Command::Show) {
        Command::Show => show(&look(device, LIMIT)?, &file),
        Command::Hctosys => {
            let mut clock = SystemClock::new();
            let edge = look(device, LIMIT)?.edge;
            let outcome = hctosys(&mut clock, &edge, &file.adjtime)?;
            Ok(vec![
                ("hardware_clock", outcome.rtc.to_string(), json!(outcome.rtc.to_string())),
                correction(outcome.correction),
                ("set_to", outcome.time.to_string(), json!(outcome.time.to_string())),
                nanos("moved", outcome.moved_nanos),
                ("minutes_west", outcome.minutes_west.to_string(), json!(outcome.minutes_west)),
            ])
        }
        Command::Systohc { force, update_drift, set } => {
            let options = SaveOptions { force: *force, update_drift: *update_drift, set: set.options() };
            let rtc = open(device)?;
            let outcome = systohc(&rtc, &SystemClock::new().status()?, &mut file.adjtime, &options)?;
            file.save()?;
            let mut report = set_report(&outcome.set);
            report.push(("drift", drift_words(&outcome.drift), json!(file.adjtime.drift_factor)));
            report.push(kernel_line(outcome.kernel_sets_it));
            Ok(report)
        }
        Command::Adjust(set) => {
            let rtc = open(device)?;
            let outcome = adjust(&rtc, &SystemClock::new().status()?, &mut file.adjtime, &set.options())?;
            file.save()?;
            Ok(adjust_report(&outcome))
        }
        Command::Drift { samples } => drift(device, &file, *samples),
    }
}

fn open(device: Option<&Path>) -> Result<Rtc, RtcError> {
    device.map_or_else(Rtc::open, Rtc::open_at)
}

fn show(look: &Look, file: &AdjTimeFile) -> Result<Report, RtcError> {
    let edge = &look.edge;
    let scale = file.adjtime.scale;
    let due = file.adjtime.correction_at(edge.rtc);
    let utc = in_utc(edge.rtc, scale)?;
    let driver = look.driver.as_deref().unwrap_or("unknown driver");
    let mut report = vec![
        ("device", format!("{} ({driver})", look.path.display()), json!(look.path.display().to_string())),
        ("driver", driver.to_owned(), json!(look.driver)),
        ("time", utc.to_string(), json!(utc.to_string())),
        ("scale", scale_word(scale).to_owned(), json!(scale_word(scale))),
        ("system_clock", edge.system.to_string(), json!(edge.system.to_string())),
        nanos("ahead", utc.to_nanos() - edge.system.to_nanos()),
        correction(due),
        ("noticed_by", format!("{:?}", edge.method).to_lowercase(), json!(format!("{:?}", edge.method).to_lowercase())),
    ];
    if let Some(validity) = look.validity {
        let voltage = validity.voltage.map(|flags| flags.to_string());
        let words = voltage.clone().unwrap_or_else(|| "the driver does not say".into());
        report.push(("valid", if validity.is_valid() { "yes" } else { "no" }.into(), json!(validity.is_valid())));
        report.push(("battery", words, json!(voltage)));
    }
    if let Some(ppb) = look.correction_ppb {
        report.push(("rate_correction", format!("{ppb} ppb"), json!(ppb)));
    }
    let status = SystemClock::new().status()?;
    report.push(kernel_line(!status.is_flagged_unsynchronized()));
    Ok(report)
}

fn drift(device: Option<&Path>, file: &AdjTimeFile, samples: u32) -> Result<Report, RtcError> {
    let adjtime = &file.adjtime;
    let when = |seconds: i64| match seconds {
        0 => "never".to_owned(),
        seconds => UnixTime::from_seconds(seconds).to_string(),
    };
    let mut report = vec![
        ("drift", format!("{:+.6} s a day to add", adjtime.drift_factor), json!(adjtime.drift_factor)),
        ("last_set", when(adjtime.last_adjustment), json!(adjtime.last_adjustment)),
        ("last_calibrated", when(adjtime.last_calibration), json!(adjtime.last_calibration)),
        ("left_to_add", format!("{:+.6} s", adjtime.not_adjusted), json!(adjtime.not_adjusted)),
        ("scale", scale_word(adjtime.scale).to_owned(), json!(scale_word(adjtime.scale))),
    ];
    let mut tracker = RtcTracker::new();
    for _ in 0..samples {
        let edge = look(device, LIMIT)?.edge;
        let scale_nanos = edge.rtc.to_nanos() - in_utc(edge.rtc, adjtime.scale)?.to_nanos();
        tracker.handle_edge(&edge, scale_nanos);
    }
    if let Some(model) = tracker.model() {
        let ppm = model.rate * 1e6;
        report.push(("measured_ahead", format!("{:+.6} s", model.offset), json!(model.offset)));
        report.push(("measured_rate", format!("{ppm:+.3} ppm against the system clock"), json!(ppm)));
        report.push(("residual", format!("{:.6} s", model.residual), json!(model.residual)));
    }
    Ok(report)
}

fn in_utc(rtc: UnixTime, scale: TimeScale) -> Result<UnixTime, RtcError> {
    match scale {
        TimeScale::Utc => Ok(rtc),
        TimeScale::Local => local_to_utc(rtc, |time| Host.utc_offset(time)).map_err(RtcError::zone),
    }
}

fn set_report(set: &SetOutcome) -> Report {
    let error = set.error.map_or_else(|| "not looked at".into(), |error| format!("{error} s"));
    let beat = if set.keeps_phase { "the chip keeps its own; the rest is in the file" } else { "follows" };
    vec![
        ("written", set.written.to_string(), json!(set.written.to_string())),
        ("error", error, json!(set.error.map(NtpDuration::to_seconds_f64))),
        ("beat", beat.into(), json!(if set.keeps_phase { "kept" } else { "follows" })),
        ("attempts", set.attempts.to_string(), json!(set.attempts)),
    ]
}

fn adjust_report(outcome: &AdjustOutcome) -> Report {
    let line = |word: &str, words: String| vec![("adjusted", words, json!(word))];
    match outcome {
        AdjustOutcome::NotDue { correction: due } => {
            let mut report = line("not due", "no: less than a second is due".into());
            report.push(correction(*due));
            report
        }
        AdjustOutcome::NeverSet => line("never set", "no: it was never set, so nothing is known to be due".into()),
        AdjustOutcome::Incredible { drift } => line("incredible", format!("no: {drift} s a day is no clock's drift")),
        AdjustOutcome::KernelSetsIt => line("kernel", "no: the kernel sets it every 11 minutes".into()),
        AdjustOutcome::Adjusted { correction: by, set } => {
            let mut report = line("yes", "yes".into());
            report.push(correction(*by));
            report.extend(set_report(set));
            report
        }
        _ => line("unknown", "unknown".into()),
    }
}

fn drift_words(update: &DriftUpdate) -> String {
    match update {
        DriftUpdate::NotAsked => "left as it was".into(),
        DriftUpdate::FirstCalibration => "to be known the next time: this was the first calibration".into(),
        DriftUpdate::TooSoon { seconds } => format!("left as it was: only {seconds} s since the last calibration"),
        DriftUpdate::KernelSetsIt => "left as it was: the kernel has been setting the clock".into(),
        DriftUpdate::Updated { from, to } => format!("{to:+.6} s a day to add (was {from:+.6})"),
        DriftUpdate::Reset { computed } => format!("reset to 0: {computed:+.6} s a day is no clock's drift"),
        _ => "unknown".into(),
    }
}

fn kernel_line(kernel_sets_it: bool) -> (&'static str, String, Value) {
    let words = if kernel_sets_it { "sets it every 11 minutes" } else { "leaves it alone" };
    ("kernel", words.into(), json!(kernel_sets_it))
}

fn correction(due: NtpDuration) -> (&'static str, String, Value) {
    ("correction", format!("{} for drift", text::signed(due)), json!(due.to_seconds_f64()))
}

/// A span that may be longer than a duration holds: decades.
#[allow(clippy::cast_precision_loss)] // shown to the microsecond
fn nanos(key: &'static str, nanos: i128) -> (&'static str, String, Value) {
    let seconds = nanos as f64 * 1e-9;
    (key, format!("{seconds:+.6} s"), json!(seconds))
}

fn scale_word(scale: TimeScale) -> &'static str {
    match scale {
        TimeScale::Utc => "UTC",
        TimeScale::Local => "local time",
    }
}
