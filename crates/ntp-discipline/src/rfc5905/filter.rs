//! The clock filter (RFC 5905 §10): of the last eight samples of a source, the one that waited least.
//!
//! Where the skeleton (A.5.2) errs or is silent: dispersions age since the last *shift* (the skeleton ages since the last
//! sample *used*, several times over); a dummy has the delay MAXDISP (the skeleton's 0 would sort first); the sums start
//! from zero; jitter is that of erratum 5600, over measured samples only.

use ntp_types::{Instant, NtpDuration};

use super::constants::{FILTER_STAGES, FREQUENCY_TOLERANCE, MAXIMUM_DISPERSION};
use crate::total::sort;

/// One stage of the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Offset θ.
    pub offset: NtpDuration,
    /// Delay δ.
    pub delay: NtpDuration,
    /// Dispersion ε, as of the last shift.
    pub dispersion: NtpDuration,
    /// When it was measured; `None` for a dummy.
    pub at: Option<Instant>,
}

impl Tuple {
    /// What stands for a missing sample: (0, MAXDISP, MAXDISP, 0).
    pub const DUMMY: Self =
        Self { offset: NtpDuration::ZERO, delay: MAXIMUM_DISPERSION, dispersion: MAXIMUM_DISPERSION, at: None };
}

/// The sample the filter stands for, and what the whole register says of its quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filtered {
    /// Offset of the sample with the least delay.
    pub offset: NtpDuration,
    /// Its delay.
    pub delay: NtpDuration,
    /// Σ ε_i / 2^(i+1) over the register in order of delay.
    pub dispersion: NtpDuration,
    /// √(Σ (θ_0 − θ_j)² / (n − 1)) over the n measured samples, not below the precision.
    pub jitter: NtpDuration,
    /// When the sample was measured.
    pub at: Instant,
}

/// The eight-stage shift register.
///
/// Source: RFC 5905 §10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFilter {
    /// Newest first.
    stages: [Tuple; FILTER_STAGES],
    shifted: Option<Instant>,
}

impl ClockFilter {
    /// Eight dummies.
    #[must_use]
    pub const fn new() -> Self {
        Self { stages: [Tuple::DUMMY; FILTER_STAGES], shifted: None }
    }

    /// Shift in a tuple at `now`, the others age by PHI since the last shift.
    ///
    /// # Example
    /// ```
    /// use ntp_discipline::rfc5905::filter::{ClockFilter, Tuple};
    /// use ntp_types::{Instant, NtpDuration, Precision};
    ///
    /// let mut filter = ClockFilter::new();
    /// for (second, offset, delay) in [(0, 3, 9), (64, 1, 4), (128, 7, 30)] {
    ///     let now = Instant::from_nanos(second * 1_000_000_000);
    ///     let millis = |n: i64| NtpDuration::from_nanos(n * 1_000_000);
    ///     let (offset, delay, dispersion) = (millis(offset), millis(delay), NtpDuration::ZERO);
    ///     filter.push(Tuple { offset, delay, dispersion, at: Some(now) }, now);
    /// }
    /// let best = filter.best(Precision::default()).unwrap();
    /// assert_eq!(best.offset.human().to_string(), "+1.000 ms"); // it waited 4 ms only
    /// ```
    pub fn push(&mut self, tuple: Tuple, now: Instant) {
        let elapsed = self.shifted.map_or(core::time::Duration::ZERO, |shifted| now.since(shifted));
        let aged = FREQUENCY_TOLERANCE.over(elapsed);
        self.stages.rotate_right(1);
        let mut stages = self.stages.iter_mut();
        if let Some(newest) = stages.next() {
            *newest = tuple;
        }
        for stage in stages {
            stage.dispersion = (stage.dispersion + aged).min(MAXIMUM_DISPERSION);
        }
        self.shifted = Some(self.shifted.map_or(now, |shifted| shifted.max(now)));
    }

    /// Move every measured offset by what `change` says for its instant: how a filter follows a changed clock.
    pub fn shift_offsets(&mut self, mut change: impl FnMut(Instant) -> NtpDuration) {
        for stage in &mut self.stages {
            if let Some(at) = stage.at {
                stage.offset += change(at);
            }
        }
    }

    /// The measured samples held.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.stages.iter().filter(|stage| stage.at.is_some()).count()
    }

    /// Whether no dummy is held.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.samples() == FILTER_STAGES
    }

    /// The register, newest first.
    #[must_use]
    pub const fn stages(&self) -> &[Tuple; FILTER_STAGES] {
        &self.stages
    }

    /// The sample with the least delay, of equals the newest; `None` when only dummies are held.
    #[must_use]
    pub fn best(&self, precision: ntp_types::Precision) -> Option<Filtered> {
        let mut sorted = self.stages.each_ref();
        let rank = |stage: &Tuple| (stage.at.is_none(), stage.delay, core::cmp::Reverse(stage.at));
        sort(&mut sorted, |a, b| rank(a) < rank(b));
        let best = *sorted.first()?;
        let at = best.at?;
        let mut dispersion = NtpDuration::ZERO;
        for stage in sorted.iter().rev() {
            // Horner's form of the sum, exact to the last halving.
            dispersion = (dispersion + stage.dispersion).half();
        }
        let mut squares = 0.0;
        let mut others = 0.0;
        for stage in sorted.iter().skip(1).filter(|stage| stage.at.is_some()) {
            let difference = (best.offset - stage.offset).to_seconds_f64();
            squares += difference * difference;
            others += 1.0;
        }
        let jitter = if others > 0.0 { libm::sqrt(squares / others) } else { 0.0 };
        let jitter = NtpDuration::from_seconds_f64(jitter).max(precision.to_duration());
        Some(Filtered { offset: best.offset, delay: best.delay, dispersion, jitter, at })
    }
}

impl Default for ClockFilter {
    fn default() -> Self {
        Self::new()
    }
}
