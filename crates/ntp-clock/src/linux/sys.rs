//! The only unsafe code of this crate: one libc call for each function, each pointer argued for.
//!
//! Calls go through libc's functions, not raw system calls, so that a preloaded library sees them.

#![allow(unsafe_code)]

use core::ffi::c_int;

use ntp_types::UnixTime;

use crate::kernel::{ClockId, PtpCapabilities, Timex};
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
        ClockId::Descriptor(fd) => ClockId::of_descriptor(fd),
    }
}

#[allow(clippy::useless_conversion)] // time_t and c_long have 32 bits on some targets
pub(crate) fn clock_gettime(clock: ClockId) -> Result<UnixTime, Errno> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec that nothing else refers to; the call writes it and keeps no pointer.
    check(unsafe { libc::clock_gettime(clock_id(clock), &mut time) })?;
    let nanos = u32::try_from(time.tv_nsec).map_err(|_| Errno::EINVAL)?;
    UnixTime::new(i64::from(time.tv_sec), nanos).ok_or(Errno::EINVAL)
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
    let result = unsafe { libc::syscall(libc::SYS_settimeofday, core::ptr::null::<libc::timeval>(), zone) };
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
