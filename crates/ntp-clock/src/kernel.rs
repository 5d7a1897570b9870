//! The table of system calls the clocks are made of: a trait, so that a test can stand in for the kernel and return
//! each errno it can return.

use core::fmt::Debug;
use core::time::Duration;

use ntp_types::UnixTime;

use crate::Errno;

/// Which clock a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClockId {
    /// `CLOCK_REALTIME`.
    Realtime,
    /// `CLOCK_MONOTONIC_RAW`: not steered.
    MonotonicRaw,
    /// `CLOCK_MONOTONIC`: steered in its rate, stands while the machine sleeps.
    Monotonic,
    /// `CLOCK_BOOTTIME`: as [`Monotonic`](Self::Monotonic), and goes on while the machine sleeps.
    Boottime,
    /// The clock behind an open file descriptor of a PTP device.
    Descriptor(i32),
}

impl ClockId {
    /// The kernel's `FD_TO_CLOCKID`.
    #[must_use]
    pub const fn of_descriptor(fd: i32) -> i32 {
        (!fd << 3) | 3
    }
}

/// `struct timex` with the same fields on every platform; the units are the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, clippy::exhaustive_structs)] // the names and units of adjtimex(2)
pub struct Timex {
    pub modes: u32,
    pub offset: i64,
    pub freq: i64,
    pub maxerror: i64,
    pub esterror: i64,
    pub status: i32,
    pub constant: i64,
    pub precision: i64,
    pub tolerance: i64,
    pub seconds: i64,
    /// `time.tv_usec`: nanoseconds under `STA_NANO` or `ADJ_NANO`, else microseconds.
    pub fraction: i64,
    pub tick: i64,
    pub ppsfreq: i64,
    pub jitter: i64,
    pub shift: i32,
    pub stabil: i64,
    pub jitcnt: i64,
    pub calcnt: i64,
    pub errcnt: i64,
    pub stbcnt: i64,
    pub tai: i32,
}

/// The bits of [`Timex::modes`]. Source: `<linux/timex.h>`.
#[allow(missing_docs)] // the names of adjtimex(2)
pub mod modes {
    pub const OFFSET: u32 = 0x0001;
    pub const FREQUENCY: u32 = 0x0002;
    pub const MAXERROR: u32 = 0x0004;
    pub const ESTERROR: u32 = 0x0008;
    pub const STATUS: u32 = 0x0010;
    pub const TIMECONST: u32 = 0x0020;
    pub const TAI: u32 = 0x0080;
    pub const SETOFFSET: u32 = 0x0100;
    pub const MICRO: u32 = 0x1000;
    pub const NANO: u32 = 0x2000;
    pub const TICK: u32 = 0x4000;
    pub const OFFSET_SINGLESHOT: u32 = 0x8001;
    pub const OFFSET_SS_READ: u32 = 0xa001;
}

/// What a PTP device can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct PtpCapabilities {
    /// The largest frequency correction, in parts per billion.
    pub max_frequency_ppb: i32,
    /// Programmable alarms.
    pub alarms: i32,
    /// External time stamp channels.
    pub external_stamps: i32,
    /// Programmable periodic outputs.
    pub periodic_outputs: i32,
    /// Whether it gives a pulse per second to the system.
    pub pps: bool,
}

/// The calls a clock makes. [`Host`] is the machine's kernel.
pub trait Kernel: Debug {
    /// `clock_gettime`.
    ///
    /// # Errors
    /// The errno.
    fn clock_gettime(&self, clock: ClockId) -> Result<UnixTime, Errno>;

    /// `clock_settime`.
    ///
    /// # Errors
    /// The errno.
    fn clock_settime(&self, clock: ClockId, time: UnixTime) -> Result<(), Errno>;

    /// `clock_adjtime`: in and out through `timex`, returns the clock's state (`TIME_OK` …).
    ///
    /// # Errors
    /// The errno.
    fn clock_adjtime(&self, clock: ClockId, timex: &mut Timex) -> Result<i32, Errno>;

    /// `settimeofday` with a time zone only: minutes west of Greenwich. The first such call after boot moves a clock that
    /// was set from an RTC in local time.
    ///
    /// # Errors
    /// The errno.
    fn set_time_zone(&self, minutes_west: i32) -> Result<(), Errno>;

    /// Seconds by which local time is ahead of UTC at `time`, by the machine's time zone (`localtime_r`).
    ///
    /// # Errors
    /// The errno.
    fn utc_offset(&self, time: UnixTime) -> Result<i32, Errno>;

    /// `ioctl(PTP_CLOCK_GETCAPS)`.
    ///
    /// # Errors
    /// The errno.
    fn ptp_capabilities(&self, fd: i32) -> Result<PtpCapabilities, Errno>;

    /// Lets time pass.
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    /// `sysconf(_SC_CLK_TCK)`: what [`Timex::tick`] counts against.
    fn ticks_per_second(&self) -> i64 {
        100
    }

    /// Told before the rate of `CLOCK_REALTIME` is changed for a while: `restore` sets it back. The machine's kernel hands
    /// it to [`rescue`](crate::rescue).
    fn slew_begins(&self, restore: &Timex) {
        let _ = restore;
    }

    /// Told when the rate is back.
    fn slew_ended(&self) {}
}

/// The machine's own kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Host;

#[cfg(target_os = "linux")]
use crate::linux as platform;
#[cfg(not(target_os = "linux"))]
use crate::other as platform;

impl Kernel for Host {
    fn clock_gettime(&self, clock: ClockId) -> Result<UnixTime, Errno> {
        platform::clock_gettime(clock)
    }

    fn clock_settime(&self, clock: ClockId, time: UnixTime) -> Result<(), Errno> {
        platform::clock_settime(clock, time)
    }

    fn clock_adjtime(&self, clock: ClockId, timex: &mut Timex) -> Result<i32, Errno> {
        platform::clock_adjtime(clock, timex)
    }

    fn set_time_zone(&self, minutes_west: i32) -> Result<(), Errno> {
        platform::set_time_zone(minutes_west)
    }

    fn utc_offset(&self, time: UnixTime) -> Result<i32, Errno> {
        platform::utc_offset(time)
    }

    fn ptp_capabilities(&self, fd: i32) -> Result<PtpCapabilities, Errno> {
        platform::ptp_capabilities(fd)
    }

    fn ticks_per_second(&self) -> i64 {
        platform::ticks_per_second()
    }

    fn slew_begins(&self, restore: &Timex) {
        crate::rescue::arm(restore.freq, restore.tick);
    }

    fn slew_ended(&self) {
        crate::rescue::disarm();
    }
}
