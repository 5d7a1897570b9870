//! What only a machine whose clock may be changed can show: run inside a virtual one by `.ci/vm/clock`, never on a host.
//!
//! `clock`: the kernel's clock, its traps and slews. `rtc`: the hardware clock. `boot DISK`: over a reboot. `hwclock`: beside
//! the real hwclock. `zone local|utc`: the first zone the kernel is told. `agent`: ntp-agent, from a clock that is decades wrong.
//! The exit status is the number of checks that failed. `reference PORT` runs on the host and tells the time by UDP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test

mod agent;
mod boot;
mod check;
mod clock;
mod hwclock;
mod rtc;
mod zone;

use std::net::UdpSocket;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut checks = check::Checks::default();
    match words.as_slice() {
        ["reference", port] => reference(port),
        ["unprivileged"] => clock::unprivileged(&mut checks),
        ["victim", net] => clock::victim(net),
        ["clock"] => clock::run(&mut checks),
        ["rtc"] => rtc::run(&mut checks),
        ["rtc-local"] => rtc::there_and_back(&mut checks, ntp_clock::rtc::TimeScale::Local),
        ["zone", scale] => zone::run(&mut checks, scale),
        ["in-zone", scale] => zone::inside(&mut checks, scale),
        ["hwclock"] => hwclock::run(&mut checks),
        ["agent"] => agent::run(&mut checks),
        ["boot", disk] => boot::run(&mut checks, disk),
        _ => panic!("clock | rtc | zone local|utc | hwclock | boot DISK | agent | reference PORT"),
    }
    std::process::exit(checks.finish());
}

/// Answers each datagram with this machine's time, nanoseconds since 1970.
fn reference(port: &str) {
    let socket = UdpSocket::bind(format!("127.0.0.1:{port}")).unwrap();
    let mut question = [0; 16];
    loop {
        let (_, from) = socket.recv_from(&mut question).unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let _ = socket.send_to(&now.as_nanos().to_be_bytes(), from);
    }
}
