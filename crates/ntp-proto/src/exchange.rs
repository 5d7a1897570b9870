//! The client's side of one exchange (RFC 5905 §8): a request goes out, its one good reply comes back.
//!
//! The transmit timestamp on the wire is a nonce; the true T1 stays with the caller. What was asked is held by a
//! [`Pending`] that its reply consumes, so no reply counts twice (the RFC's test 1). Every other datagram is refused by
//! the name of the test it failed and gives the `Pending` back: who can send datagrams cannot end an exchange.

use core::net::SocketAddr;

use ntp_types::{
    Frequency, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, RoundTrip, Stratum,
};

use crate::emit::PacketWriter;
use crate::error::EmitError;
use crate::header::{Header, HEADER_LENGTH};
use crate::mac::Unauthentic;
use crate::reject::{judge_server, Reject, Rejected};
use crate::{Mode, Packet, Version};

/// One, in the units of [`Frequency::to_scaled_ppm`].
const ONE_SCALED: i128 = 1_000_000 << 16;

/// A client's request. All of it is zero but version, mode, nonce and, where asked for, the poll interval: what a server
/// need not know it is not told.
///
/// ```
/// use ntp_proto::{ClientRequest, Rejected};
/// use ntp_types::NtpTimestamp;
///
/// let nonce = NtpTimestamp::from_bits(0x1122_3344_5566_7788); // from a random source
/// let server = "192.0.2.1:123".parse()?;
/// let (octets, pending) = ClientRequest::new(nonce).start(server);
/// assert_eq!(octets[0], 0x23); // version 4, mode 3
///
/// // A datagram that does not answer it: the exchange keeps waiting.
/// let (t1, t4) = (NtpTimestamp::new(3_900_000_000, 0), NtpTimestamp::new(3_900_000_001, 0));
/// match pending.accept(&octets, server, t1, t4) {
///     Err(Rejected::Ignored { reject, pending }) => {
///         assert_eq!(reject.to_string(), "mode client is not that of an answer");
///         drop(pending); // still good for the true answer
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a request does nothing until it is sent"]
pub struct ClientRequest {
    version: Version,
    poll: Poll,
    nonce: NtpTimestamp,
    interleaved: Option<Interleaved>,
}

/// What an interleaved request and its reply need of the exchange before (RFC 9769 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interleaved {
    previous: RoundTrip,
    nonce: NtpTimestamp,
}

/// A version in which no request can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no requests of version {0}: needed 1 to 4")]
pub struct UnsupportedVersion(pub Version);

impl ClientRequest {
    /// A request of version 4 with `nonce` as its transmit timestamp: 64 random bits, fresh for every request.
    ///
    /// Zero means unset and would be answered by anybody's packet: it becomes 1.
    #[inline]
    pub const fn new(nonce: NtpTimestamp) -> Self {
        Self { version: Version::V4, poll: Poll::from_log2(0), nonce: set(nonce), interleaved: None }
    }

    /// The same request in another version.
    ///
    /// # Errors
    /// [`UnsupportedVersion`] for versions other than 1 to 4.
    pub const fn with_version(mut self, version: Version) -> Result<Self, UnsupportedVersion> {
        if !version.is_known() {
            return Err(UnsupportedVersion(version));
        }
        self.version = version;
        Ok(self)
    }

    /// The same request, telling the server the poll interval.
    pub const fn with_poll(mut self, poll: Poll) -> Self {
        self.poll = poll;
        self
    }

    /// The same request, asking for an interleaved answer: the server's true transmit timestamp of the answer before.
    ///
    /// `previous` is the exchange before, of the same server; its T4 is best a late one (a kernel's or the hardware's).
    /// `nonce` are other 64 random bits, by which an interleaved answer is known.
    ///
    /// Source: RFC 9769 §2.
    pub const fn interleaved(mut self, previous: RoundTrip, nonce: NtpTimestamp) -> Self {
        self.interleaved = Some(Interleaved { previous, nonce: set(nonce) });
        self
    }

    /// The request's octets, and what waits for the reply of `destination`.
    #[inline]
    pub fn start(self, destination: SocketAddr) -> ([u8; HEADER_LENGTH], Pending) {
        (self.header().to_bytes(), Pending { request: self, destination })
    }

    /// Begins the request in `buffer`, to add extension fields and a MAC; and what waits for the reply of `destination`.
    ///
    /// # Errors
    /// [`EmitError::Buffer`].
    pub fn begin(self, buffer: &mut [u8], destination: SocketAddr) -> Result<(PacketWriter<'_>, Pending), EmitError> {
        Ok((PacketWriter::new(buffer, &self.header())?, Pending { request: self, destination }))
    }

    fn header(&self) -> Header {
        let mut header = Header::new(LeapIndicator::NoWarning, self.version, Mode::Client);
        header.poll = self.poll;
        header.transmit_timestamp = self.nonce;
        if let Some(interleaved) = self.interleaved {
            header.origin_timestamp = interleaved.previous.t2;
            header.receive_timestamp = interleaved.nonce;
        }
        header
    }
}

/// A timestamp that cannot be taken for an unset one.
#[inline(always)]
pub(crate) const fn set(timestamp: NtpTimestamp) -> NtpTimestamp {
    NtpTimestamp::from_bits(if timestamp.is_unset() { 1 } else { timestamp.to_bits() })
}

/// A request that waits for its reply. Neither `Copy` nor `Clone`: it ends with its one good reply.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "dropping it gives the exchange up"]
pub struct Pending {
    request: ClientRequest,
    destination: SocketAddr,
}

/// The good answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// What was measured.
    pub exchange: Exchange,
    /// The packet, for its extension fields and MAC.
    pub packet: Packet<'a>,
    /// Whether the answer was interleaved: the exchange is then the one before, with its server's true T3.
    pub is_interleaved: bool,
}

impl Pending {
    /// Where the request went.
    #[must_use]
    pub const fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// The nonce on the wire.
    #[must_use]
    pub const fn nonce(&self) -> NtpTimestamp {
        self.request.nonce
    }

    /// The version that was asked in.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.request.version
    }

    /// Tests a datagram from `source` and, if it is the good answer, makes the exchange of it.
    ///
    /// `t1` and `t4`: when the request left and the datagram came in, by the client's clock.
    ///
    /// # Errors
    /// [`Rejected`] by name of the first test that failed: source, form, mode, origin (test 2); only then whether it is a
    /// kiss-o'-death, and whether the server is one to follow.
    #[inline]
    #[allow(clippy::result_large_err)] // the exchange comes back by value, without allocation
    pub fn accept(
        self,
        bytes: &[u8],
        source: SocketAddr,
        t1: NtpTimestamp,
        t4: NtpTimestamp,
    ) -> Result<Reply<'_>, Rejected> {
        self.accept_if(bytes, source, t1, t4, |_| Ok(()))
    }

    /// As [`accept`](Self::accept), with the caller's check of authenticity after the origin's: a MAC's or that of NTS.
    ///
    /// # Errors
    /// As [`accept`](Self::accept), and [`Reject::NotAuthentic`] with what `authenticate` says against it.
    #[allow(clippy::result_large_err)] // as above
    pub fn accept_if<'a>(
        self,
        bytes: &'a [u8],
        source: SocketAddr,
        t1: NtpTimestamp,
        t4: NtpTimestamp,
        authenticate: impl FnOnce(&Packet<'a>) -> Result<(), Unauthentic>,
    ) -> Result<Reply<'a>, Rejected> {
        match self.test(bytes, source, authenticate) {
            Ok((packet, None)) => {
                let round_trip = RoundTrip { t1, t2: packet.receive_timestamp(), t3: packet.transmit_timestamp(), t4 };
                Ok(Reply { exchange: Exchange::new(&packet, round_trip), packet, is_interleaved: false })
            }
            Ok((packet, Some(previous))) => {
                let round_trip = RoundTrip { t3: packet.transmit_timestamp(), ..previous };
                Ok(Reply { exchange: Exchange::new(&packet, round_trip), packet, is_interleaved: true })
            }
            Err(reject @ Reject::Kiss { .. }) => Err(Rejected::Final(reject)),
            Err(reject) => Err(Rejected::Ignored { reject, pending: self }),
        }
    }

    /// The good answer and, if it is interleaved, the exchange before, whose T3 it brings.
    fn test<'a>(
        &self,
        bytes: &'a [u8],
        source: SocketAddr,
        authenticate: impl FnOnce(&Packet<'a>) -> Result<(), Unauthentic>,
    ) -> Result<(Packet<'a>, Option<RoundTrip>), Reject> {
        if !is_same_host(self.destination, source) {
            return Err(Reject::Source { destination: self.destination, source_address: source });
        }
        let packet = Packet::parse(bytes).map_err(Reject::Malformed)?;
        if packet.mode() != Mode::Server {
            return Err(Reject::Mode(packet.mode()));
        }
        let origin = packet.origin_timestamp();
        let previous = match self.request.interleaved {
            _ if origin == self.request.nonce => None,
            Some(interleaved) if origin == interleaved.nonce => Some(interleaved.previous),
            _ => return Err(Reject::Origin { expected: self.request.nonce, origin }),
        };
        if packet.is_crypto_nak() {
            return Err(Reject::CryptoNak);
        }
        authenticate(&packet).map_err(Reject::NotAuthentic)?;
        judge_server(&packet.header(), previous.map(|previous| previous.t2))?;
        Ok((packet, previous))
    }
}

/// Same address and port. A dual-stack socket shows an IPv4 source as a mapped IPv6 one, and only link-local addresses
/// carry a scope.
fn is_same_host(destination: SocketAddr, source: SocketAddr) -> bool {
    let is_same_scope = match (destination, source) {
        (SocketAddr::V6(a), SocketAddr::V6(b)) => {
            a.scope_id() == b.scope_id() || a.scope_id() == 0 || b.scope_id() == 0
        }
        _ => true,
    };
    destination.port() == source.port()
        && destination.ip().to_canonical() == source.ip().to_canonical()
        && is_same_scope
}

/// One good exchange: four timestamps, and what the server says about its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // simulations make them too
pub struct Exchange {
    /// The four timestamps.
    pub round_trip: RoundTrip,
    /// The server's leap warning; never *unsynchronised*.
    pub leap: LeapIndicator,
    /// The answer's version, which may be lower than the request's.
    pub version: Version,
    /// The server's stratum: 1 to 15.
    pub stratum: Stratum,
    /// The poll interval in the answer, usually the request's.
    pub poll: Poll,
    /// Precision of the server's clock.
    pub precision: Precision,
    /// Round trip delay from the server to the reference.
    pub root_delay: NtpShort,
    /// The server's own error bound.
    pub root_dispersion: NtpShort,
    /// The server's source.
    pub reference_id: ReferenceId,
    /// When the server's clock was last corrected.
    pub reference_timestamp: NtpTimestamp,
}

impl Exchange {
    fn new(packet: &Packet<'_>, round_trip: RoundTrip) -> Self {
        let header = packet.header();
        Self {
            round_trip,
            leap: header.leap(),
            version: header.version(),
            stratum: header.stratum,
            poll: header.poll,
            precision: header.precision,
            root_delay: header.root_delay,
            root_dispersion: header.root_dispersion,
            reference_id: header.reference_id,
            reference_timestamp: header.reference_timestamp,
        }
    }

    /// Server's clock minus ours: **positive when ours is behind**.
    #[must_use]
    #[inline]
    pub const fn offset(&self) -> NtpDuration {
        self.round_trip.offset()
    }

    /// Time on the network, both ways, as measured: a coarse clock can make it negative.
    #[must_use]
    #[inline]
    pub const fn delay(&self) -> NtpDuration {
        self.round_trip.delay()
    }

    /// What the two clocks' precisions and our clock's frequency error can have added, ε; `own` is our precision.
    ///
    /// Rounded up: 2^ρ of both clocks and 15 ppm of the time we waited.
    ///
    /// Source: RFC 5905 §8.
    #[must_use]
    pub fn dispersion(&self, own: Precision) -> NtpDuration {
        let waited = i128::from(self.round_trip.elapsed().to_bits().max(0));
        let tolerance = i128::from(Frequency::TOLERANCE.to_scaled_ppm());
        let drift = (waited * tolerance + ONE_SCALED - 1) / ONE_SCALED; // at most 15 ppm of 68 years
        let drift = NtpDuration::from_bits(i64::try_from(drift).unwrap_or(i64::MAX));
        self.precision.to_duration() + own.to_duration() + drift
    }

    /// How far the offset can be from the truth at T4, λ: half of all delay to the reference and every dispersion.
    ///
    /// The measured delay counts at least our precision. No MINDISP: it is a matter of selection, not of this exchange.
    ///
    /// Source: RFC 5905 §11.1, without the filter's jitter.
    #[must_use]
    pub fn root_distance(&self, own: Precision) -> NtpDuration {
        let delay = self.delay().max(own.to_duration()) + self.root_delay.to_duration();
        // Half rounded up: a bound does not shrink.
        let half = NtpDuration::from_bits(delay.to_bits() - delay.to_bits() / 2);
        half + self.root_dispersion.to_duration() + self.dispersion(own)
    }
}
