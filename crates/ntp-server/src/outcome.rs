//! What becomes of a datagram.

use ntp_proto::{Mode, Version};

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an answer is not sent by making it"]
pub enum Outcome {
    /// Send the first `length` octets of the buffer to where the request came from.
    Response {
        /// Octets of the answer; never more than the request had.
        length: usize,
    },
    /// Send nothing.
    Drop(DropReason),
}

/// Why a datagram gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// It is not a time packet, or cut short.
    #[error("malformed")]
    Malformed,
    /// It is longer than any request, see [`MAX_REQUEST`](crate::MAX_REQUEST).
    #[error("longer than any request")]
    TooLong,
    /// A version this server does not speak.
    #[error("version {0}")]
    Version(Version),
    /// A mode that asks for nothing: an answer, a broadcast.
    #[error("mode {0} asks for nothing")]
    Mode(Mode),
    /// A control message (mode 6 or 7); see [`Monitor`](crate::Monitor).
    #[error("control message")]
    Control,
    /// Nothing can be sent to where it came from.
    #[error("source cannot be answered")]
    Source,
    /// A rule says so.
    #[error("ignored by a rule")]
    Ignored,
    /// A rule asks for a MAC, and it has none.
    #[error("not signed, as a rule demands")]
    Unsigned,
    /// Its source asks too often.
    #[error("over the rate limit")]
    RateLimited,
    /// Everybody together asks too often.
    #[error("over the ceiling for everybody together")]
    OverCeiling,
    /// The clock shows the same second twice, and it is being smeared.
    #[error("in an ambiguous second")]
    LeapSecond,
    /// The buffer for the answer is shorter than the answer.
    #[error("no room for the answer")]
    NoRoom,
}
