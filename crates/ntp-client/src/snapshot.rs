//! Everything an operator wants to see, as it stands at one instant: plain data to show, log or export.

use alloc::vec::Vec;
use core::net::SocketAddr;

use ntp_discipline::{SourceEstimate, SystemEstimate};
use ntp_types::{Instant, KissCode, LeapIndicator, NtpShort, Poll, Precision, ReferenceId, Stratum};

use crate::{Counters, Ignored, PoolId, Reach, SourceId};

/// The whole client at one instant; made by [`System::snapshot`](crate::System::snapshot).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// Our clock.
    pub system: SystemEstimate,
    /// What we may say of it as a server.
    pub standing: Standing,
    /// The address of the server whose stratum, leap and reference we take on.
    pub system_peer: Option<SocketAddr>,
    /// Every source, in the order of its slot.
    pub sources: Vec<SourceSnapshot>,
    /// Datagrams from addresses that are no server of ours.
    pub strangers: u64,
}

/// One source at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SourceSnapshot {
    /// Which.
    pub id: SourceId,
    /// Its address.
    pub address: SocketAddr,
    /// The pool it was taken from.
    pub pool: Option<PoolId>,
    /// What the discipline makes of it: verdict, offset, bound, delay, jitter, root distance.
    pub estimate: SourceEstimate,
    /// Which of the last eight requests brought time.
    pub reach: Reach,
    /// Poll exponent in effect.
    pub poll: Poll,
    /// Requests in a row without an answer.
    pub unanswered: u32,
    /// When the next request is due; `None` when it told us to stop.
    pub next: Option<Instant>,
    /// What the last good reply said of the server.
    pub server: Option<ServerSaid>,
    /// The last kiss.
    pub kiss: Option<KissCode>,
    /// Why the last datagram that was not used was not.
    pub last_ignored: Option<Ignored>,
    /// What happened so far.
    pub counters: Counters,
}

/// What a server said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerSaid {
    /// Leap warning.
    pub leap: LeapIndicator,
    /// Stratum.
    pub stratum: Stratum,
    /// Its own reference.
    pub reference_id: ReferenceId,
    /// Precision of its clock.
    pub precision: Precision,
    /// Its root delay.
    pub root_delay: NtpShort,
    /// Its root dispersion.
    pub root_dispersion: NtpShort,
    /// When it said so, by the raw clock.
    pub at: Instant,
}

/// What a server may truthfully say of our clock at one instant (RFC 5905 §7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Leap warning; [`LeapIndicator::Unsynchronized`] unless the clock follows something.
    pub leap: LeapIndicator,
    /// Stratum; 16 when unsynchronised.
    pub stratum: Stratum,
    /// The system peer, as the field names it.
    pub reference_id: ReferenceId,
    /// Round trip to the primary reference.
    pub root_delay: NtpShort,
    /// Error bound to the primary reference, at this instant.
    pub root_dispersion: NtpShort,
    /// When the clock was last corrected by a measurement.
    pub updated: Option<Instant>,
}
