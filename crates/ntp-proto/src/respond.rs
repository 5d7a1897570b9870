//! The server's side: what a request asks for, and the answer as octets.
//!
//! A plain answer is a template with five fields patched, made once for each change of the server's own state. No
//! answer is ever longer than its request.

use ntp_types::{KissCode, LeapIndicator, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, Stratum};

use crate::emit::PacketWriter;
use crate::error::{EmitError, ParseError};
use crate::exchange::set;
use crate::header::{Header, Lead, HEADER_LENGTH};
use crate::{ExtensionType, Mode, Packet, Version};

/// A datagram that asks for time.
///
/// Clients (mode 3) are answered in mode 4 and symmetric active peers (mode 1) in mode 2. Mode 0 of version 1, which had
/// no such field, asks too; from port 123 it may be a peer's, which the caller can tell and this cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request<'a> {
    packet: Packet<'a>,
    /// Version and mode of the answer, without leap indicator.
    answer: Lead,
}

/// Why a datagram gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotARequest {
    /// It is not a time packet.
    #[error(transparent)]
    Malformed(#[from] ParseError),
    /// Its mode asks for nothing. To answer an answer would make two servers talk for ever.
    #[error("mode {mode} of version {version} asks for nothing")]
    Mode {
        /// The mode.
        mode: Mode,
        /// The version.
        version: Version,
    },
}

impl<'a> Request<'a> {
    /// Reads a request, strictly.
    ///
    /// # Errors
    /// [`NotARequest`].
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotARequest> {
        // The request without anything after its header, which nearly all are, needs no more than this.
        if let Ok(header) = <&[u8; HEADER_LENGTH]>::try_from(bytes) {
            if let Some(answer) = answer_to(Lead::from_bits(header[0])) {
                return Ok(Self { packet: Packet::plain(header), answer });
            }
        }
        Self::parse_any(bytes)
    }

    #[inline(never)]
    fn parse_any(bytes: &'a [u8]) -> Result<Self, NotARequest> {
        Self::of(Packet::parse(bytes)?)
    }

    /// Whether a packet that was read already is one.
    ///
    /// # Errors
    /// [`NotARequest::Mode`].
    #[inline(always)]
    pub fn of(packet: Packet<'a>) -> Result<Self, NotARequest> {
        match answer_to(packet.lead()) {
            Some(answer) => Ok(Self { packet, answer }),
            None => Err(NotARequest::Mode { mode: packet.mode(), version: packet.version() }),
        }
    }

    /// The packet.
    #[must_use]
    #[inline]
    pub const fn packet(&self) -> Packet<'a> {
        self.packet
    }

    /// The mode of the answer.
    #[must_use]
    #[inline]
    pub const fn answer_mode(&self) -> Mode {
        self.answer.mode()
    }
}

/// Version and mode of the answer to each pair of version and mode, eight modes a line; zero where there is none.
#[rustfmt::skip]
const ANSWERS: [u8; 64] = [
    0, 0, 0, 0, 0, 0, 0, 0,
    0o14, 0o12, 0, 0o14, 0, 0, 0, 0,
    0, 0o22, 0, 0o24, 0, 0, 0, 0,
    0, 0o32, 0, 0o34, 0, 0, 0, 0,
    0, 0o42, 0, 0o44, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0,
];

/// Version and mode of the answer; `None` to what asks for nothing.
#[inline(always)]
fn answer_to(lead: Lead) -> Option<Lead> {
    let answer = ANSWERS.get(usize::from(lead.to_bits() & 63)).copied().filter(|&answer| answer != 0);
    answer.map(Lead::from_bits)
}

/// A plain client's request where it lies: mode 3, versions 1 to 4, nothing behind the header.
#[derive(Debug)]
pub struct PlainRequest<'a>(&'a mut [u8; HEADER_LENGTH]);

impl<'a> PlainRequest<'a> {
    /// If the datagram is one.
    #[must_use]
    #[inline(always)]
    pub fn of(datagram: &'a mut [u8; HEADER_LENGTH]) -> Option<Self> {
        /// Bit `n` is set if `n` is the version and mode of such a request.
        const PLAIN: u64 = 1 << 0x0b | 1 << 0x13 | 1 << 0x1b | 1 << 0x23;
        (PLAIN >> (datagram[0] & 0x3f) & 1 == 1).then_some(Self(datagram))
    }

    /// The datagram, for an answer of another kind.
    #[must_use]
    pub fn into_datagram(self) -> &'a mut [u8; HEADER_LENGTH] {
        self.0
    }
}

/// What a server says about its own time in every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // RFC 5905 §11.3's system variables, complete
pub struct ServerVariables {
    /// Leap warning, or that the clock is not synchronised.
    pub leap: LeapIndicator,
    /// Its stratum; 16 and above go out as 0.
    pub stratum: Stratum,
    /// Precision of its clock.
    pub precision: Precision,
    /// Round trip delay to the reference.
    pub root_delay: NtpShort,
    /// Its error bound.
    pub root_dispersion: NtpShort,
    /// Its source.
    pub reference_id: ReferenceId,
    /// When its clock was last corrected.
    pub reference_timestamp: NtpTimestamp,
}

/// A server without time: leap 3, stratum 16, and no more.
impl Default for ServerVariables {
    fn default() -> Self {
        Self {
            leap: LeapIndicator::Unsynchronized,
            stratum: Stratum::UNSYNCHRONIZED,
            precision: Precision::default(),
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::ZERO,
            reference_id: ReferenceId::UNSET,
            reference_timestamp: NtpTimestamp::UNSET,
        }
    }
}

/// The answer a server gives to everyone, but for the fields that depend on the request.
///
/// ```
/// use ntp_proto::{AnswerTemplate, Packet, Request, ServerVariables};
/// use ntp_types::{LeapIndicator, NtpTimestamp, Stratum};
///
/// let variables =
///     ServerVariables { leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerVariables::default() };
/// let template = AnswerTemplate::new(&variables);
/// let mut datagram = [0; 48];
/// datagram[0] = 0x1B; // version 3, mode 3
/// let (t2, t3) = (NtpTimestamp::new(3_900_000_000, 0), NtpTimestamp::new(3_900_000_000, 9));
/// let answer = template.answer(&Request::parse(&datagram)?, t2, t3);
/// assert_eq!(answer[0], 0x1C); // version 3, mode 4
/// assert_eq!(Packet::parse(&answer)?.transmit_timestamp(), t3);
/// # Ok::<(), ntp_proto::NotARequest>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerTemplate {
    /// Version, mode, poll, origin, receive and transmit are zero.
    octets: [u8; HEADER_LENGTH],
}

impl AnswerTemplate {
    /// Of what the server says about its own time.
    #[must_use]
    pub fn new(variables: &ServerVariables) -> Self {
        let lead = Lead::new(variables.leap, Version::from_bits(0), Mode::Reserved);
        let header = Header {
            lead,
            stratum: variables.stratum.on_wire(),
            precision: variables.precision,
            root_delay: variables.root_delay,
            root_dispersion: variables.root_dispersion,
            reference_id: variables.reference_id,
            reference_timestamp: variables.reference_timestamp,
            ..Header::default()
        };
        Self { octets: header.to_bytes() }
    }

    /// The template as data, for what answers plain clients where no code of ours runs, in a network driver for instance.
    ///
    /// To the request of a [`PlainRequest`] the answer is these octets, with octet 0 or-ed with the request's version and mode
    /// plus one (mode 3 becomes 4), octet 2 the request's (poll), octets 24 to 31 its octets 40 to 47 (origin), and then T2 and T3.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HEADER_LENGTH] {
        &self.octets
    }

    /// The plain answer: the request's version and poll, its transmit timestamp as origin, `receive` (T2), `transmit` (T3).
    ///
    /// An unset `receive` or `transmit` (the first instant of an era) becomes 2⁻³² s.
    #[must_use]
    #[inline(always)]
    pub fn answer(&self, request: &Request<'_>, receive: NtpTimestamp, transmit: NtpTimestamp) -> [u8; HEADER_LENGTH] {
        self.patch(request, &request.packet.header_bytes()[40..48], receive, transmit)
    }

    /// Turns a plain client's request into its answer where it lies.
    ///
    /// The shortest way from a datagram to its answer: what [`answer`](Self::answer) gives for
    /// [`Request::parse`], without the values between them.
    #[inline(always)]
    pub fn answer_in_place(&self, request: PlainRequest<'_>, receive: NtpTimestamp, transmit: NtpTimestamp) {
        let datagram = request.0;
        let [asked, _, poll, .., o0, o1, o2, o3, o4, o5, o6, o7] = *datagram;
        datagram[..24].copy_from_slice(&self.octets[..24]);
        datagram[0] |= (asked & 0x3f) + 1; // mode 3 becomes mode 4
        datagram[2] = poll;
        datagram[24..32].copy_from_slice(&[o0, o1, o2, o3, o4, o5, o6, o7]);
        datagram[32..40].copy_from_slice(&set(receive).to_bytes());
        datagram[40..48].copy_from_slice(&set(transmit).to_bytes());
    }

    /// The interleaved answer: the request's *receive* timestamp as origin, and when the answer before truly left.
    ///
    /// For a request whose origin is the receive timestamp of an answer the server remembers (RFC 9769 §2).
    #[must_use]
    pub fn answer_interleaved(
        &self,
        request: &Request<'_>,
        receive: NtpTimestamp,
        previous_transmit: NtpTimestamp,
    ) -> [u8; HEADER_LENGTH] {
        self.patch(request, &request.packet.header_bytes()[32..40], receive, previous_transmit)
    }

    /// A kiss-o'-death: leap 3, stratum 0, the code as reference id; `poll` is the least interval asked for.
    ///
    /// Its timestamps are no time: all of them echo the request's. ntpd 4.2.8 obeys no kiss whose timestamps differ.
    ///
    /// Source: RFC 5905 §7.4.
    #[must_use]
    #[inline(always)]
    pub fn kiss(&self, request: &Request<'_>, code: KissCode, poll: Poll) -> [u8; HEADER_LENGTH] {
        let asked = request.packet.header_bytes();
        let lead = Lead::new(LeapIndicator::Unsynchronized, Version::from_bits(0), Mode::Reserved);
        let mut answer = [0; HEADER_LENGTH];
        answer[0] = lead.to_bits() | request.answer.to_bits();
        answer[2] = request.packet.poll().max(poll).log2().to_be_bytes()[0];
        answer[3] = self.octets[3];
        answer[12..16].copy_from_slice(&code.to_bytes());
        answer[16..24].copy_from_slice(&asked[40..48]);
        answer[24..32].copy_from_slice(&asked[40..48]);
        answer[32..40].copy_from_slice(&asked[40..48]);
        answer[40..48].copy_from_slice(&asked[40..48]);
        answer
    }

    /// Begins an answer in `buffer`, to add extension fields and a MAC or a crypto-NAK. `octets` is one of the answers above.
    ///
    /// # Errors
    /// [`EmitError::Buffer`]; the writer's methods refuse what would make it longer than the request.
    #[inline(always)]
    pub fn begin<'b>(
        request: &Request<'_>,
        octets: &[u8; HEADER_LENGTH],
        buffer: &'b mut [u8],
    ) -> Result<PacketWriter<'b>, EmitError> {
        PacketWriter::answer(buffer, octets, request.packet.version(), request.packet.as_bytes().len())
    }

    /// The NTS negative acknowledgement in `buffer`: the kiss code NTSN and the request's unique identifier. Its length.
    ///
    /// # Errors
    /// [`EmitError::Buffer`].
    ///
    /// Source: RFC 8915 §5.7.
    #[inline(always)]
    pub fn nts_nak(&self, request: &Request<'_>, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let kiss = self.kiss(request, KissCode::NtsNak, request.packet.poll());
        let writer = Self::begin(request, &kiss, buffer)?;
        match request.packet.extension(ExtensionType::UNIQUE_IDENTIFIER) {
            Some(identifier) => writer.echo(&identifier)?.finish(),
            None => writer.finish(),
        }
    }

    #[inline(always)]
    fn patch(
        &self,
        request: &Request<'_>,
        origin: &[u8],
        receive: NtpTimestamp,
        transmit: NtpTimestamp,
    ) -> [u8; HEADER_LENGTH] {
        let mut answer = self.octets;
        answer[0] |= request.answer.to_bits();
        answer[2] = request.packet.header_bytes()[2];
        answer[24..32].copy_from_slice(origin);
        answer[32..40].copy_from_slice(&set(receive).to_bytes());
        answer[40..48].copy_from_slice(&set(transmit).to_bytes());
        answer
    }
}
