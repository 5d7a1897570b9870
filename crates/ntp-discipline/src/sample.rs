//! One measurement of one source: what four timestamps and the server's reply say about our clock.
//!
//! Apart from the filters because it is all they ever see: whole numbers, finite by construction, so that neither a
//! NaN nor an infinity can enter.

use ntp_types::{Instant, LeapIndicator, NtpDuration, NtpShort, Precision, ReferenceId, RoundTrip, Stratum};

use crate::rfc5905::constants::FREQUENCY_TOLERANCE;

/// What a reply says about the server that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ServerState {
    /// Leap warning; [`LeapIndicator::Unsynchronized`] keeps the source from being selected.
    pub leap: LeapIndicator,
    /// Stratum; one outside 1–15 keeps the source from being selected.
    pub stratum: Stratum,
    /// Precision of the server's clock.
    pub precision: Precision,
    /// Round trip from the server to the primary reference.
    pub root_delay: NtpShort,
    /// The server's error bound to the primary reference.
    pub root_dispersion: NtpShort,
    /// The server's reference. 254.x.y.z tells a smearing server.
    pub reference_id: ReferenceId,
}

/// One measurement. Offset = server − client: **positive means our clock is behind**.
///
/// `delay` is never below our precision, `dispersion` never negative.
///
/// Source: RFC 5905 §8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Sample {
    /// Server's clock minus ours, θ: against the clock as it was steered at [`at`](Self::at).
    pub offset: NtpDuration,
    /// Time spent on the network both ways, δ.
    pub delay: NtpDuration,
    /// Error bound of the reading, ε: both precisions and the drift while waiting.
    pub dispersion: NtpDuration,
    /// What the server said about itself.
    pub server: ServerState,
    /// When the request left, by the raw clock.
    pub sent: Instant,
    /// When the reply came, by the raw clock.
    pub received: Instant,
}

impl Sample {
    /// From the four timestamps, our own precision, what the server said, and the raw instants of T1 and T4.
    ///
    /// Exact integer arithmetic, right across eras while the clocks lie within 68 years, saturating beyond:
    /// θ = ((T2 − T1) + (T3 − T4)) / 2, δ = max(ρ, (T4 − T1) − (T3 − T2)), ε = ρ_ours + ρ_server + Φ·(T4 − T1).
    ///
    /// # Example
    /// ```
    /// use ntp_discipline::{Sample, ServerState};
    /// use ntp_types::{Instant, NtpTimestamp, Precision, RoundTrip};
    ///
    /// let second = |bits: u64| NtpTimestamp::from_bits(bits << 32);
    /// // Asked at 10 s, the server saw 15 s, answered at 16 s, the answer came at 13 s: 2 s of network, 4 s behind.
    /// let trip = RoundTrip { t1: second(10), t2: second(15), t3: second(16), t4: second(13) };
    /// let (sent, received) = (Instant::from_nanos(0), Instant::from_nanos(3_000_000_000));
    /// let sample = Sample::new(trip, Precision::from_log2(-20), ServerState::default(), sent, received);
    /// assert_eq!(sample.offset.to_string(), "+4.000000000");
    /// assert_eq!(sample.delay.to_string(), "+2.000000000");
    /// ```
    /// Source: RFC 5905 §8.
    #[must_use]
    pub fn new(trip: RoundTrip, own: Precision, server: ServerState, sent: Instant, received: Instant) -> Self {
        let waited = trip.elapsed().max(NtpDuration::ZERO).unsigned_abs();
        Self {
            offset: trip.offset(),
            delay: trip.delay().max(own.to_duration()),
            dispersion: own.to_duration() + server.precision.to_duration() + FREQUENCY_TOLERANCE.over(waited),
            server,
            sent,
            received,
        }
    }

    /// The instant the offset belongs to: midway between sending and receiving, by the raw clock.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.sent + self.received.since(self.sent) / 2
    }

    /// The server's root distance without our part: root delay / 2 + root dispersion.
    #[must_use]
    pub fn server_distance(&self) -> NtpDuration {
        self.server.root_delay.to_duration().half() + self.server.root_dispersion.to_duration()
    }

    /// How far the true time can be from what this sample says, at the moment it was taken: (root delay + δ) / 2 + root
    /// dispersion + ε.
    #[must_use]
    pub fn root_distance(&self) -> NtpDuration {
        self.server_distance() + self.delay.half() + self.dispersion
    }
}
