//! The version number (RFC 5905 §7.3): three bits, every value kept.

use core::fmt;
use core::str::FromStr;

use ntp_types::ParseCodeError;

/// The protocol version of a packet. Three bits: it can hold no other.
///
/// 1 to 4 share one header layout; 5 (a draft) has another; 0, 6 and 7 are unassigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u8);

impl Version {
    /// NTPv1 (RFC 1059), which had no mode field.
    pub const V1: Self = Self(1);
    /// NTPv2 (RFC 1119).
    pub const V2: Self = Self(2);
    /// NTPv3 (RFC 1305), SNTP.
    pub const V3: Self = Self(3);
    /// NTPv4 (RFC 5905).
    pub const V4: Self = Self(4);
    /// NTPv5, a draft: recognised, not read.
    pub const V5: Self = Self(5);

    /// From the three low bits; the others are ignored.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 7)
    }

    /// The three bits.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u8 {
        self.0
    }

    /// Whether the header has the layout of RFC 5905: versions 1 to 4.
    #[must_use]
    #[inline]
    pub const fn is_known(self) -> bool {
        matches!(self.0, 1..=4)
    }

    /// Whether extension fields may follow the header: version 4. Before it, what follows is a MAC.
    #[must_use]
    #[inline]
    pub const fn has_extensions(self) -> bool {
        self.0 == 4
    }
}

/// 4.
impl Default for Version {
    fn default() -> Self {
        Self::V4
    }
}

/// The number.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number, 0 to 7.
impl FromStr for Version {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        match text.parse() {
            Ok(bits @ 0..=7) => Ok(Self(bits)),
            _ => Err(ParseCodeError { expected: "version (0 to 7)" }),
        }
    }
}
