//! The engine: samples of all sources in, one command out.

use ntp_types::{Applied, Frequency, Instant, LeapIndicator, NtpDuration, Poll};

use crate::engine::{Decision, SourceEstimate, SourceOptions, SystemEstimate};
use crate::policy::{Governor, Policy, PolicyError, Refusal};
use crate::sample::Sample;
use crate::total::{bounded, within};
use crate::Ledger;

use super::bank::{Estimate, Mixture, LEAST_VARIANCE};
use super::fusion::{Fused, Fusion};
use super::source::{Source, Taken, UNKNOWN_FREQUENCY};
use super::steering::{slew_time, Pace};

/// Samples of the system while every slew is quick, where they come at most so many seconds apart.
const STARTING: u32 = 12;
const STARTING_INTERVAL: f64 = 64.0;
/// Variance that a rest adds to the frequency, (0.2 ppm)²: the machine wakes at another temperature.
const REST_FREQUENCY: f64 = 4e-14;

/// The adaptive engine, fusing up to `N` sources; more are measured and shown.
///
/// Fixed memory, no allocation: about 16 kB a source in the caller's slice, and 80·(N+2)² octets here.
///
/// # Example
/// ```
/// use ntp_discipline::{adaptive, Engine, Policy, Sample, ServerState, SourceOptions};
/// use ntp_types::{ClockCommand, Instant, LeapIndicator, NtpTimestamp, Precision, RoundTrip, Stratum};
///
/// let mut engine = adaptive::Engine::<8>::new(Policy::default())?;
/// let mut sources = [adaptive::Source::default()];
/// engine.open(&mut sources, 0, SourceOptions::default());
/// let second = |bits: u64| NtpTimestamp::from_bits(bits << 32);
/// let trip = RoundTrip { t1: second(10), t2: second(15), t3: second(15), t4: second(10) };
/// let server = ServerState { stratum: Stratum::PRIMARY, leap: LeapIndicator::NoWarning, ..ServerState::default() };
/// let sample = Sample::new(trip, Precision::from_log2(-20), server, Instant::ZERO, Instant::ZERO);
/// let decision = engine.handle_sample(&mut sources, 0, &sample, Instant::ZERO);
/// assert!(matches!(decision.command, ClockCommand::Step { offset, .. } if offset.to_string() == "+5.000000000"));
/// # Ok::<(), ntp_discipline::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Engine<const N: usize> {
    pub(super) governor: Governor,
    pub(super) ledger: Ledger,
    /// What offsets are counted from, so that they stay small and exact whatever the clock's error was.
    origin: Option<NtpDuration>,
    /// Frequency known beforehand, and its variance.
    preset: (f64, f64),
    pub(super) fusion: Fusion<N>,
    pub(super) updated: Option<Instant>,
    /// The longest interval of a member, as of the last decision: one that brings no time is asked no more often.
    shared: Option<Poll>,
}

impl<const N: usize> Engine<N> {
    /// An engine that knows nothing yet.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy contradicts itself.
    pub fn new(policy: Policy) -> Result<Self, PolicyError> {
        Ok(Self {
            governor: Governor::new(policy)?,
            ledger: Ledger::new(),
            origin: None,
            preset: (0.0, UNKNOWN_FREQUENCY),
            fusion: Fusion::new(),
            updated: None,
            shared: None,
        })
    }

    /// What steering has put on the clock by `at`, from the origin.
    pub(super) fn corrected(&self, at: Instant) -> NtpDuration {
        self.ledger.correction(at) - self.origin.unwrap_or_default()
    }

    /// A sample's offset and delay by the raw clock: what steering did while it was under way is taken out.
    fn by_the_raw_clock(&mut self, sample: &Sample) -> (f64, f64) {
        let (sent, received) = (self.ledger.correction(sample.sent), self.ledger.correction(sample.received));
        let offset = sent.half() + received.half() + sample.offset;
        let origin = *self.origin.get_or_insert(offset);
        let gained = (received - sent).to_seconds_f64();
        let elapsed = sample.received.since(sample.sent).as_secs_f64();
        // As a ratio it is right also where the raw clock is steered too, as in a preloaded simulator.
        let rate = if elapsed > 0.0 { within(gained / elapsed, -0.5, 0.5) } else { 0.0 };
        ((offset - origin).to_seconds_f64(), (sample.delay.to_seconds_f64() / (1.0 + rate)).max(0.0))
    }

    /// The clock itself stands at `clock`.
    fn steer(
        &mut self,
        sources: &[Source],
        plan: Option<&Mixture>,
        poll: Poll,
        clock: NtpDuration,
        now: Instant,
    ) -> Decision {
        let Some(estimate) = self.fusion.estimate(sources, now) else { return Decision::hold(poll) };
        let offset = NtpDuration::from_seconds_f64(estimate.offset) - clock;
        let leave = match self.governor.admit(offset, self.fusion.heard(sources, now), now) {
            Ok(leave) => leave,
            Err(refusal) => return Decision::refused(refusal, poll),
        };
        self.updated = Some(now);
        let frequency = Frequency::from_ratio(estimate.frequency);
        if let Ok(command) = self.governor.step(leave, frequency) {
            return Decision::new(command, poll);
        }
        let next = poll.interval().as_secs_f64();
        let plan = plan.map_or(estimate, |plan| plan.after(0.5 * next));
        let starting = self.fusion.samples(sources) < STARTING && next <= STARTING_INTERVAL;
        let pace = if starting { Pace::Quick } else { self.fusion.pace(now) };
        let duration = slew_time(offset.to_seconds_f64(), &plan, next, pace);
        Decision::new(self.governor.slew(leave, offset, duration, frequency), poll)
    }

    /// What a sample means for the clock, and how often to ask.
    fn weigh(&mut self, sources: &mut [Source], index: usize, sample: &Sample, now: Instant) -> Decision {
        let Some(source) = sources.get_mut(index).filter(|source| source.options.is_some()) else {
            return Decision::hold(Poll::DEFAULT_MIN);
        };
        let poll = source.planner.poll();
        source.server = sample.server;
        if self.ledger.is_before_step(sample) || !source.is_synchronized() {
            return Decision::hold(poll);
        }
        let (offset, delay) = self.by_the_raw_clock(sample);
        let known = self.fusion.frequency().unwrap_or(self.preset);
        let Some(source) = sources.get_mut(index) else { return Decision::hold(poll) };
        let taken = source.take(sample, offset, delay, known);
        let clock = self.corrected(now);
        let policy = self.governor.policy();
        let fused = self.fusion.handle_sample(sources, index, &taken, policy, clock.to_seconds_f64(), now);
        let plan = self.fusion.plan(sources, now);
        let spread = self.fusion.spread(sources, index);
        let poll = plan_poll(sources, index, &taken, (plan.as_ref(), spread), now);
        // Whether one source is wrong or our clock the others know: what it says itself is not fused meanwhile. What our clock
        // does now all know.
        let (is_surprised, is_astray) = (self.fusion.is_surprised(sources, index), fused == Fused::Astray);
        let are_asked = is_surprised || is_astray;
        if are_asked {
            for (_, source) in sources.iter_mut().enumerate().filter(|&(i, _)| is_astray || i != index) {
                let (min, _) = source.polls();
                source.planner.glance(min);
            }
        }
        let decision = match fused {
            Fused::Yes | Fused::Astray => self.steer(sources, plan.as_ref(), poll, clock, now),
            Fused::No => Decision::hold(poll),
            Fused::NoMajority(candidates) => Decision::refused(Refusal::NoMajority { candidates }, poll),
        };
        Decision { polls_changed: are_asked, ..decision }
    }
}

impl<const N: usize> crate::engine::Engine for Engine<N> {
    type Source = Source;

    fn open(&mut self, sources: &mut [Source], index: usize, options: SourceOptions) {
        self.fusion.leave(sources, index);
        if let Some(source) = sources.get_mut(index) {
            *source = Source::open(options);
        }
    }

    fn reset(&mut self, sources: &mut [Source], index: usize) {
        if let Some(options) = sources.get(index).and_then(|source| source.options) {
            self.open(sources, index, options);
        }
    }

    fn close(&mut self, sources: &mut [Source], index: usize) {
        self.fusion.leave(sources, index);
        if let Some(source) = sources.get_mut(index) {
            *source = Source::default();
        }
    }

    fn preset_frequency(&mut self, frequency: Frequency, deviation: Frequency) {
        let deviation = deviation.to_ratio();
        self.preset = (frequency.to_ratio(), within(deviation * deviation, LEAST_VARIANCE, UNKNOWN_FREQUENCY));
    }

    fn handle_sample(&mut self, sources: &mut [Source], index: usize, sample: &Sample, now: Instant) -> Decision {
        let decision = self.weigh(sources, index, sample, now);
        let members = self.fusion.member_indices().filter_map(|i| sources.get(i));
        let shared = members.map(|member| member.planner.poll()).max();
        let is_other = core::mem::replace(&mut self.shared, shared) != shared;
        Decision { polls_changed: decision.polls_changed || is_other, ..decision }
    }

    fn handle_poll(&mut self, sources: &mut [Source], index: usize, reach: u8, _now: Instant) {
        if let Some(source) = sources.get_mut(index) {
            source.reach = reach;
            source.unanswered = source.unanswered.saturating_add(1);
            source.planner.after_request();
        }
    }

    fn handle_applied(&mut self, _sources: &mut [Source], applied: &Applied) {
        self.ledger.handle_applied(applied);
        if let Some(origin) = &mut self.origin {
            *origin -= applied.stepped;
        }
    }

    fn handle_discontinuity(&mut self, sources: &mut [Source], now: Instant) {
        if let Some(estimate) = self.fusion.estimate(sources, now) {
            let (frequency, variance) = known_frequency(&estimate);
            self.preset = (frequency, (variance + REST_FREQUENCY).min(UNKNOWN_FREQUENCY));
        }
        self.ledger.handle_discontinuity(now);
        self.governor.restart();
        self.origin = None;
        self.updated = None;
        self.shared = None;
        self.fusion.start_over();
        for source in sources {
            source.start_over();
        }
    }

    fn handle_leap(&mut self, leap: LeapIndicator, now: Instant) {
        self.governor.handle_leap(leap, now);
    }

    fn handle_timeout(&mut self, _sources: &mut [Source], _now: Instant) -> Decision {
        Decision::hold(Poll::DEFAULT_MIN)
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll(&self, sources: &[Source], index: usize) -> Poll {
        let Some(source) = sources.get(index) else { return Poll::DEFAULT_MIN };
        if source.samples > 0 && source.is_synchronized() {
            return source.planner.poll();
        }
        let (min, max) = source.polls();
        self.shared.map_or(min, |poll| bounded(poll, min, max))
    }

    fn source(&self, sources: &[Source], index: usize, now: Instant) -> SourceEstimate {
        self.describe_source(sources, index, now)
    }

    fn system(&self, sources: &[Source], now: Instant) -> SystemEstimate {
        self.describe_system(sources, now)
    }

    fn policy(&self) -> &Policy {
        self.governor.policy()
    }
}

/// How often to ask a source: the clock's uncertainty, which all sources keep small, grows as `plan` says; what a sample is
/// worth, and what the source alone would know, are its own. So one that is noisy is asked seldom beside one that is not.
fn plan_poll(
    sources: &mut [Source],
    index: usize,
    taken: &Taken,
    (plan, spread): (Option<&Mixture>, f64),
    now: Instant,
) -> Poll {
    let Some(source) = sources.get_mut(index) else { return Poll::DEFAULT_MIN };
    let growth = |ahead: f64| plan.map_or(0.0, |plan| plan.after(ahead).xx - plan.now.xx);
    let known = source.plan(now).now.xx.max(plan.map_or(0.0, |plan| plan.now.xx));
    let (min, max) = source.polls();
    source.planner.after_sample(&growth, known, spread, min, max);
    if *taken == Taken::Gross {
        source.planner.hurry(min);
    }
    source.planner.poll()
}

/// What an estimate says now of a frequency, for a witness that starts.
pub(super) fn known_frequency(estimate: &Estimate) -> (f64, f64) {
    // Not below (1 ppb)²: a source may run at a rate of its own.
    (estimate.frequency, within(estimate.ff, 1e-18, UNKNOWN_FREQUENCY))
}
