//! What has been learnt of the path to one source: its base delay, its queues, and how they lean.

use super::bank::Estimate;
use super::delays::Delays;
use super::observation::Observation;
use crate::total::within;

/// Expected excess of the smallest of k delays over the true base, in units of spread / √k.
///
/// 0.75 for two exponential queues; a little more costs little, 0.3 doubled the error with 10 ms queues.
const UNSEEN_EXCESS: f64 = 1.0;
/// Softness of the interval's edges in units of spread / √k: the base is uncertain by about that.
const SOFTNESS: f64 = 0.3;
/// Further softness, in units of spread, while the spread itself is a guess.
const EARLY_SOFTNESS: f64 = 0.3;
const EARLY: usize = 8;
/// Timestamping noise: part of every width, in seconds.
const STAMP_NOISE: f64 = 1e-8;
/// The queues' means are forgotten by this factor per sample …
const QUEUE_MEMORY: f64 = 0.97;
/// … start as this many samples of a plausible size (in units of spread) …
const QUEUE_PRIOR: f64 = 10.0;
const QUEUE_PRIOR_SIZE: f64 = 0.6;
/// … and are used for the tilt from this many samples on.
const TILT_FROM: usize = 12;
/// Floor under the queues' means, in units of spread: it keeps the tilt finite. 0.1 cost a tenth where one way hardly
/// queues and polls are rare.
const QUEUE_FLOOR: f64 = 0.04;
const QUEUE_FLOOR_SECONDS: f64 = 1e-7;
/// A sample whose excess is beyond this many spreads comes from another distribution: no tilt, nothing learnt from it.
///
/// Else a tilt by chance times a wide interval drags the clock to its edge.
const FOREIGN: f64 = 8.0;
/// Such a sample's part of one way is as usual within this many means of that way's queue.
const USUAL: f64 = 5.0;
/// A rise of the delay is symmetric, and the path has changed, while the last offsets moved less than this part of it.
///
/// Half way between 0, a symmetric rise, and one half, a one-sided one.
const SYMMETRIC: f64 = 0.25;
/// Typical excess of the delays in units of the mean deviation of the offsets: 2.4 for two exponential queues.
const SCATTER: f64 = 2.0;
/// Offsets remembered for that.
const RESIDUALS: usize = 8;

/// One path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    delays: Delays,
    /// Sums and weight of the queues' exponentially forgotten means, in seconds.
    queued_up: f64,
    queued_down: f64,
    weight: f64,
    residuals: [f64; RESIDUALS],
    seen: usize,
    /// Least typical excess: what offsets say while few delays are known.
    least_spread: f64,
}

impl Path {
    pub(crate) const fn new() -> Self {
        Self {
            delays: Delays::new(),
            queued_up: 0.0,
            queued_down: 0.0,
            weight: 0.0,
            residuals: [0.0; RESIDUALS],
            seen: 0,
            least_spread: 0.0,
        }
    }

    /// Smallest delay seen.
    pub(crate) fn base(&self) -> f64 {
        self.delays.base()
    }

    /// Typical excess over it.
    pub(crate) fn spread(&self) -> f64 {
        self.delays.spread().max(self.least_spread)
    }

    /// Offsets scatter by this much: delays of such a path cannot have less of a spread than `SCATTER` times it.
    pub(crate) fn scatters(&mut self, scatter: f64) {
        self.least_spread = SCATTER * scatter;
    }

    /// Delays known since the path last changed.
    pub(crate) const fn len(&self) -> usize {
        self.delays.len()
    }

    /// How much of the base delay may not have been seen yet.
    pub(crate) fn unseen(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // at most 1024
        let root = libm::sqrt(self.len().max(1) as f64);
        UNSEEN_EXCESS * self.spread() / root
    }

    /// Takes in a sample's delay.
    pub(crate) fn push(&mut self, delay: f64) {
        self.delays.push(delay);
    }

    /// What an offset is worth that came with this delay, by all that is known of the path now; `believed` is the estimate
    /// before it.
    pub(crate) fn assess(&self, offset: f64, delay: f64, believed: &Estimate) -> Observation {
        let spread = self.spread();
        let unseen = self.unseen();
        let early = if self.len() < EARLY { EARLY_SOFTNESS * spread } else { 0.0 };
        let half_width = 0.5 * ((delay - self.base()).max(0.0) + unseen) + STAMP_NOISE;
        Observation {
            offset,
            half_width,
            softness: SOFTNESS * unseen + early + STAMP_NOISE,
            tilt: match (self.len() > TILT_FROM, is_foreign(half_width, spread)) {
                (false, _) => 0.0,
                (true, false) => self.tilt(spread),
                (true, true) => self.foreign_tilt(half_width, spread, offset, believed),
            },
            spread,
        }
    }

    /// Forgets how excesses were shared: it is to be learnt again from the same samples.
    pub(crate) fn relearn(&mut self) {
        self.weight = 0.0;
    }

    /// Learns from a sample how its excess was shared between the two ways, `estimate` being the offset believed now.
    pub(crate) fn learn(&mut self, observation: &Observation, estimate: f64) {
        let residual = observation.offset - estimate;
        if let Some(slot) = self.residuals.get_mut(self.seen % RESIDUALS) {
            *slot = residual;
        }
        self.seen = self.seen.wrapping_add(1);
        if is_foreign(observation.half_width, observation.spread) {
            return;
        }
        if self.weight <= 0.0 {
            self.weight = QUEUE_PRIOR;
            self.queued_up = QUEUE_PRIOR * QUEUE_PRIOR_SIZE * observation.spread;
            self.queued_down = self.queued_up;
        }
        let both = 2.0 * observation.half_width;
        let up = within(observation.half_width + residual, 0.0, both);
        self.queued_up = QUEUE_MEMORY * self.queued_up + up;
        self.queued_down = QUEUE_MEMORY * self.queued_down + (both - up);
        self.weight = QUEUE_MEMORY * self.weight + 1.0;
    }

    /// Notices when the path has become another one, symmetrically longer; whether it has.
    pub(crate) fn has_changed(&mut self) -> bool {
        #[allow(clippy::cast_precision_loss)] // eight
        let mean = self.residuals.iter().sum::<f64>() / RESIDUALS as f64;
        let changed = self.delays.rise().is_some_and(|rise| mean.abs() < SYMMETRIC * rise);
        if changed {
            self.delays.keep_recent();
        }
        changed
    }

    /// κ = 1/u − 1/d.
    fn tilt(&self, spread: f64) -> f64 {
        let (up, down) = self.queues(spread);
        1.0 / up - 1.0 / down
    }

    /// κ of a sample whose excess comes from another distribution. Where one way's part is as usual, it was the other way
    /// that was foreign, of no known distribution, and κ is that of the usual way alone. Otherwise nothing is known.
    fn foreign_tilt(&self, half_width: f64, spread: f64, offset: f64, believed: &Estimate) -> f64 {
        let (up, down) = self.queues(spread);
        let (residual, deviation) = (offset - believed.offset, libm::sqrt(believed.xx));
        let is_usual = |queued: f64, mean: f64| deviation < mean && queued < USUAL * mean;
        match (is_usual(half_width + residual, up), is_usual(half_width - residual, down)) {
            (true, false) => 1.0 / up,
            (false, true) => -1.0 / down,
            _ => 0.0,
        }
    }

    /// Means of the two queues, in seconds.
    fn queues(&self, spread: f64) -> (f64, f64) {
        let floor = QUEUE_FLOOR * spread + QUEUE_FLOOR_SECONDS;
        let weight = self.weight.max(1.0);
        (self.queued_up / weight + floor, self.queued_down / weight + floor)
    }
}

fn is_foreign(half_width: f64, spread: f64) -> bool {
    2.0 * half_width > FOREIGN * spread
}
