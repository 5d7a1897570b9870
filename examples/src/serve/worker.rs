//! The loop of one `ntp-serve` worker: a batch in, answers in place, a batch out.

use std::io;
use std::time::Duration;

use ntp_net::{Batch, Datagram, Event, SendLead, Socket, Stamp, TransmitId, Turn};
use ntp_proto::HEADER_LENGTH;
use ntp_server::{DropReason, Outcome, Server, TransmitToken, MAX_REQUEST};
use ntp_types::{Instant, NtpDuration, NtpTimestamp};

use super::shared::{Sent, Shared};

/// Datagrams taken with one system call.
pub(super) const BATCH: usize = 32;
/// How often a worker looks up from its socket: for the stop sign, a new clock, and to publish its counts.
pub(super) const LOOK_UP: Duration = Duration::from_millis(500);
/// Transmit stamps waited for at once; more are given up.
const AWAITED: usize = 256;

/// A transmit stamp that is waited for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    id: TransmitId,
    /// Since when.
    since: Instant,
    purpose: Purpose,
}

/// Why.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    /// To learn how long sending takes: the clock reading before, and how long after it sending was over.
    Lead(Turn, NtpTimestamp, NtpDuration),
    /// For an interleaved client's next answer.
    Answer(TransmitToken),
}

/// One worker: a socket, a responder, and what it has learnt about sending.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    shared: &'a Shared,
    index: usize,
    socket: &'a Socket,
    server: Server,
    batch: Batch,
    lead: SendLead,
    awaited: Vec<Awaited>,
    interleaved: Vec<(usize, TransmitToken)>,
    sent: Sent,
    generation: u64,
}

impl<'a> Worker<'a> {
    /// The worker number `index`.
    #[must_use]
    pub(super) fn new(shared: &'a Shared, index: usize, socket: &'a Socket, server: Server) -> Self {
        Self {
            shared,
            index,
            socket,
            server,
            batch: Batch::new(BATCH, MAX_REQUEST),
            lead: SendLead::new(),
            awaited: Vec::with_capacity(AWAITED),
            interleaved: Vec::with_capacity(BATCH),
            sent: Sent::default(),
            generation: 0,
        }
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// What the kernel says of a socket that can no longer be read.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut looked_up = self.shared.now();
        while !self.shared.stop.is_asked() {
            let received = match self.socket.receive_batch(&mut self.batch) {
                Ok(received) => received,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => 0,
                    _ => return Err(error),
                },
            };
            let now = self.shared.now();
            self.server.prefetch(self.batch.sources());
            while self.batch.waiting() > 0 {
                self.answer(now);
            }
            if !self.awaited.is_empty() {
                self.take_stamps();
            }
            if received == 0 || now.since(looked_up) >= LOOK_UP {
                self.look_up(now);
                looked_up = now;
            }
        }
        self.look_up(self.shared.now());
        Ok(())
    }

    /// Answers as many of the waiting as go with one system call.
    fn answer(&mut self, now: Instant) {
        let mut reading = Stamp::user_now().time;
        let turn = self.lead.turn(self.batch.waiting(), reading);
        let (server, lead, interleaved) = (&mut self.server, &mut self.lead, &mut self.interleaved);
        let (socket, shared) = (self.socket, self.shared);
        let is_joined = socket.granted().segments;
        let (mut position, mut messages, mut last) = (0, 0_usize, None);
        self.batch.respond_to(turn.length(), |datagram, buffer| {
            if datagram.truncated {
                let _ = server.handle_truncated();
                return None;
            }
            let may_sign = datagram.len > HEADER_LENGTH && server.has_keys();
            // What the server adds for a MAC is looked ahead too.
            let most = if may_sign { SendLead::MOST - lead.work() } else { SendLead::MOST };
            // What goes to the same place as the one before it leaves together with that.
            let place = Some((datagram.source, datagram.local));
            let is_along = is_joined && last == place;
            let transmit = reading + lead.at(&turn, messages.saturating_sub(usize::from(is_along))).min(most);
            let arrived = datagram.stamp.time;
            let before = may_sign.then(|| (Stamp::user_now().time, server.counters().signed));
            let outcome = server.respond_in_place(buffer, datagram.len, datagram.source, arrived, transmit, now);
            if let Some((began, signed)) = before {
                // As if the clock had been read so much later: a MAC is no part of what is learnt about sending.
                let took = Stamp::user_now().time.since(began);
                reading += took;
                if server.counters().signed != signed {
                    lead.learn_work(took);
                    server.set_signing_time(lead.work());
                }
            }
            match outcome {
                Outcome::Response { length } => {
                    if let Some(token) = server.wants_transmit() {
                        interleaved.push((position, token));
                    }
                    position += 1;
                    messages += usize::from(!is_along);
                    last = place;
                    Some(length)
                }
                Outcome::Drop(DropReason::Control) => {
                    show(shared, socket, server, datagram, buffer.get(..datagram.len).unwrap_or_default());
                    None
                }
                Outcome::Drop(_) => None,
            }
        });
        if position > 0 {
            self.send(turn, reading, now, messages);
        }
    }

    /// Sends the replies in so many `messages` as far as is known.
    fn send(&mut self, turn: Turn, reading: NtpTimestamp, now: Instant, messages: usize) {
        // Nothing is learnt from an interleaved answer: it has a stamp of its own.
        let is_learnt = self.interleaved.is_empty();
        if turn.wants_stamp() && is_learnt {
            self.batch.stamp(0);
        }
        for &(position, _) in &self.interleaved {
            self.batch.stamp(position);
        }
        let report = self.socket.send_batch(&mut self.batch);
        self.sent.sent += u64::try_from(report.sent).unwrap_or(0);
        self.sent.refused += u64::try_from(report.refused).unwrap_or(0);
        self.sent.blocked += u64::try_from(report.blocked).unwrap_or(0);
        if is_learnt && (turn.wants_stamp() || turn.wants_duration()) {
            let duration = Stamp::user_now().time.since(reading);
            if let Some(&(_, id)) = self.batch.stamps().first() {
                self.awaited.push(Awaited { id, since: now, purpose: Purpose::Lead(turn, reading, duration) });
            } else if report.sent == self.batch.replies() && report.sent == messages {
                // Those that went together say little of what each takes.
                self.lead.learn_duration(&turn, report.sent, duration);
            }
        }
        for &(position, id) in self.batch.stamps() {
            if let Some(&(_, token)) = self.interleaved.iter().find(|&&(place, _)| place == position) {
                self.awaited.push(Awaited { id, since: now, purpose: Purpose::Answer(token) });
            }
        }
        self.interleaved.clear();
    }

    /// Takes the transmit stamps that have come.
    fn take_stamps(&mut self) {
        let Self { socket, awaited, lead, server, .. } = self;
        while !awaited.is_empty() {
            let Ok(event) = socket.next_event(&mut []) else { break };
            let Event::Transmitted(left) = event else { continue };
            let Some(place) = awaited.iter().position(|awaited| awaited.id == left.id) else { continue };
            match awaited.swap_remove(place).purpose {
                Purpose::Lead(turn, reading, duration) => {
                    lead.learn_stamp(&turn, left.stamp.time.since(reading), duration);
                }
                Purpose::Answer(token) => server.handle_transmitted(token, left.stamp.time),
            }
        }
        if awaited.len() > AWAITED {
            awaited.drain(..awaited.len() - AWAITED);
        }
    }

    fn look_up(&mut self, now: Instant) {
        // An interface that does not stamp must not cost a system call for each batch.
        self.awaited.retain(|awaited| now.since(awaited.since) < LOOK_UP);
        if let Some((clock, smear)) = self.shared.news(&mut self.generation) {
            self.server.set_clock(clock);
            self.server.set_smear(smear);
        }
        self.shared.publish(self.index, *self.server.counters(), self.sent);
    }
}

/// Answers a control message, if it came from this machine.
#[cold]
fn show(shared: &Shared, socket: &Socket, server: &Server, datagram: &Datagram, request: &[u8]) {
    let mut monitor = shared.monitor();
    let time = Stamp::user_now().time;
    monitor.system.version = format!("ntp-serve {}", env!("CARGO_PKG_VERSION"));
    monitor.system.variables = server.variables(shared.now(), time);
    monitor.system.clock = time;
    let local = datagram.local.or_else(|| socket.local_addr().ok().map(|address| address.ip()));
    // From elsewhere it stays unanswered, and what cannot be sent the asker asks for again.
    let _ = monitor.respond(request, datagram.source, local, |answer| {
        let _ = socket.send_to(answer, datagram.source, datagram.local);
    });
}
