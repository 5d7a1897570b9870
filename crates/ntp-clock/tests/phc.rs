//! A PTP device in numbers: one thing at a time, its own range.

#![allow(clippy::unwrap_used)] // tests
#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use common::{Books, SimKernel};
use ntp_clock::kernel::ClockId;
use ntp_clock::{Errno, Operation, PhcClock, ReadClock, SlewPolicy, SteerClock, StepClock};
use ntp_types::{ClockCommand, Frequency, Instant, NtpDuration, UnixTime};

fn kernel() -> SimKernel {
    SimKernel::new(UnixTime::from_seconds(1_772_000_000))
}

#[test]
fn descriptors_become_clock_ids_as_the_kernel_has_it() {
    assert_eq!(ClockId::of_descriptor(4), -37);
    assert_eq!(ClockId::of_descriptor(0), -5);
}

#[test]
fn a_device_that_is_none_is_an_error() {
    let error = PhcClock::open("/dev/null").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOTTY));
    assert!(error.to_string().starts_with("reading the PTP clock's capabilities: "), "{error}");
    assert_eq!(PhcClock::open("/nonexistent").unwrap_err().errno(), Some(Errno::ENOENT));
}

#[test]
fn steps_and_slews_within_the_devices_range() {
    let kernel = kernel();
    let mut clock = PhcClock::with_kernel(kernel.clone(), 4).unwrap().with_policy(SlewPolicy::guarded());
    assert_eq!(clock.capabilities().max_frequency_ppb, 62_499_999);
    let before = clock.read().unwrap();
    let applied = clock.step(NtpDuration::from_seconds(-7)).unwrap();
    let after = clock.read().unwrap();
    let moved = after.time.since(before.time) - NtpDuration::from_std(after.at.since(before.at));
    assert_eq!(applied.stepped, NtpDuration::from_seconds(-7));
    assert!((moved + NtpDuration::from_seconds(7)).abs() < NtpDuration::from_nanos(300), "{moved}");

    let slew = |millis: i64, frequency| ClockCommand::Slew {
        offset: NtpDuration::from_nanos(millis * 1_000_000),
        duration: Duration::from_secs(10),
        frequency,
    };
    let applied = clock.apply(&slew(40, Frequency::from_ppm(100))).unwrap();
    assert_eq!(applied.slew_rate.to_string(), "+4000.000 ppm");
    kernel.advance(Duration::from_secs(10));
    let ended = clock.handle_timeout(applied.slew_end).unwrap().unwrap();
    assert_eq!(ended.slew_rate, Frequency::ZERO);
    assert_eq!(kernel.rate_scaled(), 100 << 16);

    let error = clock.apply(&slew(0, Frequency::from_ppm(70_000))).unwrap_err();
    assert_eq!(error.to_string(), "rate 70000000 ppb is not between -62499999 and 62499999 ppb");
}

#[test]
fn every_errno_at_every_call_leaves_the_books_right() {
    let errnos = [
        Errno::EPERM,
        Errno::EACCES,
        Errno::ERANGE,
        Errno::EOPNOTSUPP,
        Errno::EINVAL,
        Errno::EFAULT,
        Errno::ENODEV,
        Errno::EBUSY,
        Errno::ENOTTY,
        Errno::ENOSYS,
        Errno::EINTR,
        Errno::EIO,
        Errno(777),
    ];
    for errno in errnos {
        for nth in 0..30 {
            let kernel = kernel();
            let Ok(mut clock) = PhcClock::with_kernel(kernel.clone(), 4) else { continue };
            let origin = (kernel.real_nanos(), kernel.raw_nanos());
            kernel.fail_call(nth, errno);
            let mut books = Books::default();
            for step in [true, false, true] {
                let offset = NtpDuration::from_nanos(20_000_000);
                let frequency = Frequency::from_ppm(3);
                let command = if step {
                    ClockCommand::Step { offset, frequency }
                } else {
                    ClockCommand::Slew { offset, duration: Duration::from_secs(60), frequency }
                };
                match clock.apply(&command) {
                    Ok(applied) => books.add(applied),
                    Err(error) => assert_eq!(error.errno(), Some(errno)),
                }
                kernel.advance(Duration::from_secs(4));
                if let Ok(Some(applied)) = clock.handle_timeout(Instant::MAX) {
                    books.add(applied);
                }
            }
            let total = books.at(Instant::from_nanos(u64::try_from(kernel.raw_nanos()).unwrap()));
            let elapsed = i128::try_from(kernel.raw_nanos() - origin.1).unwrap();
            let gained = i64::try_from(kernel.real_nanos() - origin.0 - elapsed).unwrap();
            let error = total - NtpDuration::from_nanos(gained);
            assert!(error.abs() < NtpDuration::from_nanos(200), "{errno} at {nth}: {error}");
        }
    }
    let kernel = kernel();
    kernel.fail_call(0, Errno::ENOTTY);
    let error = PhcClock::with_kernel(kernel, 4).unwrap_err();
    assert_eq!(error, ntp_clock::ClockError::System { operation: Operation::PtpCapabilities, errno: Errno::ENOTTY });
}
