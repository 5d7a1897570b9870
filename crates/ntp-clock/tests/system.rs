//! The kernel's clock against a kernel in numbers: what is booked is what was delivered, whatever fails.

#![allow(clippy::unwrap_used)] // tests
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // simulated times are small

mod common;

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
fn a_fast_slew_goes_by_tick_and_frequency_and_ends() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(fast());
    let origin = (kernel.real_nanos(), kernel.raw_nanos());
    let applied = clock.apply(&slew(-30 * MS, Duration::from_secs(10), 20)).unwrap();
    assert_eq!(applied.frequency, Frequency::from_ppm(20));
    assert_eq!(applied.slew_rate.to_string(), "-3000.000 ppm");
    assert_eq!(kernel.rate_scaled(), (20 - 3000) << 16);
    assert_eq!(clock.residue(), applied.slew_rate);
    assert_eq!(clock.next_timeout(), Some(applied.slew_end));
    assert_eq!(clock.handle_timeout(applied.at), Ok(None));
    kernel.advance(Duration::from_nanos(applied.slew_end.as_nanos() - kernel.raw_nanos() as u64));
    let end = clock.handle_timeout(applied.slew_end).unwrap().unwrap();
    assert_eq!(kernel.rate_scaled(), 20 << 16);
    assert_eq!(clock.next_timeout(), None);
    kernel.advance(Duration::from_secs(100));
    let now = Instant::from_nanos(kernel.raw_nanos() as u64);
    let booked = applied.accumulated(end.at) + end.accumulated(now);
    assert!((booked - seconds(gained(&kernel, origin))).abs() < seconds(20), "{booked}");
}

#[test]
fn a_late_end_is_booked_with_its_excess() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(fast());
    let applied = clock.apply(&slew(30 * MS, Duration::from_secs(10), 0)).unwrap();
    kernel.advance(Duration::from_secs(15));
    let end = clock.handle_timeout(applied.slew_end).unwrap().unwrap();
    assert!((end.stepped - seconds(15 * MS)).abs() < seconds(10), "{}", end.stepped);
}

#[test]
fn a_small_slew_is_the_kernels_own_and_survives_the_process() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone());
    let origin = (kernel.real_nanos(), kernel.raw_nanos());
    let applied = clock.apply(&slew(1_234_567, Duration::from_secs(16), 0)).unwrap();
    assert_eq!(kernel.rate_scaled(), 0);
    assert_eq!(clock.residue(), Frequency::ZERO);
    assert_eq!(applied.slew_rate, Frequency::ZERO, "it begins with the clock's next second");
    std::mem::forget(clock); // killed
    kernel.advance(Duration::from_secs(3600));
    let gained = gained(&kernel, origin);
    assert!((gained - 1_234_445).abs() <= 2, "two seconds at 500 µs, one at 235, each that much shorter: {gained}");
}

#[test]
fn without_a_guard_a_slew_for_which_there_is_no_time_is_the_kernels_own_too() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone());
    let mut books = Books::default();
    let origin = (kernel.real_nanos(), kernel.raw_nanos());
    books.add(clock.apply(&slew(-300 * MS, Duration::from_secs(3), 20)).unwrap());
    assert_eq!(clock.residue(), Frequency::ZERO);
    for _ in 0..700 {
        kernel.advance(Duration::from_secs(1));
        let now = Instant::from_nanos(kernel.raw_nanos() as u64);
        while let Some(applied) = clock.handle_timeout(now).unwrap() {
            books.add(applied);
        }
        assert!((kernel.rate_scaled() - (20 << 16)).abs() <= 500 << 16, "{}", kernel.rate_scaled() >> 16);
        let error = books.at(now) - seconds(gained(&kernel, origin));
        assert!(error.abs() < seconds(1_000), "{error}");
    }
    assert!((gained(&kernel, origin) - 14 * MS + 300 * MS).abs() < MS, "{}", gained(&kernel, origin));
    assert_eq!(clock.next_timeout(), None);
}

#[test]
fn nothing_goes_faster_than_it_may() {
    let kernel = SimKernel::new(start());
    let policy = SlewPolicy { max_rate: Frequency::from_ppm(100), ..SlewPolicy::default() };
    let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(policy);
    let applied = clock.apply(&slew(MS, Duration::from_secs(16), 0)).unwrap();
    assert_eq!(applied.slew_rate.to_string(), "+62.500 ppm");
    let applied = clock.apply(&slew(MS, Duration::from_secs(1), 0)).unwrap();
    assert_eq!(applied.slew_rate.to_string(), "+100.000 ppm");
}

#[test]
fn the_kernels_own_slew_is_booked_at_every_moment() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone());
    let mut books = Books::default();
    let origin = (kernel.real_nanos(), kernel.raw_nanos());
    books.add(clock.apply(&slew(-1_234_567, Duration::from_secs(16), 0)).unwrap());
    for _ in 0..600 {
        let now = Instant::from_nanos(kernel.raw_nanos() as u64);
        if let Some(applied) = clock.handle_timeout(now).unwrap() {
            books.add(applied);
        }
        let error = books.at(now) - seconds(gained(&kernel, origin));
        assert!(error.abs() < seconds(1_000), "{error}");
        kernel.advance(Duration::from_millis(10));
    }
    assert_eq!(clock.next_timeout(), None);
    // Woken late, it says what it missed.
    books.add(clock.apply(&slew(5 * MS, Duration::from_secs(60), 0)).unwrap());
    kernel.advance(Duration::from_secs(20));
    let now = Instant::from_nanos(kernel.raw_nanos() as u64);
    while let Some(applied) = clock.handle_timeout(now).unwrap() {
        books.add(applied);
    }
    let error = books.at(now) - seconds(gained(&kernel, origin));
    assert!(error.abs() < seconds(1_000), "{error}");
}

#[test]
fn an_own_slew_cut_short_is_booked_by_what_the_kernel_says_is_left() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone());
    let mut books = Books::default();
    let origin = (kernel.real_nanos(), kernel.raw_nanos());
    books.add(clock.apply(&slew(5 * MS, Duration::from_secs(60), 0)).unwrap());
    kernel.advance(Duration::from_millis(3_800)); // four seconds have begun
    if let Some(applied) = clock.handle_timeout(Instant::from_nanos(kernel.raw_nanos() as u64)).unwrap() {
        books.add(applied);
    }
    books.add(clock.apply(&slew(0, Duration::ZERO, 7)).unwrap());
    kernel.advance(Duration::from_secs(10));
    let now = Instant::from_nanos(kernel.raw_nanos() as u64);
    let error = books.at(now) - seconds(gained(&kernel, origin));
    assert!(error.abs() < seconds(500), "{error}");
}

/// The kernel drops its slew at every setting of the clock, and the second that had begun with it.
#[test]
fn a_step_ends_the_kernels_own_slew_where_it_stands() {
    type Step = fn(&mut SystemClock<SimKernel>, NtpDuration) -> Applied;
    let ways: [Step; 3] = [
        |clock, offset| clock.step(offset).unwrap(),
        |clock, offset| clock.adjust(&Adjustment::new().step(offset)).unwrap().applied,
        |clock, offset| {
            let command = ClockCommand::Step { offset, frequency: Frequency::from_ppm(20) };
            clock.apply(&command).unwrap()
        },
    ];
    for (step, is_told) in ways.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let kernel = SimKernel::new(start());
        let mut clock = SystemClock::with_kernel(kernel.clone());
        let mut books = Books::default();
        let origin = (kernel.real_nanos(), kernel.raw_nanos());
        books.add(clock.apply(&slew(5 * MS, Duration::from_secs(60), 0)).unwrap());
        kernel.advance(Duration::from_millis(3_700));
        if let (true, Some(applied)) = (is_told, clock.handle_timeout(Instant::from_nanos(3_700_000_000)).unwrap()) {
            books.add(applied);
        }
        books.add(step(&mut clock, seconds(-700 * MS)));
        assert_eq!(clock.next_timeout(), None);
        kernel.advance(Duration::from_secs(20));
        let now = Instant::from_nanos(kernel.raw_nanos() as u64);
        let error = books.at(now) - seconds(gained(&kernel, origin));
        assert!(error.abs() < seconds(1_000), "{error}");
    }
}

#[test]
fn dropping_the_clock_takes_the_slew_back() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(fast());
    let _ = clock.apply(&slew(300 * MS, Duration::from_secs(3), -12)).unwrap();
    assert_eq!(kernel.rate_scaled(), (10_000 - 12) << 16, "as fast as it may");
    drop(clock);
    assert_eq!(kernel.rate_scaled(), -12 << 16);
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
fn a_guarded_process_slews_by_rate_alone() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(SlewPolicy::guarded());
    for (offset, span, rate) in [(400_000, 20, "+20.000"), (40 * MS, 1, "+40000.000"), (-300 * MS, 1, "-50000.000")] {
        let applied = clock.apply(&slew(offset, Duration::from_secs(span), 0)).unwrap();
        assert_eq!(applied.slew_rate.to_string(), format!("{rate} ppm"));
        assert_eq!(clock.residue(), applied.slew_rate, "not the kernel's own");
    }
}

#[test]
fn refused_commands_change_nothing_and_say_what_is_missing() {
    let kernel = SimKernel::new(start());
    kernel.state(|state| state.is_privileged = false);
    let mut clock = SystemClock::with_kernel(kernel.clone());
    let error = clock.apply(&slew(MS, Duration::from_secs(1), 0)).unwrap_err();
    assert!(error.is_permission());
    assert_eq!(
        error.to_string(),
        "taking the clock over: Operation not permitted (EPERM); it needs the capability CAP_SYS_TIME (root outside a \
         container); for a device, write permission"
    );
    assert_eq!(kernel.rate_scaled(), 0);
    assert!(clock.read().is_ok());
    let _ = clock.apply(&ClockCommand::Hold).unwrap();
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
fn every_errno_at_every_call_is_an_error_and_leaves_the_books_right() {
    let errnos = [
        Errno::EPERM,
        Errno::EINVAL,
        Errno::EACCES,
        Errno::EFAULT,
        Errno::EOPNOTSUPP,
        Errno::ERANGE,
        Errno::EBUSY,
        Errno::EIO,
        Errno::ENOSYS,
        Errno::ENODEV,
        Errno::EINTR,
        Errno::ENOMEM,
        Errno(9999),
    ];
    for errno in errnos {
        for nth in 0..100 {
            let kernel = SimKernel::new(start());
            let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(fast());
            let origin = (kernel.real_nanos(), kernel.raw_nanos());
            let mut books = Books::default();
            kernel.fail_call(nth, errno);
            let commands = [
                slew(30 * MS, Duration::from_secs(10), 20),
                slew(MS, Duration::from_secs(16), -20),
                ClockCommand::Hold,
                ClockCommand::Step { offset: seconds(-3 * MS), frequency: Frequency::from_ppm(1) },
                slew(-70 * MS, Duration::from_secs(4), 0),
                slew(20 * MS, Duration::from_secs(60), 0),
                slew(-70 * MS, Duration::from_secs(10), 0),
                slew(-20 * MS, Duration::from_secs(60), 0),
                ClockCommand::Step { offset: seconds(3 * MS), frequency: Frequency::ZERO },
            ];
            let mut failures = 0;
            for command in commands {
                match clock.apply(&command) {
                    Ok(applied) => books.add(applied),
                    Err(error) => {
                        assert_eq!(error.errno(), Some(errno));
                        failures += 1;
                    }
                }
                kernel.advance(Duration::from_millis(20_300));
                match clock.handle_timeout(Instant::from_nanos(kernel.raw_nanos() as u64)) {
                    Ok(Some(applied)) => books.add(applied),
                    Ok(None) => {}
                    Err(_) => failures += 1,
                }
            }
            let _ = clock.status().is_ok();
            assert!(failures <= 1);
            let now = Instant::from_nanos(kernel.raw_nanos() as u64);
            let rest = clock.release().unwrap();
            if let Some(applied) = rest {
                books.add(applied);
            }
            let error = books.at(now) - seconds(gained(&kernel, origin));
            // A second of the kernel's own slew that has begun lasts longer or shorter by the rate that comes then.
            assert!(error.abs() < seconds(5_000), "{errno} at call {nth}: {error}");
            drop(clock);
            assert!(kernel.rate_scaled().abs() <= 20 << 16, "nothing runs away");
        }
    }
}

/// Every operation of the kernel's clock is refused once, with every errno, and says which it was.
#[test]
fn every_operation_says_what_was_refused() {
    type Attempt = fn(&mut SystemClock<SimKernel>) -> Result<(), ClockError>;
    let attempts: [(Attempt, &[Operation]); 7] = [
        (|clock| clock.read().map(|_| ()), &[Operation::Read]),
        (|clock| clock.status().map(|_| ()), &[Operation::Status, Operation::Read]),
        (
            |clock| clock.set(UnixTime::from_seconds(5_000_000_000), Instant::ZERO).map(|_| ()),
            &[Operation::Read, Operation::Set],
        ),
        (
            |clock| clock.step(NtpDuration::SECOND).map(|_| ()),
            &[Operation::Status, Operation::TakeOver, Operation::Read, Operation::Step],
        ),
        (
            |clock| clock.apply(&slew(30 * MS, Duration::from_secs(10), 20)).map(|_| ()),
            &[Operation::Status, Operation::TakeOver, Operation::Read, Operation::Steer],
        ),
        (|clock| clock.adjust(&Adjustment::new().tai(37)).map(|_| ()), &[Operation::Read, Operation::Adjust]),
        (
            |clock| clock.adjust(&Adjustment::new().step(NtpDuration::SECOND)).map(|_| ()),
            &[Operation::Read, Operation::Step],
        ),
    ];
    for (attempt, expected) in attempts {
        for errno in
            [Errno::EPERM, Errno::EINVAL, Errno::EFAULT, Errno::ENODEV, Errno::EOPNOTSUPP, Errno::ENOSYS, Errno(9999)]
        {
            let mut seen = HashSet::new();
            for nth in 0..40 {
                let kernel = SimKernel::new(start());
                kernel.state(|state| {
                    state.timex.status |= 1; // a loop to be taken over
                    state.has_no_time = true;
                });
                let before = kernel.real_nanos();
                kernel.fail_call(nth, errno);
                let Err(error) = attempt(&mut SystemClock::with_kernel(kernel.clone())) else { continue };
                let ClockError::System { operation, errno: said } = error else { panic!("{error}") };
                assert_eq!(said, errno, "{error}");
                seen.insert(operation);
                let moved = kernel.real_nanos() - before;
                assert!((0..1_000_000).contains(&moved), "{error}, and yet the clock moved by {moved} ns");
            }
            assert_eq!(seen, expected.iter().copied().collect(), "{errno}");
        }
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
