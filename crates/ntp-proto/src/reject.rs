//! Why a datagram is no measurement: one name for each test of RFC 5905 §8 and figure 22, with the values that failed it.
//!
//! Test 1, duplicate, has none: a reply consumes what waits for it. Test 4, access, is the caller's.

use core::net::SocketAddr;

use ntp_types::{KissCode, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, ReferenceId, Stratum};

use crate::error::ParseError;
use crate::exchange::Pending;
use crate::mac::Unauthentic;
use crate::{Header, Mode};

/// MAXDISP: 16 s (RFC 5905 §7.2). A source that says it is that far off is no source.
pub const MAX_DISPERSION: NtpDuration = NtpDuration::from_seconds(16);

/// Why a datagram does not end in a measurement.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Not the answer, or not a good one: keep waiting with `pending`.
    #[error("{reject}")]
    Ignored {
        /// The test it failed.
        reject: Reject,
        /// The exchange, which goes on.
        pending: Pending,
    },
    /// The server's own refusal, its origin checked: the exchange is over.
    #[error("{0}")]
    Final(Reject),
}

impl Rejected {
    /// The test it failed.
    #[must_use]
    pub const fn reject(&self) -> Reject {
        match self {
            Self::Ignored { reject, .. } | Self::Final(reject) => *reject,
        }
    }
}

/// The test a datagram failed, with the values that failed it; in the order of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// It came from elsewhere than the request went to.
    #[error("it came from {source_address}, not from {destination}")]
    Source {
        /// Where the request went.
        destination: SocketAddr,
        /// Where the datagram came from.
        source_address: SocketAddr,
    },
    /// It is not a time packet.
    #[error(transparent)]
    Malformed(ParseError),
    /// It is no answer.
    #[error("mode {0} is not that of an answer")]
    Mode(Mode),
    /// Test 2, bogus: its origin is not what the request carried. Late, replayed or forged.
    #[error("origin {origin} is not the {expected} that was sent (test 2, bogus)")]
    Origin {
        /// The nonce that was sent.
        expected: NtpTimestamp,
        /// The origin found.
        origin: NtpTimestamp,
    },
    /// A crypto-NAK: the server could not authenticate the request.
    #[error("crypto-NAK: the server does not accept our key (test 5, authentication)")]
    CryptoNak,
    /// Test 5: the caller's check of its authenticity failed.
    #[error("not authentic: {0} (test 5, authentication)")]
    NotAuthentic(Unauthentic),
    /// A kiss-o'-death: the server refuses. The only final one.
    #[error("kiss-o'-death {code}, poll {poll}")]
    Kiss {
        /// Why.
        code: KissCode,
        /// The poll interval it asks for, if the server raised it.
        poll: Poll,
    },
    /// Test 6: the server is not synchronised itself.
    #[error("server not synchronised: leap {leap}, stratum {stratum} (test 6)")]
    Unsynchronized {
        /// Its leap indicator.
        leap: LeapIndicator,
        /// Its stratum: 0, 16 or above if that is the reason.
        stratum: Stratum,
    },
    /// Test 3, invalid: a timestamp is unset.
    #[error("receive {receive} or transmit {transmit} is unset (test 3, invalid)")]
    ZeroTimestamp {
        /// The receive timestamp.
        receive: NtpTimestamp,
        /// The transmit timestamp.
        transmit: NtpTimestamp,
    },
    /// Test 7, header: the answer left before the request arrived, by more than the server's precision; its clock was set
    /// meanwhile.
    #[error("transmit {transmit} lies before receive {receive} (test 7, header)")]
    TransmitBeforeReceive {
        /// The receive timestamp.
        receive: NtpTimestamp,
        /// The transmit timestamp.
        transmit: NtpTimestamp,
    },
    /// Test 7, header: the server's clock was last set after it sent this.
    #[error("reference {reference} lies after transmit {transmit} (test 7, header)")]
    ReferenceAfterTransmit {
        /// The reference timestamp.
        reference: NtpTimestamp,
        /// The transmit timestamp.
        transmit: NtpTimestamp,
    },
    /// Test 7, header: half the root delay and the root dispersion make [`MAX_DISPERSION`] or more.
    #[error("root delay {root_delay} s and root dispersion {root_dispersion} s say 16 s or more (test 7, header)")]
    RootDistance {
        /// The root delay.
        root_delay: NtpShort,
        /// The root dispersion.
        root_dispersion: NtpShort,
    },
}

impl Reject {
    /// Whether the datagram carried the request's nonce, so that the server (or who can read our packets) sent it.
    ///
    /// Such an answer says something about the server; any other says nothing. Nor does one that failed the check of
    /// authenticity, or a crypto-NAK, which nobody can sign: see [`is_unauthentic`](Self::is_unauthentic).
    #[must_use]
    pub const fn is_from_server(&self) -> bool {
        let is_foreign = matches!(self, Self::Source { .. } | Self::Malformed(_) | Self::Mode(_) | Self::Origin { .. });
        !is_foreign && !self.is_unauthentic()
    }

    /// Whether it carried the request's nonce, but failed test 5: the two sides do not have the same key, or somebody who can
    /// read our packets answers in the server's place.
    #[must_use]
    pub const fn is_unauthentic(&self) -> bool {
        matches!(self, Self::CryptoNak | Self::NotAuthentic(_))
    }
}

/// Whether a server that answered us is one to follow: kiss, tests 6, 3 and 7 of RFC 5905 §8 and figure 22.
///
/// `previous_receive` is T2 of the exchange before for an interleaved answer, whose transmit timestamp belongs to that.
pub(crate) fn judge_server(header: &Header, previous_receive: Option<NtpTimestamp>) -> Result<(), Reject> {
    let Header { stratum, poll, root_delay, root_dispersion, .. } = *header;
    if stratum == Stratum::UNSPECIFIED && header.reference_id != ReferenceId::UNSET {
        match KissCode::from_bytes(header.reference_id.to_bytes()) {
            // What an ntpd says that has no time yet; nothing it asks of us.
            KissCode::Init | KissCode::Step => {}
            code => return Err(Reject::Kiss { code, poll }),
        }
    }
    if !stratum.is_synchronized() || !header.leap().is_synchronized() {
        return Err(Reject::Unsynchronized { leap: header.leap(), stratum });
    }
    let (reference, transmit) = (header.reference_timestamp, header.transmit_timestamp);
    let receive = header.receive_timestamp;
    if receive.is_unset() || transmit.is_unset() {
        return Err(Reject::ZeroTimestamp { receive, transmit });
    }
    let receive = previous_receive.unwrap_or(receive);
    // Below its precision a timestamp is noise (RFC 5905 §6): a server quick enough puts the two the wrong way round.
    if receive.since(transmit) > header.precision.to_duration() {
        return Err(Reject::TransmitBeforeReceive { receive, transmit });
    }
    // Between an interleaved answer's transmit timestamp and this packet the server's clock may well have been corrected.
    if previous_receive.is_none() && !reference.is_unset() && reference.is_after(transmit) {
        return Err(Reject::ReferenceAfterTransmit { reference, transmit });
    }
    if root_delay.to_duration().half() + root_dispersion.to_duration() >= MAX_DISPERSION {
        return Err(Reject::RootDistance { root_delay, root_dispersion });
    }
    Ok(())
}
