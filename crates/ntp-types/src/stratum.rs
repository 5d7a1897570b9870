//! Stratum: how many servers stand between a clock and the reference (RFC 5905 §7.3, figure 11).

use core::fmt;
use core::str::FromStr;

use crate::ParseCodeError;

/// The stratum octet, every value kept.
///
/// 0 is unspecified (or a kiss-o'-death), 1 a primary server, 2–15 secondary, 16 unsynchronised, 17–255 reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Stratum(u8);

impl Stratum {
    /// Unspecified, or a kiss-o'-death: 0 on the wire. An unsynchronised server sends it for 16.
    pub const UNSPECIFIED: Self = Self(0);
    /// A server with a reference clock of its own.
    pub const PRIMARY: Self = Self(1);
    /// Unsynchronised: MAXSTRAT of RFC 5905.
    pub const UNSYNCHRONIZED: Self = Self(16);

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

    /// Whether a server of this stratum can be synchronised to: 1 to 15.
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        matches!(self.0, 1..=15)
    }

    /// The stratum of a clock synchronised to this one; 16 at the end, and for a server that is not synchronised.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.is_synchronized() {
            Self(self.0 + 1)
        } else {
            Self::UNSYNCHRONIZED
        }
    }

    /// As it goes on the wire: 16 and above become 0 (RFC 5905 §7.3).
    #[must_use]
    pub const fn on_wire(self) -> Self {
        if self.0 >= 16 {
            Self::UNSPECIFIED
        } else {
            self
        }
    }
}

/// The number.
impl fmt::Display for Stratum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Stratum {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        text.parse().map(Self).map_err(|_| ParseCodeError { expected: "stratum (0 to 255)" })
    }
}
