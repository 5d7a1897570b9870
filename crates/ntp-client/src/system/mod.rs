//! The system process: many associations, one discipline (RFC 5905 §11).

mod members;
mod upkeep;
mod views;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use ntp_discipline::{Engine, Sample, ServerState, Status, Verdict};
use ntp_types::{Applied, ClockCommand, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Precision, ReferenceId};

pub use self::members::AddError;
use crate::association::{reference_id_of, Answer, Association};
use crate::pool::{Pool, PoolId};
use crate::watch::Watch;
use crate::{Event, Ignored, Request, SystemConfig};

/// Events kept for a caller that does not fetch them; older ones are forgotten.
const EVENTS_KEPT: usize = 256;
/// First requests of sources that are added together are spaced by this, up to [`FIRST_SPREAD`].
const FIRST_SPACING: Duration = Duration::from_millis(10);
const FIRST_SPREAD: u32 = 200;

/// Names a source for as long as it is held; a later source in the same place has another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    slot: u32,
    generation: u32,
}

impl SourceId {
    /// The index of its slot in the engine's slice.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.slot
    }
}

/// A request to send; made by [`System::poll_transmit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a request that is not sent counts as unanswered"]
pub struct Transmit {
    /// For which source.
    pub source: SourceId,
    /// What to send where.
    pub request: Request,
}

/// Many associations and the discipline that makes one time of them. See the [crate page](crate).
#[derive(Debug)]
pub struct System<E: Engine> {
    engine: E,
    states: Vec<E::Source>,
    slots: Vec<Slot>,
    /// Slots of which the engine was told something since it last decided.
    told: BTreeSet<u32>,
    vacant: Vec<u32>,
    addresses: BTreeMap<SocketAddr, u32>,
    /// Every slot that has a request to come, by when.
    queue: BTreeSet<(Instant, u32)>,
    pools: Vec<Pool>,
    own: Vec<ReferenceId>,
    command: Option<ClockCommand>,
    events: VecDeque<Event>,
    status: Status,
    config: SystemConfig,
    random: u64,
    strangers: u64,
    places_stale: bool,
    watch: Watch,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    association: Association,
    pool: Option<PoolId>,
    /// The slot's entry in the queue.
    queued: Option<Instant>,
    verdict: Verdict,
    falseticks: u32,
    reachable: bool,
}

impl<E: Engine> System<E> {
    /// No source yet.
    #[must_use]
    pub fn new(engine: E, config: SystemConfig) -> Self {
        Self {
            engine,
            states: Vec::new(),
            slots: Vec::new(),
            told: BTreeSet::new(),
            vacant: Vec::new(),
            addresses: BTreeMap::new(),
            queue: BTreeSet::new(),
            pools: Vec::new(),
            own: Vec::new(),
            command: None,
            events: VecDeque::new(),
            status: Status::default(),
            config,
            random: config.seed,
            strangers: 0,
            places_stale: false,
            watch: Watch::default(),
        }
    }

    // Commands of the application.

    /// Start a volley to a source now. Returns whether it was there.
    pub fn burst(&mut self, id: SourceId, now: Instant) -> bool {
        let Some(held) = self.held_mut(id) else { return false };
        held.association.burst(now);
        self.requeue(id.slot);
        true
    }

    /// The addresses by which other servers may know this machine: one that names us as its source is in a loop with us.
    pub fn set_local_addresses(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.own = addresses.into_iter().filter(|address| !address.is_loopback()).map(reference_id_of).collect();
    }

    /// The discipline, to be told what only the application knows: a drift file's frequency, a policy.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    // Events in.

    /// A datagram that came in at `received` by our clock, which is `at` by the raw one.
    ///
    /// # Errors
    /// [`Ignored`] says why it was not used; it has been counted, and a kiss obeyed, when this returns.
    pub fn handle_datagram(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        received: NtpTimestamp,
        at: Instant,
    ) -> Result<SourceId, Ignored> {
        let Some(id) = self.source_at(from) else {
            self.strangers = self.strangers.saturating_add(1);
            return Err(Ignored::UnknownSource(from));
        };
        let Self { slots, own, .. } = self;
        let Some(held) = slots.get_mut(index(id.slot)).and_then(|place| place.held.as_mut()) else {
            return Err(Ignored::UnknownSource(from));
        };
        let result = held.association.handle_datagram(bytes, from, received, at, own);
        match &result {
            Ok(answer) => self.use_answer(id, answer, at),
            Err(ignored) => self.note_ignored(id, *ignored, at),
        }
        self.requeue(id.slot);
        result.map(|_| id)
    }

    /// When a request really left, by our clock: a better T1, from the kernel's transmit stamp.
    ///
    /// Returns whether that request is still in flight.
    pub fn handle_transmit_stamp(&mut self, id: SourceId, sequence: u32, sent: NtpTimestamp) -> bool {
        self.held_mut(id).is_some_and(|held| held.association.handle_transmit_stamp(sequence, sent))
    }

    /// An ICMP error came about a request to this address. It may be forged: it is counted and changes nothing.
    pub fn handle_unreachable(&mut self, to: SocketAddr) -> bool {
        let Some(held) = self.source_at(to).and_then(|id| self.held_mut(id)) else { return false };
        held.association.handle_unreachable();
        true
    }

    /// The time has come that [`next_timeout`](Self::next_timeout) named, or any other.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.engine.next_timeout().is_some_and(|due| due <= now) {
            let decision = self.engine.handle_timeout(&mut self.states, now);
            self.decide(&decision);
            self.refresh_polls(decision.polls_changed);
        }
        self.watch_status(now);
    }

    /// What was done to our clock, by us or by anybody else.
    pub fn handle_applied(&mut self, applied: &Applied) {
        self.engine.handle_applied(&mut self.states, applied);
        self.watch.handle_applied(applied);
        if applied.stepped == NtpDuration::ZERO {
            return;
        }
        let slots = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        for slot in 0..slots {
            if let Some(held) = self.slots.get_mut(index(slot)).and_then(|place| place.held.as_mut()) {
                held.association.handle_step(applied.at);
            }
            self.requeue(slot);
        }
    }

    /// A leap second has just passed on our clock.
    pub fn handle_leap(&mut self, leap: LeapIndicator, now: Instant) {
        self.engine.handle_leap(leap, now);
        self.watch.handle_leap(leap);
    }

    /// The machine has just woken after `slept`, which the raw clock did not count.
    ///
    /// Its clock is unsynchronised until sources have confirmed it: they are asked at once, with a volley where
    /// [`iburst`](crate::SourceConfig::iburst) allows one. Frequency and paths stay known.
    pub fn handle_suspended(&mut self, slept: Duration, now: Instant) {
        self.note(Event::Suspended { slept });
        self.lose_offset(now);
        // Whoever woke the machine has set its clock.
        self.watch.start_over();
    }

    /// Our clock showed `time` at `at`. One that has moved against the raw clock by more than 0.1 s beyond what was applied
    /// was set by somebody else, or restored from an image: what follows is as after a sleep.
    ///
    /// [`poll_transmit`](Self::poll_transmit) takes its reading in by itself; to be called before datagrams are handed in
    /// that came after a longer wait, because their timestamps may lie on both sides of the move.
    pub fn handle_reading(&mut self, time: NtpTimestamp, at: Instant) {
        let Self { engine, states, watch, .. } = self;
        if let Some(by) = watch.handle_reading(time, at, || engine.system(states, at).leap) {
            self.note(Event::ClockMoved { by });
            self.lose_offset(at);
        }
    }

    // Actions out.

    /// The next request that is due at `now`; call again until there is none.
    ///
    /// `departure` is our clock's time at `now`; `nonce` a fresh random number for each call.
    pub fn poll_transmit(&mut self, now: Instant, departure: NtpTimestamp, nonce: u64) -> Option<Transmit> {
        self.handle_reading(departure, now);
        self.assign_places();
        loop {
            let (due, slot) = *self.queue.first()?;
            if due > now {
                return None;
            }
            let source = self.id_of(slot)?;
            if self.replace_if_silent(source, now) {
                continue;
            }
            let request = self.ask(slot, now, departure, nonce);
            self.requeue(slot);
            if let Some(request) = request {
                return Some(Transmit { source, request });
            }
        }
    }

    /// What the discipline wants done to the clock; tell what came of it by [`handle_applied`](Self::handle_applied).
    pub fn poll_command(&mut self) -> Option<ClockCommand> {
        self.command.take()
    }

    /// What happened, oldest first. The last 256 are kept.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// What the discipline wants to know of an answer.
pub(crate) fn sample_of(answer: &Answer, own: Precision) -> Sample {
    let exchange = &answer.exchange;
    let server = ServerState {
        leap: exchange.leap,
        stratum: exchange.stratum,
        precision: exchange.precision,
        root_delay: exchange.root_delay,
        root_dispersion: exchange.root_dispersion,
        reference_id: exchange.reference_id,
    };
    Sample::new(exchange.round_trip, own, server, answer.sent, answer.received)
}

/// A slot's place in the vectors.
fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}
