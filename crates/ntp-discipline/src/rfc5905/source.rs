//! One source of the engine: its peer process, what its server says, whether it answers.

use ntp_types::{Instant, NtpDuration, Poll, Precision, Reference};

use super::filter::{ClockFilter, Filtered, Tuple};
use super::peer::Peer;
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
    peer: Peer,
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
        self.peer.filter()
    }

    /// The sample that stands for the source.
    #[must_use]
    pub const fn used(&self) -> Option<&Filtered> {
        self.peer.used()
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
        let tuple = Tuple { offset, delay: sample.delay, dispersion: sample.dispersion, at: Some(at) };
        self.peer.push(tuple, now, precision, poll.interval());
    }

    /// A poll went out; a dummy goes in when the last three were not answered.
    pub(super) fn handle_poll(&mut self, reach: u8, (precision, poll): (Precision, Poll), now: Instant) {
        self.reach = reach;
        self.polls = self.polls.saturating_add(1);
        if reach & 7 == 0 {
            self.peer.push(Tuple::DUMMY, now, precision, poll.interval());
        }
    }

    /// Follow a changed clock.
    pub(super) fn shift_offsets(&mut self, change: impl FnMut(Instant) -> NtpDuration) {
        self.peer.shift_offsets(change);
    }

    /// λ: how far its time can be from true time.
    pub(super) fn root_distance(&self, now: Instant) -> Option<NtpDuration> {
        self.peer.root_distance(&self.server, now)
    }

    /// Whether only the dispersion of missing samples keeps its distance above `allowed`.
    pub(super) fn is_near(&self, allowed: NtpDuration) -> bool {
        let Some(used) = self.used() else { return false };
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
