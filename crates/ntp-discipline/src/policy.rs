//! What a clock may be told, as data, and the one gate every command goes through.
//!
//! Apart from the engines because they share it: whatever the maths asks for, a step, a rate or a frequency that the
//! policy forbids does not come out of a [`Governor`].

use core::time::Duration;

use ntp_types::{ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration};

use crate::rfc5905::constants;
use crate::total::bounded;

/// When the clock may be stepped instead of slewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepLimit {
    /// Never: every offset is slewed.
    Never,
    /// Among the first so many corrections only.
    First(u32),
    /// At any time.
    #[default]
    Always,
}

/// Which servers may be selected together: those that smear leap seconds disagree with the others by up to a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SmearGuard {
    /// Only servers that do not smear.
    #[default]
    Unsmeared,
    /// Only servers that smear.
    Smeared,
    /// Whichever kind more of the fit sources are of; servers that do not smear at equal numbers.
    Majority,
}

/// What a clock may be told. All spans are magnitudes.
///
/// [`Policy::default`] suits an agent that may start with a wrong clock; [`Policy::RFC5905`] is the RFC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Offsets beyond it are stepped where [`step_limit`](Self::step_limit) allows, others always slewed.
    pub step_threshold: NtpDuration,
    /// When steps are allowed.
    pub step_limit: StepLimit,
    /// How long an offset beyond the step threshold must last before it is believed (after the first correction).
    pub stepout: Duration,
    /// Offsets beyond it are refused.
    pub panic_threshold: NtpDuration,
    /// Corrections before the panic threshold binds: 0 binds at once, 1 lets the first be of any size.
    pub panic_after: u32,
    /// Corrections beyond it are refused, unless a leap second explains them.
    pub maximum_change: NtpDuration,
    /// Corrections before the maximum change binds.
    pub maximum_change_after: u32,
    /// How long after a leap second a correction of one second is not refused as too large a change.
    pub leap_window: Duration,
    /// Sources that must agree before the clock is first corrected.
    pub quorum: u32,
    /// Sources that must agree before it is corrected at all.
    pub minimum_sources: u32,
    /// Largest rate of a slew, beside the frequency correction.
    pub maximum_slew_rate: Frequency,
    /// Largest frequency correction.
    pub maximum_frequency: Frequency,
    /// Root distance beyond which a source is not fit, and our own clock no longer synchronised.
    pub maximum_distance: NtpDuration,
    /// Longest holdover: time without an update after which the clock counts as unsynchronised.
    pub maximum_holdover: Duration,
    /// Smearing and other servers are not mixed.
    pub smear: SmearGuard,
}

/// A policy that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A span that must be a magnitude is negative.
    #[error("{field} is negative: {value} s")]
    Negative {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: NtpDuration,
    },
    /// A rate is outside what any clock can be told.
    #[error("{field} of {value} is not above zero and at most {limit}")]
    Rate {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: Frequency,
        /// Its greatest value.
        limit: Frequency,
    },
    /// More sources are required for any correction than for the first.
    #[error("quorum of {quorum} is below the minimum of {minimum_sources} sources")]
    Quorum {
        /// The quorum asked for.
        quorum: u32,
        /// The minimum asked for.
        minimum_sources: u32,
    },
    /// Every step would be refused.
    #[error("step threshold {step} s lies above the panic threshold {panic} s")]
    Thresholds {
        /// The step threshold asked for.
        step: NtpDuration,
        /// The panic threshold asked for.
        panic: NtpDuration,
    },
}

/// What a policy kept from happening, with the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The offset is beyond the panic threshold.
    #[error("offset {offset} s is beyond the panic threshold of {limit} s")]
    Panic {
        /// Offset found.
        offset: NtpDuration,
        /// The threshold.
        limit: NtpDuration,
    },
    /// The correction is beyond the maximum change.
    #[error("correction of {offset} s is beyond the maximum change of {limit} s")]
    MaximumChange {
        /// Correction asked for.
        offset: NtpDuration,
        /// The maximum.
        limit: NtpDuration,
    },
    /// Too few sources agree to correct the clock for the first time.
    #[error("{agreeing} sources agree, the first correction needs {required}")]
    Quorum {
        /// Sources that agree.
        agreeing: u32,
        /// Sources required.
        required: u32,
    },
    /// Too few sources agree to correct the clock.
    #[error("{agreeing} sources agree, a correction needs {required}")]
    MinimumSources {
        /// Sources that agree.
        agreeing: u32,
        /// Sources required.
        required: u32,
    },
    /// The first correction waits a little for sources whose filters are still filling.
    #[error("{filling} sources are still being measured")]
    Settling {
        /// Sources that answer and whose filters are not full.
        filling: u32,
    },
    /// No majority of the fit sources agrees.
    #[error("no majority among {candidates} sources")]
    NoMajority {
        /// Sources fit to be selected.
        candidates: u32,
    },
    /// A step would be needed where only slews are allowed.
    #[error("step of {offset} s is not allowed")]
    Step {
        /// Step asked for.
        offset: NtpDuration,
    },
}

/// The fastest slew any of our clocks can do: a tenth (Linux's tick).
const FASTEST_SLEW: Frequency = Frequency::from_ppm(100_000);

impl Policy {
    /// As RFC 5905 has it: steps beyond 128 ms that last 900 s, panic beyond 1000 s from the start, 500 ppm.
    ///
    /// STEPT is .125 in the RFC's text and .128 in its skeleton and every implementation; the latter is taken.
    pub const RFC5905: Self = Self {
        step_threshold: constants::STEP_THRESHOLD,
        step_limit: StepLimit::Always,
        stepout: constants::STEPOUT,
        panic_threshold: constants::PANIC_THRESHOLD,
        panic_after: 0,
        maximum_change: NtpDuration::MAX,
        maximum_change_after: 0,
        leap_window: Duration::from_secs(3_600),
        quorum: constants::MINIMUM_SOURCES,
        minimum_sources: constants::MINIMUM_SOURCES,
        maximum_slew_rate: constants::MAXIMUM_FREQUENCY,
        maximum_frequency: constants::MAXIMUM_FREQUENCY,
        maximum_distance: constants::MAXIMUM_DISTANCE,
        maximum_holdover: Duration::from_secs(86_400),
        smear: SmearGuard::Unsmeared,
    };

    /// The same policy, once it is known not to contradict itself.
    ///
    /// # Errors
    /// [`PolicyError`] names the first field that is wrong.
    pub fn validated(self) -> Result<Self, PolicyError> {
        for (field, value) in [
            ("step threshold", self.step_threshold),
            ("panic threshold", self.panic_threshold),
            ("maximum change", self.maximum_change),
            ("maximum distance", self.maximum_distance),
        ] {
            if value.is_negative() {
                return Err(PolicyError::Negative { field, value });
            }
        }
        for (field, value) in
            [("maximum slew rate", self.maximum_slew_rate), ("maximum frequency", self.maximum_frequency)]
        {
            if value <= Frequency::ZERO || value > FASTEST_SLEW {
                return Err(PolicyError::Rate { field, value, limit: FASTEST_SLEW });
            }
        }
        if self.quorum < self.minimum_sources {
            return Err(PolicyError::Quorum { quorum: self.quorum, minimum_sources: self.minimum_sources });
        }
        if self.step_threshold > self.panic_threshold {
            return Err(PolicyError::Thresholds { step: self.step_threshold, panic: self.panic_threshold });
        }
        Ok(self)
    }
}

/// The RFC's, except that the first correction may be of any size (a machine without a battery starts decades away),
/// and that slews may run at chrony's 83 333 ppm.
impl Default for Policy {
    fn default() -> Self {
        Self { panic_after: 1, maximum_slew_rate: Frequency::from_ppm(83_333), ..Self::RFC5905 }
    }
}

/// The gate every command goes through: it counts corrections and holds to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Governor {
    policy: Policy,
    corrections: u32,
    leap: Option<Instant>,
}

/// Leave to correct the clock by one offset, given by [`Governor::admit`]; steps and slews are only made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "leave that is not used changes nothing"]
pub struct Leave {
    offset: NtpDuration,
    may_step: bool,
}

impl Leave {
    /// The offset to be corrected.
    #[must_use]
    pub const fn offset(self) -> NtpDuration {
        self.offset
    }

    /// Whether it may be stepped: it lies beyond the step threshold and steps are still allowed.
    #[must_use]
    pub const fn may_step(self) -> bool {
        self.may_step
    }
}

impl Governor {
    /// A gate that has let nothing through yet.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy contradicts itself.
    pub fn new(policy: Policy) -> Result<Self, PolicyError> {
        Ok(Self { policy: policy.validated()?, corrections: 0, leap: None })
    }

    /// The policy it holds to.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Corrections let through so far.
    #[must_use]
    pub const fn corrections(&self) -> u32 {
        self.corrections
    }

    /// Nothing is known of the clock's offset any more: corrections are counted from the start.
    pub fn restart(&mut self) {
        self.corrections = 0;
    }

    /// A leap second has passed: for a while a correction of one second is not too large a change.
    pub fn handle_leap(&mut self, leap: LeapIndicator, now: Instant) {
        if matches!(leap, LeapIndicator::InsertSecond | LeapIndicator::DeleteSecond) {
            self.leap = Some(now);
        }
    }

    /// Whether `offset` may be corrected when `agreeing` sources stand behind it. Counts nothing.
    ///
    /// # Errors
    /// [`Refusal`] says which rule forbids it, with the numbers.
    pub fn check(&self, offset: NtpDuration, agreeing: u32, now: Instant) -> Result<Leave, Refusal> {
        let policy = &self.policy;
        let magnitude = offset.abs();
        if self.corrections == 0 && agreeing < policy.quorum {
            return Err(Refusal::Quorum { agreeing, required: policy.quorum });
        }
        if agreeing < policy.minimum_sources {
            return Err(Refusal::MinimumSources { agreeing, required: policy.minimum_sources });
        }
        if self.corrections >= policy.panic_after && magnitude > policy.panic_threshold {
            return Err(Refusal::Panic { offset, limit: policy.panic_threshold });
        }
        let binds = self.corrections >= policy.maximum_change_after;
        if binds && magnitude > policy.maximum_change && !self.is_leap(offset, now) {
            return Err(Refusal::MaximumChange { offset, limit: policy.maximum_change });
        }
        let may_step = magnitude > policy.step_threshold
            && match policy.step_limit {
                StepLimit::Never => false,
                StepLimit::First(limit) => self.corrections < limit,
                StepLimit::Always => true,
            };
        Ok(Leave { offset, may_step })
    }

    /// As [`check`](Self::check), and counts the correction.
    ///
    /// # Errors
    /// [`Refusal`] says which rule forbids it, with the numbers; nothing is counted.
    pub fn admit(&mut self, offset: NtpDuration, agreeing: u32, now: Instant) -> Result<Leave, Refusal> {
        let leave = self.check(offset, agreeing, now)?;
        self.corrections = self.corrections.saturating_add(1);
        Ok(leave)
    }

    /// The whole offset at once.
    ///
    /// # Errors
    /// [`Refusal::Step`] when the leave does not cover a step.
    pub fn step(&self, leave: Leave, frequency: Frequency) -> Result<ClockCommand, Refusal> {
        if !leave.may_step {
            return Err(Refusal::Step { offset: leave.offset });
        }
        Ok(ClockCommand::Step { offset: leave.offset, frequency: self.frequency(frequency) })
    }

    /// `part` of the offset evenly over `duration`, or over as long as the maximum slew rate makes it.
    ///
    /// A part beyond the offset, or of the other sign, is bounded to it; one that would take centuries, to what they bring.
    pub fn slew(&self, leave: Leave, part: NtpDuration, duration: Duration, frequency: Frequency) -> ClockCommand {
        let offset = bounded(part, leave.offset.min(NtpDuration::ZERO), leave.offset.max(NtpDuration::ZERO));
        let shortest = self.shortest_slew(offset);
        let duration = if offset == NtpDuration::ZERO { Duration::ZERO } else { duration.max(shortest) };
        let most = self.policy.maximum_slew_rate.over(duration);
        ClockCommand::Slew { offset: offset.min(most).max(-most), duration, frequency: self.frequency(frequency) }
    }

    /// A frequency without an offset: to start from a drift file, or to end a slew.
    pub fn run_at(&self, frequency: Frequency) -> ClockCommand {
        ClockCommand::Slew { offset: NtpDuration::ZERO, duration: Duration::ZERO, frequency: self.frequency(frequency) }
    }

    /// A frequency bounded to the policy's.
    #[must_use]
    pub fn frequency(&self, frequency: Frequency) -> Frequency {
        frequency.clamp_abs(self.policy.maximum_frequency)
    }

    /// How long slewing `offset` takes at the maximum rate.
    #[must_use]
    pub fn shortest_slew(&self, offset: NtpDuration) -> Duration {
        let rate = self.policy.maximum_slew_rate.to_bits().max(1).unsigned_abs();
        // units of 2⁻³² s over units of 2⁻⁶⁰ s/s, in nanoseconds: |offset| · 2²⁸ · 10⁹ / rate, rounded up.
        let nanos = (u128::from(offset.to_bits().unsigned_abs()) << 28) * 1_000_000_000 / u128::from(rate) + 1;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whether a leap second just passed explains `offset`.
    fn is_leap(&self, offset: NtpDuration, now: Instant) -> bool {
        let is_recent = self.leap.is_some_and(|leap| now.since(leap) <= self.policy.leap_window);
        is_recent && (offset.abs() - NtpDuration::SECOND).abs() <= self.policy.step_threshold
    }
}
