//! NTP over PTP (draft-ietf-ntp-over-ptp): an NTP packet in a PTP event message, so that PTP hardware timestamps it.
//!
//! Recognised: the PTP header and the TLV's head stay octets, the NTP packet inside is given for
//! [`Packet`](crate::Packet).

use crate::truncated::{write_parts, Truncated};

/// Length of PTP header and timestamp of the event message that carries the packet, in octets.
pub const PTP_HEADER_LENGTH: usize = 44;
/// Length of the TLV's type and length.
const TLV_HEAD: usize = 4;
/// Message type Delay_Req, the low half of the first octet.
const DELAY_REQ: u8 = 1;
/// Version 2 of PTP, the low half of the second octet.
const PTP_VERSION: u8 = 2;
/// The TLV type chrony uses, taken from those free for experiments.
const TLV_NTP: [u8; 2] = [0x20, 0x23];

/// An NTP packet inside a PTP message, borrowed from its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverPtp<'a> {
    bytes: &'a [u8],
    ptp_header: &'a [u8; PTP_HEADER_LENGTH],
    ntp: &'a [u8],
    trailing: &'a [u8],
}

impl<'a> OverPtp<'a> {
    /// Reads the message; `None` when it is not one: no PTPv2 Delay_Req that carries an NTP TLV.
    ///
    /// # Errors
    /// [`Truncated`] when it is one and the packet is not all there.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Result<Self, Truncated>> {
        let (ptp_header, rest) = bytes.split_first_chunk::<PTP_HEADER_LENGTH>()?;
        let (&[t0, t1, l0, l1], rest) = rest.split_first_chunk::<TLV_HEAD>()?;
        if ptp_header[0] & 0x0f != DELAY_REQ || ptp_header[1] & 0x0f != PTP_VERSION || [t0, t1] != TLV_NTP {
            return None;
        }
        let needed = usize::from(u16::from_be_bytes([l0, l1]));
        let offset = PTP_HEADER_LENGTH + TLV_HEAD;
        Some(match rest.split_at_checked(needed) {
            Some((ntp, trailing)) => Ok(Self { bytes, ptp_header, ntp, trailing }),
            None => Err(Truncated { field: "NTP packet in PTP TLV", offset, needed, had: rest.len() }),
        })
    }

    /// The PTP header and the message's timestamp.
    #[must_use]
    pub const fn ptp_header(&self) -> &'a [u8; PTP_HEADER_LENGTH] {
        self.ptp_header
    }

    /// Where the NTP packet begins, in octets.
    #[must_use]
    pub const fn ntp_offset(&self) -> usize {
        PTP_HEADER_LENGTH + TLV_HEAD
    }

    /// The NTP packet's octets.
    #[must_use]
    pub const fn ntp(&self) -> &'a [u8] {
        self.ntp
    }

    /// What follows the TLV.
    #[must_use]
    pub const fn trailing(&self) -> &'a [u8] {
        self.trailing
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
        // The length came out of a length word of sixteen bits.
        let length = u16::try_from(self.ntp.len()).unwrap_or(u16::MAX).to_be_bytes();
        write_parts("PTP message", [self.ptp_header, &TLV_NTP, &length, self.ntp, self.trailing], out)
    }
}
