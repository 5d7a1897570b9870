//! `ntp-agent` as a user runs it: the demonstration, wrong arguments, no server, a signal.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ntp_client::{SourceConfig, System, SystemConfig};
use ntp_clock::{ReadClock, SoftwareClock, StepClock};
use ntp_discipline::{adaptive, Policy, Status};
use ntp_examples::agent::Agent;
use ntp_examples::clock::AgentClock;
use ntp_examples::demo::{self, Servers};
use ntp_examples::drift::Drift;
use ntp_examples::roster::Roster;
use ntp_examples::stop::Stop;
use ntp_examples::view::{Style, View};
use ntp_types::{NtpDuration, Poll};
use serde_json::Value;

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ntp-agent"));
    command.args(arguments).current_dir(std::env::temp_dir()).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    agent(arguments).output().unwrap()
}

fn objects(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_demonstration_synchronises_and_says_so_truly() {
    let directory = tempfile::tempdir().unwrap();
    let plot = directory.path().join("plot.svg");
    let output = run(&["--json", "--duration", "6", "--plot", plot.to_str().unwrap()]);
    let objects = objects(&output);
    let summary = objects.last().unwrap();
    assert!(output.status.success(), "{summary} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((&summary["type"], &summary["good"]), (&"summary".into(), &true.into()));
    assert!(summary["true_offset"].as_f64().unwrap().abs() <= summary["bound"].as_f64().unwrap());
    assert_eq!(summary["rejected"].as_array().unwrap().len(), 1);
    assert!((summary["frequency_ppm"].as_f64().unwrap() + 50.0).abs() < 20.0);
    let first = objects.iter().find(|object| object["type"] == "status").unwrap();
    assert!((first["true_offset"].as_f64().unwrap() - 0.35).abs() < 0.01, "it starts 0.35 s behind");
    assert!(std::fs::read_to_string(plot).unwrap().trim_end().ends_with("</svg>"));
}

#[test]
fn arguments_that_make_no_sense_are_refused_in_one_line() {
    const ALONE: &str = "error: ";
    const TOGETHER: &str = "ntp-agent: ";
    for (arguments, said, status) in [
        (&["--clock", "system", "--server", "127.0.0.1"][..], TOGETHER, 2),
        (&["--adjust"][..], TOGETHER, 2),
        (&["--clock", "system", "--adjust"][..], TOGETHER, 2),
        (&["--minpoll", "8", "--maxpoll", "6"][..], TOGETHER, 2),
        (&["--makestep", "-1", "3"][..], TOGETHER, 2),
        (&["--config", "/nonexistent/ntp.conf"][..], TOGETHER, 1),
        (&["--duration", "0"][..], ALONE, 2),
        (&["--makestep", "NaN", "3"][..], ALONE, 2),
        (&["--plot", "/nonexistent/plot.svg"][..], ALONE, 2),
        (&["--plot", "/"][..], ALONE, 2),
        (&["--server", "no spaces"][..], ALONE, 2),
        (&["--region", "ATLANTIS"][..], ALONE, 2),
        (&["--minpoll", "99"][..], ALONE, 2),
        (&["--nonsense"][..], ALONE, 2),
    ] {
        let output = run(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {message}");
        assert!(message.starts_with(said), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty());
        if said == TOGETHER {
            assert_eq!(message.trim_end().lines().count(), 1, "{message}");
        }
    }
}

#[test]
fn help_fits_a_terminal() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_dead_server_ends_unsynchronised_and_says_so() {
    let output = run(&["--server", "127.0.0.1:9", "--minpoll", "-2", "--maxpoll", "0", "--duration", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("unsynchronised") && text.contains("127.0.0.1:9"), "{text}");
}

#[test]
fn a_signal_ends_it_cleanly_and_at_once() {
    let mut child = agent(&["--server", "127.0.0.1:9"]).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    let kill = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", child.id())).status().unwrap();
    assert!(kill.success());
    let status = child.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert_eq!(status.code(), Some(1), "ended by itself, unsynchronised");
}

/// Somebody sets its clock while it is disciplined: at the next look it claims nothing any more, and comes right again.
#[test]
fn a_clock_that_somebody_else_sets_is_unsynchronised_until_it_is_set_right() {
    let servers = Servers::on_loopback(&[NtpDuration::ZERO; 3]).unwrap();
    let clock = SoftwareClock::realtime();
    let now = clock.read().unwrap().at;
    let engine = adaptive::Engine::<4>::new(Policy::default()).unwrap();
    let mut system = System::new(engine, SystemConfig::default());
    for address in servers.addresses().unwrap() {
        let _ = system.add_source(address, demo::source_config(), now).unwrap();
    }
    let clock = AgentClock::Software(clock);
    let mut agent = Agent::new(system, clock, Roster::default(), servers, Drift::default()).unwrap();
    let (stop, mut view) = (Stop::default(), View::new(Style::Json, ""));
    let mut run_until = |agent: &mut Agent<_>, millis| {
        agent.run(Some(Duration::from_millis(millis)), &stop, &mut view).unwrap();
        let snapshot = agent.snapshot().unwrap();
        assert!(
            snapshot.system.status == Status::Unsynchronized
                || agent.true_offset().unwrap().abs() <= snapshot.system.bound
        );
        snapshot.system
    };
    assert_eq!(run_until(&mut agent, 4_000).status, Status::Synchronized);
    let AgentClock::Software(clock) = agent.clock_mut() else { panic!("it was given a software clock") };
    let set = NtpDuration::from_seconds(5);
    let _ = clock.step(set).unwrap();
    // The first look after it; too early for three answers of anybody.
    let moved = run_until(&mut agent, 4_200);
    assert_eq!((moved.status, moved.bound, moved.updated), (Status::Unsynchronized, NtpDuration::MAX, None));
    assert_eq!(run_until(&mut agent, 9_000).status, Status::Synchronized);
    assert!((agent.stepped() + set).abs() < NtpDuration::from_nanos(10_000_000), "stepped by {}", agent.stepped());
    assert!(agent.true_offset().unwrap().abs() < NtpDuration::from_nanos(1_000_000));
}

/// The machine sleeps, and its clock comes back by less than would show: at the next look nothing is claimed any more, every
/// server is asked at once though none is due, and the clock comes right.
#[test]
fn after_a_sleep_all_are_asked_at_once() {
    let servers = Servers::on_loopback(&[NtpDuration::ZERO; 3]).unwrap();
    let clock = SoftwareClock::realtime();
    let now = clock.read().unwrap().at;
    let engine = adaptive::Engine::<4>::new(Policy::default()).unwrap();
    let mut system = System::new(engine, SystemConfig::default());
    let poll = Poll::from_log2(5);
    for address in servers.addresses().unwrap() {
        let config = SourceConfig { min_poll: poll, max_poll: poll, ..demo::source_config() };
        let _ = system.add_source(address, config, now).unwrap();
    }
    let clock = AgentClock::Software(clock);
    let mut agent = Agent::new(system, clock, Roster::default(), servers, Drift::default()).unwrap();
    let (stop, mut view) = (Stop::default(), View::new(Style::Json, ""));
    let mut run_until = |agent: &mut Agent<_>, millis| {
        agent.run(Some(Duration::from_millis(millis)), &stop, &mut view).unwrap();
        agent.snapshot().unwrap()
    };
    assert_eq!(run_until(&mut agent, 2_000).system.status, Status::Synchronized);
    let (mut millis, moment) = (2_000, Duration::from_millis(500));
    while agent.system().next_timeout().unwrap() < agent.clock().read().unwrap().at + moment {
        millis += 100;
        let _ = run_until(&mut agent, millis);
    }
    let before = agent.snapshot().unwrap();
    let AgentClock::Software(clock) = agent.clock_mut() else { panic!("it was given a software clock") };
    clock.feign_sleep(Duration::from_secs(600));
    let _ = clock.step(NtpDuration::from_nanos(50_000_000)).unwrap();
    let after = run_until(&mut agent, millis + 200);
    let claimed = (after.system.status, after.system.bound, after.system.updated);
    assert_eq!(claimed, (Status::Unsynchronized, NtpDuration::MAX, None));
    for (before, after) in before.sources.iter().zip(&after.sources) {
        assert_eq!(after.counters.sent, before.counters.sent + 1);
    }
    assert_eq!(run_until(&mut agent, millis + 5_000).system.status, Status::Synchronized);
    assert!(agent.true_offset().unwrap().abs() < NtpDuration::from_nanos(1_000_000));
}

/// Without the capability it does not begin. (Root gives the capability up first: nobody's clock is changed here.)
#[test]
fn who_may_not_set_the_clock_is_told_at_once() {
    let arguments = ["--clock", "system", "--adjust", "--server", "127.0.0.1:9", "--duration", "5"];
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0);
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_time", "--inh-caps=-sys_time", env!("CARGO_BIN_EXE_ntp-agent")]);
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_ntp-agent"))
    };
    let started = Instant::now();
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("CAP_SYS_TIME") && message.lines().count() == 1, "{message}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_query_says_what_it_found_and_what_not() {
    let query = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_ntp-query")).args(arguments).output().unwrap();
    let started = Instant::now();
    let output = query(&["--timeout", "30", "127.0.0.1:9"]);
    assert!(started.elapsed() < Duration::from_secs(10), "the kernel says at once that nobody listens");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("127.0.0.1:9  no answer") && text.contains("No server gave its time."), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let output = query(&["--json", "--timeout", "0.2", "127.0.0.1:9"]);
    assert_eq!(objects(&output)[0]["verdict"], "unreachable");
    for arguments in [
        &[][..],
        &["--samples", "0", "a"],
        &["two words"],
        &["--region", "MOON"],
        &["--timeout", "-1", "a"],
        &["--timeout", "1e300", "a"],
    ] {
        let output = query(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
