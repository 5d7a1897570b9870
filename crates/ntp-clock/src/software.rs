//! A clock that exists only as numbers: exact piecewise-linear maths over another clock's readings.

use core::cell::Cell;
use core::time::Duration;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, NtpDuration, NtpTimestamp};

use crate::slew::{duration_for, rate_for, SlewPolicy};
use crate::{ClockError, ReadClock, Reading, Realtime, SteerClock, StepClock};

/// A clock made of a base clock and a correction that is linear in the base's time, piece by piece.
///
/// It obeys every [`ClockCommand`], ends slews by itself and touches nothing outside: for tests, for trying a discipline on
/// a machine whose clock may not be changed, and for demonstrations, which start it wrong with
/// [`with_offset`](Self::with_offset) and [`with_frequency_error`](Self::with_frequency_error). A kernel's receive stamp, taken by
/// the base clock, becomes this clock's by [`time_of`](Self::time_of).
///
/// The correction is carried in whole units of 2⁻⁹² s, in which every product of a rate and an elapsed time is exact, so
/// no rounding adds up however often it is steered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftwareClock<B = Realtime> {
    base: B,
    frequency_error: Frequency,
    /// Base time at which the piece begins; `None` until the clock is first used.
    start: Cell<Option<NtpTimestamp>>,
    piece: Piece,
    slept: Duration,
}

/// The correction from the start of the piece on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// In 2⁻⁹² s.
    correction: i128,
    frequency: Frequency,
    slew_rate: Frequency,
    slew: Duration,
}

/// The fastest slew: the ±10 % of a kernel's clock.
const LIMITS: SlewPolicy =
    SlewPolicy { max_rate: Frequency::from_ppm(100_000), harmless_rate: Frequency::ZERO, self_ending: false };

impl SoftwareClock<Realtime> {
    /// Over `CLOCK_REALTIME`, which is only read.
    #[must_use]
    pub const fn realtime() -> Self {
        Self::new(Realtime::new())
    }
}

impl<B> SoftwareClock<B> {
    /// Agrees with `base` until it is told otherwise.
    #[must_use]
    pub const fn new(base: B) -> Self {
        let piece =
            Piece { correction: 0, frequency: Frequency::ZERO, slew_rate: Frequency::ZERO, slew: Duration::ZERO };
        Self { base, frequency_error: Frequency::ZERO, start: Cell::new(None), piece, slept: Duration::ZERO }
    }

    /// Starts ahead of the base by `offset`.
    #[must_use]
    pub const fn with_offset(mut self, offset: NtpDuration) -> Self {
        self.piece.correction = (offset.to_bits() as i128) << 60;
        self
    }

    /// Runs fast against the base by `error`, from its first use on; commands know nothing of it.
    #[must_use]
    pub const fn with_frequency_error(mut self, error: Frequency) -> Self {
        self.frequency_error = error;
        self
    }

    /// Says from now on that the machine has slept for so much longer, as its boot-time clock would that ran ahead. The time
    /// shown stays what it is, as after a sleep that the machine's own clock came through unharmed.
    pub fn feign_sleep(&mut self, slept: Duration) {
        self.slept = self.slept.saturating_add(slept);
    }

    /// The base clock.
    #[must_use]
    pub const fn base(&self) -> &B {
        &self.base
    }

    /// The base clock, to move one that stands.
    pub fn base_mut(&mut self) -> &mut B {
        &mut self.base
    }

    /// What this clock showed when the base clock showed `base`: turns a kernel's stamp into this clock's.
    ///
    /// A stamp from before the last command is taken by the correction that holds since: steps reach back.
    #[must_use]
    pub fn time_of(&self, base: NtpTimestamp) -> NtpTimestamp {
        if base.is_unset() {
            return base;
        }
        let time = base + self.correction_at(base);
        // The one moment of an era that reads as unset.
        if time.is_unset() {
            NtpTimestamp::from_bits(1)
        } else {
            time
        }
    }

    /// The correction commanded and in force, without the frequency error it was built with.
    #[must_use]
    pub const fn frequency(&self) -> Frequency {
        self.piece.frequency
    }

    fn correction_at(&self, base: NtpTimestamp) -> NtpDuration {
        to_duration(self.exact_correction_at(base))
    }

    /// In 2⁻⁹² s.
    fn exact_correction_at(&self, base: NtpTimestamp) -> i128 {
        let elapsed = base.since(self.start_or(base));
        let slewing = elapsed.min(NtpDuration::from_std(self.piece.slew)).max(NtpDuration::ZERO);
        let drift = self.frequency_error + self.piece.frequency;
        self.piece
            .correction
            .saturating_add(exact_product(drift, elapsed))
            .saturating_add(exact_product(self.piece.slew_rate, slewing))
    }

    /// Where the piece begins: at `base` when the clock is used for the first time.
    fn start_or(&self, base: NtpTimestamp) -> NtpTimestamp {
        let start = self.start.get().unwrap_or(base);
        self.start.set(Some(start));
        start
    }

    /// Begins a new piece at `now`, continuous but for `step`.
    fn restart(&mut self, now: NtpTimestamp, step: NtpDuration) {
        let correction = self.exact_correction_at(now).saturating_add(i128::from(step.to_bits()) << 60);
        // A base that went back before the start of the piece counts as standing there.
        let elapsed = now.since(self.start_or(now)).to_std().unwrap_or_default();
        self.piece = Piece { correction, slew: self.piece.slew.saturating_sub(elapsed), ..self.piece };
        self.start.set(Some(now));
    }

    fn applied(&self, at: Instant, stepped: NtpDuration) -> Applied {
        Applied {
            at,
            stepped,
            frequency: self.piece.frequency,
            slew_rate: if self.piece.slew.is_zero() { Frequency::ZERO } else { self.piece.slew_rate },
            slew_end: at + self.piece.slew,
        }
    }
}

impl<B: ReadClock> SoftwareClock<B> {
    /// How far this clock is ahead of its base now: the truth of a demonstration.
    ///
    /// # Errors
    /// As the base clock's reading.
    pub fn offset_from_base(&self) -> Result<NtpDuration, ClockError> {
        Ok(self.correction_at(self.base.read()?.time))
    }
}

impl<B: ReadClock> ReadClock for SoftwareClock<B> {
    fn read(&self) -> Result<Reading, ClockError> {
        let base = self.base.read()?;
        Ok(Reading { time: self.time_of(base.time), at: base.at })
    }

    fn suspended(&self) -> Option<Duration> {
        Some(self.base.suspended()?.saturating_add(self.slept))
    }
}

impl<B: ReadClock> StepClock for SoftwareClock<B> {
    fn step(&mut self, offset: NtpDuration) -> Result<Applied, ClockError> {
        self.apply(&ClockCommand::Step { offset, frequency: self.piece.frequency })
    }
}

impl<B: ReadClock> SteerClock for SoftwareClock<B> {
    fn apply(&mut self, command: &ClockCommand) -> Result<Applied, ClockError> {
        let now = self.base.read()?;
        match *command {
            ClockCommand::Hold => {
                self.restart(now.time, NtpDuration::ZERO);
                Ok(self.applied(now.at, NtpDuration::ZERO))
            }
            ClockCommand::Step { offset, frequency } => {
                self.restart(now.time, offset);
                self.piece.frequency = frequency;
                self.piece.slew_rate = Frequency::ZERO;
                self.piece.slew = Duration::ZERO;
                Ok(self.applied(now.at, offset))
            }
            ClockCommand::Slew { offset, duration, frequency } => {
                self.restart(now.time, NtpDuration::ZERO);
                let rate = rate_for(offset, duration).clamp_abs(LIMITS.limit());
                self.piece.frequency = frequency;
                self.piece.slew_rate = rate;
                self.piece.slew = duration_for(offset, rate);
                Ok(self.applied(now.at, NtpDuration::ZERO))
            }
        }
    }
}

/// Rate × elapsed in 2⁻⁹² s: exact, for 2⁶³ · 2⁶³ fits 128 bits.
fn exact_product(rate: Frequency, elapsed: NtpDuration) -> i128 {
    i128::from(rate.to_bits()) * i128::from(elapsed.to_bits())
}

/// To the nearest 2⁻³² s, saturating.
fn to_duration(exact: i128) -> NtpDuration {
    let bits = exact.saturating_add(1 << 59) >> 60;
    NtpDuration::from_bits(i64::try_from(bits).unwrap_or(if bits < 0 { i64::MIN } else { i64::MAX }))
}
