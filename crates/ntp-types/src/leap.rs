//! The leap indicator (RFC 5905 §7.3, figure 9).

use core::fmt;
use core::str::FromStr;

use crate::ParseCodeError;

/// Warning of a leap second at the end of the current month, or that the clock is unsynchronised. Two bits, all named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LeapIndicator {
    /// No warning (0).
    #[default]
    NoWarning,
    /// The last minute of the month has 61 seconds (1).
    InsertSecond,
    /// The last minute of the month has 59 seconds (2).
    DeleteSecond,
    /// The clock is unsynchronised (3).
    Unsynchronized,
}

impl LeapIndicator {
    /// From the two low bits; the others are ignored.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NoWarning,
            1 => Self::InsertSecond,
            2 => Self::DeleteSecond,
            _ => Self::Unsynchronized,
        }
    }

    /// The two bits.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u8 {
        self as u8
    }

    /// Whether the clock that sent it is synchronised.
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::Unsynchronized)
    }
}

impl fmt::Display for LeapIndicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoWarning => "none",
            Self::InsertSecond => "insert",
            Self::DeleteSecond => "delete",
            Self::Unsynchronized => "unsynchronised",
        })
    }
}

/// The word of `Display`, or the number.
impl FromStr for LeapIndicator {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        match text {
            "none" | "0" => Ok(Self::NoWarning),
            "insert" | "1" => Ok(Self::InsertSecond),
            "delete" | "2" => Ok(Self::DeleteSecond),
            "unsynchronised" | "unsynchronized" | "3" => Ok(Self::Unsynchronized),
            _ => Err(ParseCodeError { expected: "leap indicator (none, insert, delete, unsynchronised)" }),
        }
    }
}
