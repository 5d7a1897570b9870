//! The two log2 fields of the header: poll exponent and precision.

use core::fmt;
use core::time::Duration;

use crate::NtpDuration;

/// A poll interval as its exponent: 2ⁿ seconds.
///
/// Every octet of the wire is kept. What an association uses is bounded by [`clamp`](Self::clamp).
///
/// Source: RFC 5905 §7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Poll(i8);

impl Poll {
    /// The shortest interval this family polls at, 2⁻⁴ s. RFC 5905 names 2⁴ s; shorter ones suit a LAN.
    pub const MIN: Self = Self(-4);
    /// The longest, MAXPOLL of RFC 5905: 2¹⁷ s, 36 hours.
    pub const MAX: Self = Self(17);
    /// The shortest interval daemons use by default: 64 s.
    pub const DEFAULT_MIN: Self = Self(6);
    /// The longest interval daemons use by default: 1024 s.
    pub const DEFAULT_MAX: Self = Self(10);

    /// From the exponent.
    #[must_use]
    pub const fn from_log2(exponent: i8) -> Self {
        Self(exponent)
    }

    /// The exponent.
    #[must_use]
    pub const fn log2(self) -> i8 {
        self.0
    }

    /// The interval. Exponents below −29 count as 2⁻²⁹ s (2 ns), above 62 as 2⁶² s.
    #[must_use]
    #[allow(clippy::cast_sign_loss)] // the branch decides the sign
    pub const fn interval(self) -> Duration {
        if self.0 >= 0 {
            Duration::from_secs(1 << (if self.0 > 62 { 62 } else { self.0 as u32 }))
        } else {
            let down = if self.0 < -29 { 29 } else { -(self.0 as i32) as u32 };
            Duration::from_nanos((1_000_000_000_u64 + (1_u64 << down) / 2) >> down)
        }
    }

    /// The next longer interval.
    #[must_use]
    pub const fn longer(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The next shorter interval.
    #[must_use]
    pub const fn shorter(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Bounded to `min..=max`; when the two are crossed, `max` wins.
    #[must_use]
    pub const fn clamp(self, min: Self, max: Self) -> Self {
        let raised = if self.0 < min.0 { min } else { self };
        if raised.0 > max.0 {
            max
        } else {
            raised
        }
    }
}

/// The exponent: `6`.
impl fmt::Display for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The precision of a clock as its exponent: 2ⁿ seconds, usually −18 to −30.
///
/// Source: RFC 5905 §7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Precision(i8);

impl Precision {
    /// What clients that minimise their data send instead of their precision: +32.
    pub const UNDISCLOSED: Self = Self(32);

    /// From the exponent.
    #[must_use]
    pub const fn from_log2(exponent: i8) -> Self {
        Self(exponent)
    }

    /// The exponent.
    #[must_use]
    pub const fn log2(self) -> i8 {
        self.0
    }

    /// The precision as a span; 2⁻³² s at the least, saturating above 2³⁰ s.
    #[must_use]
    #[allow(clippy::cast_sign_loss)] // the shift lies in 0..=62
    pub const fn to_duration(self) -> NtpDuration {
        let shift = self.0 as i32 + 32;
        if shift > 62 {
            NtpDuration::MAX
        } else {
            NtpDuration::from_bits(1 << (if shift < 0 { 0 } else { shift as u32 }))
        }
    }

    /// The smallest exponent whose span is not below `step`: what a clock that advances by `step` may claim.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // −32..=31
    pub const fn of_resolution(step: NtpDuration) -> Self {
        let bits = if step.to_bits() < 1 { 1 } else { step.to_bits() as u64 };
        Self((64 - (bits - 1).leading_zeros()) as i8 - 32)
    }
}

/// That of an ordinary system clock read in user space: −24 (60 ns).
impl Default for Precision {
    fn default() -> Self {
        Self(-24)
    }
}

/// The exponent: `-24`.
impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
