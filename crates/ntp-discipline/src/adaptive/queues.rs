//! The queues of the two ways of a path: how long they are on average, and what that says of a sample's excess.

use crate::total::within;

use super::bank::Estimate;
use super::elementary::ln;
use super::observation::{ln_sinhc, Observation, FILLED_SHAPE};

/// The queues' means are forgotten by this factor per sample …
const MEMORY: f64 = 0.97;
/// … and start as this many samples of a plausible size, both ways together (in units of spread).
const PRIOR: f64 = 5.0;
const PRIOR_SIZE: f64 = 1.2;
/// Floor under the means, in units of spread: it keeps the tilt finite.
const FLOOR: f64 = 0.01;
const FLOOR_SECONDS: f64 = 1e-7;
/// A sample whose excess is beyond this many spreads comes from another distribution: no tilt, nothing learnt from it.
///
/// Else a tilt by chance times a wide interval drags the clock to its edge.
const FOREIGN: f64 = 8.0;
/// Such a sample's part of one way is as usual within this many means of that way's queue, or, where the estimate is not that sure,
/// of its deviations, if they are so small a part of the half width that it is hardly there by chance.
const USUAL: f64 = 5.0;
const CLEAR: f64 = 0.25;
/// ln Γ(6): both ways together have twice the shape of one.
const LN_FILLED: f64 = 4.787_491_742_782_046;

/// Exponentially forgotten means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queues {
    /// Sums, in seconds, and their weight.
    up: f64,
    down: f64,
    weight: f64,
}

impl Queues {
    /// Nothing known.
    pub(crate) const fn new() -> Self {
        Self { up: 0.0, down: 0.0, weight: 0.0 }
    }

    /// To be learnt again from the same samples, by which `lean` is the part on the way up; else what was learnt is kept.
    pub(crate) fn relearn(&mut self, lean: Option<f64>, spread: f64) {
        let both = self.up + self.down;
        let learnt = if both > 0.0 { self.up / both } else { 0.5 };
        let (lean, all) = (lean.unwrap_or(learnt), PRIOR * PRIOR_SIZE * spread);
        *self = Self { up: lean * all, down: (1.0 - lean) * all, weight: PRIOR };
    }

    /// Between two, `part` of the way.
    pub(crate) fn between(from: &Self, to: &Self, part: f64) -> Self {
        let mix = |a: f64, b: f64| a + part * (b - a);
        Self { up: mix(from.up, to.up), down: mix(from.down, to.down), weight: mix(from.weight, to.weight) }
    }

    /// Learns from a sample how its excess was shared between the two ways, `estimate` being the offset believed now.
    pub(crate) fn learn(&mut self, observation: &Observation, estimate: f64) {
        if is_foreign(observation.half_width, observation.spread) {
            return;
        }
        let both = 2.0 * observation.half_width;
        let up = within(observation.half_width + observation.offset - estimate, 0.0, both);
        self.up = MEMORY * self.up + up;
        self.down = MEMORY * self.down + (both - up);
        self.weight = MEMORY * self.weight + 1.0;
    }

    /// κ of a sample: 1/u − 1/d.
    ///
    /// Of one whose excess comes from another distribution: where one way's part is as usual, it was the other way that
    /// was foreign, of no known distribution, and κ is that of the usual way alone. Otherwise nothing is known.
    pub(crate) fn tilt(&self, half_width: f64, spread: f64, offset: f64, believed: &Estimate) -> f64 {
        let (up, down) = self.means(spread);
        if !is_foreign(half_width, spread) {
            return 1.0 / up - 1.0 / down;
        }
        let (residual, deviation) = (offset - believed.offset, libm::sqrt(believed.xx));
        let is_usual = |queued: f64, mean: f64| {
            let near = USUAL * mean.max(deviation);
            queued < near && (deviation < mean || near < CLEAR * half_width)
        };
        match (is_usual(half_width + residual, up), is_usual(half_width - residual, down)) {
            (true, false) => 1.0 / up,
            (false, true) => -1.0 / down,
            _ => 0.0,
        }
    }

    /// Logarithm of the probability density of a sample's excess.
    pub(crate) fn ln_density(&self, observation: &Observation) -> f64 {
        let Observation { half_width, spread, tilt, .. } = *observation;
        if is_foreign(half_width, spread) {
            return 0.0;
        }
        let (up, down) = self.means(spread);
        if observation.filled {
            let (excess, part) = (2.0 * half_width, 0.5 * (up + down) / FILLED_SHAPE);
            return (2.0 * FILLED_SHAPE - 1.0) * ln(excess / part) - ln(part) - excess / part - LN_FILLED;
        }
        let (up, down) = if tilt == 0.0 { (0.5 * (up + down), 0.5 * (up + down)) } else { (up, down) };
        ln(2.0 * half_width / (up * down)) + ln_sinhc(tilt * half_width) - half_width * (1.0 / up + 1.0 / down)
    }

    /// Means of the two queues, in seconds.
    fn means(&self, spread: f64) -> (f64, f64) {
        if self.weight <= 0.0 {
            return (0.5 * PRIOR_SIZE * spread, 0.5 * PRIOR_SIZE * spread);
        }
        let floor = FLOOR * spread + FLOOR_SECONDS;
        (self.up / self.weight + floor, self.down / self.weight + floor)
    }
}

/// Whether a sample comes from another distribution than the path's queues.
pub(crate) fn is_foreign(half_width: f64, spread: f64) -> bool {
    2.0 * half_width > FOREIGN * spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_by_a_longer_way_tells_by_the_other_way() {
        let spread = 5e-6;
        let mut queues = Queues::new();
        for _ in 0..50 {
            queues.learn(&Observation { half_width: 2.5e-6, spread, ..Observation::default() }, 0.0);
        }
        // 24 ms longer up: offset and half width are 12 ms, and nothing is left for the way down.
        let tilt = |deviation: f64| {
            let believed = Estimate { xx: deviation * deviation, ..Estimate::default() };
            queues.tilt(0.012, spread, 0.012, &believed)
        };
        // Also where the oscillator has made the estimate less sure than a queue is long …
        assert!(tilt(1e-6) < -1e5 && tilt(1e-6) == tilt(30e-6), "{} {}", tilt(1e-6), tilt(30e-6));
        // … but not where anything can be had by chance.
        assert_eq!(tilt(1e-3), 0.0);
    }
}
