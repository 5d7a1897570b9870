//! The 48-octet header every version from 1 to 4 shares (RFC 5905 §7.3), as a value with its fields decoded.
//!
//! Apart from the [`Packet`](crate::Packet), which only borrows: take the header where fields are to be kept or made.

use core::fmt;

use ntp_types::{LeapIndicator, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, Stratum};

use crate::error::{EmitError, Field};
use crate::{Mode, Version};

/// Octets of a header.
pub const HEADER_LENGTH: usize = 48;

/// Leap indicator, version and mode: the first octet, whole.
///
/// Kept as one octet so that any octet comes back as it was, and a version or mode can never be shifted to the wrong bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lead(u8);

impl Lead {
    /// From its three parts.
    #[must_use]
    #[inline]
    pub const fn new(leap: LeapIndicator, version: Version, mode: Mode) -> Self {
        Self(leap.to_bits() << 6 | version.to_bits() << 3 | mode.to_bits())
    }

    /// From the octet.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The octet.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u8 {
        self.0
    }

    /// Whether its pair of version and mode is in `set`, one bit for each of the 64.
    #[inline(always)]
    pub(crate) const fn is_in(self, set: u64) -> bool {
        set >> (self.0 & 63) & 1 == 1
    }

    /// Leap indicator, bits 7 and 6.
    #[must_use]
    #[inline]
    pub const fn leap(self) -> LeapIndicator {
        LeapIndicator::from_bits(self.0 >> 6)
    }

    /// Version, bits 5 to 3.
    #[must_use]
    #[inline]
    pub const fn version(self) -> Version {
        Version::from_bits(self.0 >> 3)
    }

    /// Mode, bits 2 to 0.
    #[must_use]
    #[inline]
    pub const fn mode(self) -> Mode {
        Mode::from_bits(self.0)
    }
}

/// Its three parts.
impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lead").field(&self.leap()).field(&self.version()).field(&self.mode()).finish()
    }
}

/// The header's fields. Reading and writing it loses nothing: each of its values stands for exactly 48 octets.
///
/// The fields in the order of the wire. `Default` is an NTPv4 client's request with everything else zero.
///
/// Source: RFC 5905 §7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // the wire's layout is final
pub struct Header {
    /// Leap indicator, version and mode.
    pub lead: Lead,
    /// Distance to the reference in servers.
    pub stratum: Stratum,
    /// Poll interval of the sender.
    pub poll: Poll,
    /// Precision of the sender's clock.
    pub precision: Precision,
    /// Round trip delay to the reference.
    pub root_delay: NtpShort,
    /// Error bound to the reference.
    pub root_dispersion: NtpShort,
    /// The sender's source; its meaning depends on the stratum.
    pub reference_id: ReferenceId,
    /// When the sender's clock was last set or corrected.
    pub reference_timestamp: NtpTimestamp,
    /// In an answer: the request's transmit timestamp.
    pub origin_timestamp: NtpTimestamp,
    /// In an answer: when the request arrived (T2).
    pub receive_timestamp: NtpTimestamp,
    /// In an answer: when it left (T3). In a request: a nonce.
    pub transmit_timestamp: NtpTimestamp,
}

impl Header {
    /// A header of which all but the first octet is zero.
    #[must_use]
    pub const fn new(leap: LeapIndicator, version: Version, mode: Mode) -> Self {
        Self {
            lead: Lead::new(leap, version, mode),
            stratum: Stratum::UNSPECIFIED,
            poll: Poll::from_log2(0),
            precision: Precision::from_log2(0),
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::ZERO,
            reference_id: ReferenceId::UNSET,
            reference_timestamp: NtpTimestamp::UNSET,
            origin_timestamp: NtpTimestamp::UNSET,
            receive_timestamp: NtpTimestamp::UNSET,
            transmit_timestamp: NtpTimestamp::UNSET,
        }
    }

    /// From the 48 octets; every one of them is a header.
    #[must_use]
    #[inline(always)]
    #[allow(clippy::cast_possible_wrap)] // two's complement octets
    pub const fn from_bytes(bytes: &[u8; HEADER_LENGTH]) -> Self {
        // One pattern over the array: constant places, no length left to test.
        #[rustfmt::skip]
        let [
            lead, stratum, poll, precision,
            e0, e1, e2, e3, d0, d1, d2, d3, i0, i1, i2, i3,
            f0, f1, f2, f3, f4, f5, f6, f7, o0, o1, o2, o3, o4, o5, o6, o7,
            r0, r1, r2, r3, r4, r5, r6, r7, t0, t1, t2, t3, t4, t5, t6, t7,
        ] = *bytes;
        Self {
            lead: Lead::from_bits(lead),
            stratum: Stratum::from_bits(stratum),
            poll: Poll::from_log2(poll as i8),
            precision: Precision::from_log2(precision as i8),
            root_delay: NtpShort::from_bytes([e0, e1, e2, e3]),
            root_dispersion: NtpShort::from_bytes([d0, d1, d2, d3]),
            reference_id: ReferenceId::from_bytes([i0, i1, i2, i3]),
            reference_timestamp: NtpTimestamp::from_bytes([f0, f1, f2, f3, f4, f5, f6, f7]),
            origin_timestamp: NtpTimestamp::from_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            receive_timestamp: NtpTimestamp::from_bytes([r0, r1, r2, r3, r4, r5, r6, r7]),
            transmit_timestamp: NtpTimestamp::from_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
        }
    }

    /// The 48 octets.
    #[must_use]
    #[inline(always)]
    pub fn to_bytes(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        self.write(&mut bytes);
        bytes
    }

    /// Writes the 48 octets to the front of `buffer` and returns how many.
    ///
    /// # Errors
    /// [`EmitError`] when `buffer` is shorter; nothing is written then.
    #[inline(always)]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let had = buffer.len();
        let Some(front) = buffer.first_chunk_mut() else {
            return Err(EmitError::Buffer { field: Field::Header, needed: HEADER_LENGTH, had });
        };
        self.write(front);
        Ok(HEADER_LENGTH)
    }

    /// Appends the 48 octets to `buffer`.
    ///
    /// # Errors
    /// [`EmitError`] when `buffer` cannot take them; nothing is written then.
    #[cfg(feature = "bytes")]
    pub fn put(&self, buffer: &mut impl bytes::BufMut) -> Result<usize, EmitError> {
        crate::emit::put(buffer, Field::Header, &self.to_bytes())
    }

    /// Leap indicator.
    #[must_use]
    #[inline]
    pub const fn leap(&self) -> LeapIndicator {
        self.lead.leap()
    }

    /// Version.
    #[must_use]
    #[inline]
    pub const fn version(&self) -> Version {
        self.lead.version()
    }

    /// Mode.
    #[must_use]
    #[inline]
    pub const fn mode(&self) -> Mode {
        self.lead.mode()
    }

    #[inline(always)]
    #[allow(clippy::cast_sign_loss)] // two's complement octets
    fn write(&self, bytes: &mut [u8; HEADER_LENGTH]) {
        let [e0, e1, e2, e3] = self.root_delay.to_bytes();
        let [d0, d1, d2, d3] = self.root_dispersion.to_bytes();
        let [i0, i1, i2, i3] = self.reference_id.to_bytes();
        let [f0, f1, f2, f3, f4, f5, f6, f7] = self.reference_timestamp.to_bytes();
        let [o0, o1, o2, o3, o4, o5, o6, o7] = self.origin_timestamp.to_bytes();
        let [r0, r1, r2, r3, r4, r5, r6, r7] = self.receive_timestamp.to_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = self.transmit_timestamp.to_bytes();
        let [lead, stratum, poll, precision] =
            [self.lead.to_bits(), self.stratum.to_bits(), self.poll.log2() as u8, self.precision.log2() as u8];
        #[rustfmt::skip]
        let all = [
            lead, stratum, poll, precision,
            e0, e1, e2, e3, d0, d1, d2, d3, i0, i1, i2, i3,
            f0, f1, f2, f3, f4, f5, f6, f7, o0, o1, o2, o3, o4, o5, o6, o7,
            r0, r1, r2, r3, r4, r5, r6, r7, t0, t1, t2, t3, t4, t5, t6, t7,
        ];
        *bytes = all;
    }
}

impl Default for Header {
    fn default() -> Self {
        Self::new(LeapIndicator::NoWarning, Version::V4, Mode::Client)
    }
}
