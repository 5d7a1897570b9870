//! The peer process (RFC 5905 §10, A.5.2): which sample stands for a source, and how far the source's time can be wrong.

use core::time::Duration;

use ntp_types::{Instant, NtpDuration, Precision};

use super::constants::{FREQUENCY_TOLERANCE, MINIMUM_DISPERSION};
use super::filter::{ClockFilter, Filtered, Tuple};
use super::popcorn::is_spike;
use crate::sample::ServerState;

/// A clock filter and the sample of it that is used: never one older than the last used, and no spike.
///
/// Source: RFC 5905 §10, A.5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peer {
    filter: ClockFilter,
    used: Option<Filtered>,
}

impl Peer {
    /// Nothing measured yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { filter: ClockFilter::new(), used: None }
    }

    /// Shift in a tuple at `now`, by a clock of this precision that is asked every `poll_interval`. Returns whether another
    /// sample stands for the source now.
    ///
    /// # Example
    /// ```
    /// use core::time::Duration;
    /// use ntp_discipline::rfc5905::filter::Tuple;
    /// use ntp_discipline::rfc5905::peer::Peer;
    /// use ntp_types::{Instant, NtpDuration, Precision};
    ///
    /// let mut peer = Peer::new();
    /// let mut push = |minute: u64, delay: i64| {
    ///     let (delay, at) = (NtpDuration::from_nanos(delay * 1_000_000), Instant::from_nanos(minute * 60_000_000_000));
    ///     let tuple = Tuple { offset: NtpDuration::ZERO, delay, dispersion: NtpDuration::ZERO, at: Some(at) };
    ///     peer.push(tuple, at, Precision::default(), Duration::from_secs(60))
    /// };
    /// assert!(push(0, 9) && push(1, 4));
    /// assert!((2..9).all(|minute| !push(minute, 7))); // they waited longer than the one in use
    /// assert!(push(9, 8)); // that one is lost: of the others the newest that waited least
    /// ```
    pub fn push(&mut self, tuple: Tuple, now: Instant, precision: Precision, poll_interval: Duration) -> bool {
        self.filter.push(tuple, now);
        let best = self.filter.best(precision);
        let is_new = best.map(|best| best.at) > self.used.map(|used| used.at);
        match (&mut self.used, best) {
            // The register's dispersion counts all the same.
            (Some(used), Some(best)) if best.at < used.at || (is_new && is_spike(used, &best, poll_interval)) => {
                used.dispersion = best.dispersion;
                false
            }
            (used, best) => {
                *used = best;
                is_new
            }
        }
    }

    /// Move every measured offset by what `change` says for its instant: how a source follows a changed clock.
    pub fn shift_offsets(&mut self, mut change: impl FnMut(Instant) -> NtpDuration) {
        if let Some(used) = &mut self.used {
            used.offset += change(used.at);
        }
        self.filter.shift_offsets(change);
    }

    /// The clock filter.
    #[must_use]
    pub const fn filter(&self) -> &ClockFilter {
        &self.filter
    }

    /// The sample that stands for the source; `None` before the first, and when only dummies are held.
    #[must_use]
    pub const fn used(&self) -> Option<&Filtered> {
        self.used.as_ref()
    }

    /// λ: how far the source's time can be from true time at `now`, by what its server last said; `None` without a sample.
    ///
    /// max(MINDISP, root delay + δ) / 2 + root dispersion + ε + Φ·(now − t) + jitter.
    ///
    /// Source: RFC 5905 §11.2, A.5.5.2 (`root_dist`).
    #[must_use]
    pub fn root_distance(&self, server: &ServerState, now: Instant) -> Option<NtpDuration> {
        let used = self.used?;
        let round_trip = (server.root_delay.to_duration() + used.delay).max(MINIMUM_DISPERSION);
        let aged = FREQUENCY_TOLERANCE.over(now.since(used.at));
        Some(round_trip.half() + server.root_dispersion.to_duration() + used.dispersion + aged + used.jitter)
    }
}
