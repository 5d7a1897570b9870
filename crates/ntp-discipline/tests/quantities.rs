//! Samples, the ledger and the policy against slower, exact references.

#![allow(clippy::unwrap_used, clippy::panic)] // a test stops where it is wrong
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // checked by eye
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)] // likewise

use std::time::Duration;

use ntp_discipline::{Governor, Ledger, Policy, PolicyError, Refusal, Sample, ServerState, StepLimit};
use ntp_types::{
    Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Precision, RoundTrip,
};
use proptest::prelude::*;

fn saturated(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

proptest! {
    /// θ, δ and ε in whole numbers of any size: wrapping differences, then exact sums.
    #[test]
    fn sample_against_exact_integers(
        t1 in any::<u64>(), t2 in any::<u64>(), t3 in any::<u64>(), t4 in any::<u64>(),
        own in -32_i8..=32, server in any::<i8>(), root_delay in any::<u32>(), root_dispersion in any::<u32>(),
        sent in any::<u64>(), received in any::<u64>(),
    ) {
        let trip = RoundTrip {
            t1: NtpTimestamp::from_bits(t1),
            t2: NtpTimestamp::from_bits(t2),
            t3: NtpTimestamp::from_bits(t3),
            t4: NtpTimestamp::from_bits(t4),
        };
        let state = ServerState {
            precision: Precision::from_log2(server),
            root_delay: NtpShort::from_bits(root_delay),
            root_dispersion: NtpShort::from_bits(root_dispersion),
            ..ServerState::default()
        };
        let own = Precision::from_log2(own);
        let sample = Sample::new(trip, own, state, Instant::from_nanos(sent), Instant::from_nanos(received));
        let since = |later: u64, earlier: u64| i128::from(later.wrapping_sub(earlier) as i64);
        prop_assert_eq!(i128::from(sample.offset.to_bits()), (since(t2, t1) + since(t3, t4)) / 2);
        let delay = saturated(since(t4, t1) - since(t3, t2)).max(own.to_duration().to_bits());
        prop_assert_eq!(sample.delay.to_bits(), delay);
        let precisions = i128::from(own.to_duration().to_bits()) + i128::from(state.precision.to_duration().to_bits());
        let drift = since(t4, t1).max(0) * 15 / 1_000_000;
        let dispersion = i128::from(sample.dispersion.to_bits());
        // Φ in units of 2⁻⁶⁰ s/s is 15 ppm to 14 digits.
        prop_assert!((dispersion - i128::from(saturated(precisions + drift))).abs() <= 2 + (drift >> 40), "{dispersion} {precisions} {drift}");
        let root = i128::from(root_delay) * 65_536 / 2 + i128::from(root_dispersion) * 65_536;
        prop_assert_eq!(i128::from(sample.server_distance().to_bits()), root);
        prop_assert!(sample.root_distance() >= sample.server_distance());
        let middle = if received > sent { sent + (received - sent) / 2 } else { sent };
        prop_assert_eq!(sample.at(), Instant::from_nanos(middle));
    }

    /// The ledger against a sum over one nanosecond grid: what each change contributed until the next.
    #[test]
    fn ledger_against_a_plain_sum(
        changes in prop::collection::vec((1_u64..5_000_000_000, -500_000_000_i64..500_000_000, -50_000_i64..50_000, 0_u64..9_000_000_000), 1..12),
        ask in 0_u64..70_000_000_000,
    ) {
        let mut ledger = Ledger::new();
        let mut at = 0;
        let mut plain: Vec<(u64, f64, f64, u64)> = Vec::new();
        for (gap, ppb, slew_ppm, length) in changes {
            at += gap;
            let applied = Applied {
                at: Instant::from_nanos(at),
                stepped: NtpDuration::ZERO,
                frequency: Frequency::from_ratio(ppb as f64 * 1e-12),
                slew_rate: Frequency::from_ratio(slew_ppm as f64 * 1e-6),
                slew_end: Instant::from_nanos(at + length),
            };
            ledger.handle_applied(&applied);
            plain.push((at, applied.frequency.to_ratio(), applied.slew_rate.to_ratio(), at + length));
        }
        let mut expected = 0.0;
        for (place, &(start, frequency, slew, slew_end)) in plain.iter().enumerate() {
            let end = plain.get(place + 1).map_or(u64::MAX, |next| next.0).min(ask);
            if end > start {
                expected += frequency * (end - start) as f64 * 1e-9;
                expected += slew * end.min(slew_end).saturating_sub(start) as f64 * 1e-9;
            }
        }
        prop_assert!((ledger.correction(Instant::from_nanos(ask)).to_seconds_f64() - expected).abs() < 5e-9);
    }

    /// A change booked late supersedes what was booked for after it.
    #[test]
    fn ledger_takes_late_news(first in 1_u64..1_000, late in 1_u64..1_000) {
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let run = |at: Instant, ppm: i32| Applied { at, frequency: Frequency::from_ppm(ppm), slew_end: at, ..Applied::default() };
        let mut ledger = Ledger::new();
        ledger.handle_applied(&run(at(first), 100));
        ledger.handle_applied(&run(at(2_000), 200));
        ledger.handle_applied(&run(at(late), 300));
        let before = if late > first { (late - first) as f64 * 100e-6 } else { 0.0 };
        let expected = before + (3_000 - late) as f64 * 300e-6;
        prop_assert!((ledger.correction(at(3_000)).to_seconds_f64() - expected).abs() < 1e-8);
    }

    /// The shortest slew neither exceeds the rate nor wastes more than a nanosecond.
    #[test]
    fn shortest_slew_is_exact(bits in any::<i64>(), ppm in 1_i32..100_000) {
        let maximum_slew_rate = Frequency::from_ppm(ppm);
        let governor = Governor::new(Policy { maximum_slew_rate, ..Policy::default() }).unwrap();
        let offset = NtpDuration::from_bits(bits);
        let duration = governor.shortest_slew(offset);
        let (rate, nanos) = (maximum_slew_rate.to_bits() as i128, duration.as_nanos() as i128);
        prop_assume!(duration < Duration::from_nanos(u64::MAX));
        let delivered = |nanos: i128| nanos * rate / (1_000_000_000_i128 << 28);
        prop_assert!(delivered(nanos) >= i128::from(bits).abs() - 1);
        prop_assert!(delivered((nanos - 2).max(0)) <= i128::from(bits).abs());
    }

    /// What the policy forbids does not come out, in whatever order it is asked for.
    #[test]
    fn governor_holds_to_its_policy(
        policy in policies(),
        asks in prop::collection::vec((any_offset(), 0_u32..5, any_offset(), 0_u64..100_000_000_000, any::<i64>()), 1..40),
    ) {
        let mut governor = Governor::new(policy).unwrap();
        let mut corrections = 0;
        for (offset, agreeing, part, nanos, frequency) in asks {
            let before = governor.corrections();
            let leave = match governor.admit(offset, agreeing, Instant::ZERO) {
                Ok(leave) => leave,
                Err(_) => { prop_assert_eq!(governor.corrections(), before); continue }
            };
            prop_assert!(agreeing >= policy.minimum_sources && (corrections > 0 || agreeing >= policy.quorum));
            prop_assert!(corrections < policy.panic_after || offset.abs() <= policy.panic_threshold);
            prop_assert!(corrections < policy.maximum_change_after || offset.abs() <= policy.maximum_change);
            let frequency = Frequency::from_bits(frequency);
            let may_step = match policy.step_limit {
                StepLimit::Never => false,
                StepLimit::First(limit) => corrections < limit,
                StepLimit::Always => true,
            } && offset.abs() > policy.step_threshold;
            match governor.step(leave, frequency) {
                Ok(ClockCommand::Step { offset: stepped, frequency }) => {
                    prop_assert!(may_step && stepped == offset);
                    prop_assert!(frequency.abs() <= policy.maximum_frequency);
                }
                Ok(other) => prop_assert!(false, "{other:?}"),
                Err(refusal) => {
                    let is_step = matches!(refusal, Refusal::Step { .. });
                    prop_assert!(!may_step && is_step);
                }
            }
            if let ClockCommand::Slew { offset: slewed, duration, frequency } =
                governor.slew(leave, part, Duration::from_nanos(nanos), frequency)
            {
                prop_assert!(slewed.abs() <= offset.abs() && (slewed == NtpDuration::ZERO || slewed.is_negative() == offset.is_negative()));
                prop_assert!(frequency.abs() <= policy.maximum_frequency);
                prop_assert!(policy.maximum_slew_rate.over(duration) + NtpDuration::from_bits(1) >= slewed.abs());
            }
            corrections += 1;
        }
    }
}

fn any_offset() -> impl Strategy<Value = NtpDuration> {
    prop_oneof![
        any::<i64>().prop_map(NtpDuration::from_bits),
        (-2_000_000_000_000_i64..2_000_000_000_000).prop_map(NtpDuration::from_nanos),
        (-500_000_000_i64..500_000_000).prop_map(NtpDuration::from_nanos),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    let limit = prop_oneof![Just(StepLimit::Never), (0_u32..4).prop_map(StepLimit::First), Just(StepLimit::Always)];
    (limit, 0_u32..3, 0_u32..3, 0_u32..3, 0_u32..3, 1_i32..100_000, 0_i64..2_000).prop_map(
        |(step_limit, panic_after, maximum_change_after, minimum_sources, more, slew, change)| Policy {
            step_limit,
            panic_after,
            maximum_change_after,
            minimum_sources,
            quorum: minimum_sources + more,
            maximum_slew_rate: Frequency::from_ppm(slew),
            maximum_change: NtpDuration::from_nanos(change * 1_000_000_000),
            ..Policy::default()
        },
    )
}

#[test]
fn a_policy_that_contradicts_itself_is_refused_with_the_numbers() {
    let negative = Policy { panic_threshold: NtpDuration::from_seconds(-1), ..Policy::default() };
    assert_eq!(negative.validated().unwrap_err().to_string(), "panic threshold is negative: -1.000000000 s");
    let still = Policy { maximum_slew_rate: Frequency::ZERO, ..Policy::default() };
    assert!(matches!(still.validated(), Err(PolicyError::Rate { field: "maximum slew rate", .. })));
    let wild = Policy { maximum_frequency: Frequency::from_ppm(200_000), ..Policy::default() };
    assert_eq!(
        wild.validated().unwrap_err().to_string(),
        "maximum frequency of +200000.000 ppm is not above zero and at most +100000.000 ppm"
    );
    let quorum = Policy { quorum: 1, minimum_sources: 2, ..Policy::default() };
    assert_eq!(quorum.validated(), Err(PolicyError::Quorum { quorum: 1, minimum_sources: 2 }));
    let crossed = Policy { step_threshold: NtpDuration::from_seconds(2_000), ..Policy::default() };
    assert!(matches!(crossed.validated(), Err(PolicyError::Thresholds { .. })));
    assert_eq!(Policy::RFC5905.validated(), Ok(Policy::RFC5905));
    assert_eq!(Policy::default().validated(), Ok(Policy::default()));
}

/// Asked for too fast a slew, the policy makes it longer, not smaller.
#[test]
fn a_slew_too_fast_takes_longer() {
    let mut governor = Governor::new(Policy::RFC5905).unwrap();
    let offset = NtpDuration::from_nanos(100_000_000);
    let leave = governor.admit(offset, 1, Instant::ZERO).unwrap();
    match governor.slew(leave, offset, Duration::from_secs(1), Frequency::ZERO) {
        ClockCommand::Slew { offset: slewed, duration, .. } => {
            assert_eq!(slewed, offset);
            assert_eq!(duration.as_secs(), 200); // at 500 ppm
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leap_second_is_no_too_large_a_change_for_a_while() {
    let policy = Policy { maximum_change: NtpDuration::from_nanos(500_000_000), ..Policy::default() };
    let mut governor = Governor::new(policy).unwrap();
    let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
    let second = -NtpDuration::SECOND;
    assert!(matches!(governor.check(second, 1, at(10)), Err(Refusal::MaximumChange { .. })));
    governor.handle_leap(LeapIndicator::NoWarning, at(10));
    assert!(governor.check(second, 1, at(11)).is_err());
    governor.handle_leap(LeapIndicator::InsertSecond, at(20));
    assert!(governor.check(second, 1, at(21)).unwrap().may_step());
    assert!(governor.check(NtpDuration::from_seconds(2), 1, at(21)).is_err());
    assert!(governor.check(second, 1, at(20 + 3_601)).is_err());
}

/// A sample whose exchange straddles a step, or preceded it, is known as such.
#[test]
fn the_ledger_knows_samples_from_before_a_step() {
    let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
    let mut ledger = Ledger::new();
    let sample = |sent, received| {
        let zero = NtpTimestamp::from_bits(1);
        let trip = RoundTrip { t1: zero, t2: zero, t3: zero, t4: zero };
        Sample::new(trip, Precision::default(), ServerState::default(), at(sent), at(received))
    };
    assert!(!ledger.is_before_step(&sample(1, 2)));
    ledger.handle_applied(&Applied { at: at(5), stepped: NtpDuration::SECOND, slew_end: at(5), ..Applied::default() });
    assert!(ledger.is_before_step(&sample(1, 2)));
    assert!(ledger.is_before_step(&sample(4, 6)));
    assert!(!ledger.is_before_step(&sample(6, 7)));
    // A step is no correction that accumulates.
    assert_eq!(ledger.correction(at(9)), NtpDuration::ZERO);
}
