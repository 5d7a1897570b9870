//! A network in memory for the tests: scripted servers over real packet bytes, virtual time, an engine that writes down
//! what it is told.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test file uses its part

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ntp_client::{Event, Ignored, SourceConfig, SourceId, System, SystemConfig};
use ntp_discipline::{
    Decision, Engine, Policy, Refusal, Sample, SourceEstimate, SourceOptions, Status, SystemEstimate, Verdict,
};
use ntp_types::{Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Poll};

/// 2026-11-23, somewhere.
pub const START: NtpTimestamp = NtpTimestamp::new(4_004_000_000, 0);

/// An engine without maths: it notes samples and answers with what the test put into it.
#[derive(Debug, Default)]
pub struct Recorder {
    pub policy: Policy,
    pub commands: VecDeque<ClockCommand>,
    pub poll: Option<Poll>,
    pub verdicts: BTreeMap<usize, Verdict>,
    pub applied: Vec<Applied>,
    pub reaches: Vec<(usize, u8)>,
    pub discontinuities: Vec<Instant>,
    pub leaps: Vec<(LeapIndicator, Instant)>,
    /// Told with the next decision.
    pub refusal: Option<Refusal>,
    pub status: Status,
    pub system_peer: Option<usize>,
    pub samples: Vec<(u32, Sample)>,
    /// The interval last told, and how often one was asked for.
    pub told: Option<Poll>,
    pub polls_asked: Cell<usize>,
}

#[derive(Debug, Default)]
pub struct Notes {
    pub options: Option<SourceOptions>,
    pub samples: Vec<Sample>,
}

impl Engine for Recorder {
    type Source = Notes;

    fn open(&mut self, sources: &mut [Notes], index: usize, options: SourceOptions) {
        sources[index] = Notes { options: Some(options), samples: Vec::new() };
    }

    fn reset(&mut self, sources: &mut [Notes], index: usize) {
        sources[index].samples.clear();
    }

    fn close(&mut self, sources: &mut [Notes], index: usize) {
        sources[index] = Notes::default();
    }

    fn preset_frequency(&mut self, _: Frequency, _: Frequency) {}

    fn handle_sample(&mut self, sources: &mut [Notes], index: usize, sample: &Sample, _: Instant) -> Decision {
        sources[index].samples.push(*sample);
        self.samples.push((u32::try_from(index).unwrap(), *sample));
        let command = self.commands.pop_front().unwrap_or(ClockCommand::Hold);
        let mut decision = Decision::new(command, Poll::DEFAULT_MIN);
        decision.refused = self.refusal.take();
        decision.polls_changed = std::mem::replace(&mut self.told, self.poll) != self.poll;
        decision
    }

    fn handle_poll(&mut self, _: &mut [Notes], index: usize, reach: u8, _: Instant) {
        self.reaches.push((index, reach));
    }

    fn handle_applied(&mut self, _: &mut [Notes], applied: &Applied) {
        self.applied.push(*applied);
    }

    fn handle_discontinuity(&mut self, _: &mut [Notes], now: Instant) {
        self.discontinuities.push(now);
    }

    fn handle_leap(&mut self, leap: LeapIndicator, now: Instant) {
        self.leaps.push((leap, now));
    }

    fn handle_timeout(&mut self, _: &mut [Notes], _: Instant) -> Decision {
        Decision::hold(Poll::DEFAULT_MIN)
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll(&self, sources: &[Notes], index: usize) -> Poll {
        self.polls_asked.set(self.polls_asked.get() + 1);
        let least = sources[index].options.map_or(Poll::DEFAULT_MIN, |options| options.min_poll);
        self.poll.unwrap_or(least)
    }

    fn source(&self, sources: &[Notes], index: usize, _: Instant) -> SourceEstimate {
        let mut estimate = SourceEstimate::default();
        estimate.verdict = self.verdicts.get(&index).copied().unwrap_or(Verdict::Pending);
        estimate.samples = u32::try_from(sources[index].samples.len()).unwrap();
        estimate
    }

    fn system(&self, _: &[Notes], _: Instant) -> SystemEstimate {
        let mut estimate = SystemEstimate::default();
        estimate.status = self.status;
        estimate.system_peer = self.system_peer;
        estimate
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// One way a server can behave: from the request, the true time and how often it was asked, to what it sends after how long.
pub type Behaviour = Box<dyn FnMut(&[u8], NtpTimestamp, usize) -> Vec<(Duration, Vec<u8>)>>;

pub struct Server {
    pub asked: Vec<Instant>,
    behaviour: Behaviour,
    answers: bool,
}

/// The client under test, its clock and everybody it talks to.
pub struct World {
    pub system: System<Recorder>,
    pub now: Instant,
    /// Our clock minus true time.
    pub error: NtpDuration,
    pub servers: BTreeMap<SocketAddr, Server>,
    pub events: Vec<Event>,
    pub ignored: Vec<(Instant, Ignored)>,
    pub accepted: usize,
    pub requests: Vec<(Instant, SocketAddr, Vec<u8>)>,
    arriving: Vec<(Instant, SocketAddr, Vec<u8>)>,
    nonce: u64,
}

impl World {
    pub fn new() -> Self {
        Self {
            system: System::new(Recorder::default(), SystemConfig { seed: 1, ..SystemConfig::default() }),
            now: Instant::from_nanos(5_000_000_000),
            error: NtpDuration::ZERO,
            servers: BTreeMap::new(),
            events: Vec::new(),
            ignored: Vec::new(),
            accepted: 0,
            requests: Vec::new(),
            arriving: Vec::new(),
            nonce: 0x1234_5678_9abc_def0,
        }
    }

    pub fn serve(
        &mut self,
        address: &str,
        behaviour: impl FnMut(&[u8], NtpTimestamp, usize) -> Vec<(Duration, Vec<u8>)> + 'static,
    ) -> SocketAddr {
        let address = address.parse().unwrap();
        let server = Server { asked: Vec::new(), behaviour: Box::new(behaviour), answers: true };
        self.servers.insert(address, server);
        address
    }

    pub fn add(&mut self, address: SocketAddr, config: SourceConfig) -> SourceId {
        self.system.add_source(address, config, self.now).unwrap()
    }

    pub fn set_answering(&mut self, address: SocketAddr, answers: bool) {
        self.servers.get_mut(&address).unwrap().answers = answers;
    }

    pub fn true_time(&self, at: Instant) -> NtpTimestamp {
        START + NtpDuration::from_std(at.since(Instant::ZERO))
    }

    pub fn clock(&self) -> NtpTimestamp {
        self.true_time(self.now) + self.error
    }

    /// A datagram from nowhere in particular.
    pub fn inject(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        self.arriving.push((self.now, from, bytes));
    }

    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    pub fn run_until(&mut self, end: Instant) {
        loop {
            self.turn();
            let arrival = self.arriving.iter().map(|(at, ..)| *at).min();
            let next = self.system.next_timeout().into_iter().chain(arrival).min();
            match next {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
        }
        self.now = end;
    }

    fn turn(&mut self) {
        while let Some(place) = self.arriving.iter().position(|(at, ..)| *at <= self.now) {
            let (_, from, bytes) = self.arriving.remove(place);
            match self.system.handle_datagram(&bytes, from, self.clock(), self.now) {
                Ok(_) => self.accepted += 1,
                Err(ignored) => self.ignored.push((self.now, ignored)),
            }
            self.obey();
        }
        self.system.handle_timeout(self.now);
        self.obey();
        loop {
            self.nonce = self.nonce.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let Some(transmit) = self.system.poll_transmit(self.now, self.clock(), self.nonce) else { break };
            let bytes = transmit.request.bytes().to_vec();
            self.deliver(transmit.request.to, bytes);
        }
        while let Some(event) = self.system.poll_event() {
            self.events.push(event);
        }
    }

    fn obey(&mut self) {
        while let Some(command) = self.system.poll_command() {
            let mut applied = Applied { at: self.now, slew_end: self.now, ..Applied::default() };
            if let ClockCommand::Step { offset, frequency } = command {
                self.error += offset;
                applied.stepped = offset;
                applied.frequency = frequency;
            }
            self.system.handle_applied(&applied);
        }
    }

    fn deliver(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.requests.push((self.now, to, bytes.clone()));
        let true_time = self.true_time(self.now);
        let Some(server) = self.servers.get_mut(&to) else { return };
        server.asked.push(self.now);
        if server.answers {
            let count = server.asked.len() - 1;
            for (after, answer) in (server.behaviour)(&bytes, true_time, count) {
                self.arriving.push((self.now + after, to, answer));
            }
        }
    }

    /// What the engine was told of a source.
    pub fn samples(&self, id: SourceId) -> Vec<Sample> {
        self.system.engine().samples.iter().filter(|(slot, _)| *slot == id.slot()).map(|(_, sample)| *sample).collect()
    }

    /// Seconds between the requests a server got.
    pub fn gaps(&self, address: SocketAddr) -> Vec<f64> {
        let asked = &self.servers[&address].asked;
        asked.windows(2).map(|pair| pair[1].since(pair[0]).as_secs_f64()).collect()
    }

    pub fn asked(&self, address: SocketAddr) -> usize {
        self.servers[&address].asked.len()
    }
}

/// What a good server answers, before a test changes it: half of `round_trip` each way.
pub fn answer(request: &[u8], true_time: NtpTimestamp, round_trip: Duration) -> Vec<u8> {
    let there = true_time + NtpDuration::from_std(round_trip / 2);
    let mut bytes = vec![0; 48];
    bytes[0] = (request[0] & 0x38) | 4;
    bytes[1] = 2;
    bytes[2] = 6;
    bytes[3] = 0xe8;
    bytes[4..8].copy_from_slice(&0x0000_0100_u32.to_be_bytes());
    bytes[8..12].copy_from_slice(&0x0000_0080_u32.to_be_bytes());
    bytes[12..16].copy_from_slice(&[192, 0, 2, 200]);
    bytes[16..24].copy_from_slice(&(there - NtpDuration::SECOND).to_bytes());
    bytes[24..32].copy_from_slice(&request[40..48]);
    bytes[32..40].copy_from_slice(&there.to_bytes());
    bytes[40..48].copy_from_slice(&there.to_bytes());
    bytes
}

/// A kiss with this code, as ntpd-rs sends it: every time but the origin zero.
pub fn kiss(request: &[u8], code: &[u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    bytes[0] = (request[0] & 0x38) | 4;
    bytes[12..16].copy_from_slice(code);
    bytes[24..32].copy_from_slice(&request[40..48]);
    bytes
}

pub const ROUND_TRIP: Duration = Duration::from_millis(20);

/// A server that is right.
pub fn good(request: &[u8], true_time: NtpTimestamp, _: usize) -> Vec<(Duration, Vec<u8>)> {
    vec![(ROUND_TRIP, answer(request, true_time, ROUND_TRIP))]
}

/// A server that never answers.
pub fn silent(_: &[u8], _: NtpTimestamp, _: usize) -> Vec<(Duration, Vec<u8>)> {
    Vec::new()
}

pub fn config(min: i8, max: i8, iburst: bool) -> SourceConfig {
    let (min_poll, max_poll) = (Poll::from_log2(min), Poll::from_log2(max));
    SourceConfig { min_poll, max_poll, iburst, ..SourceConfig::default() }
}
