//! The responder (RFC 5905 §9.2, table "peer process", client and symmetric requests).

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use ntp_proto::{
    AnswerTemplate, ExtensionType, Mode, NotARequest, Packet, PacketKind, Request, ServerVariables, Version,
    HEADER_LENGTH,
};
use ntp_types::{Instant, KissCode, LeapIndicator, NtpDuration, NtpTimestamp, Poll};

use crate::interleave::{Interleave, TransmitToken};
use crate::limit::{Allowance, Ceiling, HashKey, RateTable};
use crate::smear::{smear_reference, LeapSmear, Smeared};
use crate::{Access, AccessRules, Counters, RateLimit, ServerClock};

/// How long one template serves: its root dispersion is late by 15 ppm of that at most, one unit of the field.
const TEMPLATE_LIFE: Duration = Duration::from_secs(1);
/// The well-known port. A version-1 packet without a mode is a peer's when it comes from there, a client's otherwise.
const NTP_PORT: u16 = 123;
/// The longest request that is read, in octets: what an Ethernet frame carries in UDP.
pub const MAX_REQUEST: usize = 1472;

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an answer is not sent by making it"]
pub enum Outcome {
    /// Send the first `length` octets of the buffer to where the request came from.
    Response {
        /// Octets of the answer; never more than the request had.
        length: usize,
    },
    /// Send nothing.
    Drop(DropReason),
}

/// Why a datagram gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// It is not a time packet, or cut short.
    #[error("malformed")]
    Malformed,
    /// It is longer than any request, see [`MAX_REQUEST`].
    #[error("longer than any request")]
    TooLong,
    /// A version this server does not speak.
    #[error("version {0}")]
    Version(Version),
    /// A mode that asks for nothing: an answer, a broadcast.
    #[error("mode {0} asks for nothing")]
    Mode(Mode),
    /// A control message (mode 6 or 7); see [`Monitor`](crate::Monitor).
    #[error("control message")]
    Control,
    /// Nothing can be sent to where it came from.
    #[error("source cannot be answered")]
    Source,
    /// A rule says so.
    #[error("ignored by a rule")]
    Ignored,
    /// Its source asks too often.
    #[error("over the rate limit")]
    RateLimited,
    /// Everybody together asks too often.
    #[error("over the ceiling for everybody together")]
    OverCeiling,
    /// The clock shows the same second twice, and it is being smeared.
    #[error("in an ambiguous second")]
    LeapSecond,
    /// The buffer for the answer is shorter than the answer.
    #[error("no room for the answer")]
    NoRoom,
}

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

/// An answer as it stands before it is written.
enum Answer {
    /// The header is all of it.
    Header([u8; HEADER_LENGTH]),
    /// A crypto-NAK follows.
    CryptoNak([u8; HEADER_LENGTH]),
    /// A kiss with the request's unique identifier.
    NtsNak,
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

    /// With a leap second spread over hours.
    #[must_use]
    pub fn with_smear(mut self, smear: LeapSmear) -> Self {
        self.smear = Some(smear);
        self.is_plain = false;
        self
    }

    /// The clock changed its mind about itself.
    pub fn set_clock(&mut self, clock: ServerClock) {
        self.clock = clock;
        self.valid_until = Instant::ZERO;
    }

    /// What it says of its clock at `now`, when the clock shows `time`.
    #[must_use]
    pub fn variables(&self, now: Instant, time: NtpTimestamp) -> ServerVariables {
        self.clock.variables(now, time)
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
        match buffer.first_chunk_mut::<HEADER_LENGTH>() {
            Some(place) if length == HEADER_LENGTH && self.is_plain && AnswerTemplate::is_plain_request(place) => {
                match self.answer_plain(place, source, received, transmit, now) {
                    Ok(()) => Outcome::Response { length: HEADER_LENGTH },
                    Err(reason) => self.conclude(Err(reason)),
                }
            }
            _ => self.respond_from_copy(buffer, length, Arrival { source, received, transmit, now }),
        }
    }

    /// Answers a plain client where its request lies: the way that nearly all requests take.
    #[inline]
    fn answer_plain(
        &mut self,
        place: &mut [u8; HEADER_LENGTH],
        source: SocketAddr,
        received: NtpTimestamp,
        transmit: NtpTimestamp,
        now: Instant,
    ) -> Result<(), DropReason> {
        count(&mut self.counters.received);
        self.to_stamp = None;
        let access = self.admit_source(source)?;
        let allowance = self.charge(access, source, now)?;
        if access == Access::Refuse || allowance == Allowance::Kiss {
            return self.kiss_in_place(place, access);
        }
        if now >= self.valid_until {
            self.renew(now, received);
        }
        let transmit = if received.is_after(transmit) { received } else { transmit };
        count(self.answered_as(allowance));
        // True: it was looked at above.
        let _ = self.template.answer_in_place(place, received, transmit);
        Ok(())
    }

    #[cold]
    fn kiss_in_place(&mut self, place: &mut [u8; HEADER_LENGTH], access: Access) -> Result<(), DropReason> {
        let request = Request::parse(place.as_slice()).map_err(|_| DropReason::Malformed)?;
        let octets = self.kiss(&request, access);
        *place = octets;
        Ok(())
    }

    /// Answers any other datagram: from a copy, because the answer takes its place.
    #[inline(never)]
    fn respond_from_copy(&mut self, buffer: &mut [u8], length: usize, arrival: Arrival) -> Outcome {
        let mut copy = [0; MAX_REQUEST];
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
        let access = self.admit_source(arrival.source)?;
        let request = admit(bytes, arrival.source)?;
        let allowance = self.charge(access, arrival.source, arrival.now)?;
        self.make(&request, access, allowance, arrival)
    }

    /// Whether this source can be answered, and what it may have.
    #[inline]
    fn admit_source(&self, source: SocketAddr) -> Result<Access, DropReason> {
        if source.port() == 0 || source.ip().is_unspecified() || source.ip().is_multicast() {
            return Err(DropReason::Source);
        }
        match self.access.as_ref().map_or(Access::Allow, |rules| rules.of(source.ip())) {
            Access::Ignore => Err(DropReason::Ignored),
            access => Ok(access),
        }
    }

    /// Takes this request from what its source and everybody together may ask.
    #[inline]
    fn charge(&mut self, access: Access, source: SocketAddr, now: Instant) -> Result<Allowance, DropReason> {
        let mut allowance = Allowance::Within;
        if let Some(limit) = self.limit.as_mut().filter(|_| access != Access::Trust) {
            allowance = limit.table.take(source.ip(), now);
            if allowance == Allowance::Over {
                return Err(DropReason::RateLimited);
            }
        }
        if self.ceiling.as_mut().is_some_and(|ceiling| !ceiling.take(now)) {
            return Err(DropReason::OverCeiling);
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

    #[inline]
    fn make(
        &mut self,
        request: &Request<'_>,
        access: Access,
        allowance: Allowance,
        arrival: Arrival,
    ) -> Result<Answer, DropReason> {
        let Arrival { source, mut received, mut transmit, now } = arrival;
        if received.is_after(transmit) {
            transmit = received;
        }
        if self.smear.is_some() {
            received = received + self.smeared(received)?;
            transmit = transmit + self.smeared(transmit)?;
        }
        if now >= self.valid_until {
            self.renew(now, received);
        }
        if access == Access::Refuse || allowance == Allowance::Kiss {
            return Ok(Answer::Header(self.kiss(request, access)));
        }
        let packet = request.packet();
        if packet.as_bytes().len() > HEADER_LENGTH {
            if packet.mac().is_some() {
                count(&mut self.counters.crypto_naks);
                return Ok(Answer::CryptoNak(self.template.answer(request, received, transmit)));
            }
            if has_nts(&packet) {
                count(&mut self.counters.nts_naks);
                return Ok(Answer::NtsNak);
            }
        }
        if self.interleave.is_some() {
            return Ok(Answer::Header(self.interleaved(request, source, received, transmit)));
        }
        count(self.answered_as(allowance));
        Ok(Answer::Header(self.template.answer(request, received, transmit)))
    }

    /// A kiss-o'-death: refused by rule, or asking too often.
    #[cold]
    fn kiss(&mut self, request: &Request<'_>, access: Access) -> [u8; HEADER_LENGTH] {
        let (code, poll, counter) = match (access, &self.limit) {
            (Access::Refuse, _) => (KissCode::Deny, request.packet().poll(), &mut self.counters.deny_kisses),
            (_, Some(limit)) => (KissCode::Rate, limit.poll, &mut self.counters.rate_kisses),
            (_, None) => (KissCode::Rate, request.packet().poll(), &mut self.counters.rate_kisses),
        };
        count(counter);
        self.template.kiss(request, code, poll)
    }

    /// An interleaved answer to who asks for it by naming an answer that is remembered, a basic one to all others.
    fn interleaved(
        &mut self,
        request: &Request<'_>,
        source: SocketAddr,
        received: NtpTimestamp,
        transmit: NtpTimestamp,
    ) -> [u8; HEADER_LENGTH] {
        let packet = request.packet();
        let Some(interleave) = &mut self.interleave else {
            return self.template.answer(request, received, transmit);
        };
        let asked = packet.origin_timestamp();
        let may_be_interleaved = !asked.is_unset() && packet.receive_timestamp() != packet.transmit_timestamp();
        let previous = if may_be_interleaved { interleave.find(asked, source.ip()) } else { None };
        let (received, token) = interleave.remember(received, transmit, source.ip());
        match previous {
            Some(previous) => {
                self.to_stamp = Some(token);
                count(&mut self.counters.interleaved);
                self.template.answer_interleaved(request, received, previous)
            }
            None => {
                count(&mut self.counters.answered);
                self.template.answer(request, received, transmit)
            }
        }
    }

    fn smeared(&self, time: NtpTimestamp) -> Result<NtpDuration, DropReason> {
        match self.smear.map_or(Smeared::Outside, |smear| smear.offset(time)) {
            Smeared::Outside => Ok(NtpDuration::ZERO),
            Smeared::By(offset) => Ok(offset),
            Smeared::Ambiguous => Err(DropReason::LeapSecond),
        }
    }

    #[cold]
    fn renew(&mut self, now: Instant, time: NtpTimestamp) {
        let mut variables = self.clock.variables(now, time);
        if let Some(smear) = &self.smear {
            // Whoever smears announces no leap: the second is in the timestamps already.
            if matches!(variables.leap, LeapIndicator::InsertSecond | LeapIndicator::DeleteSecond) {
                variables.leap = LeapIndicator::NoWarning;
            }
            if let Smeared::By(offset) = smear.offset(time) {
                variables.reference_id = smear_reference(offset);
                variables.reference_timestamp = variables.reference_timestamp + offset;
            }
        }
        self.template = AnswerTemplate::new(&variables);
        self.valid_until = now + TEMPLATE_LIFE;
    }

    fn write(&self, answer: &Answer, request: &[u8], out: &mut [u8]) -> Result<usize, DropReason> {
        if let Answer::Header(octets) = answer {
            *out.first_chunk_mut().ok_or(DropReason::NoRoom)? = *octets;
            return Ok(HEADER_LENGTH);
        }
        let request = Request::parse(request).map_err(|_| DropReason::Malformed)?;
        match answer {
            Answer::CryptoNak(octets) => {
                AnswerTemplate::begin(&request, octets, out).and_then(|writer| writer.crypto_nak())
            }
            _ => self.template.nts_nak(&request, out),
        }
        .map_err(|_| DropReason::NoRoom)
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

impl Counters {
    fn of(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::Malformed => &mut self.malformed,
            DropReason::TooLong => &mut self.too_long,
            DropReason::Version(_) => &mut self.versions,
            DropReason::Mode(_) => &mut self.modes,
            DropReason::Control => &mut self.control,
            DropReason::Source => &mut self.sources,
            DropReason::Ignored => &mut self.ignored,
            DropReason::RateLimited => &mut self.rate_limited,
            DropReason::OverCeiling => &mut self.over_ceiling,
            DropReason::LeapSecond => &mut self.leap_second,
            DropReason::NoRoom => &mut self.no_room,
        }
    }
}

/// Whether a datagram is a request that can be answered.
#[inline]
fn admit(bytes: &[u8], source: SocketAddr) -> Result<Request<'_>, DropReason> {
    let request = Request::parse(bytes).map_err(|error| why_not(bytes, error))?;
    let packet = request.packet();
    if packet.as_bytes().len() > HEADER_LENGTH && packet.is_crypto_nak() {
        return Err(DropReason::Malformed);
    }
    if packet.mode() == Mode::Reserved && source.port() == NTP_PORT {
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

/// Whether a request wants an answer under Network Time Security.
fn has_nts(packet: &Packet<'_>) -> bool {
    packet.extension(ExtensionType::NTS_COOKIE).is_some()
        || packet.extension(ExtensionType::NTS_AUTHENTICATOR).is_some()
}
