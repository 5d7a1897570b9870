//! When a reply will really leave, learnt from transmit stamps.
//!
//! A server must write its transmit timestamp before it sends. Between the clock reading and the wire lie the work on
//! every datagram of the batch, the system call, and every reply in front. Both parts are learnt here, as
//! `first + each × count`, so that the timestamp can be taken ahead. Pure arithmetic: the caller reads the clock.

use std::time::Duration;

use ntp_types::{Instant, NtpDuration};

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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SendLead {
    /// From the clock reading to sending, by how many datagrams were received.
    work: Line,
    /// From sending to the stamp, by position.
    send: Line,
    batches: u32,
    /// What went unsampled since the last sample.
    unsampled: usize,
    /// When that was.
    sampled: Instant,
}

/// While learning, every batch is sampled; after so many samples, one reply in [`RARE`].
const OFTEN: u32 = 256;
/// See [`OFTEN`]: a batch of many counts for many, a batch of one for two. A sample costs about as much as one reply.
const RARE: usize = 128;
/// A sample is old after so long: sending from a rest takes longer than in a rush, and time for samples there is.
const STALE: Duration = Duration::from_millis(4);

impl Default for SendLead {
    fn default() -> Self {
        Self::new()
    }
}

impl SendLead {
    /// Nothing learnt: everything leaves at once.
    #[must_use]
    pub const fn new() -> Self {
        Self { work: Line::NEW, send: Line::NEW, batches: 0, unsampled: 0, sampled: Instant::ZERO }
    }

    /// How long after the clock reading the reply in `position` (from 0) leaves, in a batch of `received` datagrams.
    #[must_use]
    #[inline]
    pub fn at(&self, received: usize, position: usize) -> NtpDuration {
        duration(self.work.at(received) + self.send.at(position))
    }

    /// The mean magnitude of what was wrong with the last predictions for such a reply.
    #[must_use]
    pub fn uncertainty(&self, received: usize, position: usize) -> NtpDuration {
        let of = |line: &Line, place| line.spread * (line.at(place) + UNIT);
        duration(of(&self.work, received) + of(&self.send, position))
    }

    /// Which of `replies` to stamp in the batch that goes out at `now`, if any. Call it once for each batch.
    #[must_use]
    #[inline]
    pub fn sample(&mut self, replies: usize, now: Instant) -> Option<usize> {
        self.batches = self.batches.wrapping_add(1);
        self.unsampled = self.unsampled.saturating_add(replies + 1);
        let is_old = now.since(self.sampled) >= STALE;
        if replies == 0 || (self.send.samples >= OFTEN && self.unsampled < RARE && !is_old) {
            return None;
        }
        self.unsampled = 0;
        self.sampled = now;
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
/// The first samples are believed more, so that a guess of zero is soon forgotten; but even the first may have been taken
/// while the thread was not running, so none counts for more than a few times what was thought.
const EARLY: u32 = 8;
/// Errors count in parts of the prediction and this, 1 µs: a long batch may err by more than a short one.
const UNIT: f64 = 1e-6 * 4_294_967_296.0;
/// The spread is never thought smaller, nor larger.
const SPREAD: (f64, f64) = (0.02, 1.0);
/// Samples later than predicted count at most half a spread: most of those were taken while the thread was not running, and
/// say nothing. Earlier ones count up to two: a timestamp must not lie in the future.
const BOUNDS: (f64, f64) = (-2.0, 0.5);
/// Positions are counted in units of so many, so that noise in the first few does not tilt the line.
const STRETCH: f64 = 16.0;

/// `first + each × place`, learnt from noisy samples; in units of 2⁻³² s.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    first: f64,
    each: f64,
    /// Mean magnitude of the error, in parts of the prediction and [`UNIT`].
    spread: f64,
    samples: u32,
}

#[allow(clippy::cast_possible_truncation)] // `as` saturates
fn duration(units: f64) -> NtpDuration {
    NtpDuration::from_bits(units as i64)
}

#[allow(clippy::cast_precision_loss)] // spans of seconds and batches of a thousand
impl Line {
    const NEW: Self = Self { first: 0.0, each: 0.0, spread: SPREAD.1, samples: 0 };

    /// Never negative, as neither term is.
    #[inline]
    fn at(&self, place: usize) -> f64 {
        self.first + self.each * place as f64
    }

    #[inline]
    fn learn(&mut self, place: usize, measured: NtpDuration) {
        let predicted = self.at(place);
        let scale = predicted + UNIT;
        let error = (measured.to_bits() as f64 - predicted) / scale;
        let (gain, bounded) = if self.samples < EARLY {
            (0.5, error.clamp(-1.0, 4.0))
        } else {
            (GAIN, error.clamp(BOUNDS.0 * self.spread, BOUNDS.1 * self.spread))
        };
        // Normalised least mean squares: each term takes its part of the error.
        let place = place as f64 / STRETCH;
        let step = gain * bounded * scale / (1.0 + place * place);
        self.first = (self.first + step).max(0.0);
        self.each = (self.each + place * step / STRETCH).max(0.0);
        // An outlier widens the bound slowly, so that a lasting change is followed in the end.
        let widened = error.abs().min(1.5 * self.spread);
        self.spread = (self.spread + GAIN * (widened - self.spread)).clamp(SPREAD.0, SPREAD.1);
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
    fn an_interruption_at_the_very_start_is_not_believed() {
        let mut lead = SendLead::new();
        lead.learn_send(0, nanos(20_000_000));
        assert!(lead.at(0, 0) < nanos(5_000), "{}", lead.at(0, 0));
        for _ in 0..40 {
            lead.learn_send(0, nanos(3_000));
        }
        assert!((lead.at(0, 0) - nanos(3_000)).abs() < nanos(100), "{}", lead.at(0, 0));
    }

    #[test]
    fn rare_interruptions_do_not_move_it() {
        let mut lead = SendLead::new();
        for turn in 0..2_000_i64 {
            // Every twentieth sample was taken while the thread was off the processor for a millisecond.
            lead.learn_send(0, nanos(if turn % 20 == 19 { 1_000_000 } else { 3_000 + turn % 7 * 10 }));
        }
        assert!((lead.at(0, 0) - nanos(3_030)).abs() < nanos(200), "{}", lead.at(0, 0));
        assert!(lead.uncertainty(0, 0) < nanos(2_500), "{}", lead.uncertainty(0, 0));
    }

    /// Batches of one and of many in turn, one sample in ten taken while the thread did not run.
    #[test]
    fn long_batches_on_a_busy_machine_do_not_spoil_short_ones() {
        let mut lead = SendLead::new();
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((state >> 33) % below).unwrap()
        };
        for turn in 0..20_000 {
            let position = if turn % 2 == 0 { 0 } else { random(64) };
            let pause = if random(10) == 0 { random(4_000_000) } else { 0 };
            let truth = 2_000 + 3_000 * position;
            let measured = truth + random(200 + truth.unsigned_abs() / 10) + pause;
            lead.learn_send(usize::try_from(position).unwrap(), nanos(measured));
        }
        assert!((lead.at(0, 0) - nanos(2_200)).abs() < nanos(500), "{}", lead.at(0, 0));
        assert!((lead.at(0, 60) - nanos(190_000)).abs() < nanos(15_000), "{}", lead.at(0, 60));
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
            seen[lead.sample(16, Instant::ZERO).unwrap()] = true;
            lead.learn_send(0, nanos(1_000));
        }
        assert_eq!(seen, [true; 16]);
        assert_eq!((0..6400).filter_map(|_| lead.sample(3, Instant::ZERO)).count(), 200);
        let seen = (0..100).filter_map(|milli| lead.sample(1, Instant::from_nanos(milli * 1_000_000))).count();
        assert!((23..=26).contains(&seen), "{seen} of a hundred in as many milliseconds");
        assert_eq!(lead.sample(0, Instant::ZERO), None);
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
