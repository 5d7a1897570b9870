//! Shows what the kernel knows of its clock; steps and slews it when told so.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ntp_clock::{rescue, ClockError, ClockStatus, ReadClock, SlewPolicy, SteerClock, StepClock, SystemClock};
use ntp_examples::stop::Stop;
use ntp_examples::text;
use ntp_types::{Applied, ClockCommand, Frequency, NtpDuration};
use serde_json::{json, Value};

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
        #[arg(long, value_name = "SECONDS", value_parser = duration)]
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
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ntp-clock: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(is_json: bool) -> Result<(), ClockError> {
    let status = SystemClock::new().status()?;
    if is_json {
        println!("{}", status_json(&status));
        return Ok(());
    }
    let word = if status.is_synchronized() { "synchronised" } else { "not synchronised" };
    let flagged = if status.is_flagged_unsynchronized() { "STA_UNSYNC set" } else { "STA_UNSYNC clear" };
    let eleven =
        if status.is_flagged_unsynchronized() { "leaves the RTC alone" } else { "sets the RTC every 11 minutes" };
    println!("time             {}", status.time);
    println!("state            {word} ({flagged}: the kernel {eleven})");
    println!("maximum error    {}", text::magnitude(status.max_error));
    println!("estimated error  {}", text::magnitude(status.estimated_error));
    println!("leap second      {}", status.leap);
    println!(
        "TAI - UTC        {} s{}",
        status.tai_offset,
        if status.tai_offset == 0 { " (nobody told the kernel)" } else { "" }
    );
    println!("frequency        {}", status.frequency);
    println!("tick             {} µs (nominal {} µs)", status.tick, status.nominal_tick);
    println!("rate in all      {}", status.rate());
    println!("kernel's loop    {} to remove, time constant {}", text::signed(status.offset), status.time_constant);
    println!("precision        {}", text::magnitude(status.precision));
    println!("tolerance        {}", status.tolerance);
    println!("flags            {}", status.flags);
    let pps = &status.pps;
    if pps.calibrations != 0 {
        println!("PPS              {} jitter {}, wander {}", pps.frequency, text::magnitude(pps.jitter), pps.stability);
    }
    Ok(())
}

fn status_json(status: &ClockStatus) -> Value {
    let pps = &status.pps;
    json!({
        "time": status.time.to_string(),
        "synchronized": status.is_synchronized(),
        "sta_unsync": status.is_flagged_unsynchronized(),
        "max_error": status.max_error.to_seconds_f64(),
        "estimated_error": status.estimated_error.to_seconds_f64(),
        "leap": status.leap.to_string(),
        "tai_offset": status.tai_offset,
        "offset": status.offset.to_seconds_f64(),
        "frequency_ppm": status.frequency.to_ppm_f64(),
        "tick": status.tick,
        "nominal_tick": status.nominal_tick,
        "rate_ppm": status.rate().to_ppm_f64(),
        "precision": status.precision.to_seconds_f64(),
        "tolerance_ppm": status.tolerance.to_ppm_f64(),
        "time_constant": status.time_constant,
        "flags": status.flags.to_string(),
        "pps": {
            "frequency_ppm": pps.frequency.to_ppm_f64(),
            "jitter": pps.jitter.to_seconds_f64(),
            "stability_ppm": pps.stability.to_ppm_f64(),
            "calibrations": pps.calibrations,
            "errors": pps.errors,
        },
    })
}

fn step(offset: NtpDuration, is_json: bool) -> Result<(), ClockError> {
    let applied = SystemClock::new().step(offset)?;
    report("stepped", &applied, applied.stepped, is_json);
    Ok(())
}

fn slew(offset: NtpDuration, over: Option<Duration>, max_rate: u32, is_json: bool) -> Result<(), ClockError> {
    let max_rate = Frequency::from_ppm(i32::try_from(max_rate).unwrap_or(i32::MAX));
    let policy = SlewPolicy { max_rate, ..SlewPolicy::default() };
    let duration = over.unwrap_or_else(|| SlewPolicy::self_ending_duration(offset));
    let mut clock = SystemClock::new().with_policy(policy);
    let frequency = clock.status()?.frequency;
    rescue::start_guard()?;
    let stop = Stop::on_signals().ok();
    let first = clock.apply(&ClockCommand::Slew { offset, duration, frequency })?;
    let planned = first.accumulated(first.slew_end) - frequency.over(first.slew_end.since(first.at));
    report("slewing", &first, planned, is_json);
    while let Some(end) = clock.next_timeout() {
        let now = clock.read()?.at;
        if let Some(ended) = clock.handle_timeout(now)? {
            report("ended, beyond plan", &ended, ended.stepped, is_json);
        } else if stop.as_ref().is_some_and(Stop::is_asked) {
            if let Some(ended) = clock.release()? {
                report("stopped early", &ended, ended.stepped, is_json);
            }
        } else {
            thread::sleep(end.since(now).min(Duration::from_millis(100)));
        }
    }
    Ok(())
}

fn report(what: &str, applied: &Applied, moved: NtpDuration, is_json: bool) {
    let lasts = applied.slew_end.since(applied.at);
    if is_json {
        let object = json!({
            "what": what,
            "moved": moved.to_seconds_f64(),
            "frequency_ppm": applied.frequency.to_ppm_f64(),
            "slew_rate_ppm": applied.slew_rate.to_ppm_f64(),
            "lasts": lasts.as_secs_f64(),
        });
        println!("{object}");
    } else if lasts.is_zero() {
        println!("{what}: {moved} s, frequency {}", applied.frequency);
    } else {
        println!(
            "{what}: {moved} s at {} for {:.3} s, frequency {}",
            applied.slew_rate,
            lasts.as_secs_f64(),
            applied.frequency
        );
    }
}

fn offset(text: &str) -> Result<NtpDuration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.abs() < 2e9 => Ok(NtpDuration::from_seconds_f64(seconds)),
        _ => Err("expected seconds like -0.25, below 2·10⁹".into()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
