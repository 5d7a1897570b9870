//! `xen-wallclock`, `ntp-conf` and `ntp-regions` as a user runs them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::path::Path;
use std::process::Command;

const XEN: &str = env!("CARGO_BIN_EXE_xen-wallclock");
const CONF: &str = env!("CARGO_BIN_EXE_ntp-conf");
const REGIONS: &str = env!("CARGO_BIN_EXE_ntp-regions");

/// Exit status, standard output, standard error.
fn run(program: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_wall_clock_becomes_the_guests() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    write(root.path(), "proc/sys/xen/independent_wallclock", "0\n");
    write(root.path(), "etc/sysctl.conf", "kernel.sysrq=0\n");
    write(root.path(), "run/cloud-init/instance-data.json", r#"{"v1": {"region": "dfw"}}"#);
    let (code, text, _) = run(XEN, &["--root", at, "status"]);
    assert_eq!(code, 1);
    assert!(text.contains("Xen owns the wall clock") && text.contains("--region DFW"), "{text}");

    let (code, text, _) = run(XEN, &["--root", at, "persist", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(
        text.ends_with(" kernel.sysrq=0\n+#Set independent wall clock time\n+xen.independent_wallclock=1\n"),
        "{text}"
    );
    assert_eq!(run(XEN, &["--root", at, "--dry-run", "enable"]).0, 0);
    assert_eq!(run(XEN, &["--root", at, "status"]).0, 1, "a dry run did something");

    assert_eq!(run(XEN, &["--root", at, "enable"]).0, 0);
    assert_eq!(run(XEN, &["--root", at, "persist"]).0, 0);
    let (code, text, _) = run(XEN, &["--root", at, "status", "--json"]);
    assert_eq!(code, 0);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&object["wall_clock"], &object["can_synchronize"]), (&"guest".into(), &true.into()));
    let conf = std::fs::read_to_string(root.path().join("etc/sysctl.conf")).unwrap();
    assert_eq!(conf, "kernel.sysrq=0\n#Set independent wall clock time\nxen.independent_wallclock=1\n");
    assert!(run(XEN, &["--root", at, "persist"]).1.starts_with("nothing to do"));
}

#[test]
fn a_modern_guest_needs_nothing() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    write(root.path(), "sys/hypervisor/type", "xen\n");
    write(root.path(), "etc/sysctl.conf", "");
    for command in ["enable", "persist"] {
        let (code, text, _) = run(XEN, &["--root", at, command]);
        assert_eq!(code, 0);
        assert!(text.starts_with("nothing to do: this kernel has no such switch"), "{text}");
    }
    assert_eq!(std::fs::read(root.path().join("etc/sysctl.conf")).unwrap(), b"");
    let (code, _, error) = run(XEN, &["--root", at, "persist", "--force"]);
    assert_eq!(code, 0);
    assert!(error.contains("`sysctl -p` fails"), "{error}");
}

#[test]
fn servers_are_set() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    let text = "driftfile /d\npool 0.debian.pool.ntp.org iburst\nrestrict default ignore\nincludefile more\n";
    write(root.path(), "etc/ntp.conf", text);
    write(root.path(), "etc/more", "server 192.0.2.9\n");
    let (code, diff, error) = run(CONF, &["--root", at, "set-servers", "--region", "lon", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(diff.contains("+server time2.lon1.rackspace.com iburst\n"), "{diff}");
    assert_eq!(error.lines().filter(|line| line.contains("`ignore` blocks time")).count(), 2, "{error}");
    assert_eq!(std::fs::read_to_string(root.path().join("etc/ntp.conf")).unwrap(), text);

    let (code, done, error) = run(CONF, &["--root", at, "set-servers", "--region", "lon", "--delete"]);
    assert_eq!(code, 0);
    assert!(done.ends_with("ntp.conf is changed; restart ntp to use it\n"), "{done}");
    assert!(error.contains("more names server 192.0.2.9 too"), "{error}");
    let (_, listed, _) = run(CONF, &["--root", at, "list"]);
    let servers: Vec<_> = listed.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(
        servers,
        ["server time.lon1.rackspace.com iburst", "server time2.lon1.rackspace.com iburst", "server 192.0.2.9"]
    );
    let (_, done, _) = run(CONF, &["--root", at, "set-servers", "--region", "lon"]);
    assert!(done.ends_with("is as it was\n"), "{done}");
}

#[test]
fn what_cannot_be_done_is_said_in_a_line() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    for (program, arguments, code, says) in [
        (XEN, &["--root", at, "enable"][..], 1, "this is not a Xen guest"),
        (XEN, &["--root", at, "persist"], 1, "this is not a Xen guest"),
        (CONF, &["--root", at, "list"], 1, "no configuration file found"),
        (CONF, &["--root", at, "set-servers", "--pool", "a b"], 1, "no configuration file found|not a host name"),
        (CONF, &["--file", "/nonexistent", "list"], 1, "/nonexistent does not exist"),
        (CONF, &["--file", "/", "list"], 1, "/ is not a regular file"),
    ] {
        let (found, text, error) = run(program, arguments);
        assert_eq!((found, text.as_str(), error.lines().count()), (code, "", 1), "{arguments:?}: {error}");
        assert!(says.split('|').any(|says| error.contains(says)), "{error}");
    }
    for (program, arguments) in [
        (XEN, &[][..]),
        (XEN, &["--root", "/nonexistent", "status"]),
        (CONF, &[]),
        (CONF, &["--root", "/etc/passwd", "files"]),
        (CONF, &["set-servers"]),
        (REGIONS, &["XYZ"]),
    ] {
        let (found, _, error) = run(program, arguments);
        assert_eq!(found, 2, "{arguments:?}");
        assert!(!error.is_empty());
    }
}

/// A full disk behind standard output is a failure in one line; a reader that has gone is none. Neither is a panic.
#[test]
fn output_may_fail() {
    let full = || std::fs::File::create("/dev/full").unwrap();
    let output = Command::new(REGIONS).stdout(full()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    let output = Command::new("sh").args(["-c", "(sleep 0.3; \"$0\"; echo $? >&2) | true", REGIONS]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
}

#[test]
fn the_table_is_shown() {
    let (code, text, _) = run(REGIONS, &[]);
    assert_eq!((code, text.lines().count()), (0, 13));
    let (code, text, _) = run(REGIONS, &["syd", "DFW", "--json"]);
    assert_eq!(code, 0);
    let hosts: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["host"].to_string()).collect();
    assert_eq!(hosts.len(), 4);
    assert_eq!(hosts[0], "\"time.dfw1.rackspace.com\"");
    assert_eq!(run(REGIONS, &["--suggest"]).0, 0);
    // Where the hosts have no address, each says so.
    let (code, text, _) = run("unshare", &["-rn", REGIONS, "--query", "HKG", "--json"]);
    if text.is_empty() {
        eprintln!("skipped: no network namespace");
        return;
    }
    assert_eq!((code, text.lines().count()), (1, 2));
    assert!(text.lines().all(|line| line.contains("\"error\":\"not resolved: ")), "{text}");
}
