//! The 64-bit timestamp of the wire (RFC 5905 §6): seconds and fraction since the start of an era it does not name.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

use crate::{NtpDuration, UnixTime};

/// Seconds from 1900-01-01T00:00:00Z to 1970-01-01T00:00:00Z.
pub(crate) const UNIX_EPOCH: i64 = 2_208_988_800;

/// A 64-bit NTP timestamp: unsigned 32.32 seconds since the start of an era that is not on the wire.
///
/// It has no order and no date: only differences have meaning ([`since`](Self::since), modulo 2⁶⁴ and read as signed,
/// ±68 years), and a date needs a pivot ([`to_unix`](Self::to_unix)). All bits zero means *unset* in every era and is
/// never a date. Additions wrap across eras, as the field does.
///
/// Source: RFC 5905 §6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct NtpTimestamp(u64);

impl NtpTimestamp {
    /// The timestamp that says "unknown": all bits zero.
    pub const UNSET: Self = Self(0);

    /// From the field as one number.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The field as one number.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// From the field's eight octets.
    #[must_use]
    #[inline]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// The field's eight octets.
    #[must_use]
    #[inline]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// From seconds of an era and a fraction in units of 2⁻³² s.
    #[must_use]
    pub const fn new(seconds: u32, fraction: u32) -> Self {
        Self((seconds as u64) << 32 | fraction as u64)
    }

    /// Seconds since the start of the era.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the upper half, whole
    pub const fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Fraction of the second, in units of 2⁻³² s (232.8 ps).
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the lower half, whole
    pub const fn fraction(self) -> u32 {
        self.0 as u32
    }

    /// Whether this is the "unknown" timestamp.
    #[must_use]
    #[inline]
    pub const fn is_unset(self) -> bool {
        self.0 == 0
    }

    /// The difference `self − earlier`, modulo 2⁶⁴ and read as signed: right while the two lie within 68 years.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_wrap)] // the wrap is the definition
    pub const fn since(self, earlier: Self) -> NtpDuration {
        NtpDuration::from_bits(self.0.wrapping_sub(earlier.0) as i64)
    }

    /// Whether `self` lies after `other`, both taken within 68 years of each other.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.since(other).to_bits() > 0
    }

    /// This timestamp moved by `duration`, across eras if need be.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_sign_loss)] // two's complement
    pub const fn wrapping_add(self, duration: NtpDuration) -> Self {
        Self(self.0.wrapping_add(duration.to_bits() as u64))
    }

    /// The timestamp of a calendar time, fraction rounded to nearest. The era is dropped.
    ///
    /// A time whose field would be all zero (the first instant of an era) becomes 2⁻³² s, because zero means unset.
    #[must_use]
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)] // the era is dropped on purpose
    pub const fn from_unix(time: UnixTime) -> Self {
        let seconds = time.seconds().wrapping_add(UNIX_EPOCH) as u64;
        // Rounding can reach no further than the last fraction of the same second: 999 999 999 ns is 4.29 units short.
        let fraction = (((time.nanos() as u64) << 32) + 500_000_000) / 1_000_000_000;
        let bits = (seconds << 32) | fraction;
        Self(if bits == 0 { 1 } else { bits })
    }

    /// The calendar time within 68 years of `pivot`, to the nearest nanosecond; `None` when unset.
    ///
    /// `pivot` is any time known to be near: the machine's clock, or the build date of the program.
    #[must_use]
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // modulo an era
    pub const fn to_unix(self, pivot: UnixTime) -> Option<UnixTime> {
        if self.is_unset() {
            return None;
        }
        let pivot_seconds = pivot.seconds().wrapping_add(UNIX_EPOCH) as u32;
        let ahead = self.seconds().wrapping_sub(pivot_seconds) as i32;
        let nanos = ((self.fraction() as u64 * 1_000_000_000) + (1 << 31)) >> 32;
        let (carry, nanos) = if nanos == 1_000_000_000 { (1, 0) } else { (0, nanos as u32) };
        match pivot.seconds().checked_add(ahead as i64 + carry) {
            Some(seconds) => UnixTime::new(seconds, nanos),
            None => None,
        }
    }
}

impl Sub for NtpTimestamp {
    type Output = NtpDuration;

    /// [`since`](NtpTimestamp::since).
    #[inline]
    fn sub(self, earlier: Self) -> NtpDuration {
        self.since(earlier)
    }
}

impl Add<NtpDuration> for NtpTimestamp {
    type Output = Self;

    #[inline]
    fn add(self, duration: NtpDuration) -> Self {
        self.wrapping_add(duration)
    }
}

impl Sub<NtpDuration> for NtpTimestamp {
    type Output = Self;

    #[inline]
    #[allow(clippy::cast_sign_loss)] // two's complement
    fn sub(self, duration: NtpDuration) -> Self {
        Self(self.0.wrapping_sub(duration.to_bits() as u64))
    }
}

impl AddAssign<NtpDuration> for NtpTimestamp {
    #[inline]
    fn add_assign(&mut self, duration: NtpDuration) {
        *self = *self + duration;
    }
}

impl SubAssign<NtpDuration> for NtpTimestamp {
    #[inline]
    fn sub_assign(&mut self, duration: NtpDuration) {
        *self = *self - duration;
    }
}

impl fmt::Debug for NtpTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NtpTimestamp({:08x}.{:08x})", self.seconds(), self.fraction())
    }
}

/// Sixteen hexadecimal digits, the way `ntpq` shows a raw timestamp: `eeaec3d6.d2992605`.
impl fmt::Display for NtpTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}.{:08x}", self.seconds(), self.fraction())
    }
}
