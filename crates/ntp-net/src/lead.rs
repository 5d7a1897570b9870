//! When a reply will really leave, learnt from transmit stamps.
//!
//! A server must write its transmit timestamp before it sends. Between the clock reading and the wire lie the system
//! call and, in a batch, every reply in front. Both are learnt here as `first + each × position`, so that the
//! timestamp can be taken ahead. Pure arithmetic: who samples and who reads the clock is the caller.

use ntp_types::NtpDuration;

/// How long after the clock reading the reply in each position of a batch leaves.
///
/// ```
/// use ntp_net::SendLead;
/// use ntp_types::NtpDuration;
///
/// let mut lead = SendLead::new();
/// // The truth: the first leaves after 2 µs, every other 3 µs behind the one before it.
/// for batch in 0..4000 {
///     let position = batch % 50;
///     lead.learn(position, NtpDuration::from_nanos(2_000 + 3_000 * position as i64));
/// }
/// assert!((lead.at(0).to_nanos() - 2_000).abs() < 50);
/// assert!((lead.at(49).to_nanos() - 149_000).abs() < 50);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SendLead {
    /// Of the first reply, in units of 2⁻³² s.
    first: f64,
    /// Of each further one.
    each: f64,
    /// Mean magnitude of the error.
    spread: f64,
    samples: u32,
    batches: u32,
}

/// Share of a sample that is believed.
const GAIN: f64 = 1.0 / 8.0;
/// The first samples are believed more, so that a guess of zero is soon forgotten.
const EARLY: u32 = 8;
/// Errors count at most so many spreads: a sample taken while the thread was not running says nothing.
const OUTLIER: f64 = 3.0;
/// While learning, every batch is sampled; after so many, only one in [`RARE`].
const OFTEN: u32 = 256;
/// See [`OFTEN`]. A sample costs about as much as one reply.
const RARE: u32 = 64;

impl Default for SendLead {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // spans of seconds at most, and `as` saturates
impl SendLead {
    /// Nothing learnt: everything leaves at once.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: 0.0, each: 0.0, spread: 0.0, samples: 0, batches: 0 }
    }

    /// How long after the clock reading the reply in `position` (from 0) leaves. Never negative.
    #[must_use]
    #[inline]
    pub fn at(&self, position: usize) -> NtpDuration {
        NtpDuration::from_bits((self.first + self.each * position as f64).max(0.0) as i64)
    }

    /// The mean magnitude of what was wrong with the last predictions.
    #[must_use]
    pub fn uncertainty(&self) -> NtpDuration {
        NtpDuration::from_bits(self.spread as i64)
    }

    /// Which of `replies` to stamp in the batch that goes out now, if any. Call it once for each batch.
    #[must_use]
    #[inline]
    pub fn sample(&mut self, replies: usize) -> Option<usize> {
        self.batches = self.batches.wrapping_add(1);
        if replies == 0 || (self.samples >= OFTEN && self.batches % RARE != 0) {
            return None;
        }
        // Positions in turn by a multiplicative step, so that no rhythm of the load hides one.
        let turn = self.batches.wrapping_mul(0x9e37_79b1) >> 8;
        usize::try_from(turn).ok().map(|turn| turn % replies)
    }

    /// The reply in `position` left `measured` after the clock reading.
    pub fn learn(&mut self, position: usize, measured: NtpDuration) {
        let place = position as f64;
        let error = measured.to_bits() as f64 - (self.first + self.each * place);
        let bounded =
            if self.samples < EARLY { error } else { error.clamp(-OUTLIER * self.spread, OUTLIER * self.spread) };
        let gain = if self.samples < EARLY { 0.5 } else { GAIN };
        // Normalised least mean squares: each term takes its part of the error.
        let step = gain * bounded / (1.0 + place * place);
        self.first = (self.first + step).max(0.0);
        self.each = (self.each + place * step).max(0.0);
        let floor = NtpDuration::from_nanos(50).to_bits() as f64;
        // An outlier widens the bound slowly, so that a lasting change is followed in the end.
        self.spread = (self.spread + GAIN * (error.abs().min(4.0 * self.spread + floor) - self.spread)).max(floor);
        self.samples = self.samples.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(value: i64) -> NtpDuration {
        NtpDuration::from_nanos(value)
    }

    #[test]
    fn one_position_is_learnt_within_some_dozen_samples() {
        let mut lead = SendLead::new();
        assert_eq!(lead.at(0), NtpDuration::ZERO);
        for _ in 0..40 {
            lead.learn(0, nanos(4_000));
        }
        assert!((lead.at(0) - nanos(4_000)).abs() < nanos(40), "{}", lead.at(0));
    }

    #[test]
    fn rare_interruptions_do_not_move_it() {
        let mut lead = SendLead::new();
        for turn in 0..2_000_i64 {
            // Every twentieth sample was taken while the thread was off the processor for a millisecond.
            lead.learn(0, nanos(if turn % 20 == 19 { 1_000_000 } else { 3_000 + turn % 7 * 10 }));
        }
        assert!((lead.at(0) - nanos(3_030)).abs() < nanos(200), "{}", lead.at(0));
        assert!(lead.uncertainty() < nanos(1_000));
    }

    #[test]
    fn a_lasting_change_is_followed() {
        let mut lead = SendLead::new();
        for target in [2_000, 9_000, 1_000] {
            for _ in 0..300 {
                lead.learn(0, nanos(target));
            }
            assert!((lead.at(0) - nanos(target)).abs() < nanos(100), "{} instead of {target} ns", lead.at(0));
        }
    }

    #[test]
    fn every_position_gets_its_turn_and_samples_become_rare() {
        let mut lead = SendLead::new();
        let mut seen = [false; 16];
        for _ in 0..256 {
            seen[lead.sample(16).unwrap()] = true;
            lead.learn(0, nanos(1_000));
        }
        assert_eq!(seen, [true; 16]);
        assert_eq!((0..6400).filter_map(|_| lead.sample(3)).count(), 100);
        assert_eq!(lead.sample(0), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_negative_or_endless(samples: Vec<(u16, i64)>, position: u16) {
            let mut lead = SendLead::new();
            for (place, bits) in samples {
                lead.learn(place.into(), NtpDuration::from_bits(bits));
                prop_assert!(lead.first.is_finite() && lead.each.is_finite() && lead.spread.is_finite());
            }
            prop_assert!(!lead.at(position.into()).is_negative());
        }
    }
}
