//! Our reading of configuration files against the daemons': what each takes from the same file.
//!
//! The daemons are Debian's, unpacked by `.ci/fetch-daemons` (or named by `NTP_TEST_DAEMONS`, a directory with `ntp`,
//! `ntpsec`, `chrony` and `cloud-init` in it). What is absent is skipped with a printed reason. They run without the
//! right to set a clock, ntpd in a network namespace of its own, and are ended as soon as they have read their file.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

mod cases;
mod chronyd;
mod ntpd;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of an unpacked package, if it is there.
fn unpacked(package: &str, path: &str) -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/daemons");
    let directory = std::env::var_os("NTP_TEST_DAEMONS").map_or_else(default, PathBuf::from);
    let found = directory.join(package).join(path);
    if !found.exists() {
        eprintln!("skipped: no {path} of {package} (.ci/fetch-daemons unpacks it)");
        return None;
    }
    Some(found)
}

/// A command without the right to set a clock.
fn without_clock(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_time", "--inh-caps=-sys_time"]).arg(program);
    command
}

/// The configuration files of a distribution's image: cloud-init's templates for a daemon, filled with servers of ours.
fn distribution_files(daemon: &str) -> Vec<(String, String)> {
    let Some(directory) = unpacked("cloud-init", "etc/cloud/templates") else { return Vec::new() };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(&format!("{daemon}.conf.")) {
            files.push((name, fill(&std::fs::read_to_string(&path).unwrap())));
        }
    }
    files.sort();
    files
}

/// Takes a template's `{% … %}` away and puts an address in place of each `{{ … }}`.
fn fill(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template.strip_prefix("## template:jinja\n").unwrap_or(template);
    let mut count = 0;
    while let Some((before, after)) = rest.split_once('{') {
        text += before;
        if let Some(after) = after.strip_prefix('%') {
            rest = after.split_once("%}").unwrap().1;
        } else if let Some(after) = after.strip_prefix('{') {
            count += 1;
            text += &format!("192.0.2.{count}");
            rest = after.split_once("}}").unwrap().1;
        } else {
            text.push('{');
            rest = after;
        }
    }
    text + rest
}
