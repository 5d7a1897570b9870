//! One source as the RFC's peer process sees it: its filter, the sample that stands for it, its distance.

use ntp_types::{Instant, NtpDuration, Poll, Precision, Reference};

use super::constants::{FREQUENCY_TOLERANCE, MINIMUM_DISPERSION};
use super::filter::{ClockFilter, Filtered, Tuple};
use super::popcorn::is_spike;
use crate::engine::SourceOptions;
use crate::sample::{Sample, ServerState};
use crate::verdict::Verdict;

/// The state of one slot of [`super::Engine`].
///
/// Offsets are held on the clock *without slews*: what the clock was slewed until a sample was taken is added to its
/// offset, so that a slew under way changes nothing here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Source {
    /// `None` is a vacant slot.
    pub(super) options: Option<SourceOptions>,
    pub(super) server: ServerState,
    reach: u8,
    /// Polls since it was opened.
    polls: u32,
    pub(super) verdict: Verdict,
    pub(super) last: Option<Instant>,
    filter: ClockFilter,
    used: Option<Filtered>,
}

impl Source {
    pub(super) fn opened(options: SourceOptions) -> Self {
        Self { options: Some(options), verdict: Verdict::Pending, ..Self::default() }
    }

    /// Forgets what was measured.
    pub(super) fn start_over(&mut self) {
        if let Some(options) = self.options {
            *self = Self { server: self.server, reach: self.reach, polls: self.polls, ..Self::opened(options) };
        }
    }

    /// What selection says of it.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The clock filter.
    #[must_use]
    pub const fn filter(&self) -> &ClockFilter {
        &self.filter
    }

    /// The sample that stands for the source.
    #[must_use]
    pub const fn used(&self) -> Option<&Filtered> {
        self.used.as_ref()
    }

    /// Take a sample in; `slewed` is what the clock had been slewed by when it was taken.
    pub(super) fn handle_sample(
        &mut self,
        sample: &Sample,
        slewed: NtpDuration,
        (precision, poll): (Precision, Poll),
        now: Instant,
    ) {
        let at = sample.at();
        self.server = sample.server;
        self.reach |= 1;
        self.last = Some(at);
        let offset = sample.offset + slewed;
        self.filter.push(Tuple { offset, delay: sample.delay, dispersion: sample.dispersion, at: Some(at) }, now);
        self.refresh(precision, poll);
    }

    /// A poll went out; a dummy goes in when the last three were not answered.
    pub(super) fn handle_poll(&mut self, reach: u8, (precision, poll): (Precision, Poll), now: Instant) {
        self.reach = reach;
        self.polls = self.polls.saturating_add(1);
        if reach & 7 == 0 {
            self.filter.push(Tuple::DUMMY, now);
            self.refresh(precision, poll);
        }
    }

    /// The filter's best becomes the sample that stands for the source, if it is newer and no spike.
    fn refresh(&mut self, precision: Precision, poll: Poll) {
        let Some(best) = self.filter.best(precision) else {
            self.used = None;
            return;
        };
        match &mut self.used {
            // Never a sample older than the last one used, and no spike; the register's dispersion counts all the same.
            Some(used) if best.at < used.at || (best.at > used.at && is_spike(used, &best, poll.interval())) => {
                used.dispersion = best.dispersion;
            }
            used => *used = Some(best),
        }
    }

    /// Follow a changed clock.
    pub(super) fn shift_offsets(&mut self, mut change: impl FnMut(Instant) -> NtpDuration) {
        if let Some(used) = &mut self.used {
            used.offset += change(used.at);
        }
        self.filter.shift_offsets(change);
    }

    /// λ: how far its time can be from true time.
    ///
    /// max(MINDISP, root delay + δ) / 2 + root dispersion + ε + Φ·(now − t) + jitter.
    pub(super) fn root_distance(&self, now: Instant) -> Option<NtpDuration> {
        let used = self.used?;
        let round_trip = (self.server.root_delay.to_duration() + used.delay).max(MINIMUM_DISPERSION);
        let aged = FREQUENCY_TOLERANCE.over(now.since(used.at));
        let root_dispersion = self.server.root_dispersion.to_duration();
        Some(round_trip.half() + root_dispersion + used.dispersion + aged + used.jitter)
    }

    /// Whether only the dispersion of missing samples keeps its distance above `allowed`.
    pub(super) fn is_near(&self, allowed: NtpDuration) -> bool {
        let Some(used) = self.used else { return false };
        let round_trip = self.server.root_delay.to_duration() + used.delay;
        round_trip.half() + self.server.root_dispersion.to_duration() + used.jitter <= allowed
    }

    /// Whether the last eight polls went unanswered.
    pub(super) fn is_unreachable(&self) -> bool {
        self.reach == 0 && self.polls >= u8::BITS
    }

    /// Whether its server smears leap seconds, by configuration or by its reference id.
    pub(super) fn is_smeared(&self) -> bool {
        let shown = matches!(self.server.reference_id.describe(self.server.stratum), Reference::Smear(_));
        self.options.and_then(|options| options.smeared).unwrap_or(shown)
    }
}
