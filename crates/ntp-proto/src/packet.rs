//! A time packet as a borrowed view: judged by form, not by meaning, and emitted again octet for octet.

use core::fmt;

use ntp_types::{KissCode, LeapIndicator, NtpShort, NtpTimestamp, Poll, Precision, Reference, ReferenceId, Stratum};

use crate::error::{EmitError, Field, Needed, ParseError};
use crate::extension::{ExtensionField, ExtensionType, Extensions};
use crate::header::{Header, Lead, HEADER_LENGTH};
use crate::trailer::{self, Ambiguities, Ambiguity, Mac};
use crate::{Mode, Version};

/// Versions 1 to 4, modes 0 to 5: what carries time.
const TIME: u64 = 0x3F_3F3F_3F00;

/// What a datagram on port 123 is, by its first octet alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketKind {
    /// Time: versions 1 to 4, modes 0 to 5. Read it with [`Packet`].
    Time,
    /// An NTP control message: mode 6. Read it with [`control`](crate::control).
    Control,
    /// ntpdc's private protocol: mode 7. Read it with [`private`](crate::private).
    Private,
    /// A version without a layout known here: 0, 5 (a draft), 6, 7.
    UnknownVersion(Version),
}

impl PacketKind {
    /// What `bytes` begin like; `None` of nothing.
    #[must_use]
    #[inline]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let lead = Lead::from_bits(*bytes.first()?);
        Some(match lead.mode() {
            Mode::Control => Self::Control,
            Mode::Private => Self::Private,
            _ if lead.version().is_known() => Self::Time,
            _ => Self::UnknownVersion(lead.version()),
        })
    }
}

/// A time packet, borrowed from the octets it was parsed from.
///
/// It holds what is there and judges nothing but its form: stratum 16, an unset timestamp or an unknown field type are
/// all kept. Fields are decoded when asked for. [`emit`](Self::emit) gives the octets that were parsed.
///
/// ```
/// use ntp_proto::{ExtensionType, Header, Packet, PacketWriter};
///
/// let mut buffer = [0; 128];
/// let length = PacketWriter::new(&mut buffer, &Header::default())?
///     .field(ExtensionType::UNIQUE_IDENTIFIER, &[7; 32])?
///     .mac(1, &[0xBB; 16])?;
/// let packet = Packet::parse(&buffer[..length])?;
/// assert_eq!(packet.extensions().next().unwrap().kind, ExtensionType::UNIQUE_IDENTIFIER);
/// assert_eq!(packet.mac().unwrap().key_id, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packet<'a> {
    /// The first 48 of `bytes`.
    header: &'a [u8; HEADER_LENGTH],
    /// All of them.
    bytes: &'a [u8],
    /// Octets of extension fields after the header.
    fields: usize,
    ambiguities: Ambiguities,
}

impl<'a> Packet<'a> {
    /// Reads a packet of versions 1 to 4, modes 0 to 5, strictly by RFC 5905 and RFC 7822.
    ///
    /// # Errors
    /// [`ParseError`] with the first field that does not fit.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::parse_if(bytes, TIME)
    }

    /// As [`parse`](Self::parse), of the versions and modes in `leads` alone: one bit for each of their 64 pairs.
    #[inline(always)]
    pub(crate) fn parse_if(bytes: &'a [u8], leads: u64) -> Result<Self, ParseError> {
        let (tail, header) = front(bytes)?;
        let lead = Lead::from_bits(header[0]);
        if !lead.is_in(leads) {
            return Err(lead_error(lead));
        }
        let fields = trailer::split(lead.version(), tail)?;
        Ok(Self { header, bytes, fields, ambiguities: Ambiguities::NONE })
    }

    /// Of 48 octets that were judged by their first.
    #[inline(always)]
    pub(crate) const fn plain(header: &'a [u8; HEADER_LENGTH]) -> Self {
        Self { header, bytes: header, fields: 0, ambiguities: Ambiguities::NONE }
    }

    /// Reads a packet as captures hold it: any version, and whatever follows the header.
    ///
    /// It finds the likeliest reading and keeps the doubts in [`ambiguities`](Self::ambiguities). What
    /// [`parse`](Self::parse) accepts is read in the same way here.
    ///
    /// # Errors
    /// [`ParseError`] only for fewer than 48 octets, and for modes 6 and 7, which have another format.
    pub fn parse_lenient(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (tail, header) = front(bytes)?;
        let lead = Lead::from_bits(header[0]);
        if let Mode::Control | Mode::Private = lead.mode() {
            return Err(mode_error(lead));
        }
        let (fields, ambiguities) = trailer::split_lenient(lead.version(), tail);
        Ok(Self { header, bytes, fields, ambiguities })
    }

    /// The header's fields, decoded.
    #[must_use]
    #[inline(always)]
    pub const fn header(&self) -> Header {
        Header::from_bytes(self.header)
    }

    /// The 48 octets of the header.
    #[must_use]
    #[inline]
    pub const fn header_bytes(&self) -> &'a [u8; HEADER_LENGTH] {
        self.header
    }

    /// The extension fields, in order.
    #[inline(always)]
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions::new(self.split_tail().0)
    }

    /// The first extension field of that type.
    #[must_use]
    #[inline]
    pub fn extension(&self, kind: ExtensionType) -> Option<ExtensionField<'a>> {
        self.extensions().find(|field| field.kind == kind)
    }

    /// The MAC; `None` without one and for a crypto-NAK.
    #[must_use]
    #[inline(always)]
    pub fn mac(&self) -> Option<Mac<'a>> {
        let rest = self.after_fields();
        if trailer::is_crypto_nak(rest) {
            return None;
        }
        trailer::mac(rest)
    }

    /// Whether it ends in a crypto-NAK: the sender could not authenticate what it answers (RFC 5905 §9.2).
    #[must_use]
    #[inline]
    pub fn is_crypto_nak(&self) -> bool {
        trailer::is_crypto_nak(self.after_fields())
    }

    /// The octets a MAC covers: header and extension fields.
    #[must_use]
    #[inline]
    pub fn authenticated(&self) -> &'a [u8] {
        self.bytes.get(..HEADER_LENGTH + self.fields).unwrap_or(self.bytes)
    }

    /// Octets at the end that could not be read; only after a lenient parse.
    #[must_use]
    pub fn trailing(&self) -> &'a [u8] {
        if self.ambiguities.contains(Ambiguity::Unread) {
            self.split_tail().1
        } else {
            &[]
        }
    }

    /// What remains doubtful after a lenient parse.
    #[must_use]
    pub const fn ambiguities(&self) -> Ambiguities {
        self.ambiguities
    }

    /// The other reading of a packet in which [`Ambiguity::ShortField`] is doubtful: what RFC 7822 does not take for a field is,
    /// with all that follows it, a MAC of unusual length. `None` where there is no such doubt.
    #[must_use]
    pub fn without_short_fields(&self) -> Option<Self> {
        if !self.ambiguities.contains(Ambiguity::ShortField) {
            return None;
        }
        let tail = self.bytes.get(HEADER_LENGTH..).unwrap_or_default();
        let (fields, ambiguities) = trailer::split_without_short(tail);
        Some(Self { fields, ambiguities, ..*self })
    }

    /// The kiss code, if this is a kiss-o'-death: stratum 0 with a reference id (RFC 5905 §7.4).
    #[must_use]
    #[inline]
    pub const fn kiss(&self) -> Option<KissCode> {
        match self.reference_id().describe(self.stratum()) {
            Reference::Kiss(code) => Some(code),
            _ => None,
        }
    }

    /// The packet's octets: those it was parsed from.
    #[must_use]
    #[inline]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Writes the packet to the front of `buffer` and returns its length.
    ///
    /// # Errors
    /// [`EmitError`] when `buffer` is shorter; nothing is written then.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let (had, needed) = (buffer.len(), self.bytes.len());
        let front = buffer.get_mut(..needed).ok_or(EmitError::Buffer { field: Field::Header, needed, had })?;
        front.copy_from_slice(self.bytes);
        Ok(needed)
    }

    /// Appends the packet to `buffer` and returns its length.
    ///
    /// # Errors
    /// [`EmitError`] when `buffer` cannot take it; nothing is written then.
    #[cfg(feature = "bytes")]
    pub fn put(&self, buffer: &mut impl bytes::BufMut) -> Result<usize, EmitError> {
        crate::emit::put(buffer, Field::Header, self.bytes)
    }

    /// Extension fields and what follows them.
    #[inline(always)]
    fn split_tail(&self) -> (&'a [u8], &'a [u8]) {
        let tail = self.bytes.get(HEADER_LENGTH..).unwrap_or_default();
        tail.split_at_checked(self.fields).unwrap_or_default()
    }

    /// The MAC or crypto-NAK, empty when there is none or it could not be read.
    #[inline(always)]
    fn after_fields(&self) -> &'a [u8] {
        if self.ambiguities.contains(Ambiguity::Unread) {
            &[]
        } else {
            self.split_tail().1
        }
    }
}

/// What it says, part by part.
impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = f.debug_struct("Packet");
        parts.field("header", &self.header()).field("extensions", &ListOf(self.extensions()));
        parts.field("mac", &self.mac()).field("is_crypto_nak", &self.is_crypto_nak());
        parts.field("trailing", &self.trailing()).field("ambiguities", &self.ambiguities).finish()
    }
}

struct ListOf<'a>(Extensions<'a>);

impl fmt::Debug for ListOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0).finish()
    }
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        impl Packet<'_> {
            $($(#[$doc])*
            #[must_use]
            #[inline(always)]
            pub const fn $name(&self) -> $type {
                self.header().$name
            })*
        }
    };
}

accessors! {
    /// Leap indicator, version and mode.
    lead: Lead;
    /// Distance to the reference in servers.
    stratum: Stratum;
    /// Poll interval of the sender.
    poll: Poll;
    /// Precision of the sender's clock.
    precision: Precision;
    /// Round trip delay to the reference.
    root_delay: NtpShort;
    /// Error bound to the reference.
    root_dispersion: NtpShort;
    /// The sender's source; its meaning depends on the stratum.
    reference_id: ReferenceId;
    /// When the sender's clock was last set or corrected.
    reference_timestamp: NtpTimestamp;
    /// In an answer: the request's transmit timestamp.
    origin_timestamp: NtpTimestamp;
    /// In an answer: when the request arrived (T2).
    receive_timestamp: NtpTimestamp;
    /// In an answer: when it left (T3). In a request: a nonce.
    transmit_timestamp: NtpTimestamp;
}

impl Packet<'_> {
    /// Leap indicator.
    #[must_use]
    #[inline]
    pub const fn leap(&self) -> LeapIndicator {
        self.lead().leap()
    }

    /// Version.
    #[must_use]
    #[inline]
    pub const fn version(&self) -> Version {
        self.lead().version()
    }

    /// Mode.
    #[must_use]
    #[inline]
    pub const fn mode(&self) -> Mode {
        self.lead().mode()
    }
}

/// The header's octets and what follows them.
#[inline(always)]
pub(crate) fn front(bytes: &[u8]) -> Result<(&[u8], &[u8; HEADER_LENGTH]), ParseError> {
    trailer::array(bytes).map_err(|_| ParseError {
        field: Field::Header,
        offset: 0,
        needed: Needed::Octets(48),
        had: bytes.len(),
    })
}

/// The version, if the first octet has one that is known and a mode that carries time.
#[inline(always)]
pub(crate) fn judge_lead(lead: Lead) -> Result<Version, ParseError> {
    if !lead.is_in(TIME) {
        return Err(lead_error(lead));
    }
    Ok(lead.version())
}

#[cold]
#[inline(never)]
fn lead_error(lead: Lead) -> ParseError {
    if lead.version().is_known() {
        return mode_error(lead);
    }
    let had = usize::from(lead.version().to_bits());
    ParseError { field: Field::Version, offset: 0, needed: Needed::KnownVersion, had }
}

#[cold]
fn mode_error(lead: Lead) -> ParseError {
    let had = usize::from(lead.mode().to_bits());
    ParseError { field: Field::Mode, offset: 0, needed: Needed::TimeMode, had }
}
