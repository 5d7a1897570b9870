//! The hardware clock against chips in numbers: every kind of beat, every errno.

#![allow(clippy::unwrap_used)] // tests

#[path = "../common/mod.rs"]
mod common;
mod dates;

use std::time::Duration;

use common::rtc::{Beat, SimRtc};
use common::SimKernel;
use ntp_clock::rtc::{
    adjust, hctosys, local_to_utc, systohc, utc_to_local, AdjTime, AdjustOutcome, DriftUpdate, EdgeMethod, Parameter,
    Rtc, RtcError, RtcModel, RtcTime, RtcTracker, SaveOptions, SetOptions, SysfsRtc, TimeScale, Validity, VoltageFlags,
};
use ntp_clock::{Adjustment, Errno, Operation, SystemClock};
use ntp_types::{NtpDuration, UnixTime};
use proptest::prelude::*;

const SECOND: i128 = 1_000_000_000;
const START: i64 = 1_772_000_000;

fn kernel() -> SimKernel {
    SimKernel::new(UnixTime::new(START, 300_000_000).unwrap())
}

fn millis(millis: i64) -> NtpDuration {
    NtpDuration::from_nanos(millis * 1_000_000)
}

fn rtc(kernel: &SimKernel, chip: &SimRtc, driver: Option<&str>) -> Rtc<SimRtc, SimKernel> {
    Rtc::with_device(chip.clone(), kernel.clone(), driver)
}

const LIMIT: Duration = Duration::from_secs(3);

#[test]
fn reads_at_the_edge_by_interrupt_and_without() {
    for has_interrupt in [true, false] {
        let kernel = kernel();
        let chip = SimRtc::new(&kernel, 978_307_200, 730_000_000, Beat::Stays);
        chip.chip(|chip| chip.has_interrupt = has_interrupt);
        let edge = rtc(&kernel, &chip, None).read_at_edge(LIMIT).unwrap();
        assert_eq!(edge.rtc.seconds(), 978_307_201);
        assert_eq!(edge.method == EdgeMethod::Interrupt, has_interrupt);
        let late = chip.ahead_nanos() - edge.ahead_nanos();
        assert!((0..100_000).contains(&late), "{late}");
        assert!(!chip.chip(|chip| chip.is_interrupt_on), "switched off again");
    }
}

#[test]
fn an_interrupt_that_never_comes_and_a_clock_that_stands_are_told_apart() {
    let kernel = kernel();
    let chip = SimRtc::new(&kernel, 978_307_200, 0, Beat::Stays);
    chip.chip(|chip| chip.is_stopped = true);
    let before = kernel.raw_nanos();
    let error = rtc(&kernel, &chip, None).read_at_edge(LIMIT).unwrap_err();
    assert!(matches!(error, RtcError::NoTick { .. }), "{error}");
    assert!(kernel.raw_nanos() - before < 5_000_000_000, "with a limit");
}

#[test]
fn a_clock_without_its_time_is_not_valid() {
    let kernel = kernel();
    let chip = SimRtc::new(&kernel, 978_307_200, 0, Beat::Stays);
    let clock = rtc(&kernel, &chip, None);
    assert_eq!(clock.validity().unwrap(), Validity { has_time: true, voltage: None });
    chip.chip(|chip| chip.voltage = Ok(3));
    assert!(!clock.validity().unwrap().is_valid());
    assert_eq!(VoltageFlags(3).to_string(), "data invalid, backup low");
    assert_eq!(VoltageFlags(0).to_string(), "good");
    assert_eq!(VoltageFlags(0x108).to_string(), "accuracy low, 0x100");
    clock.clear_voltage().unwrap();
    assert!(clock.validity().unwrap().is_valid());
    chip.chip(|chip| chip.is_lost = true);
    assert!(!clock.validity().unwrap().is_valid());
    let error = clock.read().unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the hardware clock: Invalid argument (EINVAL); the hardware clock has lost its time"
    );
}

#[test]
fn parameters_that_the_driver_lacks_are_none() {
    let kernel = kernel();
    let chip = SimRtc::new(&kernel, 978_307_200, 0, Beat::Stays);
    let clock = rtc(&kernel, &chip, None);
    assert_eq!(clock.parameter(Parameter::Features).unwrap(), Some(0x11));
    assert_eq!(clock.correction_ppb().unwrap(), None);
    chip.chip(|chip| chip.parameters.push((1, u64::MAX - 76)));
    assert_eq!(clock.correction_ppb().unwrap(), Some(-77));
    clock.set_parameter(Parameter::Correction, 5).unwrap();
    assert_eq!(clock.correction_ppb().unwrap(), Some(5));
    assert!(clock.set_parameter(Parameter::Other(9), 5).is_err());
}

#[test]
fn sets_at_the_right_part_of_the_second_whatever_the_beat() {
    for (driver, beat) in [
        (Some("rtc_cmos"), Beat::RestartsAfter(500_000_000)),
        (None, Beat::RestartsAfter(500_000_000)),
        (Some("rtc-ds1307"), Beat::RestartsAfter(1_000_000_000)),
    ] {
        let kernel = kernel();
        let chip = SimRtc::new(&kernel, 978_307_200, 123_000_000, beat);
        let outcome = rtc(&kernel, &chip, driver).set(0, &SetOptions::default()).unwrap();
        assert!(outcome.error.unwrap().abs() < millis(3), "{outcome:?}");
        assert!(chip.ahead_nanos().abs() < 3_000_000, "{}", chip.ahead_nanos());
        assert_eq!((outcome.attempts, outcome.keeps_phase), (1, false));
    }
}

#[test]
fn a_beat_that_cannot_be_moved_is_measured_and_said() {
    for driver in [Some("rtc_cmos"), Some("rtc-ds1307"), None] {
        for into in [0_u128, 100, 250, 420, 499, 501, 600, 700, 790, 810, 930] {
            let kernel = kernel();
            let chip = SimRtc::new(&kernel, 978_307_200, into * 1_000_000, Beat::Stays);
            let outcome = rtc(&kernel, &chip, driver).set(-3600 * SECOND, &SetOptions::default()).unwrap();
            let truth = chip.ahead_nanos() + 3600 * SECOND;
            assert!(truth.abs() <= 501_000_000, "{driver:?} {into}: {truth}");
            let error = i128::from(outcome.error.unwrap().to_nanos());
            assert!((error - truth).abs() < 1_000_000, "{driver:?} {into}: {error} {truth}");
            assert_eq!(outcome.keeps_phase, truth.abs() > 20_000_000, "{driver:?} {into}: {outcome:?}");
        }
    }
}

#[test]
fn a_wrong_idea_of_the_delay_is_put_right() {
    for (delay, beat) in [(0, 500), (500, 1_000), (0, 730), (900, 250)] {
        let kernel = kernel();
        let chip = SimRtc::new(&kernel, 978_307_200, 0, Beat::RestartsAfter(beat * 1_000_000));
        let options = SetOptions { delay: Some(Duration::from_millis(delay)), ..SetOptions::default() };
        let outcome = rtc(&kernel, &chip, None).set(0, &options).unwrap();
        assert!(outcome.error.unwrap().abs() < millis(2) && !outcome.keeps_phase, "{outcome:?}");
        assert!(chip.ahead_nanos().abs() < 3_000_000, "{}", chip.ahead_nanos());
        assert_eq!(outcome.attempts, 2);
    }
    let kernel = kernel();
    let chip = SimRtc::new(&kernel, 978_307_200, 0, Beat::RestartsAfter(500_000_000));
    let quick = SetOptions { verify: false, ..SetOptions::default() };
    let outcome = rtc(&kernel, &chip, None).set(0, &quick).unwrap();
    assert_eq!((outcome.error, outcome.attempts), (None, 1));
    assert!(chip.ahead_nanos().abs() < 3_000_000);
}

/// Boot and shutdown over a year: the system clock comes back right, in UTC and in local time, on either chip.
#[test]
fn shutdown_and_boot_give_the_time_back() {
    for beat in [Beat::RestartsAfter(500_000_000), Beat::Stays] {
        for scale in [TimeScale::Utc, TimeScale::Local] {
            let kernel = kernel();
            kernel.state(|state| state.zone_rule = |_| 3 * 3600 + 1800);
            let chip = SimRtc::new(&kernel, 978_307_200, 640_000_000, beat);
            let clock = rtc(&kernel, &chip, Some("rtc_cmos"));
            let mut adjtime = AdjTime { scale, ..AdjTime::default() };
            let mut system = SystemClock::with_kernel(kernel.clone());

            let status = system.status().unwrap();
            let error = systohc(&clock, &status, &mut adjtime, &SaveOptions::default()).unwrap_err();
            assert!(error.to_string().starts_with("the system clock is not synchronised"), "{error}");
            assert_eq!(chip.chip(|chip| chip.sets), 0);

            let synchronized = Adjustment::new().synchronized(true).max_error(Duration::from_millis(1));
            let status = system.adjust(&synchronized).unwrap().status;
            let saved = systohc(&clock, &status, &mut adjtime, &SaveOptions::default()).unwrap();
            assert!(saved.kernel_sets_it);
            assert_eq!(saved.set.keeps_phase, beat == Beat::Stays);

            // Ten hours off; the machine wakes with the chip's time, half a second wrong, and no zone.
            let truth = kernel.real_nanos() - i128::try_from(kernel.raw_nanos()).unwrap();
            kernel.advance(Duration::from_secs(36_000));
            let _ = system.set(UnixTime::from_seconds(1_000_000_000), system_now(&kernel)).unwrap();
            let edge = clock.read_at_edge(LIMIT).unwrap();
            let outcome = hctosys(&mut system, &edge, &adjtime).unwrap();
            assert_eq!(outcome.minutes_west, -210);
            assert_eq!(kernel.state(|state| state.zone), Some(-210));
            let error = kernel.real_nanos() - i128::try_from(kernel.raw_nanos()).unwrap() - truth;
            assert!(error.abs() < 2_000_000, "{beat:?} {scale:?}: {error}");
        }
    }
}

fn system_now(kernel: &SimKernel) -> ntp_types::Instant {
    ntp_types::Instant::from_nanos(u64::try_from(kernel.raw_nanos()).unwrap())
}

#[test]
fn drift_is_learnt_as_hwclock_does_and_corrects_the_next_boot() {
    let kernel = kernel();
    let chip = SimRtc::new(&kernel, START, 300_000_000, Beat::RestartsAfter(500_000_000));
    let clock = rtc(&kernel, &chip, Some("rtc_cmos"));
    let system = SystemClock::with_kernel(kernel.clone());
    let mut adjtime = AdjTime::default();
    let options = SaveOptions { force: true, update_drift: true, ..SaveOptions::default() };
    let save = |adjtime: &mut AdjTime| {
        let status = system.status().unwrap();
        systohc(&clock, &status, adjtime, &options).unwrap().drift
    };
    assert_eq!(save(&mut adjtime), DriftUpdate::FirstCalibration);
    kernel.advance(Duration::from_secs(3600));
    assert!(matches!(save(&mut adjtime), DriftUpdate::TooSoon { .. }));
    // The chip loses 2 s a day against the system clock for five days.
    kernel.state(|state| state.wander = 2 * 65_536 * 1_000_000 / 86_400);
    kernel.advance(Duration::from_secs(5 * 86_400));
    let DriftUpdate::Updated { from, to } = save(&mut adjtime) else { unreachable!() };
    assert!(from == 0.0 && (to - 2.0).abs() < 0.001, "{to}");
    // A day later the correction is due, and adjusting by it makes the clock right.
    kernel.advance(Duration::from_secs(86_400));
    let status = system.status().unwrap();
    let AdjustOutcome::Adjusted { correction, .. } =
        adjust(&clock, &status, &mut adjtime, &SetOptions::default()).unwrap()
    else {
        unreachable!()
    };
    assert!((correction - millis(2_000)).abs() < millis(5), "{correction}");
    assert!(chip.ahead_nanos().abs() < 5_000_000, "{}", chip.ahead_nanos());
    let outcome = adjust(&clock, &status, &mut adjtime, &SetOptions::default()).unwrap();
    assert!(matches!(outcome, AdjustOutcome::NotDue { .. }));
}

#[test]
fn adjusting_is_refused_where_nothing_is_known_or_the_kernel_does_it() {
    let kernel = kernel();
    let chip = SimRtc::new(&kernel, START, 0, Beat::Stays);
    let clock = rtc(&kernel, &chip, None);
    let mut system = SystemClock::with_kernel(kernel.clone());
    let try_with = |adjtime: AdjTime, system: &SystemClock<SimKernel>| {
        let mut adjtime = adjtime;
        adjust(&clock, &system.status().unwrap(), &mut adjtime, &SetOptions::default()).unwrap()
    };
    let known = AdjTime { drift_factor: 3.0, last_adjustment: START - 864_000, ..AdjTime::default() };
    assert_eq!(try_with(AdjTime::default(), &system), AdjustOutcome::NeverSet);
    let wild = AdjTime { drift_factor: 2_145.5, ..known };
    assert_eq!(try_with(wild, &system), AdjustOutcome::Incredible { drift: 2_145.5 });
    let _ = system.adjust(&Adjustment::new().synchronized(true).max_error(Duration::ZERO)).unwrap();
    assert_eq!(try_with(known, &system), AdjustOutcome::KernelSetsIt);
    assert_eq!(chip.chip(|chip| chip.sets), 0);
}

#[test]
fn every_errno_at_every_call_is_an_error_with_its_operation() {
    let errnos = [
        Errno::EPERM,
        Errno::EACCES,
        Errno::EINVAL,
        Errno::ENOTTY,
        Errno::ERANGE,
        Errno::EBUSY,
        Errno::EIO,
        Errno::ENODEV,
        Errno::EFAULT,
        Errno::EINTR,
        Errno::EAGAIN,
        Errno::EOPNOTSUPP,
        Errno(4711),
    ];
    type Attempt = fn(&Rtc<SimRtc, SimKernel>, &mut SystemClock<SimKernel>) -> Result<(), RtcError>;
    let attempts: [Attempt; 7] = [
        |clock, system| {
            let status = system.status().unwrap();
            let options = SaveOptions { force: true, update_drift: true, ..SaveOptions::default() };
            systohc(clock, &status, &mut AdjTime::default(), &options).map(|_| ())
        },
        |clock, _| clock.validity().map(|_| ()),
        |clock, _| clock.parameter(Parameter::Features).map(|_| ()),
        |clock, _| clock.set_parameter(Parameter::Features, 1),
        |clock, _| clock.clear_voltage(),
        |clock, _| clock.read_at_edge(LIMIT).map(|_| ()),
        |clock, system| {
            let edge = clock.read_at_edge(LIMIT)?;
            hctosys(system, &edge, &AdjTime::default()).map(|_| ())
        },
    ];
    let mut seen = std::collections::HashSet::new();
    for errno in errnos {
        for (attempt, nth) in attempts.iter().flat_map(|attempt| (0..30).map(move |nth| (attempt, nth))) {
            for in_kernel in [false, true] {
                let kernel = kernel();
                let chip = SimRtc::new(&kernel, START, 0, Beat::RestartsAfter(500_000_000));
                let clock = rtc(&kernel, &chip, None);
                let mut system = SystemClock::with_kernel(kernel.clone());
                if in_kernel {
                    kernel.fail_call(nth + 1, errno); // the status is asked before
                } else {
                    chip.chip(|chip| chip.fault = Some((nth, errno)));
                }
                let Err(error) = attempt(&clock, &mut system) else { continue };
                assert_eq!(error.errno(), Some(errno), "{error}");
                if let RtcError::System(ntp_clock::ClockError::System { operation, .. }) = error {
                    seen.insert(operation);
                }
            }
        }
    }
    for operation in [
        Operation::Read,
        Operation::Step,
        Operation::TimeZone,
        Operation::RtcRead,
        Operation::RtcSet,
        Operation::RtcUpdateInterrupt,
        Operation::RtcWait,
        Operation::RtcParameter,
        Operation::RtcSetParameter,
        Operation::RtcVoltage,
    ] {
        assert!(seen.contains(&operation), "{operation} was never refused");
    }
}

#[test]
fn sysfs_stands_in_while_the_device_is_busy() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let clock = SysfsRtc::at(directory.path());
    assert!(matches!(clock.read(), Err(RtcError::File { .. })));
    file("since_epoch", "978307201\n");
    file("name", "rtc_cmos rtc_cmos\n");
    file("hctosys", "1\n");
    assert_eq!(clock.read().unwrap().seconds(), 978_307_201);
    assert_eq!(clock.driver().unwrap(), "rtc_cmos");
    assert!(clock.did_set_the_system().unwrap());
    let error = clock.read_at_edge(Duration::from_millis(5)).unwrap_err();
    assert!(matches!(error, RtcError::NoTick { .. }), "{error}");
    file("since_epoch", "soon\n");
    assert!(clock.read().unwrap_err().to_string().ends_with("since_epoch: \"soon\" is not a number of seconds"));
}

#[test]
fn a_machine_without_a_hardware_clock_is_told_so() {
    let error = Rtc::open_at("/nonexistent/rtc").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    let error = Rtc::open_at("/dev/null").unwrap().read().unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOTTY));
}

#[test]
fn the_tracker_finds_offset_and_rate() {
    let kernel = kernel();
    let chip = SimRtc::new(&kernel, START + 3600, 300_000_000, Beat::Stays); // an hour ahead: local time
    kernel.state(|state| state.wander = -23 * 65_536); // the chip gains 23 ppm on the system clock
    let clock = rtc(&kernel, &chip, None);
    let mut tracker = RtcTracker::new();
    for _ in 0..100 {
        tracker.handle_edge(&clock.read_at_edge(LIMIT).unwrap(), 3600 * SECOND);
        kernel.advance(Duration::from_secs(60));
    }
    let model = tracker.model().unwrap();
    assert_eq!(model.edges, 64);
    assert!((model.rate - 23e-6).abs() < 0.1e-6, "{model:?}");
    let truth = (chip.ahead_nanos() - 3600 * SECOND) as f64 * 1e-9;
    let rtc_now = UnixTime::from_nanos(kernel.real_nanos() + chip.ahead_nanos()).unwrap();
    assert!((model.ahead_at(rtc_now) - truth).abs() < 1e-3, "{} {truth}", model.ahead_at(rtc_now));
    assert!(model.residual < 1e-4);
    assert!(model.needs_trim(rtc_now, 0.1) && !model.needs_trim(rtc_now, 1.0));
    let text = model.to_string();
    let back: RtcModel = text.parse().unwrap();
    assert_eq!(back.to_string(), text);
    for bad in ["", "0 1 2 3", "1 nan 0 0", "1 5 5", "x"] {
        assert!(bad.parse::<RtcModel>().is_err(), "{bad}");
    }
    tracker.handle_step(5.0);
    assert!((tracker.model().unwrap().offset - model.offset + 5.0).abs() < 1e-9);
    tracker.reset();
    assert!(tracker.model().is_none());
}
