//! Slews: the kernel's own and those by rate, ended, cut short and taken back.

use super::*;

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
fn a_guarded_process_slews_by_rate_alone() {
    let kernel = SimKernel::new(start());
    let mut clock = SystemClock::with_kernel(kernel.clone()).with_policy(SlewPolicy::guarded());
    for (offset, span, rate) in [(400_000, 20, "+20.000"), (40 * MS, 1, "+40000.000"), (-300 * MS, 1, "-83333.000")] {
        let applied = clock.apply(&slew(offset, Duration::from_secs(span), 0)).unwrap();
        assert_eq!(applied.slew_rate.to_string(), format!("{rate} ppm"));
        assert_eq!(clock.residue(), applied.slew_rate, "not the kernel's own");
    }
}
