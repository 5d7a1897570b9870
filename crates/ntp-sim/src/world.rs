//! The world of one run: true time goes on second by second, packets fly, timers ring, and every second the error of
//! the client's clock is written down.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use ntp_types::{Applied, ClockCommand, Instant, NtpDuration, NtpTimestamp};

use crate::attack::Attackers;
use crate::clock::{Clock, EPOCH};
use crate::metrics::{Metrics, Second};
use crate::network::Link;
use crate::scenario::{Scenario, RTC_ERROR};
use crate::server::Server;

/// The largest packet carried, in octets.
pub const PACKET: usize = 1024;

/// How soon who reads a request can have answered it, in seconds.
const AT_ONCE: f64 = 1e-5;

/// A client under test: a machine that is given packets and time, and steers a clock.
///
/// `now` is the raw clock, `time` the steered one. Servers are told apart by their index in the scenario.
pub trait Client {
    /// The next request, if one is due: the server it goes to and its length in `out`.
    fn poll_transmit(
        &mut self,
        now: Instant,
        time: NtpTimestamp,
        nonce: u64,
        out: &mut [u8; PACKET],
    ) -> Option<(usize, usize)>;
    /// A packet that came from a server, or says so.
    fn handle_datagram(&mut self, server: usize, bytes: &[u8], time: NtpTimestamp, now: Instant);
    /// The machine has woken after `slept`.
    fn handle_suspended(&mut self, slept: Duration, now: Instant);
    /// Time has passed.
    fn handle_timeout(&mut self, now: Instant);
    /// What to do to the clock, if anything.
    fn poll_command(&mut self) -> Option<ClockCommand>;
    /// What was done.
    fn handle_applied(&mut self, applied: &Applied);
    /// When to call again without a packet.
    fn next_timeout(&self) -> Option<Instant>;
    /// The bound claimed for the clock's error, in seconds, unless it is unsynchronised.
    fn bound(&self, now: Instant) -> Option<f64>;
}

/// A request as it came to a server.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The packet.
    pub bytes: &'a [u8],
    /// The server's clock when it came.
    pub received: NtpTimestamp,
    /// The server's clock when the answer will leave.
    pub transmit: NtpTimestamp,
    /// True time since the start, in seconds.
    pub since_start: f64,
}

/// A packet at the client's end of its way.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// The server it goes to, or says it is from.
    pub server: usize,
    /// Whether the client is given it; otherwise the client sends it.
    pub to_client: bool,
    /// The packet.
    pub bytes: &'a [u8],
    /// The raw clock then.
    pub now: Instant,
}

/// What a server says to a request.
pub trait Responder {
    /// The length of the answer in `out`; `None` for none.
    fn respond(&mut self, asked: Asked<'_>, server: &Server, out: &mut [u8; PACKET]) -> Option<usize>;
}

/// A packet on its way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    arrives: NtpDuration,
    /// Order of sending, so that packets arriving together keep it.
    number: u64,
    server: usize,
    to_client: bool,
    bytes: Vec<u8>,
}

/// One run in motion.
#[derive(Debug)]
pub struct World<'s, C, R> {
    scenario: &'s Scenario,
    client: C,
    responders: Vec<R>,
    clock: Clock,
    links: Vec<(Link, Link)>,
    flights: BinaryHeap<Reverse<Flight>>,
    attackers: Attackers,
    sent: u64,
    nonce: u64,
    /// True time since the start.
    time: NtpDuration,
    seconds: Vec<Second>,
    packets: u32,
    packets_in_all: u32,
    steps: u32,
}

impl<'s, C: Client, R: Responder> World<'s, C, R> {
    /// A world at its first moment.
    #[must_use]
    pub fn new(scenario: &'s Scenario, seed: u64, client: C, responders: Vec<R>) -> Self {
        let link = |path: &crate::network::Path, purpose| Link::new(path.clone(), seed, purpose);
        let links = (0_u64..).zip(&scenario.servers);
        let links = links.map(|(i, s)| (link(&s.up, 2 * i + 1000), link(&s.down, 2 * i + 1001))).collect();
        Self {
            scenario,
            client,
            responders,
            clock: Clock::new(&scenario.wander, scenario.initial_offset, seed),
            links,
            flights: BinaryHeap::new(),
            attackers: Attackers::new(&scenario.attacks, seed),
            sent: 0,
            nonce: seed,
            time: NtpDuration::ZERO,
            seconds: Vec::new(),
            packets: 0,
            packets_in_all: 0,
            steps: 0,
        }
    }

    /// The raw clock now.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.instant(self.time)
    }

    /// Runs to the end: the figures, and every second.
    #[must_use]
    pub fn run(self) -> (Metrics, Vec<Second>) {
        self.run_tapped(|_| ())
    }

    /// The same; `tap` is shown every packet that the client sends or is given.
    #[must_use]
    pub fn run_tapped(mut self, mut tap: impl FnMut(Passage<'_>)) -> (Metrics, Vec<Second>) {
        for second in 0..self.scenario.duration {
            self.second(second, &mut tap);
        }
        let settle = usize::try_from(self.scenario.settle).unwrap_or(usize::MAX);
        let metrics = Metrics {
            packets: self.packets,
            packets_in_all: self.packets_in_all,
            steps: self.steps,
            ..Metrics::of(&self.seconds, settle).recovered(&self.seconds, self.scenario.event)
        };
        (metrics, self.seconds)
    }

    fn second(&mut self, second: u32, tap: &mut impl FnMut(Passage<'_>)) {
        let start = NtpDuration::from_bits(i64::from(second) << 32);
        let end = start + NtpDuration::SECOND;
        self.time = start;
        if self.scenario.sleeps(second) {
            // Asleep: nothing counts, nothing runs, what arrives is lost.
            self.time = NtpDuration::from_bits(end.to_bits() - 1);
            while self.flights.peek().is_some_and(|Reverse(flight)| flight.arrives <= self.time) {
                self.flights.pop();
            }
            self.clock.sleep();
            return;
        }
        self.disturb(second);
        for (server, delay, bytes) in self.attackers.second(f64::from(second), self.scenario.servers.len()) {
            self.deliver(server, true, bytes, delay);
        }
        self.act(tap);
        while let Some(next) = self.next_event(start).filter(|&next| next < end) {
            self.time = self.time.max(next);
            self.arrivals(tap);
            self.act(tap);
        }
        self.time = NtpDuration::from_bits(end.to_bits() - 1);
        self.seconds.push(self.judged());
        self.clock.advance();
    }

    /// How the clock stands to the truth.
    fn judged(&self) -> Second {
        let now = self.time.to_seconds_f64();
        let truth = self.scenario.truth.and_then(|server| self.scenario.servers.get(server));
        let (ahead, faster) = truth.map_or((0.0, 0.0), |server| (server.error(now), server.frequency_error(now)));
        Second {
            error: self.clock.error(self.time) - self.scenario.bias - ahead,
            frequency: (self.clock.frequency_error(self.time) - faster) / (1.0 + faster),
            bound: self.client.bound(self.now()),
        }
    }

    /// What happens to the clock at the start of a second without the client.
    fn disturb(&mut self, second: u32) {
        let slept = self.scenario.slept(second);
        if slept > 0 {
            self.clock.set(NtpDuration::from_seconds_f64(f64::from(slept) + RTC_ERROR));
            self.client.handle_suspended(Duration::from_secs(u64::from(slept)), self.now());
        }
        for &(_, offset) in self.scenario.moved.iter().filter(|&&(at, _)| at == second) {
            self.clock.set(NtpDuration::from_seconds_f64(offset));
        }
    }

    fn next_event(&self, second: NtpDuration) -> Option<NtpDuration> {
        let arrival = self.flights.peek().map(|Reverse(flight)| flight.arrives);
        let timer = self.client.next_timeout().and_then(|target| self.clock.reaches(target, second));
        match (arrival, timer) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn arrivals(&mut self, tap: &mut impl FnMut(Passage<'_>)) {
        while self.flights.peek().is_some_and(|Reverse(flight)| flight.arrives <= self.time) {
            let Some(Reverse(flight)) = self.flights.pop() else { return };
            if flight.to_client {
                let (time, now) = (self.clock.read(self.time), self.now());
                tap(Passage { server: flight.server, to_client: true, bytes: &flight.bytes, now });
                self.client.handle_datagram(flight.server, &flight.bytes, time, now);
            } else {
                self.serve(&flight);
            }
        }
    }

    fn serve(&mut self, flight: &Flight) {
        let now = self.time.to_seconds_f64();
        let Some(server) = self.scenario.servers.get(flight.server).filter(|server| server.answers(now)) else {
            return;
        };
        let received = EPOCH + (self.time + NtpDuration::from_seconds_f64(server.error(now)));
        let processing = NtpDuration::from_seconds_f64(server.processing);
        let asked = Asked { bytes: &flight.bytes, received, transmit: received + processing, since_start: now };
        let mut out = [0; PACKET];
        let answer = self.responders.get_mut(flight.server).and_then(|r| r.respond(asked, server, &mut out));
        if let Some(bytes) = answer.and_then(|length| out.get(..length)) {
            self.send(flight.server, true, bytes.to_vec(), server.processing);
        }
    }

    /// Puts a packet on its way, `later` seconds from now.
    fn send(&mut self, server: usize, to_client: bool, bytes: Vec<u8>, later: f64) {
        let now = self.time.to_seconds_f64() + later;
        let Some((up, down)) = self.links.get_mut(server) else { return };
        let delays = if to_client { down.carry(now) } else { up.carry(now) };
        for delay in delays.into_iter().flatten() {
            self.deliver(server, to_client, bytes.clone(), later + delay);
        }
        if to_client {
            for delay in self.attackers.replays(now) {
                self.deliver(server, true, bytes.clone(), delay);
            }
        }
    }

    fn deliver(&mut self, server: usize, to_client: bool, bytes: Vec<u8>, delay: f64) {
        self.sent += 1;
        let arrives = self.time + NtpDuration::from_seconds_f64(delay);
        self.flights.push(Reverse(Flight { arrives, number: self.sent, server, to_client, bytes }));
    }

    /// Lets the client do what it has to do now.
    fn act(&mut self, tap: &mut impl FnMut(Passage<'_>)) {
        let now = self.now();
        self.client.handle_timeout(now);
        let mut out = [0; PACKET];
        loop {
            self.nonce = self.nonce.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let time = self.clock.read(self.time);
            let Some((server, length)) = self.client.poll_transmit(now, time, self.nonce, &mut out) else { break };
            self.packets_in_all += 1;
            if self.time >= NtpDuration::from_bits(i64::from(self.scenario.settle) << 32) {
                self.packets += 1;
            }
            let request = out.get(..length).unwrap_or_default();
            tap(Passage { server, to_client: false, bytes: request, now });
            let seconds = self.time.to_seconds_f64();
            for forged in self.attackers.forgeries(seconds, request, EPOCH + self.time) {
                self.deliver(server, true, forged, AT_ONCE);
            }
            self.send(server, false, request.to_vec(), 0.0);
        }
        while let Some(command) = self.client.poll_command() {
            self.steps += u32::from(matches!(command, ClockCommand::Step { .. }));
            let applied = self.clock.apply(&command, self.time);
            self.client.handle_applied(&applied);
        }
    }
}
