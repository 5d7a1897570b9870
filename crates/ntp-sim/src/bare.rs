//! A discipline engine on a bare exchange of four timestamps: no packets, no checks, nothing between the maths and the
//! network. For trying engines.

use std::time::Duration;

use ntp_discipline::{adaptive, Decision, Engine, Policy, Sample, ServerState, SourceOptions, Status};
use ntp_types::{
    Applied, ClockCommand, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Poll, Precision, RoundTrip, Stratum,
};

use crate::clock::Clock;
use crate::metrics::{Metrics, Second};
use crate::scenario::Scenario;
use crate::server::Server;
use crate::world::{Asked, Client, Responder, World, PACKET};

/// A client that is an engine and one request under way per server.
#[derive(Debug)]
pub struct Bare<E: Engine> {
    engine: E,
    sources: Vec<E::Source>,
    due: Vec<Instant>,
    under_way: Vec<Option<(NtpTimestamp, Instant)>>,
    commands: Vec<ClockCommand>,
}

/// What it adds to a poll interval on average, in parts of it: chrony's measured addition.
const DITHER: f64 = 1.0175;

impl<E: Engine> Bare<E> {
    /// An engine that asks the servers of a scenario.
    #[must_use]
    pub fn new(mut engine: E, scenario: &Scenario, now: Instant) -> Self {
        let mut sources: Vec<E::Source> = scenario.servers.iter().map(|_| E::Source::default()).collect();
        let options = SourceOptions {
            min_poll: Poll::from_log2(scenario.poll.0),
            max_poll: Poll::from_log2(scenario.poll.1),
            ..SourceOptions::default()
        };
        for index in 0..sources.len() {
            engine.open(&mut sources, index, options);
        }
        let due = vec![now; sources.len()];
        let under_way = vec![None; sources.len()];
        Self { engine, sources, due, under_way, commands: Vec::new() }
    }

    /// The engine.
    pub fn engine(&self) -> (&E, &[E::Source]) {
        (&self.engine, &self.sources)
    }

    fn decided(&mut self, decision: Decision) {
        if decision.command != ClockCommand::Hold {
            self.commands.push(decision.command);
        }
    }
}

impl<E: Engine> Client for Bare<E> {
    fn poll_transmit(
        &mut self,
        now: Instant,
        time: NtpTimestamp,
        _nonce: u64,
        out: &mut [u8; PACKET],
    ) -> Option<(usize, usize)> {
        let index = self.due.iter().position(|&due| due <= now)?;
        let interval = self.engine.poll(&self.sources, index).interval().mul_f64(DITHER);
        *self.due.get_mut(index)? = now + interval;
        *self.under_way.get_mut(index)? = Some((time, now));
        self.engine.handle_poll(&mut self.sources, index, 0xff, now);
        out.get_mut(..8)?.copy_from_slice(&time.to_bytes());
        Some((index, 8))
    }

    fn handle_datagram(&mut self, server: usize, bytes: &[u8], time: NtpTimestamp, now: Instant) {
        let field =
            |at: usize| bytes.get(at..at + 8).and_then(|field| field.try_into().ok()).map(NtpTimestamp::from_bytes);
        let (Some(origin), Some(t2), Some(t3)) = (field(0), field(8), field(16)) else { return };
        let Some(slot) = self.under_way.get_mut(server) else { return };
        let Some((t1, sent)) = slot.take_if(|(t1, _)| *t1 == origin) else { return };
        let trip = RoundTrip { t1, t2, t3, t4: time };
        let state = ServerState { leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerState::default() };
        let sample = Sample::new(trip, Precision::from_log2(-28), state, sent, now);
        let decision = self.engine.handle_sample(&mut self.sources, server, &sample, now);
        self.decided(decision);
        if let Some(due) = self.due.get_mut(server) {
            *due = sent + self.engine.poll(&self.sources, server).interval().mul_f64(DITHER);
        }
    }

    fn handle_suspended(&mut self, _slept: Duration, now: Instant) {
        self.engine.handle_discontinuity(&mut self.sources, now);
        self.commands.clear();
        self.under_way.fill(None);
        // Later than `now`: what was sent at this very moment counts as sent before.
        self.due.fill(now + Duration::from_millis(1));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.engine.next_timeout().is_some_and(|at| at <= now) {
            let decision = self.engine.handle_timeout(&mut self.sources, now);
            self.decided(decision);
        }
    }

    fn poll_command(&mut self) -> Option<ClockCommand> {
        self.commands.pop()
    }

    fn handle_applied(&mut self, applied: &Applied) {
        self.engine.handle_applied(&mut self.sources, applied);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.due.iter().copied().chain(self.engine.next_timeout()).min()
    }

    fn bound(&self, now: Instant) -> Option<f64> {
        let system = self.engine.system(&self.sources, now);
        (system.status != Status::Unsynchronized).then(|| system.bound.to_seconds_f64())
    }
}

/// A server that stamps twice and says nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamper;

impl Responder for Stamper {
    fn respond(&mut self, asked: Asked<'_>, _server: &Server, out: &mut [u8; PACKET]) -> Option<usize> {
        out.get_mut(..8)?.copy_from_slice(asked.bytes.get(..8)?);
        out.get_mut(8..16)?.copy_from_slice(&asked.received.to_bytes());
        out.get_mut(16..24)?.copy_from_slice(&asked.transmit.to_bytes());
        Some(24)
    }
}

/// Sources that the adaptive engine fuses in these runs.
pub const SOURCES: usize = 16;

/// Runs the adaptive engine with its usual policy through a scenario.
///
/// # Panics
/// Never: the usual policy is valid.
#[must_use]
#[allow(clippy::expect_used)] // said above
pub fn run(scenario: &Scenario, seed: u64) -> (Metrics, Vec<Second>) {
    let engine = adaptive::Engine::<SOURCES>::new(Policy::default()).expect("the default policy is valid");
    let start = Clock::new(&scenario.wander, scenario.initial_offset, seed).instant(NtpDuration::ZERO);
    let responders = scenario.servers.iter().map(|_| Stamper).collect();
    World::new(scenario, seed, Bare::new(engine, scenario, start), responders).run()
}
