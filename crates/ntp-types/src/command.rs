//! What a discipline decides and what a clock did of it.

use core::time::Duration;

use crate::{Frequency, Instant, NtpDuration};

/// One thing to do to a clock. Plain data: a decision is not an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use = "a command does nothing until a clock applies it"]
pub enum ClockCommand {
    /// Leave the clock as it runs.
    #[default]
    Hold,
    /// Add `offset` to the clock at once, end any slew, and run at `frequency` from then on.
    Step {
        /// Added to the clock: positive sets it forward.
        offset: NtpDuration,
        /// Frequency correction from then on.
        frequency: Frequency,
    },
    /// Run at `frequency` and, beside it, add `offset` evenly over `duration`; it replaces any slew under way.
    ///
    /// Without an offset it only sets the frequency.
    Slew {
        /// Added to the clock over `duration`: positive makes it run faster meanwhile.
        offset: NtpDuration,
        /// How long the offset takes; zero with a zero offset.
        duration: Duration,
        /// Frequency correction, during and after.
        frequency: Frequency,
    },
}

/// What a clock did: the exactly known input that every filter needs to re-express what it holds.
///
/// From `at` on the clock has run at `frequency`, and until `slew_end` at `frequency + slew_rate`, as the clock itself
/// rounded them, not as they were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use = "filters that are not told go wrong"]
pub struct Applied {
    /// When it took effect.
    pub at: Instant,
    /// What was added to the clock at once.
    pub stepped: NtpDuration,
    /// Frequency correction from `at` on.
    pub frequency: Frequency,
    /// Additional rate while slewing.
    pub slew_rate: Frequency,
    /// When the slew ends; equal to `at` without one.
    pub slew_end: Instant,
}

impl Applied {
    /// What the corrections have added to the clock between `at` and `now`, the step included.
    #[must_use]
    pub fn accumulated(&self, now: Instant) -> NtpDuration {
        self.slewed(now) + self.frequency.over(now.since(self.at))
    }

    /// The same without what the frequency has added: the step and the slew.
    #[must_use]
    pub fn slewed(&self, now: Instant) -> NtpDuration {
        self.stepped + self.slew_rate.over(now.min(self.slew_end).since(self.at))
    }
}
