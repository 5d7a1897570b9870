//! The loop around the client: one thread, one poll(2), a clock, and a view.

mod arguments;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ntp_client::{Event, Snapshot, SourceId, System};
use ntp_clock::{ClockError, ReadClock, Reading, Sleep, SteerClock};
use ntp_discipline::leap::LeapAction;
use ntp_discipline::{Engine, Status};
use ntp_net::{Poller, Wake};
use ntp_types::{ClockCommand, Instant, LeapIndicator, NtpDuration};

use crate::address;
use crate::clock::AgentClock;
use crate::demo::Servers;
use crate::drift::Drift;
use crate::kernel::KernelBooks;
use crate::ports::{Heard, Ports};
use crate::roster::Roster;
use crate::stop::Stop;
use crate::text;
use crate::view::View;

pub use self::arguments::{Arguments, Clock, Discipline};

/// How long to wait for the end of a slew that far away: waits are counted by the clock that is slewed, and by a slow one they
/// would be too long. So it is approached.
fn ahead_of(end: Duration) -> Duration {
    (end - end / 16).max(Duration::from_millis(1))
}

/// A wait is never longer, so that a signal that came just before it is heard.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A client with its sockets and its clock.
#[derive(Debug)]
pub struct Agent<E: Engine> {
    system: System<E>,
    clock: AgentClock,
    ports: Ports<SourceId>,
    poller: Poller,
    roster: Roster,
    /// Servers that answer in the same thread; none outside the demonstration.
    servers: Servers,
    started: Instant,
    trace: Vec<TracePoint>,
    /// What the clock was stepped by in all.
    stepped: NtpDuration,
    /// Servers that could not be asked, and the reason that was shown.
    complaints: BTreeMap<SocketAddr, String>,
    drift: Drift,
    sleep: Sleep,
    kernel: KernelBooks,
}

/// Where the clock stood at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TracePoint {
    /// Since the start.
    pub time: Duration,
    /// What was known to be still to be corrected; where truth is known, the truth.
    pub offset: NtpDuration,
    /// The error bound the client claimed, once it claimed one.
    pub bound: Option<NtpDuration>,
}

/// Why a run ended early.
#[derive(Debug)]
pub enum Failure {
    /// The clock.
    Clock(ClockError),
    /// Waiting, standard output, or the random source.
    Io(io::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clock(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<ClockError> for Failure {
    fn from(error: ClockError) -> Self {
        Self::Clock(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<E: Engine> Agent<E> {
    /// Over a client whose sources come from `roster`, or are there already. The client learns how the clock runs.
    ///
    /// # Errors
    /// The clock's.
    pub fn new(
        mut system: System<E>,
        mut clock: AgentClock,
        roster: Roster,
        servers: Servers,
        drift: Drift,
    ) -> Result<Self, Failure> {
        let found = clock.apply(&ClockCommand::Hold)?;
        // The rate it has anyway: a clock that may not be changed says so now, and not after minutes of measuring.
        let (offset, duration, frequency) = (NtpDuration::ZERO, Duration::ZERO, found.frequency);
        let in_force = clock.apply(&ClockCommand::Slew { offset, duration, frequency })?;
        system.handle_applied(&in_force);
        if let Some((frequency, deviation)) = drift.known(in_force.frequency) {
            system.engine_mut().preset_frequency(frequency, deviation);
        }
        let started = clock.read()?.at;
        Ok(Self {
            system,
            clock,
            drift,
            sleep: Sleep::default(),
            kernel: KernelBooks::default(),
            ports: Ports::default(),
            poller: Poller::new(),
            roster,
            servers,
            started,
            trace: Vec::new(),
            stepped: NtpDuration::ZERO,
            complaints: BTreeMap::new(),
        })
    }

    /// The client.
    #[must_use]
    pub fn system(&self) -> &System<E> {
        &self.system
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &AgentClock {
        &self.clock
    }

    /// The clock, to do what somebody else may do to it.
    pub fn clock_mut(&mut self) -> &mut AgentClock {
        &mut self.clock
    }

    /// Where the clock stood, sample by sample.
    #[must_use]
    pub fn trace(&self) -> &[TracePoint] {
        &self.trace
    }

    /// What the clock was stepped by in all.
    #[must_use]
    pub fn stepped(&self) -> NtpDuration {
        self.stepped
    }

    /// Everything as it stands.
    ///
    /// # Errors
    /// The clock's.
    pub fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(self.system.snapshot(self.clock.read()?.at))
    }

    /// How far the clock is from true, where that is known: in the demonstration, whose servers have the machine's time.
    #[must_use]
    pub fn true_offset(&self) -> Option<NtpDuration> {
        if self.servers.is_empty() {
            None
        } else {
            self.clock.ahead().map(|ahead| -ahead)
        }
    }

    /// Runs for `duration`, or until `stop` is asked for.
    ///
    /// # Errors
    /// [`Failure`] of the clock, of waiting or of the view.
    pub fn run(&mut self, duration: Option<Duration>, stop: &Stop, view: &mut View) -> Result<(), Failure> {
        let end = duration.map(|duration| self.started + duration);
        let mut shown: Option<Instant> = None;
        loop {
            let now = self.look()?.at;
            if let Some(applied) = self.clock.handle_timeout(now)? {
                self.system.handle_applied(&applied);
            }
            for complaint in self.roster.handle_timeout(&mut self.system, now) {
                view.say(now.since(self.started), &complaint)?;
            }
            self.system.handle_timeout(now);
            self.obey(view)?;
            self.watch_guard(now, view)?;
            self.tell_kernel(now, view)?;
            self.ask(view)?;
            let mut is_news = false;
            while let Some(event) = self.system.poll_event() {
                view.event(now.since(self.started), &event)?;
                // No measurement will tell of it.
                is_news |= matches!(event, Event::Unreachable { .. } | Event::StatusChanged { .. });
                self.roster.handle_event(&event, now);
            }
            let refresh = view.style().refresh();
            let is_due = shown.is_none_or(|shown| refresh.is_some_and(|every| now.since(shown) >= every));
            if is_due || is_news {
                self.show(now, view, is_news)?;
                shown = Some(now);
            }
            let is_over = stop.is_asked() || end.is_some_and(|end| end <= now);
            if let Some(complaint) = self.drift.handle_timeout(&self.system, now, is_over) {
                view.say(now.since(self.started), &complaint)?;
            }
            if is_over {
                return Ok(());
            }
            let redraw = shown.and_then(|shown| Some(shown + refresh?));
            let clock = self.clock.next_timeout().map(|end| now + ahead_of(end.since(now)));
            let wake = [self.system.next_timeout(), clock, self.roster.next_timeout(), redraw, end];
            let wait = wake.into_iter().flatten().min().map_or(LONGEST_WAIT, |at| at.since(now).min(LONGEST_WAIT));
            self.poller.clear();
            self.ports.register(&mut self.poller);
            self.servers.register(&mut self.poller);
            if let Wake::Ready(_) = self.poller.wait(Some(wait))? {
                self.servers.serve(&self.poller, now);
                self.hear(view)?;
            }
        }
    }

    /// Reads the clock, and tells the client if it is no more the clock it was.
    fn look(&mut self) -> Result<Reading, Failure> {
        let reading = self.clock.read()?;
        if let Some(slept) = self.sleep.since_last(&self.clock) {
            self.system.handle_suspended(slept, reading.at);
        }
        self.system.handle_reading(reading.time, reading.at);
        Ok(reading)
    }

    /// Does to the clock what the discipline wants, and tells it what came of it.
    fn obey(&mut self, view: &mut View) -> Result<(), Failure> {
        while let Some(command) = self.system.poll_command() {
            let applied = match self.clock.apply(&command) {
                Ok(applied) => applied,
                // Nothing has changed, which the discipline takes for granted until it is told otherwise.
                Err(error) => {
                    let now = self.clock.read()?.at;
                    view.say(now.since(self.started), &format!("the clock was left alone: {error}"))?;
                    continue;
                }
            };
            if let ClockCommand::Step { .. } = command {
                self.stepped += applied.stepped;
                self.kernel.handle_step();
                let line = format!("clock stepped by {}", text::signed(applied.stepped));
                view.say(applied.at.since(self.started), &line)?;
            }
            self.system.handle_applied(&applied);
        }
        Ok(())
    }

    /// Notices that who would set the clock back after us is gone.
    fn watch_guard(&mut self, now: Instant, view: &mut View) -> Result<(), Failure> {
        let AgentClock::System(machine) = &mut self.clock else { return Ok(()) };
        let Some((line, applied)) = machine.replace_lost_guard()? else { return Ok(()) };
        if let Some(applied) = applied {
            self.system.handle_applied(&applied);
        }
        Ok(view.say(now.since(self.started), line)?)
    }

    /// Keeps the kernel informed of its clock, where it is the kernel's that is disciplined.
    fn tell_kernel(&mut self, now: Instant, view: &mut View) -> Result<(), Failure> {
        let AgentClock::System(machine) = &mut self.clock else { return Ok(()) };
        let clock = machine.system();
        let (adjustment, action) = self.kernel.handle_estimate(&self.system.estimate(now), clock.time()?, now);
        let mut lines = Vec::new();
        if let Some(adjustment) = adjustment {
            lines.extend(clock.adjust(&adjustment).err().map(|error| format!("the kernel was not told: {error}")));
        }
        match action {
            Some(LeapAction::Arm { leap, end }) => {
                let seconds = if leap == LeapIndicator::InsertSecond { 61 } else { 59 };
                lines.push(format!("leap second armed: the last minute before {end} has {seconds} seconds"));
            }
            Some(LeapAction::Disarm) => lines.push("leap second taken back".into()),
            Some(LeapAction::Passed { leap }) => {
                self.system.handle_leap(leap, now);
                lines.push("leap second passed".into());
            }
            None => {}
        }
        for line in lines {
            view.say(now.since(self.started), &line)?;
        }
        Ok(())
    }

    /// Sends what is due.
    fn ask(&mut self, view: &mut View) -> Result<(), Failure> {
        let system = &self.system;
        self.ports.retain(|source| system.association(source).is_some());
        loop {
            let nonce = getrandom::u64().map_err(io::Error::from)?;
            let Reading { time, at } = self.clock.read()?;
            let Some(transmit) = self.system.poll_transmit(at, time, nonce) else { return Ok(()) };
            let to = transmit.request.to;
            match self.ports.send(transmit.source, &transmit.request) {
                Ok(()) => {
                    self.complaints.remove(&to);
                }
                Err(error) => {
                    let error = error.to_string();
                    if self.complaints.get(&to) != Some(&error) {
                        let line = format!("{} cannot be asked: {error}", address::show(to));
                        view.say(at.since(self.started), &line)?;
                        self.complaints.insert(to, error);
                    }
                }
            }
        }
    }

    fn hear(&mut self, view: &mut View) -> Result<(), Failure> {
        let now = self.look()?;
        let Self { system, clock, ports, poller, .. } = self;
        let mut is_news = false;
        ports.receive(poller, |heard| match heard {
            Heard::Left(source, sequence, stamp) => {
                system.handle_transmit_stamp(source, sequence, clock.time_of(stamp));
            }
            Heard::Datagram(datagram, octets) => {
                let received = clock.time_of(datagram.stamp.time);
                let at = now.instant_of(received, LONGEST_WAIT);
                is_news |= system.handle_datagram(octets, datagram.source, received, at).is_ok();
            }
            Heard::Unreachable(destination) => {
                system.handle_unreachable(destination);
            }
        });
        if is_news {
            self.obey(view)?;
            self.show(now.at, view, true)?;
        }
        Ok(())
    }

    fn show(&mut self, now: Instant, view: &mut View, is_news: bool) -> Result<(), Failure> {
        let snapshot = self.system.snapshot(now);
        let true_offset = self.true_offset();
        let time = now.since(self.started);
        if is_news {
            let offset = true_offset.unwrap_or(snapshot.system.offset);
            let is_known = snapshot.system.status != Status::Unsynchronized;
            self.trace.push(TracePoint { time, offset, bound: is_known.then_some(snapshot.system.bound) });
        }
        Ok(view.show(time, &snapshot, true_offset, is_news)?)
    }
}
