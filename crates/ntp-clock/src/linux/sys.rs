//! The only unsafe code of this crate: one libc call for each function, each pointer argued for.
//!
//! Calls go through libc's functions, not raw system calls, so that a preloaded library sees them.

#![allow(unsafe_code)]

use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use core::time::Duration;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ntp_types::UnixTime;

use crate::kernel::{ClockId, PtpCapabilities, Timex};
use crate::rtc::ioctl::{self, RTC_PARAM_SIZE, RTC_TIME_SIZE};
use crate::rtc::RtcTime;
use crate::Errno;

fn last_errno() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// A `-1` becomes the errno of this thread.
fn check(result: c_int) -> Result<c_int, Errno> {
    if result == -1 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

/// Into the width the platform's structure has; what does not fit is an error, never cut off.
fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, Errno> {
    T::try_from(value).map_err(|_| Errno::EOVERFLOW)
}

fn clock_id(clock: ClockId) -> libc::clockid_t {
    match clock {
        ClockId::Realtime => libc::CLOCK_REALTIME,
        ClockId::MonotonicRaw => libc::CLOCK_MONOTONIC_RAW,
        ClockId::Monotonic => libc::CLOCK_MONOTONIC,
        ClockId::Boottime => libc::CLOCK_BOOTTIME,
        ClockId::Descriptor(fd) => ClockId::of_descriptor(fd),
    }
}

#[allow(clippy::useless_conversion)] // time_t and c_long have 32 bits on some targets
pub(crate) fn clock_gettime(clock: ClockId) -> Result<UnixTime, Errno> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec that nothing else refers to; the call writes it and keeps no pointer.
    check(unsafe { libc::clock_gettime(clock_id(clock), &mut time) })?;
    unix_time(i64::from(time.tv_sec), i64::from(time.tv_nsec))
}

/// No kernel counts nanoseconds past the second; what is preloaded may.
fn unix_time(seconds: i64, nanos: i64) -> Result<UnixTime, Errno> {
    let (carry, nanos) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    let seconds = seconds.checked_add(carry).ok_or(Errno::EOVERFLOW)?;
    UnixTime::new(seconds, u32::try_from(nanos).map_err(|_| Errno::EINVAL)?).ok_or(Errno::EINVAL)
}

pub(crate) fn clock_settime(clock: ClockId, time: UnixTime) -> Result<(), Errno> {
    let time = libc::timespec { tv_sec: narrow(time.seconds())?, tv_nsec: narrow(i64::from(time.nanos()))? };
    // SAFETY: `time` is a live timespec; the call reads it and keeps no pointer.
    check(unsafe { libc::clock_settime(clock_id(clock), &time) }).map(|_| ())
}

#[allow(clippy::useless_conversion)] // the fields have 32 bits on some targets
pub(crate) fn clock_adjtime(clock: ClockId, timex: &mut Timex) -> Result<i32, Errno> {
    // SAFETY: timex is a plain C structure of integers, for which all bits zero is a value.
    let mut raw: libc::timex = unsafe { core::mem::zeroed() };
    raw.modes = timex.modes;
    raw.offset = narrow(timex.offset)?;
    raw.freq = narrow(timex.freq)?;
    raw.maxerror = narrow(timex.maxerror)?;
    raw.esterror = narrow(timex.esterror)?;
    raw.status = timex.status;
    raw.constant = narrow(timex.constant)?;
    raw.time.tv_sec = narrow(timex.seconds)?;
    raw.time.tv_usec = narrow(timex.fraction)?;
    raw.tick = narrow(timex.tick)?;
    // SAFETY: `raw` is a live timex that nothing else refers to; the call reads and writes it and keeps no pointer.
    let state = check(unsafe { libc::clock_adjtime(clock_id(clock), &mut raw) })?;
    *timex = Timex {
        modes: raw.modes,
        offset: raw.offset.into(),
        freq: raw.freq.into(),
        maxerror: raw.maxerror.into(),
        esterror: raw.esterror.into(),
        status: raw.status,
        constant: raw.constant.into(),
        precision: raw.precision.into(),
        tolerance: raw.tolerance.into(),
        seconds: raw.time.tv_sec.into(),
        fraction: raw.time.tv_usec.into(),
        tick: raw.tick.into(),
        ppsfreq: raw.ppsfreq.into(),
        jitter: raw.jitter.into(),
        shift: raw.shift,
        stabil: raw.stabil.into(),
        jitcnt: raw.jitcnt.into(),
        calcnt: raw.calcnt.into(),
        errcnt: raw.errcnt.into(),
        stbcnt: raw.stbcnt.into(),
        tai: raw.tai,
    };
    Ok(state)
}

pub(crate) fn set_time_zone(minutes_west: i32) -> Result<(), Errno> {
    let zone = [minutes_west, 0_i32]; // struct timezone: tz_minuteswest, tz_dsttime
    let zone: *const [i32; 2] = &zone;
    // SAFETY: the time is null, which the call allows; `zone` points to the two live ints of a struct timezone, which the
    // call only reads. The raw system call, because musl's settimeofday drops the zone.
    let result = unsafe { libc::syscall(libc::SYS_settimeofday, ptr::null::<libc::timeval>(), zone) };
    if result == -1 {
        Err(last_errno())
    } else {
        Ok(())
    }
}

pub(crate) fn ptp_capabilities(fd: c_int) -> Result<PtpCapabilities, Errno> {
    // SAFETY: ptp_clock_caps is a plain C structure of integers, for which all bits zero is a value.
    let mut caps: libc::ptp_clock_caps = unsafe { core::mem::zeroed() };
    // SAFETY: `caps` is a live ptp_clock_caps, the type PTP_CLOCK_GETCAPS writes; nothing else refers to it and the call
    // keeps no pointer. A descriptor that is no PTP clock answers ENOTTY or EBADF.
    check(unsafe { libc::ioctl(fd, libc::PTP_CLOCK_GETCAPS, &mut caps) })?;
    Ok(PtpCapabilities {
        max_frequency_ppb: caps.max_adj,
        alarms: caps.n_alarm,
        external_stamps: caps.n_ext_ts,
        periodic_outputs: caps.n_per_out,
        pps: caps.pps != 0,
    })
}

#[allow(clippy::useless_conversion)] // c_long has 32 bits on some targets
pub(crate) fn ticks_per_second() -> i64 {
    // SAFETY: no pointers are involved.
    let ticks = i64::from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) });
    if ticks > 0 {
        ticks
    } else {
        100 // USER_HZ of every architecture but alpha
    }
}

#[allow(clippy::useless_conversion)] // time_t and c_long have 32 bits on some targets
pub(crate) fn utc_offset(time: UnixTime) -> Result<i32, Errno> {
    let seconds: libc::time_t = narrow(time.seconds())?;
    // SAFETY: tm is a plain C structure of integers and a pointer, for which all bits zero is a value.
    let mut local: libc::tm = unsafe { core::mem::zeroed() };
    // SAFETY: `seconds` and `local` are live; the call reads the one and writes the other, and keeps no pointer. The zone's
    // name, to which `local` then points, is not looked at.
    if unsafe { libc::localtime_r(&seconds, &mut local) }.is_null() {
        return Err(last_errno());
    }
    narrow(i64::from(local.tm_gmtoff))
}

/// `struct rtc_time`, which libc does not have.
#[repr(C)]
#[derive(Default)]
struct RawRtcTime {
    sec: c_int,
    min: c_int,
    hour: c_int,
    mday: c_int,
    mon: c_int,
    year: c_int,
    wday: c_int,
    yday: c_int,
    isdst: c_int,
}

/// `struct rtc_param`, which libc does not have.
#[repr(C)]
#[derive(Default)]
struct RawRtcParam {
    param: u64,
    value: u64,
    index: u32,
    pad: u32,
}

const _: () = assert!(size_of::<RawRtcTime>() == RTC_TIME_SIZE as usize);
const _: () = assert!(size_of::<RawRtcParam>() == RTC_PARAM_SIZE as usize);

/// The number as libc's ioctl takes it: unsigned long with glibc, int with musl.
#[allow(clippy::cast_possible_wrap, clippy::unnecessary_cast, clippy::cast_lossless)] // 32 bits that mean no quantity
const fn number(request: u32) -> libc::Ioctl {
    request as libc::Ioctl
}

pub(crate) fn rtc_read_time(file: &File) -> Result<RtcTime, Errno> {
    let mut raw = RawRtcTime { isdst: -1, ..RawRtcTime::default() };
    // SAFETY: `raw` is a live rtc_time of the size the request names; nothing else refers to it; the call writes it and keeps no
    // pointer. A descriptor that is no RTC answers ENOTTY.
    check(unsafe { libc::ioctl(file.as_raw_fd(), number(ioctl::RD_TIME), &mut raw) })?;
    Ok(RtcTime {
        second: raw.sec,
        minute: raw.min,
        hour: raw.hour,
        day: raw.mday,
        month: raw.mon,
        year: raw.year,
        weekday: raw.wday,
        day_of_year: raw.yday,
    })
}

pub(crate) fn rtc_set_time(file: &File, time: &RtcTime) -> Result<(), Errno> {
    let raw = RawRtcTime {
        sec: time.second,
        min: time.minute,
        hour: time.hour,
        mday: time.day,
        mon: time.month,
        year: time.year,
        wday: time.weekday,
        yday: time.day_of_year,
        isdst: 0,
    };
    let raw: *const RawRtcTime = &raw;
    // SAFETY: `raw` points to a live rtc_time of the size the request names; the call only reads it and keeps no pointer.
    check(unsafe { libc::ioctl(file.as_raw_fd(), number(ioctl::SET_TIME), raw) }).map(|_| ())
}

pub(crate) fn rtc_update_interrupt(file: &File, is_on: bool) -> Result<(), Errno> {
    let request = if is_on { ioctl::UIE_ON } else { ioctl::UIE_OFF };
    // SAFETY: no pointers are involved.
    check(unsafe { libc::ioctl(file.as_raw_fd(), number(request), 0) }).map(|_| ())
}

pub(crate) fn rtc_wait(file: &File, limit: Duration) -> Result<bool, Errno> {
    let mut wanted = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = c_int::try_from(limit.as_millis().saturating_add(1)).unwrap_or(c_int::MAX);
    // SAFETY: `wanted` is one live pollfd, as said; nothing else refers to it and the call keeps no pointer.
    if check(unsafe { libc::poll(&mut wanted, 1, millis) })? == 0 {
        return Ok(false);
    }
    // What happened and how often, in one long; with poll's word for it this does not block.
    let mut event: libc::c_ulong = 0;
    // SAFETY: `event` is live, as long as said, and any octets are a value of it; the call keeps no pointer.
    let length = unsafe { libc::read(file.as_raw_fd(), ptr::addr_of_mut!(event).cast(), size_of_val(&event)) };
    if length < 0 {
        return Err(last_errno());
    }
    Ok(true)
}

pub(crate) fn rtc_parameter(file: &File, parameter: u64) -> Result<u64, Errno> {
    let mut raw = RawRtcParam { param: parameter, ..RawRtcParam::default() };
    // SAFETY: `raw` is a live rtc_param of the size the request names; nothing else refers to it; the call reads and writes it and
    // keeps no pointer.
    check(unsafe { libc::ioctl(file.as_raw_fd(), number(ioctl::PARAM_GET), &mut raw) })?;
    Ok(raw.value)
}

pub(crate) fn rtc_set_parameter(file: &File, parameter: u64, value: u64) -> Result<(), Errno> {
    let mut raw = RawRtcParam { param: parameter, value, ..RawRtcParam::default() };
    // SAFETY: as for reading a parameter.
    check(unsafe { libc::ioctl(file.as_raw_fd(), number(ioctl::PARAM_SET), &mut raw) }).map(|_| ())
}

pub(crate) fn rtc_voltage(file: &File) -> Result<u32, Errno> {
    let mut flags: u32 = 0;
    // SAFETY: `flags` is a live unsigned int, the size the request names; nothing else refers to it; the call writes it and keeps
    // no pointer.
    check(unsafe { libc::ioctl(file.as_raw_fd(), number(ioctl::VL_READ), &mut flags) })?;
    Ok(flags)
}

pub(crate) fn rtc_clear_voltage(file: &File) -> Result<(), Errno> {
    // SAFETY: no pointers are involved.
    check(unsafe { libc::ioctl(file.as_raw_fd(), number(ioctl::VL_CLR), 0) }).map(|_| ())
}

/// What sets `CLOCK_REALTIME` back, where a signal handler finds it.
static IS_ARMED: AtomicBool = AtomicBool::new(false);
static FREQUENCY: AtomicI64 = AtomicI64::new(0);
static TICK: AtomicI64 = AtomicI64::new(0);

pub(crate) fn arm(freq: i64, tick: i64) {
    FREQUENCY.store(freq, Ordering::SeqCst);
    TICK.store(tick, Ordering::SeqCst);
    IS_ARMED.store(true, Ordering::SeqCst);
}

pub(crate) fn disarm() {
    IS_ARMED.store(false, Ordering::SeqCst);
}

/// Sets `CLOCK_REALTIME` back if it is armed. Only atomics and a system call: fit for a signal handler.
fn restore() {
    if IS_ARMED.swap(false, Ordering::SeqCst) {
        let mut timex = Timex {
            modes: crate::kernel::modes::FREQUENCY | crate::kernel::modes::TICK | crate::kernel::modes::NANO,
            freq: FREQUENCY.load(Ordering::SeqCst),
            tick: TICK.load(Ordering::SeqCst),
            ..Timex::default()
        };
        let _ = clock_adjtime(ClockId::Realtime, &mut timex);
    }
}

extern "C" fn restore_and_die(signal: c_int) {
    restore();
    // SAFETY: no pointers are involved; both calls are async-signal-safe. SA_RESETHAND has put the default action back, so
    // the signal ends the process as soon as the handler returns.
    unsafe { libc::raise(signal) };
}

pub(crate) fn restore_on_signals() -> Result<(), Errno> {
    let signals = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGABRT,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGBUS,
        libc::SIGSEGV,
        libc::SIGALRM,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGXCPU,
    ];
    for signal in signals {
        // SAFETY: sigaction is a plain C structure for which all bits zero is a value: the default action.
        let mut old: libc::sigaction = unsafe { core::mem::zeroed() };
        // SAFETY: a null new action only asks; `old` is live, nothing else refers to it, and no pointer is kept.
        check(unsafe { libc::sigaction(signal, ptr::null(), &mut old) })?;
        if old.sa_sigaction != libc::SIG_DFL {
            continue; // somebody handles it: leave it to them
        }
        // SAFETY: as above.
        let mut new: libc::sigaction = unsafe { core::mem::zeroed() };
        new.sa_sigaction = restore_and_die as extern "C" fn(c_int) as libc::sighandler_t;
        new.sa_flags = libc::SA_RESETHAND;
        // SAFETY: `new` is live and only read; the handler it names is a function of the right type that lives for ever
        // and does nothing but atomics and async-signal-safe calls; the old action is not asked for.
        check(unsafe { libc::sigaction(signal, &new, ptr::null_mut()) })?;
    }
    Ok(())
}

pub(crate) fn spawn_guard() -> Result<File, Errno> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` are the two live ints that pipe2 writes; no pointer is kept.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let [read_end, write_end] = ends;
    // SAFETY: pipe2 has just made both descriptors, and nothing else owns them.
    let (read_end, write_end) = unsafe { (OwnedFd::from_raw_fd(read_end), OwnedFd::from_raw_fd(write_end)) };
    // SAFETY: no pointers are involved. The child makes only system calls on its own stack and never returns.
    match check(unsafe { libc::fork() })? {
        0 => {
            drop(write_end);
            stand_guard(read_end.as_raw_fd())
        }
        _ => Ok(File::from(write_end)),
    }
}

/// Whether somebody still has the other end of the pipe of which this is the end to write into.
pub(crate) fn has_reader(pipe: &File) -> bool {
    let mut end = libc::pollfd { fd: pipe.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: `end` is one live pollfd, as said; nothing else refers to it and the call keeps no pointer.
    check(unsafe { libc::poll(&mut end, 1, 0) }).is_ok() && end.revents & libc::POLLERR == 0
}

/// The guard: remembers the last word from the pipe, and acts on it when the other end is gone.
fn stand_guard(pipe: c_int) -> ! {
    // SAFETY: none of these calls takes a pointer, but prctl, whose name is a static string with its zero. They detach the
    // guard from the terminal and the signals meant for the process it watches, and close every descriptor but the pipe.
    unsafe {
        libc::setsid();
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::prctl(libc::PR_SET_NAME, c"ntp-clock-guard".as_ptr());
        for fd in (0..1024).filter(|&fd| fd != pipe) {
            libc::close(fd);
        }
    }
    let mut word = [0_i64; 3];
    loop {
        // SAFETY: `word` is live, as long as said, and any octets are a value of it; the call keeps no pointer.
        let length = unsafe { libc::read(pipe, word.as_mut_ptr().cast(), size_of_val(&word)) };
        match length {
            24 if word[0] == 1 => arm(word[1], word[2]),
            24 => disarm(),
            -1 if last_errno() == Errno::EINTR => {}
            _ => break,
        }
    }
    restore();
    // SAFETY: no pointers are involved; nothing of the parent's is flushed or dropped.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_past_the_second_are_carried() {
        for (seconds, nanos, told) in
            [(5, 999_999_999, (5, 999_999_999)), (5, 1_000_000_101, (6, 101)), (5, -1, (4, 999_999_999))]
        {
            let time = unix_time(seconds, nanos).unwrap();
            assert_eq!((time.seconds(), time.nanos()), told);
        }
        assert_eq!(unix_time(i64::MAX, 1_000_000_000), Err(Errno::EOVERFLOW));
    }
}
