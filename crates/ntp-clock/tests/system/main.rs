//! The kernel's clock against a kernel in numbers: what is booked is what was delivered, whatever fails.

#![allow(clippy::unwrap_used)] // tests
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // simulated times are small

#[path = "../common/mod.rs"]
mod common;
mod refusals;
mod slews;

use std::collections::HashSet;
use std::time::Duration;

use common::{Books, SimKernel};
use ntp_clock::{
    Adjustment, ClockError, Errno, LeapState, Operation, ReadClock, Realtime, Sleep, SlewPolicy, SteerClock, StepClock,
    SystemClock,
};
use ntp_types::{Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, UnixTime};
use proptest::prelude::*;

const MS: i64 = 1_000_000;

fn start() -> UnixTime {
    "2026-03-01T12:00:00.25Z".parse().unwrap()
}

fn seconds(nanos: i64) -> NtpDuration {
    NtpDuration::from_nanos(nanos)
}

fn slew(nanos: i64, duration: Duration, ppm: i32) -> ClockCommand {
    ClockCommand::Slew { offset: seconds(nanos), duration, frequency: Frequency::from_ppm(ppm) }
}

/// What the simulated clock gained on its own oscillator since `(real, raw)`.
fn gained(kernel: &SimKernel, (real, raw): (i128, u128)) -> i64 {
    (kernel.real_nanos() - real - (kernel.raw_nanos() - raw) as i128) as i64
}

/// As with a guard, but that small slews stay the kernel's.
fn fast() -> SlewPolicy {
    SlewPolicy { max_rate: Frequency::from_ppm(10_000), ..SlewPolicy::default() }
}

#[test]
fn a_step_keeps_the_frequency_and_counts_to_the_nanosecond() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone());
    let origin = (kernel.real_nanos(), kernel.raw_nanos());
    let command = ClockCommand::Step { offset: seconds(-250 * MS - 1), frequency: Frequency::ZERO };
    let applied = clock.apply(&command).unwrap();
    assert_eq!(gained(&kernel, origin), -250 * MS - 1);
    assert_eq!(applied.stepped, seconds(-250 * MS - 1));
    assert!(clock.status().unwrap().is_flagged_unsynchronized());
    // Forty seconds of step, fast clock: the slew under way is replaced.
    let _ = clock.apply(&slew(90 * MS, Duration::from_secs(10), 3)).unwrap();
    let _ = clock.step(NtpDuration::from_seconds(40)).unwrap();
    assert_eq!(kernel.rate_scaled(), 3 << 16);
}

#[test]
fn the_first_command_takes_the_clock_over() {
    let kernel = SimKernel::new(start());
    kernel.state(|state| {
        state.timex.tick = 10_208; // left by something that was killed
        state.timex.freq = -9_437_184;
        state.timex.status = 0x2041 | 0x10; // PLL, UNSYNC, NANO, INS
    });
    let mut clock = SystemClock::with_kernel(kernel.clone());
    let _ = clock.apply(&slew(0, Duration::ZERO, 10)).unwrap();
    assert_eq!(kernel.rate_scaled(), 10 << 16);
    let status = clock.status().unwrap();
    assert_eq!(status.flags.to_string(), "INS,UNSYNC,NANO");
    assert_eq!(status.tick, 10_000);
    assert_eq!(status.leap, LeapState::Hidden(LeapIndicator::InsertSecond));
}

#[test]
fn status_has_a_time_even_where_the_structure_has_none() {
    let kernel = SimKernel::new(start());
    let clock = SystemClock::with_kernel(kernel.clone());
    kernel.state(|state| state.is_privileged = false);
    assert_eq!(clock.status().unwrap().time.seconds(), start().seconds());
    kernel.state(|state| state.has_no_time = true);
    assert_eq!(clock.status().unwrap().time.seconds(), start().seconds());
    assert!(!clock.status().unwrap().is_synchronized());
}

#[test]
fn an_adjustment_reads_back_what_the_kernel_made_of_it() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(fast());
    let adjustment = Adjustment::new()
        .step(seconds(2_500 * MS))
        .synchronized(true)
        .max_error(Duration::from_millis(20))
        .estimated_error(Duration::from_millis(1));
    let adjusted = clock.adjust(&adjustment).unwrap();
    assert_eq!(adjusted.applied.stepped, seconds(2_500 * MS));
    assert!(adjusted.status.is_synchronized() && !adjusted.status.is_flagged_unsynchronized());
    kernel.advance(Duration::from_secs(3));
    assert!(clock.status().unwrap().is_synchronized(), "a step with synchronised() holds over the next second");
    assert_eq!(Adjustment::new().synchronized(true).build(), Err(ClockError::NoMaxError));
    // While slewing by rate, an adjustment of the status leaves the slew alone; one of the frequency ends it.
    let _ = clock.apply(&slew(30 * MS, Duration::from_secs(10), 0)).unwrap();
    let adjusted = clock.adjust(&Adjustment::new().tai(37)).unwrap();
    assert_eq!(adjusted.applied.slew_rate.to_string(), "+3000.000 ppm");
    assert_eq!(adjusted.status.tai_offset, 37);
    let adjusted = clock.adjust(&Adjustment::new().frequency(Frequency::from_ppm(5))).unwrap();
    assert_eq!(adjusted.applied.slew_rate, Frequency::ZERO);
    assert_eq!(kernel.rate_scaled(), 5 << 16);
}

#[test]
fn a_monotonic_clock_that_is_slewed_too_is_found_out() {
    let kernel = SimKernel::new(start());
    kernel.state(|state| state.is_monotonic_steered = true);
    let policy = SlewPolicy { max_rate: Frequency::from_ppm(100_000), ..SlewPolicy::default() };
    let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(policy);
    let slew_once = |clock: &mut SystemClock<SimKernel>| {
        let origin = (kernel.real_nanos(), kernel.raw_nanos());
        let applied = clock.apply(&slew(250 * MS, Duration::from_secs(3), 0)).unwrap();
        while clock.read().unwrap().at < applied.slew_end {
            kernel.advance(Duration::from_micros(100));
        }
        let end = clock.handle_timeout(applied.slew_end).unwrap().unwrap();
        let booked = applied.accumulated(end.at) + end.stepped;
        (booked, seconds(gained(&kernel, origin)))
    };
    for round in 0..3 {
        let (booked, real) = slew_once(&mut clock);
        assert!((booked - real).abs() < seconds(20_000), "{round}: booked {booked}, was {real}");
        if round > 0 {
            assert!((real - seconds(250 * MS)).abs() < seconds(50_000), "{round}: {real}");
        }
    }
}

#[test]
fn it_is_found_out_while_the_first_slew_goes_on() {
    for is_steered in [true, false] {
        let kernel = SimKernel::new(start());
        kernel.state(|state| state.is_monotonic_steered = is_steered);
        let policy = SlewPolicy { max_rate: Frequency::from_ppm(50_000), ..SlewPolicy::default() };
        let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(policy);
        let origin = (kernel.real_nanos(), kernel.raw_nanos());
        let mut booked = clock.apply(&slew(-300 * MS, Duration::from_secs(6), 0)).unwrap();
        let mut looks = 0;
        for _ in 0..2_000 {
            kernel.advance(Duration::from_millis(1));
            let now = clock.read().unwrap().at;
            while clock.next_timeout().is_some_and(|due| due <= now) {
                looks += 1;
                booked = clock.handle_timeout(now).unwrap().unwrap_or(booked);
            }
        }
        let (said, real) = (booked.accumulated(clock.read().unwrap().at), seconds(gained(&kernel, origin)));
        assert!((said - real).abs() < seconds(20_000), "booked {said}, was {real}");
        assert_eq!(looks, 1);
    }
}

/// Books all that is due.
fn settle(kernel: &SimKernel, clock: &mut SystemClock<SimKernel>, books: &mut Books) {
    let now = Instant::from_nanos(kernel.raw_nanos() as u64);
    while let Some(applied) = clock.handle_timeout(now).unwrap() {
        books.add(applied);
    }
}

proptest! {
    /// Whatever is commanded, and however late its end comes: the books agree with the clock.
    #[test]
    fn the_books_agree_with_the_clock(
        (policy, allowed) in prop_oneof![
            Just((SlewPolicy { self_ending: false, ..fast() }, 200)),
            Just((SlewPolicy::default(), 10_000)),
            // The second that had begun lasts longer or shorter by the new rate.
            Just((fast(), 60_000)),
        ],
        commands in prop::collection::vec((any::<bool>(), -200_000_000_i64..200_000_000, 0_u64..40_000, -400_i32..400, 1_000_u64..60_000), 1..12),
    ) {
        let kernel = SimKernel::new(start());
        let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(policy);
        let mut books = Books::default();
        let origin = (kernel.real_nanos(), kernel.raw_nanos());
        for (is_step, offset, duration, ppm, wait) in commands {
            let command = if is_step {
                ClockCommand::Step { offset: seconds(offset), frequency: Frequency::from_ppm(ppm) }
            } else {
                slew(offset, Duration::from_millis(duration), ppm)
            };
            books.add(clock.apply(&command).unwrap());
            kernel.advance(Duration::from_millis(wait));
            if wait % 2 == 0 {
                settle(&kernel, &mut clock, &mut books);
            }
        }
        // A second that has begun when the kernel's own slew is replaced is booked at once to its end: they come no closer than that.
        kernel.advance(Duration::from_secs(1));
        settle(&kernel, &mut clock, &mut books);
        if let Some(applied) = clock.release().unwrap() {
            books.add(applied);
        }
        let now = Instant::from_nanos(kernel.raw_nanos() as u64);
        let error = books.at(now) - seconds(gained(&kernel, origin));
        prop_assert!(error.abs() < seconds(allowed), "{}", error);
    }
}

#[test]
fn sleep_is_noticed_where_the_kernel_says_so() {
    let kernel = SimKernel::new(start());
    let clock = SystemClock::with_kernel(kernel.clone());
    let mut sleep = Sleep::default();
    assert_eq!(sleep.since_last(&clock), None);
    kernel.advance(Duration::from_secs(1_000));
    assert_eq!(sleep.since_last(&clock), None, "awake");
    for slept in [600_u64, 1] {
        kernel.state(|state| state.asleep = state.asleep.map(|asleep| asleep + u128::from(slept) * 1_000_000_000));
        let noticed = sleep.since_last(&clock).unwrap().as_secs_f64();
        assert!((noticed - slept as f64).abs() < 1e-3, "{noticed}");
        assert_eq!(sleep.since_last(&clock), None, "once");
    }
    kernel.state(|state| state.asleep = None);
    assert_eq!((clock.suspended(), sleep.since_last(&clock)), (None, None));
    // Of the machine the tests run on: what it says does not run backwards.
    let machine = Realtime::new();
    if let Some(before) = machine.suspended() {
        assert!(machine.suspended().unwrap() + Duration::from_millis(50) >= before);
    }
}
