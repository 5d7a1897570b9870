//! One server: requests out, replies matched, kisses obeyed (RFC 5905 §9, RFC 8633 §3, RFC 9109).
//!
//! Usable alone, by whoever measures servers without disciplining a clock: the [`System`](crate::System) adds the
//! discipline and the company of others.

use core::net::{IpAddr, SocketAddr};

use ntp_proto::{ClientRequest, Exchange, Packet, Pending, Reject, Rejected};
use ntp_types::{Instant, KissAction, KissCode, NtpDuration, NtpTimestamp, Poll, ReferenceId, RoundTrip};

use crate::schedule::Schedule;
use crate::{Ignored, Reach, Request, SourceConfig};

/// One server and everything between it and us.
///
/// A request is in flight until its reply is accepted or the next one goes out. Whatever else arrives is counted and
/// named ([`Ignored`]) and ends nothing: the association keeps waiting.
#[derive(Debug)]
pub struct Association {
    address: SocketAddr,
    config: SourceConfig,
    schedule: Schedule,
    flight: Option<Flight>,
    /// The last exchange answered, which an interleaved answer to the next request will complete.
    previous: Option<Previous>,
    sequence: u32,
    last: Option<Answer>,
    last_ignored: Option<Ignored>,
    kiss: Option<KissCode>,
    counters: Counters,
}

/// What is kept of a request until its reply is in.
#[derive(Debug)]
struct Flight {
    pending: Pending,
    sequence: u32,
    sent: NtpTimestamp,
    at: Instant,
    answered: bool,
}

/// What an interleaved answer needs of the exchange before (RFC 9769 §2).
#[derive(Debug, Clone, Copy)]
struct Previous {
    round_trip: RoundTrip,
    sequence: u32,
    sent: Instant,
    received: Instant,
}

/// Requests without an answer after which a basic answer is asked for: the server may have forgotten us.
const INTERLEAVED_UNANSWERED: u32 = 3;

/// A clock that moved by less than this in an exchange has not: stamps and readings are made at other moments.
const LEAST_MOVE: NtpDuration = NtpDuration::from_nanos(250_000_000);
/// A slew may have moved it by this part of the time, Linux's tenth and some.
const SLEW_DIVISOR: u32 = 8;

/// A reply that passed every check, with the raw instants of its first and last timestamp.
///
/// An interleaved reply completes the exchange before: the timestamps and instants are then that one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// What came back.
    pub exchange: Exchange,
    /// The raw instant of T1.
    pub sent: Instant,
    /// The raw instant of T4.
    pub received: Instant,
}

/// What happened on an association, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Requests sent.
    pub sent: u64,
    /// Replies that passed every check.
    pub accepted: u64,
    /// Requests that got no answer from the server.
    pub lost: u64,
    /// Datagrams that cannot be shown to come from the server: wrong origin, malformed, unsolicited.
    pub foreign: u64,
    /// Replies of the server that were no use: unsynchronised, late, a loop, out of bounds.
    pub unusable: u64,
    /// Datagrams that carried the request's nonce and not the MAC of the key agreed on, and crypto-NAKs.
    pub unauthentic: u64,
    /// Kisses.
    pub kisses: u64,
    /// Requests we discarded ourselves, because our clock was moved while they were in flight.
    pub discarded: u64,
    /// ICMP errors.
    pub unreachable: u64,
}

impl Association {
    /// A server whose first request is due at `first`. `seed` varies its poll times.
    #[must_use]
    pub fn new(address: SocketAddr, config: SourceConfig, first: Instant, seed: u64) -> Self {
        Self {
            address,
            schedule: Schedule::new(&config, first, seed),
            config,
            flight: None,
            previous: None,
            sequence: 0,
            last: None,
            last_ignored: None,
            kiss: None,
            counters: Counters::default(),
        }
    }

    /// Where the server is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is asked.
    #[must_use]
    pub fn config(&self) -> &SourceConfig {
        &self.config
    }

    /// Which of the last eight requests brought time.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.schedule.reach()
    }

    /// The poll exponent in effect, back-off and the server's own wishes included.
    #[must_use]
    pub fn poll(&self) -> Poll {
        self.schedule.poll()
    }

    /// Requests in a row without an answer, one still in flight included.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        let in_flight = self.flight.as_ref().is_some_and(|flight| !flight.answered);
        self.schedule.unanswered().saturating_add(u32::from(in_flight))
    }

    /// Whether the server told us to stop (`DENY`, `RSTR`): it is not asked again.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.schedule.is_stopped()
    }

    /// The last kiss.
    #[must_use]
    pub fn kiss(&self) -> Option<KissCode> {
        self.kiss
    }

    /// The last good reply.
    #[must_use]
    pub fn last(&self) -> Option<&Answer> {
        self.last.as_ref()
    }

    /// Why the last datagram that was not used was not.
    #[must_use]
    pub fn last_ignored(&self) -> Option<Ignored> {
        self.last_ignored
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// When the next request is due; `None` when it was told to stop.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.schedule.due()
    }

    /// The request that is due at `now`, if one is.
    ///
    /// `departure` is our clock's time at `now`: T1, which stays here. `nonce` is a fresh random number that goes on the
    /// wire in its place. Where the configuration has a key, the request is signed with it.
    pub fn poll_transmit(&mut self, now: Instant, departure: NtpTimestamp, nonce: u64) -> Option<Request> {
        if self.schedule.due().map_or(true, |due| due > now) {
            return None;
        }
        let lost = self.flight.take().is_some_and(|flight| !flight.answered);
        if lost {
            self.counters.lost += 1;
        }
        let begins_poll = self.schedule.handle_sent(now, lost);
        self.sequence = self.sequence.wrapping_add(1);
        let plain = ClientRequest::new(NtpTimestamp::from_bits(nonce));
        let plain = plain.with_version(self.config.version).unwrap_or(plain);
        let request = match self.previous {
            Some(previous) if self.config.interleaved && self.schedule.unanswered() < INTERLEAVED_UNANSWERED => {
                // As unguessable as the nonce it is made of, which nobody has seen yet.
                plain.interleaved(previous.round_trip, NtpTimestamp::from_bits(mix(nonce)))
            }
            _ => plain,
        };
        let (sequence, fresh_port) = (self.sequence, begins_poll || lost);
        let (request, pending) = Request::write(request, self.config.key.as_ref(), self.address, sequence, fresh_port)?;
        self.flight = Some(Flight { pending, sequence, sent: departure, at: now, answered: false });
        self.counters.sent += 1;
        Some(request)
    }

    /// When request `sequence` really left, by our clock: a better T1, from the kernel's transmit stamp.
    ///
    /// Returns whether that request is still in flight.
    pub fn handle_transmit_stamp(&mut self, sequence: u32, sent: NtpTimestamp) -> bool {
        if let Some(previous) = self.previous.as_mut().filter(|previous| previous.sequence == sequence) {
            previous.round_trip.t1 = sent;
        }
        match &mut self.flight {
            Some(flight) if flight.sequence == sequence => {
                flight.sent = sent;
                true
            }
            _ => false,
        }
    }

    /// A datagram that came in at `received` by our clock, which was `now` by the raw one.
    ///
    /// `own` are the reference ids under which other servers would name this machine.
    ///
    /// # Errors
    /// [`Ignored`] says why it was not used. A kiss is obeyed before this returns.
    pub fn handle_datagram(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        received: NtpTimestamp,
        now: Instant,
        own: &[ReferenceId],
    ) -> Result<Answer, Ignored> {
        let result = self.judge(bytes, from, received, now, own);
        match &result {
            Ok(answer) => {
                self.counters.accepted += 1;
                self.last = Some(*answer);
                self.schedule.handle_answer(true);
            }
            Err(ignored) => {
                self.last_ignored = Some(*ignored);
                match ignored {
                    Ignored::Kiss(_) => self.counters.kisses += 1,
                    Ignored::ClockMoved { .. } => {
                        self.counters.discarded += 1;
                        self.schedule.handle_discarded(now);
                    }
                    other if other.is_unauthentic() => self.counters.unauthentic += 1,
                    other if other.is_from_server() => {
                        self.counters.unusable += 1;
                        self.schedule.handle_answer(false);
                    }
                    _ => self.counters.foreign += 1,
                }
            }
        }
        result
    }

    /// An ICMP error came for a request. It can be forged, so it is counted and changes nothing.
    pub fn handle_unreachable(&mut self) {
        self.counters.unreachable += 1;
    }

    /// Our clock was stepped: what is in flight cannot be used any more, and is asked again soon.
    pub fn handle_step(&mut self, now: Instant) {
        self.previous = None;
        if let Some(flight) = self.flight.take() {
            self.counters.discarded += 1;
            if !flight.answered {
                self.schedule.handle_discarded(now);
            }
        }
    }

    /// Our clock has lost its offset: what is in flight cannot be used any more, and the next request is due at `due`, the
    /// first of a volley where the configuration has one at the start and the server did not ask for fewer requests.
    pub fn handle_discontinuity(&mut self, due: Instant) {
        self.previous = None;
        let is_discarded = self.flight.take().is_some_and(|flight| !flight.answered);
        self.counters.discarded += u64::from(is_discarded);
        self.schedule.handle_discontinuity(due, is_discarded);
    }

    /// Ask with this exponent from now on, within the configured bounds.
    pub fn set_poll(&mut self, poll: Poll) {
        self.schedule.set_poll(poll);
    }

    /// Start a volley now. Nothing happens when the server told us to stop.
    pub fn burst(&mut self, now: Instant) {
        self.schedule.burst(now);
    }

    /// Its place among the sources polled, which spaces their requests evenly.
    pub(crate) fn set_place(&mut self, index: u32, count: u32) {
        self.schedule.set_place(index, count);
    }

    fn judge(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        received: NtpTimestamp,
        now: Instant,
        own: &[ReferenceId],
    ) -> Result<Answer, Ignored> {
        let Some(Flight { pending, sequence, sent, at, answered }) = self.flight.take() else {
            return Err(Ignored::Unsolicited);
        };
        let key = self.config.key.as_ref();
        let authenticate = |packet: &Packet<'_>| key.map_or(Ok(()), |key| key.authenticate(packet));
        match pending.accept_if(bytes, from, sent, received, authenticate) {
            Ok(reply) => {
                let exchange = reply.exchange;
                let waited = received.since(sent);
                let limit = NtpDuration::from_std(self.config.max_delay);
                let previous = self.previous.take();
                let elapsed = now.since(at);
                let by = waited - NtpDuration::from_std(elapsed);
                if by.abs() > LEAST_MOVE + NtpDuration::from_std(elapsed / SLEW_DIVISOR) {
                    return Err(Ignored::ClockMoved { by });
                }
                if waited > limit {
                    return Err(Ignored::Late { waited, limit });
                }
                if is_loop(&exchange, own) {
                    return Err(Ignored::Loop(exchange.reference_id));
                }
                // Its T3 comes with the next answer.
                let (t2, t3) = (reply.packet.receive_timestamp(), NtpTimestamp::UNSET);
                let round_trip = RoundTrip { t1: sent, t2, t3, t4: received };
                self.previous = Some(Previous { round_trip, sequence, sent: at, received: now });
                match previous {
                    Some(Previous { sent, received, .. }) if reply.is_interleaved => {
                        Ok(Answer { exchange, sent, received })
                    }
                    _ => Ok(Answer { exchange, sent: at, received: now }),
                }
            }
            Err(Rejected::Ignored { reject, pending }) => {
                let answered = answered || reject.is_from_server();
                self.flight = Some(Flight { pending, sequence, sent, at, answered });
                Err(Ignored::Rejected(reject))
            }
            Err(Rejected::Final(Reject::Kiss { code, poll })) => {
                self.kiss = Some(code);
                match code.action() {
                    KissAction::Stop => self.schedule.stop(),
                    KissAction::SlowDown => self.schedule.handle_slow_down(poll),
                    KissAction::Renegotiate | KissAction::None => self.schedule.handle_answer(false),
                }
                Err(Ignored::Kiss(code))
            }
            Err(Rejected::Final(reject)) => Err(Ignored::Rejected(reject)),
        }
    }
}

/// Another number from a random one, by a bijection (SplitMix64's).
fn mix(nonce: u64) -> u64 {
    let mut z = nonce.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Whether the server's own source is this machine. At stratum 1 the reference id names a clock, not an address.
fn is_loop(exchange: &Exchange, own: &[ReferenceId]) -> bool {
    exchange.stratum.to_bits() > 1 && own.contains(&exchange.reference_id)
}

/// The reference id under which a server names `address` as its source: the IPv4 address itself, or the first four
/// octets of the MD5 of the IPv6 address.
///
/// Source: RFC 5905 §7.3.
#[must_use]
pub fn reference_id_of(address: IpAddr) -> ReferenceId {
    use md5::{Digest, Md5};
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => match Md5::digest(address.octets()).as_slice() {
            [a, b, c, d, ..] => ReferenceId::from_bytes([*a, *b, *c, *d]),
            _ => ReferenceId::UNSET,
        },
    }
}
