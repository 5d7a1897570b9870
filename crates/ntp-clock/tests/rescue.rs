//! The guard of a process that slews, as a process: that it is gone is noticed. No clock is touched: nothing is armed here, and
//! a guard that was told of no slew sets nothing back.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // tests

use std::process::Command;
use std::time::{Duration, Instant};

use ntp_clock::rescue::{is_guarded, start_guard};

/// The children of this process that are guards and have not ended.
fn guards() -> Vec<String> {
    let is_ours = |stat: &str| {
        // 4242 (ntp-clock-guard) S 4241 …
        let mut words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (state, parent) = (words.next(), words.next());
        stat.contains("(ntp-clock-guard)")
            && state != Some("Z")
            && parent == Some(std::process::id().to_string().as_str())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    stats.filter(|stat| is_ours(stat)).filter_map(|stat| Some(stat.split_whitespace().next()?.to_owned())).collect()
}

fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !is_so() && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    is_so()
}

#[test]
fn a_guard_that_died_is_missed_and_another_one_can_stand() {
    assert!(!is_guarded());
    for _ in 0..2 {
        start_guard().unwrap();
        assert!(is_guarded());
        assert!(wait_until(|| guards().len() == 1), "{:?}", guards());
        start_guard().unwrap();
        assert_eq!(guards().len(), 1, "a second call does nothing");
        assert!(Command::new("kill").args(["-KILL", &guards()[0]]).status().unwrap().success());
        assert!(wait_until(|| !is_guarded()));
    }
}
