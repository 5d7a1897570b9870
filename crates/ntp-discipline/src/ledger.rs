//! What was really done to the clock, on the raw time base.
//!
//! A measurement says true − steered; adding what steering had put on the clock at that instant gives true − raw,
//! which no steering changes. That sum must be exact, also for an instant shortly before the last command.

use core::time::Duration;

use ntp_types::{Applied, Frequency, Instant, NtpDuration};

use crate::sample::Sample;

/// Changes remembered: enough for every exchange still under way when the clock was told something new.
const SEGMENTS: usize = 16;

/// The corrections applied to a clock as a function of raw time, **steps excluded**.
///
/// With `z = correction(sample.at()) + sample.offset` every sample since the last step measures the same quantity, true
/// time minus the raw clock; at a step of `s` an engine subtracts `s` from what it holds in these terms. Corrections
/// are exact to the rounding of 2⁻³² s per change and kept for the last 16 changes, extrapolated before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// Oldest first; the first `len` count.
    segments: [Segment; SEGMENTS],
    len: usize,
    last_step: Option<Instant>,
}

/// One stretch of time between two changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Segment {
    /// What was told, its step taken out.
    applied: Applied,
    /// Corrections by frequency accumulated before it.
    drifted: NtpDuration,
    /// Corrections by slewing accumulated before it.
    slewed: NtpDuration,
}

impl Segment {
    fn drifted(&self, at: Instant) -> NtpDuration {
        let applied = &self.applied;
        if at < applied.at {
            return self.drifted - applied.frequency.over(applied.at.since(at));
        }
        self.drifted + applied.frequency.over(at.since(applied.at))
    }

    fn slewed(&self, at: Instant) -> NtpDuration {
        let applied = &self.applied;
        self.slewed + applied.slew_rate.over(at.min(applied.slew_end).since(applied.at))
    }
}

impl Ledger {
    /// A clock nobody has touched: no correction at any instant.
    #[must_use]
    pub fn new() -> Self {
        // One stretch from the start, without correction.
        Self { segments: [Segment::default(); SEGMENTS], len: 1, last_step: None }
    }

    /// Book what was done. Entries at or after `applied.at` are superseded by it.
    pub fn handle_applied(&mut self, applied: &Applied) {
        let before = Segment {
            applied: Applied { stepped: NtpDuration::ZERO, ..*applied },
            drifted: self.drifted(applied.at),
            slewed: self.slewed(applied.at),
        };
        if applied.stepped != NtpDuration::ZERO {
            self.last_step = Some(applied.at);
        }
        let kept = self.segments.iter().take(self.len).filter(|segment| segment.applied.at < applied.at).count();
        if kept == SEGMENTS {
            self.segments.rotate_left(1);
        }
        let place = kept.min(SEGMENTS - 1);
        if let Some(slot) = self.segments.get_mut(place) {
            *slot = before;
        }
        self.len = place + 1;
    }

    /// The clock's offset has become another one at `at`, by nobody knows how much: exchanges under way mean nothing.
    pub fn handle_discontinuity(&mut self, at: Instant) {
        self.last_step = Some(at);
    }

    /// What frequency corrections and slews have added to the clock by `at` since the start.
    #[must_use]
    pub fn correction(&self, at: Instant) -> NtpDuration {
        self.segment(at).map_or(NtpDuration::ZERO, |segment| segment.drifted(at) + segment.slewed(at))
    }

    /// The part of [`correction`](Self::correction) by frequency.
    #[must_use]
    pub fn drifted(&self, at: Instant) -> NtpDuration {
        self.segment(at).map_or(NtpDuration::ZERO, |segment| segment.drifted(at))
    }

    /// The part of [`correction`](Self::correction) by slewing.
    #[must_use]
    pub fn slewed(&self, at: Instant) -> NtpDuration {
        self.segment(at).map_or(NtpDuration::ZERO, |segment| segment.slewed(at))
    }

    /// The frequency correction in force.
    #[must_use]
    pub fn frequency(&self) -> Frequency {
        self.newest().map_or(Frequency::ZERO, |segment| segment.applied.frequency)
    }

    /// What the slew under way will still add after `now`.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> NtpDuration {
        self.newest().map_or(NtpDuration::ZERO, |segment| {
            let left = segment.applied.slew_end.since(now.max(segment.applied.at));
            segment.applied.slew_rate.over(left)
        })
    }

    /// When the clock was last stepped, or lost its offset.
    #[must_use]
    pub fn last_step(&self) -> Option<Instant> {
        self.last_step
    }

    /// Whether the clock was stepped while this exchange was under way, or after it: its offset means nothing now.
    #[must_use]
    pub fn is_before_step(&self, sample: &Sample) -> bool {
        self.last_step.is_some_and(|step| sample.sent <= step)
    }

    /// How long ago the last change was booked, at `now`.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.newest().map(|segment| now.since(segment.applied.at))
    }

    fn newest(&self) -> Option<&Segment> {
        self.len.checked_sub(1).and_then(|last| self.segments.get(last))
    }

    /// The stretch `at` lies in, or the oldest known.
    fn segment(&self, at: Instant) -> Option<&Segment> {
        let known = self.segments.get(..self.len)?;
        known.iter().rev().find(|segment| segment.applied.at <= at).or_else(|| known.first())
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}
