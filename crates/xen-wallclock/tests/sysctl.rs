//! `sysctl.conf`: properties, edits, and our reading against `sysctl -p`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use xen_wallclock::{Edit, Sysctl, KEY};

const COMMENT: &str = "#Set independent wall clock time";

fn set(text: &str) -> (Edit, String) {
    let mut conf = Sysctl::parse(text.as_bytes());
    let edit = conf.set(KEY, "1", COMMENT);
    (edit, String::from_utf8(conf.to_bytes()).unwrap())
}

#[test]
fn the_guides_lines_are_added() {
    let lines = "#Set independent wall clock time\nxen.independent_wallclock=1\n";
    assert_eq!(set(""), (Edit::Added, lines.into()));
    assert_eq!(set("a = 1\n"), (Edit::Added, format!("a = 1\n{lines}")));
    assert_eq!(set("a = 1"), (Edit::Added, format!("a = 1\n{lines}")));
    assert_eq!(set("a = 1\r\n"), (Edit::Added, format!("a = 1\r\n{}", lines.replace('\n', "\r\n"))));
    assert_eq!(set("a = 1\r\nb"), (Edit::Added, format!("a = 1\r\nb\r\n{}", lines.replace('\n', "\r\n"))));
    assert_eq!(set(lines), (Edit::Unchanged, lines.into()));
    // Below its comment, if that is there without its line.
    let commented = "#Set independent wall clock time\n#xen.independent_wallclock=1\nb = 2\n";
    let expected =
        "#Set independent wall clock time\nxen.independent_wallclock=1\n#xen.independent_wallclock=1\nb = 2\n";
    assert_eq!(set(commented), (Edit::Added, expected.into()));
}

#[test]
fn the_last_line_that_counts_is_changed() {
    for (before, after) in [
        ("xen.independent_wallclock=0\n", "xen.independent_wallclock=1\n"),
        ("xen.independent_wallclock=0", "xen.independent_wallclock=1"),
        ("xen/independent_wallclock = 0\r\n", "xen/independent_wallclock = 1\r\n"),
        (
            " \t- xen.independent_wallclock = 0\n",
            " \t- xen.independent_wallclock = 0\n#Set independent wall clock time\nxen.independent_wallclock=1\n",
        ),
        ("-xen.independent_wallclock =\t0 \t\n", "-xen.independent_wallclock =\t1 \t\n"),
        ("xen.independent_wallclock=\n", "xen.independent_wallclock=1\n"),
        ("xen.independent_wallclock= \r\n", "xen.independent_wallclock= 1\r\n"),
        ("xen.independent_wallclock=0 # no comment\n", "xen.independent_wallclock=1\n"),
        (
            "xen.independent_wallclock=1\nx = 2\nxen/independent_wallclock=0\n",
            "#xen.independent_wallclock=1\nx = 2\nxen/independent_wallclock=1\n",
        ),
    ] {
        assert_eq!(set(before).1, after, "{before:?}");
    }
    for kept in [
        "xen.independent_wallclock=1",
        "-xen/independent_wallclock \t= 1\t\r\n# end",
        "xen.independent_wallclock=0\nxen.independent_wallclock=1\n",
        "xen.independent_wallclock=1\nxen.*=0\n",
    ] {
        assert_eq!(set(kept), (Edit::Unchanged, kept.into()));
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "xen.independent_wallclock", "xen/independent_wallclock", "-xen.independent_wallclock", "--xen.independent_wallclock",
            "xen.permitted_clock_jitter", "net.ipv4.ip_forward", "net/ipv4/conf/eth0.100/forwarding",
            "net.ipv4.conf.eth0/100.forwarding", "xen.*", "xen/*", "*/independent_wallclock", "-xen.*", "*.*", "-*",
            "xen.independent[_]wallclock", "xen.?ndependent_wallclock", "*", "net.*.ip_forward",
            "=", "=", "=", " = ", "0", "1", "2", " 1 2 ", "#", ";", "-", " ", "\t", "\r", "\n", "\n", "\r\n", "\u{b}",
        ]).prop_map(String::from),
        1 => "[ -~]{0,3}",
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(word(), 0..40).prop_map(|words| words.concat().into_bytes());
    prop_oneof![4 => words, 1 => prop::collection::vec(any::<u8>(), 0..120)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_read_is_written(text in text()) {
        prop_assert_eq!(Sysctl::parse(&text).to_bytes(), text);
    }

    #[test]
    fn setting_touches_only_its_lines(text in text()) {
        let before = Sysctl::parse(&text);
        let mut conf = before.clone();
        let edit = conf.set(KEY, "1", COMMENT);
        let written = conf.to_bytes();
        prop_assert_eq!(edit == Edit::Unchanged, written == text);
        prop_assert_eq!(conf.value(KEY), Some("1"));
        // What was written reads as it was meant, and a second run changes no byte.
        let mut again = Sysctl::parse(&written);
        prop_assert_eq!(&again, &conf);
        prop_assert_eq!(again.set(KEY, "1", COMMENT), Edit::Unchanged);
        prop_assert_eq!(again.to_bytes(), &written[..]);
        // Other settings stand as they stood, in their order; but a single `=` or `-` is one only with a line's end.
        let others = |conf: &Sysctl| {
            conf.settings().filter(|setting| !["", "xen/independent_wallclock"].contains(&setting.path.as_str())).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(others(&before), others(&conf));
        // Lines that do not set it are there byte for byte, but for an end that the last one may have got.
        let lines = |bytes: &[u8]| bytes.split_inclusive(|&octet| octet == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let is_ours = |line: &[u8]| Sysctl::parse(line).settings().any(|setting| setting.path == "xen/independent_wallclock" && setting.value.is_some());
        let now = lines(&written);
        for line in lines(&text).iter().filter(|line| !is_ours(line)) {
            let has_end = |other: &Vec<u8>| other.strip_prefix(&line[..]).is_some_and(|rest| matches!(rest, b"" | b"\n" | b"\r\n"));
            prop_assert!(now.iter().any(has_end), "{:?}", String::from_utf8_lossy(line));
        }
    }
}

/// Keys that exist where the comparison runs.
const KEYS: [&str; 4] = [
    "xen/independent_wallclock",
    "xen/permitted_clock_jitter",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/eth0.100/forwarding",
];

/// What a key holds before `sysctl` runs.
const UNSET: &str = "unset";

/// Files as administrators write them, and as they get them wrong.
const CASES: &[&str] = &[
    "",
    "\n",
    "xen.independent_wallclock=1\n",
    "xen.independent_wallclock=1",
    "#Set independent wall clock time\nxen.independent_wallclock=1\n",
    "xen/independent_wallclock=1\n",
    "  xen.independent_wallclock  =  1  \n",
    "\txen.independent_wallclock\t=\t1\t\r\n",
    "xen.independent_wallclock=1\r\n",
    "xen.independent_wallclock 1\n",
    "xen.independent_wallclock\n",
    "=1\n",
    "=\n",
    "a\n",
    "a=\n",
    "-xen.independent_wallclock=1\n",
    "- xen.independent_wallclock=1\n",
    "--xen.independent_wallclock=1\n",
    "---xen.independent_wallclock=1\n",
    "-xen.independent_wallclock\n",
    "-xen.independent_wallclock\nxen.independent_wallclock=1\n",
    "xen.independent_wallclock=1\n-xen.independent_wallclock\n",
    "-xen.independent_wallclock\nxen.*=1\n",
    "xen.*=1\n",
    "xen.*=1\n-xen.permitted*\n",
    "xen/*=1\n",
    "xen.*=1\nxen.independent_wallclock=2\n",
    "xen.independent_wallclock=2\nxen.*=1\n",
    "xen.*=1\nxen.i*=2\n",
    "xen.i*=2\nxen.*=1\n",
    "*=1\n",
    "*.independent_wallclock=1\n",
    "-*\nxen.*=1\n",
    "-xen/*\nxen.*=1\n",
    "xen.**=3\n",
    "x**n.i***=3\n",
    "**.independent_wallclock=3\n",
    "xen.[a-j]*=3\n",
    "xen.[!a-j]*=3\n",
    "xen.independent_wallcloc?=4\n",
    "net.ipv4.conf.eth0/100.forwarding=1\n",
    "net/ipv4/conf/eth0.100/forwarding=2\n",
    "net.ipv4.conf.eth0.100.forwarding=3\n",
    "net.ipv4.conf.*.forwarding=4\n",
    "net.ipv4.*=5\n",
    "xen.independent_wallclock=0\nxen/independent_wallclock=1\n",
    "xen/independent_wallclock=1\nxen.independent_wallclock=0\n",
    "#xen.independent_wallclock=1\n;xen.independent_wallclock=2\n  # xen.independent_wallclock=3\n",
    "xen.independent_wallclock=1 # not a comment\n",
    "xen.independent_wallclock=1 2  3\n",
    "xen.independent_wallclock==1\n",
    "xen.independent_wallclock=\n",
    "xen.independent_wallclock=   \n",
    "xen.independent_wallclock=\"1\"\n",
    "XEN.independent_wallclock=1\n",
    "xen..independent_wallclock=1\n",
    "xen/./independent_wallclock=1\n",
    "xen//independent_wallclock=1\n",
    ".xen.independent_wallclock=1\n",
    "/xen/independent_wallclock=1\n",
    "xen.independent_wallclock.=1\n",
    "xen.independent_wallclock\\\n=1\n",
    "xen.independent_wallclock=1\\\n2\n",
    "nonsense\nxen.independent_wallclock=1\nmore nonsense\n",
    "kernel.nonexistent=1\nxen.independent_wallclock=1\n",
    "xen.independent_wallclock=1\u{b}\n\u{c}xen.permitted_clock_jitter=2\n",
    "xen.independent_wallclock=caf\u{e9}\n",
];

/// Runs `sysctl -p` on every file in a mount namespace with a `/proc/sys` of our own; the values of `keys` after each.
fn run(files: &[Vec<u8>], keys: &[String]) -> Option<Vec<Vec<String>>> {
    let directory = tempfile::tempdir().unwrap();
    for (index, text) in files.iter().enumerate() {
        std::fs::write(directory.path().join(index.to_string()), text).unwrap();
    }
    let script = format!(
        "set -e; mount -t tmpfs none /proc/sys; mkdir -p $(dirname $(printf '/proc/sys/%s ' {keys}))
        for file in $(seq 0 {last}); do
            for key in {keys}; do echo {UNSET} >/proc/sys/$key; done
            sysctl -q -p {directory}/$file >{directory}/$file.out 2>&1 || true
            for key in {keys}; do cat /proc/sys/$key; done >{directory}/$file.values
        done",
        last = files.len() - 1,
        keys = keys.join(" "),
        directory = directory.path().display(),
    );
    let status = Command::new("unshare").args(["--mount", "sh", "-c", &script]).status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no mount namespace (this needs root)");
        return None;
    }
    let values = |index: usize| {
        let text = std::fs::read(directory.path().join(format!("{index}.values"))).unwrap();
        String::from_utf8_lossy(&text).split('\n').take(keys.len()).map(|value| value.trim().to_string()).collect()
    };
    Some((0..files.len()).map(values).collect())
}

/// Compares what each file sets; returns how many were compared.
fn compare(files: &[Vec<u8>], keys: &[String]) -> Option<usize> {
    let theirs = run(files, keys)?;
    let mut compared = 0;
    for (text, theirs) in files.iter().zip(&theirs) {
        let conf = Sysctl::parse(text);
        // procps 4.0 takes these patterns literally; later ones, and systemd, match them.
        let keeps_off = |path: &str| path.contains(['*', '?', '[']);
        if conf.settings().any(|setting| setting.value.is_none() && keeps_off(&setting.path)) {
            continue;
        }
        compared += 1;
        let ours: Vec<String> = keys.iter().map(|key| conf.value(key).unwrap_or(UNSET).to_string()).collect();
        assert_eq!(&ours, theirs, "ours and sysctl's of {:?}", String::from_utf8_lossy(text));
    }
    Some(compared)
}

fn has_sysctl() -> bool {
    let is_there = ["/usr/sbin/sysctl", "/sbin/sysctl"].iter().any(|path| Path::new(path).exists());
    if !is_there {
        eprintln!("skipped: no sysctl (package procps)");
    }
    is_there
}

#[test]
fn sysctl_reads_what_we_read() {
    if !has_sysctl() {
        return;
    }
    let mut files: Vec<Vec<u8>> = CASES.iter().map(|text| text.as_bytes().to_vec()).collect();
    let mut runner = TestRunner::deterministic();
    files.extend(
        (0..400).map(|_| {
            prop::collection::vec(word(), 0..24).new_tree(&mut runner).unwrap().current().concat().into_bytes()
        }),
    );
    let Some(compared) = compare(&files, &KEYS.map(String::from)) else { return };
    println!("{compared} of {} files compared", files.len());
}

/// The files of a directory and those below it.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() && !path.is_symlink() { files_below(&path) } else { vec![path] }).collect()
}

/// What packages bring for `sysctl`: this system's, and those that `.ci/fetch-daemons` unpacks.
fn distribution_files() -> Vec<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/daemons");
    let unpacked = std::env::var_os("NTP_TEST_DAEMONS").map_or_else(default, PathBuf::from).join("sysctl");
    if !unpacked.exists() {
        eprintln!("skipped: no {} (.ci/fetch-daemons unpacks it)", unpacked.display());
    }
    let is_one = |path: &PathBuf| {
        let text = path.to_string_lossy();
        let is_named_so =
            text.ends_with("/sysctl.conf") || text.ends_with(".sysctl") && !text.ends_with("README.sysctl");
        is_named_so || text.contains("/sysctl.d/") && text.ends_with(".conf")
    };
    let mut files: Vec<_> = ["/etc/sysctl.d", "/usr/lib/sysctl.d"].map(|path| files_below(Path::new(path))).concat();
    files.push("/etc/sysctl.conf".into());
    files.extend(files_below(&unpacked));
    files.retain(|path| is_one(path) && path.is_file());
    files.sort();
    files
}

/// Every key that a package's file sets, not only ours: its value as `sysctl` writes it, before and after our edit.
#[test]
fn distribution_files_are_read_as_sysctl_reads_them() {
    if !has_sysctl() {
        return;
    }
    let paths = distribution_files();
    let originals: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut files = originals.clone();
    files.extend(originals.iter().map(|text| {
        let mut conf = Sysctl::parse(text);
        conf.set(KEY, "1", COMMENT);
        conf.to_bytes()
    }));
    // Named by a reading of its own: whatever stands before a `=`, if only in a comment.
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._-/".contains(&octet);
    let mut keys: Vec<String> = originals
        .iter()
        .flat_map(|text| text.split(|&octet| octet == b'\n').map(<[u8]>::to_vec))
        .filter_map(|line| String::from_utf8(line).ok())
        .filter_map(|line| Some(line.split_once('=')?.0.trim_matches(['#', '-', ' ', '\t']).replace('.', "/")))
        .filter(|key| key.contains('/') && key.bytes().all(is_plain))
        .chain(KEYS.map(String::from))
        .collect();
    keys.sort();
    keys.dedup();
    let Some(compared) = compare(&files, &keys) else { return };
    let names: Vec<_> = paths.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    println!("{compared} of {} files compared in {} keys: {}", files.len(), keys.len(), names.join(", "));
}
