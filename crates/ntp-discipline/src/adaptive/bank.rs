//! A bank of Kalman filters over offset and frequency, one per assumed wander, weighted by how well each predicts.
//!
//! State of a member: x (true minus raw time), f (its rate), their covariance. Between samples the frequency walks
//! randomly; the members differ in how much. The estimate is the mixture's mean.

use super::observation::{Observation, Posterior};

/// Members: wander from 3·10⁻¹¹ to 10⁻⁶ per √s in half decades.
pub(crate) const MEMBERS: usize = 10;
/// Squares of the wanders, (10^(−10.5 + i/2))².
pub(crate) const WANDER_SQUARED: [f64; MEMBERS] =
    [1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12];
/// Likelihoods are forgotten by this factor per sample, so that a change of regime is noticed.
pub(crate) const FORGETTING: f64 = 0.99;
/// What the log weights start with and are forgotten towards: no oscillator walks by more than 3·10⁻⁸ per √s for long,
/// and the members that do are there for jumps.
pub(crate) const LN_PRIOR: [f64; MEMBERS] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0];
/// Samples before weights start to move: the first ones speak of the prior, not of wander.
const WEIGHTLESS: u32 = 4;
/// No member falls further behind the best than this (in nats): a change of regime is believed after as much evidence.
const FLOOR: f64 = 8.0;
/// A member this far behind is started anew from the mixture; else slow members stay wrong after a frequency step.
///
/// It must be smaller than the floor: with both equal nothing is ever started anew.
const RESTART: f64 = 6.0;
/// Members lighter than this do not count in the variance used for planning: those at the floor would dominate it.
const COUNTS: f64 = 0.02;
/// Least variances, (10⁻¹² s)² and (10⁻¹² s/s)²: they keep the covariance positive whatever the rounding.
pub(crate) const LEAST_VARIANCE: f64 = 1e-24;

/// The largest offset from the origin, in seconds (317 years), and the largest variance of one.
const MOST_OFFSET: f64 = 1e10;
const MOST_OFFSET_VARIANCE: f64 = 1e20;

/// Mean and covariance of offset and frequency.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Estimate {
    /// True minus raw time, in seconds from the engine's origin.
    pub(crate) offset: f64,
    /// Its rate.
    pub(crate) frequency: f64,
    /// Variance of the offset.
    pub(crate) xx: f64,
    /// Covariance of both.
    pub(crate) xf: f64,
    /// Variance of the frequency.
    pub(crate) ff: f64,
}

impl Estimate {
    /// The same, `elapsed` seconds on, the frequency walking with this squared wander.
    pub(crate) fn predicted(&self, elapsed: f64, wander_squared: f64) -> Self {
        let d = elapsed;
        Self {
            offset: self.offset + d * self.frequency,
            frequency: self.frequency,
            xx: self.xx + d * (2.0 * self.xf + d * self.ff) + wander_squared * d * d * d / 3.0,
            xf: self.xf + d * self.ff + wander_squared * d * d / 2.0,
            ff: self.ff + wander_squared * d,
        }
        .bounded()
    }

    /// The same within what any clock can be: whatever is put in, nothing here grows until it is no number.
    pub(crate) fn bounded(self) -> Self {
        let within = |value: f64, most: f64| value.max(-most).min(most);
        let (xx, ff) = (within(self.xx, MOST_OFFSET_VARIANCE), within(self.ff, 1.0));
        let (xx, ff) = (xx.max(LEAST_VARIANCE), ff.max(LEAST_VARIANCE));
        // Cauchy and Schwarz hold to rounding; where a bound broke them, the covariance gives way.
        let xf = within(self.xf, 0.999_999 * libm::sqrt(xx * ff));
        Self { offset: within(self.offset, MOST_OFFSET), frequency: within(self.frequency, 1.0), xx, xf, ff }
    }

    /// Mean and covariance of several, with weights that sum to one.
    pub(crate) fn mixture(each: &[Self; MEMBERS], weights: &[f64; MEMBERS]) -> Self {
        let mean = |pick: fn(&Self) -> f64| each.iter().zip(weights).map(|(m, w)| w * pick(m)).sum::<f64>();
        let (offset, frequency) = (mean(|m| m.offset), mean(|m| m.frequency));
        let mut result = Self { offset, frequency, ..Self::default() };
        for (member, weight) in each.iter().zip(weights) {
            let (dx, df) = (member.offset - offset, member.frequency - frequency);
            result.xx += weight * (member.xx + dx * dx);
            result.xf += weight * (member.xf + dx * df);
            result.ff += weight * (member.ff + df * df);
        }
        result
    }

    /// The offset's distribution becomes `posterior`; the frequency follows by regression.
    fn absorb(&mut self, posterior: &Posterior) {
        let gain = self.xf / self.xx;
        let left = posterior.variance.max(LEAST_VARIANCE);
        self.offset += posterior.shift;
        self.frequency += gain * posterior.shift;
        self.ff = (self.ff - gain * gain * (self.xx - left)).max(LEAST_VARIANCE);
        self.xf = gain * left;
        self.xx = left;
        *self = self.bounded();
    }
}

/// The bank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bank {
    members: [Estimate; MEMBERS],
    /// Log weights relative to the best, from −8 to 0.
    ln_weights: [f64; MEMBERS],
    samples: u32,
}

impl Bank {
    /// All members alike.
    pub(crate) fn new(start: Estimate) -> Self {
        Self { members: [start; MEMBERS], ln_weights: LN_PRIOR, samples: 0 }
    }

    /// All members alike, keeping what is known of the wander.
    pub(crate) fn restart(&mut self, start: Estimate) {
        *self = Self::new(start);
    }

    /// As if nothing had been absorbed.
    pub(crate) fn forget(&mut self) {
        self.samples = 0;
    }

    /// Samples absorbed.
    pub(crate) const fn samples(&self) -> u32 {
        self.samples
    }

    /// Goes `elapsed` seconds on.
    pub(crate) fn predict(&mut self, elapsed: f64) {
        for (member, wander) in self.members.iter_mut().zip(WANDER_SQUARED) {
            *member = member.predicted(elapsed, wander);
        }
    }

    /// Takes in a sample taken now.
    pub(crate) fn update(&mut self, observation: &Observation) {
        self.samples = self.samples.saturating_add(1);
        let weighs = self.samples > WEIGHTLESS;
        let weighed = self.members.iter_mut().zip(&mut self.ln_weights).zip(LN_PRIOR);
        for ((member, ln_weight), prior) in weighed {
            let posterior = observation.posterior(member.offset, member.xx);
            member.absorb(&posterior);
            if weighs {
                *ln_weight = FORGETTING * *ln_weight + (1.0 - FORGETTING) * prior + posterior.ln_likelihood;
            }
        }
        normalize(&mut self.ln_weights);
        self.restart_losers();
    }

    fn restart_losers(&mut self) {
        if self.ln_weights.iter().all(|&ln_weight| ln_weight >= -RESTART) {
            return;
        }
        let mixture = self.mixture(0.0);
        for (member, &ln_weight) in self.members.iter_mut().zip(&self.ln_weights) {
            if ln_weight < -RESTART {
                *member = mixture;
            }
        }
    }

    /// Mean and covariance of all members, `elapsed` seconds on.
    pub(crate) fn estimate(&self, elapsed: f64) -> Estimate {
        self.mixture(elapsed)
    }

    /// The same of the members that carry weight: what planning goes by.
    pub(crate) fn plan(&self, elapsed: f64) -> Estimate {
        mixture(&self.members, &self.ln_weights, COUNTS, elapsed)
    }

    fn mixture(&self, elapsed: f64) -> Estimate {
        mixture(&self.members, &self.ln_weights, 0.0, elapsed)
    }

    /// Log weights of the members.
    pub(crate) const fn ln_weights(&self) -> &[f64; MEMBERS] {
        &self.ln_weights
    }
}

/// The best weight becomes zero, none lies below the floor.
pub(crate) fn normalize(ln_weights: &mut [f64; MEMBERS]) {
    let best = ln_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for ln_weight in ln_weights {
        *ln_weight = (*ln_weight - best).max(-FLOOR);
    }
}

/// Whether a member at this log weight is to be started anew.
pub(crate) fn is_lost(ln_weight: f64) -> bool {
    ln_weight < -RESTART
}

/// Weights that sum to one; those below `least` are left out.
pub(crate) fn weights(ln_weights: &[f64; MEMBERS], least: f64) -> [f64; MEMBERS] {
    let mut weights = ln_weights.map(libm::exp);
    let total: f64 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= total;
        if *weight < least {
            *weight = 0.0;
        }
    }
    let kept: f64 = weights.iter().sum();
    // Ten members: the heaviest has a tenth at the least, so something is kept.
    weights.map(|weight| weight / kept.max(f64::MIN_POSITIVE))
}

fn mixture(members: &[Estimate; MEMBERS], ln_weights: &[f64; MEMBERS], least: f64, elapsed: f64) -> Estimate {
    let mut ahead = *members;
    for (member, wander) in ahead.iter_mut().zip(WANDER_SQUARED) {
        *member = member.predicted(elapsed, wander);
    }
    Estimate::mixture(&ahead, &weights(ln_weights, least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(offset: f64) -> Observation {
        Observation { offset, half_width: 1e-5, softness: 1e-6, tilt: 0.0, spread: 1e-5 }
    }

    #[test]
    fn frequency_is_learnt_and_a_step_of_it_followed() {
        let mut bank = Bank::new(Estimate { xx: 1e-8, ff: 2.5e-9, ..Estimate::default() });
        let mut truth = 0.0;
        let mut go = |bank: &mut Bank, rate: f64, polls: u32| {
            for poll in 0..polls {
                bank.predict(64.0);
                truth += 64.0 * rate;
                let error = if poll % 2 == 0 { 4e-6 } else { -4e-6 };
                bank.update(&exact(truth + error));
            }
            bank.estimate(0.0).offset - truth
        };
        assert!(go(&mut bank, 2e-5, 60).abs() < 5e-6);
        let settled = bank.estimate(0.0);
        assert!((settled.frequency - 2e-5).abs() < 2e-8, "{settled:?}");
        // Five ppm more: within a few polls the bank has it.
        assert!(go(&mut bank, 2.5e-5, 8).abs() < 2e-5);
        assert!((bank.estimate(0.0).frequency - 2.5e-5).abs() < 3e-7, "{:?}", bank.estimate(0.0));
    }

    #[test]
    fn no_gap_and_no_contradiction_loses_a_number() {
        let mut bank = Bank::new(Estimate { xx: 1.0, ff: 1.0, ..Estimate::default() });
        for (gap, offset) in [(0.0, 0.0), (1e-9, 1e9), (1e10, -1e9), (64.0, 0.0), (0.0, 2e9), (1e8, 1e-9)] {
            bank.predict(gap);
            bank.update(&exact(offset));
            for estimate in [bank.estimate(1e9), bank.plan(0.0)] {
                assert!(estimate.offset.is_finite() && estimate.frequency.is_finite(), "{estimate:?}");
                assert!(
                    estimate.xx > 0.0 && estimate.ff > 0.0 && estimate.xx * estimate.ff >= estimate.xf * estimate.xf
                );
            }
        }
    }
}
