//! Learning how far the hardware clock is off and how fast it drifts, by regression over its edges. Pure.

use core::fmt;
use core::str::FromStr;
use std::collections::VecDeque;

use ntp_types::UnixTime;

use crate::rtc::Edge;

/// A straight line through what was seen: the hardware clock's time less the system's.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct RtcModel {
    /// The moment, by the hardware clock, at which `offset` holds.
    pub reference: UnixTime,
    /// Seconds by which the hardware clock was ahead of the system clock.
    pub offset: f64,
    /// Seconds it gains in a second.
    pub rate: f64,
    /// Root mean square of what the line leaves over, in seconds; 0 for a model that was read from a file.
    pub residual: f64,
    /// On how many edges it rests; 0 for a model that was read from a file.
    pub edges: usize,
}

impl RtcModel {
    /// Seconds by which the clock is ahead when it shows `rtc`.
    #[must_use]
    pub fn ahead_at(&self, rtc: UnixTime) -> f64 {
        self.offset + self.rate * seconds_between(self.reference, rtc)
    }

    /// Whether it is off by more than `limit` seconds when it shows `rtc`: time to set it.
    #[must_use]
    pub fn needs_trim(&self, rtc: UnixTime, limit: f64) -> bool {
        self.ahead_at(rtc).abs() > limit
    }
}

/// chrony's `rtcfile`: valid, reference in seconds, seconds fast, rate in ppm.
impl fmt::Display for RtcModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1 {} {:.6} {:.3}", self.reference.seconds(), self.offset, self.rate * 1e6)
    }
}

/// A text is not chrony's `rtcfile`, or one that says it holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected \"1 SECONDS OFFSET PPM\"")]
pub struct ParseRtcModelError;

impl FromStr for RtcModel {
    type Err = ParseRtcModelError;

    fn from_str(text: &str) -> Result<Self, ParseRtcModelError> {
        let mut words = text.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<f64>().ok()).filter(|number| number.is_finite());
        let mut next = || number().ok_or(ParseRtcModelError);
        let (valid, reference, offset, ppm) = (next()?, next()?, next()?, next()?);
        if valid != 1.0 || !(0.0..1e12).contains(&reference) {
            return Err(ParseRtcModelError);
        }
        #[allow(clippy::cast_possible_truncation)] // checked just above
        let reference = UnixTime::from_seconds(reference as i64);
        Ok(Self { reference, offset, rate: ppm * 1e-6, residual: 0.0, edges: 0 })
    }
}

/// Collects edges and fits the line. Bounded: the oldest of 64 gives way.
#[derive(Debug, Clone, Default)]
pub struct RtcTracker {
    edges: VecDeque<(UnixTime, f64)>,
}

const MAX_EDGES: usize = 64;

impl RtcTracker {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an edge in, the system clock being right: `scale_nanos` is what the chip's scale is ahead of UTC (its time zone).
    #[allow(clippy::cast_precision_loss)] // an offset of years to microseconds
    pub fn handle_edge(&mut self, edge: &Edge, scale_nanos: i128) {
        if self.edges.len() >= MAX_EDGES {
            self.edges.pop_front();
        }
        self.edges.push_back((edge.rtc, (edge.ahead_nanos() - scale_nanos) as f64 * 1e-9));
    }

    /// The hardware clock was set: what was seen of it before is history.
    pub fn reset(&mut self) {
        self.edges.clear();
    }

    /// The system clock was stepped by `seconds`: the offsets seen are re-expressed.
    pub fn handle_step(&mut self, seconds: f64) {
        for (_, ahead) in &mut self.edges {
            *ahead -= seconds;
        }
    }

    /// The line through all edges; `None` below three, or when they lie too close together to show a rate.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // at most 64
    pub fn model(&self) -> Option<RtcModel> {
        let &(reference, _) = self.edges.back()?;
        let count = self.edges.len() as f64;
        let points = || self.edges.iter().map(|&(rtc, ahead)| (seconds_between(reference, rtc), ahead));
        let mean_x = points().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points().map(|(_, y)| y).sum::<f64>() / count;
        let spread = points().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
        if self.edges.len() < 3 || spread < 1.0 {
            return None;
        }
        let rate = points().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
        let offset = mean_y - rate * mean_x;
        let squares = points().map(|(x, y)| (y - offset - rate * x).powi(2)).sum::<f64>();
        let residual = (squares / (count - 2.0).max(1.0)).sqrt();
        Some(RtcModel { reference, offset, rate, residual, edges: self.edges.len() })
    }
}

#[allow(clippy::cast_precision_loss)] // seconds of a lifetime to nanoseconds
fn seconds_between(from: UnixTime, to: UnixTime) -> f64 {
    (to.to_nanos() - from.to_nanos()) as f64 * 1e-9
}
