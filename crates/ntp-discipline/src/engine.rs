//! The contract between whoever drives a clock and the maths that disciplines it.
//!
//! One `&mut` engine and a slice of per-source states that the caller owns: no allocation here, any number of sources
//! there. A source lives in a **slot**: its index never changes while it is open, a closed slot stays in the slice
//! (vacant) until it is opened again, so that an engine may keep joint state (a covariance across sources) by index.
//!
//! The caller's duties: every [`Instant`] from the same raw monotonic clock; [`Engine::handle_applied`] after every
//! change to the clock, whoever caused it, with what was really done (a refused command is told by telling nothing); a
//! server whose reference is ourselves is not handed in.

use core::fmt;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, Poll, ReferenceId, Stratum};

use crate::policy::{Policy, Refusal};
use crate::sample::Sample;
use crate::verdict::Verdict;

/// What is fixed about a source while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceOptions {
    /// Shortest poll interval to advise.
    pub min_poll: Poll,
    /// Longest poll interval to advise.
    pub max_poll: Poll,
    /// Preferred among survivors.
    pub prefer: bool,
    /// Measured and shown, never selected.
    pub no_select: bool,
    /// Whether the server smears leap seconds; `None` believes its reference id (254.x.y.z smears).
    pub smeared: Option<bool>,
}

/// Poll 6 to 10, neither preferred nor barred.
impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            min_poll: Poll::DEFAULT_MIN,
            max_poll: Poll::DEFAULT_MAX,
            prefer: false,
            no_select: false,
            smeared: None,
        }
    }
}

/// What to do next: plain data, nothing has happened yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a decision does nothing until its command is applied"]
#[non_exhaustive]
pub struct Decision {
    /// What to tell the clock; [`ClockCommand::Hold`] is nothing.
    pub command: ClockCommand,
    /// When to ask the source of this sample next.
    pub poll: Poll,
    /// What the policy kept from happening, with the numbers.
    pub refused: Option<Refusal>,
    /// Whether the intervals of other sources may have changed too: [`Engine::poll`] tells them.
    pub polls_changed: bool,
}

impl Decision {
    /// Tell the clock `command`.
    pub const fn new(command: ClockCommand, poll: Poll) -> Self {
        Self { command, poll, refused: None, polls_changed: false }
    }

    /// Leave the clock alone.
    pub const fn hold(poll: Poll) -> Self {
        Self::new(ClockCommand::Hold, poll)
    }

    /// Leave the clock alone because the policy says so.
    pub const fn refused(refusal: Refusal, poll: Poll) -> Self {
        Self { refused: Some(refusal), ..Self::hold(poll) }
    }
}

/// How far the system clock can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Status {
    /// Never set, or not for too long.
    #[default]
    Unsynchronized,
    /// Was synchronised; runs on by what it learnt, its bound growing.
    Holdover,
    /// Follows its sources.
    Synchronized,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unsynchronized => "unsynchronised",
            Self::Holdover => "holdover",
            Self::Synchronized => "synchronised",
        })
    }
}

/// What an engine knows about one source, as it stands at the instant asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SourceEstimate {
    /// What selection says of it.
    pub verdict: Verdict,
    /// Server minus our clock as it is now.
    pub offset: NtpDuration,
    /// Round-trip delay of the sample that stands for the source.
    pub delay: NtpDuration,
    /// Scatter of its offsets.
    pub jitter: NtpDuration,
    /// Error bound of the measurements, root not included: dispersion, or three standard deviations and half the delay.
    pub bound: NtpDuration,
    /// How far its time can be from true time: selection's λ.
    pub root_distance: NtpDuration,
    /// Estimated frequency of the source against our clock, where the engine makes one.
    pub frequency: Option<Frequency>,
    /// Samples held.
    pub samples: u32,
    /// When its newest sample was taken.
    pub last: Option<Instant>,
    /// How often to ask it.
    pub poll: Poll,
}

/// What an engine knows about our clock, as it stands at the instant asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SystemEstimate {
    /// How far the clock can be relied on.
    pub status: Status,
    /// Leap warning by majority; [`LeapIndicator::Unsynchronized`] unless synchronised or in holdover.
    pub leap: LeapIndicator,
    /// Our stratum: the system peer's plus one, 16 when unsynchronised.
    pub stratum: Stratum,
    /// True time minus our clock, as estimated: what is still to be corrected.
    pub offset: NtpDuration,
    /// Frequency correction in force.
    pub frequency: Frequency,
    /// The true offset lies within ± this of zero.
    pub bound: NtpDuration,
    /// Round trip to the primary reference.
    pub root_delay: NtpDuration,
    /// Error bound to the primary reference, grown to now.
    pub root_dispersion: NtpDuration,
    /// Scatter of the combined offset.
    pub jitter: NtpDuration,
    /// Scatter of the frequency.
    pub wander: Frequency,
    /// Slot of the survivor whose stratum, leap and reference the system takes on.
    pub system_peer: Option<usize>,
    /// Reference id the system peer itself names (its upstream, not its address).
    pub peer_reference: ReferenceId,
    /// Sources combined.
    pub survivors: u32,
    /// When the clock was last corrected by a measurement.
    pub updated: Option<Instant>,
    /// System poll exponent.
    pub poll: Poll,
}

/// A clock discipline over many sources: a pure state machine.
///
/// `&self` getters, `handle_*` events, and commands from the application ([`open`](Self::open),
/// [`reset`](Self::reset), [`close`](Self::close), [`preset_frequency`](Self::preset_frequency)). An index outside
/// the slice does nothing and reads as [`Verdict::Vacant`].
pub trait Engine {
    /// The state of one slot; the default is vacant.
    type Source: Default + fmt::Debug;

    /// Start a source in a slot, forgetting whatever the slot held.
    fn open(&mut self, sources: &mut [Self::Source], index: usize, options: SourceOptions);

    /// Forget what was measured, keep the source: its server restarted, its address or path changed.
    fn reset(&mut self, sources: &mut [Self::Source], index: usize);

    /// End a source; the slot becomes vacant.
    fn close(&mut self, sources: &mut [Self::Source], index: usize);

    /// Start from a known frequency correction (drift file), with its standard deviation.
    fn preset_frequency(&mut self, frequency: Frequency, deviation: Frequency);

    /// A reply that passed every check of the exchange.
    ///
    /// Samples of one source come in the order of their requests; one whose exchange straddles a step is ignored.
    fn handle_sample(&mut self, sources: &mut [Self::Source], index: usize, sample: &Sample, now: Instant) -> Decision;

    /// A request was sent: the source's reach register after its shift (bit 0 is this request, still unanswered).
    fn handle_poll(&mut self, sources: &mut [Self::Source], index: usize, reach: u8, now: Instant);

    /// What was really done to the clock.
    fn handle_applied(&mut self, sources: &mut [Self::Source], applied: &Applied);

    /// What was measured until now says nothing of our clock's offset any more: the machine slept or was restored from an
    /// image, or somebody else set its clock.
    ///
    /// Frequency and paths stay known. The clock counts as unsynchronised until it is corrected again, and corrections
    /// are counted from the start: the first may be as large as the policy lets a first one be. Requests in flight are
    /// void, as over a step.
    fn handle_discontinuity(&mut self, sources: &mut [Self::Source], now: Instant);

    /// A leap second has just passed on our clock: offsets of one second are expected until every server has followed.
    fn handle_leap(&mut self, leap: LeapIndicator, now: Instant);

    /// The time given by [`next_timeout`](Self::next_timeout) has come.
    fn handle_timeout(&mut self, sources: &mut [Self::Source], now: Instant) -> Decision;

    /// When the engine wants to act without a sample; `None` when it only waits for samples.
    fn next_timeout(&self) -> Option<Instant>;

    /// How often to ask a source. Changes with what is told of that source, at a discontinuity, and with a decision that
    /// says so.
    fn poll(&self, sources: &[Self::Source], index: usize) -> Poll;

    /// One source as it stands at `now`.
    fn source(&self, sources: &[Self::Source], index: usize, now: Instant) -> SourceEstimate;

    /// Our clock as it stands at `now`. Without updates it decays: holdover, then unsynchronised.
    fn system(&self, sources: &[Self::Source], now: Instant) -> SystemEstimate;

    /// The policy in force.
    fn policy(&self) -> &Policy;
}
