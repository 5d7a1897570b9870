//! chronyd: `-p` prints what it reads, and it ends at the first line it does not like.

use std::path::Path;

use ntp_conf::{Association, Configuration, Dialect, Document, Keyword, Problem};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::{cases, distribution_files, unpacked, without_clock};

/// The addresses of the association lines that chronyd prints, or `None` when it refuses the file.
fn run(program: &Path, file: &Path) -> Option<Vec<String>> {
    let output = without_clock(program).args(["-x", "-U", "-p", "-f"]).arg(file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = |line: &str| {
        let mut words = line.split(' ');
        let is_ours = words
            .next()
            .is_some_and(|first| ["server", "pool", "peer"].iter().any(|kind| first.eq_ignore_ascii_case(kind)));
        words.next().filter(|_| is_ours).map(String::from)
    };
    output.status.success().then(|| text.lines().filter_map(address).collect())
}

fn ours(text: &str) -> Option<Vec<String>> {
    let document = Document::parse(Dialect::Chrony, text.as_bytes());
    let accepted = document.associations().all(Association::is_accepted);
    accepted.then(|| document.associations().map(|found| found.address().to_string()).collect())
}

/// Whether we refuse a file only for a whole number out of its range: older chronyd look at few ranges.
fn is_out_of_range(text: &str) -> bool {
    let document = Document::parse(Dialect::Chrony, text.as_bytes());
    let problems: Vec<_> = document.associations().filter_map(Association::problem).collect();
    let is_range = |problem: &&Problem| match problem {
        Problem::BadValue { value: Some(value), .. } => value.parse::<i64>().is_ok(),
        _ => false,
    };
    !problems.is_empty() && problems.iter().all(is_range)
}

/// Compares a text; says whether both accept it.
fn compare(program: &Path, file: &Path, name: &str, text: &str) -> bool {
    std::fs::write(file, text).unwrap();
    let (ours, theirs) = (ours(text), run(program, file));
    if ours.is_none() && theirs.is_some() && is_out_of_range(text) {
        println!("this chronyd does not look at a range: {}", text.trim_end());
        return false;
    }
    assert_eq!(ours, theirs, "ours and chronyd's of {name}:\n{text}");
    ours.is_some()
}

/// The value an option is tried with.
fn sample(keyword: Keyword) -> &'static str {
    [" ", " 1 ", " 0.5 ", " F323 "]
        .into_iter()
        .find(|value| {
            let line = format!("server 192.0.2.1 {keyword}{value}");
            Document::parse(Dialect::Chrony, line.as_bytes()).associations().all(Association::is_accepted)
        })
        .unwrap()
}

/// Options of newer chronyd than some that may be installed.
const NEWER: [Keyword; 6] = [
    Keyword::Ipv4,
    Keyword::Ipv6,
    Keyword::MaxUnreach,
    Keyword::MaxDelayQuantile,
    Keyword::CertificateSet,
    Keyword::Copy,
];

#[test]
fn chronyd_reads_what_we_read() {
    let Some(program) = unpacked("chrony", "usr/sbin/chronyd") else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chrony.conf");
    let mut files: Vec<(String, String)> = Vec::new();
    for path in [
        "usr/share/chrony/chrony.conf",
        "usr/share/doc/chrony/examples/chrony.conf.example1",
        "usr/share/doc/chrony/examples/chrony.conf.example2",
        "usr/share/doc/chrony/examples/chrony.conf.example3",
    ] {
        files.extend(unpacked("chrony", path).map(|found| (path.into(), std::fs::read_to_string(found).unwrap())));
    }
    files.extend(distribution_files("chrony"));
    files.extend(cases::CHRONY.iter().enumerate().map(|(index, text)| (format!("case {index}"), text.to_string())));
    files.extend(cases::CHRONY_REFUSED.iter().map(|line| ("refused".into(), format!("{line}\n"))));
    for (name, text) in &files {
        compare(&program, &file, name, text);
    }
    println!("{} files compared", files.len());
}

#[test]
fn chronyd_knows_our_options() {
    let Some(program) = unpacked("chrony", "usr/sbin/chronyd") else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chrony.conf");
    let words: Vec<&str> = Keyword::ALL.iter().map(|keyword| keyword.as_str()).collect();
    for &keyword in Keyword::ALL {
        let value = if keyword.is_known_to(Dialect::Chrony) { sample(keyword) } else { " " };
        let text = format!("server 192.0.2.1 {keyword}{value}\n");
        std::fs::write(&file, &text).unwrap();
        let is_taken = run(&program, &file).is_some();
        if is_taken != ours(&text).is_some() {
            assert!(NEWER.contains(&keyword), "{text}");
            println!("this chronyd does not know {keyword}");
        }
    }

    // Words in any order behind the address.
    let mut words: Vec<&str> =
        words.into_iter().filter(|word| !NEWER.iter().any(|keyword| keyword.as_str() == *word)).collect();
    let values = ["3", "-1", "0", "4iburst", "+2", "1.5", "x", "#", "F323", "\"", "1e2prefer", "99999", "IBURST", ";"];
    words.extend(values.iter().flat_map(|value| [*value; 3]));
    let line = proptest::collection::vec(proptest::sample::select(words), 0..5);
    let mut runner = TestRunner::deterministic();
    let (mut accepted, count) = (0, 400);
    for _ in 0..count {
        let text = format!("server 192.0.2.1 {}\n", line.new_tree(&mut runner).unwrap().current().join(" "));
        accepted += usize::from(compare(&program, &file, "random", &text));
    }
    println!("{count} random lines compared, {accepted} of them accepted");
}

/// Poll intervals as chronyd uses them, asked of it in a namespace of its own. It begins with the shortest, but not below
/// one second before it knows how near a server is.
#[test]
fn chronyd_polls_as_we_say() {
    let (Some(program), Some(chronyc)) =
        (unpacked("chrony", "usr/sbin/chronyd"), unpacked("chrony", "usr/bin/chronyc"))
    else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let for_its_owner = std::os::unix::fs::PermissionsExt::from_mode(0o700); // or chronyd makes no socket in it
    std::fs::set_permissions(directory.path(), for_its_owner).unwrap();
    let options = [
        "",
        "minpoll 99",
        "minpoll -99",
        "minpoll 8 maxpoll 5",
        "minpoll -3 maxpoll 30",
        "maxpoll 4",
        "minpoll 12",
        "maxpoll -30",
        "minpoll -8",
        "minpoll -7",
        "minpoll 24 maxpoll 24",
        "minpoll 3 maxpoll 4",
    ];
    let lines: String = options
        .iter()
        .enumerate()
        .map(|(index, options)| format!("server 127.0.0.{} {options}\n", index + 11))
        .collect();
    let at = directory.path().display();
    let file = directory.path().join("chrony.conf");
    std::fs::write(&file, format!("{lines}port 0\nbindcmdaddress {at}/socket\npidfile {at}/pid\n")).unwrap();
    let script = "ip link set lo up
        setpriv --bounding-set=-sys_time --inh-caps=-sys_time \"$chronyd\" -x -d -u root -f \"$at/chrony.conf\" &
        for i in 1 2 3 4 5 6 7 8 9 10; do
            sleep 0.5; \"$chronyc\" -c -h \"$at/socket\" -n sources >\"$at/out\" 2>/dev/null && break
        done
        kill $!; wait; cat \"$at/out\"";
    let output = std::process::Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .env("chronyd", &program)
        .env("chronyc", &chronyc)
        .env("at", directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.is_empty() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let theirs: Vec<i8> = text.lines().map(|line| line.split(',').nth(4).unwrap().parse().unwrap()).collect();
    let document = Document::parse(Dialect::Chrony, lines.as_bytes());
    let ours: Vec<i8> = document.associations().map(|found| found.poll_range().0.max(0)).collect();
    assert_eq!(ours, theirs, "{lines}");
}

/// What a main file includes, in chronyd's order and with its way of choosing among equal names.
#[test]
fn chronyd_includes_what_we_include() {
    let Some(program) = unpacked("chrony", "usr/sbin/chronyd") else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in ["one", "two", "parts"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    for (name, text) in [
        ("one/b.conf", "server 192.0.2.11\n"),
        ("one/a.conf", "server 192.0.2.12\n"),
        ("two/b.conf", "server 192.0.2.13\n"),
        ("two/c.conf", "server 192.0.2.14 iburst"),
        ("two/d.conf.old", "server 192.0.2.15\n"),
        ("parts/x.chrony", "server 192.0.2.16\n"),
        ("parts/y.chrony", "include single\nserver 192.0.2.17\n"),
        ("parts/z.other", "server 192.0.2.18\n"),
    ] {
        std::fs::write(at(name), text).unwrap();
    }
    let root = directory.path().display();
    std::fs::write(at("single"), "pool 192.0.2.19\n").unwrap();
    std::fs::write(at("parts/y.chrony"), format!("include {root}/single\nserver 192.0.2.17\n")).unwrap();
    let text =
        format!("server 192.0.2.1\nconfdir {root}/one {root}/two\nserver 192.0.2.2\ninclude {root}/parts/*.chrony\n");
    std::fs::write(at("chrony.conf"), text).unwrap();
    let configuration = Configuration::read(at("chrony.conf")).unwrap();
    assert!(configuration.not_included().is_empty());
    let ours: Vec<_> = configuration.associations().map(|found| found.address().to_string()).collect();
    assert_eq!(Some(ours), run(&program, &at("chrony.conf")));
}
