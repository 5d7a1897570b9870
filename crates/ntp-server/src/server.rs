//! The responder (RFC 5905 §9.2, table "peer process", client and symmetric requests).

mod admission;
mod answer;

use alloc::sync::Arc;
use core::hint::black_box;
use core::net::SocketAddr;
use core::time::Duration;

use ntp_proto::mac::KeyRing;
use ntp_proto::{AnswerTemplate, PlainRequest, ServerVariables, HEADER_LENGTH};
use ntp_types::{Instant, NtpDuration, NtpShort, NtpTimestamp};

use self::admission::{admit, Limit};
use self::answer::Answer;
use crate::interleave::{Interleave, TransmitToken};
use crate::limit::{Allowance, Ceiling, HashKey};
use crate::smear::LeapSmear;
use crate::{Access, AccessRules, Counters, DropReason, Outcome, RateLimit, ServerClock};

/// How long one template serves: its root dispersion is late by 15 ppm of that at most, one unit of the field.
const TEMPLATE_LIFE: Duration = Duration::from_secs(1);
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
        self.limit = Some(Limit::new(limit, HashKey::new(key)));
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

    /// The answer to every plain client at `now`, when the clock shows `time`, but for what depends on the request; and until when
    /// it serves. For what answers them before they come here ([`AnswerTemplate::as_bytes`]); rules, limits and counters are then
    /// its own business. `None` where answers are not all made of one template: interleaved or smeared.
    pub fn plain_answer(&mut self, now: Instant, time: NtpTimestamp) -> Option<(&AnswerTemplate, Instant)> {
        if now >= self.valid_until {
            self.renew(now, time);
        }
        self.is_plain.then_some((&self.template, self.valid_until))
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

    /// Has the memory fetched by which datagrams from `sources` will be judged: their lines of the rate limit's table, which among
    /// many clients lie far away. Told of a whole batch before the first of it is answered, they come side by side, and nobody
    /// waits for each. Changes nothing, and does nothing without a rate limit.
    #[inline]
    pub fn prefetch(&self, sources: impl IntoIterator<Item = SocketAddr>) {
        let Some(Limit { table, .. }) = &self.limit else { return };
        let peek = |source| match source {
            SocketAddr::V4(v4) => table.peek(*v4.ip()),
            SocketAddr::V6(v6) => table.peek(*v6.ip()),
        };
        black_box(sources.into_iter().fold(0, |seen, source| seen ^ peek(source)));
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
