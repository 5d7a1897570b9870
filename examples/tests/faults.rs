//! Every system call that writes a file fails once, in every way: no panic, the file is the old or the new one, and the
//! next run is as if nothing had happened. Needs strace, which injects the failures.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::path::Path;
use std::process::Command;

/// Calls that reading, writing and replacing a file make, with what the kernel may answer.
const CALLS: &[(&str, &[&str])] = &[
    ("openat", &["EACCES", "ENOENT", "EMFILE", "EROFS", "EINTR", "ELOOP"]),
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

    /// One run with one failure; false when the call is not made so often.
    fn fail(&self, call: &str, errno: &str, when: usize) -> bool {
        let root = self.root();
        let log = tempfile::NamedTempFile::new().unwrap();
        let output = Command::new("strace")
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
        let command = self.command(root.path());
        assert!(
            Command::new(&command[0]).args(&command[1..]).output().unwrap().status.success(),
            "{what}: the next run"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), self.after, "{what}: after the next run");
        let names: Vec<_> =
            std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.len() == 1 || call == "unlink" || call == "getdents64", "{what}: {names:?}");
        true
    }
}

#[test]
fn each_call_fails_once() {
    if Command::new("strace")
        .args(["-qq", "-e", "inject=fsync:error=EIO", "true"])
        .output()
        .map_or(true, |output| !output.status.success())
    {
        eprintln!("skipped: no strace, or it may not trace");
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
