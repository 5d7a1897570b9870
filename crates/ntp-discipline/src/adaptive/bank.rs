//! A bank of Kalman filters over offset and frequency, one per assumed wander, weighted by how well each predicts.
//!
//! State of a member: x (true minus raw time), f (its rate), their covariance. Between samples the frequency walks
//! randomly; the members differ in how much. The estimate is the mixture's mean.

use crate::total::within;

use super::elementary::{exp, ln};
use super::observation::{Observation, Posterior};

/// Members: wander from 10⁻¹⁰ to 10⁻⁶ per √s in half decades, and 10⁻¹¹ for the quietest of oscillators.
pub(crate) const MEMBERS: usize = 10;
/// Squares of the wanders.
const WANDER_SQUARED: [f64; MEMBERS] = [1e-22, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12];
/// Likelihoods are forgotten by this factor per sample, so that a change of regime is noticed.
pub(crate) const FORGETTING: f64 = 0.99;
/// What the log weights start with and are forgotten towards: no oscillator walks by more than 3·10⁻⁸ per √s for long,
/// and the members that do are there for jumps.
pub(crate) const LN_PRIOR: [f64; MEMBERS] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0];
/// Samples before weights start to move: the first ones speak of the prior, not of wander.
const WEIGHTLESS: u32 = 4;
/// What the log weights start with on top of that: few samples tell little of the wander, and most oscillators walk by no
/// more than 10⁻⁹.
const LN_START: [f64; MEMBERS] = [0.0, 0.0, 0.0, 0.0, -0.5, -1.0, -1.5, -2.0, -2.5, -3.0];
/// No member falls further behind the best than this (in nats): a change of regime is believed after as much evidence.
const FLOOR: f64 = 7.0;
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
/// The closest correlation of offset and frequency: the covariance stays regular whatever the rounding.
const MOST_CORRELATION: f64 = 0.999_999;

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
    /// The same after a walk.
    pub(crate) fn predicted(&self, walk: &Walk) -> Self {
        let d = walk.elapsed;
        Self {
            offset: self.offset + d * self.frequency,
            frequency: self.frequency,
            xx: self.xx + d * (2.0 * self.xf + d * self.ff) + walk.xx,
            xf: self.xf + d * self.ff + walk.xf,
            ff: self.ff + walk.ff,
        }
        .bounded()
    }

    /// The same within what any clock can be: whatever is put in, nothing here grows until it is no number.
    pub(crate) fn bounded(self) -> Self {
        let Self { offset, frequency, xx, xf, ff } = self;
        let variances = xx > LEAST_VARIANCE && xx < MOST_OFFSET_VARIANCE && ff > LEAST_VARIANCE && ff < 1.0;
        let means = libm::fabs(offset) < MOST_OFFSET && libm::fabs(frequency) < 1.0;
        // Cauchy and Schwarz hold to rounding.
        if variances && means && xf * xf < MOST_CORRELATION * MOST_CORRELATION * xx * ff {
            return self;
        }
        let xx = within(self.xx, LEAST_VARIANCE, MOST_OFFSET_VARIANCE);
        let ff = within(self.ff, LEAST_VARIANCE, 1.0);
        // Where a bound broke them, the covariance gives way.
        let most = MOST_CORRELATION * libm::sqrt(xx * ff);
        let xf = within(self.xf, -most, most);
        let offset = within(self.offset, -MOST_OFFSET, MOST_OFFSET);
        Self { offset, frequency: within(self.frequency, -1.0, 1.0), xx, xf, ff }
    }

    /// Mean and covariance of several, with weights that sum to one.
    fn mixture<'a>(each: impl Iterator<Item = (&'a Self, f64)> + Clone) -> Self {
        let mut result = Self::default();
        for (member, weight) in each.clone() {
            result.offset += weight * member.offset;
            result.frequency += weight * member.frequency;
        }
        for (member, weight) in each {
            let (dx, df) = (member.offset - result.offset, member.frequency - result.frequency);
            result.xx += weight * (member.xx + dx * dx);
            result.xf += weight * (member.xf + dx * df);
            result.ff += weight * (member.ff + df * df);
        }
        result
    }

    /// This part of the way to another, number by number.
    fn towards(&self, other: &Self, part: f64) -> Self {
        let mix = |from: f64, to: f64| from + part * (to - from);
        Self {
            offset: mix(self.offset, other.offset),
            frequency: mix(self.frequency, other.frequency),
            xx: mix(self.xx, other.xx),
            xf: mix(self.xf, other.xf),
            ff: mix(self.ff, other.ff),
        }
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

/// What time adds to a covariance while the frequency walks randomly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    /// In seconds.
    pub(crate) elapsed: f64,
    xx: f64,
    xf: f64,
    ff: f64,
}

impl Walk {
    fn new(elapsed: f64, wander_squared: f64) -> Self {
        let d = elapsed;
        Self { elapsed, xx: wander_squared * d * d * d / 3.0, xf: wander_squared * d * d / 2.0, ff: wander_squared * d }
    }

    /// One for each member of a bank.
    pub(crate) fn each(elapsed: f64) -> [Self; MEMBERS] {
        WANDER_SQUARED.map(|wander_squared| Self::new(elapsed, wander_squared))
    }
}

/// Several members as one: time does to their mean and covariance what it does to a member of their mean squared wander.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mixture {
    /// Mean and covariance.
    pub(crate) now: Estimate,
    wander_squared: f64,
}

impl Mixture {
    /// Of members with weights that sum to one.
    pub(crate) fn new(members: &[Estimate; MEMBERS], weights: &[f64; MEMBERS]) -> Self {
        let wander_squared = weights.iter().zip(WANDER_SQUARED).map(|(weight, squared)| weight * squared).sum();
        Self { now: Estimate::mixture(members.iter().zip(weights.iter().copied())), wander_squared }
    }

    /// Of the members that carry weight: what planning goes by.
    pub(crate) fn heavy(members: &[Estimate; MEMBERS], weights: &[f64; MEMBERS]) -> Self {
        Self::new(members, &heavy(weights))
    }

    /// Mean and covariance `elapsed` seconds on.
    pub(crate) fn after(&self, elapsed: f64) -> Estimate {
        self.now.predicted(&Walk::new(elapsed, self.wander_squared))
    }

    /// The same members as they are `elapsed` seconds on.
    pub(crate) fn moved(&self, elapsed: f64) -> Self {
        Self { now: self.after(elapsed), ..*self }
    }
}

/// The bank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bank {
    members: [Estimate; MEMBERS],
    /// Log weights relative to the best, from −7 to 0.
    ln_weights: [f64; MEMBERS],
    /// The weights themselves, which sum to one.
    weights: [f64; MEMBERS],
    samples: u32,
}

impl Bank {
    /// All members alike.
    pub(crate) fn new(start: Estimate) -> Self {
        let mut ln_weights = LN_PRIOR;
        for (ln_weight, more) in ln_weights.iter_mut().zip(LN_START) {
            *ln_weight += more;
        }
        Self { members: [start; MEMBERS], ln_weights, weights: weights(&ln_weights), samples: 0 }
    }

    /// As if nothing had been absorbed.
    pub(crate) fn forget(&mut self) {
        self.samples = 0;
    }

    /// Samples absorbed.
    pub(crate) const fn samples(&self) -> u32 {
        self.samples
    }

    /// Goes on in time.
    pub(crate) fn predict(&mut self, walks: &[Walk; MEMBERS]) {
        for (member, walk) in self.members.iter_mut().zip(walks) {
            *member = member.predicted(walk);
        }
    }

    /// The frequency may have jumped, by this variance, some time in the `elapsed` seconds before now.
    pub(crate) fn jump(&mut self, elapsed: f64, variance: f64) {
        for member in &mut self.members {
            member.xx += variance * elapsed * elapsed / 3.0;
            member.xf += variance * elapsed / 2.0;
            member.ff += variance;
            *member = member.bounded();
        }
    }

    /// Between two banks, `part` of the way.
    pub(crate) fn between(from: &Self, to: &Self, part: f64) -> Self {
        let mut result = *from;
        for (member, other) in result.members.iter_mut().zip(&to.members) {
            *member = member.towards(other, part);
        }
        for (ln_weight, other) in result.ln_weights.iter_mut().zip(to.ln_weights) {
            *ln_weight += part * (other - *ln_weight);
        }
        result.weights = weights(&result.ln_weights);
        result
    }

    /// Becomes the bank that has the moments of several, whose weights sum to one.
    pub(crate) fn merge<'a>(&mut self, banks: impl Iterator<Item = (&'a Self, f64)> + Clone) {
        for (i, (member, ln_weight)) in self.members.iter_mut().zip(&mut self.ln_weights).enumerate() {
            let of = || banks.clone().filter_map(|(bank, by)| Some((bank.members.get(i)?, by * bank.weights.get(i)?)));
            let total = of().map(|(_, share)| share).sum::<f64>().max(f64::MIN_POSITIVE);
            let per_total = 1.0 / total;
            *member = Estimate::mixture(of().map(|(member, share)| (member, share * per_total)));
            *ln_weight = ln(total);
        }
        self.samples = banks.map(|(bank, _)| bank.samples).max().unwrap_or_default();
        self.weigh();
    }

    /// Takes in a sample taken now; the logarithm of its probability.
    pub(crate) fn update(&mut self, observation: &Observation) -> f64 {
        let observation = observation.likelihood();
        self.samples = self.samples.saturating_add(1);
        let posteriors = observation.posteriors(&self.members.map(|member| (member.offset, member.xx)));
        for (member, posterior) in self.members.iter_mut().zip(&posteriors) {
            member.absorb(posterior);
        }
        let likelihoods = posteriors.map(|posterior| posterior.ln_likelihood);
        let top = likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let relative = likelihoods.map(|likelihood| exp(likelihood - top));
        let total: f64 = relative.iter().zip(&self.weights).map(|(relative, weight)| weight * relative).sum();
        if self.samples > WEIGHTLESS {
            for ((ln_weight, prior), likelihood) in self.ln_weights.iter_mut().zip(LN_PRIOR).zip(likelihoods) {
                *ln_weight = FORGETTING * *ln_weight + (1.0 - FORGETTING) * prior + likelihood;
            }
            self.weigh();
            self.restart_losers();
        }
        top + ln(total.max(f64::MIN_POSITIVE))
    }

    /// Log weights have changed.
    fn weigh(&mut self) {
        normalize(&mut self.ln_weights);
        self.weights = weights(&self.ln_weights);
    }

    fn restart_losers(&mut self) {
        if self.ln_weights.iter().all(|&ln_weight| ln_weight >= -RESTART) {
            return;
        }
        let mixture = self.mixture().now;
        for (member, &ln_weight) in self.members.iter_mut().zip(&self.ln_weights) {
            if ln_weight < -RESTART {
                *member = mixture;
            }
        }
    }

    /// All members as one.
    pub(crate) fn mixture(&self) -> Mixture {
        Mixture::new(&self.members, &self.weights)
    }

    /// The mean offset.
    pub(crate) fn offset(&self) -> f64 {
        self.members.iter().zip(&self.weights).map(|(member, weight)| weight * member.offset).sum()
    }

    /// Those that carry weight.
    pub(crate) fn heavy(&self) -> Mixture {
        Mixture::heavy(&self.members, &self.weights)
    }

    /// The largest variance of the offset that any member has.
    pub(crate) fn widest(&self) -> f64 {
        self.members.iter().map(|member| member.xx).fold(0.0, f64::max)
    }

    /// Log weights of the members.
    pub(crate) const fn ln_weights(&self) -> &[f64; MEMBERS] {
        &self.ln_weights
    }
}

/// The best weight becomes zero, none lies below the floor.
pub(crate) fn normalize(ln_weights: &mut [f64; MEMBERS]) {
    fall_behind(ln_weights, FLOOR);
}

/// The best weight becomes zero, none lies further below it than `most`.
pub(crate) fn fall_behind(ln_weights: &mut [f64], most: f64) {
    let best = ln_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for ln_weight in ln_weights {
        *ln_weight = (*ln_weight - best).max(-most);
    }
}

/// Whether a member at this log weight is to be started anew.
pub(crate) fn is_lost(ln_weight: f64) -> bool {
    ln_weight < -RESTART
}

/// The weights of those that count, which sum to one; nothing for the others.
pub(crate) fn heavy(weights: &[f64; MEMBERS]) -> [f64; MEMBERS] {
    let heavy = weights.map(|weight| if weight < COUNTS { 0.0 } else { weight });
    // Ten members: the heaviest has a tenth at the least, so something is kept.
    let kept: f64 = heavy.iter().sum();
    heavy.map(|weight| weight / kept.max(f64::MIN_POSITIVE))
}

/// Weights that sum to one.
pub(crate) fn weights(ln_weights: &[f64; MEMBERS]) -> [f64; MEMBERS] {
    let weights = ln_weights.map(exp);
    let total: f64 = weights.iter().sum();
    // The best has weight one, so the total is no less.
    weights.map(|weight| weight / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(offset: f64) -> Observation {
        Observation { offset, half_width: 1e-5, softness: 1e-6, tilt: 0.0, spread: 1e-5, filled: false }
    }

    #[test]
    fn frequency_is_learnt_and_a_step_of_it_followed() {
        let mut bank = Bank::new(Estimate { xx: 1e-8, ff: 2.5e-9, ..Estimate::default() });
        let mut truth = 0.0;
        let mut go = |bank: &mut Bank, rate: f64, polls: u32| {
            for poll in 0..polls {
                bank.predict(&Walk::each(64.0));
                truth += 64.0 * rate;
                let error = if poll % 2 == 0 { 4e-6 } else { -4e-6 };
                bank.update(&exact(truth + error));
            }
            bank.mixture().now.offset - truth
        };
        assert!(go(&mut bank, 2e-5, 60).abs() < 5e-6);
        let settled = bank.mixture().now;
        assert!((settled.frequency - 2e-5).abs() < 2e-8, "{settled:?}");
        // Five ppm more: within a few polls the bank has it.
        assert!(go(&mut bank, 2.5e-5, 8).abs() < 2e-5);
        assert!((bank.mixture().now.frequency - 2.5e-5).abs() < 3e-7, "{:?}", bank.mixture().now);
    }

    #[test]
    fn no_gap_and_no_contradiction_loses_a_number() {
        let mut bank = Bank::new(Estimate { xx: 1.0, ff: 1.0, ..Estimate::default() });
        for (gap, offset) in [(0.0, 0.0), (1e-9, 1e9), (1e10, -1e9), (64.0, 0.0), (0.0, 2e9), (1e8, 1e-9)] {
            bank.predict(&Walk::each(gap));
            bank.update(&exact(offset));
            for estimate in [bank.mixture().after(1e9), bank.heavy().now] {
                assert!(estimate.offset.is_finite() && estimate.frequency.is_finite(), "{estimate:?}");
                assert!(
                    estimate.xx > 0.0 && estimate.ff > 0.0 && estimate.xx * estimate.ff >= estimate.xf * estimate.xf
                );
            }
        }
    }
}
