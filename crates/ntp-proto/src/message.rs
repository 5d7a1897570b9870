//! Whatever stands in a datagram: the formats told apart, for dissectors and monitors.
//!
//! A client or server does not need it: it knows what it waits for and takes [`Packet`] at once.

use crate::control::ControlPacket;
use crate::error::ParseError;
use crate::over_ptp::OverPtp;
use crate::packet::{Packet, PacketKind};
use crate::private::PrivatePacket;
use crate::truncated::{write_parts, Truncated};
use crate::v5::{V5Error, V5Packet};
use crate::Version;

/// A message of any format this crate knows, borrowed from its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// A time packet, read leniently: see its [ambiguities](Packet::ambiguities).
    Time(Packet<'a>),
    /// A control message, mode 6.
    Control(ControlPacket<'a>),
    /// A private message, mode 7.
    Private(PrivatePacket<'a>),
    /// A packet of NTPv5.
    V5(V5Packet<'a>),
    /// A time packet inside a PTP message.
    OverPtp(OverPtp<'a>),
}

/// A datagram is no message of the format it begins like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Not a time packet.
    #[error(transparent)]
    Time(#[from] ParseError),
    /// Octets of another format are missing.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Not an NTPv5 packet.
    #[error(transparent)]
    V5(#[from] V5Error),
}

impl<'a> Message<'a> {
    /// Reads a datagram as captures hold it: by its first octet, and NTP over PTP by its TLV.
    ///
    /// # Errors
    /// [`MessageError`] where the octets do not suffice for the format they begin like.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MessageError> {
        if let Some(message) = OverPtp::parse(bytes) {
            return Ok(Self::OverPtp(message?));
        }
        match PacketKind::of(bytes) {
            Some(PacketKind::Control) => Ok(Self::Control(ControlPacket::parse(bytes)?)),
            Some(PacketKind::Private) => Ok(Self::Private(PrivatePacket::parse(bytes)?)),
            Some(PacketKind::UnknownVersion(Version::V5)) => Ok(Self::V5(V5Packet::parse(bytes)?)),
            _ => Ok(Self::Time(Packet::parse_lenient(bytes)?)),
        }
    }

    /// All octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Time(packet) => packet.as_bytes(),
            Self::Control(packet) => packet.as_bytes(),
            Self::Private(packet) => packet.as_bytes(),
            Self::V5(packet) => packet.as_bytes(),
            Self::OverPtp(message) => message.as_bytes(),
        }
    }

    /// Writes the message again **from its parts**, not from the octets it was read from, and says how many octets that
    /// were. They are the same octets: a dissector can prove with it that nothing was lost.
    ///
    /// # Errors
    /// [`Truncated`] when `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, Truncated> {
        match self {
            Self::Time(packet) => emit_time(packet, out),
            Self::Control(packet) => packet.emit(out),
            Self::Private(packet) => packet.emit(out),
            Self::V5(packet) => packet.emit(out),
            Self::OverPtp(message) => message.emit(out),
        }
    }
}

fn emit_time(packet: &Packet<'_>, out: &mut [u8]) -> Result<usize, Truncated> {
    let mut length = write_parts("header", [&packet.header().to_bytes()], out)?;
    let mut put = |field, head: &[u8], body: &[u8]| {
        let rest = out.get_mut(length..).unwrap_or_default();
        let written = write_parts(field, [head, body], rest);
        length += written.map_err(|error| Truncated { offset: length, ..error })?;
        Ok(())
    };
    for field in packet.extensions() {
        let [k0, k1] = field.kind.to_bits().to_be_bytes();
        // The value came out of a length word of sixteen bits that counted the head too.
        let [l0, l1] = u16::try_from(field.length()).unwrap_or(u16::MAX).to_be_bytes();
        put("extension field", &[k0, k1, l0, l1], field.value)?;
    }
    if let Some(mac) = packet.mac() {
        put("MAC", &mac.key_id.to_be_bytes(), mac.digest)?;
    }
    if packet.is_crypto_nak() {
        put("crypto-NAK", &[0; 4], &[])?;
    }
    put("trailing octets", packet.trailing(), &[])?;
    Ok(length)
}
