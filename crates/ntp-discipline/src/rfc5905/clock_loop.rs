//! The clock discipline (RFC 5905 §11.3, A.5.5.6): a hybrid PLL/FLL with its five states.
//!
//! Where the skeleton errs: it enters the machine with the update time already overwritten, so that every interval is
//! zero; its transitions read and write an uninitialised variable beside the state; it calls an ignored outlier a slew;
//! it ends the process on panic. Here the interval runs from the last *accepted* update (what the stepout and the
//! frequency measurement need), wander is that of the frequency's *changes*, and stepout and panic are returned
//! values. The phase is paid out by the second as in A.5.6.1, in closed form; below a poll interval of one second,
//! which the RFC does not know, by the poll interval.

use core::time::Duration;

use ntp_types::{Frequency, Instant, NtpDuration, Poll, Precision};

use super::constants::{
    ALLAN_INTERCEPT, AVERAGING, FLL_GAIN, MAXIMUM_FREQUENCY, PANIC_THRESHOLD, PLL_GAIN, STEPOUT, STEP_THRESHOLD,
};
use super::poll::PollAdjust;

/// ntpd's poll interval, in seconds, by which the phase is paid out at the start.
const START_INTERVAL: f64 = 2.0;

/// The states of the discipline.
///
/// Source: RFC 5905 §11.3, figure 28.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// NSET: neither time nor frequency set.
    #[default]
    NotSet,
    /// FSET: frequency set from a drift file, time not.
    FrequencySet,
    /// SPIK: an offset beyond the step threshold was seen and not yet believed.
    Spike,
    /// FREQ: time set, frequency being measured.
    Frequency,
    /// SYNC: following.
    Synchronized,
}

/// What an update asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the loop only says what to do"]
pub enum Outcome {
    /// Leave the clock as it runs: an outlier before its stepout, or the frequency is being measured.
    Ignore,
    /// Pay the offset out slowly, the frequency as it is now in the loop.
    Slew,
    /// Step the clock by the whole offset, the frequency as it is now in the loop.
    Step,
    /// The offset is beyond the panic threshold: nothing was changed.
    Panic,
}

/// The numbers the loop runs by; by default the RFC's, and a precision of 2⁻²⁰ s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopOptions {
    /// STEPT: offsets of larger magnitude are steps.
    pub step_threshold: NtpDuration,
    /// WATCH: stepout, and the time the frequency is measured.
    pub stepout: Duration,
    /// PANICT: offsets of larger magnitude are refused.
    pub panic_threshold: NtpDuration,
    /// MAXFREQ: the largest magnitude of the frequency correction.
    pub maximum_frequency: Frequency,
    /// Precision of the clock: the floor of its jitter.
    pub precision: Precision,
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self {
            step_threshold: STEP_THRESHOLD,
            stepout: STEPOUT,
            panic_threshold: PANIC_THRESHOLD,
            maximum_frequency: MAXIMUM_FREQUENCY,
            precision: Precision::default(),
        }
    }
}

/// The loop.
///
/// Source: RFC 5905 §11.3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockLoop {
    options: LoopOptions,
    state: State,
    poll: PollAdjust,
    /// Residual phase in seconds: what is left to pay out.
    residual: f64,
    /// Offset of the last accepted update in seconds.
    last: f64,
    frequency: f64,
    jitter: f64,
    wander: f64,
    /// When the last update was accepted.
    updated: Option<Instant>,
}

impl ClockLoop {
    /// In NSET, polling at `poll`.
    #[must_use]
    pub fn new(options: LoopOptions, poll: Poll) -> Self {
        Self {
            options,
            state: State::NotSet,
            poll: PollAdjust::new(poll),
            residual: 0.0,
            last: 0.0,
            frequency: 0.0,
            jitter: options.precision.to_duration().to_seconds_f64(),
            wander: 0.0,
            updated: None,
        }
    }

    /// Start from a known frequency: NSET becomes FSET.
    pub fn preset_frequency(&mut self, frequency: Frequency) {
        self.set_frequency(frequency.to_ratio());
        if self.state == State::NotSet {
            self.state = State::FrequencySet;
        }
    }

    /// As at the start, but for the frequency, where it is known.
    pub fn restart(&mut self) {
        let state = match self.state {
            State::NotSet | State::Frequency => State::NotSet,
            State::FrequencySet | State::Spike | State::Synchronized => State::FrequencySet,
        };
        *self = Self { state, frequency: self.frequency, wander: self.wander, ..Self::new(self.options, Poll::MIN) };
    }

    /// The clock runs at another frequency than the loop asked for: go on from that.
    pub fn adopt_frequency(&mut self, frequency: Frequency) {
        self.set_frequency(frequency.to_ratio());
    }

    /// An offset measured at `at`. `bounds` are the shortest and longest poll exponents allowed.
    ///
    /// Updates not later than the last accepted one are ignored.
    pub fn update(&mut self, offset: NtpDuration, at: Instant, bounds: (Poll, Poll)) -> Outcome {
        let magnitude = offset.abs();
        if magnitude > self.options.panic_threshold {
            return Outcome::Panic;
        }
        let elapsed = self.updated.map_or(Duration::ZERO, |updated| at.since(updated));
        if self.updated.is_some() && elapsed.is_zero() {
            return Outcome::Ignore;
        }
        self.poll.bound(bounds.0, bounds.1);
        if magnitude > self.options.step_threshold {
            self.update_outlier(offset.to_seconds_f64(), elapsed, at, bounds)
        } else {
            self.update_inlier(offset.to_seconds_f64(), elapsed, at, bounds)
        }
    }

    /// Beyond the step threshold.
    fn update_outlier(&mut self, offset: f64, elapsed: Duration, at: Instant, bounds: (Poll, Poll)) -> Outcome {
        let is_stepout = elapsed >= self.options.stepout;
        match self.state {
            // A single outlier is never believed, however long ago the last update.
            State::Synchronized => {
                self.state = State::Spike;
                return Outcome::Ignore;
            }
            State::Spike | State::Frequency if !is_stepout => return Outcome::Ignore,
            State::Frequency => self.learn(self.measured(offset, elapsed)),
            State::Spike | State::NotSet | State::FrequencySet => {}
        }
        let next = if self.state == State::NotSet { State::Frequency } else { State::Synchronized };
        self.poll.reset(bounds.0);
        self.enter(next, at, 0.0);
        Outcome::Step
    }

    /// Within the step threshold.
    fn update_inlier(&mut self, offset: f64, elapsed: Duration, at: Instant, bounds: (Poll, Poll)) -> Outcome {
        let floor = self.options.precision.to_duration().to_seconds_f64();
        self.jitter = average(self.jitter, libm::fmax(libm::fabs(offset - self.last), floor));
        let change = match self.state {
            State::NotSet => {
                self.enter(State::Frequency, at, offset);
                return Outcome::Slew;
            }
            State::Frequency if elapsed < self.options.stepout => return Outcome::Ignore,
            State::Frequency => self.measured(offset, elapsed),
            State::FrequencySet => 0.0,
            State::Spike | State::Synchronized => self.correction(offset, elapsed.as_secs_f64()),
        };
        self.learn(change);
        self.enter(State::Synchronized, at, offset);
        self.poll.update(offset, self.jitter, bounds.0, bounds.1);
        Outcome::Slew
    }

    /// What the PLL and, beyond half the Allan intercept, the FLL add to the frequency.
    fn correction(&self, offset: f64, elapsed: f64) -> f64 {
        let interval = self.interval();
        let averaged = PLL_GAIN * 4.0 * interval;
        let mut change = offset * libm::fmin(elapsed, interval) / (averaged * averaged);
        if interval > ALLAN_INTERCEPT / 2.0 {
            let averages = libm::fmax(FLL_GAIN - f64::from(self.poll().log2()), AVERAGING);
            change += (offset - self.residual) / (libm::fmax(elapsed, ALLAN_INTERCEPT) * averages);
        }
        change
    }

    /// The frequency error an offset shows that grew over `elapsed` beside what was still being paid out.
    fn measured(&self, offset: f64, elapsed: Duration) -> f64 {
        (offset - self.residual) / libm::fmax(elapsed.as_secs_f64(), 1e-9)
    }

    fn enter(&mut self, state: State, at: Instant, offset: f64) {
        self.state = state;
        self.last = offset;
        self.residual = offset;
        self.updated = Some(at);
    }

    /// Change the frequency, and average how much it really changed into the wander.
    fn learn(&mut self, change: f64) {
        let before = self.frequency;
        self.set_frequency(before + change);
        self.wander = average(self.wander, self.frequency - before);
    }

    fn set_frequency(&mut self, frequency: f64) {
        let limit = self.options.maximum_frequency.to_ratio();
        self.frequency = libm::fmax(-limit, libm::fmin(limit, frequency));
    }

    fn interval(&self) -> f64 {
        libm::exp2(f64::from(self.poll().log2()))
    }

    /// The phase to pay out over the next `elapsed`; it stays in the residual until [`paid`](Self::paid).
    ///
    /// Per second the share 1 / (PLL · min(2^τ, ALLAN)) of the rest.
    ///
    /// Source: RFC 5905 §12, A.5.6.1.
    #[must_use]
    pub fn due(&self, elapsed: Duration) -> NtpDuration {
        self.due_within(libm::fmin(self.interval(), ALLAN_INTERCEPT), elapsed)
    }

    /// As [`due`](Self::due) while the loop starts: per second the share 1 / (PLL · 2) of the rest.
    ///
    /// Source: ntpd's `adj_host_clock`; the RFC takes an hour over what it finds at the start, and as long again over what has
    /// gathered while it measured the frequency.
    #[must_use]
    pub fn due_at_start(&self, elapsed: Duration) -> NtpDuration {
        self.due_within(libm::fmin(self.interval(), START_INTERVAL), elapsed)
    }

    fn due_within(&self, interval: f64, elapsed: Duration) -> NtpDuration {
        let tick = libm::fmin(interval, 1.0);
        let kept = libm::pow(1.0 - tick / (PLL_GAIN * interval), elapsed.as_secs_f64() / tick);
        NtpDuration::from_seconds_f64(self.residual * (1.0 - kept))
    }

    /// So much of the residual has been put on the clock.
    pub fn paid(&mut self, part: NtpDuration) {
        self.residual -= part.to_seconds_f64();
    }

    /// A step that the loop asked for is not allowed: pay the offset out instead, without learning from it.
    pub fn slew_instead(&mut self, offset: NtpDuration) {
        self.residual = offset.to_seconds_f64();
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The system poll exponent τ.
    #[must_use]
    pub const fn poll(&self) -> Poll {
        self.poll.poll()
    }

    /// What is left to pay out.
    #[must_use]
    pub fn residual(&self) -> NtpDuration {
        NtpDuration::from_seconds_f64(self.residual)
    }

    /// The frequency correction.
    #[must_use]
    pub fn frequency(&self) -> Frequency {
        Frequency::from_ratio(self.frequency)
    }

    /// RMS of the differences between successive offsets, exponentially averaged.
    #[must_use]
    pub fn jitter(&self) -> NtpDuration {
        NtpDuration::from_seconds_f64(self.jitter)
    }

    /// RMS of the frequency changes, exponentially averaged.
    #[must_use]
    pub fn wander(&self) -> Frequency {
        Frequency::from_ratio(self.wander)
    }

    /// When the last update was accepted.
    #[must_use]
    pub const fn updated(&self) -> Option<Instant> {
        self.updated
    }
}

/// The RMS average: √(a² + (b² − a²) / AVG).
fn average(average: f64, value: f64) -> f64 {
    let (average, value) = (average * average, value * value);
    libm::sqrt(average + (value - average) / AVERAGING)
}
