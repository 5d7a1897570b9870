//! The responder alone, request after request, for counting instructions.

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ntp_proto::mac::{Algorithm, Key, SharedKey};
use ntp_server::{Access, AccessRules, Outcome, Prefix, RateLimit, Server, ServerClock};
use ntp_types::{Instant, NtpTimestamp, Precision, Stratum};

/// What is answered, and under which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// A plain client's 48 octets, no rules.
    Plain,
    /// The same with two access rules.
    Rules,
    /// The same with 10⁵ access rules, some as long as the address.
    ManyRules,
    /// The same with two rules and a rate limit; 256 clients in turn.
    Limited,
    /// The same with two rules and a rate limit; always a new client.
    LimitedStrangers,
    /// The same with clients of 10⁶, out of order, and a table that is home to them all.
    LimitedMillion,
    /// The same, remembering answers for interleaved clients.
    Interleaved,
    /// A request of 232 octets with NTS fields, answered by a refusal (kiss NTSN).
    Nts,
    /// A request with the MAC of an AES-128-CMAC key, answered with one.
    Signed,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Plain,
        Self::Rules,
        Self::ManyRules,
        Self::Limited,
        Self::LimitedStrangers,
        Self::LimitedMillion,
        Self::Interleaved,
        Self::Nts,
        Self::Signed,
    ];

    /// A server under the case's rules.
    ///
    /// # Panics
    /// Never: the rules are written here.
    #[must_use]
    pub fn server(self) -> Server {
        let server = Server::new(ServerClock::local(Stratum::from_bits(5), Precision::from_log2(-24)));
        let two: [(Prefix, Access); 2] = [
            ("127.0.0.0/8".parse().expect("a prefix"), Access::Allow),
            ("192.0.2.0/24".parse().expect("a prefix"), Access::Refuse),
        ];
        let limit = RateLimit { interval: Duration::from_micros(20), burst: 1_000_000, ..RateLimit::default() };
        let rules = |rules: &[(Prefix, Access)]| Arc::new(AccessRules::new(Access::Ignore, rules));
        match self {
            Self::Plain | Self::Nts => server,
            Self::Rules => server.with_access(rules(&two)),
            Self::ManyRules => {
                let many: Vec<_> = (0..100_000_u32)
                    .map(|turn| {
                        let address = turn.wrapping_mul(2_654_435_761).to_be_bytes();
                        (Prefix::new(address.into(), 24).expect("a prefix"), Access::Refuse)
                    })
                    .chain(two)
                    .chain((0..=255_u8).map(|low| (Prefix::from(IpAddr::from([127, 1, 1, low])), Access::Trust)))
                    .collect();
                server.with_access(rules(&many))
            }
            Self::Limited | Self::LimitedStrangers => {
                server.with_access(rules(&two)).with_rate_limit(&limit, 1 << 77 | 5)
            }
            Self::LimitedMillion => {
                let limit = RateLimit { sources: 1 << 21, ..limit };
                server.with_access(rules(&two)).with_rate_limit(&limit, 1 << 77 | 5)
            }
            Self::Interleaved => server.with_interleaving(1 << 12, 1 << 77 | 5),
            Self::Signed => server.with_keys(Arc::new([key()].into_iter().collect())),
        }
    }

    /// Instructions that one request may take; where the kind of answer is not what most requests are, it is only stated.
    #[must_use]
    pub const fn limit(self) -> Option<u64> {
        match self {
            Self::Plain => Some(88),
            Self::Rules => Some(99),
            Self::Limited => Some(140),
            Self::ManyRules => Some(164),
            Self::LimitedStrangers | Self::LimitedMillion => Some(150),
            Self::Interleaved | Self::Nts | Self::Signed => None,
        }
    }

    /// Octets of its request.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Nts => 232,
            Self::Signed => 68,
            _ => 48,
        }
    }
}

/// The key of both sides.
fn key() -> SharedKey {
    static KEY: OnceLock<SharedKey> = OnceLock::new();
    let key = || SharedKey::new(NonZeroU32::MIN, Key::new(Algorithm::Aes128Cmac, &[7; 16]).expect("of 16 octets"));
    KEY.get_or_init(key).clone()
}

/// One round of the loop's own work: the request's changing octets, its source and its time.
#[inline(always)]
fn prepare(case: Case, buffer: &mut [u8; 256], turn: u32) -> (SocketAddr, NtpTimestamp, Instant) {
    buffer[0] = 0x23;
    buffer[44..48].copy_from_slice(&turn.to_be_bytes());
    if case == Case::Nts {
        buffer[48..52].copy_from_slice(&[0x01, 0x04, 0, 36]);
        buffer[84..88].copy_from_slice(&[0x02, 0x04, 0, 104]);
        buffer[188..192].copy_from_slice(&[0x04, 0x04, 0, 44]);
    }
    if case == Case::Signed {
        let digest = key().key().digest(&buffer[..48]);
        buffer[48..52].copy_from_slice(&key().id().get().to_be_bytes());
        buffer[52..68].copy_from_slice(digest.as_bytes());
    }
    (
        source(case, turn),
        NtpTimestamp::new(3_900_000_000, turn << 12),
        Instant::from_nanos(1 << 40 | u64::from(turn) << 10),
    )
}

/// Who asks in this turn.
#[inline(always)]
fn source(case: Case, turn: u32) -> SocketAddr {
    let client = match case {
        // An odd factor: each once in 2²⁰ turns, and the next never beside the last.
        Case::LimitedMillion => 0x7f00_0000 | turn.wrapping_mul(40_503) & 0xf_ffff,
        Case::LimitedStrangers => 0x7f01_0000 | turn & 0xffff,
        _ => 0x7f01_0100 | turn & 0xff,
    };
    SocketAddr::from((client.to_be_bytes(), 40_000))
}

/// The loop with nothing but a call: what to take off.
#[inline(never)]
pub fn empty_server_loop(case: Case, turns: Range<u32>) -> u32 {
    turn_after_turn(case, turns, unanswered)
}

/// The loop; returns how many were answered.
#[inline(never)]
pub fn full_server_loop(server: &mut Server, case: Case, turns: Range<u32>) -> u32 {
    turn_after_turn(case, turns, |buffer, length, source, received, transmit, now| {
        server.respond_in_place(buffer, length, source, received, transmit, now)
    })
}

/// What is done ahead for the requests that come together in these turns.
#[inline(never)]
pub fn prefetch_loop(server: &Server, case: Case, turns: Range<u32>) {
    server.prefetch(turns.map(|turn| source(case, turn)));
}

/// Takes what a responder takes.
#[inline(never)]
fn unanswered(
    buffer: &mut [u8],
    length: usize,
    source: SocketAddr,
    received: NtpTimestamp,
    transmit: NtpTimestamp,
    now: Instant,
) -> Outcome {
    black_box((buffer.as_ptr(), length, &source, received, transmit, now));
    Outcome::Response { length }
}

#[inline(always)]
fn turn_after_turn(
    case: Case,
    turns: Range<u32>,
    mut respond: impl FnMut(&mut [u8], usize, SocketAddr, NtpTimestamp, NtpTimestamp, Instant) -> Outcome,
) -> u32 {
    let mut buffer = [0; 256];
    let mut answered = 0;
    for turn in turns {
        let mut prepared = prepare(case, &mut buffer, turn);
        let (buffer, &mut (source, time, now)) = black_box((&mut buffer, &mut prepared));
        let outcome = respond(buffer, case.length(), source, time, time, now);
        answered += u32::from(matches!(outcome, Outcome::Response { .. }));
    }
    answered
}
