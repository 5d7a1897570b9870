//! The responder (RFC 5905 §9.2, table "peer process", client and symmetric requests).

use core::net::SocketAddr;
use core::time::Duration;

use ntp_proto::{AnswerTemplate, ExtensionType, Mode, NotARequest, Packet, PacketKind, Request, Version};
use ntp_types::{Instant, NtpTimestamp};

use crate::{Counters, ServerClock};

/// How long one template serves: its root dispersion is late by 15 ppm of that at most, one unit of the field.
const TEMPLATE_LIFE: Duration = Duration::from_secs(1);
/// The well-known port. A version-1 packet without a mode is a peer's when it comes from there, a client's otherwise.
const NTP_PORT: u16 = 123;

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
    /// A version this server does not speak.
    #[error("version {0}")]
    Version(Version),
    /// A mode that asks for nothing: an answer, a broadcast.
    #[error("mode {0} asks for nothing")]
    Mode(Mode),
    /// A control message (mode 6 or 7).
    #[error("control message")]
    Control,
    /// Nothing can be sent to where it came from.
    #[error("source cannot be answered")]
    Source,
    /// The buffer for the answer is shorter than the answer.
    #[error("no room for the answer")]
    NoRoom,
}

/// A responder: one for each worker, nothing shared.
#[derive(Debug, Clone)]
pub struct Server {
    clock: ServerClock,
    template: AnswerTemplate,
    made: Option<Instant>,
    counters: Counters,
}

impl Server {
    /// A server of this clock.
    #[must_use]
    pub fn new(clock: ServerClock) -> Self {
        let template = AnswerTemplate::new(&clock.variables(Instant::ZERO, NtpTimestamp::UNSET));
        Self { clock, template, made: None, counters: Counters::default() }
    }

    /// The clock changed its mind about itself.
    pub fn set_clock(&mut self, clock: ServerClock) {
        self.clock = clock;
        self.made = None;
    }

    /// What it did so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
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
        self.counters.received = self.counters.received.wrapping_add(1);
        let outcome = match admit(request, source) {
            Ok(request) => {
                self.renew(now, received);
                let transmit = if received.is_after(transmit) { received } else { transmit };
                self.answer(&request, received, transmit, out)
            }
            Err(reason) => Outcome::Drop(reason),
        };
        if let Outcome::Drop(reason) = outcome {
            self.counters.count_drop(reason);
        }
        outcome
    }

    fn renew(&mut self, now: Instant, time: NtpTimestamp) {
        if self.made.is_some_and(|made| now.since(made) < TEMPLATE_LIFE) {
            return;
        }
        self.template = AnswerTemplate::new(&self.clock.variables(now, time));
        self.made = Some(now);
    }

    fn answer(
        &mut self,
        request: &Request<'_>,
        received: NtpTimestamp,
        transmit: NtpTimestamp,
        out: &mut [u8],
    ) -> Outcome {
        let packet = request.packet();
        let (written, counter) = if packet.mac().is_some() {
            let octets = self.template.answer(request, received, transmit);
            let nak = AnswerTemplate::begin(request, &octets, out).and_then(|writer| writer.crypto_nak());
            (nak, &mut self.counters.crypto_naks)
        } else if has_nts(&packet) {
            (self.template.nts_nak(request, received, out), &mut self.counters.nts_naks)
        } else {
            let octets = self.template.answer(request, received, transmit);
            let plain = AnswerTemplate::begin(request, &octets, out).and_then(|writer| writer.finish());
            (plain, &mut self.counters.answered)
        };
        match written {
            Ok(length) => {
                *counter = counter.wrapping_add(1);
                Outcome::Response { length }
            }
            Err(_) => Outcome::Drop(DropReason::NoRoom),
        }
    }
}

impl Counters {
    fn count_drop(&mut self, reason: DropReason) {
        let counter = match reason {
            DropReason::Malformed => &mut self.malformed,
            DropReason::Version(_) => &mut self.versions,
            DropReason::Mode(_) => &mut self.modes,
            DropReason::Control => &mut self.control,
            DropReason::Source => &mut self.sources,
            DropReason::NoRoom => &mut self.no_room,
        };
        *counter = counter.wrapping_add(1);
    }
}

/// Whether a datagram is a request that can be answered.
fn admit(bytes: &[u8], source: SocketAddr) -> Result<Request<'_>, DropReason> {
    if source.port() == 0 || source.ip().is_unspecified() || source.ip().is_multicast() {
        return Err(DropReason::Source);
    }
    match PacketKind::of(bytes) {
        Some(PacketKind::Control | PacketKind::Private) => return Err(DropReason::Control),
        Some(PacketKind::UnknownVersion(version)) => return Err(DropReason::Version(version)),
        _ => {}
    }
    let request = Request::parse(bytes).map_err(|error| match error {
        NotARequest::Mode { mode, .. } => DropReason::Mode(mode),
        _ => DropReason::Malformed,
    })?;
    let packet = request.packet();
    if packet.is_crypto_nak() {
        return Err(DropReason::Malformed);
    }
    if packet.mode() == Mode::Reserved && source.port() == NTP_PORT {
        return Err(DropReason::Mode(Mode::Reserved));
    }
    Ok(request)
}

/// Whether a request wants an answer under Network Time Security.
fn has_nts(packet: &Packet<'_>) -> bool {
    packet.extension(ExtensionType::NTS_COOKIE).is_some()
        || packet.extension(ExtensionType::NTS_AUTHENTICATOR).is_some()
}
