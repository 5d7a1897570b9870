//! The kernel's clock: each of its traps first as it is, then as the library handles it; then steps and slews, measured.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ntp_clock::kernel::modes;
use ntp_clock::rtc::{look, AdjTime, Rtc, SetOptions};
use ntp_clock::{
    rescue, Adjustment, ClockError, LeapState, ReadClock, SlewPolicy, StatusFlags, SteerClock, StepClock, SystemClock,
};
use ntp_types::{Applied, ClockCommand, Frequency, LeapIndicator, NtpDuration, UnixTime};

use crate::check::{raw, Checks, Moment};

const MILLI: i64 = 1_000_000;

pub(crate) fn run(checks: &mut Checks) {
    let mut clock = SystemClock::new();
    let status = clock.status().unwrap();
    checks.that("status in one call", status.time.seconds() > 0 && status.nominal_tick == 10_000, status.flags);
    let noon = UnixTime::from_seconds(1_800_000_000);
    let moved = clock.set(noon, clock.read().unwrap().at).unwrap();
    let now = clock.time().unwrap();
    checks.that(
        "set by decades",
        now.seconds() - noon.seconds() <= 1,
        format!("{now}, moved {} s", moved / 1_000_000_000),
    );
    traps(checks);
    leap(checks);
    steps(checks);
    slews(checks);
    rescues(checks);
    run_unprivileged(checks);
}

fn traps(checks: &mut Checks) {
    let mut clock = SystemClock::new();
    // Frequencies beyond 500 ppm are clamped without a word.
    let (_, trap) = raw(modes::FREQUENCY, |timex| timex.freq = 501 << 16).unwrap();
    checks.that("trap: 501 ppm is taken and clamped", trap.freq == 500 << 16, trap.freq >> 16);
    let refused = Adjustment::new().frequency(Frequency::from_ppm(501)).build();
    checks.that("501 ppm is refused", matches!(refused, Err(ClockError::OutOfRange(_))), format!("{refused:?}"));
    let clamped = clock.adjust(&Adjustment::new().frequency(Frequency::from_ppm(501)).clamped()).unwrap();
    let read_back = clamped.applied.frequency;
    checks.that("clamped() is read back", (read_back - Frequency::from_ppm(500)).to_scaled_ppm() == 0, read_back);
    let _ = clock.adjust(&Adjustment::new().frequency(Frequency::ZERO)).unwrap();

    // So are offsets beyond half a second, and without STA_PLL they are ignored.
    let (_, trap) = raw(modes::OFFSET | modes::STATUS | modes::NANO, |timex| {
        timex.offset = 700 * MILLI;
        timex.status = StatusFlags::PLL.to_bits();
    })
    .unwrap();
    checks.that("trap: an offset of 0.7 s becomes 0.5 s", trap.offset == 500 * MILLI, trap.offset);
    let (_, trap) = raw(modes::STATUS, |timex| timex.status = StatusFlags::UNSYNCHRONIZED.to_bits()).unwrap();
    let flags = StatusFlags::from_bits(trap.status);
    checks.that("trap: clearing STA_PLL clears STA_NANO", !flags.contains(StatusFlags::NANO), flags);
    let _ = clock.adjust(&Adjustment::new().frequency(Frequency::ZERO)).unwrap();
    let flags = clock.status().unwrap().flags;
    checks.that("every adjustment sets STA_NANO again", flags.contains(StatusFlags::NANO), flags);

    // A tick out of range is refused by the kernel; by the library before it.
    let trap = raw(modes::TICK, |timex| timex.tick = 8_999).unwrap_err();
    let refused = Adjustment::new().tick(8_999).build();
    checks.that("tick 8999 is refused", matches!(refused, Err(ClockError::OutOfRange(_))), format!("kernel: {trap}"));
    let refused = Adjustment::new().tai(-1).build();
    let before = raw(modes::TAI, |timex| timex.constant = 37).unwrap().1.tai;
    let (_, trap) = raw(modes::TAI, |timex| timex.constant = -1).unwrap();
    checks.that("trap: a negative TAI offset is ignored", before == 37 && trap.tai == 37, trap.tai);
    checks.that("a negative TAI offset is refused", matches!(refused, Err(ClockError::OutOfRange(_))), "");

    // Setting the clock puts the maximum error at 16 s: clearing STA_UNSYNC alone does not last a second.
    let _ = clock.set(clock.time().unwrap(), clock.read().unwrap().at).unwrap();
    let (_, before) = raw(modes::STATUS, |timex| timex.status = 0).unwrap();
    sleep(Duration::from_millis(2_200));
    let after = clock.status().unwrap();
    let was_clear = !StatusFlags::from_bits(before.status).contains(StatusFlags::UNSYNCHRONIZED);
    checks.that("trap: STA_UNSYNC comes back", was_clear && after.is_flagged_unsynchronized(), after.flags);
    let refused = Adjustment::new().synchronized(true).build();
    checks.that("synchronised without an error is refused", refused == Err(ClockError::NoMaxError), "");
    let good = Adjustment::new()
        .step(NtpDuration::from_nanos(MILLI))
        .synchronized(true)
        .max_error(Duration::from_millis(10))
        .estimated_error(Duration::from_millis(1));
    let _ = clock.adjust(&good).unwrap();
    sleep(Duration::from_millis(2_200));
    let after = clock.status().unwrap();
    let grown = after.max_error - NtpDuration::from_nanos(10 * MILLI);
    checks.that(
        "with it, it stays, even over a step",
        !after.is_flagged_unsynchronized() && after.is_synchronized(),
        after.flags,
    );
    checks.that(
        "the maximum error grows by 500 µs/s",
        (MILLI..=3 * MILLI / 2).contains(&grown.to_nanos()),
        grown.human(),
    );
}

fn leap(checks: &mut Checks) {
    let mut clock = SystemClock::new();
    let armed = Adjustment::new().leap(LeapIndicator::InsertSecond).synchronized(false);
    let _ = clock.adjust(&armed).unwrap();
    sleep(Duration::from_millis(1_100));
    let hidden = clock.status().unwrap().leap;
    checks.that("TIME_ERROR hides the leap state", hidden == LeapState::Hidden(LeapIndicator::InsertSecond), hidden);
    // Three seconds before midnight, armed and synchronised: the second is inserted and TAI moves. The kernel forgets at a step
    // when an armed second is due, and would wait for ever: the library arms it anew.
    let midnight = (clock.time().unwrap().seconds() / 86_400 + 1) * 86_400;
    let before = UnixTime::from_seconds(midnight - 3);
    let _ = clock.set(before, clock.read().unwrap().at).unwrap();
    let seen = Adjustment::new()
        .leap(LeapIndicator::InsertSecond)
        .synchronized(true)
        .max_error(Duration::from_millis(1))
        .estimated_error(Duration::ZERO);
    let _ = clock.adjust(&seen).unwrap();
    let (mut states, mut tai) = (Vec::new(), Vec::new());
    for _ in 0..600 {
        let status = clock.status().unwrap();
        if states.last() != Some(&status.leap) {
            states.push(status.leap);
            tai.push(status.tai_offset);
        }
        sleep(Duration::from_millis(10));
    }
    let expected = [LeapState::Insert, LeapState::InProgress, LeapState::Occurred];
    checks.that("a leap second passes", states.ends_with(&expected), format!("{states:?} TAI {tai:?}"));
    let _ = clock.adjust(&Adjustment::new().leap(LeapIndicator::NoWarning).synchronized(false)).unwrap();
}

fn steps(checks: &mut Checks) {
    let mut clock = SystemClock::new();
    for nanos in [-100_500 * MILLI, 250 * MILLI, -1, 1_999_999_999] {
        let before = Moment::now();
        let applied = clock.step(NtpDuration::from_nanos(nanos)).unwrap();
        let error = Moment::now().gained_since(before) - NtpDuration::from_nanos(nanos);
        checks.near(&format!("step by {nanos} ns"), error, 20_000);
        checks.that("is booked to the nanosecond", applied.stepped.to_nanos() == nanos, applied.stepped);
    }
}

/// The oscillator's own rate, to be taken off what is measured.
fn base_rate() -> f64 {
    let before = Moment::now();
    sleep(Duration::from_secs(1));
    let now = Moment::now();
    ratio(now.gained_since(before), now.raw - before.raw)
}

#[allow(clippy::cast_precision_loss)] // a few seconds
fn ratio(gained: NtpDuration, raw: i128) -> f64 {
    gained.to_seconds_f64() / (raw as f64 * 1e-9) * 1e6
}

fn slews(checks: &mut Checks) {
    let policy = SlewPolicy { max_rate: Frequency::from_ppm(100_000), ..SlewPolicy::default() };
    let base = base_rate();
    for (millis, seconds, ppm) in [(6, 3, 0), (-60, 3, 100), (250, 3, -20), (700, 8, 0)] {
        let mut clock = SystemClock::new().with_policy(policy);
        let offset = NtpDuration::from_nanos(millis * MILLI);
        let frequency = Frequency::from_ppm(ppm);
        let before = Moment::now();
        let command = ClockCommand::Slew { offset, duration: Duration::from_secs(seconds), frequency };
        let applied = clock.apply(&command).unwrap();
        let (start, wanted) = (Moment::now(), (applied.slew_rate + frequency).to_ppm_f64() + base);
        sleep(Duration::from_millis(1_500));
        let middle = Moment::now();
        let measured = ratio(middle.gained_since(start), middle.raw - start.raw);
        let name = format!("slew of {millis} ms in {seconds} s runs at {:.0} ppm", wanted);
        checks.that(&name, (measured - wanted).abs() < 60.0 + wanted.abs() * 1e-3, format!("{measured:.1} ppm"));
        let end = run_out(&mut clock);
        let now = Moment::now();
        let booked = applied.accumulated(end.at) + end.accumulated(now.instant());
        checks.near("what is booked is what it gained", now.gained_since(before) - booked, 150_000);
        let planned = applied.slew_rate.over(applied.slew_end.since(applied.at));
        checks.near("and was planned to be the offset", planned - offset, 100);
        let rest = clock.status().unwrap().rate() - frequency;
        checks.that("the frequency is back", rest.to_scaled_ppm().abs() <= 1, rest);
    }
    own_slew(checks);
}

fn run_out(clock: &mut SystemClock) -> Applied {
    loop {
        let now = clock.read().unwrap().at;
        match clock.handle_timeout(now).unwrap() {
            Some(applied) => return applied,
            None => sleep(clock.next_timeout().unwrap().since(now).min(Duration::from_millis(500))),
        }
    }
}

/// The kernel's own: whole, and it ends by itself.
fn own_slew(checks: &mut Checks) {
    let _ = SystemClock::new().adjust(&Adjustment::new().frequency(Frequency::ZERO).tick(10_000)).unwrap();
    // After a fast slew the kernel still works off what its last tick took too much.
    sleep(Duration::from_secs(2));
    let mut clock = SystemClock::new();
    let before = Moment::now();
    let offset = NtpDuration::from_nanos(1_234_000);
    let command = ClockCommand::Slew { offset, duration: Duration::from_secs(16), frequency: Frequency::ZERO };
    let applied = clock.apply(&command).unwrap();
    let rate = clock.status().unwrap().rate();
    let is_own = rate == Frequency::ZERO && clock.residue() == rate;
    checks.that("1.234 ms goes by the kernel's own slew", is_own, rate);
    let (mut booked, mut last) = (NtpDuration::ZERO, applied);
    while let Some(end) = clock.next_timeout() {
        sleep(end.since(clock.read().unwrap().at));
        if let Some(applied) = clock.handle_timeout(clock.read().unwrap().at).unwrap() {
            booked += last.accumulated(applied.at);
            last = applied;
        }
        let now = Moment::now();
        let error = now.gained_since(before) - booked - last.accumulated(now.instant());
        checks.near("it gains what is booked", error, 150_000);
    }
    sleep(Duration::from_secs(2));
    let now = Moment::now();
    let error = now.gained_since(before) - booked - last.accumulated(now.instant());
    checks.near("in the end too", error, 150_000);
    drop(clock);
    // Cut short: the kernel says what is left.
    let mut clock = SystemClock::new();
    let before = Moment::now();
    let slew = |nanos, seconds| ClockCommand::Slew {
        offset: NtpDuration::from_nanos(nanos),
        duration: Duration::from_secs(seconds),
        frequency: Frequency::ZERO,
    };
    let first = clock.apply(&slew(20 * MILLI, 60)).unwrap();
    sleep(Duration::from_millis(1_200));
    let running = clock.handle_timeout(clock.read().unwrap().at).unwrap().unwrap();
    sleep(Duration::from_millis(2_100));
    let second = clock.apply(&slew(0, 0)).unwrap();
    sleep(Duration::from_secs(2));
    let now = Moment::now();
    let booked = first.accumulated(running.at) + running.accumulated(second.at) + second.accumulated(now.instant());
    checks.near("cut short, it is booked by what was left", now.gained_since(before) - booked, 150_000);
    // A step ends it where it stands: the kernel forgets the rest, that of the second that had begun as well.
    let before = Moment::now();
    let first = clock.apply(&slew(20 * MILLI, 60)).unwrap();
    sleep(Duration::from_millis(3_300));
    let second = clock.step(NtpDuration::from_nanos(250 * MILLI)).unwrap();
    sleep(Duration::from_secs(3));
    let now = Moment::now();
    let booked = first.accumulated(second.at) + second.accumulated(now.instant());
    checks.near("ended by a step, it is booked as far as it came", now.gained_since(before) - booked, 250_000);
}

/// A process that dies in the middle of a slew leaves the frequency as it was before.
fn rescues(checks: &mut Checks) {
    for (net, signal) in [("signals", libc_signal::TERM), ("signals", libc_signal::ABRT), ("guard", libc_signal::KILL)]
    {
        let mut victim = start_victim(net);
        let rate = || SystemClock::new().status().unwrap().rate();
        let is_fast = || rate() > Frequency::from_ppm(4_000);
        wait_until(Duration::from_secs(20), is_fast);
        let during = rate();
        let _ = Command::new("/bin/busybox").args(["kill", signal]).arg(victim.id().to_string()).status().unwrap();
        let _ = victim.wait().unwrap();
        wait_until(Duration::from_secs(2), || !is_fast());
        let after = rate();
        let name = format!("killed by {signal} in a slew, {net} set the frequency back");
        let seen = format!("{during} during, {after} after");
        let (during, after) = (during.to_ppm_f64(), after.to_ppm_f64());
        checks.that(&name, during > 4_000.0 && (after - 7.0).abs() < 0.01, seen);
    }
    without_a_net(checks);
}

/// Killed with nothing to rescue it: a slew for which there was no time is the kernel's own, and comes to its end.
fn without_a_net(checks: &mut Checks) {
    let base = base_rate();
    let before = Moment::now();
    let mut victim = start_victim("none");
    sleep(Duration::from_secs(3));
    victim.kill().unwrap();
    let _ = victim.wait().unwrap();
    sleep(Duration::from_secs(8));
    let ended = Moment::now();
    sleep(Duration::from_secs(3));
    let now = Moment::now();
    let rate = ratio(now.gained_since(ended), now.raw - ended.raw) - base;
    let status = SystemClock::new().status().unwrap();
    let gained = now.gained_since(before);
    let is_whole = (gained - NtpDuration::from_nanos(3 * MILLI)).abs() < NtpDuration::from_nanos(MILLI / 2);
    let seen = format!("{gained} in all, {rate:.1} ppm left, {} by frequency", status.rate());
    checks.that("killed without a net in a slew, the kernel ends it", is_whole && rate.abs() < 60.0, seen);
}

/// However long a busy host takes.
pub(crate) fn wait_until(limit: Duration, is_so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() && began.elapsed() < limit {
        sleep(Duration::from_millis(20));
    }
}

mod libc_signal {
    pub(super) const TERM: &str = "-TERM";
    pub(super) const ABRT: &str = "-ABRT";
    pub(super) const KILL: &str = "-KILL";
}

fn start_victim(net: &str) -> Child {
    Command::new("/prog").args(["victim", net]).stdin(Stdio::null()).spawn().unwrap()
}

/// Slews and waits to be killed.
pub(crate) fn victim(net: &str) {
    match net {
        "signals" => rescue::restore_on_signals().unwrap(),
        "guard" => rescue::start_guard().unwrap(),
        _ => {}
    }
    let mut clock = SystemClock::new();
    let (offset, seconds) = if net == "none" {
        (NtpDuration::from_nanos(3 * MILLI), 1)
    } else {
        clock.set_policy(SlewPolicy::guarded());
        (NtpDuration::from_seconds(1), 200)
    };
    let frequency = Frequency::from_ppm(7);
    let _ = clock.apply(&ClockCommand::Slew { offset, duration: Duration::from_secs(seconds), frequency }).unwrap();
    sleep(Duration::from_secs(60));
}

fn run_unprivileged(checks: &mut Checks) {
    let status = Command::new("/prog").arg("unprivileged").uid(65_534).gid(65_534).status().unwrap();
    checks.that("an ordinary user looks and is refused cleanly", status.success(), status);
}

/// As an ordinary user: looking works, changing says what is missing.
pub(crate) fn unprivileged(checks: &mut Checks) {
    let mut clock = SystemClock::new();
    checks.that("status", clock.status().is_ok(), clock.status().unwrap().time);
    let refused = clock.step(NtpDuration::SECOND).unwrap_err();
    checks.that("step", refused.is_permission() && refused.hint().is_some(), refused);
    let refused = clock.adjust(&Adjustment::new().frequency(Frequency::ZERO)).unwrap_err();
    checks.that("adjust", refused.is_permission(), refused);
    let slew = ClockCommand::Slew {
        offset: NtpDuration::SECOND,
        duration: Duration::from_secs(100),
        frequency: Frequency::ZERO,
    };
    let refused = clock.apply(&slew).unwrap_err();
    checks.that("slew", refused.is_permission() && clock.next_timeout().is_none(), refused);
    match Rtc::open() {
        Ok(rtc) => {
            let refused = rtc.set(0, &SetOptions::default()).map(|_| ()).unwrap_err();
            checks.that("hardware clock", refused.errno().is_some(), refused);
        }
        Err(refused) => checks.that("hardware clock", refused.errno().is_some(), refused),
    }
    let seen = look(None, Duration::from_secs(3));
    if std::path::Path::new("/sys/class/rtc/rtc0").exists() {
        let text = seen.as_ref().map_or_else(ToString::to_string, |look| look.path.display().to_string());
        checks.that("hardware clock through sysfs", seen.is_ok(), text);
        let refused = ntp_clock::rtc::hctosys(&mut clock, &seen.unwrap().edge, &AdjTime::default()).unwrap_err();
        checks.that("hctosys", refused.errno().is_some(), refused);
    }
}
