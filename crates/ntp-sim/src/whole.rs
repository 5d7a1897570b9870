//! The real client and the real servers, over real packets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ntp_client::{SourceConfig, System, SystemConfig};
use ntp_discipline::{adaptive, Engine, Policy, Status};
use ntp_proto::mac::SharedKey;
use ntp_proto::{AnswerTemplate, ServerVariables};
use ntp_server::{Outcome, ServerClock};
use ntp_types::{
    Applied, ClockCommand, Instant, KissCode, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision,
    ReferenceId, Stratum,
};

use crate::clock::Clock;
use crate::metrics::{Metrics, Second};
use crate::scenario::Scenario;
use crate::server::Server;
use crate::world::{Asked, Client, Responder, World, PACKET};

/// Sources that the adaptive engine fuses in these runs.
pub const SOURCES: usize = 16;
/// Server `i` has the address 198.18.0.0 + i, of the block set aside for benchmarks.
const FIRST_ADDRESS: u32 = 0xc612_0000;
const PORT: u16 = 123;
/// Precision of all clocks: 2⁻²⁸ s, 4 ns.
const PRECISION: Precision = Precision::from_log2(-28);

/// The client as it is: associations, system process, and an engine.
#[derive(Debug)]
pub struct Whole<E: Engine> {
    system: System<E>,
}

impl<E: Engine> Whole<E> {
    /// A client of the scenario's servers, with a quick start.
    #[must_use]
    pub fn new(engine: E, scenario: &Scenario, seed: u64, now: Instant) -> Self {
        let mut system = System::new(engine, SystemConfig { seed, precision: PRECISION });
        let config = SourceConfig {
            min_poll: Poll::from_log2(scenario.poll.0),
            max_poll: Poll::from_log2(scenario.poll.1),
            iburst: true,
            key: scenario.key.clone(),
            ..SourceConfig::default()
        };
        for index in 0..scenario.servers.len() {
            // Every address is a server's and another one: nothing can be refused.
            let _ = system.add_source(address(index), config.clone(), now);
        }
        Self { system }
    }

    /// The system process.
    #[must_use]
    pub fn system(&self) -> &System<E> {
        &self.system
    }
}

fn address(index: usize) -> SocketAddr {
    let host = FIRST_ADDRESS.wrapping_add(u32::try_from(index).unwrap_or(u32::MAX));
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(host)), PORT)
}

fn index(address: SocketAddr) -> Option<usize> {
    match address.ip() {
        IpAddr::V4(host) => usize::try_from(u32::from(host).wrapping_sub(FIRST_ADDRESS)).ok(),
        IpAddr::V6(_) => None,
    }
}

impl<E: Engine> Client for Whole<E> {
    fn poll_transmit(
        &mut self,
        now: Instant,
        time: NtpTimestamp,
        nonce: u64,
        out: &mut [u8; PACKET],
    ) -> Option<(usize, usize)> {
        let transmit = self.system.poll_transmit(now, time, nonce)?;
        let bytes = transmit.request.bytes();
        out.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some((index(transmit.request.to)?, bytes.len()))
    }

    fn handle_datagram(&mut self, server: usize, bytes: &[u8], time: NtpTimestamp, now: Instant) {
        // What is ignored is counted by the client; here it only matters that it is.
        let _ = self.system.handle_datagram(bytes, address(server), time, now);
    }

    fn handle_suspended(&mut self, slept: Duration, now: Instant) {
        self.system.handle_suspended(slept, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.system.handle_timeout(now);
        while self.system.poll_event().is_some() {}
    }

    fn poll_command(&mut self) -> Option<ClockCommand> {
        self.system.poll_command()
    }

    fn handle_applied(&mut self, applied: &Applied) {
        self.system.handle_applied(applied);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.system.next_timeout()
    }

    fn bound(&self, now: Instant) -> Option<f64> {
        let estimate = self.system.estimate(now);
        (estimate.status != Status::Unsynchronized).then(|| estimate.bound.to_seconds_f64())
    }
}

/// A server as it is, made to be wrong as its scenario says.
#[derive(Debug)]
pub struct Answering {
    server: ntp_server::Server,
}

impl Answering {
    /// A responder for a server of a scenario, that holds `key`. The kisses of its faults are not signed.
    #[must_use]
    pub fn new(server: &Server, key: Option<&SharedKey>) -> Self {
        let server = ntp_server::Server::new(ServerClock::following(variables(server), Instant::ZERO));
        Self { server: server.with_keys(Arc::new(key.cloned().into_iter().collect())) }
    }
}

fn variables(server: &Server) -> ServerVariables {
    let short = |seconds| NtpShort::from_duration(NtpDuration::from_seconds_f64(seconds));
    ServerVariables {
        leap: LeapIndicator::NoWarning,
        stratum: Stratum::from_bits(server.stratum),
        precision: PRECISION,
        root_delay: short(server.root_delay),
        root_dispersion: short(server.root_dispersion),
        reference_id: ReferenceId::from_bytes(*b"GPS\0"),
        reference_timestamp: NtpTimestamp::UNSET,
    }
}

impl Responder for Answering {
    fn respond(&mut self, asked: Asked<'_>, server: &Server, out: &mut [u8; PACKET]) -> Option<usize> {
        let clock = if server.is_unsynchronized(asked.since_start) {
            ServerClock::unsynchronized(PRECISION)
        } else {
            // Its reference clock corrects it all the time.
            let variables = ServerVariables { reference_timestamp: asked.received, ..variables(server) };
            ServerClock::following(variables, Instant::ZERO)
        };
        if let Some(code) = server.kiss(asked.since_start) {
            return kiss(asked, &clock, code, out);
        }
        self.server.set_clock(clock);
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 19, 0, 1)), 40_000);
        match self.server.respond(asked.bytes, from, asked.received, asked.transmit, Instant::ZERO, out) {
            Outcome::Response { length } => Some(length),
            Outcome::Drop(_) => None,
        }
    }
}

fn kiss(asked: Asked<'_>, clock: &ServerClock, code: [u8; 4], out: &mut [u8; PACKET]) -> Option<usize> {
    let request = ntp_proto::Request::parse(asked.bytes).ok()?;
    let template = AnswerTemplate::new(&clock.variables(Instant::ZERO, asked.received));
    let bytes = template.kiss(&request, KissCode::from_bytes(code), Poll::DEFAULT_MIN);
    out.get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(bytes.len())
}

/// The world of a scenario at its first moment: the real client with this engine, and its servers.
#[must_use]
pub fn world<E: Engine>(engine: E, scenario: &Scenario, seed: u64) -> World<'_, Whole<E>, Answering> {
    let start = Clock::new(&scenario.wander, scenario.initial_offset, seed).instant(NtpDuration::ZERO);
    let key = scenario.key.as_ref();
    let responders = scenario.servers.iter().map(|server| Answering::new(server, key)).collect();
    World::new(scenario, seed, Whole::new(engine, scenario, seed, start), responders)
}

/// Runs the real client, with the adaptive engine and its usual policy, through a scenario.
///
/// # Panics
/// Never: the usual policy is valid.
#[must_use]
#[allow(clippy::expect_used)] // said above
pub fn run(scenario: &Scenario, seed: u64) -> (Metrics, Vec<Second>) {
    let engine = adaptive::Engine::<SOURCES>::new(Policy::default()).expect("the default policy is valid");
    world(engine, scenario, seed).run()
}
