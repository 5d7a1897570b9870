//! The popcorn spike suppressor (RFC 5905 §10, A.5.2): a single wild offset is not believed at once.
//!
//! The jitter compared with is the one *before* the sample came. The skeleton takes the one after, in which the spike
//! itself stands as θ_0: against n − 1 quiet samples that jitter equals the jump, and three of it are never exceeded. As in
//! ntpd nothing is a spike before the dispersion has come below MAXDIST: of one sample the jitter is nought.

use core::time::Duration;

use super::constants::{MAXIMUM_DISTANCE, SPIKE_GATE};
use super::filter::Filtered;

/// Whether `next` is a spike beside `last`: it jumps by more than SGATE jitters within two poll intervals.
///
/// The next one is believed, because `last` is by then too old or the register agrees with it.
///
/// Source: RFC 5905 §10.
#[must_use]
pub fn is_spike(last: &Filtered, next: &Filtered, poll_interval: Duration) -> bool {
    let jump = (next.offset - last.offset).abs().to_seconds_f64();
    let is_soon = next.at.since(last.at) < poll_interval.saturating_mul(2);
    let is_known = last.dispersion < MAXIMUM_DISTANCE;
    is_known && is_soon && jump > SPIKE_GATE * last.jitter.to_seconds_f64()
}
