//! A scenario: a machine, a network, servers, and how long to watch.

use ntp_proto::mac::SharedKey;

use crate::attack::Attack;
use crate::oscillator::Wander;
use crate::server::Server;

/// How far ahead the RTC is from which a machine that wakes takes its time, in seconds.
pub const RTC_ERROR: f64 = 0.4;

/// Everything a run depends on but its seed. All times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// A short name without spaces.
    pub name: String,
    /// What it is about, in one line.
    pub about: String,
    /// The servers the client is told of.
    pub servers: Vec<Server>,
    /// What is wrong with the oscillator.
    pub wander: Vec<Wander>,
    /// System minus true time at the start.
    pub initial_offset: f64,
    /// The error that no client can see: it is taken off before figures are made. Positive is ahead.
    pub bias: f64,
    /// The server whose clock is the truth that errors are measured against; without one it is the time that the simulation
    /// counts in, which everything else is told in.
    ///
    /// Nothing that a client can see depends on it. Who counts in that server's time finds all other clocks, the client's
    /// oscillator among them, less far ahead by as much as that server was.
    pub truth: Option<usize>,
    /// When the machine sleeps, and for how long. On waking it takes its clock from an RTC that is [`RTC_ERROR`] wrong.
    pub suspended: Vec<(u32, u32)>,
    /// When somebody else adds how much to the clock, without a word.
    pub moved: Vec<(u32, f64)>,
    /// Who attacks.
    pub attacks: Vec<Attack>,
    /// The key that the client demands and every server has; no attacker has it.
    pub key: Option<SharedKey>,
    /// Shortest and longest poll exponent the client may use.
    pub poll: (i8, i8),
    /// When the run ends.
    pub duration: u32,
    /// From when on errors count.
    pub settle: u32,
    /// When the thing that the scenario is about is over, for the time to recover from it.
    pub event: Option<u32>,
}

impl Scenario {
    /// A day's common case: a clock 50 ms off on an oscillator 20 ppm fast with a random walk of 10⁻⁹ per √s, polls
    /// from 64 to 1024 s, watched for 60 000 s of which the first 10 000 do not count.
    #[must_use]
    pub fn new(name: &str, about: &str) -> Self {
        Self {
            name: name.into(),
            about: about.into(),
            servers: Vec::new(),
            wander: vec![Wander::Constant(2e-5), Wander::RandomWalk(1e-9)],
            initial_offset: 0.05,
            bias: 0.0,
            truth: None,
            suspended: Vec::new(),
            moved: Vec::new(),
            attacks: Vec::new(),
            key: None,
            poll: (6, 10),
            duration: 60_000,
            settle: 10_000,
            event: None,
        }
    }

    /// With one more server.
    #[must_use]
    pub fn server(mut self, server: Server) -> Self {
        self.servers.push(server);
        self
    }

    /// With these causes of frequency error instead of the common ones.
    #[must_use]
    pub fn wander(mut self, wander: impl Into<Vec<Wander>>) -> Self {
        self.wander = wander.into();
        self
    }

    /// Starting this far ahead.
    #[must_use]
    pub fn starts_at(mut self, offset: f64) -> Self {
        self.initial_offset = offset;
        self
    }

    /// With an error that no client can see.
    #[must_use]
    pub fn bias(mut self, bias: f64) -> Self {
        self.bias = bias;
        self
    }

    /// The same world, judged by the clock of one of its servers.
    #[must_use]
    pub fn judged_by(mut self, server: usize) -> Self {
        self.truth = Some(server);
        self
    }

    /// Ending at `duration`, counting from `settle` on.
    #[must_use]
    pub fn watch(mut self, settle: u32, duration: u32) -> Self {
        (self.settle, self.duration) = (settle, duration);
        self
    }

    /// With the poll exponent fixed.
    #[must_use]
    pub fn poll_fixed(mut self, poll: i8) -> Self {
        self.poll = (poll, poll);
        self
    }

    /// With an event that is over at `event`.
    #[must_use]
    pub fn event(mut self, event: u32) -> Self {
        self.event = Some(event);
        self
    }

    /// With the machine asleep for `seconds` at `at`.
    #[must_use]
    pub fn suspended(mut self, at: u32, seconds: u32) -> Self {
        self.suspended.push((at, seconds));
        self
    }

    /// With somebody who adds `offset` to the clock at `at`.
    #[must_use]
    pub fn moved(mut self, at: u32, offset: f64) -> Self {
        self.moved.push((at, offset));
        self
    }

    /// With an attacker.
    #[must_use]
    pub fn attack(mut self, attack: Attack) -> Self {
        self.attacks.push(attack);
        self
    }

    /// With a key that the client and all servers share.
    #[must_use]
    pub fn signed(mut self, key: SharedKey) -> Self {
        self.key = Some(key);
        self
    }

    /// How long the machine has been asleep when this second begins in which it is awake again; zero otherwise.
    #[must_use]
    pub fn slept(&self, second: u32) -> u32 {
        let ending = |&&(at, seconds): &&(u32, u32)| at.saturating_add(seconds) == second;
        self.suspended.iter().filter(ending).map(|&(_, seconds)| seconds).sum()
    }

    /// Whether the machine is asleep in this second.
    #[must_use]
    pub fn sleeps(&self, second: u32) -> bool {
        self.suspended.iter().any(|&(at, seconds)| (at..at.saturating_add(seconds)).contains(&second))
    }
}
