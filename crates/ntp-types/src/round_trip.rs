//! The on-wire arithmetic of one exchange (RFC 5905 §8).

use crate::{NtpDuration, NtpTimestamp};

/// The four timestamps of one exchange, T1 and T4 by the client's clock, T2 and T3 by the server's.
///
/// Differences are taken modulo 2⁶⁴ first, so the era does not matter; right while the two clocks lie within 68 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RoundTrip {
    /// Client's transmission, by the client's clock: the true one, not the nonce on the wire.
    pub t1: NtpTimestamp,
    /// Server's reception, by the server's clock.
    pub t2: NtpTimestamp,
    /// Server's transmission, by the server's clock.
    pub t3: NtpTimestamp,
    /// Client's reception, by the client's clock.
    pub t4: NtpTimestamp,
}

impl RoundTrip {
    /// Server's clock minus client's: `((T2 − T1) + (T3 − T4)) / 2`, rounded towards zero. **Positive: we are behind.**
    ///
    /// Source: RFC 5905 §8.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // half of a sum of two i64 is an i64
    pub const fn offset(self) -> NtpDuration {
        let sum = self.t2.since(self.t1).to_bits() as i128 + self.t3.since(self.t4).to_bits() as i128;
        NtpDuration::from_bits((sum / 2) as i64)
    }

    /// Time spent on the network, both ways: `(T4 − T1) − (T3 − T2)`; saturates. May come out negative.
    ///
    /// Source: RFC 5905 §8.
    #[must_use]
    #[inline]
    pub const fn delay(self) -> NtpDuration {
        self.elapsed().saturating_sub(self.t3.since(self.t2))
    }

    /// Time the client waited, `T4 − T1`.
    #[must_use]
    pub const fn elapsed(self) -> NtpDuration {
        self.t4.since(self.t1)
    }
}
