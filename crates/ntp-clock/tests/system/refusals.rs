//! What the kernel refuses: said with its reason, and the books stay right.

use super::*;

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
