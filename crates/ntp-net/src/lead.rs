//! When a reply will really leave, learnt from transmit stamps.
//!
//! A server must write its transmit timestamp before it sends. Between the clock reading and the wire lie the work on
//! every datagram of the batch, the system call, and every reply in front. Both parts are learnt here, as
//! `first + each × count`, so that the timestamp can be taken ahead. Pure arithmetic: the caller reads the clock.

use ntp_types::NtpDuration;

/// How long after the clock reading at the start of a batch the reply in each position leaves.
///
/// ```
/// use ntp_net::SendLead;
/// use ntp_types::NtpDuration;
///
/// let mut lead = SendLead::new();
/// // The truth: 100 ns of work for each datagram; then the first reply leaves after 2 µs, each other 3 µs later.
/// for batch in 0..4000 {
///     let position = batch % 50;
///     lead.learn_work(64, NtpDuration::from_nanos(6_400));
///     lead.learn_send(position, NtpDuration::from_nanos(2_000 + 3_000 * position as i64));
/// }
/// assert!((lead.at(64, 0).to_nanos() - 8_400).abs() < 100);
/// assert!((lead.at(64, 49).to_nanos() - 155_400).abs() < 100);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SendLead {
    /// From the clock reading to sending, by how many datagrams were received.
    work: Line,
    /// From sending to the stamp, by position.
    send: Line,
    batches: u32,
}

/// While learning, every batch is sampled; after so many samples, only one batch in [`RARE`].
const OFTEN: u32 = 256;
/// See [`OFTEN`]. A sample costs about as much as one reply.
const RARE: u32 = 64;

impl SendLead {
    /// Nothing learnt: everything leaves at once.
    #[must_use]
    pub const fn new() -> Self {
        Self { work: Line::NEW, send: Line::NEW, batches: 0 }
    }

    /// How long after the clock reading the reply in `position` (from 0) leaves, in a batch of `received` datagrams.
    #[must_use]
    #[inline]
    pub fn at(&self, received: usize, position: usize) -> NtpDuration {
        duration(self.work.at(received) + self.send.at(position))
    }

    /// The mean magnitude of what was wrong with the last predictions.
    #[must_use]
    pub fn uncertainty(&self) -> NtpDuration {
        duration(self.work.spread + self.send.spread)
    }

    /// Which of `replies` to stamp in the batch that goes out now, if any. Call it once for each batch.
    #[must_use]
    #[inline]
    pub fn sample(&mut self, replies: usize) -> Option<usize> {
        self.batches = self.batches.wrapping_add(1);
        if replies == 0 || (self.send.samples >= OFTEN && self.batches % RARE != 0) {
            return None;
        }
        // Positions in turn by a multiplicative step, so that no rhythm of the load hides one.
        let turn = self.batches.wrapping_mul(0x9e37_79b1) >> 8;
        usize::try_from(turn).ok().map(|turn| turn % replies)
    }

    /// From the clock reading to just before sending it took `measured`, for `received` datagrams.
    #[inline]
    pub fn learn_work(&mut self, received: usize, measured: NtpDuration) {
        self.work.learn(received, measured);
    }

    /// The reply in `position` left `measured` after sending began.
    pub fn learn_send(&mut self, position: usize, measured: NtpDuration) {
        self.send.learn(position, measured);
    }
}

/// Share of a sample that is believed.
const GAIN: f64 = 1.0 / 8.0;
/// The first samples are believed more, so that a guess of zero is soon forgotten.
const EARLY: u32 = 8;
/// Errors count at most so many spreads: a sample taken while the thread was not running says nothing.
const OUTLIER: f64 = 3.0;
/// The spread is never thought smaller: 50 ns.
const FLOOR: f64 = 50e-9 * 4_294_967_296.0;

/// `first + each × place`, learnt from noisy samples; in units of 2⁻³² s.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Line {
    first: f64,
    each: f64,
    /// Mean magnitude of the error.
    spread: f64,
    samples: u32,
}

#[allow(clippy::cast_possible_truncation)] // `as` saturates
fn duration(units: f64) -> NtpDuration {
    NtpDuration::from_bits(units as i64)
}

#[allow(clippy::cast_precision_loss)] // spans of seconds and batches of a thousand
impl Line {
    const NEW: Self = Self { first: 0.0, each: 0.0, spread: 0.0, samples: 0 };

    /// Never negative, as neither term is.
    #[inline]
    fn at(&self, place: usize) -> f64 {
        self.first + self.each * place as f64
    }

    #[inline]
    fn learn(&mut self, place: usize, measured: NtpDuration) {
        let error = measured.to_bits() as f64 - self.at(place);
        let (gain, bounded) = if self.samples < EARLY {
            (0.5, error)
        } else {
            (GAIN, error.clamp(-OUTLIER * self.spread, OUTLIER * self.spread))
        };
        // Normalised least mean squares: each term takes its part of the error.
        let place = place as f64;
        let step = gain * bounded / (1.0 + place * place);
        self.first = (self.first + step).max(0.0);
        self.each = (self.each + place * step).max(0.0);
        // An outlier widens the bound slowly, so that a lasting change is followed in the end.
        let widened = error.abs().min(4.0 * self.spread + FLOOR);
        self.spread = (self.spread + GAIN * (widened - self.spread)).max(FLOOR);
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
        assert_eq!(lead.at(0, 0), NtpDuration::ZERO);
        for _ in 0..40 {
            lead.learn_send(0, nanos(4_000));
        }
        assert!((lead.at(0, 0) - nanos(4_000)).abs() < nanos(40), "{}", lead.at(0, 0));
    }

    #[test]
    fn rare_interruptions_do_not_move_it() {
        let mut lead = SendLead::new();
        for turn in 0..2_000_i64 {
            // Every twentieth sample was taken while the thread was off the processor for a millisecond.
            lead.learn_send(0, nanos(if turn % 20 == 19 { 1_000_000 } else { 3_000 + turn % 7 * 10 }));
        }
        assert!((lead.at(0, 0) - nanos(3_030)).abs() < nanos(200), "{}", lead.at(0, 0));
        assert!(lead.uncertainty() < nanos(1_000));
    }

    #[test]
    fn a_lasting_change_is_followed() {
        let mut lead = SendLead::new();
        for target in [2_000, 9_000, 1_000] {
            for _ in 0..300 {
                lead.learn_send(0, nanos(target));
            }
            assert!((lead.at(0, 0) - nanos(target)).abs() < nanos(100), "{} instead of {target} ns", lead.at(0, 0));
        }
    }

    #[test]
    fn every_position_gets_its_turn_and_samples_become_rare() {
        let mut lead = SendLead::new();
        let mut seen = [false; 16];
        for _ in 0..256 {
            seen[lead.sample(16).unwrap()] = true;
            lead.learn_send(0, nanos(1_000));
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
                lead.learn_send(place.into(), NtpDuration::from_bits(bits));
                let Line { first, each, spread, .. } = lead.send;
                prop_assert!(first.is_finite() && each.is_finite() && spread.is_finite());
            }
            prop_assert!(!lead.at(0, position.into()).is_negative());
        }
    }
}
