//! The responder (RFC 5905 §9.2, table "peer process", client and symmetric requests).

mod answer;

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use ntp_proto::mac::KeyRing;
use ntp_proto::{AnswerTemplate, Mode, NotARequest, PacketKind, PlainRequest, Request, ServerVariables, HEADER_LENGTH};
use ntp_types::{Instant, NtpDuration, NtpShort, NtpTimestamp, Poll};

use self::answer::Answer;
use crate::address::Address;
use crate::interleave::{Interleave, TransmitToken};
use crate::limit::{Allowance, Ceiling, HashKey, RateTable};
use crate::smear::LeapSmear;
use crate::{Access, AccessRules, Counters, DropReason, Outcome, RateLimit, ServerClock};

/// How long one template serves: its root dispersion is late by 15 ppm of that at most, one unit of the field.
const TEMPLATE_LIFE: Duration = Duration::from_secs(1);
/// The well-known port. A version-1 packet without a mode is a peer's when it comes from there, a client's otherwise.
const NTP_PORT: u16 = 123;
/// The longest request that is read, in octets: what an Ethernet frame carries in UDP.
pub const MAX_REQUEST: usize = 1472;

/// A responder: one for each worker, nothing shared but rules that nobody changes.
#[derive(Debug, Clone)]
pub struct Server {
    clock: ServerClock,
    template: AnswerTemplate,
    /// Until when the template serves.
    valid_until: Instant,
    access: Option<Arc<AccessRules>>,
    limit: Option<Limit>,
    ceiling: Option<Ceiling>,
    interleave: Option<Interleave>,
    smear: Option<LeapSmear>,
    /// How far T3 may lie in the future of its answer.
    lead: NtpDuration,
    keys: Option<Arc<KeyRing>>,
    /// What the transmit timestamp of a signed answer is later by.
    signing_time: NtpDuration,
    to_stamp: Option<TransmitToken>,
    /// Neither remembers answers nor smears: a plain client's answer is the template and its timestamps.
    is_plain: bool,
    counters: Counters,
}

#[derive(Debug, Clone)]
struct Limit {
    table: RateTable,
    /// What a kiss asks for.
    poll: Poll,
}

/// One datagram's circumstances.
#[derive(Clone, Copy)]
struct Arrival {
    source: SocketAddr,
    received: NtpTimestamp,
    transmit: NtpTimestamp,
    now: Instant,
}

impl Server {
    /// A server of this clock, that answers everybody as often as they ask.
    #[must_use]
    pub fn new(clock: ServerClock) -> Self {
        let template = AnswerTemplate::new(&clock.variables(Instant::ZERO, NtpTimestamp::UNSET));
        Self {
            clock,
            template,
            valid_until: Instant::ZERO,
            access: None,
            limit: None,
            ceiling: None,
            interleave: None,
            smear: None,
            lead: NtpDuration::ZERO,
            keys: None,
            signing_time: NtpDuration::ZERO,
            to_stamp: None,
            is_plain: true,
            counters: Counters::default(),
        }
    }

    /// With access rules, which workers may share.
    #[must_use]
    pub fn with_access(mut self, rules: Arc<AccessRules>) -> Self {
        self.access = Some(rules);
        self
    }

    /// With a rate limit for each source. `key` is 128 random bits.
    #[must_use]
    pub fn with_rate_limit(mut self, limit: &RateLimit, key: u128) -> Self {
        // The shortest poll interval that keeps within the limit.
        let millis = limit.interval.as_millis().clamp(1, 1 << 30);
        let log2 = (10..41).find(|&log2| 1 << log2 >= millis).unwrap_or(41) - 10;
        let poll = Poll::from_log2(i8::try_from(log2).unwrap_or(i8::MAX));
        self.limit = Some(Limit { table: RateTable::new(limit, HashKey::new(key)), poll });
        self
    }

    /// With a ceiling of `rate` answers per second for everybody together.
    #[must_use]
    pub fn with_ceiling(mut self, rate: u32) -> Self {
        self.ceiling = Some(Ceiling::new(rate));
        self
    }

    /// With interleaved answers (RFC 9769), remembering the last `answers` given, 16 octets each. `key` is 128 random bits.
    #[must_use]
    pub fn with_interleaving(mut self, answers: usize, key: u128) -> Self {
        self.interleave = Some(Interleave::new(answers, HashKey::new(key)));
        self.is_plain = false;
        self
    }

    /// With transmit timestamps that are taken ahead and may lie in the future of their answers by `most`: the root dispersion
    /// contains it.
    #[must_use]
    pub fn with_lead(mut self, most: NtpDuration) -> Self {
        self.lead = most;
        self
    }

    /// With keys, which workers may share: a request with the MAC of one of them gets an answer with a MAC of the same key.
    /// Who may not be answered without is said by [`Access::Signed`].
    #[must_use]
    pub fn with_keys(mut self, keys: Arc<KeyRing>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// With a leap second spread over hours.
    #[must_use]
    pub fn with_smear(mut self, smear: LeapSmear) -> Self {
        self.set_smear(Some(smear));
        self
    }

    /// Whether it holds keys.
    #[must_use]
    pub const fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// How long it takes to check a request's MAC and to make the answer's. The latter covers the transmit timestamp, which is
    /// therefore this much later in an answer with a MAC. Zero at the start.
    pub fn set_signing_time(&mut self, duration: NtpDuration) {
        self.signing_time = duration;
    }

    /// Another leap second is to be spread, or none any more.
    pub fn set_smear(&mut self, smear: Option<LeapSmear>) {
        self.smear = smear;
        self.is_plain = smear.is_none() && self.interleave.is_none();
        self.valid_until = Instant::ZERO;
    }

    /// The clock changed its mind about itself.
    pub fn set_clock(&mut self, clock: ServerClock) {
        self.clock = clock;
        self.valid_until = Instant::ZERO;
    }

    /// What it says of its clock at `now`, when the clock shows `time`.
    #[must_use]
    pub fn variables(&self, now: Instant, time: NtpTimestamp) -> ServerVariables {
        let mut variables = self.clock.variables(now, time);
        if self.lead > NtpDuration::ZERO {
            let dispersion = variables.root_dispersion.to_duration() + self.lead;
            variables.root_dispersion = NtpShort::from_duration(dispersion);
        }
        variables
    }

    /// What it did so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Octets of memory in tables of fixed size: rate limit and interleaving.
    #[must_use]
    pub fn table_memory(&self) -> usize {
        self.limit.as_ref().map_or(0, |limit| limit.table.memory())
            + self.interleave.as_ref().map_or(0, Interleave::memory)
    }

    /// Answers one datagram from `source`.
    ///
    /// `received` is when it came in (T2) and `transmit` when the answer will leave (T3), by the server's clock; a T3
    /// before T2 becomes T2. `now` is the same moment by the raw clock. The answer is written to `out`.
    pub fn respond(
        &mut self,
        request: &[u8],
        source: SocketAddr,
        received: NtpTimestamp,
        transmit: NtpTimestamp,
        now: Instant,
        out: &mut [u8],
    ) -> Outcome {
        let answer = self.decide(request, Arrival { source, received, transmit, now });
        self.conclude(answer.and_then(|answer| self.write(&answer, request, out)))
    }

    /// Answers a datagram where it lies: the first `length` octets of `buffer`, which the answer overwrites.
    ///
    /// Otherwise as [`respond`](Self::respond).
    #[inline]
    pub fn respond_in_place(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        source: SocketAddr,
        received: NtpTimestamp,
        transmit: NtpTimestamp,
        now: Instant,
    ) -> Outcome {
        if length == HEADER_LENGTH && self.is_plain {
            if let Some(request) = buffer.first_chunk_mut().and_then(PlainRequest::of) {
                let is_admitted = match source {
                    SocketAddr::V4(v4) => self.admit_at_once(*v4.ip(), v4.port(), now),
                    SocketAddr::V6(v6) => self.admit_at_once(*v6.ip(), v6.port(), now),
                };
                if is_admitted {
                    let transmit = if received.is_after(transmit) { received } else { transmit };
                    self.template.answer_in_place(request, received, transmit);
                    return Outcome::Response { length: HEADER_LENGTH };
                }
            }
        }
        let arrival = Arrival { source, received, transmit, now };
        if length <= HEADER_LENGTH {
            self.respond_from_copy::<HEADER_LENGTH>(buffer, length, arrival)
        } else {
            self.respond_from_copy::<MAX_REQUEST>(buffer, length, arrival)
        }
    }

    /// Admits and counts a plain client's request if there is nothing more to it: who asks may, within the limits, and the
    /// template serves. So it is with nearly all of them. False, and nothing done, for any other.
    ///
    /// A function of its own that calls no other: so it needs no registers of its caller's.
    #[inline(never)]
    fn admit_at_once(&mut self, ip: impl Address, port: u16, now: Instant) -> bool {
        if port == 0 || ip.is_nobodys() || now >= self.valid_until {
            return false;
        }
        let mut limit = self.limit.as_mut();
        match self.access.as_ref().map_or(Access::Allow, |rules| ip.access(rules)) {
            Access::Allow => {}
            Access::Trust => limit = None,
            Access::Refuse | Access::Ignore | Access::Signed => return false,
        }
        if self.ceiling.is_some_and(|ceiling| !ceiling.has_room(now)) {
            return false;
        }
        if limit.is_some_and(|limit| !limit.table.take_at_once(ip, now)) {
            return false;
        }
        if let Some(ceiling) = &mut self.ceiling {
            ceiling.take(now);
        }
        count(&mut self.counters.received);
        count(&mut self.counters.answered);
        true
    }

    /// Answers any other datagram of `MOST` octets at most: from a copy, because the answer takes its place.
    #[inline(never)]
    fn respond_from_copy<const MOST: usize>(&mut self, buffer: &mut [u8], length: usize, arrival: Arrival) -> Outcome {
        let mut copy = [0; MOST];
        let (Some(request), Some(place)) = (buffer.get(..length), copy.get_mut(..length)) else {
            count(&mut self.counters.received);
            return self.conclude(Err(DropReason::TooLong));
        };
        place.copy_from_slice(request);
        let request = &*place;
        let answer = self.decide(request, arrival);
        self.conclude(answer.and_then(|answer| self.write(&answer, request, buffer)))
    }

    /// A datagram was cut on the way in: longer than any request. Counts it.
    pub fn handle_truncated(&mut self) -> Outcome {
        count(&mut self.counters.received);
        self.conclude(Err(DropReason::TooLong))
    }

    /// Names the answer just made if it went to an interleaved client, whose next answer will tell when this one truly
    /// left: tell it by [`handle_transmitted`](Self::handle_transmitted).
    #[must_use]
    pub const fn wants_transmit(&self) -> Option<TransmitToken> {
        self.to_stamp
    }

    /// An answer left at `transmit`, by the server's clock.
    pub fn handle_transmitted(&mut self, token: TransmitToken, transmit: NtpTimestamp) {
        let transmit = transmit + self.smeared(transmit).unwrap_or(NtpDuration::ZERO);
        if let Some(interleave) = &mut self.interleave {
            interleave.correct(token, transmit);
        }
    }

    /// From the datagram to the answer's header. Every way out of here is counted: answers here, the rest by the caller.
    #[inline]
    fn decide(&mut self, bytes: &[u8], arrival: Arrival) -> Result<Answer, DropReason> {
        count(&mut self.counters.received);
        self.to_stamp = None;
        let (ip, port) = (arrival.source.ip(), arrival.source.port());
        let access = self.admit_source(ip, port)?;
        let request = admit(bytes, port)?;
        if access == Access::Signed && request.packet().mac().is_none() {
            return Err(DropReason::Unsigned);
        }
        let allowance = self.charge(access, ip, arrival.now)?;
        self.make(&request, access, allowance, arrival)
    }

    /// Whether this source can be answered, and what it may have.
    #[inline(always)]
    fn admit_source(&self, ip: impl Address, port: u16) -> Result<Access, DropReason> {
        if port == 0 || ip.is_nobodys() {
            return Err(DropReason::Source);
        }
        match self.access.as_ref().map_or(Access::Allow, |rules| ip.access(rules)) {
            Access::Ignore => Err(DropReason::Ignored),
            access => Ok(access),
        }
    }

    /// Takes this request from what its source and everybody together may ask.
    #[inline(always)]
    fn charge(&mut self, access: Access, ip: impl Address, now: Instant) -> Result<Allowance, DropReason> {
        let mut allowance = Allowance::Within;
        if let Some(limit) = self.limit.as_mut().filter(|_| access != Access::Trust) {
            allowance = limit.table.take(ip, now);
            if allowance == Allowance::Over {
                return Err(DropReason::RateLimited);
            }
        }
        if let Some(ceiling) = &mut self.ceiling {
            if !ceiling.has_room(now) {
                return Err(DropReason::OverCeiling);
            }
            ceiling.take(now);
        }
        Ok(allowance)
    }

    /// Where an answer with time is counted.
    #[inline]
    fn answered_as(&mut self, allowance: Allowance) -> &mut u64 {
        if allowance == Allowance::Within {
            &mut self.counters.answered
        } else {
            &mut self.counters.leaked
        }
    }

    fn conclude(&mut self, result: Result<usize, DropReason>) -> Outcome {
        match result {
            Ok(length) => Outcome::Response { length },
            Err(reason) => {
                count(self.counters.of(reason));
                Outcome::Drop(reason)
            }
        }
    }
}

#[inline]
fn count(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}

/// Whether a datagram is a request that can be answered.
#[inline]
fn admit(bytes: &[u8], port: u16) -> Result<Request<'_>, DropReason> {
    let request = Request::parse(bytes).map_err(|error| why_not(bytes, error))?;
    let packet = request.packet();
    if packet.as_bytes().len() > HEADER_LENGTH && packet.is_crypto_nak() {
        return Err(DropReason::Malformed);
    }
    if packet.mode() == Mode::Reserved && port == NTP_PORT {
        return Err(DropReason::Mode(Mode::Reserved));
    }
    Ok(request)
}

#[cold]
fn why_not(bytes: &[u8], error: NotARequest) -> DropReason {
    match (PacketKind::of(bytes), error) {
        (Some(PacketKind::Control | PacketKind::Private), _) => DropReason::Control,
        (Some(PacketKind::UnknownVersion(version)), _) => DropReason::Version(version),
        (_, NotARequest::Mode { mode, .. }) => DropReason::Mode(mode),
        _ => DropReason::Malformed,
    }
}
