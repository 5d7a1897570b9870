//! What the kernel knows about its clock, read in one call.

use core::fmt;

use ntp_types::{Frequency, LeapIndicator, NtpDuration, UnixTime};

use crate::kernel::Timex;

/// The status word of the kernel's clock: what is set, every bit kept.
///
/// Source: `adjtimex(2)`, `<linux/timex.h>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StatusFlags(i32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal;)*) => {
        impl StatusFlags {
            $($(#[$doc])* pub const $name: Self = Self($bit);)*

            const NAMED: &'static [(Self, &'static str)] = &[$((Self::$name, $word)),*];
        }
    };
}

flags! {
    /// The kernel's phase-locked loop follows `offset`.
    PLL = 0x0001, "PLL";
    /// Pulses per second steer the frequency.
    PPS_FREQUENCY = 0x0002, "PPSFREQ";
    /// Pulses per second steer the time.
    PPS_TIME = 0x0004, "PPSTIME";
    /// Frequency-locked mode.
    FLL = 0x0008, "FLL";
    /// A leap second will be inserted at the end of the UTC day.
    INSERT = 0x0010, "INS";
    /// A leap second will be deleted at the end of the UTC day.
    DELETE = 0x0020, "DEL";
    /// The clock is not synchronised; the kernel leaves the RTC alone.
    UNSYNCHRONIZED = 0x0040, "UNSYNC";
    /// The loop does not touch the frequency.
    FREQUENCY_HOLD = 0x0080, "FREQHOLD";
    /// A pulse is present.
    PPS_SIGNAL = 0x0100, "PPSSIGNAL";
    /// The pulses jitter too much.
    PPS_JITTER = 0x0200, "PPSJITTER";
    /// The pulses wander too much.
    PPS_WANDER = 0x0400, "PPSWANDER";
    /// Calibration by the pulses failed.
    PPS_ERROR = 0x0800, "PPSERROR";
    /// The clock's hardware has failed.
    CLOCK_ERROR = 0x1000, "CLOCKERR";
    /// Offset and time are in nanoseconds.
    NANO = 0x2000, "NANO";
    /// The loop is in frequency-locked mode.
    MODE = 0x4000, "MODE";
    /// The time comes from clock B.
    CLOCK_B = 0x8000, "CLK";
}

impl StatusFlags {
    /// None set.
    pub const NONE: Self = Self(0);
    /// The bits that a program may write; the others are the kernel's.
    pub const WRITABLE: Self = Self(0x00ff);

    /// From the kernel's word.
    #[must_use]
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits)
    }

    /// The kernel's word.
    #[must_use]
    pub const fn to_bits(self) -> i32 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the flags of `other` set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// With the flags of `other` cleared.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The kernel's words separated by commas: `PLL,UNSYNC,NANO`; `-` when none is set; unnamed bits in hexadecimal.
impl fmt::Display for StatusFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        let mut rest = *self;
        let mut separator = "";
        for &(flag, word) in Self::NAMED {
            if self.contains(flag) {
                write!(f, "{separator}{word}")?;
                separator = ",";
                rest = rest.without(flag);
            }
        }
        if rest.0 != 0 {
            write!(f, "{separator}{:#x}", rest.0)?;
        }
        Ok(())
    }
}

/// Where the kernel's leap second machine stands.
///
/// The call that tells it returns `TIME_ERROR` instead as long as the clock is unsynchronised: the state is then
/// [`Hidden`](Self::Hidden), and only what was armed is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeapState {
    /// Nothing armed (`TIME_OK`).
    None,
    /// A second will be inserted at the end of the UTC day (`TIME_INS`).
    Insert,
    /// A second will be deleted at the end of the UTC day (`TIME_DEL`).
    Delete,
    /// The inserted second is running (`TIME_OOP`).
    InProgress,
    /// It is over; the flag that armed it still stands (`TIME_WAIT`).
    Occurred,
    /// Unknown behind `TIME_ERROR`; what the status flags have armed.
    Hidden(LeapIndicator),
    /// A state this version does not know.
    Other(i32),
}

impl LeapState {
    /// From the call's return value and the status flags.
    #[must_use]
    pub const fn new(state: i32, flags: StatusFlags) -> Self {
        match state {
            0 => Self::None,
            1 => Self::Insert,
            2 => Self::Delete,
            3 => Self::InProgress,
            4 => Self::Occurred,
            5 if flags.contains(StatusFlags::INSERT) => Self::Hidden(LeapIndicator::InsertSecond),
            5 if flags.contains(StatusFlags::DELETE) => Self::Hidden(LeapIndicator::DeleteSecond),
            5 => Self::Hidden(LeapIndicator::NoWarning),
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for LeapState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no leap second armed"),
            Self::Insert => f.write_str("leap second to be inserted at the end of the UTC day"),
            Self::Delete => f.write_str("leap second to be deleted at the end of the UTC day"),
            Self::InProgress => f.write_str("leap second in progress"),
            Self::Occurred => f.write_str("leap second over"),
            Self::Hidden(armed) => write!(f, "leap state hidden (unsynchronised; armed: {armed})"),
            Self::Other(state) => write!(f, "unknown leap state {state}"),
        }
    }
}

/// What the kernel has learnt from pulses per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct PpsStatus {
    /// Frequency by the pulses.
    pub frequency: Frequency,
    /// Their jitter.
    pub jitter: NtpDuration,
    /// log2 of the calibration interval in seconds.
    pub interval_log2: i32,
    /// Their wander.
    pub stability: Frequency,
    /// Pulses over the jitter limit.
    pub jitter_exceeded: i64,
    /// Calibration intervals.
    pub calibrations: i64,
    /// Calibration errors.
    pub errors: i64,
    /// Intervals over the wander limit.
    pub stability_exceeded: i64,
}

/// The kernel's clock, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockStatus {
    /// The time of the sample.
    pub time: UnixTime,
    /// The leap second machine.
    pub leap: LeapState,
    /// What the kernel's loop has still to remove: positive makes the clock go forward.
    pub offset: NtpDuration,
    /// Frequency correction; the tick's share is not in it, see [`rate`](Self::rate).
    pub frequency: Frequency,
    /// Bound of the error, growing by 500 µs/s from what the last synchroniser said.
    pub max_error: NtpDuration,
    /// Estimate of the error, as the last synchroniser said.
    pub estimated_error: NtpDuration,
    /// The status word.
    pub flags: StatusFlags,
    /// TAI − UTC in seconds; 0 when nobody told the kernel.
    pub tai_offset: i32,
    /// Microseconds a user tick adds.
    pub tick: i64,
    /// Microseconds a user tick adds to a clock without correction: 10 000 nearly everywhere.
    pub nominal_tick: i64,
    /// The largest frequency correction.
    pub tolerance: Frequency,
    /// The clock's precision.
    pub precision: NtpDuration,
    /// The loop's time constant.
    pub time_constant: i64,
    /// Pulses per second.
    pub pps: PpsStatus,
}

/// The kernel declares a clock unsynchronised when its maximum error reaches this. Source: `NTP_PHASE_LIMIT`.
pub(crate) const MAX_ERROR_LIMIT: NtpDuration = NtpDuration::from_seconds(16);

impl ClockStatus {
    /// From the call's result. `time` stands in where the structure's own is not filled in.
    #[must_use]
    pub fn new(state: i32, timex: &Timex, ticks_per_second: i64, time: UnixTime) -> Self {
        let flags = StatusFlags::from_bits(timex.status);
        let nanos_per_unit = if flags.contains(StatusFlags::NANO) { 1 } else { 1_000 };
        let in_units = |value: i64| NtpDuration::from_nanos(value.saturating_mul(nanos_per_unit));
        let micros = |value: i64| NtpDuration::from_nanos(value.saturating_mul(1_000));
        Self {
            time,
            leap: LeapState::new(state, flags),
            offset: in_units(timex.offset),
            frequency: Frequency::from_scaled_ppm(timex.freq),
            max_error: micros(timex.maxerror),
            estimated_error: micros(timex.esterror),
            flags,
            tai_offset: timex.tai,
            tick: timex.tick,
            nominal_tick: nominal_tick(ticks_per_second),
            tolerance: Frequency::from_scaled_ppm(timex.tolerance),
            precision: micros(timex.precision),
            time_constant: timex.constant,
            pps: PpsStatus {
                frequency: Frequency::from_scaled_ppm(timex.ppsfreq),
                jitter: in_units(timex.jitter),
                interval_log2: timex.shift,
                stability: Frequency::from_scaled_ppm(timex.stabil),
                jitter_exceeded: timex.jitcnt,
                calibrations: timex.calcnt,
                errors: timex.errcnt,
                stability_exceeded: timex.stbcnt,
            },
        }
    }

    /// Whether the clock counts as synchronised, by the documented rule: the maximum error is below 16 s.
    ///
    /// The flag [`UNSYNCHRONIZED`](StatusFlags::UNSYNCHRONIZED) is another matter ([`is_flagged_unsynchronized`](
    /// Self::is_flagged_unsynchronized)): the kernel sets it when this ends, but programs set it too.
    #[must_use]
    pub fn is_synchronized(&self) -> bool {
        self.max_error < MAX_ERROR_LIMIT
    }

    /// Whether `STA_UNSYNC` is set. As long as it is clear, the kernel copies the time to the RTC every 11 minutes.
    #[must_use]
    pub const fn is_flagged_unsynchronized(&self) -> bool {
        self.flags.contains(StatusFlags::UNSYNCHRONIZED)
    }

    /// The whole correction of the clock's rate: frequency and tick together.
    #[must_use]
    pub fn rate(&self) -> Frequency {
        total_rate(self.frequency.to_scaled_ppm(), self.tick, self.nominal_tick)
    }
}

/// Microseconds of one user tick on a clock that is not corrected.
pub(crate) fn nominal_tick(ticks_per_second: i64) -> i64 {
    let ticks = ticks_per_second.clamp(1, 1_000_000);
    (1_000_000 + ticks / 2) / ticks
}

/// The rate of a clock with this frequency word and tick: each tick unit is 1/`nominal` of the rate.
pub(crate) fn total_rate(freq: i64, tick: i64, nominal: i64) -> Frequency {
    let by_tick = (i128::from(tick - nominal) << 60) / i128::from(nominal.max(1));
    let by_tick = i64::try_from(by_tick).unwrap_or(if by_tick < 0 { i64::MIN } else { i64::MAX });
    Frequency::from_scaled_ppm(freq) + Frequency::from_bits(by_tick)
}
