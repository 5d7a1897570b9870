//! Frequency of a clock against true time.

use core::fmt;
use core::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use core::time::Duration;

use crate::NtpDuration;

/// A frequency correction in seconds per second: positive makes the clock run faster.
///
/// Held as a whole number of 2⁻⁶⁰ s/s, so it has an order, is never NaN and adds exactly; ±8 s/s, arithmetic saturates.
/// The kernel's unit (2⁻¹⁶ ppm) goes through it unchanged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Frequency(i64);

const SCALE: f64 = (1_u64 << 60) as f64;

impl Frequency {
    /// No correction.
    pub const ZERO: Self = Self(0);

    /// PHI: how fast a clock that nobody steers may run wrong, 15 ppm; error bounds grow by it.
    ///
    /// Source: RFC 5905 §7.2.
    pub const TOLERANCE: Self = Self::from_ppm(15);

    /// From units of 2⁻⁶⁰ s/s.
    #[must_use]
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// In units of 2⁻⁶⁰ s/s.
    #[must_use]
    pub const fn to_bits(self) -> i64 {
        self.0
    }

    /// From a ratio in s/s (50 ppm is `50e-6`); saturates at ±8, a NaN becomes zero.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // `as` saturates
    pub fn from_ratio(ratio: f64) -> Self {
        let scaled = ratio * SCALE;
        Self((if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i64)
    }

    /// As a ratio in s/s.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // 53 bits of 60
    pub fn to_ratio(self) -> f64 {
        self.0 as f64 / SCALE
    }

    /// From whole parts per million.
    #[must_use]
    pub const fn from_ppm(ppm: i32) -> Self {
        Self::from_scaled_ppm((ppm as i64) << 16)
    }

    /// From parts per million; saturates, a NaN becomes zero.
    #[must_use]
    pub fn from_ppm_f64(ppm: f64) -> Self {
        Self::from_ratio(ppm * 1e-6)
    }

    /// In parts per million.
    #[must_use]
    pub fn to_ppm_f64(self) -> f64 {
        self.to_ratio() * 1e6
    }

    /// From the kernel's unit, 2⁻¹⁶ ppm (`timex.freq`); saturates.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // checked against both ends
    pub const fn from_scaled_ppm(scaled: i64) -> Self {
        // 2⁶⁰ / (10⁶ · 2¹⁶) = 2⁴⁴ / 10⁶, rounded to nearest.
        let half = if scaled < 0 { -500_000 } else { 500_000 };
        let bits = (((scaled as i128) << 44) + half) / 1_000_000;
        if bits > i64::MAX as i128 {
            Self(i64::MAX)
        } else if bits < i64::MIN as i128 {
            Self(i64::MIN)
        } else {
            Self(bits as i64)
        }
    }

    /// In the kernel's unit, 2⁻¹⁶ ppm, to the nearest. [`from_scaled_ppm`](Self::from_scaled_ppm) and back is the identity.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // |result| ≤ 8·10⁶·2¹⁶
    pub const fn to_scaled_ppm(self) -> i64 {
        ((self.0 as i128 * 1_000_000 + (1 << 43)) >> 44) as i64
    }

    /// The time gained in `elapsed` of true time at this frequency, to the nearest 2⁻³² s; saturates.
    #[must_use]
    pub fn over(self, elapsed: Duration) -> NtpDuration {
        // nanoseconds (at most 2^94) · 2⁻⁶⁰ s/s: in 128 bits up to 2³³ s of elapsed time, beyond it saturates.
        let nanos = i128::try_from(elapsed.as_nanos().min(1 << 63)).unwrap_or(1 << 63);
        let product = nanos * i128::from(self.0);
        let divisor = 1_000_000_000_i128 << 28;
        let half = if product < 0 { -(divisor / 2) } else { divisor / 2 };
        let bits = (product + half) / divisor;
        NtpDuration::from_bits(i64::try_from(bits).unwrap_or(if bits < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The magnitude.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// Bounded to `−limit..=limit`; a negative limit counts as its magnitude.
    #[must_use]
    pub fn clamp_abs(self, limit: Self) -> Self {
        let limit = limit.abs().0;
        Self(self.0.clamp(-limit, limit))
    }
}

impl Add for Frequency {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Frequency {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Frequency {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Frequency {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for Frequency {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl fmt::Debug for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frequency({self})")
    }
}

/// Parts per million with three decimals and sign: `+50.000 ppm`.
impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ppb = (i128::from(self.0) * 1_000_000_000 + (1 << 59)) >> 60;
        let sign = if ppb < 0 { '-' } else { '+' };
        let magnitude = ppb.unsigned_abs();
        write!(f, "{sign}{}.{:03} ppm", magnitude / 1_000, magnitude % 1_000)
    }
}
