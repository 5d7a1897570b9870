//! Whether a datagram is answered: who sent it, what it is, and what its sender has left of the limits.

use ntp_proto::{Mode, NotARequest, PacketKind, Request, HEADER_LENGTH};
use ntp_types::{Instant, Poll};

use super::{count, Server};
use crate::address::Address;
use crate::limit::{Allowance, HashKey, RateTable};
use crate::{Access, DropReason, RateLimit};

/// The well-known port. A version-1 packet without a mode is a peer's when it comes from there, a client's otherwise.
const NTP_PORT: u16 = 123;

/// How often a source may ask.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    pub(super) table: RateTable,
    /// What a kiss asks for.
    pub(super) poll: Poll,
}

impl Limit {
    pub(super) fn new(limit: &RateLimit, key: HashKey) -> Self {
        // The shortest poll interval that keeps within the limit.
        let millis = limit.interval.as_millis().clamp(1, 1 << 30);
        let log2 = (10..41).find(|&log2| 1 << log2 >= millis).unwrap_or(41) - 10;
        let poll = Poll::from_log2(i8::try_from(log2).unwrap_or(i8::MAX));
        Self { table: RateTable::new(limit, key), poll }
    }
}

impl Server {
    /// Admits and counts a plain client's request if there is nothing more to it: who asks may, within the limits, and the
    /// template serves. So it is with nearly all of them. False, and nothing done, for any other.
    ///
    /// A function of its own that calls no other: so it needs no registers of its caller's.
    #[inline(never)]
    pub(super) fn admit_at_once(&mut self, ip: impl Address, port: u16, now: Instant) -> bool {
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

    /// Whether this source can be answered, and what it may have.
    #[inline(always)]
    pub(super) fn admit_source(&self, ip: impl Address, port: u16) -> Result<Access, DropReason> {
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
    pub(super) fn charge(&mut self, access: Access, ip: impl Address, now: Instant) -> Result<Allowance, DropReason> {
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
}

/// Whether a datagram is a request that can be answered.
#[inline]
pub(super) fn admit(bytes: &[u8], port: u16) -> Result<Request<'_>, DropReason> {
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
