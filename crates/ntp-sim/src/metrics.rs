//! What a run is judged by.

/// One second of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// System clock minus true time, in seconds.
    pub error: f64,
    /// The rate at which it runs ahead, in seconds per second, slews included.
    pub frequency: f64,
    /// The bound the client claims for `error`, when it claims to be synchronised or in holdover.
    pub bound: Option<f64>,
}

/// How long an error must stay below a threshold to count as having come under it, in seconds.
const STAYS: usize = 60;

/// The figures of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// Root mean square of the true error after settling, in seconds.
    pub rms: f64,
    /// 95th percentile of its magnitude.
    pub p95: f64,
    /// Its largest magnitude.
    pub max: f64,
    /// Root mean square of the frequency error after settling, slews included, in seconds per second.
    pub rms_frequency: f64,
    /// Seconds until the error came under 1 ms and stayed there for a minute.
    pub to_1ms: Option<u32>,
    /// The same for 0.1 ms.
    pub to_100us: Option<u32>,
    /// Seconds from the end of the scenario's event until the error was under 1 ms and stayed there for a minute.
    pub recovery: Option<u32>,
    /// Requests sent after settling.
    pub packets: u32,
    /// Requests sent in all.
    pub packets_in_all: u32,
    /// Seconds in which the error lay outside the claimed bound, from the first claim on.
    pub violations: u32,
    /// Seconds with a claim.
    pub claims: u32,
    /// Steps of the clock, the first one included.
    pub steps: u32,
}

impl Metrics {
    /// The same with the time to recover from what was over at `event`.
    #[must_use]
    pub fn recovered(self, seconds: &[Second], event: Option<u32>) -> Self {
        let from = event.and_then(|event| usize::try_from(event).ok());
        Self { recovery: from.and_then(|from| time_to(seconds.get(from..)?, 1e-3)), ..self }
    }

    /// The figures of a run of `seconds`, of which the first `settle` are left out where the field says so.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // counts of seconds
    pub fn of(seconds: &[Second], settle: usize) -> Self {
        let settled = seconds.get(settle..).unwrap_or_default();
        let mut magnitudes: Vec<f64> = settled.iter().map(|second| second.error.abs()).collect();
        magnitudes.sort_by(f64::total_cmp);
        let n = settled.len().max(1) as f64;
        let claims = seconds.iter().filter(|second| second.bound.is_some()).count() as u32;
        let violations = seconds.iter().filter(|second| second.bound.is_some_and(|b| second.error.abs() > b)).count();
        Self {
            rms: libm::sqrt(settled.iter().map(|s| s.error * s.error).sum::<f64>() / n),
            p95: magnitudes.get(magnitudes.len() * 95 / 100).copied().unwrap_or_default(),
            max: magnitudes.last().copied().unwrap_or_default(),
            rms_frequency: libm::sqrt(settled.iter().map(|s| s.frequency * s.frequency).sum::<f64>() / n),
            to_1ms: time_to(seconds, 1e-3),
            to_100us: time_to(seconds, 1e-4),
            recovery: None,
            violations: violations as u32,
            claims,
            packets: 0,
            packets_in_all: 0,
            steps: 0,
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // counts of seconds
fn time_to(seconds: &[Second], threshold: f64) -> Option<u32> {
    let mut since = 0;
    for (at, second) in seconds.iter().enumerate() {
        if second.error.abs() >= threshold {
            since = at + 1;
        } else if at + 1 - since >= STAYS {
            return Some(since as u32);
        }
    }
    None
}

/// The median of some figures; not a number when there are none.
#[must_use]
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = sorted.get((sorted.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN);
    0.5 * (lower + upper)
}

/// The geometric mean of some positive figures; not a number when there are none.
#[must_use]
pub fn geometric_mean(figures: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, n) = figures.into_iter().fold((0.0, 0_u32), |(sum, n), figure| (sum + libm::log(figure), n + 1));
    libm::exp(sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_known_run() {
        let run: Vec<Second> = (0..200)
            .map(|at| Second {
                error: if at < 50 { 0.01 } else { 5e-4 },
                frequency: 1e-6,
                bound: (at >= 20).then_some(1e-3),
            })
            .collect();
        let metrics = Metrics::of(&run, 100);
        assert!((metrics.rms - 5e-4).abs() < 1e-12 && (metrics.rms_frequency - 1e-6).abs() < 1e-15);
        assert_eq!((metrics.to_1ms, metrics.to_100us), (Some(50), None));
        assert_eq!((metrics.claims, metrics.violations), (180, 30));
        let rising = |at: u32| Second { error: -f64::from(at), frequency: 0.0, bound: None };
        let rising = Metrics::of(&(0..200).map(rising).collect::<Vec<_>>(), 100);
        assert_eq!((rising.p95, rising.max), (195.0, 199.0));
        assert_eq!((metrics.recovery, metrics.recovered(&run, Some(30)).recovery), (None, Some(20)));
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert!((geometric_mean([1.0, 4.0]) - 2.0).abs() < 1e-12);
    }
}
