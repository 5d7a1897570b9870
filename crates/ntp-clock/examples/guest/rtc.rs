//! The hardware clock of the machine: read and set at its edge, boot and shutdown, beside the kernel's own writing.

use std::thread::sleep;
use std::time::{Duration, Instant as StdInstant};

use ntp_clock::rtc::{
    adjust, hctosys, look, systohc, AdjTime, AdjustOutcome, DriftUpdate, EdgeMethod, Parameter, Rtc, RtcError,
    SaveOptions, SetOptions, SysfsRtc, TimeScale,
};
use ntp_clock::{Adjustment, Errno, ReadClock, SystemClock};
use ntp_types::{NtpDuration, UnixTime};

use crate::check::{Checks, Moment};

const LIMIT: Duration = Duration::from_secs(3);
pub(crate) const TOLERANCE: i64 = 20_000_000;

pub(crate) fn run(checks: &mut Checks) {
    let vendor = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let vendor = vendor.lines().find_map(|line| line.strip_prefix("vendor_id\t: ")).unwrap_or("unknown").to_owned();
    println!("processor: {vendor}");
    reading(checks);
    setting(checks, &vendor);
    there_and_back(checks, TimeScale::Utc);
    // In a zone of its own: Newfoundland, without summer time. The C library asks for the zone once in a process.
    let local = std::process::Command::new("/prog").arg("rtc-local").env("TZ", "NST3:30").status().unwrap();
    checks.that("the same in local time", local.success(), local);
    drift(checks);
    eleven_minutes(checks);
}

fn reading(checks: &mut Checks) {
    let rtc = Rtc::open().unwrap();
    checks.that("driver", rtc.driver() == Some("rtc_cmos"), rtc.driver().unwrap_or("none"));
    let boot = rtc.read().unwrap();
    checks.that("it shows what it was given at power-on", (978_307_200..978_307_400).contains(&boot.seconds()), boot);
    let features = rtc.parameter(Parameter::Features).unwrap();
    checks.that("features", features.is_some(), format!("{features:x?}"));
    checks.that("validity", rtc.validity().unwrap().is_valid(), format!("{:?}", rtc.validity().unwrap()));
    checks.that("correction", rtc.correction_ppb().is_ok(), format!("{:?}", rtc.correction_ppb()));
    // Three edges a second apart, by the chip's interrupt.
    let edges: Vec<_> = (0..3).map(|_| rtc.read_at_edge(LIMIT).unwrap()).collect();
    for pair in edges.windows(2) {
        let apart = pair[1].at.since(pair[0].at).as_millis();
        checks.that("edges come by interrupt, a second apart", (980..=1_020).contains(&apart), format!("{apart} ms"));
        checks.that("and count", pair[1].rtc.seconds() - pair[0].rtc.seconds() == 1, pair[1].rtc);
    }
    checks.that("by interrupt", edges[0].method == EdgeMethod::Interrupt, format!("{:?}", edges[0].method));
    // While it is open, others have to look elsewhere.
    let busy = Rtc::open().map(|_| ()).unwrap_err();
    checks.that("a second open is refused", busy.errno() == Some(Errno::EBUSY), busy);
    let sysfs = look(None, LIMIT).unwrap();
    checks.that("sysfs is read instead", sysfs.edge.method == EdgeMethod::Sysfs, sysfs.path.display());
    let best = rtc.read_at_edges(2, LIMIT).unwrap();
    let apart = sysfs.edge.ahead_nanos() - best.ahead_nanos();
    checks.near("and agrees", NtpDuration::from_nanos(i64::try_from(apart).unwrap()), TOLERANCE);
    checks.that("it set the system at boot", SysfsRtc::new().did_set_the_system().unwrap(), "hctosys");
}

fn setting(checks: &mut Checks, vendor: &str) {
    let mut clock = SystemClock::new();
    let now = UnixTime::new(1_800_000_000, 123_456_789).unwrap();
    let _ = clock.set(now, clock.read().unwrap().at).unwrap();
    let rtc = Rtc::open().unwrap();
    let outcome = rtc.set(0, &SetOptions::default()).unwrap();
    let error = outcome.error.unwrap();
    let seen = format!("{error} s after {} writes, keeps its beat: {}", outcome.attempts, outcome.keeps_phase);
    let is_intel = vendor == "GenuineIntel";
    if is_intel {
        checks.that("set right at its edge", error.unsigned_abs().as_millis() <= 20 && !outcome.keeps_phase, seen);
    } else {
        let is_told = error.unsigned_abs().as_millis() <= 20 || outcome.keeps_phase;
        checks.that("set, and what could not be set is told", error.unsigned_abs().as_millis() <= 510 && is_told, seen);
    }
    let best = rtc.read_at_edges(3, LIMIT).unwrap();
    let told = i128::from(error.to_nanos());
    let apart = i64::try_from(best.ahead_nanos() - told).unwrap();
    checks.near("what it told is so", NtpDuration::from_nanos(apart), TOLERANCE);
    let range = rtc.set(10_000_000_000_000_000_000, &SetOptions::default()).map(|_| ()).unwrap_err();
    checks.that("a date it cannot hold is refused", matches!(range, RtcError::Time(_)), range);
}

/// Shutdown and boot: the system clock, spoilt in between, comes back.
pub(crate) fn there_and_back(checks: &mut Checks, scale: TimeScale) {
    let mut clock = SystemClock::new();
    let mut adjtime = AdjTime { scale, ..AdjTime::default() };
    let rtc = Rtc::open().unwrap();
    let unsynchronized =
        clock.adjust(&Adjustment::new().synchronized(false).max_error(Duration::from_secs(16))).unwrap().status;
    let refused = systohc(&rtc, &unsynchronized, &mut adjtime, &SaveOptions::default()).map(|_| ()).unwrap_err();
    checks.that("an unsynchronised clock is not saved", matches!(refused, RtcError::Unsynchronized { .. }), refused);
    let before = Moment::now();
    let options = SaveOptions { force: true, ..SaveOptions::default() };
    let saved = systohc(&rtc, &unsynchronized, &mut adjtime, &options).unwrap();
    println!("     {scale:?}: {saved:?}, file {:?}", adjtime.to_string());
    let _ = clock.set(UnixTime::from_seconds(1_700_000_000), clock.read().unwrap().at).unwrap();
    let edge = rtc.read_at_edges(2, LIMIT).unwrap();
    let set = hctosys(&mut clock, &edge, &adjtime).unwrap();
    let error = Moment::now().gained_since(before);
    checks.near(&format!("systohc and hctosys give the time back ({scale:?})"), error, TOLERANCE);
    let zone = if scale == TimeScale::Local { 210 } else { 0 };
    checks.that("the kernel was told the zone", set.minutes_west == zone, set.minutes_west);
}

/// Drift learnt over a feigned five days, then taken out.
fn drift(checks: &mut Checks) {
    let mut clock = SystemClock::new();
    let rtc = Rtc::open().unwrap();
    let mut adjtime = AdjTime::default();
    let options = SaveOptions { force: true, update_drift: true, ..SaveOptions::default() };
    let status = clock.status().unwrap();
    let first = systohc(&rtc, &status, &mut adjtime, &options).unwrap();
    checks.that("first calibration", first.drift == DriftUpdate::FirstCalibration, format!("{:?}", first.drift));
    let day = 86_400;
    adjtime.last_calibration -= 5 * day;
    adjtime.last_adjustment -= 5 * day;
    let at = clock.read().unwrap().at;
    let _ = clock.set(UnixTime::from_seconds(clock.time().unwrap().seconds() + 10), at).unwrap();
    let second = systohc(&rtc, &clock.status().unwrap(), &mut adjtime, &options).unwrap();
    let learnt = (adjtime.drift_factor - 2.0).abs() < 0.25;
    checks.that("ten seconds in five days are two a day", learnt, format!("{:?}", second.drift));
    adjtime.last_adjustment -= 3 * day;
    adjtime.not_adjusted = 0.0;
    let before = rtc.read_at_edge(LIMIT).unwrap();
    let outcome = adjust(&rtc, &clock.status().unwrap(), &mut adjtime, &SetOptions::default()).unwrap();
    let after = rtc.read_at_edge(LIMIT).unwrap();
    let AdjustOutcome::Adjusted { correction, set } = outcome else { panic!("{outcome:?}") };
    let moved = i64::try_from(after.ahead_nanos() - before.ahead_nanos()).unwrap();
    let error = NtpDuration::from_nanos(moved) - correction - set.error.unwrap();
    checks.near(&format!("adjusted by {correction} s"), error, 2 * TOLERANCE);
}

/// With STA_UNSYNC clear the kernel sets the hardware clock itself; the library knows and keeps out of it.
fn eleven_minutes(checks: &mut Checks) {
    let mut clock = SystemClock::new();
    let rtc = Rtc::open().unwrap();
    rtc.set(-1_000_000_000_000_000, &SetOptions { verify: false, ..SetOptions::default() }).unwrap();
    let synchronized =
        Adjustment::new().synchronized(true).max_error(Duration::from_millis(1)).estimated_error(Duration::ZERO);
    let status = clock.adjust(&synchronized).unwrap().status;
    let began = StdInstant::now();
    let is_right = || (rtc.read().unwrap().seconds() - clock.time().unwrap().seconds()).abs() <= 1;
    while !is_right() && began.elapsed() < Duration::from_secs(6) {
        sleep(Duration::from_millis(50));
    }
    checks.that("the kernel sets it within seconds", is_right(), format!("{:?}", began.elapsed()));
    let mut known = AdjTime { drift_factor: 100.0, last_adjustment: 1, ..AdjTime::default() };
    let outcome = adjust(&rtc, &status, &mut known, &SetOptions::default()).unwrap();
    checks.that("then it is not adjusted", outcome == AdjustOutcome::KernelSetsIt, format!("{outcome:?}"));
    let options = SaveOptions { update_drift: true, ..SaveOptions::default() };
    let saved = systohc(&rtc, &status, &mut known, &options).unwrap();
    let said = saved.kernel_sets_it && saved.drift == DriftUpdate::KernelSetsIt;
    checks.that("nor its drift learnt", said, format!("{:?}", saved.drift));
    let _ = clock.adjust(&Adjustment::new().synchronized(false)).unwrap();
}
