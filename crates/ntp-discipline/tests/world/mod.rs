//! A tiny simulated world for tests: one oscillator, one steered clock, servers with delays; deterministic.

#![allow(dead_code)] // each test binary uses its part
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test stops where it is wrong
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // seconds of a simulation fit

use std::fmt::Debug;
use std::time::Duration;

use ntp_discipline::engine::Engine;
use ntp_discipline::{Decision, Sample, ServerState, SourceOptions};
use ntp_types::{
    Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision,
    ReferenceId, RoundTrip, Stratum,
};

/// What every server says of its own source.
pub(crate) const REFERENCE: ReferenceId = ReferenceId::from_bytes(*b"GPS\0");

/// SplitMix64: enough for delays.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(self.unit())
    }
}

/// A clock over an oscillator whose raw time is the world's time base.
pub(crate) struct Clock {
    /// True minus raw time per raw second: 50 ppm *fast* is −50e-6.
    pub(crate) drift: f64,
    /// Steered minus true at raw zero.
    pub(crate) error: f64,
    changes: Vec<(f64, f64, f64, f64, f64)>, // at, correction before, frequency, slew rate, slew end
}

impl Clock {
    pub(crate) fn new(error: f64, fast: f64) -> Self {
        Self { drift: -fast, error, changes: vec![(0.0, 0.0, 0.0, 0.0, 0.0)] }
    }

    fn correction(&self, raw: f64) -> f64 {
        let change = self.changes.iter().rev().find(|change| change.0 <= raw).unwrap();
        change.1 + change.2 * (raw - change.0) + change.3 * (raw.min(change.4) - change.0)
    }

    /// Steered minus true.
    pub(crate) fn offset(&self, raw: f64) -> f64 {
        self.error - self.drift * raw + self.correction(raw)
    }

    pub(crate) fn frequency_error(&self, raw: f64) -> f64 {
        let change = self.changes.iter().rev().find(|change| change.0 <= raw).unwrap();
        change.2 - self.drift
    }

    pub(crate) fn apply(&mut self, command: &ClockCommand, raw: f64) -> Option<Applied> {
        let at = instant(raw);
        let (step, frequency, offset, duration) = match *command {
            ClockCommand::Hold => return None,
            ClockCommand::Step { offset, frequency } => (offset, frequency, NtpDuration::ZERO, Duration::ZERO),
            ClockCommand::Slew { offset, duration, frequency } => (NtpDuration::ZERO, frequency, offset, duration),
        };
        let seconds = duration.as_secs_f64();
        let rate = if seconds > 0.0 { offset.to_seconds_f64() / seconds } else { 0.0 };
        let slew_rate = Frequency::from_ratio(rate);
        let before = self.correction(raw) + step.to_seconds_f64();
        self.changes.push((raw, before, frequency.to_ratio(), slew_rate.to_ratio(), raw + seconds));
        Some(Applied { at, stepped: step, frequency, slew_rate, slew_end: at + duration })
    }
}

/// Nothing that an engine holds is "not a number", however deep inside; a reading would show it as zero.
pub(crate) fn assert_numbers(engine: &impl Debug, sources: &impl Debug) {
    let held = format!("{engine:?} {sources:?}");
    assert!(!held.contains("NaN"), "{held}");
}

/// The intervals as a caller knows them who asks for one after what it tells of that source, and for all where it is told to.
#[derive(Default)]
pub(crate) struct Polls(Vec<Poll>);

impl Polls {
    pub(crate) fn ask<E: Engine>(&mut self, engine: &E, sources: &[E::Source]) {
        self.0 = (0..sources.len()).map(|index| engine.poll(sources, index)).collect();
    }

    pub(crate) fn ask_one<E: Engine>(&mut self, engine: &E, sources: &[E::Source], index: usize) {
        if let Some(poll) = self.0.get_mut(index) {
            *poll = engine.poll(sources, index);
        }
    }

    /// After a decision the caller knows them all.
    pub(crate) fn check<E: Engine>(&mut self, engine: &E, sources: &[E::Source], decision: &Decision) {
        let known = std::mem::take(&mut self.0);
        self.ask(engine, sources);
        assert!(decision.polls_changed || known == self.0, "{known:?} {:?}", self.0);
    }
}

pub(crate) fn instant(raw: f64) -> Instant {
    Instant::from_nanos((raw * 1e9).round() as u64)
}

/// A server and the way to it.
#[derive(Clone, Copy)]
pub(crate) struct Server {
    /// Its clock minus true time.
    pub(crate) error: f64,
    pub(crate) base: f64,
    pub(crate) jitter: f64,
    pub(crate) leap: LeapIndicator,
    pub(crate) answers: bool,
}

impl Server {
    pub(crate) fn good(base: f64, jitter: f64) -> Self {
        Self { error: 0.0, base, jitter, leap: LeapIndicator::NoWarning, answers: true }
    }
}

/// An engine, a clock and servers, run together.
pub(crate) struct World<E: Engine> {
    pub(crate) engine: E,
    pub(crate) sources: Vec<E::Source>,
    pub(crate) servers: Vec<Server>,
    pub(crate) clock: Clock,
    pub(crate) now: f64,
    pub(crate) random: Random,
    next: Vec<f64>,
    pub(crate) steps: u32,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) options: SourceOptions,
    pub(crate) silent: bool,
    /// Whether the clock does as it is told; what it refuses is told to nobody.
    pub(crate) obeys: bool,
    pub(crate) bound_violations: u32,
}

impl<E: Engine> World<E> {
    pub(crate) fn new(mut engine: E, servers: &[Server], clock: Clock, polls: (i8, i8), seed: u64) -> Self {
        let mut sources: Vec<E::Source> = servers.iter().map(|_| E::Source::default()).collect();
        let options = SourceOptions {
            min_poll: Poll::from_log2(polls.0),
            max_poll: Poll::from_log2(polls.1),
            ..SourceOptions::default()
        };
        for index in 0..servers.len() {
            engine.open(&mut sources, index, options);
        }
        let next = (0..servers.len()).map(|index| 1.0 + 0.1 * index as f64).collect();
        Self {
            engine,
            sources,
            servers: servers.to_vec(),
            clock,
            now: 0.0,
            random: Random(seed),
            next,
            steps: 0,
            decisions: Vec::new(),
            options,
            silent: false,
            obeys: true,
            bound_violations: 0,
        }
    }

    fn act(&mut self, decision: Decision) {
        self.decisions.push(decision);
        if !self.obeys {
            return;
        }
        if matches!(decision.command, ClockCommand::Step { .. }) {
            self.steps += 1;
        }
        if let Some(applied) = self.clock.apply(&decision.command, self.now) {
            self.engine.handle_applied(&mut self.sources, &applied);
        }
    }

    fn exchange(&mut self, index: usize) -> Sample {
        let server = self.servers[index];
        let (up, down) = (
            server.base / 2.0 + self.random.exponential(server.jitter),
            server.base / 2.0 + self.random.exponential(server.jitter),
        );
        let (sent, received) = (self.now, self.now + up + down);
        // Timestamps by offset from one base that both clocks share.
        let base = NtpTimestamp::from_bits(0xeb00_0000_0000_0000);
        let stamp = |raw: f64, error: f64| {
            base + NtpDuration::from_nanos((raw * 1e9).round() as i64) + NtpDuration::from_seconds_f64(error)
        };
        let truth = |raw: f64| self.clock.drift * raw; // true minus raw
        let server_at = stamp(sent + up, truth(sent + up) + server.error);
        let trip = RoundTrip {
            t1: stamp(sent, truth(sent) + self.clock.offset(sent)),
            t2: server_at,
            t3: server_at,
            t4: stamp(received, truth(received) + self.clock.offset(received)),
        };
        self.now = received;
        let state = ServerState {
            leap: server.leap,
            stratum: Stratum::PRIMARY,
            precision: Precision::from_log2(-24),
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::ZERO,
            reference_id: REFERENCE,
        };
        Sample::new(trip, Precision::from_log2(-24), state, instant(sent), instant(received))
    }

    /// Run until raw second `until`; calls `watch` once a second with (raw second, steered − true).
    pub(crate) fn run(&mut self, until: f64, mut watch: impl FnMut(f64, f64)) {
        let mut tick = self.now.ceil();
        while self.now < until {
            let (index, due) = self.next.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            let timeout = self.engine.next_timeout().map(|at| (at.as_nanos() as f64 / 1e9).max(self.now));
            let wake = timeout.map_or(due, |timeout| timeout.min(due)).min(until);
            while tick <= wake {
                self.check(tick);
                watch(tick, self.clock.offset(tick));
                tick += 1.0;
            }
            self.now = self.now.max(wake);
            if self.now >= until {
                break;
            }
            if timeout.is_some_and(|timeout| timeout <= self.now) {
                let decision = self.engine.handle_timeout(&mut self.sources, instant(self.now));
                self.act(decision);
            } else {
                self.poll(index);
            }
        }
    }

    fn check(&mut self, tick: f64) {
        let estimate = self.engine.system(&self.sources, instant(tick));
        let error = self.clock.offset(tick).abs();
        if estimate.bound < NtpDuration::MAX && error > estimate.bound.to_seconds_f64() {
            self.bound_violations += 1;
        }
    }

    fn poll(&mut self, index: usize) {
        let begun = self.now;
        let silent = self.silent || !self.servers[index].answers;
        let reach = if silent { 0 } else { 0xfe };
        self.engine.handle_poll(&mut self.sources, index, reach, instant(self.now));
        if !silent {
            let sample = self.exchange(index);
            let decision = self.engine.handle_sample(&mut self.sources, index, &sample, instant(self.now));
            self.act(decision);
        }
        let interval = self.engine.poll(&self.sources, index).interval().as_secs_f64();
        self.next[index] = begun + interval;
    }
}
