//! Whether our clock still shows what it was told to: a machine sleeps or is restored from an image, and whoever may, sets
//! its clock. Nobody tells the client; its own readings do.

use ntp_discipline::Ledger;
use ntp_types::{Applied, Instant, LeapIndicator, NtpDuration, NtpTimestamp};

/// A clock that moved by less has not: readings are not taken at the very moment they name, and samples show as much.
const LEAST: NtpDuration = NtpDuration::from_nanos(100_000_000);
/// Of the time between two readings so much, 0.1 %, may be a rate nobody told us of.
const RATE_DIVISOR: u32 = 1024;

/// Compares every reading with the one before and what was applied in between.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    ledger: Ledger,
    /// The last reading, as it would be with every step since.
    last: Option<(NtpTimestamp, Instant)>,
    leap: Option<LeapIndicator>,
}

impl Watch {
    pub(crate) fn handle_applied(&mut self, applied: &Applied) {
        self.ledger.handle_applied(applied);
        if let Some((time, _)) = &mut self.last {
            *time += applied.stepped;
        }
    }

    /// A leap second has passed: the next reading may show it.
    pub(crate) fn handle_leap(&mut self, leap: LeapIndicator) {
        self.leap = Some(leap);
    }

    /// The next reading has nothing before it to be compared with.
    pub(crate) fn start_over(&mut self) {
        self.last = None;
    }

    /// By how much the clock has moved since the last reading beyond what was applied; `None` when it has not.
    ///
    /// `warning` is the leap second that is announced: one that the clock inserts or deletes is no such move.
    pub(crate) fn handle_reading(
        &mut self,
        time: NtpTimestamp,
        at: Instant,
        warning: impl FnOnce() -> LeapIndicator,
    ) -> Option<NtpDuration> {
        // One from before a step may have been taken on either side of it.
        if time.is_unset() || self.ledger.last_step().is_some_and(|step| at <= step) {
            return None;
        }
        let Some((last, before)) = self.last.filter(|(_, before)| *before <= at) else {
            self.last.get_or_insert((time, at));
            return None;
        };
        self.last = Some((time, at));
        let leap = self.leap.take();
        let elapsed = at.since(before);
        let applied = self.ledger.correction(at) - self.ledger.correction(before);
        let moved = time.since(last + NtpDuration::from_std(elapsed) + applied);
        // There are raw clocks that follow the steering: on them what was applied does not show.
        let allowed = LEAST + applied.abs() + NtpDuration::from_std(elapsed / RATE_DIVISOR);
        if moved.abs() <= allowed {
            return None;
        }
        let second = match leap.unwrap_or_else(warning) {
            LeapIndicator::InsertSecond => -NtpDuration::SECOND,
            LeapIndicator::DeleteSecond => NtpDuration::SECOND,
            LeapIndicator::NoWarning | LeapIndicator::Unsynchronized => return Some(moved),
        };
        ((moved - second).abs() > allowed).then_some(moved)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use ntp_types::Frequency;

    use super::*;

    const START: NtpTimestamp = NtpTimestamp::new(4_004_000_000, 0);

    fn seconds(seconds: f64) -> NtpDuration {
        NtpDuration::from_seconds_f64(seconds)
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn none() -> LeapIndicator {
        LeapIndicator::NoWarning
    }

    #[test]
    fn what_was_applied_is_expected_and_what_was_not_is_seen() {
        let mut watch = Watch::default();
        assert_eq!(watch.handle_reading(START, at(0), none), None);
        // 100 ppm, and ten seconds of a slew by a tenth.
        let (frequency, slew_rate) = (Frequency::from_ppm(100), Frequency::from_ppm(100_000));
        let slew = Applied { at: at(0), frequency, slew_rate, slew_end: at(10), ..Applied::default() };
        watch.handle_applied(&slew);
        let told = seconds(100.0 + 1.01);
        assert_eq!(watch.handle_reading(START + told, at(100), none), None);
        let step = Applied { at: at(150), stepped: seconds(-7.0), frequency, slew_end: at(150), ..Applied::default() };
        watch.handle_applied(&step);
        assert_eq!(watch.handle_reading(START + seconds(500.0), at(149), none), None, "before the step: no matter");
        let told = told + seconds(100.01 - 7.0);
        assert_eq!(watch.handle_reading(START + told, at(200), none), None);
        let moved = watch.handle_reading(START + told + seconds(1.01 + 0.3), at(201), none).unwrap();
        assert!((moved - seconds(0.3099)).abs() < seconds(1e-6), "{moved}");
        // It is said once, and the way back is another one.
        assert_eq!(watch.handle_reading(START + told + seconds(2.31), at(202), none), None);
        assert!(watch.handle_reading(START + told + seconds(3.0), at(203), none).is_some());
    }

    #[test]
    fn a_raw_clock_that_follows_the_steering_is_no_alarm() {
        let mut watch = Watch::default();
        let slew_rate = Frequency::from_ppm(83_333);
        let slew = Applied { at: at(0), slew_rate, slew_end: at(100), ..Applied::default() };
        watch.handle_applied(&slew);
        for second in 0..100 {
            let time = START + NtpDuration::from_std(Duration::from_secs(second));
            assert_eq!(watch.handle_reading(time, at(second), none), None);
        }
    }

    #[test]
    fn a_leap_second_is_no_move() {
        for (leap, second) in [(LeapIndicator::InsertSecond, -1.0), (LeapIndicator::DeleteSecond, 1.0)] {
            let mut watch = Watch::default();
            let after = START + seconds(10.0 + second);
            assert_eq!(watch.handle_reading(START, at(0), none), None);
            assert_eq!(watch.handle_reading(after, at(10), || leap), None, "announced");
            assert!(watch.handle_reading(after + seconds(10.0 + second), at(20), none).is_some());
            watch.handle_leap(leap);
            let told = after + seconds(20.0 + 2.0 * second);
            assert_eq!(watch.handle_reading(told, at(30), none), None, "passed");
            assert!(watch.handle_reading(told + seconds(10.0 - second), at(40), || leap).is_some(), "the other way");
        }
    }
}
