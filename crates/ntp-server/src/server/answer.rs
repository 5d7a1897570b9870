//! The answer to a request that is admitted: time, a kiss, or that it cannot be authenticated; signed as the request was.

use core::net::SocketAddr;

use ntp_proto::{AnswerTemplate, ExtensionType, Packet, Request, HEADER_LENGTH};
use ntp_types::{Instant, KissCode, LeapIndicator, NtpDuration, NtpTimestamp};

use super::{count, Arrival, Server, TEMPLATE_LIFE};
use crate::limit::Allowance;
use crate::smear::{smear_reference, Smeared};
use crate::{Access, DropReason};

/// An answer as it stands before it is written.
pub(super) enum Answer {
    /// The header is all of it.
    Header([u8; HEADER_LENGTH]),
    /// A MAC of the request's key follows.
    Signed([u8; HEADER_LENGTH]),
    /// A crypto-NAK follows.
    CryptoNak([u8; HEADER_LENGTH]),
    /// A kiss with the request's unique identifier.
    NtsNak,
}

impl Server {
    #[inline]
    pub(super) fn make(
        &mut self,
        request: &Request<'_>,
        access: Access,
        allowance: Allowance,
        arrival: Arrival,
    ) -> Result<Answer, DropReason> {
        let Arrival { mut received, mut transmit, now, .. } = arrival;
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
        let arrival = Arrival { received, transmit, ..arrival };
        let is_kissed = access == Access::Refuse || allowance == Allowance::Kiss;
        let packet = request.packet();
        if packet.as_bytes().len() > HEADER_LENGTH {
            if packet.mac().is_some() {
                return Ok(self.make_signed(request, access, allowance, arrival));
            }
            if !is_kissed && has_nts(&packet) {
                count(&mut self.counters.nts_naks);
                return Ok(Answer::NtsNak);
            }
        }
        if is_kissed {
            return Ok(Answer::Header(self.kiss(request, access)));
        }
        Ok(Answer::Header(self.time(request, allowance, arrival)))
    }

    /// The answer to a request with a MAC: signed, a kiss too, because who has a key obeys no other; or that it is not true.
    #[inline(never)]
    fn make_signed(
        &mut self,
        request: &Request<'_>,
        access: Access,
        allowance: Allowance,
        mut arrival: Arrival,
    ) -> Answer {
        let is_kissed = access == Access::Refuse || allowance == Allowance::Kiss;
        let is_true = self.keys.as_ref().is_some_and(|keys| keys.authenticate(&request.packet()).is_ok());
        if !is_true && !is_kissed {
            count(&mut self.counters.crypto_naks);
            return Answer::CryptoNak(self.template.answer(request, arrival.received, arrival.transmit));
        }
        let octets = if is_kissed {
            self.kiss(request, access)
        } else {
            arrival.transmit += self.signing_time;
            self.time(request, allowance, arrival)
        };
        if !is_true {
            return Answer::Header(octets);
        }
        count(&mut self.counters.signed);
        Answer::Signed(octets)
    }

    /// The answer with time.
    #[inline(always)]
    fn time(&mut self, request: &Request<'_>, allowance: Allowance, arrival: Arrival) -> [u8; HEADER_LENGTH] {
        let Arrival { source, received, transmit, .. } = arrival;
        if self.interleave.is_some() {
            return self.interleaved(request, source, received, transmit);
        }
        count(self.answered_as(allowance));
        self.template.answer(request, received, transmit)
    }

    /// A kiss-o'-death: refused by rule, or asking too often.
    #[cold]
    pub(super) fn kiss(&mut self, request: &Request<'_>, access: Access) -> [u8; HEADER_LENGTH] {
        let (code, poll, counter) = match (access, &self.limit) {
            (Access::Refuse, _) => (KissCode::Deny, request.packet().poll(), &mut self.counters.deny_kisses),
            (_, Some(limit)) => (KissCode::Rate, limit.poll, &mut self.counters.rate_kisses),
            (_, None) => (KissCode::Rate, request.packet().poll(), &mut self.counters.rate_kisses),
        };
        count(counter);
        self.template.kiss(request, code, poll)
    }

    /// An interleaved answer to who asks for it by naming an answer that is remembered, a basic one to all others.
    #[inline(always)]
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

    pub(super) fn smeared(&self, time: NtpTimestamp) -> Result<NtpDuration, DropReason> {
        match self.smear.map_or(Smeared::Outside, |smear| smear.offset(time)) {
            Smeared::Outside => Ok(NtpDuration::ZERO),
            Smeared::By(offset) => Ok(offset),
            Smeared::Ambiguous => Err(DropReason::LeapSecond),
        }
    }

    #[cold]
    pub(super) fn renew(&mut self, now: Instant, time: NtpTimestamp) {
        let mut variables = self.variables(now, time);
        if let Some(smear) = &self.smear {
            // Whoever smears announces no leap: the second is in the timestamps already.
            if matches!(variables.leap, LeapIndicator::InsertSecond | LeapIndicator::DeleteSecond) {
                variables.leap = LeapIndicator::NoWarning;
            }
            if let Smeared::By(offset) = smear.offset(time) {
                variables.reference_id = smear_reference(offset);
                variables.reference_timestamp += offset;
            }
        }
        self.template = AnswerTemplate::new(&variables);
        self.valid_until = now + TEMPLATE_LIFE;
    }

    pub(super) fn write(&self, answer: &Answer, request: &[u8], out: &mut [u8]) -> Result<usize, DropReason> {
        if let Answer::Header(octets) = answer {
            *out.first_chunk_mut().ok_or(DropReason::NoRoom)? = *octets;
            return Ok(HEADER_LENGTH);
        }
        let request = Request::parse(request).map_err(|_| DropReason::Malformed)?;
        match answer {
            Answer::Signed(octets) => {
                let key = request.packet().mac().and_then(|mac| self.keys.as_ref()?.get(mac.key_id));
                let key = key.ok_or(DropReason::Malformed)?; // it was found true by that key
                AnswerTemplate::begin(&request, octets, out).and_then(|writer| writer.sign(key))
            }
            Answer::CryptoNak(octets) => {
                AnswerTemplate::begin(&request, octets, out).and_then(|writer| writer.crypto_nak())
            }
            _ => self.template.nts_nak(&request, out),
        }
        .map_err(|_| DropReason::NoRoom)
    }
}

/// Whether a request wants an answer under Network Time Security.
fn has_nts(packet: &Packet<'_>) -> bool {
    packet.extension(ExtensionType::NTS_COOKIE).is_some()
        || packet.extension(ExtensionType::NTS_AUTHENTICATOR).is_some()
}
