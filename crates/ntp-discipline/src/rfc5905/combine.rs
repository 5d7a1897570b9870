//! Combining (RFC 5905 §11.2.3): the survivors' weighted mean.

use ntp_types::NtpDuration;

use super::cluster::Truechimer;

/// The survivors' common opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combined {
    /// Mean of their offsets, weighted by 1 / λ.
    pub offset: NtpDuration,
    /// Weighted RMS distance of their offsets to that of the first.
    pub jitter: NtpDuration,
}

/// Combine survivors, the system peer first; `None` without any.
///
/// θ = Σ(θ_i / λ_i) / Σ(1 / λ_i), jitter = √(Σ((θ_i − θ_0)² / λ_i) / Σ(1 / λ_i)). The mean is taken about θ_0, so that
/// offsets of years keep their nanoseconds.
///
/// Source: RFC 5905 §11.2.3.
#[must_use]
pub fn combine(survivors: &[Truechimer]) -> Option<Combined> {
    let first = survivors.first()?;
    let (mut weights, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for survivor in survivors {
        // Half a unit of 2⁻³² s stands for a distance of zero.
        let weight = 1.0 / survivor.root_distance.to_seconds_f64().max(1e-10);
        let difference = (survivor.offset - first.offset).to_seconds_f64();
        weights += weight;
        mean += weight * difference;
        squares += weight * difference * difference;
    }
    Some(Combined {
        offset: first.offset + NtpDuration::from_seconds_f64(mean / weights),
        jitter: NtpDuration::from_seconds_f64(libm::sqrt(squares / weights)),
    })
}
