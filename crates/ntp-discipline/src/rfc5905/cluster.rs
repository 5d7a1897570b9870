//! Clustering (RFC 5905 §11.2.2): of the truechimers, those that agree best.

use ntp_types::{NtpDuration, Stratum};

use super::constants::{MAXIMUM_DISTANCE, MINIMUM_SURVIVORS};
use crate::total::sort;

/// A truechimer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Truechimer {
    /// Whose it is: kept for the caller, and the last to decide an order.
    pub index: usize,
    /// Offset θ.
    pub offset: NtpDuration,
    /// Jitter of its own samples.
    pub jitter: NtpDuration,
    /// Root distance λ.
    pub root_distance: NtpDuration,
    /// Its stratum.
    pub stratum: Stratum,
    /// Never cast off.
    pub prefer: bool,
}

impl Truechimer {
    /// Order of preference: stratum first, then root distance, then the slot, so that no two are equal.
    ///
    /// Source: RFC 5905 §11.2.2 (metric = stratum · MAXDIST + λ).
    fn metric(&self) -> (i128, usize) {
        let distance = i128::from(self.stratum.to_bits()) * i128::from(MAXIMUM_DISTANCE.to_bits());
        (distance + i128::from(self.root_distance.to_bits()), self.index)
    }
}

/// Order `truechimers` by preference and move the outliers behind the survivors; returns how many survive.
///
/// The one with the largest selection jitter (RMS distance to the others) is cast off while that jitter is not below
/// the smallest of their own jitters, and more than NMIN are left. The first survivor is the RFC's system peer.
///
/// # Example
/// ```
/// use ntp_discipline::rfc5905::cluster::{cluster, Truechimer};
/// use ntp_types::{NtpDuration, Stratum};
///
/// let micros = |n: i64| NtpDuration::from_nanos(n * 1_000);
/// let source = |index, offset| Truechimer {
///     index,
///     offset: micros(offset),
///     jitter: micros(20),
///     root_distance: micros(5_000),
///     stratum: Stratum::PRIMARY,
///     prefer: false,
/// };
/// let mut sources = [source(0, 10), source(1, 900), source(2, 12), source(3, 11)];
/// assert_eq!(cluster(&mut sources), 3);
/// assert_eq!(sources[3].index, 1); // the outlier
/// ```
/// Source: RFC 5905 §11.2.2.
pub fn cluster(truechimers: &mut [Truechimer]) -> usize {
    sort(truechimers, |a, b| a.metric() < b.metric());
    let mut survivors = truechimers.len();
    while survivors > MINIMUM_SURVIVORS {
        let Some(list) = truechimers.get_mut(..survivors) else { break };
        let least = list.iter().map(|one| one.jitter).min().unwrap_or(NtpDuration::ZERO);
        // The largest selection jitter is that of the one farthest from the mean, exactly: Σ (θ_j − θ_i)² =
        // n (θ_i − mean)² + a constant. Of equals the later one goes: it is the less preferred.
        let sum: i128 = list.iter().map(|one| i128::from(one.offset.to_bits())).sum();
        let from_mean = |one: &Truechimer| (i128::from(one.offset.to_bits()) * survivors as i128 - sum).abs();
        let worst = list.iter().enumerate().max_by_key(|(_, one)| from_mean(one));
        let Some((place, jitter, prefer)) = worst.map(|(place, one)| (place, selection_jitter(one, list), one.prefer))
        else {
            break;
        };
        if jitter < least.to_seconds_f64() || prefer {
            break;
        }
        if let Some(tail @ [_, ..]) = list.get_mut(place..) {
            tail.rotate_left(1);
        }
        survivors -= 1;
    }
    survivors
}

/// ψ = √(Σ (θ_j − θ_i)² / (n − 1)) in seconds.
#[must_use]
pub fn selection_jitter(one: &Truechimer, all: &[Truechimer]) -> f64 {
    let mut squares = 0.0;
    for other in all {
        let difference = (other.offset - one.offset).to_seconds_f64();
        squares += difference * difference;
    }
    let others = u32::try_from(all.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
    libm::sqrt(squares / f64::from(others))
}
