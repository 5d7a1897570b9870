//! The RFC's engine: every stage in its place, behind the contract of [`crate::engine::Engine`].
//!
//! Different from the RFC: after a step or a change of frequency the filters re-express what they hold instead of
//! forgetting it; leap warnings are put to the vote of the truechimers instead of believed from the system peer; what a
//! step, a panic or a rate may be is the policy's ([`Governor`]); the phase is paid out as one slew for each
//! poll interval instead of one adjustment a second, and quickly, as ntpd does, until the loop has followed for the stepout
//! time. With several sources the first correction waits until those
//! still pending could not turn the majority, and during a burst until filters are full: with four samples of eight
//! every source says ±1 s, and a falseticker half a second off is one of the majority. As in the RFC the clock is corrected when the system peer has a
//! newer sample, by the offset that all survivors combine to.

use core::time::Duration;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, Poll, Precision};

use super::clock_loop::{ClockLoop, LoopOptions, Outcome, State};
use super::constants::FREQUENCY_TOLERANCE;
use super::huffpuff::HuffPuff;
use super::source::Source;
use super::system::{select, Limits, Selected};
use super::variables::Variables;
use crate::engine::{self, Decision, SourceEstimate, SourceOptions, SystemEstimate};
use crate::ledger::Ledger;
use crate::policy::{Governor, Leave, Policy, PolicyError, Refusal};
use crate::sample::Sample;
use crate::total::bounded;
use crate::verdict::Verdict;

/// A source that answered within this is waited for before the first correction, if it is not yet judged.
const START_WAIT: Duration = Duration::from_secs(16);

/// How long after the first sample full filters are waited for: long enough for a burst of eight.
const START_LIMIT: Duration = Duration::from_secs(32);

/// The phase is paid out by pieces of at most this while the loop starts: two of its time constants then.
const START_PIECE: Duration = Duration::from_secs(64);

/// How far the clock's frequency may lie from the loop's before the loop adopts it: above the kernel's rounding.
const FREQUENCY_ROUNDING: Frequency = Frequency::from_scaled_ppm(8);

/// What the RFC's engine can be told beside its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Precision of our clock.
    pub precision: Precision,
    /// Whether to correct for congestion in one direction (huff-n'-puff).
    pub huffpuff: bool,
}

/// The discipline of RFC 5905.
#[derive(Debug, Clone, Copy)]
pub struct Engine {
    pub(super) governor: Governor,
    options: Options,
    pub(super) ledger: Ledger,
    pub(super) discipline: ClockLoop,
    huffpuff: HuffPuff,
    /// The slew being paid out.
    pub(super) plan: Option<Plan>,
    /// The poll that sources were last told to be asked at, within their bounds.
    told: Poll,
    /// A command went out, and nothing is known of what came of it.
    asked: bool,
    /// A frequency preset and not yet told to the clock.
    preset: Option<Frequency>,
    /// The newest sample the clock was corrected by, or could have been.
    processed: Option<Instant>,
    /// When the first sample came.
    started: Option<Instant>,
    /// When the loop began to follow.
    following: Option<Instant>,
    pub(super) peer: Option<usize>,
    pub(super) survivors: u32,
    pub(super) leap: LeapIndicator,
    /// Since the last update.
    pub(super) variables: Option<Variables>,
}

/// Leave to pay out an offset, and how far that has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    leave: Leave,
    /// What the clock had been slewed by when the residual was last brought up to date.
    pub(super) settled: NtpDuration,
    next: Option<Instant>,
}

impl Engine {
    /// An engine that has seen nothing.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy contradicts itself.
    pub fn new(policy: Policy, options: Options) -> Result<Self, PolicyError> {
        let governor = Governor::new(policy)?;
        let loop_options = LoopOptions {
            step_threshold: policy.step_threshold,
            stepout: policy.stepout,
            // The governor refuses before the loop would.
            panic_threshold: NtpDuration::MAX,
            maximum_frequency: policy.maximum_frequency,
            precision: options.precision,
        };
        Ok(Self {
            governor,
            options,
            ledger: Ledger::new(),
            discipline: ClockLoop::new(loop_options, Poll::MIN),
            huffpuff: HuffPuff::new(),
            plan: None,
            told: Poll::MIN,
            asked: false,
            preset: None,
            processed: None,
            started: None,
            following: None,
            peer: None,
            survivors: 0,
            leap: LeapIndicator::NoWarning,
            variables: None,
        })
    }

    /// The state of the loop.
    #[must_use]
    pub const fn state(&self) -> State {
        self.discipline.state()
    }

    /// The loop.
    #[must_use]
    pub const fn discipline(&self) -> &ClockLoop {
        &self.discipline
    }

    /// Select anew and take on what was found.
    fn select(&mut self, sources: &mut [Source], now: Instant) -> Selected {
        let policy = self.governor.policy();
        let distance = policy.maximum_distance + FREQUENCY_TOLERANCE.over(self.discipline.poll().interval());
        let limits = Limits { distance, smear: policy.smear, waiting: START_WAIT };
        let selected = select(sources, limits, self.ledger.slewed(now), self.peer, now);
        self.peer = selected.opinion.map(|(peer, _)| peer);
        self.survivors = selected.survivors;
        if selected.opinion.is_some() {
            self.leap = selected.leap;
        }
        selected
    }

    /// Correct the clock by what the survivors say, if the system peer has something new (RFC 5905 A.5.5.4).
    fn update(&mut self, sources: &[Source], selected: &Selected, poll: Poll, now: Instant) -> Decision {
        let Some((peer, opinion)) = selected.opinion else {
            if selected.candidates == 0 {
                return Decision::hold(poll);
            }
            return Decision::refused(Refusal::NoMajority { candidates: selected.candidates }, poll);
        };
        let Some(source) = sources.get(peer) else { return Decision::hold(poll) };
        let (Some(used), Some(options)) = (source.used(), source.options) else { return Decision::hold(poll) };
        if self.processed.is_some_and(|processed| processed >= used.at) {
            return Decision::hold(poll);
        }
        // What the others hold is up to eight polls old, in which a clock of unknown frequency drifts.
        let is_measuring = self.discipline.state() == State::Frequency;
        let offset = if is_measuring { used.offset - self.ledger.slewed(now) } else { opinion.offset };
        let offset = self.uncongested(offset, used.delay, now);
        if self.governor.corrections() == 0 {
            if let Err(refusal) = self.start(selected, now) {
                return Decision::refused(refusal, poll);
            }
        }
        if let Err(refusal) = self.governor.check(offset, selected.truechimers, now) {
            return Decision::refused(refusal, poll);
        }
        self.processed = Some(used.at);
        self.forget_refused();
        self.settle(now);
        let is_step = match self.discipline.update(offset, used.at, (options.min_poll, options.max_poll)) {
            Outcome::Ignore | Outcome::Panic => return Decision::hold(poll),
            Outcome::Slew => false,
            Outcome::Step => true,
        };
        let leave = match self.governor.admit(offset, selected.truechimers, now) {
            Ok(leave) => leave,
            Err(refusal) => return Decision::refused(refusal, poll),
        };
        self.preset = None;
        if is_step {
            // Unsynchronised until the next update shows that the step arrived.
            self.variables = None;
        } else if self.discipline.state() == State::Synchronized {
            self.following.get_or_insert(now);
            self.variables = Some(Variables::updated(source, used, &opinion, now));
        }
        self.plan = Some(Plan { leave, settled: self.ledger.slewed(now), next: None });
        let mut refused = None;
        if is_step {
            match self.governor.step(leave, self.discipline.frequency()) {
                Ok(command) => {
                    self.plan = None;
                    return Decision::new(command, poll);
                }
                Err(refusal) => {
                    refused = Some(refusal);
                    self.discipline.slew_instead(offset);
                }
            }
        }
        Decision { refused, ..Decision::new(self.pay(now), poll) }
    }

    /// A decision that goes out.
    fn remember(&mut self, decision: Decision) -> Decision {
        self.asked |= decision.command != ClockCommand::Hold;
        let poll = self.discipline.poll();
        Decision { polls_changed: core::mem::replace(&mut self.told, poll) != poll, ..decision }
    }

    /// The offset as it would be without a queue in one direction, if that is to be corrected for.
    fn uncongested(&mut self, offset: NtpDuration, delay: NtpDuration, now: Instant) -> NtpDuration {
        if !self.options.huffpuff {
            return offset;
        }
        self.huffpuff.handle_delay(delay, now);
        self.huffpuff.correct(offset, delay)
    }

    /// Whether enough is known for the first correction.
    fn start(&self, selected: &Selected, now: Instant) -> Result<(), Refusal> {
        let contenders = selected.candidates + selected.pending;
        let required = contenders / 2 + 1;
        if selected.truechimers < required {
            return Err(Refusal::Quorum { agreeing: selected.truechimers, required });
        }
        let is_burst = self.started.is_some_and(|started| now.since(started) < START_LIMIT);
        if contenders > 1 && selected.filling > 0 && is_burst {
            return Err(Refusal::Settling { filling: selected.filling });
        }
        Ok(())
    }

    /// Where the clock did nothing of what it was last asked for, nothing follows from that: the loop starts again from how
    /// the clock runs.
    fn forget_refused(&mut self) {
        if core::mem::take(&mut self.asked) {
            self.discipline.restart();
            self.discipline.adopt_frequency(self.ledger.frequency());
        }
    }

    /// Book in the loop what the clock has really been slewed by.
    fn settle(&mut self, now: Instant) {
        let slewed = self.ledger.slewed(now);
        if let Some(plan) = &mut self.plan {
            self.discipline.paid(slewed - plan.settled);
            plan.settled = slewed;
        }
    }

    /// The command that pays out the next poll interval's share of the residual.
    fn pay(&mut self, now: Instant) -> ClockCommand {
        let frequency = self.discipline.frequency();
        let stepout = self.governor.policy().stepout;
        let is_starting = self.following.map_or(true, |following| now.since(following) < stepout);
        let Some(plan) = &mut self.plan else { return self.governor.run_at(frequency) };
        let mut interval = self.discipline.poll().interval();
        let part = if is_starting {
            interval = interval.min(START_PIECE);
            self.discipline.due_at_start(interval)
        } else {
            self.discipline.due(interval)
        };
        plan.next = (part != NtpDuration::ZERO).then_some(now + interval);
        self.governor.slew(plan.leave, part, interval, frequency)
    }

    /// Poll advice for a source with these options.
    pub(super) fn advice(&self, options: &SourceOptions) -> Poll {
        bounded(self.discipline.poll(), options.min_poll, options.max_poll)
    }
}

impl engine::Engine for Engine {
    type Source = Source;

    fn open(&mut self, sources: &mut [Source], index: usize, options: SourceOptions) {
        if let Some(source) = sources.get_mut(index) {
            *source = Source::opened(options);
        }
    }

    fn reset(&mut self, sources: &mut [Source], index: usize) {
        if let Some(source) = sources.get_mut(index) {
            *source = source.options.map_or_else(Source::default, Source::opened);
        }
        if self.peer == Some(index) {
            self.peer = None;
        }
    }

    fn close(&mut self, sources: &mut [Source], index: usize) {
        if let Some(source) = sources.get_mut(index) {
            *source = Source::default();
        }
        if self.peer == Some(index) {
            self.peer = None;
        }
    }

    fn preset_frequency(&mut self, frequency: Frequency, _deviation: Frequency) {
        self.discipline.preset_frequency(frequency);
        self.preset = Some(self.discipline.frequency());
    }

    fn handle_sample(&mut self, sources: &mut [Source], index: usize, sample: &Sample, now: Instant) -> Decision {
        let Some(source) = sources.get_mut(index) else { return Decision::hold(self.discipline.poll()) };
        let Some(options) = source.options else { return Decision::hold(self.discipline.poll()) };
        let poll = self.advice(&options);
        if self.ledger.is_before_step(sample) {
            return Decision::hold(poll);
        }
        let slewed = self.ledger.slewed(sample.at());
        source.handle_sample(sample, slewed, (self.options.precision, poll), now);
        if options.no_select {
            source.verdict = Verdict::NoSelect;
            return Decision::hold(poll);
        }
        self.started.get_or_insert(now);
        let selected = self.select(sources, now);
        let decision = self.update(sources, &selected, poll, now);
        self.remember(Decision { poll: self.advice(&options), ..decision })
    }

    fn handle_poll(&mut self, sources: &mut [Source], index: usize, reach: u8, now: Instant) {
        let Some(source) = sources.get_mut(index) else { return };
        let Some(options) = source.options else { return };
        source.handle_poll(reach, (self.options.precision, self.advice(&options)), now);
        // Its distance has grown, or it is out of reach.
        if reach & 7 == 0 && !options.no_select {
            let _ = self.select(sources, now);
        }
    }

    fn handle_applied(&mut self, sources: &mut [Source], applied: &Applied) {
        let change = applied.frequency - self.ledger.frequency();
        self.asked = false;
        self.ledger.handle_applied(applied);
        for source in sources {
            // A sample of age a would have shown the clock behind by change · a more, had it run as it runs now.
            source.shift_offsets(|at| change.over(applied.at.since(at)) - applied.stepped);
        }
        if (applied.frequency - self.discipline.frequency()).abs() > FREQUENCY_ROUNDING {
            self.discipline.adopt_frequency(applied.frequency);
        }
    }

    fn handle_discontinuity(&mut self, sources: &mut [Source], now: Instant) {
        self.ledger.handle_discontinuity(now);
        self.governor.restart();
        self.discipline.restart();
        for source in sources {
            source.start_over();
        }
        self.plan = None;
        self.asked = false;
        self.processed = None;
        self.started = None;
        self.following = None;
        self.peer = None;
        self.survivors = 0;
        self.variables = None;
    }

    fn handle_leap(&mut self, leap: LeapIndicator, now: Instant) {
        self.governor.handle_leap(leap, now);
    }

    fn handle_timeout(&mut self, _sources: &mut [Source], now: Instant) -> Decision {
        let poll = self.discipline.poll();
        if let Some(frequency) = self.preset.take() {
            let command = self.governor.run_at(frequency);
            return self.remember(Decision::new(command, poll));
        }
        if self.plan.and_then(|plan| plan.next).is_some_and(|next| next <= now) {
            self.settle(now);
            let command = self.pay(now);
            return self.remember(Decision::new(command, poll));
        }
        Decision::hold(poll)
    }

    fn next_timeout(&self) -> Option<Instant> {
        if self.preset.is_some() {
            return Some(Instant::ZERO);
        }
        self.plan.and_then(|plan| plan.next)
    }

    fn poll(&self, sources: &[Source], index: usize) -> Poll {
        let options = sources.get(index).and_then(|source| source.options);
        options.map_or_else(|| self.discipline.poll(), |options| self.advice(&options))
    }

    fn source(&self, sources: &[Source], index: usize, now: Instant) -> SourceEstimate {
        self.describe_source(sources, index, now)
    }

    fn system(&self, _sources: &[Source], now: Instant) -> SystemEstimate {
        self.describe_system(now)
    }

    fn policy(&self) -> &Policy {
        self.governor.policy()
    }
}
