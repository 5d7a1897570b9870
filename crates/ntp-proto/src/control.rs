//! Control messages, mode 6 (RFC 9327): how `ntpq` reads and writes a daemon's variables.
//!
//! | you want to | take |
//! |---|---|
//! | read a message | [`ControlPacket::parse`] |
//! | write one | [`ControlHeader`] and [`emit`], with a key `emit_authenticated` (feature `mac`) |
//! | know what a status word says | [`SystemStatus`], [`PeerStatus`], [`ClockStatus`] |
//! | put the fragments of an answer together | [`Assembly`] |
//! | read `name=value, …` | [`Variables`] |
//!
//! The authenticator is where ntpd looks for it: after the data padded to a multiple of eight octets, a key id and a digest
//! of 16 or 20 octets, covering everything before. Whatever else follows the data is padding, kept as it stands: daemons
//! leave old octets in it.

mod assembly;
mod code;
mod status;
mod variables;

use ntp_types::LeapIndicator;

pub use assembly::{Assembly, AssemblyError, MAX_SPANS};
pub use code::{ClockEvent, ClockSource, ControlErrorCode, Opcode, PeerEvent, Selection, SystemEvent};
pub use status::{ClockStatus, PeerStatus, SystemStatus};
pub use variables::{Variable, VariableError, Variables};

use crate::truncated::write_parts;
pub use crate::truncated::Truncated;
use crate::{Mode, Version};

/// Length of the header, in octets.
pub const CONTROL_HEADER_LENGTH: usize = 12;
/// The most data one message carries, in octets (RFC 9327 §2).
pub const MAX_DATA: usize = 468;
/// To what multiple the data is padded before an authenticator, counted from the start of the message, in octets.
const AUTHENTICATED_ALIGNMENT: usize = 8;
/// To what multiple it is padded otherwise (RFC 9327 §2), in octets.
const ALIGNMENT: usize = 4;
/// Digest lengths of an authenticator: MD5 and CMAC, and whatever is cut to SHA-1's length.
const DIGEST_LENGTHS: [usize; 2] = [16, MAX_CONTROL_DIGEST];
/// The longest digest of an authenticator, in octets; ntpd cuts longer ones.
const MAX_CONTROL_DIGEST: usize = 20;

/// The header of a control message: all twelve octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ControlHeader {
    /// Leap bits. ntpd's `ntpq` sends 0, ntpsec's 3; they mean nothing here.
    pub leap: LeapIndicator,
    /// Version; `ntpq` sends 2.
    pub version: Version,
    /// R: an answer.
    pub is_response: bool,
    /// E: the answer is an error, see [`error`](Self::error).
    pub is_error: bool,
    /// M: more fragments follow.
    pub has_more: bool,
    /// What is asked.
    pub opcode: Opcode,
    /// Pairs answers with questions.
    pub sequence: u16,
    /// Status word of the system, of the association or of the clock, by opcode and association; an error code when E is set.
    pub status: u16,
    /// Which association is meant; 0 is the system.
    pub association: u16,
    /// Where this fragment's data begins in the whole, in octets.
    pub offset: u16,
    /// How long this fragment's data is, in octets.
    pub count: u16,
}

/// A control message, borrowed from its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlPacket<'a> {
    bytes: &'a [u8],
    header: ControlHeader,
    data: &'a [u8],
    padding: &'a [u8],
    authenticator: Option<Authenticator<'a>>,
}

/// Key id and digest at the end of a control message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authenticator<'a> {
    /// The key id.
    pub key_id: u32,
    /// The digest.
    pub digest: &'a [u8],
}

/// A control message does not fit where it should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlEmitError {
    /// The data is longer than one message carries.
    #[error("{had} octets of data, one message carries {MAX_DATA}")]
    Data {
        /// Octets given.
        had: usize,
    },
    /// The buffer is too short.
    #[error(transparent)]
    Buffer(#[from] Truncated),
}

impl ControlHeader {
    /// A request in the form `ntpq` sends it: version 2, everything unsaid zero.
    #[must_use]
    pub fn request(opcode: Opcode, sequence: u16, association: u16) -> Self {
        Self { version: Version::V2, opcode, sequence, association, ..Self::default() }
    }

    /// From the twelve octets; the mode bits are not judged.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; CONTROL_HEADER_LENGTH]) -> Self {
        let [lead, operation, s0, s1, t0, t1, a0, a1, o0, o1, c0, c1] = *bytes;
        Self {
            leap: LeapIndicator::from_bits(lead >> 6),
            version: Version::from_bits(lead >> 3),
            is_response: operation & 0x80 != 0,
            is_error: operation & 0x40 != 0,
            has_more: operation & 0x20 != 0,
            opcode: Opcode::from_bits(operation),
            sequence: u16::from_be_bytes([s0, s1]),
            status: u16::from_be_bytes([t0, t1]),
            association: u16::from_be_bytes([a0, a1]),
            offset: u16::from_be_bytes([o0, o1]),
            count: u16::from_be_bytes([c0, c1]),
        }
    }

    /// The twelve octets, mode 6.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; CONTROL_HEADER_LENGTH] {
        let lead = self.leap.to_bits() << 6 | self.version.to_bits() << 3 | Mode::Control.to_bits();
        let operation = (self.is_response as u8) << 7
            | (self.is_error as u8) << 6
            | (self.has_more as u8) << 5
            | self.opcode.to_bits();
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1] = self.status.to_be_bytes();
        let [a0, a1] = self.association.to_be_bytes();
        let [o0, o1] = self.offset.to_be_bytes();
        let [c0, c1] = self.count.to_be_bytes();
        [lead, operation, s0, s1, t0, t1, a0, a1, o0, o1, c0, c1]
    }

    /// The error of an answer whose E bit is set: the high octet of the status word.
    #[must_use]
    pub const fn error(&self) -> Option<ControlErrorCode> {
        if self.is_error {
            let [high, _] = self.status.to_be_bytes();
            Some(ControlErrorCode::from_bits(high))
        } else {
            None
        }
    }
}

impl<'a> ControlPacket<'a> {
    /// Reads a control message. The mode bits are not judged: [`Message`](crate::Message) sorts datagrams by them.
    ///
    /// # Errors
    /// [`Truncated`] when the header or the data it announces is not all there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Truncated> {
        let (head, body) = bytes.split_first_chunk().ok_or(Truncated {
            field: "control header",
            offset: 0,
            needed: CONTROL_HEADER_LENGTH,
            had: bytes.len(),
        })?;
        let header = ControlHeader::from_bytes(head);
        let (data, tail) = body.split_at_checked(usize::from(header.count)).ok_or(Truncated {
            field: "control data",
            offset: CONTROL_HEADER_LENGTH,
            needed: usize::from(header.count),
            had: body.len(),
        })?;
        let (padding, authenticator) = match split_authenticator(data.len(), tail) {
            Some((padding, authenticator)) => (padding, Some(authenticator)),
            None => (tail, None),
        };
        Ok(Self { bytes, header, data, padding, authenticator })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &ControlHeader {
        &self.header
    }

    /// The data, as long as the header says.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// What follows the data, up to the authenticator or the end.
    #[must_use]
    pub const fn padding(&self) -> &'a [u8] {
        self.padding
    }

    /// Key id and digest.
    #[must_use]
    pub const fn authenticator(&self) -> Option<Authenticator<'a>> {
        self.authenticator
    }

    /// The octets an authenticator covers: header, data and padding.
    #[must_use]
    pub fn authenticated(&self) -> &'a [u8] {
        let length = CONTROL_HEADER_LENGTH + self.data.len() + self.padding.len();
        self.bytes.get(..length).unwrap_or(self.bytes)
    }

    /// All octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The data as variables.
    #[must_use]
    pub const fn variables(&self) -> Variables<'a> {
        Variables::new(self.data)
    }

    /// Checks the authenticator's digest under `key`, in constant time; `None` when there is no authenticator.
    #[cfg(feature = "mac")]
    #[must_use]
    pub fn verify(&self, key: &crate::mac::Key) -> Option<Result<(), crate::mac::MacError>> {
        let authenticator = self.authenticator?;
        let computed = key.digest(self.authenticated()).truncated(MAX_CONTROL_DIGEST);
        Some(key.compare(&computed, authenticator.digest))
    }

    /// Writes the message again from its parts, octet for octet, and says how many octets that were.
    ///
    /// # Errors
    /// [`Truncated`] when `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, Truncated> {
        let header = self.header.to_bytes();
        let key_id = self.authenticator.map(|authenticator| authenticator.key_id.to_be_bytes());
        let key_id = key_id.as_ref().map_or([].as_slice(), <[u8; 4]>::as_slice);
        let digest = self.authenticator.map_or([].as_slice(), |authenticator| authenticator.digest);
        write_parts("control message", [&header, self.data, self.padding, key_id, digest], out)
    }
}

/// Writes a message without authenticator: header (its count set to the data's length), data, zeros up to a multiple of
/// four octets. Says how many octets it wrote.
///
/// # Errors
/// [`ControlEmitError`] when the data is too long for one message or `out` too short.
pub fn emit(header: &ControlHeader, data: &[u8], out: &mut [u8]) -> Result<usize, ControlEmitError> {
    emit_padded(header, data, ALIGNMENT, out)
}

/// Writes a message with the authenticator of `key`, as `ntpq` does. Says how many octets it wrote.
///
/// # Errors
/// As [`emit`].
#[cfg(feature = "mac")]
pub fn emit_authenticated(
    header: &ControlHeader,
    data: &[u8],
    key_id: u32,
    key: &crate::mac::Key,
    out: &mut [u8],
) -> Result<usize, ControlEmitError> {
    let length = emit_padded(header, data, AUTHENTICATED_ALIGNMENT, out)?;
    let (covered, rest) = out.split_at_mut_checked(length).unwrap_or_default();
    let digest = key.digest(covered).truncated(MAX_CONTROL_DIGEST);
    let written = write_parts("authenticator", [&key_id.to_be_bytes(), digest.as_bytes()], rest);
    Ok(length + written.map_err(|error| Truncated { offset: length, ..error })?)
}

fn emit_padded(
    header: &ControlHeader,
    data: &[u8],
    alignment: usize,
    out: &mut [u8],
) -> Result<usize, ControlEmitError> {
    let too_long = ControlEmitError::Data { had: data.len() };
    let count = u16::try_from(data.len()).map_err(|_| too_long)?;
    if data.len() > MAX_DATA {
        return Err(too_long);
    }
    let header = ControlHeader { count, ..*header }.to_bytes();
    let zeros = [0; AUTHENTICATED_ALIGNMENT];
    let padding = zeros.get(..padding_after(data.len(), alignment)).unwrap_or_default();
    Ok(write_parts("control message", [&header, data, padding], out)?)
}

/// Octets that lift header and data to a multiple of `alignment`.
const fn padding_after(data: usize, alignment: usize) -> usize {
    let length = CONTROL_HEADER_LENGTH + data;
    length.next_multiple_of(alignment) - length
}

/// Padding and authenticator, where the octets after the data are just that many.
fn split_authenticator(data: usize, tail: &[u8]) -> Option<(&[u8], Authenticator<'_>)> {
    let (padding, rest) = tail.split_at_checked(padding_after(data, AUTHENTICATED_ALIGNMENT))?;
    let (key_id, digest) = rest.split_first_chunk()?;
    let is_digest = DIGEST_LENGTHS.contains(&digest.len());
    is_digest.then_some((padding, Authenticator { key_id: u32::from_be_bytes(*key_id), digest }))
}
