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
        // Cauchy and Schwarz hold to rounding; where the floor above broke them, the covariance gives way.
        let most = 0.999_999 * libm::sqrt(self.xx * self.ff);
        self.xf = self.xf.clamp(-most, most);
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
