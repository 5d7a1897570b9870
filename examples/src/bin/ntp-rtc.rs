//! The hardware clock: shows it, sets it, sets the system clock from it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ntp_clock::rtc::{
    adjust, hctosys, look, systohc, AdjTimeFile, Rtc, RtcError, RtcTracker, SaveOptions, SetOptions, TimeScale,
};
use ntp_clock::SystemClock;
use ntp_examples::fields::Fields;
use ntp_examples::output::{finish, warn, Report};
use ntp_examples::rtc;

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

fn run(arguments: &Arguments) -> Result<Fields, Box<dyn Error>> {
    let mut file = AdjTimeFile::load(&arguments.adjtime)?;
    let command = arguments.command.as_ref().unwrap_or(&Command::Show);
    if let Err(error) = file.check() {
        let error = format!("{}: {error}", arguments.adjtime.display());
        if matches!(command, Command::Drift { .. }) {
            return Err(error.into());
        }
        // As hwclock, which takes such a line for zero: a machine that starts needs a time all the same.
        warn("ntp-rtc", [error]);
    }
    if arguments.utc {
        file.adjtime.scale = TimeScale::Utc;
    } else if arguments.local {
        file.adjtime.scale = TimeScale::Local;
    }
    let device = arguments.rtc.as_deref();
    match command {
        Command::Show => Ok(rtc::shown(&look(device, LIMIT)?, &file.adjtime, &SystemClock::new().status()?)?),
        Command::Hctosys => {
            Ok(rtc::system_set(&hctosys(&mut SystemClock::new(), &look(device, LIMIT)?.edge, &file.adjtime)?))
        }
        Command::Systohc { force, update_drift, set } => {
            let options = SaveOptions { force: *force, update_drift: *update_drift, set: set.options() };
            let outcome = systohc(&open(device)?, &SystemClock::new().status()?, &mut file.adjtime, &options)?;
            file.save()?;
            Ok(rtc::saved(&outcome, &file.adjtime))
        }
        Command::Adjust(set) => {
            let outcome = adjust(&open(device)?, &SystemClock::new().status()?, &mut file.adjtime, &set.options())?;
            file.save()?;
            Ok(rtc::adjusted(&outcome))
        }
        Command::Drift { samples } => {
            let mut tracker = RtcTracker::new();
            for _ in 0..*samples {
                let edge = look(device, LIMIT)?.edge;
                tracker.handle_edge(&edge, rtc::zone_nanos(&edge, file.adjtime.scale)?);
            }
            Ok(rtc::drift(&file.adjtime, tracker.model().as_ref()))
        }
    }
}

fn open(device: Option<&Path>) -> Result<Rtc, RtcError> {
    device.map_or_else(Rtc::open, Rtc::open_at)
}
