//! `/etc/adjtime` against the real hwclock, which reads and calculates without touching any clock (`--predict`).

#![allow(clippy::unwrap_used)] // tests

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use ntp_clock::rtc::{AdjTime, AdjTimeFile, TimeScale};
use ntp_types::UnixTime;
use proptest::prelude::*;

const TARGET: &str = "2024-01-01 00:00:00";
const TARGET_SECONDS: i64 = 1_704_067_200;

/// Real distributions' defaults, what installers write, what people and other programs make of it.
const FILES: &[&str] = &[
    "0.0 0 0.0\n0\nUTC\n",
    "0.0 0 0.0\n0\nLOCAL\n",
    "0.000000 1700000000 0.000000\n1700000000\nUTC\n",
    "-1.234567 1700000000 0.250000\n1700000000\nUTC\n",
    "2.512000 1703000000 -0.499000\n1702000000\nLOCAL\n",
    "0.0 0 0\n0\nUTC\n",
    "0 0 0\n0\nUTC\n",
    "0 0 0\n0\nUTC",
    "0 0 0\n0\nLOCAL",
    "0.0 0 0.0\r\n0\r\nUTC\r\n",
    "0.0 0 0.0\r\n0\r\nLOCAL\r\n",
    "0.0 0 0.0\n0\nutc\n",
    "0.0 0 0.0\n0\nlocal\n",
    "0.0 0 0.0\n0\n LOCAL\n",
    "0.0 0 0.0\n0\nLOCAL \n",
    "0.0 0 0.0\n0\nLOCALTIME\n",
    "0.0 0 0.0\n0\nUTC\nLOCAL\n",
    "0.0 0 0.0\n0\n\nLOCAL\n",
    "   3.5   1703900000    0.125  \n  1703900000  \nUTC\n",
    "\t-3.5\t1703900000\t-0.125\n\t1703900000\nLOCAL\n",
    "+3.5 +1703900000 +0.125\n+1703900000\nUTC\n",
    "3. 1703900000 .125\n1703900000\nUTC\n",
    ".5 1703900000 -.5\n1703900000\nUTC\n",
    "1e1 1703900000 5E-1\n1703900000\nUTC\n",
    "1.5e+1 1703900000 -2.5e-1\n1703900000\nUTC\n",
    "1.5e 1703900000 3\n1703900000\nUTC\n",
    "1.5e+ 1703900000 3\n1703900000\nUTC\n",
    "1.5 17039.7 3\n12abc\nLOCAL\n",
    "1.5 1703900000\n1703900000\nUTC\n",
    "1.5\n1703900000\nUTC\n",
    "1.5 x 3\n1703900000\nUTC\n",
    "1.5,1703900000,3\n1703900000\nUTC\n",
    "drift 1703900000 3\n1703900000\nLOCAL\n",
    "-0.0 1703900000 -0.0\n1703900000\nUTC\n",
    "2145.0 1703900000 0\n1703900000\nUTC\n",
    "-2145.1 1703900000 0\n1703900000\nUTC\n",
    "1.5 1703900000 3 trailing words\n1703900000 too\nUTC\n",
    "00001.500 0001703900000 0003\n0001703900000\nUTC\n",
    "--1 1703900000 3\n1703900000\nUTC\n",
    "1.5 - 3\n1703900000\nUTC\n",
    "1.5 1703900000 -\n1703900000\nUTC\n",
    "1.5.5 1703900000 3\n1703900000\nUTC\n",
    "0.0 1900000000 0.0\n1900000000\nUTC\n",
    "86400 1704067199 0.999999\n1\nUTC\n",
    "-86400 1704067199 -0.000001\n1\nUTC\n",
    "0.000001 1 0.000001\n-5\nUTC\n",
    "0.0 0 0.0                                                                            \n0\nLOCAL\n",
    "1.5 1703900000 3                                                               \n1703900000\nLOCAL\n",
    "1.5 1703900000 3                                                                  \n1703900000\nLOCAL\n",
    "1.0000000000000000000000000000000000000000000000000000 1703900000 0.250000000000000\n1703900000\nUTC\n",
];

/// What hwclock says it read and calculated; `None` where the line is not there.
struct Said {
    last_adjustment: Option<i64>,
    last_calibration: Option<i64>,
    is_local: bool,
    correction_micros: Option<i64>,
}

fn hwclock() -> Option<&'static Path> {
    let path = ["/usr/sbin/hwclock", "/sbin/hwclock"].map(Path::new).into_iter().find(|path| path.exists());
    if path.is_none() {
        println!("skipped: there is no hwclock here (Debian: util-linux-extra)");
    }
    path
}

fn ask(hwclock: &Path, file: &Path) -> Said {
    let output = Command::new(hwclock)
        .args(["--predict", "--verbose", "--date", TARGET, "--adjfile"])
        .arg(file)
        .env("TZ", "UTC0")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let between = |before: &str, after: &str| {
        text.lines().find_map(|line| line.strip_prefix(before)?.strip_suffix(after).map(str::to_owned))
    };
    let number = |before: &str, after: &str| between(before, after).and_then(|number| number.parse::<i64>().ok());
    Said {
        last_adjustment: number("Last drift adjustment done at ", " seconds after 1969"),
        last_calibration: number("Last calibration done at ", " seconds after 1969"),
        is_local: text.contains("Assuming hardware clock is kept in local time."),
        correction_micros: between("Calculated Hardware Clock drift is ", " seconds").map(|number| {
            // Whole seconds rounded down, then the microseconds to add to them.
            let (whole, micros) = number.split_once('.').unwrap();
            whole.parse::<i64>().unwrap() * 1_000_000 + micros.parse::<i64>().unwrap()
        }),
    }
}

/// Compares every value that hwclock tells.
fn compare(hwclock: &Path, directory: &Path, text: &str) {
    let path = directory.join("adjtime");
    std::fs::write(&path, text).unwrap();
    let said = ask(hwclock, &path);
    let ours = AdjTimeFile::load(&path).unwrap().adjtime;
    assert_eq!(Some(ours.last_adjustment), said.last_adjustment, "{text:?}");
    assert_eq!(ours.scale == TimeScale::Local, said.is_local, "{text:?}");
    // A second line without a number leaves in hwclock what happened to be in its memory.
    let is_short = text.lines().next().is_some_and(|line| line.len() < 80);
    if is_short && text.lines().nth(1).is_some_and(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())) {
        assert_eq!(Some(ours.last_calibration), said.last_calibration, "{text:?}");
    }
    let micros = (ours.correction_at(UnixTime::from_seconds(TARGET_SECONDS)).to_nanos() + 500).div_euclid(1_000);
    let theirs = said.correction_micros.unwrap();
    // The last digit hangs on the order in which one and the same float product is rounded.
    assert!((micros - theirs).abs() <= 1, "{text:?}: ours {micros}, hwclock's {theirs}");
}

#[test]
fn reads_what_hwclock_reads() {
    let Some(hwclock) = hwclock() else { return };
    let directory = tempfile::tempdir().unwrap();
    for text in FILES {
        compare(hwclock, directory.path(), text);
    }
    // Where lines of 80 octets end.
    for width in 76..=84 {
        compare(hwclock, directory.path(), &format!("{:<width$}\n0\nLOCAL\n", "0.0 0 0.0"));
    }
    println!("{} files agree", FILES.len() + 9);
}

#[test]
fn hwclock_reads_what_is_written() {
    let Some(hwclock) = hwclock() else { return };
    let directory = tempfile::tempdir().unwrap();
    // A walk through magnitudes and signs.
    let mut value = 1.0_f64;
    for step in 0..60_i64 {
        value = -value * 1.37;
        let adjtime = AdjTime {
            drift_factor: value / 3e5,
            last_adjustment: TARGET_SECONDS - step * 86_399,
            not_adjusted: 0.977 / value,
            last_calibration: TARGET_SECONDS - step * 7_001,
            scale: if step % 3 == 0 { TimeScale::Local } else { TimeScale::Utc },
        };
        compare(hwclock, directory.path(), &adjtime.to_string());
    }
}

/// C's `%f` of a double, by awk.
#[test]
fn numbers_are_printed_as_c_prints_them() {
    for value in [0.0, 1.5, -2145.0, 0.000_000_5, 1.000_000_5, 1.000_001_5, 123_456.789_012_5, -0.000_000_4, 9e14] {
        let program = format!("BEGIN {{ printf \"%f\", {value:?} }}");
        let Ok(output) = Command::new("awk").arg(program).env("LC_ALL", "C").output() else {
            println!("skipped: there is no awk here");
            return;
        };
        let adjtime = AdjTime { drift_factor: value, ..AdjTime::default() };
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert_eq!(adjtime.to_string().split(' ').next(), Some(theirs.as_str()));
    }
}

#[test]
fn a_number_too_long_for_its_line_is_not_written() {
    let read = AdjTime::parse(b"9.9e100 1703900000 -1e15\n1703900001\nLOCAL\n");
    assert_eq!(read.drift_factor, 9.9e100);
    let written = read.to_string();
    assert_eq!(written, "0.000000 1703900000 0.000000\n1703900001\nLOCAL\n");
    let most = AdjTime { drift_factor: -9.9e14, last_adjustment: i64::MIN, not_adjusted: -9.9e14, ..read };
    assert_eq!(AdjTime::parse(most.to_string().as_bytes()), most);
}

#[test]
fn what_is_passed_over_is_told() {
    for good in
        ["", "0.5", "0.5 7\n", " -1.5e-3 7 0.25 \r\n8\n", "1 2 3\n4\nUTC\n", "1 2 3\n4\nUTC", "1 2 3\n4\nLOCAL\nmore"]
    {
        assert_eq!(AdjTime::check(good.as_bytes()), Ok(()), "{good:?}");
    }
    let bad = [
        ("RUBBISH\n", 1),
        ("\n0\nUTC\n", 1),
        ("nan 2 3\n", 1),
        ("1 2 x\n", 1),
        ("1 2 3 4\n", 1),
        ("1 2 3\nnever\nUTC\n", 2),
        ("1 2 3\n4\nLOCAL", 3),
        ("1 2 3\n4\nutc\n", 3),
    ];
    for (text, line) in bad {
        assert_eq!(AdjTime::check(text.as_bytes()).unwrap_err().line, line, "{text:?}");
    }
    let error = AdjTimeFile::from_bytes(b"1 2 3\n4\nlocal\n").check().unwrap_err();
    assert_eq!(error.to_string(), r#"line 3: "local\n" is not UTC or LOCAL and the end of the line"#);
}

#[test]
fn a_file_is_written_only_when_it_says_something_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("adjtime");
    let odd = "  1.5 1703900000 3 \r\n1703900000\nLOCAL\nmore\n";
    std::fs::write(&path, odd).unwrap();
    let mut file = AdjTimeFile::load(&path).unwrap();
    assert!(!file.save().unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), odd);
    file.adjtime.not_adjusted = 0.5;
    assert!(file.save().unwrap());
    assert!(!file.save().unwrap(), "the second time there is nothing to do");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "1.500000 1703900000 0.500000\n1703900000\nLOCAL\n");
    let mut missing = AdjTimeFile::load(directory.path().join("none")).unwrap();
    assert_eq!(missing.adjtime, AdjTime::default());
    missing.adjtime.last_adjustment = 7;
    assert!(missing.save().unwrap());
    assert_eq!(std::fs::read_to_string(directory.path().join("none")).unwrap(), "0.000000 7 0.000000\n0\nUTC\n");
    let error = AdjTimeFile::load(directory.path()).unwrap_err();
    let real = directory.path().canonicalize().unwrap();
    assert_eq!(error.to_string(), format!("{} is not a regular file", real.display()));
}

proptest! {
    #[test]
    fn octets_come_out_as_they_went_in(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let file = AdjTimeFile::from_bytes(&bytes);
        prop_assert_eq!(file.to_bytes(), bytes);
    }

    #[test]
    fn what_is_written_says_the_same(
        drift in -3000.0..3000.0_f64, adjusted in 0_i64..5_000_000_000, left in -5.0..5.0_f64,
        calibrated in any::<i64>(), is_local: bool,
    ) {
        let scale = if is_local { TimeScale::Local } else { TimeScale::Utc };
        let adjtime =
            AdjTime { drift_factor: drift, last_adjustment: adjusted, not_adjusted: left, last_calibration: calibrated, scale };
        let text = adjtime.to_string();
        let back = AdjTime::parse(text.as_bytes());
        prop_assert_eq!(AdjTime::check(text.as_bytes()), Ok(()));
        prop_assert_eq!(back.to_string(), text);
        prop_assert!((back.drift_factor - drift).abs() < 1e-6 && (back.not_adjusted - left).abs() < 1e-6);
        prop_assert_eq!((back.last_adjustment, back.last_calibration, back.scale), (adjusted, calibrated, scale));
    }

    /// Numbers in every spelling, beside the real thing.
    #[test]
    fn odd_spellings_are_read_as_hwclock_reads_them(
        words in prop::collection::vec("[-+]?[0-9]{0,4}[.]?[0-9]{0,3}([eE][-+]?[0-9]?)?", 0..5),
        second in "[ ]?[0-9]{1,10}", third in "(UTC|LOCAL|utc|)\n?",
    ) {
        if let Some(hwclock) = hwclock() {
            let mut text = words.join(" ");
            write!(text, "\n{second}\n{third}").unwrap();
            // Corrections of lifetimes are where microseconds of a float end, and then spans of time.
            let read = AdjTime::parse(text.as_bytes());
            if read.drift_factor.abs() < 10.0 && read.not_adjusted.abs() < 1e9 {
                compare(hwclock, tempfile::tempdir().unwrap().path(), &text);
            }
        }
    }
}
