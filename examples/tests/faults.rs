//! Every system call that writes a file fails once, in every way: no panic, the file is the old or the new one, and the
//! next run is as if nothing had happened. And the writer is killed before each of them: nothing else is left. Needs strace,
//! which injects failures and signals.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::path::Path;
use std::process::{Command, Stdio};

/// Calls that reading, writing and replacing a file make, with what the kernel may answer.
const CALLS: &[(&str, &[&str])] = &[
    ("openat", &["EACCES", "ENOENT", "EMFILE", "EROFS", "EINTR", "ELOOP", "EOPNOTSUPP", "EISDIR"]),
    ("read", &["EIO", "EISDIR", "EINTR"]),
    ("write", &["EIO", "ENOSPC", "EPERM", "EINVAL", "EINTR", "EDQUOT"]),
    ("statx", &["EACCES", "ENOENT", "EIO", "ENOMEM"]),
    ("readlink", &["EACCES", "EIO"]),
    ("getdents64", &["EIO", "ENOENT"]),
    ("fchown", &["EPERM", "EIO", "EROFS"]),
    ("fchmod", &["EPERM", "EIO", "EROFS"]),
    ("flistxattr", &["ENOTSUP", "EIO", "E2BIG"]),
    ("fremovexattr", &["ENOTSUP", "ENODATA", "EPERM", "EIO"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT", "EINVAL", "EINTR"]),
    ("linkat", &["EEXIST", "ENOENT", "EPERM", "EXDEV", "ENOSPC", "EIO", "ENOSYS"]),
    ("rename", &["EBUSY", "EACCES", "EXDEV", "EROFS", "ENOSPC", "EIO"]),
    ("renameat2", &["EINVAL", "ENOSYS", "EEXIST", "EACCES", "EIO"]),
    ("unlink", &["EACCES", "EBUSY", "EIO"]),
];

/// Each call fails so many times at most, one run for each; the loader's own calls come first.
const MOST: usize = 60;

struct Case {
    program: &'static str,
    arguments: &'static [&'static str],
    /// The file that is written, what it holds before (nothing: it is not there) and after.
    file: &'static str,
    before: Option<&'static str>,
    after: &'static str,
}

const CASES: &[Case] = &[
    Case {
        program: env!("CARGO_BIN_EXE_xen-wallclock"),
        arguments: &["enable"],
        file: "proc/sys/xen/independent_wallclock",
        before: Some("0\n"),
        after: "1\n",
    },
    Case {
        program: env!("CARGO_BIN_EXE_xen-wallclock"),
        arguments: &["persist"],
        file: "etc/sysctl.conf",
        before: Some("a = 1\n"),
        after: "a = 1\n#Set independent wall clock time\nxen.independent_wallclock=1\n",
    },
    Case {
        program: env!("CARGO_BIN_EXE_xen-wallclock"),
        arguments: &["persist"],
        file: "etc/sysctl.conf",
        before: None,
        after: "#Set independent wall clock time\nxen.independent_wallclock=1\n",
    },
    Case {
        program: env!("CARGO_BIN_EXE_ntp-conf"),
        arguments: &["set-servers", "192.0.2.1"],
        file: "etc/ntp.conf",
        before: Some("pool a\n"),
        after: "server 192.0.2.1 iburst\n#ntp-conf# pool a\n",
    },
];

impl Case {
    fn root(&self) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for directory in ["etc", "proc/sys/xen"] {
            std::fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        std::fs::write(root.path().join("proc/sys/xen/independent_wallclock"), "0\n").unwrap();
        if let Some(before) = self.before {
            std::fs::write(root.path().join(self.file), before).unwrap();
        }
        root
    }

    fn command(&self, root: &Path) -> Vec<String> {
        let root = root.to_str().unwrap();
        [self.program, "--root", root].iter().chain(self.arguments).map(ToString::to_string).collect()
    }

    /// One run that is killed before a call; false when the call is not made so often, else whether something is left beside
    /// the file.
    fn kill(&self, call: &str, when: usize) -> Option<bool> {
        let root = self.root();
        let status = strace()
            .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=KILL:when={when}")])
            .args(self.command(root.path()))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        if status.success() {
            return None;
        }
        let what = format!("{:?} killed before {call} {when}: {status}", self.arguments);
        let file = root.path().join(self.file);
        let found = std::fs::read_to_string(&file).ok();
        // The kernel's switch is no file: opened to be written it is empty here.
        let is_whole = [self.before, Some(self.after)].contains(&found.as_deref()) || self.file.starts_with("proc/");
        assert!(is_whole, "{what}: {found:?}");
        let names = std::fs::read_dir(file.parent().unwrap()).unwrap().count();
        let left = names - usize::from(found.is_some());
        assert!(self.run(root.path()), "{what}: the next run");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), self.after, "{what}: after the next run");
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "{what}: after the next run");
        Some(left > 0)
    }

    fn run(&self, root: &Path) -> bool {
        let command = self.command(root);
        Command::new(&command[0]).args(&command[1..]).output().unwrap().status.success()
    }

    /// One run with one failure; false when the call is not made so often.
    fn fail(&self, call: &str, errno: &str, when: usize) -> bool {
        let root = self.root();
        let log = tempfile::NamedTempFile::new().unwrap();
        let output = strace()
            .args(["-qq", "-o"])
            .arg(log.path())
            .args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={errno}:when={when}")])
            .args(self.command(root.path()))
            .output()
            .unwrap();
        let log = std::fs::read_to_string(log.path()).unwrap();
        let Some(injected) = log.lines().find(|line| line.contains("(INJECTED)")) else { return false };
        let what = format!("{:?}: {injected}", self.arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        // The loader ends in its own way.
        if output.status.code() == Some(127) {
            return true;
        }
        // A root that cannot be looked at is a wrong argument.
        if output.status.code() == Some(2) && error.starts_with("error: invalid value") {
            return true;
        }
        assert!(matches!(output.status.code(), Some(0 | 1)), "{what}: {:?} {error}", output.status);
        let file = root.path().join(self.file);
        let found = std::fs::read_to_string(&file).ok();
        let is_new = found.as_deref() == Some(self.after);
        assert!(is_new || found.as_deref() == self.before, "{what}: {found:?}");
        if output.status.success() {
            let is_done = is_new || String::from_utf8_lossy(&output.stdout).contains("nothing to do");
            assert!(is_done, "{what}: said it was done");
        } else {
            assert_eq!(error.lines().filter(|line| !line.contains("warning")).count(), 1, "{what}: {error}");
        }
        // The next run does it, and nothing else is left.
        assert!(self.run(root.path()), "{what}: the next run");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), self.after, "{what}: after the next run");
        let names: Vec<_> =
            std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.len() == 1 || call == "unlink" || call == "getdents64", "{what}: {names:?}");
        true
    }
}

/// Without the library path that cargo sets, for which the loader looks in dozens of places first.
fn strace() -> Command {
    let mut command = Command::new("strace");
    command.env_remove("LD_LIBRARY_PATH");
    command
}

fn has_strace() -> bool {
    let output = strace().args(["-qq", "-e", "inject=fsync:error=EIO", "true"]).output();
    let is_there = output.is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("skipped: no strace, or it may not trace");
    }
    is_there
}

#[test]
fn each_call_fails_once() {
    if !has_strace() {
        return;
    }
    let mut count = 0;
    for case in CASES {
        for (call, errnos) in CALLS {
            // Every place once, the answers in turn; and every answer once at the last place.
            let places = (1..=MOST).take_while(|&when| case.fail(call, errnos[when % errnos.len()], when)).count();
            count += places;
            for errno in *errnos {
                count += usize::from(places > 0 && case.fail(call, errno, places));
            }
        }
    }
    assert!(count > 100, "only {count} failures were injected");
    println!("{count} failures injected");
}

/// Nothing is left but in one place: between the naming of a whole copy and its renaming over a file that exists.
#[test]
fn killed_before_each_call() {
    if !has_strace() {
        return;
    }
    let mut count = 0;
    for case in CASES {
        let left = |call: &str| (1..=MOST).map_while(|when| case.kill(call, when)).collect::<Vec<bool>>();
        let left: Vec<_> = CALLS.iter().map(|&(call, _)| (call, left(call))).collect();
        count += left.iter().map(|(_, kills)| kills.len()).sum::<usize>();
        // Without files that have no name there is nothing to be linked.
        if left.iter().any(|(call, kills)| *call == "linkat" && !kills.is_empty()) {
            let places: Vec<_> =
                left.iter().filter(|(_, kills)| kills.contains(&true)).map(|&(call, _)| call).collect();
            let expected: &[&str] = if case.before.is_some() { &["rename"] } else { &[] };
            assert_eq!(places, expected, "{:?}", case.arguments);
        }
    }
    assert!(count > 100, "only {count} kills");
    println!("{count} kills");
}
