//! What has been learnt of the path to one source: its smallest delay, its typical excess, and
//! whether it has become another one.

use super::delays::Delays;

/// Expected excess of the smallest of k delays over the true base, in units of spread / √k.
///
/// 0.75 for two exponential queues; a little more costs little, 0.3 doubled the error with 10 ms queues.
const UNSEEN_EXCESS: f64 = 1.0;
/// Delays that must be known before they tell how queues lean.
pub(crate) const SHOWS_QUEUES: usize = 8;
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
    residuals: [f64; RESIDUALS],
    seen: usize,
    /// Least typical excess: what offsets say while few delays are known.
    least_spread: f64,
}

impl Path {
    pub(crate) const fn new() -> Self {
        Self { delays: Delays::new(), residuals: [0.0; RESIDUALS], seen: 0, least_spread: 0.0 }
    }

    /// Smallest delay seen.
    pub(crate) fn base(&self) -> f64 {
        self.delays.base()
    }

    /// Base of the path if its queues are never empty.
    pub(crate) fn filled_base(&self) -> f64 {
        self.delays.filled_base()
    }

    /// Typical excess over it.
    pub(crate) fn spread(&self) -> f64 {
        self.delays.spread().max(self.least_spread)
    }

    /// Offsets scatter by this much: delays of such a path cannot have less of a spread than `SCATTER` times it.
    pub(crate) fn scatters(&mut self, scatter: f64) {
        self.least_spread = SCATTER * scatter;
    }

    /// How much of the base delay may not have been seen yet.
    pub(crate) fn unseen(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // at most 1024
        let root = libm::sqrt(self.delays.of_this_path().max(1) as f64);
        UNSEEN_EXCESS * self.spread() / root
    }

    /// Whether delays enough are known to tell how queues lean.
    pub(crate) const fn shows_queues(&self) -> bool {
        self.delays.len() >= SHOWS_QUEUES
    }

    /// Takes in a sample's delay.
    pub(crate) fn push(&mut self, delay: f64) {
        self.delays.push(delay);
    }

    /// Takes in by how much a sample's offset differed from what was expected.
    pub(crate) fn follow(&mut self, residual: f64) {
        if let Some(slot) = self.residuals.get_mut(self.seen % RESIDUALS) {
            *slot = residual;
        }
        self.seen = self.seen.wrapping_add(1);
    }

    /// Notices when the path has become another one, shorter, or symmetrically longer; whether it has.
    pub(crate) fn has_changed(&mut self) -> bool {
        if let Some(count) = self.delays.fall() {
            self.delays.keep_recent(count);
            return true;
        }
        #[allow(clippy::cast_precision_loss)] // eight
        let mean = |sum: f64| sum / RESIDUALS as f64;
        let (middle, scatter) = (mean(self.residuals.iter().sum()), mean(self.residuals.map(libm::fabs).iter().sum()));
        let Some((count, _)) = self.delays.rise(scatter).filter(|&(_, rise)| libm::fabs(middle) < SYMMETRIC * rise)
        else {
            return false;
        };
        self.delays.keep_recent(count);
        true
    }
}
