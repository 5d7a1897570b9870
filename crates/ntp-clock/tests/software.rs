//! The software clock against exact rational arithmetic.

#![allow(clippy::unwrap_used)] // tests

use std::time::Duration;

use ntp_clock::{ManualClock, ReadClock, SoftwareClock, SteerClock, StepClock};
use ntp_types::{ClockCommand, Frequency, NtpDuration, NtpTimestamp};
use proptest::prelude::*;

fn clock() -> SoftwareClock<ManualClock> {
    SoftwareClock::new(ManualClock::new(NtpTimestamp::new(0xffff_fff0, 0)))
}

#[test]
fn agrees_with_its_base_until_told_otherwise() {
    let mut clock = clock();
    assert_eq!(clock.read(), clock.base().read());
    clock.base_mut().advance(Duration::from_secs(100)); // across the era
    assert_eq!(clock.read(), clock.base().read());
}

#[test]
fn starts_wrong_as_asked_and_drifts_from_its_first_use_on() {
    let mut clock =
        clock().with_offset(NtpDuration::from_nanos(350_000_000)).with_frequency_error(Frequency::from_ppm(50));
    clock.base_mut().advance(Duration::from_secs(1_000));
    assert_eq!(clock.offset_from_base().unwrap().to_nanos(), 350_000_000);
    clock.base_mut().advance(Duration::from_secs(1_000));
    assert_eq!(clock.offset_from_base().unwrap().to_nanos(), 400_000_000);
}

#[test]
fn a_stamp_of_the_base_becomes_this_clocks() {
    let mut clock = clock();
    let _ = clock.step(NtpDuration::from_seconds(-5)).unwrap();
    let stamp = NtpTimestamp::new(1, 77);
    assert_eq!(clock.time_of(stamp), NtpTimestamp::new(0xffff_fffc, 77));
    assert_eq!(clock.time_of(NtpTimestamp::UNSET), NtpTimestamp::UNSET);
    assert!(!clock.time_of(NtpTimestamp::new(5, 0)).is_unset(), "a result of all zeros is a date, not unset");
}

#[test]
fn a_new_command_replaces_the_slew_and_hold_keeps_it() {
    let mut clock = clock();
    let slew = |nanos, secs| ClockCommand::Slew {
        offset: NtpDuration::from_nanos(nanos),
        duration: Duration::from_secs(secs),
        frequency: Frequency::ZERO,
    };
    let _ = clock.apply(&slew(100_000_000, 10)).unwrap();
    clock.base_mut().advance(Duration::from_secs(5));
    let held = clock.apply(&ClockCommand::Hold).unwrap();
    assert_eq!(held.slew_end.since(held.at), Duration::from_secs(5));
    let _ = clock.apply(&slew(-50_000_000, 1)).unwrap();
    clock.base_mut().advance(Duration::from_secs(1_000));
    assert!(clock.offset_from_base().unwrap().abs() < NtpDuration::from_nanos(2));
    // Faster than ±10 % it does not slew: it takes longer.
    let applied = clock.apply(&slew(1_000_000_000, 1)).unwrap();
    assert_eq!(applied.slew_rate, Frequency::from_ppm(100_000));
    assert_eq!(applied.slew_end.since(applied.at).as_millis(), 10_000);
}

#[test]
fn real_time_can_be_the_base() {
    let clock = SoftwareClock::realtime().with_offset(NtpDuration::from_seconds(3));
    let (before, reading, after) = (clock.base().read().unwrap(), clock.read().unwrap(), clock.base().read().unwrap());
    let ahead = NtpDuration::from_seconds(3);
    assert!(reading.time.since(before.time) >= ahead && reading.time.since(after.time) <= ahead);
    assert!(before.at < after.at);
}

proptest! {
    /// Against the sum of exact products, rounded once at the end.
    #[test]
    fn follows_every_command_to_the_last_bit(
        initial in any::<i32>(),
        error in -(1_i64 << 52)..(1_i64 << 52),
        commands in prop::collection::vec(
            (any::<bool>(), any::<i32>(), 0_u64..10_000_000_000_000, -(1_i64 << 52)..(1_i64 << 52), 0_u64..100_000_000_000_000),
            0..20,
        ),
    ) {
        let initial = NtpDuration::from_bits(i64::from(initial));
        let mut clock = clock().with_offset(initial).with_frequency_error(Frequency::from_bits(error));
        let _ = clock.read();
        let mut exact = i128::from(initial.to_bits()) << 60;
        let mut total = NtpDuration::ZERO + initial;
        for (is_step, offset, duration, frequency, wait) in commands {
            let offset = NtpDuration::from_bits(i64::from(offset) << 2);
            let frequency = Frequency::from_bits(frequency);
            let command = if is_step {
                ClockCommand::Step { offset, frequency }
            } else {
                ClockCommand::Slew { offset, duration: Duration::from_nanos(duration), frequency }
            };
            let applied = clock.apply(&command).unwrap();
            let wait = Duration::from_nanos(wait);
            clock.base_mut().advance(wait);
            let elapsed = i128::from(NtpDuration::from_std(wait).to_bits());
            let slewing = elapsed.min(i128::from(NtpDuration::from_std(applied.slew_end.since(applied.at)).to_bits()));
            exact += i128::from(applied.stepped.to_bits()) << 60;
            exact += elapsed * i128::from(frequency.to_bits() + error);
            exact += slewing * i128::from(applied.slew_rate.to_bits());
            total += applied.accumulated(applied.at + wait) + Frequency::from_bits(error).over(wait);
        }
        let naive = NtpDuration::from_bits(i64::try_from((exact + (1 << 59)) >> 60).unwrap());
        prop_assert_eq!(clock.offset_from_base().unwrap(), naive);
        prop_assert!((naive - total).abs() <= NtpDuration::from_bits(100), "{} {}", naive, total);
    }
}
