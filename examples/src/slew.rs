//! A slew of the kernel's clock, watched to its end.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use ntp_clock::{rescue, ClockError, ReadClock, SlewPolicy, SteerClock, SystemClock};
use ntp_types::{Applied, ClockCommand, Frequency, NtpDuration};
use serde_json::json;

use crate::stop::Stop;

/// Slews the kernel's clock by `offset`, within `over` where that is said and at `max_rate` at the most, and tells how it
/// goes. A signal ends it where it stands.
///
/// # Errors
/// The clock's.
pub fn run(offset: NtpDuration, over: Option<Duration>, max_rate: Frequency, is_json: bool) -> Result<(), ClockError> {
    let policy = SlewPolicy { max_rate, ..SlewPolicy::default() };
    let duration = over.unwrap_or_else(|| SlewPolicy::self_ending_duration(offset));
    let mut clock = SystemClock::new().with_policy(policy);
    let frequency = clock.status()?.frequency;
    let had_guard = match rescue::start_guard() {
        Err(ClockError::NoGuard) => {
            clock.set_policy(SlewPolicy::default());
            false
        }
        started => {
            started?;
            true
        }
    };
    let stop = Stop::on_signals().ok();
    // Killed now, this process would leave the clock running away.
    let is_alone = || had_guard && !rescue::is_guarded();
    let is_asked = || stop.as_ref().is_some_and(Stop::is_asked) || is_alone();
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
        what = if is_alone() { "stopped early, its guard being gone" } else { "stopped early" };
        let next = clock.apply(&command(NtpDuration::ZERO, Duration::ZERO))?;
        moved += last.slewed(next.at);
        last = next;
    }
    moved += last.slewed(last.slew_end);
    tell(what, &Applied { slew_rate: Frequency::ZERO, slew_end: last.at, ..last }, moved);
    Ok(())
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
#[must_use]
pub fn line(what: &str, applied: &Applied, moved: NtpDuration, is_json: bool) -> String {
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
