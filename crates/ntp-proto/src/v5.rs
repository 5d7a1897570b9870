//! NTPv5 as the draft has it (draft-ietf-ntp-ntpv5): recognised and read, not spoken.
//!
//! Apart from [`Packet`](crate::Packet), because only the first octet, stratum, poll and precision stand where versions 1
//! to 4 have them; and because an extension field's length here leaves out its padding and may be as short as its head.

use ntp_types::{LeapIndicator, NtpTimestamp, Poll, Precision, Stratum};

use crate::truncated::{write_parts, Truncated};
use crate::{ExtensionType, Mode, Version};

/// Length of the header, in octets.
pub const V5_HEADER_LENGTH: usize = 48;
/// Length of an extension field's head: type and length.
const FIELD_HEAD: usize = 4;
/// To what multiple an extension field is padded, in octets.
const ALIGNMENT: usize = 4;

/// The header of an NTPv5 packet: all 48 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct V5Header {
    /// The leap indicator; of the next fourteen days.
    pub leap: LeapIndicator,
    /// Client or server; every mode is kept.
    pub mode: Mode,
    /// The stratum.
    pub stratum: Stratum,
    /// In an answer the shortest interval the server allows; 127 forbids any further request.
    pub poll: Poll,
    /// The precision.
    pub precision: Precision,
    /// Root delay in units of 2⁻²⁸ s.
    pub root_delay: u32,
    /// Root dispersion in units of 2⁻²⁸ s.
    pub root_dispersion: u32,
    /// 0 UTC, 1 TAI, 2 UT1, 3 leap-smeared UTC.
    pub timescale: u8,
    /// The era of the receive timestamp.
    pub era: u8,
    /// 1 synchronised, 2 interleaved, 4 authentication refused.
    pub flags: u16,
    /// Names the server's answer to the next interleaved request.
    pub server_cookie: u64,
    /// Pairs an answer with its request.
    pub client_cookie: u64,
    /// When the request came.
    pub receive_timestamp: NtpTimestamp,
    /// When the answer left.
    pub transmit_timestamp: NtpTimestamp,
}

/// An NTPv5 packet, borrowed from its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct V5Packet<'a> {
    bytes: &'a [u8],
    header: V5Header,
    fields: &'a [u8],
}

/// An extension field of NTPv5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct V5Field<'a> {
    /// The type.
    pub kind: ExtensionType,
    /// The value, without padding.
    pub value: &'a [u8],
    /// The octets up to the next multiple of four, which should be zero.
    pub padding: &'a [u8],
}

/// The extension fields of an NTPv5 packet.
#[derive(Debug, Clone)]
pub struct V5Fields<'a> {
    rest: &'a [u8],
}

/// An NTPv5 packet was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum V5Error {
    /// Octets are missing.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// An extension field says it is shorter than its own head.
    #[error("extension field at octet {offset} has length {length}, needs at least {FIELD_HEAD}")]
    FieldLength {
        /// Where the field begins.
        offset: usize,
        /// Its length word.
        length: u16,
    },
    /// Another version.
    #[error("version {had}, expected 5")]
    Version {
        /// The version found.
        had: Version,
    },
}

impl V5Header {
    /// From the 48 octets; the version bits are not judged.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; V5_HEADER_LENGTH]) -> Self {
        let mut octets = Octets { bytes, at: 0 };
        let [lead, stratum, poll, precision] = octets.next();
        let root_delay = u32::from_be_bytes(octets.next());
        let root_dispersion = u32::from_be_bytes(octets.next());
        let [timescale, era] = octets.next();
        Self {
            leap: LeapIndicator::from_bits(lead >> 6),
            mode: Mode::from_bits(lead),
            stratum: Stratum::from_bits(stratum),
            poll: Poll::from_log2(i8::from_be_bytes([poll])),
            precision: Precision::from_log2(i8::from_be_bytes([precision])),
            root_delay,
            root_dispersion,
            timescale,
            era,
            flags: u16::from_be_bytes(octets.next()),
            server_cookie: u64::from_be_bytes(octets.next()),
            client_cookie: u64::from_be_bytes(octets.next()),
            receive_timestamp: NtpTimestamp::from_bytes(octets.next()),
            transmit_timestamp: NtpTimestamp::from_bytes(octets.next()),
        }
    }

    /// The 48 octets, version 5.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; V5_HEADER_LENGTH] {
        let lead = self.leap.to_bits() << 6 | Version::V5.to_bits() << 3 | self.mode.to_bits();
        let [poll] = self.poll.log2().to_be_bytes();
        let [precision] = self.precision.log2().to_be_bytes();
        let parts: [&[u8]; 9] = [
            &[lead, self.stratum.to_bits(), poll, precision],
            &self.root_delay.to_be_bytes(),
            &self.root_dispersion.to_be_bytes(),
            &[self.timescale, self.era],
            &self.flags.to_be_bytes(),
            &self.server_cookie.to_be_bytes(),
            &self.client_cookie.to_be_bytes(),
            &self.receive_timestamp.to_bytes(),
            &self.transmit_timestamp.to_bytes(),
        ];
        let mut bytes = [0; V5_HEADER_LENGTH];
        for (place, octet) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *octet;
        }
        bytes
    }
}

impl V5Field<'_> {
    /// The field's length word: type, length and value, without the padding.
    #[must_use]
    pub const fn length(&self) -> usize {
        FIELD_HEAD + self.value.len()
    }
}

impl<'a> V5Packet<'a> {
    /// Reads an NTPv5 packet: the header and the framing of its extension fields. Cookies, flags and padding are not judged.
    ///
    /// # Errors
    /// [`V5Error`] when the version is another, or the header or a field is not all there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, V5Error> {
        let (head, fields) = bytes.split_first_chunk().ok_or(Truncated {
            field: "NTPv5 header",
            offset: 0,
            needed: V5_HEADER_LENGTH,
            had: bytes.len(),
        })?;
        let had = Version::from_bits(head[0] >> 3);
        if had != Version::V5 {
            return Err(V5Error::Version { had });
        }
        let mut rest = fields;
        while !rest.is_empty() {
            (_, rest) = split_field(rest, bytes.len() - rest.len())?;
        }
        Ok(Self { bytes, header: V5Header::from_bytes(head), fields })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &V5Header {
        &self.header
    }

    /// The extension fields.
    #[must_use]
    pub const fn extensions(&self) -> V5Fields<'a> {
        V5Fields { rest: self.fields }
    }

    /// All octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Writes the packet again from its parts, octet for octet, and says how many octets that were.
    ///
    /// # Errors
    /// [`Truncated`] when `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, Truncated> {
        let mut length = write_parts("NTPv5 header", [&self.header.to_bytes()], out)?;
        for field in self.extensions() {
            let rest = out.get_mut(length..).unwrap_or_default();
            let [k0, k1] = field.kind.to_bits().to_be_bytes();
            // The value came out of a length word of sixteen bits that counted the head too.
            let [l0, l1] = u16::try_from(field.length()).unwrap_or(u16::MAX).to_be_bytes();
            length += write_parts("NTPv5 extension field", [&[k0, k1, l0, l1], field.value, field.padding], rest)
                .map_err(|error| Truncated { offset: length, ..error })?;
        }
        Ok(length)
    }
}

impl<'a> Iterator for V5Fields<'a> {
    type Item = V5Field<'a>;

    fn next(&mut self) -> Option<V5Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (field, rest) = split_field(self.rest, 0).ok()?;
        self.rest = rest;
        Some(field)
    }
}

impl core::iter::FusedIterator for V5Fields<'_> {}

/// The field that begins here, at `offset` of the packet, and what follows its padding. The last field's padding may be
/// missing.
fn split_field(bytes: &[u8], offset: usize) -> Result<(V5Field<'_>, &[u8]), V5Error> {
    let truncated = |needed| Truncated { field: "NTPv5 extension field", offset, needed, had: bytes.len() };
    let (&[k0, k1, l0, l1], body) = bytes.split_first_chunk().ok_or(truncated(FIELD_HEAD))?;
    let length = u16::from_be_bytes([l0, l1]);
    let value = usize::from(length).checked_sub(FIELD_HEAD).ok_or(V5Error::FieldLength { offset, length })?;
    let (value, rest) = body.split_at_checked(value).ok_or(truncated(usize::from(length)))?;
    let padding = usize::from(length).next_multiple_of(ALIGNMENT) - usize::from(length);
    let (padding, rest) = rest.split_at_checked(padding).unwrap_or((rest, &[]));
    Ok((V5Field { kind: ExtensionType::from_bits(u16::from_be_bytes([k0, k1])), value, padding }, rest))
}

/// Walks the header's octets.
struct Octets<'a> {
    bytes: &'a [u8; V5_HEADER_LENGTH],
    at: usize,
}

impl Octets<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let octets = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk).copied();
        self.at += N; // the fields together are 48 octets
        octets.unwrap_or([0; N])
    }
}
