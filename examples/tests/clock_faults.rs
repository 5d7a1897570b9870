//! Every system call of the clocks fails once, in every way the kernel has: one clear line that names the reason, no panic, and
//! nothing left running. Needs strace, which injects the failures; the right to set a clock is dropped before.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Case {
    program: &'static str,
    arguments: &'static [&'static str],
    /// What else is injected, so that the call in question is reached: rules of strace.
    feigned: &'static [&'static str],
    call: &'static str,
    errnos: &'static [&'static str],
}

const NTP_CLOCK: &str = env!("CARGO_BIN_EXE_ntp-clock");
const NTP_RTC: &str = env!("CARGO_BIN_EXE_ntp-rtc");
/// The kernel does nothing and says that it did.
const FEIGNED: &[&str] = &["inject=clock_adjtime:retval=0"];
const SLEW: &[&str] = &["slew", "0.0005", "--over", "0.1", "--yes"];

/// clock_adjtime(2), pipe(2), fork(2), sigaction(2), open(2), ioctl(2) and rtc(4) say what each can return.
const CASES: &[Case] = &[
    Case {
        program: NTP_CLOCK,
        arguments: &["show"],
        feigned: &[],
        call: "clock_adjtime",
        errnos: &["EPERM", "EINVAL", "EFAULT", "ENODEV", "EOPNOTSUPP", "ENOSYS", "EIO"],
    },
    Case {
        program: NTP_CLOCK,
        arguments: &["step", "-0.001", "--yes"],
        feigned: &[],
        call: "clock_adjtime",
        errnos: &["EPERM", "EINVAL", "EFAULT", "ENODEV", "EOPNOTSUPP", "ENOSYS", "ERANGE", "EBUSY"],
    },
    Case {
        program: NTP_CLOCK,
        arguments: SLEW,
        feigned: &[],
        call: "clock_adjtime",
        errnos: &["EPERM", "EINVAL", "EFAULT", "ENODEV", "EOPNOTSUPP", "ENOSYS", "ERANGE", "EBUSY"],
    },
    Case {
        program: NTP_CLOCK,
        arguments: SLEW,
        feigned: FEIGNED,
        call: "pipe2",
        errnos: &["EMFILE", "ENFILE", "ENOSYS"],
    },
    Case {
        program: NTP_CLOCK,
        arguments: SLEW,
        feigned: FEIGNED,
        call: "clone",
        errnos: &["EAGAIN", "ENOMEM", "EPERM"],
    },
    Case { program: NTP_CLOCK, arguments: SLEW, feigned: FEIGNED, call: "rt_sigaction", errnos: &["EINVAL", "EFAULT"] },
    Case { program: NTP_CLOCK, arguments: SLEW, feigned: FEIGNED, call: "write", errnos: &["EPIPE", "EIO", "EBADF"] },
    Case {
        program: NTP_RTC,
        arguments: &["--rtc", "/dev/null", "--adjtime", "/nonexistent"],
        feigned: &[],
        call: "ioctl",
        errnos: &[
            "ENOTTY",
            "EINVAL",
            "EIO",
            "EBUSY",
            "EACCES",
            "ENODEV",
            "ENXIO",
            "ERANGE",
            "EFAULT",
            "ETIMEDOUT",
            "EINTR",
        ],
    },
    Case {
        program: NTP_RTC,
        arguments: &["--rtc", "/dev/null", "--adjtime", "/nonexistent", "systohc", "--force", "--no-verify"],
        feigned: &[],
        call: "ioctl",
        errnos: &["ENOTTY", "EINVAL", "EIO", "EBUSY", "EACCES", "ENODEV", "ERANGE", "EFAULT", "ETIMEDOUT"],
    },
    Case {
        program: NTP_RTC,
        arguments: &["--rtc", "/dev/null", "--adjtime", "/nonexistent"],
        feigned: &[],
        call: "openat",
        errnos: &["ENOENT", "EACCES", "EBUSY", "ENODEV", "ENXIO", "EMFILE"],
    },
];

/// The loader's calls come first.
const MOST: usize = 60;

impl Case {
    /// One run; nothing when the call is not made so often.
    fn fail(&self, errno: &str, when: usize) -> Option<Output> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_time", "--inh-caps=-sys_time", "strace", "-qq", "-o"]).arg(log.path());
        for rule in self.feigned {
            command.args(["-e", rule]);
        }
        let rule = format!("inject={}:error={errno}:when={when}", self.call);
        let output = command.args(["-e", &rule]).arg(self.program).args(self.arguments);
        // With the one that cargo sets the loader looks in dozens of places first.
        let output = output.env_remove("LD_LIBRARY_PATH").output().unwrap();
        let log = std::fs::read_to_string(log.path()).unwrap();
        let is_injected = log.lines().any(|line| line.starts_with(self.call) && line.contains("(INJECTED)"));
        is_injected.then_some(output)
    }

    /// Every place once with every errno; how many runs that were, and which errnos were told.
    fn run(&self) -> (usize, Vec<&str>) {
        let (mut count, mut told) = (0, Vec::new());
        for errno in self.errnos {
            for when in 1..=MOST {
                let Some(output) = self.fail(errno, when) else { break };
                count += 1;
                let error = String::from_utf8_lossy(&output.stderr);
                let what =
                    format!("{:?}, {errno} at {} {when}: {:?} {error}", self.arguments, self.call, output.status);
                match output.status.code() {
                    // The loader and Rust's own start, before main, end in their own way.
                    Some(127) => continue,
                    None if error.starts_with("fatal runtime error") => continue,
                    Some(0) => {}
                    Some(1) => assert_eq!(error.lines().count(), 1, "{what}"),
                    _ => panic!("{what}"),
                }
                if error.contains(&format!("({errno})")) {
                    told.push(*errno);
                }
            }
        }
        told.dedup();
        (count, told)
    }
}

#[test]
fn each_call_fails_once() {
    let strace = Command::new("setpriv")
        .args(["--bounding-set=-sys_time", "strace", "-qq", "-e", "inject=fsync:error=EIO", "true"])
        .output();
    if !strace.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no strace or no setpriv, or they may not do their work");
        return;
    }
    let mut runs = 0;
    for case in CASES {
        let (count, told) = case.run();
        assert!(count >= case.errnos.len(), "{:?}: {} was made {count} times", case.arguments, case.call);
        // Handlers and a reader that are not there keep no slew from its end.
        if !["rt_sigaction", "write"].contains(&case.call) {
            assert_eq!(told, case.errnos, "{:?}: {} fails and does not say why", case.arguments, case.call);
        }
        runs += count;
        println!("{:?}: {count} failures of {}, told: {}", case.arguments, case.call, told.join(" "));
    }
    println!("{runs} failures injected");
}

/// One run of `ntp-clock slew`, `within` another program, over a kernel that does nothing and says that it did; interrupted after
/// `patience`.
fn slew(within: &[&str], arguments: &[&str], patience: Option<Duration>) -> Option<String> {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_time", "--inh-caps=-sys_time"]).args(within);
    command
        .args(["strace", "-D", "-qq", "-o", "/dev/null", "-e", FEIGNED[0], NTP_CLOCK, "slew"])
        .args(arguments)
        .env_remove("LD_LIBRARY_PATH");
    let child = command.stdout(Stdio::piped()).spawn().ok()?;
    if let Some(patience) = patience {
        std::thread::sleep(patience);
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    }
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_slew_says_how_it_goes_and_can_be_stopped() {
    let Some(text) = slew(&[], &["0.0006", "--over", "4", "--yes"], None) else {
        eprintln!("skipped: no strace or no setpriv, or they may not do their work");
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    let begins = ["slewing: +0.000499", "slewing: +0.000099", "slewed: +0.000599"];
    assert!(lines.len() == 3 && lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{text}");
    // Two hundred seconds by the kernel itself.
    let begin = Instant::now();
    let text = slew(&[], &["0.1", "--yes"], Some(Duration::from_millis(1_500))).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10) && text.contains("stopped early"), "{text}");
}

/// Killed, it would take its guard with it.
#[test]
fn the_first_process_of_a_container_slews_no_faster_than_the_kernel_itself() {
    let slewing = ["0.0006", "--over", "0.1", "--yes"];
    let Some((text, alone)) = slew(&[], &slewing, None).zip(slew(&["unshare", "--pid", "--fork"], &slewing, None))
    else {
        eprintln!("skipped: no strace or no setpriv, or no PID namespace (this needs root)");
        return;
    };
    assert!(text.contains(" ppm for 0.1"), "{text}");
    assert!(alone.contains("+500.000 ppm"), "{alone}");
}

#[test]
fn a_drift_that_cannot_be_read_is_not_called_zero() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("adjtime");
    std::fs::write(&path, "RUBBISH\n").unwrap();
    let say = |arguments: &[&str]| {
        let mut command = Command::new(NTP_RTC);
        let output = command.arg("--adjtime").arg(&path).args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(r#"adjtime: line 1: "RUBBISH\n" is not a drift"#), "{said}");
        (output.status.code(), output.stdout, said)
    };
    let (code, out, said) = say(&["drift"]);
    assert_eq!((code, out.len(), said.lines().count()), (Some(1), 0, 1), "{said}");
    // What else it is asked for is done: here there is no clock.
    let (code, _, said) = say(&["--rtc", "/nowhere/rtc"]);
    assert_eq!((code, said.lines().count()), (Some(1), 2), "{said}");
    assert!(said.contains("no hardware clock at /nowhere/rtc: "), "{said}");
}
