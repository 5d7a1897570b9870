//! Shows what the kernel knows of its clock; steps and slews it when told so.

use std::io::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ntp_clock::{rescue, ClockError, ReadClock, SlewPolicy, SteerClock, StepClock, SystemClock};
use ntp_examples::fields::kernel_clock;
use ntp_examples::output::{finish, Report};
use ntp_examples::stop::Stop;
use ntp_examples::text;
use ntp_types::{Applied, ClockCommand, Frequency, NtpDuration};
use serde_json::json;

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
        #[arg(long, value_name = "PPM", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        max_rate: u32,
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
            eprintln!("ntp-clock: nothing was changed: give --yes to move the clock by {} s", change.offset);
            return ExitCode::from(2);
        }
        Some(Command::Step(change)) => step(change.offset, arguments.json),
        Some(Command::Slew { change, over, max_rate }) => slew(change.offset, *over, *max_rate, arguments.json),
    };
    finish("ntp-clock", done.map(Report::done).map_err(|error| error.to_string()))
}

fn show(is_json: bool) -> Result<String, ClockError> {
    Ok(kernel_clock(&SystemClock::new().status()?).to_text(is_json))
}

fn step(offset: NtpDuration, is_json: bool) -> Result<String, ClockError> {
    let applied = SystemClock::new().step(offset)?;
    Ok(line("stepped", &applied, applied.stepped, is_json))
}

fn slew(offset: NtpDuration, over: Option<Duration>, max_rate: u32, is_json: bool) -> Result<String, ClockError> {
    let max_rate = Frequency::from_ppm(i32::try_from(max_rate).unwrap_or(i32::MAX));
    let policy = SlewPolicy { max_rate, ..SlewPolicy::default() };
    let duration = over.unwrap_or_else(|| SlewPolicy::self_ending_duration(offset));
    let mut clock = SystemClock::new().with_policy(policy);
    let frequency = clock.status()?.frequency;
    match rescue::start_guard() {
        Err(ClockError::NoGuard) => clock.set_policy(SlewPolicy::default()),
        started => started?,
    }
    let stop = Stop::on_signals().ok();
    let is_asked = || stop.as_ref().is_some_and(Stop::is_asked);
    let command = |offset, duration| ClockCommand::Slew { offset, duration, frequency };
    // Whoever reads may be gone: the slew is brought to its end all the same.
    let tell = |what, applied: &Applied, moved| {
        let _ = std::io::stdout().write_all(line(what, applied, moved, is_json).as_bytes());
    };
    let mut last = clock.apply(&command(offset, duration))?;
    let mut moved = NtpDuration::ZERO;
    loop {
        // The kernel's own begins with the clock's next second.
        if last.slew_rate != Frequency::ZERO {
            tell("slewing", &last, last.slewed(last.slew_end));
        }
        let Some(next) = news(&mut clock, &last, &is_asked)? else { break };
        moved += last.slewed(next.at);
        last = next;
    }
    let mut what = "slewed";
    if is_asked() {
        what = "stopped early";
        let next = clock.apply(&command(NtpDuration::ZERO, Duration::ZERO))?;
        moved += last.slewed(next.at);
        last = next;
    }
    moved += last.slewed(last.slew_end);
    tell(what, &Applied { slew_rate: Frequency::ZERO, slew_end: last.at, ..last }, moved);
    Ok(String::new())
}

/// Waits for what the clock says next; nothing when the slew is over or is to be stopped.
fn news(clock: &mut SystemClock, last: &Applied, is_asked: &impl Fn() -> bool) -> Result<Option<Applied>, ClockError> {
    loop {
        let now = clock.read()?.at;
        let due = clock.next_timeout();
        if is_asked() || (due.is_none() && last.slew_end <= now) {
            return Ok(None);
        }
        if let Some(news) = clock.handle_timeout(now)? {
            return Ok(Some(news));
        }
        thread::sleep(due.unwrap_or(last.slew_end).since(now).min(Duration::from_millis(100)));
    }
}

/// What was done, in a line.
fn line(what: &str, applied: &Applied, moved: NtpDuration, is_json: bool) -> String {
    let lasts = applied.slew_end.since(applied.at);
    if is_json {
        let object = json!({
            "what": what,
            "moved": moved.to_seconds_f64(),
            "frequency_ppm": applied.frequency.to_ppm_f64(),
            "slew_rate_ppm": applied.slew_rate.to_ppm_f64(),
            "lasts": lasts.as_secs_f64(),
        });
        format!("{object}\n")
    } else if lasts.is_zero() {
        format!("{what}: {moved} s, frequency {}\n", applied.frequency)
    } else {
        let (rate, lasts) = (applied.slew_rate, lasts.as_secs_f64());
        format!("{what}: {moved} s at {rate} for {lasts:.3} s, frequency {}\n", applied.frequency)
    }
}

fn offset(text: &str) -> Result<NtpDuration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.abs() < 2e9 => Ok(NtpDuration::from_seconds_f64(seconds)),
        _ => Err("expected seconds like -0.25, below 2·10⁹".into()),
    }
}
