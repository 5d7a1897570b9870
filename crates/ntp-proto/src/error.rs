//! What goes wrong when reading and writing: which field, where, what it needed, what it had.

use core::fmt;

use crate::{Mode, Version};

/// A part of a packet, as errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The 48 octets every time packet begins with.
    Header,
    /// The three version bits of the first octet.
    Version,
    /// The three mode bits of the first octet.
    Mode,
    /// The length word of an extension field.
    ExtensionLength,
    /// An extension field.
    Extension,
    /// What follows the header or the last extension field: nothing, a MAC or a crypto-NAK.
    Mac,
    /// The key id of a crypto-NAK.
    KeyId,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Header => "header",
            Self::Version => "version",
            Self::Mode => "mode",
            Self::ExtensionLength => "extension field length",
            Self::Extension => "extension field",
            Self::Mac => "MAC",
            Self::KeyId => "key id of a crypto-NAK",
        })
    }
}

/// What a field needed, as errors say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Needed {
    /// That many octets, or more.
    Octets(u32),
    /// A version with the layout of RFC 5905.
    KnownVersion,
    /// A mode that carries time.
    TimeMode,
    /// A length that a field can have (RFC 7822 §7.5.1): 16 or more, a multiple of 4.
    FieldLength,
    /// A length that a MAC of version 4 can have (RFC 7822 §7.5.1.4).
    MacLength,
    /// A length that a MAC of versions 1 to 3 is known to have.
    LegacyMacLength,
    /// Zero: four octets are a crypto-NAK, whose key id is 0 (RFC 5905 §9.2).
    Zero,
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Octets(octets) => write!(f, "{octets} octets"),
            Self::KnownVersion => f.write_str("1 to 4"),
            Self::TimeMode => f.write_str("0 to 5"),
            Self::FieldLength => f.write_str("a multiple of 4 from 16 up"),
            Self::MacLength => f.write_str("0, 4, 20 or 24 octets"),
            Self::LegacyMacLength => f.write_str("0, 4, 12, 20, 24, 32, 36, 52, 68 or 72 octets"),
            Self::Zero => f.write_str("0"),
        }
    }
}

/// Octets are not a packet: where the first fault is, what was needed there and what was found.
///
/// ```
/// # use ntp_proto::Packet;
/// let error = Packet::parse(&[0x23; 47]).unwrap_err();
/// assert_eq!(error.to_string(), "header at octet 0: needed 48 octets, had 47");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{field} at octet {offset}: needed {needed}, had {had}")]
#[non_exhaustive]
pub struct ParseError {
    /// Which field.
    pub field: Field,
    /// Where it begins, in octets from the start of the packet.
    pub offset: usize,
    /// What it needed.
    pub needed: Needed,
    /// What it had: octets that were left, or the value found.
    pub had: usize,
}

/// A packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The buffer is too short; nothing of that field was written.
    #[error("{field}: needed {needed} octets of buffer, had {had}")]
    Buffer {
        /// Which field did not fit.
        field: Field,
        /// Octets it takes.
        needed: usize,
        /// Octets that were left.
        had: usize,
    },
    /// The answer would be longer than the request, which would make the server an amplifier.
    #[error("{field}: an answer of {needed} octets to a request of {had}")]
    LongerThanRequest {
        /// Which field did not fit.
        field: Field,
        /// Octets the answer would have.
        needed: usize,
        /// Octets the request had.
        had: usize,
    },
    /// A value longer than a field's length word can say.
    #[error("extension field: a value of {had} octets, at most {most} fit")]
    ValueTooLong {
        /// Octets of the value.
        had: usize,
        /// Octets that fit.
        most: usize,
    },
    /// The header is not one of time: version 1 to 4, mode 0 to 5.
    #[error("not a time packet: version {version}, mode {mode}")]
    NotTime {
        /// The header's version.
        version: Version,
        /// The header's mode.
        mode: Mode,
    },
    /// Only version 4 has extension fields.
    #[error("extension field in a packet of version {version}")]
    NoExtensions {
        /// The packet's version.
        version: Version,
    },
    /// A MAC of that length could not be told from something else by who reads it.
    #[error("MAC of {had} octets: needed {needed}")]
    MacLength {
        /// Octets of key id and digest.
        had: usize,
        /// The lengths that can be read again.
        needed: Needed,
    },
}
