//! What happened that an operator may want to read: one value per line of a log.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use ntp_discipline::{Refusal, Status, Verdict};
use ntp_types::{KissCode, NtpDuration};

use crate::{Ignored, PoolId, SourceId};

/// Something that happened; made by [`System::poll_event`](crate::System::poll_event), shown as a line for people.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The first usable reply after none of the last eight requests brought one.
    Reachable {
        /// Which source.
        source: SourceId,
        /// Its address.
        address: SocketAddr,
    },
    /// Eight requests in a row brought no time.
    Unreachable {
        /// Which source.
        source: SourceId,
        /// Its address.
        address: SocketAddr,
    },
    /// A server sent a reply that cannot be used, or a kiss; or somebody one that cannot be authenticated.
    Unusable {
        /// Which source.
        source: SourceId,
        /// Its address.
        address: SocketAddr,
        /// Why.
        reason: Ignored,
    },
    /// A server told us to stop, and we do.
    Stopped {
        /// Which source.
        source: SourceId,
        /// Its address.
        address: SocketAddr,
        /// How it said so.
        code: KissCode,
    },
    /// Selection changed its mind about a source, noticed at the source's own reply.
    Judged {
        /// Which source.
        source: SourceId,
        /// Its address.
        address: SocketAddr,
        /// What selection said before.
        before: Verdict,
        /// What it says now.
        now: Verdict,
    },
    /// The clock's state changed.
    StatusChanged {
        /// What it was.
        before: Status,
        /// What it is.
        now: Status,
    },
    /// The machine slept; the clock is unsynchronised until sources confirm it.
    Suspended {
        /// For how long, as far as is known.
        slept: Duration,
    },
    /// Our clock moved against the raw one and we did not do it: it was set by somebody else, or restored from an image.
    /// It is unsynchronised until sources confirm it.
    ClockMoved {
        /// By how much; positive is forward.
        by: NtpDuration,
    },
    /// The policy kept something from being done to the clock.
    Refused(Refusal),
    /// A pool member was given up; another took its place if one was waiting.
    Replaced {
        /// Whose pool.
        pool: PoolId,
        /// The one given up.
        address: SocketAddr,
        /// The one that took its place.
        replacement: Option<SocketAddr>,
    },
    /// A pool has fewer members than it should, or one that should be replaced, and none waiting: resolve its name again,
    /// ever later while that brings nothing new. Said once until [`System::add_candidates`](crate::System::add_candidates).
    CandidatesWanted {
        /// Which pool.
        pool: PoolId,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reachable { address, .. } => write!(f, "{address} answers"),
            Self::Unreachable { address, .. } => write!(f, "{address} does not answer"),
            Self::Unusable { address, reason, .. } => write!(f, "{address}: {reason}"),
            Self::Stopped { address, code, .. } => write!(f, "{address} refuses service ({code}); not asked again"),
            Self::Judged { address, before, now, .. } => write!(f, "{address}: {now} (was {before})"),
            Self::StatusChanged { before, now } => write!(f, "clock: {now} (was {before})"),
            Self::Suspended { slept } => write!(f, "the machine slept for {:.1} s", slept.as_secs_f64()),
            Self::ClockMoved { by } => write!(f, "somebody else moved the clock by {by} s"),
            Self::Refused(refusal) => write!(f, "clock left alone: {refusal}"),
            Self::Replaced { address, replacement: Some(new), .. } => write!(f, "{address} given up for {new}"),
            Self::Replaced { address, replacement: None, .. } => write!(f, "{address} given up"),
            Self::CandidatesWanted { .. } => f.write_str("a pool needs more servers"),
        }
    }
}
