//! The system variables (RFC 5905 §11.1).

use ntp_types::{Instant, NtpDuration, ReferenceId, Stratum};

use super::combine::Combined;
use super::constants::{FREQUENCY_TOLERANCE, MINIMUM_DISPERSION};
use super::filter::Filtered;
use super::source::Source;

/// What is known of our clock since the last update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variables {
    pub(super) stratum: Stratum,
    pub(super) reference: ReferenceId,
    pub(super) root_delay: NtpDuration,
    pub(super) root_dispersion: NtpDuration,
    pub(super) jitter: NtpDuration,
    pub(super) updated: Instant,
}

impl Variables {
    /// After an update by the system peer, of whose samples `used` stands for it, by the offset of all survivors (§11.2.4).
    pub(super) fn updated(source: &Source, used: &Filtered, opinion: &Combined, now: Instant) -> Self {
        let aged = used.dispersion + FREQUENCY_TOLERANCE.over(now.since(used.at)) + opinion.offset.abs();
        let (own, selection) = (used.jitter.to_seconds_f64(), opinion.jitter.to_seconds_f64());
        let jitter = NtpDuration::from_seconds_f64(libm::sqrt(own * own + selection * selection));
        Self {
            stratum: source.server.stratum.next(),
            reference: source.server.reference_id,
            root_delay: source.server.root_delay.to_duration() + used.delay,
            root_dispersion: source.server.root_dispersion.to_duration() + aged.max(MINIMUM_DISPERSION) + jitter,
            jitter,
            updated: now,
        }
    }
}
