//! The first zone that the kernel is told after it started: it moves a clock that was set from a chip in local time, and settles
//! in whose time the kernel writes the chip from then on. Once in a start, so each of the two is a start of its own.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant as StdInstant};

use ntp_clock::rtc::{hctosys, AdjTime, Rtc, TimeScale};
use ntp_clock::{Adjustment, ReadClock, SystemClock};
use ntp_types::NtpDuration;

use crate::check::{Checks, Moment};
use crate::rtc::TOLERANCE;

const LIMIT: Duration = Duration::from_secs(3);
/// Newfoundland, without summer time.
const ZONE: &str = "NST3:30";
const WEST_SECONDS: i64 = 12_600;

/// The C library asks for the zone once in a process.
pub(crate) fn run(checks: &mut Checks, scale: &str) {
    let inside = Command::new("/prog").args(["in-zone", scale]).env("TZ", ZONE).status().unwrap();
    checks.that(&format!("a chip in {scale} time, in a zone"), inside.success(), inside);
}

pub(crate) fn inside(checks: &mut Checks, scale: &str) {
    let scale = if scale == "local" { TimeScale::Local } else { TimeScale::Utc };
    let behind = if scale == TimeScale::Local { WEST_SECONDS } else { 0 };
    let rtc = Rtc::open().unwrap();
    let mut clock = SystemClock::new();
    // The kernel has taken the chip for UTC, whatever it is, half a second unsure.
    let edge = rtc.read_at_edges(3, LIMIT).unwrap();
    let ahead = i64::try_from(edge.ahead_nanos() / 1_000_000).unwrap();
    checks.that("at the start the kernel takes it for UTC", ahead.abs() < 1_100, format!("{ahead} ms ahead"));

    let before = Moment::now();
    let set = hctosys(&mut clock, &edge, &AdjTime { scale, ..AdjTime::default() }).unwrap();
    let gained = Moment::now().gained_since(before);
    let ahead = i64::try_from(edge.ahead_nanos()).unwrap();
    let wanted = NtpDuration::from_nanos(behind * 1_000_000_000 + ahead);
    checks.near("the system clock shows UTC", gained - wanted, 1_000_000);
    checks.that("the kernel was told the zone", set.minutes_west == 210, set.minutes_west);
    let again = rtc.read_at_edges(3, LIMIT).unwrap();
    let error = i64::try_from(again.ahead_nanos()).unwrap() + behind * 1_000_000_000;
    checks.near("and agrees with the chip at its edges", NtpDuration::from_nanos(error), TOLERANCE);

    // A minute on, synchronised: the kernel writes the chip itself, in the scale that the first zone settled.
    let at = clock.read().unwrap().at;
    let later = ntp_types::UnixTime::from_seconds(clock.time().unwrap().seconds() + 60);
    let _ = clock.set(later, at).unwrap();
    let synchronized = Adjustment::new().synchronized(true).max_error(Duration::from_millis(1));
    let _ = clock.adjust(&synchronized).unwrap();
    let began = StdInstant::now();
    let behind_now = || clock.time().unwrap().seconds() - rtc.read().unwrap().seconds();
    while (behind_now() - behind).abs() > 1 && began.elapsed() < Duration::from_secs(6) {
        sleep(Duration::from_millis(50));
    }
    let seen = behind_now();
    checks.that("the kernel writes the chip in its scale", (seen - behind).abs() <= 1, format!("{seen} s behind UTC"));
    let _ = clock.adjust(&Adjustment::new().synchronized(false)).unwrap();
}
