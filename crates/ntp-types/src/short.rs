//! The 32-bit short format (RFC 5905 §6): root delay and root dispersion.

use core::fmt;

use crate::NtpDuration;

/// An unsigned span of 16.16 seconds: 0 to 65 536 s, resolution 15.26 µs.
///
/// It carries bounds (root delay, root dispersion), so conversions into it round **up** and saturate: a bound never
/// becomes smaller on the way.
///
/// Source: RFC 5905 §6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct NtpShort(u32);

impl NtpShort {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The longest span, 65 536 s − 2⁻¹⁶ s.
    pub const MAX: Self = Self(u32::MAX);

    /// From units of 2⁻¹⁶ s.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// In units of 2⁻¹⁶ s.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// From the field's four octets.
    #[must_use]
    #[inline]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    /// The field's four octets.
    #[must_use]
    #[inline]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// The same span, exactly.
    #[must_use]
    pub const fn to_duration(self) -> NtpDuration {
        NtpDuration::from_bits((self.0 as i64) << 16)
    }

    /// The smallest short span that is not below `duration`; a negative one becomes zero, a too long one saturates.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked against both ends
    pub const fn from_duration(duration: NtpDuration) -> Self {
        let bits = duration.to_bits();
        if bits <= 0 {
            return Self::ZERO;
        }
        let units = ((bits - 1) >> 16) + 1;
        if units > u32::MAX as i64 {
            Self::MAX
        } else {
            Self(units as u32)
        }
    }
}

impl From<NtpShort> for NtpDuration {
    fn from(short: NtpShort) -> Self {
        short.to_duration()
    }
}

impl fmt::Debug for NtpShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NtpShort({self} s)")
    }
}

/// Seconds with six decimals: `0.031250`.
impl fmt::Display for NtpShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = (u64::from(self.0) * 1_000_000 + (1 << 15)) >> 16;
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}
