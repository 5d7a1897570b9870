//! The first samples of a witness, which are filtered again as more of the path becomes known, and what they say together.

use ntp_types::Instant;

use crate::total::within;

use super::path::SHOWS_QUEUES;
use super::queues::is_foreign;
use super::source::UNKNOWN_FREQUENCY;

/// Samples that are filtered again when new ones tell more about the path: after each of the first few, then of every
/// few.
const REPLAYED: usize = 32;
const REPLAYED_EACH: usize = 8;
const REPLAYED_EVERY: usize = 4;

/// The most that offsets can say of how the queues lean: one way queues seven times as long.
const STEEPEST: f64 = 0.48;
/// A slope whose square is below this many of its variances is taken for chance, and so much of every other one is. With none
/// of it the error in the first 1500 s is 6 % larger behind exponential queues that do not lean, with 30 it is 14 % larger
/// behind those that do.
const CHANCE: f64 = 6.0;

/// Variance of an unusual frequency in units of its square. All of it would let what is usual be taken for unusual by chance.
const UNUSUAL: f64 = 0.5;

/// A sample as it is kept for that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Earlier {
    pub(crate) at: Instant,
    pub(crate) offset: f64,
    pub(crate) delay: f64,
}

/// The first samples of a witness. What a delay is worth only later ones tell: base and spread of a path of which three
/// samples are known are guesses, and a filter that believed them would stay wrong for long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay {
    samples: [Earlier; REPLAYED],
    len: usize,
    is_closed: bool,
    /// The frequency the witness started with, and its variance.
    frequency: (f64, f64),
}

impl Replay {
    pub(crate) const fn new(frequency: (f64, f64)) -> Self {
        Self {
            samples: [Earlier { at: Instant::ZERO, offset: 0.0, delay: 0.0 }; REPLAYED],
            len: 0,
            is_closed: false,
            frequency,
        }
    }

    /// What the path is now says nothing of these samples: they came by another one.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether the witness has outgrown it.
    pub(crate) fn is_complete(&self, samples: u32) -> bool {
        self.is_closed || usize::try_from(samples).is_ok_and(|samples| samples >= REPLAYED)
    }

    /// Whether the sample after those kept is one to begin again at.
    pub(crate) const fn is_due(&self) -> bool {
        self.len < REPLAYED_EACH || (self.len + 1) % REPLAYED_EVERY == 0
    }

    pub(crate) fn push(&mut self, sample: Earlier) {
        if let Some(slot) = self.samples.get_mut(self.len) {
            *slot = sample;
            self.len += 1;
        }
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = Earlier> + '_ {
        self.samples.iter().take(self.len).copied()
    }

    /// What to begin again with where `found` is the frequency that the samples showed: one that nothing was known of may be as
    /// unusual as that.
    pub(crate) fn frequency_beside(&self, found: f64) -> (f64, f64) {
        let (mean, variance) = self.frequency;
        let unusual = if variance < UNKNOWN_FREQUENCY { 0.0 } else { UNUSUAL * (found - mean) * (found - mean) };
        (mean, variance.max(unusual))
    }

    /// The same, each with the seconds since the first.
    fn in_time(&self) -> impl Iterator<Item = (f64, Earlier)> + '_ {
        let start = self.samples().next().map_or(Instant::ZERO, |sample| sample.at);
        self.samples().map(move |sample| (sample.at.since(start).as_secs_f64(), sample))
    }

    /// Mean deviation of the offsets from a straight line through them; zero below three samples.
    pub(crate) fn scatter(&self) -> f64 {
        if self.len < 3 {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss)] // a few dozen
        let n = self.len as f64;
        let line = || self.in_time().map(|(time, sample)| (time, sample.offset));
        let (t, z) = line().fold((0.0, 0.0), |(t, z), (ti, zi)| (t + ti / n, z + zi / n));
        let (tt, tz) =
            line().fold((0.0, 0.0), |(tt, tz), (ti, zi)| (tt + (ti - t) * (ti - t), tz + (ti - t) * (zi - z)));
        let slope = tz / tt.max(f64::MIN_POSITIVE);
        // Two degrees of freedom went into the line.
        line().map(|(ti, zi)| libm::fabs(zi - z - slope * (ti - t))).sum::<f64>() / (n - 2.0)
    }

    /// Which part of the queueing is on the way up, as far as the offsets follow the delays; nothing while few are known.
    ///
    /// With variances U and D of the two queues an offset grows by ½(U − D)/(U + D) of its delay: regression tells that
    /// without a base or an estimate to go by, from which the lean would be learnt only as they are.
    pub(crate) fn lean(&self, base: f64, spread: f64) -> Option<f64> {
        if self.len < SHOWS_QUEUES {
            return None;
        }
        let rows = || {
            self.in_time().map(|(time, Earlier { offset, delay, .. })| {
                let excess = (delay - base).max(0.0);
                let weight = if is_foreign(0.5 * excess, spread) { 0.0 } else { 1.0 / (spread + excess) };
                (weight, time, excess, offset)
            })
        };
        let all: f64 = rows().map(|(weight, ..)| weight).sum();
        if all <= 0.0 {
            return None;
        }
        let mean = |value: fn(f64, f64, f64) -> f64| rows().map(|(w, t, d, z)| w * value(t, d, z)).sum::<f64>() / all;
        let (time, delay, offset) = (mean(|t, _, _| t), mean(|_, d, _| d), mean(|_, _, z| z));
        let (mut tt, mut td, mut tz, mut dd, mut dz, mut zz) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for (w, t, d, z) in rows() {
            let (t, d, z) = (t - time, d - delay, z - offset);
            (tt, td, tz) = (tt + w * t * t, td + w * t * d, tz + w * t * z);
            (dd, dz, zz) = (dd + w * d * d, dz + w * d * z, zz + w * z * z);
        }
        // The clock's drift is no queue's.
        let tt = tt.max(f64::MIN_POSITIVE);
        let excess = (dd - td * td / tt).max(f64::MIN_POSITIVE);
        let slope = (dz - td * tz / tt) / excess;
        #[allow(clippy::cast_precision_loss)] // a few dozen
        let free = (self.len - 3) as f64;
        let variance = (zz - tz * tz / tt - slope * slope * excess).max(0.0) / (free * excess);
        let sure = 1.0 - CHANCE * variance / (slope * slope).max(f64::MIN_POSITIVE);
        let slope = within(slope * sure.max(0.0), -STEEPEST, STEEPEST);
        let ratio = libm::sqrt((0.5 + slope) / (0.5 - slope));
        Some(ratio / (1.0 + ratio))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    /// A clock that drifts by 50 ppm, asked every 16 s behind exponential queues of these means.
    fn leaning(up: f64, down: f64, count: u16) -> Option<f64> {
        let mut replay = Replay::new((0.0, 0.0));
        let mut base = f64::MAX;
        for turn in 0..count {
            // Multiples of irrational numbers fill the unit interval evenly.
            let queued = |mean: f64, part: f64| -mean * libm::log(1.0 - libm::fmod(part * f64::from(turn + 1), 1.0));
            let (e_up, e_down) = (queued(up, 0.618_033_988), queued(down, 0.414_213_562));
            let seconds = 16.0 * f64::from(turn);
            let delay = 0.04 + e_up + e_down;
            base = base.min(delay);
            let at = Instant::ZERO + Duration::from_secs_f64(seconds);
            replay.push(Earlier { at, offset: 50e-6 * seconds + 0.5 * (e_up - e_down), delay });
        }
        replay.lean(base, 0.7 * (up + down))
    }

    #[test]
    fn offsets_that_follow_the_delays_show_which_way_queues() {
        let lean = |up, down| leaning(up, down, 16).unwrap();
        assert!(lean(5e-3, 2e-4) > 0.8 && lean(2e-4, 5e-3) < 0.2, "{} {}", lean(5e-3, 2e-4), lean(2e-4, 5e-3));
    }

    #[test]
    fn what_may_be_chance_shows_nothing() {
        (8..32).for_each(|count| assert_eq!(leaning(1e-3, 1e-3, count), Some(0.5), "{count}"));
    }

    #[test]
    fn few_samples_and_samples_of_another_path_show_nothing() {
        assert_eq!(leaning(5e-3, 2e-4, 7), None);
        let mut replay = Replay::new((0.0, 0.0));
        (0..8).for_each(|_| replay.push(Earlier { at: Instant::ZERO, offset: 0.0, delay: 1.0 }));
        assert_eq!(replay.lean(0.01, 1e-3), None);
        assert_eq!(replay.lean(1.0, 1e-3), Some(0.5));
    }
}
