//! How an estimated error is put on the clock: over how long.
//!
//! An error e slewed over τ costs e²·τ/3 of squared time error and e²/τ of squared frequency error; the best τ is a
//! multiple of σ_offset/σ_frequency and does not depend on e. Where queues make the noise that is several polls, and
//! costs nothing; where the oscillator does, a fraction of one.

use core::time::Duration;

use super::bank::Estimate;
use crate::total::within;

/// τ in units of σ_offset/σ_frequency, behind one source and behind several.
///
/// Behind several the frequency is what is left to gain: a quarter more costs 2 % of time error for a tenth of the frequency
/// error.
const PROPORTION: f64 = 0.4;
const PROPORTION_OF_SEVERAL: f64 = 0.5;
/// τ in units of the time to the next update, at least and at most.
const SHORTEST: f64 = 0.1;
const LONGEST: f64 = 3.0;
/// Least τ, and τ while starting, in seconds.
const QUICK: f64 = 1.0;
/// No slew is faster than this, in s/s, whatever the policy allows: chrony's.
const GENTLE: f64 = 1.0 / 12.0;

/// What a slew is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Be done: the system starts.
    Quick,
    /// Balance time and frequency, behind one source or several.
    Balanced { several: bool },
    /// Undo slowly what a source that is gone has done slowly.
    Gentle,
}

/// The time over which to slew `error` seconds, `plan` being the estimate expected half way to the next update.
pub(crate) fn slew_time(error: f64, plan: &Estimate, next_update: f64, pace: Pace) -> Duration {
    let balanced = |proportion: f64| {
        let ratio = proportion * libm::sqrt(plan.xx / plan.ff) / next_update;
        (within(ratio, SHORTEST, LONGEST) * next_update).max(QUICK)
    };
    let planned = match pace {
        Pace::Quick => QUICK,
        Pace::Balanced { several } => balanced(if several { PROPORTION_OF_SEVERAL } else { PROPORTION }),
        Pace::Gentle => (LONGEST * next_update).max(QUICK),
    };
    let seconds = planned.max(libm::fabs(error) / GENTLE);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
