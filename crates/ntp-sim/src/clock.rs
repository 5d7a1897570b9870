//! The machine's system clock: an oscillator nobody can touch, and the corrections that were applied on top of it.

use core::time::Duration;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, NtpDuration, NtpTimestamp};

use crate::oscillator::{Oscillator, Wander};

/// True time when a simulation starts: some hours into 2036, so that the era ends during the first day.
pub const EPOCH: NtpTimestamp = NtpTimestamp::new(u32::MAX - 40_000, 0);
/// The reading of the raw clock then: the machine has been up for a while.
const BOOTED: Duration = Duration::from_secs(100);
/// The largest frequency correction, as Linux has it.
const MAX_FREQUENCY: Frequency = Frequency::from_ppm(500);
/// The largest slew rate: what Linux's tick can do, a tenth.
const MAX_SLEW: Frequency = Frequency::from_ppm(100_000);

/// The system clock of the simulated machine.
///
/// Corrections are rounded to the kernel's unit, 2⁻¹⁶ ppm, and told back rounded.
#[derive(Debug, Clone)]
pub struct Clock {
    oscillator: Oscillator,
    applied: Applied,
    /// What corrections had added when `applied` took effect, its step not included.
    before: NtpDuration,
}

impl Clock {
    /// A clock that starts `offset` seconds ahead of true time.
    #[must_use]
    pub fn new(wander: &[Wander], offset: f64, seed: u64) -> Self {
        let applied = Applied { at: Instant::ZERO, slew_end: Instant::ZERO, ..Applied::default() };
        Self { oscillator: Oscillator::new(wander, seed), applied, before: NtpDuration::from_seconds_f64(offset) }
    }

    /// The raw clock at true time `time` of the present second.
    #[must_use]
    pub fn instant(&self, time: NtpDuration) -> Instant {
        let raw = self.raw(time).to_std().unwrap_or_default();
        Instant::ZERO + BOOTED + raw
    }

    /// The system clock's reading at true time `time` of the present second.
    #[must_use]
    pub fn read(&self, time: NtpDuration) -> NtpTimestamp {
        EPOCH + (self.raw(time) + self.corrections(self.instant(time)))
    }

    /// System minus true time, in seconds: positive is ahead.
    #[must_use]
    pub fn error(&self, time: NtpDuration) -> f64 {
        self.oscillator.offset(into(time)) + self.corrections(self.instant(time)).to_seconds_f64()
    }

    /// How fast the system clock runs ahead of true time now, in seconds per second; a slew under way included.
    #[must_use]
    pub fn frequency_error(&self, time: NtpDuration) -> f64 {
        let slewing = self.instant(time) < self.applied.slew_end;
        let slew = if slewing { self.applied.slew_rate.to_ratio() } else { 0.0 };
        (1.0 + self.oscillator.frequency()) * (1.0 + self.applied.frequency.to_ratio() + slew) - 1.0
    }

    /// When in the second that starts at `second` the raw clock reaches `target`; `None` when it does not.
    #[must_use]
    pub fn reaches(&self, target: Instant, second: NtpDuration) -> Option<NtpDuration> {
        let ahead = target.since(self.instant(second)).as_secs_f64() / (1.0 + self.oscillator.frequency());
        // One unit up, so that the raw clock, in whole nanoseconds, is not still short of the target.
        (ahead < 1.0).then(|| second + NtpDuration::from_seconds_f64(ahead) + NtpDuration::from_bits(8))
    }

    /// Does what a command says, at true time `time`.
    pub fn apply(&mut self, command: &ClockCommand, time: NtpDuration) -> Applied {
        let at = self.instant(time);
        let frequency = |wanted: Frequency| rounded(wanted.clamp_abs(MAX_FREQUENCY));
        let next = match *command {
            ClockCommand::Hold => Applied { at, stepped: NtpDuration::ZERO, ..self.applied },
            ClockCommand::Step { offset, frequency: wanted } => {
                Applied { at, stepped: offset, frequency: frequency(wanted), slew_rate: Frequency::ZERO, slew_end: at }
            }
            ClockCommand::Slew { offset, duration, frequency: wanted } => {
                let rate = offset.to_seconds_f64() / duration.as_secs_f64().max(1e-9);
                let slew_rate = rounded(Frequency::from_ratio(rate).clamp_abs(MAX_SLEW));
                Applied {
                    at,
                    stepped: NtpDuration::ZERO,
                    frequency: frequency(wanted),
                    slew_rate,
                    slew_end: at + duration,
                }
            }
        };
        let next =
            if next.slew_end <= at { Applied { slew_rate: Frequency::ZERO, slew_end: at, ..next } } else { next };
        self.before += self.applied.accumulated(at);
        self.applied = next;
        next
    }

    /// The oscillator goes on to the next second.
    pub fn advance(&mut self) {
        self.oscillator.advance();
    }

    /// The machine sleeps through this second: the raw clock counts none of it.
    pub fn sleep(&mut self) {
        self.oscillator.sleep();
    }

    /// Somebody who tells nobody adds `offset` to the system clock.
    pub fn set(&mut self, offset: NtpDuration) {
        self.before += offset;
    }

    fn raw(&self, time: NtpDuration) -> NtpDuration {
        time + NtpDuration::from_seconds_f64(self.oscillator.offset(into(time)))
    }

    fn corrections(&self, now: Instant) -> NtpDuration {
        self.before + self.applied.accumulated(now)
    }
}

fn rounded(frequency: Frequency) -> Frequency {
    Frequency::from_scaled_ppm(frequency.to_scaled_ppm())
}

/// Seconds since the start of the second that `time` lies in.
fn into(time: NtpDuration) -> f64 {
    NtpDuration::from_bits(time.to_bits() & 0xffff_ffff).to_seconds_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> NtpDuration {
        NtpDuration::from_seconds_f64(seconds)
    }

    #[test]
    fn steered_to_the_rate_of_true_time() {
        let mut clock = Clock::new(&[Wander::Constant(5e-5)], 0.25, 1);
        assert!((clock.error(seconds(0.0)) - 0.25).abs() < 1e-9);
        let step = ClockCommand::Step { offset: seconds(-0.25), frequency: Frequency::from_ppm(-50) };
        let applied = clock.apply(&step, seconds(0.0));
        assert_eq!(applied.stepped, seconds(-0.25));
        for _ in 0..1000 {
            clock.advance();
        }
        // 50 ppm of 50 ppm are left, 2.5 µs in a thousand seconds.
        assert!((clock.error(seconds(1000.0)) + 2.5e-6).abs() < 1e-7, "{}", clock.error(seconds(1000.0)));
        assert!((clock.frequency_error(seconds(1000.0)) + 2.5e-9).abs() < 1e-10);
    }

    #[test]
    fn a_slew_adds_its_offset_and_ends() {
        let mut clock = Clock::new(&[], 0.0, 1);
        let slew =
            ClockCommand::Slew { offset: seconds(1e-3), duration: Duration::from_secs(10), frequency: Frequency::ZERO };
        let applied = clock.apply(&slew, seconds(0.0));
        assert_eq!(applied.slew_end, clock.instant(seconds(10.0)));
        (0..5).for_each(|_| clock.advance());
        assert!((clock.error(seconds(5.0)) - 5e-4).abs() < 1e-9);
        assert!((clock.frequency_error(seconds(5.0)) - 1e-4).abs() < 1e-9);
        (0..10).for_each(|_| clock.advance());
        assert!((clock.error(seconds(15.0)) - 1e-3).abs() < 1e-8);
    }

    #[test]
    fn a_timer_rings_when_the_raw_clock_says_so() {
        let mut clock = Clock::new(&[Wander::Constant(-1e-3)], 0.0, 1);
        let target = clock.instant(seconds(0.0)) + Duration::from_millis(1500);
        assert_eq!(clock.reaches(target, seconds(0.0)), None);
        clock.advance();
        let time = clock.reaches(target, seconds(1.0)).unwrap();
        assert!(clock.instant(time) >= target && clock.instant(time).since(target).as_nanos() < 10);
    }
}
