//! `ntp-serve` as a child of a test.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)] // no test needs all of it

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running server; killed when the test fails.
pub(crate) struct Serve {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) errors: BufReader<ChildStderr>,
}

impl Serve {
    /// From the agent.
    pub(crate) fn hear(&mut self, lines: impl AsRef<[u8]>) {
        let pipe = self.child.stdin.as_mut().unwrap();
        pipe.write_all(lines.as_ref()).unwrap();
        pipe.write_all(b"\n").unwrap();
    }

    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_under(&[], arguments)
    }

    /// As the child of another program.
    pub(crate) fn start_under(before: &[&str], arguments: &[&str]) -> Self {
        let mut words = before.iter().copied().chain([env!("CARGO_BIN_EXE_ntp-serve")]);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line.strip_prefix("serving on ").and_then(|rest| rest.split(',').next()).expect(&line);
        Self { address: address.parse().unwrap(), child, errors }
    }

    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Ends it as an operator would; what it printed.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal("-TERM");
        let start = Instant::now();
        let mut printed = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let status = self.child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "it took {:?} to end", start.elapsed());
        (status, printed)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
