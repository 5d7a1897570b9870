//! Why a datagram was not used: one name per reason, with the numbers that failed.

use core::net::SocketAddr;

use ntp_proto::Reject;
use ntp_types::{KissCode, NtpDuration, ReferenceId};

/// Why a datagram was not used. None of these ends anything, but for a [`KissAction::Stop`](ntp_types::KissAction::Stop).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// It came from an address that is not one of our servers'.
    #[error("no server of ours has the address {0}")]
    UnknownSource(SocketAddr),
    /// No request was in flight: a duplicate, a late reply, or nothing of ours.
    #[error("no request was in flight")]
    Unsolicited,
    /// It failed a check of the exchange.
    #[error(transparent)]
    Rejected(Reject),
    /// The server refuses time and says why.
    #[error("kiss-o'-death {0}")]
    Kiss(KissCode),
    /// It was good, but took too long to be worth anything.
    #[error("the reply took {waited} s, more than the {limit} s allowed")]
    Late {
        /// From request to reply.
        waited: NtpDuration,
        /// The configured limit.
        limit: NtpDuration,
    },
    /// Our clock was moved while it was under way, by a leap second or by somebody: its timestamps lie on both sides.
    #[error("our clock moved by {by} s while the reply was under way")]
    ClockMoved {
        /// By how much beyond what the raw clock counted; positive is forward.
        by: NtpDuration,
    },
    /// The server takes its time from us.
    #[error("the server's reference is this machine ({0})")]
    Loop(ReferenceId),
}

impl Ignored {
    /// Whether it is known that the server itself sent it: it carried the nonce of our request, and the MAC of the key where
    /// one is agreed on.
    #[must_use]
    pub fn is_from_server(&self) -> bool {
        match self {
            Self::UnknownSource(_) | Self::Unsolicited => false,
            Self::Rejected(reject) => reject.is_from_server(),
            Self::Kiss(_) | Self::Late { .. } | Self::ClockMoved { .. } | Self::Loop(_) => true,
        }
    }

    /// Whether it carried the nonce of our request, but could not be authenticated: see [`Reject::is_unauthentic`].
    #[must_use]
    pub fn is_unauthentic(&self) -> bool {
        matches!(self, Self::Rejected(reject) if reject.is_unauthentic())
    }
}
