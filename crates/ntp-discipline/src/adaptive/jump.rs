//! Whether the frequency has jumped: what a filter that assumes it makes of the samples, beside those that do not.
//!
//! One sample that surprises is a bad sample more often than a jump, and says little of the new frequency; a filter that
//! followed at once would lose what it knew. So from such a sample on a bank runs along that lets the frequency have jumped
//! before it. Where that soon predicts better by as much as jumps are rare, it takes the others' place: knowing the old
//! offset, and the wander, which a jump does not change.

use super::bank::{Bank, Walk, MEMBERS};
use super::observation::Observation;
use super::source::JUMPED_FREQUENCY;

/// Logarithm of the prior probability of a jump between two samples.
const LN_PRIOR: f64 = -10.0;
/// A sample surprises that is not this much likelier (in nats) than one that has nothing to do with the clock.
const SURPRISES: f64 = 3.0;
/// Samples that can show a jump, and after which it would have shown.
const SHOWN_BY: u8 = 2;
const SHOWS: u8 = 8;
/// Samples before the first jump that is looked for: until then all of them are filtered again and again.
const SETTLED: u32 = 32;

/// The bank that assumes a jump, and the logarithm of its odds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Challenger {
    bank: Bank,
    ln_odds: f64,
    samples: u8,
}

impl Challenger {
    /// The one to run along from this sample on, if it surprises: `before` is the bank without it, `elapsed` seconds after
    /// the sample before, and `ln_likelihood` what the sample was to it.
    pub(crate) fn of(before: &Bank, elapsed: f64, observation: &Observation, ln_likelihood: f64) -> Option<Self> {
        if before.samples() < SETTLED || !surprises(observation, ln_likelihood) {
            return None;
        }
        let mut bank = *before;
        bank.jump(elapsed, JUMPED_FREQUENCY);
        Self { bank, ln_odds: LN_PRIOR, samples: 0 }.after(observation, ln_likelihood)
    }

    pub(crate) fn predict(&mut self, walks: &[Walk; MEMBERS]) {
        self.bank.predict(walks);
    }

    /// With a sample more, which the others found this likely. None when a jump does not explain it either, or would have
    /// shown by now.
    pub(crate) fn after(mut self, observation: &Observation, ln_likelihood: f64) -> Option<Self> {
        let own = self.bank.update(observation);
        self.ln_odds += own - ln_likelihood;
        self.samples = self.samples.saturating_add(1);
        (self.samples < SHOWS && !surprises(observation, own)).then_some(self)
    }

    /// The bank, once it has won.
    pub(crate) fn won(&self) -> Option<Bank> {
        (self.ln_odds > 0.0 && self.samples >= SHOWN_BY).then_some(self.bank)
    }
}

fn surprises(observation: &Observation, ln_likelihood: f64) -> bool {
    ln_likelihood < observation.ln_unrelated() + SURPRISES
}

#[cfg(test)]
mod tests {
    use super::super::bank::Estimate;
    use super::*;

    fn seen(offset: f64) -> Observation {
        Observation { offset, half_width: 1e-4, softness: 1e-6, tilt: 0.0, spread: 2e-4, filled: false }
    }

    /// A bank that has watched a clock that is right, every 64 s, then `offsets`; by how much its frequency is taken to have
    /// jumped.
    fn challenged(offsets: &[f64]) -> Option<f64> {
        let walks = Walk::each(64.0);
        let mut bank = Bank::new(Estimate { xx: 1e-8, ff: 1e-14, ..Estimate::default() });
        for _ in 0..40 {
            bank.predict(&walks);
            bank.update(&seen(0.0));
        }
        let mut challenger: Option<Challenger> = None;
        for &offset in offsets {
            bank.predict(&walks);
            let (before, observation) = (bank, seen(offset));
            let ln_likelihood = bank.update(&observation);
            challenger = match challenger {
                Some(mut challenger) => {
                    challenger.predict(&walks);
                    challenger.after(&observation, ln_likelihood)
                }
                None => Challenger::of(&before, 64.0, &observation, ln_likelihood),
            };
            if let Some(bank) = challenger.and_then(|challenger| challenger.won()) {
                return Some(bank.mixture().now.frequency);
            }
        }
        None
    }

    #[test]
    fn a_jump_is_told_from_a_bad_sample() {
        let per_poll = 50e-6 * 64.0;
        let found = challenged(&[0.5 * per_poll, 1.5 * per_poll]);
        assert!(found.is_some_and(|frequency| (frequency - 50e-6).abs() < 5e-6), "{found:?}");
        assert_eq!(challenged(&[0.5 * per_poll, 0.0, 5e-5, 0.0, -5e-5, 0.0, 0.0, 0.0]), None);
        assert_eq!(challenged(&[5e-5; 8]), None);
        // An offset that jumps.
        assert_eq!(challenged(&[0.6; 4]), None);
    }
}
