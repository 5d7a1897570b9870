//! The agent on a machine whose clock is decades wrong: a step, then a slew, then kept in the hardware clock.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ntp_clock::rtc::{systohc, AdjTime, Rtc, SaveOptions};
use ntp_clock::{StatusFlags, StepClock, SystemClock};
use ntp_types::{Frequency, NtpDuration};

use crate::boot::reference;
use crate::check::{Checks, Moment};
use crate::clock::wait_until;
use crate::rtc::TOLERANCE;

const LIMIT: Duration = Duration::from_secs(3);

pub(crate) fn run(checks: &mut Checks) {
    let server = std::env::var("SERVER").expect("SERVER on the kernel's command line");
    let wrong = reference();
    checks.that(
        "the clock is years wrong",
        wrong > 1_000_000_000 * 86_400 * 365,
        format!("{} s", wrong / 1_000_000_000),
    );

    let mut agent = start(&server, &["--makestep", "0.5", "3", "--duration", "45"]);
    let status = agent.wait().unwrap();
    let left = reference();
    checks.that("the agent ends well", status.success(), status);
    checks.that("stepped right over UDP", left.abs() < i128::from(TOLERANCE), format!("{} µs left", left / 1_000));
    checks.that("the tick is as it was", tick_is_nominal(), SystemClock::new().status().unwrap().tick);

    // A tenth of a second off, and no step allowed.
    let _ = SystemClock::new().step(NtpDuration::from_nanos(100_000_000)).unwrap();
    let before = Moment::now();
    let mut agent = start(&server, &["--duration", "60"]);
    let (mut largest, mut fastest) = (NtpDuration::ZERO, Frequency::ZERO);
    let mut last = Moment::now();
    while agent.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(100));
        let now = Moment::now();
        largest = largest.max(now.gained_since(last).abs());
        fastest = fastest.max(SystemClock::new().status().unwrap().rate().abs());
        last = now;
    }
    let left = reference();
    let slewed = Moment::now().gained_since(before);
    checks.that(
        "slewed, not stepped",
        largest < NtpDuration::from_nanos(30_000_000),
        format!("{} in 0.1 s at most", largest.human()),
    );
    checks.that("by no more than was bounded", fastest <= Frequency::from_ppm(83_900), fastest);
    let is_right = left.abs() < i128::from(TOLERANCE);
    checks.that("slewed right", is_right, format!("{} in all, {} µs left", slewed.human(), left / 1_000));
    checks.that("the tick is back", tick_is_nominal(), SystemClock::new().status().unwrap().tick);

    let plain = start(&server, &["--duration", "60"]);
    killed(checks, plain, "killed while it slews, it leaves the frequency", TENTH, || {});
    // What is preloaded may be a simulator, in which no guard stands; this is none.
    let preloaded = command(&server, &["--duration", "60"]).env("LD_PRELOAD", "/no.so").spawn().unwrap();
    killed(checks, preloaded, "and with something preloaded", TENTH, || {});
    // Long enough for the agent to notice, and to put another guard in the place of the one that was killed.
    let widowed = start(&server, &["--duration", "60", "--makestep", "10", "0"]);
    killed(checks, widowed, "and where its guard was killed before it", 5 * TENTH, replace_guard);
    let mut agent = start(&server, &["--makestep", "0.01", "3", "--duration", "45"]);
    let _ = agent.wait().unwrap();

    let status = SystemClock::new().status().unwrap();
    let is_told = status.is_synchronized() && !status.flags.contains(StatusFlags::UNSYNCHRONIZED);
    checks.that("the kernel knows its clock to be right", is_told, format!("± {:?}", status.max_error));

    // Kept in the hardware clock, whose edges then agree with the reference.
    let (rtc, mut adjtime) = (Rtc::open().unwrap(), AdjTime::default());
    let saved = systohc(&rtc, &SystemClock::new().status().unwrap(), &mut adjtime, &SaveOptions::default()).unwrap();
    println!("     {:?}", saved.set);
    let edge = rtc.read_at_edges(3, LIMIT).unwrap();
    let ahead = edge.ahead_nanos() + i128::from(adjtime.correction_at(edge.rtc).to_nanos()) - reference();
    checks.near(
        "the hardware clock is right at its edge",
        NtpDuration::from_nanos(i64::try_from(ahead).unwrap()),
        TOLERANCE,
    );
}

/// In nanoseconds: off by so much, the agent's slew is fast enough to need a guard, and takes long enough to be interrupted.
const TENTH: i64 = 100_000_000;

fn killed(checks: &mut Checks, mut agent: Child, what: &str, off: i64, meanwhile: impl FnOnce()) {
    let _ = SystemClock::new().step(NtpDuration::from_nanos(off)).unwrap();
    let rate = || SystemClock::new().status().unwrap().rate().abs();
    let fast = Frequency::from_ppm(3_000);
    wait_until(Duration::from_secs(30), || rate() >= fast);
    meanwhile();
    let before = rate();
    agent.kill().unwrap();
    let _ = agent.wait().unwrap();
    sleep(Duration::from_millis(300));
    let after = rate();
    checks.that(what, before >= fast && after < Frequency::from_ppm(600), format!("{before}, then {after}"));
    let _ = SystemClock::new().step(NtpDuration::from_nanos(-off)).unwrap();
}

/// Kills the guard, and waits for the next.
fn replace_guard() {
    let old = guards();
    for guard in &old {
        let _ = Command::new("/bin/busybox").args(["kill", "-KILL", guard]).status().unwrap();
    }
    let is_replaced = || guards().iter().any(|guard| !old.contains(guard));
    wait_until(Duration::from_secs(5), is_replaced);
    assert!(!old.is_empty() && is_replaced(), "guards {old:?}, then {:?}", guards());
}

/// The processes that are guards.
fn guards() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_guard = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "ntp-clock-guard")
    };
    processes
        .filter(|process| is_guard(&process.path()))
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

fn start(server: &str, more: &[&str]) -> Child {
    command(server, more).spawn().unwrap()
}

fn command(server: &str, more: &[&str]) -> Command {
    let mut command = Command::new("/agent");
    command
        .args([
            "--server",
            server,
            "--clock",
            "system",
            "--adjust",
            "--iburst",
            "--minpoll",
            "1",
            "--maxpoll",
            "3",
            "--json",
        ])
        .args(more)
        .stdout(Stdio::null());
    command
}

fn tick_is_nominal() -> bool {
    let status = SystemClock::new().status().unwrap();
    status.tick == status.nominal_tick
}
