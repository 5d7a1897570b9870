//! What one sample says about the offset of a clock, as a likelihood: the interval queueing allows, its tilt, and the
//! chance that the model does not hold.
//!
//! Of a round trip's excess over the path's base delay, some was spent on the way up and the rest on the way down: the
//! offset lies within half the excess of the measured one. With exponential queues of mean u and d it is spread there
//! like exp(κ·x), κ = 1/u − 1/d: flat when both are alike. With a small probability the sample is something else (a
//! route change, a wrong server): then it says little.

use super::cut_normal::{cut_normals, INVERSE_SQRT_2PI};
use super::elementary::{exp, ln};

/// Prior probability that a sample does not follow the model.
///
/// 0.0003: with ten times that a step of the frequency was taken for a bad sample, and followed a poll later.
#[cfg(test)]
const MODEL_BREAK: f64 = 0.0003;
const LN_MODEL_BREAK: f64 = -8.111_728_083_308_073;
const LN_MODEL_HOLDS: f64 = -0.000_300_045_009_002_025;
/// Shape of the gamma distribution of queues that are never empty: as if so many exponential ones stood in a row.
pub(crate) const FILLED_SHAPE: f64 = 3.0;
/// A sample off the model is spread over its half width and this many typical excesses.
const BREAK_SPREAD: f64 = 5.0;

/// One sample as a likelihood over the offset it measures. All in seconds, the tilt in 1/s.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Observation {
    /// The measured offset: middle of the interval.
    pub(crate) offset: f64,
    /// Half the interval's width; positive.
    pub(crate) half_width: f64,
    /// How soft its edges are; positive.
    pub(crate) softness: f64,
    /// κ: growth of the density's logarithm over the interval.
    pub(crate) tilt: f64,
    /// The path's typical excess delay.
    pub(crate) spread: f64,
    /// Whether the path's queues are never empty: then offsets keep away from the interval's ends.
    pub(crate) filled: bool,
}

/// A Gaussian after an observation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Posterior {
    /// By how much the mean moves.
    pub(crate) shift: f64,
    /// The new variance; never above the old one by more than a contradiction explains.
    pub(crate) variance: f64,
    /// Logarithm of the observation's probability density under the prior.
    pub(crate) ln_likelihood: f64,
}

impl Observation {
    /// Logarithm of the largest density that it has when it does not follow the model.
    pub(crate) fn ln_unrelated(&self) -> f64 {
        LN_MODEL_BREAK + libm::log(INVERSE_SQRT_2PI / (self.half_width + BREAK_SPREAD * self.spread))
    }

    /// As a likelihood, what does not depend on the prior worked out once.
    pub(crate) fn likelihood(&self) -> Likelihood {
        let Self { offset, half_width, softness, tilt, spread, filled } = *self;
        let soft = softness * softness;
        let off = half_width + BREAK_SPREAD * spread;
        let off = off * off;
        if filled {
            // Of two gamma queues of shape k one has a beta-distributed share of the sum.
            let noise = half_width * half_width / (2.0 * FILLED_SHAPE + 1.0) + soft;
            return Likelihood {
                offset,
                half_width,
                soft,
                tilt: 0.0,
                ln_height: LN_MODEL_HOLDS,
                noise: Some(noise),
                off,
            };
        }
        let ln_height = LN_MODEL_HOLDS - ln(2.0 * half_width) - ln_sinhc(tilt * half_width);
        Likelihood { offset, half_width, soft, tilt, ln_height, noise: None, off }
    }
}

/// An observation, ready for priors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Likelihood {
    offset: f64,
    half_width: f64,
    /// The softness squared.
    soft: f64,
    tilt: f64,
    /// Logarithm of the density in the middle of the interval, with the probability that the model holds.
    ln_height: f64,
    /// Variance within the model where that is a Gaussian.
    noise: Option<f64>,
    /// Variance when the model does not hold.
    off: f64,
}

/// A Gaussian after an observation that is what one of the two says; its density is `mass` · exp(`ln_scale`).
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    shift: f64,
    variance: f64,
    mass: f64,
    ln_scale: f64,
}

impl Likelihood {
    /// The two exact first moments of `prior × likelihood` for Gaussian priors, each a mean and a variance, and the evidence.
    pub(crate) fn posteriors<const N: usize>(&self, priors: &[(f64, f64); N]) -> [Posterior; N] {
        let inside = self.within_the_model(priors);
        // Without the model: a wide Gaussian.
        let outside = priors.map(|(mean, variance)| gaussian(self.offset - mean, variance, self.off, LN_MODEL_BREAK));
        let mut posteriors = [Posterior::default(); N];
        for (posterior, (inside, outside)) in posteriors.iter_mut().zip(inside.iter().zip(&outside)) {
            *posterior = either(inside, outside);
        }
        posteriors
    }

    /// A Gaussian prior N(mean, variance) under exp(κx) on an interval is again a Gaussian, shifted by κ·variance and
    /// cut to the interval; soft edges widen it first.
    fn within_the_model<const N: usize>(&self, priors: &[(f64, f64); N]) -> [Part; N] {
        if let Some(noise) = self.noise {
            return priors.map(|(mean, variance)| gaussian(self.offset - mean, variance, noise, self.ln_height));
        }
        let deviations = priors.map(|(_, variance)| libm::sqrt(variance + self.soft));
        let mut edges = [(0.0, 0.0); N];
        for (edges, (&(mean, variance), deviation)) in edges.iter_mut().zip(priors.iter().zip(&deviations)) {
            let from_mean = self.offset - mean - self.tilt * (variance + self.soft);
            let per_deviation = 1.0 / deviation;
            *edges = ((from_mean - self.half_width) * per_deviation, (from_mean + self.half_width) * per_deviation);
        }
        let cuts = cut_normals(&edges);
        let mut parts = [Part::default(); N];
        for (part, ((&(mean, variance), deviation), cut)) in
            parts.iter_mut().zip(priors.iter().zip(&deviations).zip(&cuts))
        {
            let widened = variance + self.soft;
            let tilted = self.tilt * widened;
            let gain = variance / widened;
            *part = Part {
                shift: gain * (tilted + deviation * cut.mean),
                variance: variance * (1.0 - gain * (1.0 - cut.variance)),
                mass: cut.mass,
                ln_scale: cut.ln_scale + self.ln_height + self.tilt * (0.5 * tilted - (self.offset - mean)),
            };
        }
        parts
    }
}

/// A Gaussian after an observation that is what one of two says.
#[inline]
fn either(inside: &Part, outside: &Part) -> Posterior {
    // How much likelier it is that the model does not hold.
    let ratio = exp(outside.ln_scale - inside.ln_scale) * outside.mass / inside.mass;
    let a = 1.0 / (1.0 + ratio);
    let b = 1.0 - a;
    let shift = a * inside.shift + b * outside.shift;
    let second =
        a * (inside.variance + inside.shift * inside.shift) + b * (outside.variance + outside.shift * outside.shift);
    let (likelier, less) = if ratio < 1.0 { (inside, ratio) } else { (outside, 1.0 / ratio) };
    let ln_likelihood = likelier.ln_scale + ln(likelier.mass * (1.0 + less));
    Posterior { shift, variance: second - shift * shift, ln_likelihood }
}

/// Where the measurement's error is Gaussian, with a probability to begin with.
fn gaussian(innovation: f64, variance: f64, noise: f64, ln_probability: f64) -> Part {
    let total = variance + noise;
    let gain = variance / total;
    Part {
        shift: gain * innovation,
        variance: gain * noise,
        mass: INVERSE_SQRT_2PI / libm::sqrt(total),
        ln_scale: ln_probability - 0.5 * innovation * innovation / total,
    }
}

/// ln(sinh(x)/x), even, zero at zero.
pub(crate) fn ln_sinhc(x: f64) -> f64 {
    let x = libm::fabs(x);
    if x < 1e-3 {
        x * x / 6.0
    } else {
        // sinh(x)/x = e^x (1 − e^(−2x)) / 2x
        x + ln((1.0 - exp(-2.0 * x)) / (2.0 * x))
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    fn posterior(observation: &Observation, mean: f64, variance: f64) -> Posterior {
        let [posterior] = observation.likelihood().posteriors(&[(mean, variance)]);
        posterior
    }

    /// Prior × likelihood integrated on a grid; hard edges.
    fn numerically(observation: &Observation, mean: f64, variance: f64) -> Posterior {
        let Observation { offset, half_width: h, tilt, spread, .. } = *observation;
        let n = 400_000;
        let reach = 12.0 * libm::sqrt(variance);
        let step = 2.0 * reach / f64::from(n);
        let noise = (h + BREAK_SPREAD * spread) * (h + BREAK_SPREAD * spread);
        let norm = 2.0 * h * libm::exp(ln_sinhc(tilt * h));
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        for i in 0..n {
            let d = -reach + step * (f64::from(i) + 0.5);
            let x = mean + d;
            let prior = libm::exp(-0.5 * d * d / variance) * INVERSE_SQRT_2PI / libm::sqrt(variance);
            let y = offset - x;
            let inside = if y.abs() <= h { libm::exp(tilt * (x - offset)) / norm } else { 0.0 };
            let outside = libm::exp(-0.5 * y * y / noise) * INVERSE_SQRT_2PI / libm::sqrt(noise);
            let value = prior * ((1.0 - MODEL_BREAK) * inside + MODEL_BREAK * outside) * step;
            mass += value;
            first += value * d;
            second += value * d * d;
        }
        let shift = first / mass;
        Posterior { shift, variance: second / mass - shift * shift, ln_likelihood: libm::log(mass) }
    }

    #[test]
    fn filled_queues_leave_the_variance_of_a_beta_distribution() {
        // The share of one of two gamma queues of shape 3 has the density 30 s² (1 − s)².
        let (n, mut second) = (1_000, 0.0);
        for i in 0..n {
            let s = (f64::from(i) + 0.5) / f64::from(n);
            second += 30.0 * s * s * (1.0 - s) * (1.0 - s) * (2.0 * s - 1.0) * (2.0 * s - 1.0) / f64::from(n);
        }
        let observation =
            Observation { offset: 0.3, half_width: 0.5, softness: 1e-9, tilt: 0.0, spread: 0.0, filled: true };
        // Under a flat prior what is left is the observation itself.
        let found = posterior(&observation, 0.2, 1e6);
        assert!((found.shift - 0.1).abs() < 1e-3, "{found:?}");
        assert!((found.variance / (0.25 * second) - 1.0).abs() < 0.01, "{found:?} {second}");
    }

    #[test]
    fn moments_agree_with_integration() {
        for (offset, half_width, tilt) in
            [(0.0, 1.0, 0.0), (0.3, 0.2, 0.0), (2.0, 0.5, 3.0), (-1.0, 1.5, -2.0), (9.0, 1.0, 0.0), (0.1, 4.0, 6.0)]
        {
            let observation = Observation { offset, half_width, softness: 1e-9, tilt, spread: 0.7, filled: false };
            let (found, exact) = (posterior(&observation, 0.5, 0.64), numerically(&observation, 0.5, 0.64));
            let context = format!("{observation:?}: {found:?} against {exact:?}");
            assert!((found.shift - exact.shift).abs() < 2e-3, "{context}");
            assert!((found.variance / exact.variance - 1.0).abs() < 5e-3, "{context}");
            assert!((found.ln_likelihood - exact.ln_likelihood).abs() < 2e-3, "{context}");
        }
    }
}
