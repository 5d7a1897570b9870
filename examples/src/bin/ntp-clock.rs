//! Shows what the kernel knows of its clock; steps and slews it when told so.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ntp_clock::{ClockError, StepClock, SystemClock};
use ntp_examples::fields::kernel_clock;
use ntp_examples::output::remark;
use ntp_examples::output::{finish, Report};
use ntp_examples::{slew, text};
use ntp_types::{Frequency, NtpDuration};

/// Show the kernel's clock, step it or slew it.
///
/// Showing needs no privilege. Changing needs CAP_SYS_TIME (root outside a container) and --yes.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-clock",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-clock                            how the clock stands
  ntp-clock --json                     the same for a program
  ntp-clock step -0.25 --yes           back by a quarter of a second, at once
  ntp-clock slew 0.002 --yes           forward by 2 ms, by the kernel itself
  ntp-clock slew 0.3 --over 60 --yes   forward by 0.3 s within a minute

Exit status: 0 if done, 1 if refused by the system, 2 for wrong arguments or
without --yes."
)]
struct Arguments {
    /// For programs: one JSON object
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How the clock stands (the default)
    Show,
    /// Add to the clock at once
    #[command(allow_negative_numbers = true)]
    Step(Change),
    /// Add to the clock by making it run faster or slower for a while
    #[command(allow_negative_numbers = true)]
    Slew {
        #[command(flatten)]
        change: Change,
        /// How long it may take; without it, as long as the kernel takes at 500 µs/s
        #[arg(long, value_name = "SECONDS", value_parser = text::duration)]
        over: Option<Duration>,
        /// The fastest rate
        #[arg(long, value_name = "PPM", default_value = "10000", value_parser = clap::value_parser!(i32).range(1..=100_000))]
        max_rate: i32,
    },
}

#[derive(Debug, Args)]
struct Change {
    /// Seconds, with a sign and a fraction: positive sets the clock forward
    #[arg(value_name = "SECONDS", value_parser = offset)]
    offset: NtpDuration,
    /// Really do it
    #[arg(long)]
    yes: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        None | Some(Command::Show) => show(arguments.json),
        Some(Command::Step(change) | Command::Slew { change, .. }) if !change.yes => {
            remark(format_args!("ntp-clock: nothing was changed: give --yes to move the clock by {} s", change.offset));
            return ExitCode::from(2);
        }
        Some(Command::Step(change)) => step(change.offset, arguments.json),
        Some(Command::Slew { change, over, max_rate }) => {
            let max_rate = Frequency::from_ppm(*max_rate);
            slew::run(change.offset, *over, max_rate, arguments.json).map(|()| String::new())
        }
    };
    finish("ntp-clock", done.map(Report::done).map_err(|error| error.to_string()))
}

fn show(is_json: bool) -> Result<String, ClockError> {
    Ok(kernel_clock(&SystemClock::new().status()?).to_text(is_json))
}

fn step(offset: NtpDuration, is_json: bool) -> Result<String, ClockError> {
    let applied = SystemClock::new().step(offset)?;
    Ok(slew::line("stepped", &applied, applied.stepped, is_json))
}

fn offset(text: &str) -> Result<NtpDuration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.abs() < 2e9 => Ok(NtpDuration::from_seconds_f64(seconds)),
        _ => Err("expected seconds like -0.25, below 2·10⁹".into()),
    }
}
