//! The clock loop and the poll adjustment alone: their properties, and the same numbers as the RFC's formulas written down a
//! second time.

#![allow(clippy::unwrap_used)] // a test stops where it is wrong
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small numbers

mod naive;

use std::time::Duration;

use ntp_discipline::rfc5905::clock_loop::{ClockLoop, LoopOptions, Outcome, State};
use ntp_discipline::rfc5905::constants;
use ntp_discipline::rfc5905::poll::PollAdjust;
use ntp_types::{Frequency, Instant, NtpDuration, Poll, Precision};
use proptest::prelude::*;

fn micros(n: i64) -> NtpDuration {
    NtpDuration::from_nanos(n * 1_000)
}

fn seconds(n: u64) -> Instant {
    Instant::from_nanos(n * 1_000_000_000)
}

fn near(left: NtpDuration, right: f64, tolerance: f64) -> bool {
    (left.to_seconds_f64() - right).abs() <= tolerance
}

fn any_duration() -> impl Strategy<Value = NtpDuration> {
    any::<i64>().prop_map(NtpDuration::from_bits)
}

fn options(precision: Precision) -> LoopOptions {
    LoopOptions { precision, ..LoopOptions::default() }
}

proptest! {
    #[test]
    fn poll_stays_in_bounds(updates in prop::collection::vec((-1e-2_f64..1e-2, 0.0_f64..1e-2), 0..300), min in -4_i8..8, span in 0_i8..9) {
        let (min, max) = (Poll::from_log2(min), Poll::from_log2(min + span));
        let mut adjust = PollAdjust::new(Poll::MIN);
        for (offset, jitter) in updates {
            adjust.update(offset, jitter, min, max);
            prop_assert!(adjust.poll() >= min && adjust.poll() <= max);
            prop_assert!(adjust.count().abs() <= constants::POLL_LIMIT);
        }
    }

    /// Quiet offsets lengthen the interval and loud ones shorten it, at every interval, also below two seconds.
    #[test]
    fn poll_moves_both_ways(start in -4_i8..17) {
        let (min, max) = (Poll::MIN, Poll::MAX);
        let mut adjust = PollAdjust::new(Poll::from_log2(start));
        (0..32).for_each(|_| adjust.update(0.0, 1e-3, min, max));
        prop_assert!(adjust.poll() > Poll::from_log2(start));
        let high = adjust.poll();
        (0..64).for_each(|_| adjust.update(1.0, 1e-3, min, max));
        prop_assert!(adjust.poll() < high);
    }

    /// The loop against the skeleton, second by second: states, outcomes, frequency, residual, jitter, wander, poll.
    #[test]
    fn clock_loop_as_the_rfc_writes_it(
        trace in prop::collection::vec((1_u64..1_200, -20_000_i64..20_000, 0_u8..12), 1..60),
        preset in prop::option::of(-400_i32..400),
        bounds in (3_i8..8, 0_i8..10),
    ) {
        let (min, max) = (bounds.0, (bounds.0 + bounds.1).min(17));
        let precision = Precision::from_log2(-20);
        let mut ours = ClockLoop::new(options(precision), Poll::from_log2(min));
        let mut naive = naive::Clock {
            state: naive::S::Nset, offset: 0.0, last: 0.0, base: 0.0, freq: 0.0, jitter: 2_f64.powi(-20), wander: 0.0,
            count: 0, poll: i32::from(min), t: 0.0, precision: 2_f64.powi(-20), minpoll: i32::from(min), maxpoll: i32::from(max),
        };
        if let Some(ppm) = preset {
            ours.preset_frequency(Frequency::from_ppm(ppm));
            naive.freq = f64::from(ppm) * 1e-6;
            naive.state = naive::S::Fset;
        }
        let mut now = 0;
        for (gap, offset, kind) in trace {
            now += gap;
            let part = ours.due(Duration::from_secs(gap));
            ours.paid(part);
            (0..gap).for_each(|_| { naive.clock_adjust(); });
            // Mostly quiet; one in twelve a panic, two in twelve beyond the step threshold.
            let offset = match kind { 0 => offset * 100_000, 1 | 2 => offset * 50, _ => offset };
            prop_assume!((offset.abs() - 128_000).abs() > 1 && (offset.abs() - 1_000_000_000).abs() > 1);
            let outcome = ours.update(micros(offset), seconds(now), (Poll::from_log2(min), Poll::from_log2(max)));
            let expected = naive.local_clock(now as f64, micros(offset).to_seconds_f64());
            prop_assert_eq!(format!("{outcome:?}"), format!("{expected:?}"));
            let state = match naive.state {
                naive::S::Nset => State::NotSet,
                naive::S::Fset => State::FrequencySet,
                naive::S::Spik => State::Spike,
                naive::S::Freq => State::Frequency,
                naive::S::Sync => State::Synchronized,
            };
            prop_assert_eq!(ours.state(), state);
            prop_assert_eq!(i32::from(ours.poll().log2()), naive.poll);
            prop_assert!((ours.frequency().to_ratio() - naive.freq).abs() < 1e-11, "{} {}", ours.frequency().to_ratio(), naive.freq);
            prop_assert!(near(ours.residual(), naive.offset, 1e-8));
            prop_assert!(near(ours.jitter(), naive.jitter, 1e-9));
            prop_assert!((ours.wander().to_ratio() - naive.wander).abs() < 1e-11);
        }
    }

    /// Anything in: the frequency stays in its bounds and nothing is ever not a number.
    #[test]
    fn clock_loop_of_anything(trace in prop::collection::vec((any::<u64>(), any_duration(), -4_i8..18, -4_i8..18), 0..60)) {
        let mut ours = ClockLoop::new(
            LoopOptions { panic_threshold: NtpDuration::MAX, ..options(Precision::from_log2(-30)) }, Poll::MIN,
        );
        for (at, offset, min, max) in trace {
            let outcome = ours.update(offset, Instant::from_nanos(at), (Poll::from_log2(min), Poll::from_log2(max)));
            if outcome == Outcome::Step {
                prop_assert!(offset.abs() > constants::STEP_THRESHOLD);
            }
            let due = ours.due(Duration::from_nanos(at));
            prop_assert!(due.abs() <= ours.residual().abs());
            ours.paid(due);
            prop_assert!(ours.frequency().abs() <= Frequency::from_ppm(500));
        }
    }
}

/// A published defect of a peer: after a first step of 1 s the next offset of 1 ms, 64 s later, was read as −15 600 ppm,
/// because the offset before the step was subtracted. Here it is +15.6 ppm.
#[test]
fn the_frequency_measured_after_a_step_does_not_count_the_step() {
    let stepout = Duration::from_secs(60);
    let options = LoopOptions { stepout, ..options(Precision::default()) };
    let mut clock = ClockLoop::new(options, Poll::DEFAULT_MIN);
    let bounds = (Poll::DEFAULT_MIN, Poll::DEFAULT_MAX);
    assert_eq!(clock.update(NtpDuration::SECOND, seconds(100), bounds), Outcome::Step);
    assert_eq!(clock.update(micros(1_000), seconds(164), bounds), Outcome::Slew);
    assert!((clock.frequency().to_ppm_f64() - 15.625).abs() < 1e-3);
}

/// A published defect of a peer: the PLL used the poll exponent for the interval and forgot the time passed.
#[test]
fn the_pll_gain_is_that_of_the_interval() {
    let mut clock = ClockLoop::new(options(Precision::default()), Poll::DEFAULT_MIN);
    clock.preset_frequency(Frequency::ZERO);
    let bounds = (Poll::DEFAULT_MIN, Poll::DEFAULT_MIN);
    assert_eq!(clock.update(micros(1_000), seconds(0), bounds), Outcome::Slew);
    assert_eq!(clock.update(micros(1_000), seconds(64), bounds), Outcome::Slew);
    let expected = 1e-3 * 64.0 / (4.0 * 16.0 * 64.0_f64).powi(2);
    assert!((clock.frequency().to_ratio() - expected).abs() < 1e-15);
}
