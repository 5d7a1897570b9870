//! One change of the kernel's clock, as data: it compiles to one `timex` and makes no call.

use core::time::Duration;

use ntp_types::{Frequency, LeapIndicator, NtpDuration};

use crate::kernel::{modes, Timex};
use crate::status::{nominal_tick, StatusFlags};
use crate::{ClockError, OutOfRange};

/// `MAXFREQ` in the kernel's unit of 2⁻¹⁶ ppm: 500 ppm.
const MAX_FREQUENCY_SCALED: i64 = 500 << 16;
/// `NTP_PHASE_LIMIT` in microseconds.
const MAX_ERROR_MICROS: i64 = 16_000_000;
/// The kernel's own `MAXTC`.
const MAX_TIME_CONSTANT: i64 = 10;
/// `MAX_TAI_OFFSET`.
const MAX_TAI: i64 = 100_000;

/// What to change in the kernel's clock, put together and sent in a single call, so that nothing lies between its parts.
///
/// Values that the kernel would silently clamp or ignore are an error of [`build`](Self::build) that says what was
/// asked and what is allowed; [`clamped`](Self::clamped) asks for the nearest allowed value instead.
///
/// ```
/// use ntp_clock::{Adjustment, kernel::modes};
/// use ntp_types::{Frequency, NtpDuration};
/// # use std::time::Duration;
///
/// // Back by 0.25 s and 12.5 ppm faster. The kernel wants the fraction positive: −0.25 s = −1 s + 0.75 s.
/// let timex = Adjustment::new()
///     .step(NtpDuration::from_nanos(-250_000_000))
///     .frequency(Frequency::from_ppm_f64(12.5))
///     .build()?;
/// assert_eq!((timex.seconds, timex.fraction), (-1, 750_000_000));
/// assert_eq!(timex.modes, modes::SETOFFSET | modes::FREQUENCY | modes::NANO);
///
/// let error = Adjustment::new().frequency(Frequency::from_ppm(600)).build().unwrap_err();
/// assert_eq!(error.to_string(), "frequency 600000 ppb is not between -500000 and 500000 ppb");
/// let timex = Adjustment::new().frequency(Frequency::from_ppm(600)).clamped().build()?;
/// assert_eq!(timex.freq, 500 << 16);
/// # Ok::<(), ntp_clock::ClockError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an adjustment does nothing until a clock carries it out"]
pub struct Adjustment {
    step: Option<NtpDuration>,
    frequency: Option<Frequency>,
    tick: Option<i64>,
    max_error: Option<Duration>,
    estimated_error: Option<Duration>,
    time_constant: Option<i64>,
    tai: Option<i32>,
    status: Option<StatusFlags>,
    base: Option<StatusFlags>,
    ticks_per_second: i64,
    is_clamped: bool,
}

impl Default for Adjustment {
    fn default() -> Self {
        Self::new()
    }
}

impl Adjustment {
    /// Changes nothing yet.
    pub const fn new() -> Self {
        Self {
            step: None,
            frequency: None,
            tick: None,
            max_error: None,
            estimated_error: None,
            time_constant: None,
            tai: None,
            status: None,
            base: None,
            ticks_per_second: 100,
            is_clamped: false,
        }
    }

    /// Changes nothing yet; where a part of the status word is changed, the other flags stay as in `flags`.
    ///
    /// The kernel takes the word only whole. [`new`](Self::new) starts from none set, as a synchroniser does that owns
    /// the clock.
    pub const fn keeping(flags: StatusFlags) -> Self {
        let mut adjustment = Self::new();
        adjustment.base = Some(writable(flags));
        adjustment
    }

    /// Adds `offset` to the clock at once, atomically (`ADJ_SETOFFSET`): nothing is lost between reading and setting.
    ///
    /// The kernel then forgets its maximum error and sets `STA_UNSYNC`, unless the same adjustment says
    /// [`synchronized`](Self::synchronized).
    pub const fn step(mut self, offset: NtpDuration) -> Self {
        self.step = Some(offset);
        self
    }

    /// Sets the frequency correction, within ±500 ppm.
    pub const fn frequency(mut self, frequency: Frequency) -> Self {
        self.frequency = Some(frequency);
        self
    }

    /// Sets the microseconds a user tick adds, within ±10 % of the nominal 10 000.
    pub const fn tick(mut self, micros: i64) -> Self {
        self.tick = Some(micros);
        self
    }

    /// Sets the maximum error, up to 16 s.
    pub const fn max_error(mut self, error: Duration) -> Self {
        self.max_error = Some(error);
        self
    }

    /// Sets the estimated error, up to 16 s.
    pub const fn estimated_error(mut self, error: Duration) -> Self {
        self.estimated_error = Some(error);
        self
    }

    /// Sets the time constant of the kernel's loop, 0 to 10.
    pub const fn time_constant(mut self, constant: u8) -> Self {
        self.time_constant = Some(constant as i64);
        self
    }

    /// Sets TAI − UTC, 0 to 100 000 s. It shares a field with the time constant: only one of the two fits into a call.
    pub const fn tai(mut self, seconds: i32) -> Self {
        self.tai = Some(seconds);
        self
    }

    /// Declares the clock synchronised or not (`STA_UNSYNC`). Saying that it is needs a [`max_error`](Self::max_error) below
    /// 16 s in the same adjustment: after a step the kernel's stands at 16 s and would take it back at the next second.
    pub const fn synchronized(self, is_synchronized: bool) -> Self {
        self.flag(StatusFlags::UNSYNCHRONIZED, !is_synchronized)
    }

    /// Arms a leap second, or disarms it. It does not touch whether the clock counts as synchronised, except that
    /// [`LeapIndicator::Unsynchronized`] says that it is not.
    pub const fn leap(self, leap: LeapIndicator) -> Self {
        let adjustment = self
            .flag(StatusFlags::INSERT, matches!(leap, LeapIndicator::InsertSecond))
            .flag(StatusFlags::DELETE, matches!(leap, LeapIndicator::DeleteSecond));
        match leap {
            LeapIndicator::Unsynchronized => adjustment.synchronized(false),
            _ => adjustment,
        }
    }

    /// Sets or clears a writable flag of the status word.
    pub const fn flag(mut self, flag: StatusFlags, is_set: bool) -> Self {
        let flag = writable(flag);
        let status = match (self.status, self.base) {
            (Some(status), _) | (None, Some(status)) => status,
            (None, None) => StatusFlags::NONE,
        };
        self.status = Some(if is_set { status.with(flag) } else { status.without(flag) });
        self
    }

    /// Takes the nearest allowed value where one is out of range, instead of an error.
    pub const fn clamped(mut self) -> Self {
        self.is_clamped = true;
        self
    }

    /// For a machine whose user tick is not 1/100 s.
    pub const fn for_ticks_per_second(mut self, ticks: i64) -> Self {
        self.ticks_per_second = ticks;
        self
    }

    /// The one structure that does it all.
    ///
    /// # Errors
    /// [`ClockError::OutOfRange`] names the first value the kernel would clamp or refuse; [`ClockError::NoMaxError`] when
    /// the clock is declared synchronised without a maximum error.
    pub fn build(&self) -> Result<Timex, ClockError> {
        let mut timex = Timex::default();
        let within = |quantity, unit, asked: i64, min, max| {
            if self.is_clamped || (min..=max).contains(&asked) {
                Ok(asked.clamp(min, max))
            } else {
                Err(OutOfRange { quantity, unit, asked, min, max })
            }
        };
        if let Some(offset) = self.step {
            let nanos = offset.to_nanos();
            timex.modes |= modes::SETOFFSET;
            timex.seconds = nanos.div_euclid(1_000_000_000);
            timex.fraction = nanos.rem_euclid(1_000_000_000);
        }
        if let Some(frequency) = self.frequency {
            timex.modes |= modes::FREQUENCY;
            timex.freq = self.frequency_word(frequency)?;
        }
        if let Some(tick) = self.tick {
            let nominal = nominal_tick(self.ticks_per_second);
            timex.modes |= modes::TICK;
            timex.tick = within("tick", "µs", tick, nominal * 9 / 10, nominal * 11 / 10)?;
        }
        if let Some(error) = self.max_error {
            timex.modes |= modes::MAXERROR;
            timex.maxerror = within("maximum error", "µs", micros(error), 0, MAX_ERROR_MICROS)?;
        }
        if let Some(error) = self.estimated_error {
            timex.modes |= modes::ESTERROR;
            timex.esterror = within("estimated error", "µs", micros(error), 0, MAX_ERROR_MICROS)?;
        }
        if let Some(constant) = self.time_constant {
            timex.modes |= modes::TIMECONST;
            timex.constant = within("time constant", "(log2 s)", constant, 0, MAX_TIME_CONSTANT)?;
        }
        if let Some(tai) = self.tai {
            // With a time constant beside it there is no room: the one that is there is the only one allowed.
            let max = if self.time_constant.is_some() { timex.constant } else { MAX_TAI };
            let min = if self.time_constant.is_some() { timex.constant } else { 0 };
            timex.modes |= modes::TAI;
            timex.constant = within("TAI offset", "s", i64::from(tai), min, max)?;
        }
        if let Some(status) = self.status {
            let was_synchronized =
                self.step.is_none() && self.base.is_some_and(|base| !base.contains(StatusFlags::UNSYNCHRONIZED));
            let becomes_synchronized = !was_synchronized && !status.contains(StatusFlags::UNSYNCHRONIZED);
            if becomes_synchronized && (timex.modes & modes::MAXERROR == 0 || timex.maxerror >= MAX_ERROR_MICROS) {
                return Err(ClockError::NoMaxError);
            }
            timex.modes |= modes::STATUS;
            timex.status = status.to_bits();
        }
        if timex.modes != 0 {
            // In every call: clearing STA_PLL also clears STA_NANO, and units would change behind our back.
            timex.modes |= modes::NANO;
        }
        Ok(timex)
    }

    /// The kernel's word for a frequency.
    fn frequency_word(&self, frequency: Frequency) -> Result<i64, OutOfRange> {
        let scaled = frequency.to_scaled_ppm();
        if !self.is_clamped && scaled.abs() > MAX_FREQUENCY_SCALED {
            let asked = ppb(frequency);
            return Err(OutOfRange { quantity: "frequency", unit: "ppb", asked, min: -500_000, max: 500_000 });
        }
        Ok(scaled.clamp(-MAX_FREQUENCY_SCALED, MAX_FREQUENCY_SCALED))
    }
}

/// In parts per billion, to the nearest.
pub(crate) fn ppb(frequency: Frequency) -> i64 {
    let ppb = (i128::from(frequency.to_bits()) * 1_000_000_000 + (1 << 59)) >> 60;
    i64::try_from(ppb).unwrap_or(i64::MAX)
}

const fn writable(flags: StatusFlags) -> StatusFlags {
    StatusFlags::from_bits(flags.to_bits() & StatusFlags::WRITABLE.to_bits())
}

/// In microseconds, rounded up: a bound does not become smaller on the way.
fn micros(error: Duration) -> i64 {
    i64::try_from(error.as_nanos().div_ceil(1_000)).unwrap_or(i64::MAX)
}
