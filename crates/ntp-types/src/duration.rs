//! Signed spans of time on the exact 2³² scale of the timestamps.

use core::fmt;
use core::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use core::time::Duration;

/// A signed span of time: 32.32 seconds, ±68 years, resolution 232.8 ps.
///
/// Arithmetic saturates: a span too long to hold stays the longest, so that a bound never becomes a small number and
/// nothing overflows. The scale is exactly 2³²: nanoseconds → `NtpDuration` → nanoseconds is the identity.
///
/// Source: RFC 5905 §6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct NtpDuration(i64);

/// A span that would have to be non-negative is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("negative duration {0} s")]
pub struct NegativeDuration(pub NtpDuration);

const SCALE: f64 = 4_294_967_296.0;
/// Finer than the unit.
const DECIMALS: u128 = 10_000_000_000;

impl NtpDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span, 2³¹ s − 2⁻³² s.
    pub const MAX: Self = Self(i64::MAX);
    /// The longest negative span, −2³¹ s.
    pub const MIN: Self = Self(i64::MIN);
    /// One second.
    pub const SECOND: Self = Self(1 << 32);

    /// From units of 2⁻³² s.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// In units of 2⁻³² s.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> i64 {
        self.0
    }

    /// From whole seconds.
    #[must_use]
    pub const fn from_seconds(seconds: i32) -> Self {
        Self((seconds as i64) << 32)
    }

    /// From nanoseconds, to the nearest unit; saturates beyond ±68 years.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // checked against both ends
    pub const fn from_nanos(nanos: i64) -> Self {
        let scaled = (nanos as i128) << 32;
        let half = if nanos < 0 { -500_000_000 } else { 500_000_000 };
        let bits = (scaled + half) / 1_000_000_000;
        if bits > i64::MAX as i128 {
            Self::MAX
        } else if bits < i64::MIN as i128 {
            Self::MIN
        } else {
            Self(bits as i64)
        }
    }

    /// In nanoseconds, to the nearest; never out of range.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // 2³¹ s are 2.1·10¹⁸ ns, inside i64
    pub const fn to_nanos(self) -> i64 {
        ((self.0 as i128 * 1_000_000_000 + (1 << 31)) >> 32) as i64
    }

    /// From seconds as a float; saturates, and a NaN becomes zero.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // `as` saturates
    pub fn from_seconds_f64(seconds: f64) -> Self {
        let scaled = seconds * SCALE;
        Self((if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i64)
    }

    /// In seconds as a float; exact up to 2²¹ s (24 days), then to 53 significant bits.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // stated
    pub fn to_seconds_f64(self) -> f64 {
        self.0 as f64 / SCALE
    }

    /// From a `core` duration, to the nearest unit; saturates.
    #[must_use]
    pub fn from_std(duration: Duration) -> Self {
        i64::try_from(duration.as_nanos()).map_or(Self::MAX, Self::from_nanos)
    }

    /// As a `core` duration.
    ///
    /// # Errors
    /// [`NegativeDuration`] when it is negative.
    pub fn to_std(self) -> Result<Duration, NegativeDuration> {
        u64::try_from(self.to_nanos()).map(Duration::from_nanos).map_err(|_| NegativeDuration(self))
    }

    /// The magnitude as a `core` duration.
    #[must_use]
    pub const fn unsigned_abs(self) -> Duration {
        Duration::from_nanos(self.to_nanos().unsigned_abs())
    }

    /// The magnitude; that of [`MIN`](Self::MIN) saturates.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// Whether it is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Half of it, rounded towards zero.
    #[must_use]
    pub const fn half(self) -> Self {
        Self(self.0 / 2)
    }

    /// The sum, saturating.
    #[must_use]
    #[inline]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, saturating.
    #[must_use]
    #[inline]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// For people: signed, three to four significant digits, with its unit: `+12.3 µs`, `-1.250 s`.
    #[must_use]
    pub const fn human(self) -> Human {
        Human(self)
    }
}

impl Add for NtpDuration {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl Sub for NtpDuration {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl AddAssign for NtpDuration {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for NtpDuration {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for NtpDuration {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl TryFrom<NtpDuration> for Duration {
    type Error = NegativeDuration;
    fn try_from(duration: NtpDuration) -> Result<Self, NegativeDuration> {
        duration.to_std()
    }
}

impl From<Duration> for NtpDuration {
    /// [`from_std`](NtpDuration::from_std): saturates.
    fn from(duration: Duration) -> Self {
        Self::from_std(duration)
    }
}

/// Signed seconds with ten decimals, in which any two durations differ: `NtpDuration(+0.0001234560 s)`.
impl fmt::Debug for NtpDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let decimals = (u128::from(self.0.unsigned_abs()) * DECIMALS + (1 << 31)) >> 32;
        write!(f, "NtpDuration({sign}{}.{:010} s)", decimals / DECIMALS, decimals % DECIMALS)
    }
}

/// Signed seconds with nine decimals: `+0.000123456`.
impl fmt::Display for NtpDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.to_nanos();
        let sign = if nanos < 0 { '-' } else { '+' };
        let magnitude = nanos.unsigned_abs();
        write!(f, "{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000)
    }
}

/// A duration shown for people; made by [`NtpDuration::human`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Human(NtpDuration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.to_nanos();
        let sign = if nanos < 0 { '-' } else { '+' };
        let n = nanos.unsigned_abs();
        // Whole and thousandth part of the unit that leaves one to three digits before the point.
        let (whole, thousandths, unit) = match n {
            0..=999 => return write!(f, "{sign}{n} ns"),
            1_000..=999_999 => (n / 1_000, n % 1_000, "µs"),
            1_000_000..=999_999_999 => (n / 1_000_000, n / 1_000 % 1_000, "ms"),
            _ => (n / 1_000_000_000, n / 1_000_000 % 1_000, "s"),
        };
        match whole {
            0..=9 => write!(f, "{sign}{whole}.{thousandths:03} {unit}"),
            10..=99 => write!(f, "{sign}{whole}.{:02} {unit}", thousandths / 10),
            _ => write!(f, "{sign}{whole}.{} {unit}", thousandths / 100),
        }
    }
}
