//! Beside the real hwclock: what the one writes the other reads.

use std::process::Command;
use std::time::Duration;

use ntp_clock::rtc::{hctosys, systohc, AdjTimeFile, Rtc, SaveOptions};
use ntp_clock::{ReadClock, SystemClock};
use ntp_types::{NtpDuration, UnixTime};

use crate::check::{Checks, Moment};
use crate::rtc::TOLERANCE;

const LIMIT: Duration = Duration::from_secs(3);
const FILE: &str = "/tmp/adjtime";

fn hwclock(arguments: &[&str]) -> (bool, String) {
    let output =
        Command::new("/sbin/hwclock").args(["--adjfile", FILE]).args(arguments).env("TZ", "UTC0").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

pub(crate) fn run(checks: &mut Checks) {
    let mut clock = SystemClock::new();
    let _ = clock.set(UnixTime::new(1_800_000_000, 700_000_000).unwrap(), clock.read().unwrap().at).unwrap();
    let options = SaveOptions { force: true, ..SaveOptions::default() };

    // Ours writes, hwclock reads.
    let mut file = AdjTimeFile::load(FILE).unwrap();
    let saved = systohc(&Rtc::open().unwrap(), &clock.status().unwrap(), &mut file.adjtime, &options).unwrap();
    let _ = file.save().unwrap();
    let written = std::fs::read_to_string(FILE).unwrap();
    let (is_fine, text) = hwclock(&["--get"]);
    let now = clock.time().unwrap();
    checks.that("hwclock reads our file", is_fine && !text.contains("arning"), format!("{written:?} {}", text.trim()));
    // hwclock tells the time at its start: up to a second and its own reading ago.
    let theirs = parse(&text);
    let age = now.to_nanos() - theirs.to_nanos();
    let is_close = (-200_000_000..1_500_000_000).contains(&age);
    checks.that(
        "and finds the same time",
        is_close,
        format!("{} ms ago, beat kept: {}", age / 1_000_000, saved.set.keeps_phase),
    );
    let before = Moment::now();
    let _ = clock.set(UnixTime::from_seconds(1_600_000_000), clock.read().unwrap().at).unwrap();
    let (is_fine, text) = hwclock(&["--hctosys"]);
    checks.that("hwclock --hctosys", is_fine, text.trim());
    let error = Moment::now().gained_since(before);
    checks.near("hwclock sets the system by our file", error, 2 * TOLERANCE);

    // hwclock writes, ours reads.
    let (is_fine, text) = hwclock(&["--systohc", "--update-drift"]);
    checks.that("hwclock --systohc", is_fine, text.trim());
    let theirs = std::fs::read_to_string(FILE).unwrap();
    let mut file = AdjTimeFile::load(FILE).unwrap();
    checks.that("its file is ours octet for octet", file.adjtime.to_string() == theirs, format!("{theirs:?}"));
    checks.that("and is not written again", !file.save().unwrap(), "");
    // hwclock does not look how well it has set the clock; what it left is what comes back.
    let ahead = Rtc::open().unwrap().read_at_edges(3, LIMIT).unwrap().ahead_nanos();
    let is_set = (-1_100_000_000..1_100_000_000).contains(&ahead);
    checks.that("hwclock has set the clock", is_set, format!("{} ms ahead", ahead / 1_000_000));
    let before = Moment::now();
    let _ = clock.set(UnixTime::from_seconds(1_600_000_000), clock.read().unwrap().at).unwrap();
    let edge = Rtc::open().unwrap().read_at_edges(3, LIMIT).unwrap();
    let _ = hctosys(&mut clock, &edge, &file.adjtime).unwrap();
    let left = NtpDuration::from_nanos(i64::try_from(ahead).unwrap());
    checks.near("we set the system by its file", Moment::now().gained_since(before) - left, 2 * TOLERANCE);

    // A drift in the file is applied alike: a day and a half at ten seconds a day.
    let shown = Rtc::open().unwrap().read().unwrap();
    let mut file = AdjTimeFile::load(FILE).unwrap();
    file.adjtime.drift_factor = 10.0;
    file.adjtime.last_adjustment = shown.seconds() - 129_600;
    let _ = file.save().unwrap();
    let due = file.adjtime.correction_at(shown);
    let (_, get) = hwclock(&["--get"]);
    let (_, show) = hwclock(&["--show"]);
    let applied = parse(&get).to_nanos() - parse(&show).to_nanos();
    let error = i64::try_from(applied).unwrap() - due.to_nanos();
    // The two runs lie a second or so apart.
    let is_alike = (-4_000_000_000..500_000_000).contains(&error);
    checks.that("hwclock applies the drift we calculate", is_alike, format!("{due} s due, {error} ns apart"));
    let (is_fine, text) = hwclock(&["--adjust"]);
    let adjusted = AdjTimeFile::load(FILE).unwrap().adjtime;
    let is_reset = adjusted.correction_at(Rtc::open().unwrap().read().unwrap()).abs() < NtpDuration::SECOND;
    checks.that("hwclock --adjust takes it out", is_fine && is_reset, format!("{adjusted} {text}").replace('\n', " "));
}

/// `2027-01-15 08:00:01.123456+00:00`.
fn parse(text: &str) -> UnixTime {
    let line = text.lines().find(|line| line.contains("+00:00")).unwrap_or_default();
    let time = line.trim().replace(' ', "T").replace("+00:00", "Z");
    time.parse().unwrap_or(UnixTime::EPOCH)
}
