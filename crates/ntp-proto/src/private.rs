//! Private messages, mode 7: what `ntpdc` speaks to old daemons. Recognised, so that a capture can be told; a server
//! drops them.
//!
//! There is no RFC: the header is that of ntpd's `ntp_request.h`. Items and authenticator stay octets, since their forms
//! depend on the request code and on the daemon's version.

use crate::truncated::Truncated;
use crate::{Mode, Version};

/// Length of the header, in octets.
pub const PRIVATE_HEADER_LENGTH: usize = 8;
/// Length of a request's data area, in octets, as dissectors count it; ntpd 4.2.8 made it 176.
pub const REQUEST_DATA_LENGTH: usize = 128;

/// The header of a private message: all eight octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PrivateHeader {
    /// R: an answer.
    pub is_response: bool,
    /// M: more packets follow.
    pub has_more: bool,
    /// Version.
    pub version: Version,
    /// A: the message carries an authenticator.
    pub is_authenticated: bool,
    /// Number of the packet in the answer: seven bits.
    pub sequence: u8,
    /// Which daemon's request codes: 0 universal, 2 old xntpd, 3 xntpd and ntpd.
    pub implementation: u8,
    /// What is asked; 42 is `monlist`.
    pub request_code: u8,
    /// Error of an answer: four bits.
    pub error: u8,
    /// How many items follow: twelve bits.
    pub item_count: u16,
    /// Must be zero: four bits.
    pub reserved: u8,
    /// Length of one item, in octets: twelve bits.
    pub item_size: u16,
}

/// A private message, borrowed from its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivatePacket<'a> {
    bytes: &'a [u8],
    header: PrivateHeader,
    data: &'a [u8],
    tail: &'a [u8],
}

impl PrivateHeader {
    /// From the eight octets; the mode bits are not judged.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; PRIVATE_HEADER_LENGTH]) -> Self {
        let [lead, order, implementation, request_code, e0, e1, s0, s1] = *bytes;
        Self {
            is_response: lead & 0x80 != 0,
            has_more: lead & 0x40 != 0,
            version: Version::from_bits(lead >> 3),
            is_authenticated: order & 0x80 != 0,
            sequence: order & 0x7f,
            implementation,
            request_code,
            error: e0 >> 4,
            item_count: u16::from_be_bytes([e0 & 0x0f, e1]),
            reserved: s0 >> 4,
            item_size: u16::from_be_bytes([s0 & 0x0f, s1]),
        }
    }

    /// The eight octets, mode 7; values wider than their field lose their upper bits.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; PRIVATE_HEADER_LENGTH] {
        let lead = (self.is_response as u8) << 7
            | (self.has_more as u8) << 6
            | self.version.to_bits() << 3
            | Mode::Private.to_bits();
        let order = (self.is_authenticated as u8) << 7 | self.sequence & 0x7f;
        let [e0, e1] = self.item_count.to_be_bytes();
        let [s0, s1] = self.item_size.to_be_bytes();
        let (e0, s0) = (self.error << 4 | e0 & 0x0f, self.reserved << 4 | s0 & 0x0f);
        [lead, order, self.implementation, self.request_code, e0, e1, s0, s1]
    }

    /// The request code's word in ntpd's sources, where it has one.
    #[must_use]
    pub const fn request_word(&self) -> Option<&'static str> {
        Some(match self.request_code {
            0 => "peer list",
            1 => "peer list summary",
            2 => "peer info",
            3 => "peer statistics",
            4 => "system info",
            5 => "system statistics",
            6 => "I/O statistics",
            7 => "memory statistics",
            8 => "loop info",
            9 => "timer statistics",
            10 => "configure",
            11 => "unconfigure",
            12 => "set system flag",
            13 => "clear system flag",
            16 => "restrict list",
            20 => "monitor list, old",
            28 => "authentication info",
            29 => "traps",
            34 => "control statistics",
            36 => "clock info",
            37 => "set clock fudge",
            38 => "kernel info",
            39 => "clock debug info",
            42 => "monitor list",
            44 => "interface statistics",
            _ => return None,
        })
    }
}

impl<'a> PrivatePacket<'a> {
    /// Reads a private message. The mode bits are not judged: [`Message`](crate::Message) sorts datagrams by them.
    ///
    /// # Errors
    /// [`Truncated`] when the header is not all there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Truncated> {
        let (head, body) = bytes.split_first_chunk().ok_or(Truncated {
            field: "private header",
            offset: 0,
            needed: PRIVATE_HEADER_LENGTH,
            had: bytes.len(),
        })?;
        let header = PrivateHeader::from_bytes(head);
        let (data, tail) = match body.split_at_checked(REQUEST_DATA_LENGTH) {
            Some(parts) if !header.is_response => parts,
            _ => (body, [].as_slice()),
        };
        Ok(Self { bytes, header, data, tail })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &PrivateHeader {
        &self.header
    }

    /// The items of an answer; of a request the first 128 octets.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// What follows a request's first 128 octets: the rest of a longer data area, a timestamp, key id and digest.
    #[must_use]
    pub const fn tail(&self) -> &'a [u8] {
        self.tail
    }

    /// All octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Writes the message again from its parts, octet for octet, and says how many octets that were.
    ///
    /// # Errors
    /// [`Truncated`] when `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, Truncated> {
        crate::truncated::write_parts("private message", [&self.header.to_bytes(), self.data, self.tail], out)
    }
}
