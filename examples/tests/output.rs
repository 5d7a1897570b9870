//! Standard output that nobody reads, or that is full: a quiet end, or one line. No program panics over it.
#![allow(clippy::unwrap_used)] // tests
#![cfg(target_os = "linux")]

use std::fs::File;
use std::process::{Command, Output, Stdio};

const PRINTING: &[(&str, &str, &[&str])] = &[
    ("ntp-query", env!("CARGO_BIN_EXE_ntp-query"), &["127.0.0.1:9", "--timeout", "0.1"]),
    ("ntp-agent", env!("CARGO_BIN_EXE_ntp-agent"), &["--duration", "1"]),
    ("ntp-agent", env!("CARGO_BIN_EXE_ntp-agent"), &["--duration", "1", "--json"]),
    ("ntp-sim", env!("CARGO_BIN_EXE_ntp-sim"), &["--list"]),
    ("ntp-sim", env!("CARGO_BIN_EXE_ntp-sim"), &["lan10us", "--poll", "free", "--seeds", "1"]),
    ("ntp-regions", env!("CARGO_BIN_EXE_ntp-regions"), &[]),
    ("ntp-conf", env!("CARGO_BIN_EXE_ntp-conf"), &["files"]),
    ("ntp-clock", env!("CARGO_BIN_EXE_ntp-clock"), &[]),
];

fn run(program: &str, arguments: &[&str], stdout: impl Into<Stdio>) -> (Output, String) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(stdout).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
fn who_stops_reading_is_told_nothing() {
    for &(name, program, arguments) in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (output, said) = run(program, arguments, writer);
        assert!(matches!(output.status.code(), Some(0 | 1)) && said.is_empty(), "{name}: {:?} {said}", output.status);
    }
}

#[test]
fn what_cannot_be_written_is_said_in_one_line() {
    for &(name, program, arguments) in PRINTING {
        let (output, said) = run(program, arguments, File::create("/dev/full").unwrap());
        assert!(matches!(output.status.code(), Some(1 | 2)), "{name}: {:?} {said}", output.status);
        assert!(said.starts_with(&format!("{name}: ")) && said.lines().count() == 1, "{name}: {said}");
    }
}

/// Programs that have something to remark: each is told off, or warns.
const REMARKING: &[(&str, &[&str])] = &[
    (env!("CARGO_BIN_EXE_ntp-query"), &["nowhere.invalid", "--timeout", "0.1"]),
    (env!("CARGO_BIN_EXE_ntp-agent"), &["--config", "/nowhere"]),
    (env!("CARGO_BIN_EXE_ntp-dump"), &["/nowhere"]),
    (env!("CARGO_BIN_EXE_ntp-conf"), &["--file", "/nowhere", "servers"]),
    (env!("CARGO_BIN_EXE_ntp-serve"), &["--listen", "192.0.2.1:1"]),
];

#[test]
fn nobody_to_complain_to_is_no_reason_to_panic() {
    for &(program, arguments) in REMARKING {
        let complaining = |stderr: Stdio| {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).output().unwrap()
        };
        let heard = complaining(Stdio::piped());
        assert!(!heard.stderr.is_empty() && !heard.status.success(), "{program}: {:?}", heard.status);
        let unheard = complaining(File::create("/dev/full").unwrap().into());
        assert_eq!(unheard.status.code(), heard.status.code(), "{program}");
    }
}

#[test]
fn a_warning_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chrony.conf");
    let path = file.to_str().unwrap();
    std::fs::write(&file, format!("include {path}\ninclude /nowhere/more\nserver a.example\n")).unwrap();
    let (output, said) = run(env!("CARGO_BIN_EXE_ntp-conf"), &["--file", path, "list"], Stdio::piped());
    assert!(output.status.success(), "{said}");
    let about = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!((about("/nowhere/more does not exist"), about("levels deep")), (1, 2), "{said}");
}
