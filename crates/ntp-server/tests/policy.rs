//! Who is answered, how often, and in which form.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ntp_proto::Packet;
use ntp_server::{
    Access, AccessRules, DropReason, LeapSmear, Outcome, RateLimit, Server, ServerClock, SmearShape, MAX_REQUEST,
};
use ntp_types::{Instant, KissCode, LeapIndicator, NtpDuration, NtpTimestamp, Precision, Stratum};
use proptest::prelude::*;

const T2: NtpTimestamp = NtpTimestamp::new(4_004_000_000, 1);
const T3: NtpTimestamp = NtpTimestamp::new(4_004_000_000, 77_777);
const KEY: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
const CLIENT: &str = "192.0.2.7:40000";

fn server() -> Server {
    Server::new(ServerClock::local(Stratum::from_bits(5), Precision::from_log2(-24)))
}

fn request() -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[0] = 0x23;
    bytes[40..].copy_from_slice(b"a nonce!");
    bytes
}

fn ask(server: &mut Server, request: &[u8], source: &str, seconds: u64) -> Result<Vec<u8>, DropReason> {
    let mut buffer = [0; 2048];
    buffer[..request.len()].copy_from_slice(request);
    let now = Instant::from_nanos(seconds * 1_000_000_000);
    match server.respond_in_place(&mut buffer, request.len(), source.parse().unwrap(), T2, T3, now) {
        Outcome::Response { length } => Ok(buffer[..length].to_vec()),
        Outcome::Drop(reason) => Err(reason),
    }
}

fn kiss(answer: &[u8]) -> Option<KissCode> {
    Packet::parse(answer).unwrap().kiss()
}

#[test]
fn rules_decide_by_the_longest_prefix() {
    let rules = [
        ("10.0.0.0/8", Access::Allow),
        ("10.1.0.0/16", Access::Refuse),
        ("10.1.1.0/24", Access::Trust),
        ("2001:db8::/32", Access::Allow),
    ];
    let rules: Vec<_> = rules.iter().map(|(prefix, access)| (prefix.parse().unwrap(), *access)).collect();
    let limit =
        RateLimit { interval: Duration::from_secs(64), burst: 1, leak: None, kiss: None, ..RateLimit::default() };
    let rules = Arc::new(AccessRules::new(Access::Ignore, &rules));
    let mut server = server().with_access(rules).with_rate_limit(&limit, KEY);
    assert_eq!(ask(&mut server, &request(), CLIENT, 1), Err(DropReason::Ignored));
    assert_eq!(ask(&mut server, &request(), "10.2.0.1:99", 1).unwrap()[1], 5);
    assert_eq!(ask(&mut server, &request(), "10.2.0.1:98", 1), Err(DropReason::RateLimited));
    assert_eq!(ask(&mut server, &request(), "[2001:db8::1]:99", 1).unwrap()[1], 5);
    let refusal = ask(&mut server, &request(), "10.1.0.1:99", 1).unwrap();
    assert_eq!(kiss(&refusal), Some(KissCode::Deny));
    // Refusals are within the limit too, and the trusted are without one.
    assert_eq!(ask(&mut server, &request(), "10.1.0.1:99", 1), Err(DropReason::RateLimited));
    for _ in 0..100 {
        assert_eq!(ask(&mut server, &request(), "10.1.1.1:99", 1).unwrap()[1], 5);
    }
    let counters = server.counters();
    assert_eq!((counters.ignored, counters.deny_kisses, counters.rate_limited, counters.answered), (1, 1, 2, 102));
}

#[test]
fn who_asks_too_often_is_told_how_often_it_may() {
    let limit =
        RateLimit { interval: Duration::from_secs(30), burst: 2, leak: None, kiss: Some(0), ..RateLimit::default() };
    let mut server = server().with_rate_limit(&limit, KEY);
    for _ in 0..2 {
        assert_eq!(kiss(&ask(&mut server, &request(), CLIENT, 100).unwrap()), None);
    }
    let answer = ask(&mut server, &request(), CLIENT, 100).unwrap();
    assert_eq!(kiss(&answer), Some(KissCode::Rate));
    // 2⁵ s is the first interval above 30 s; the nonce comes back, so that the client can believe it.
    assert_eq!((answer[2], &answer[24..32]), (5, &b"a nonce!"[..]));
    assert_eq!(kiss(&ask(&mut server, &request(), CLIENT, 131).unwrap()), None);
    // What is no request takes no token of its source.
    for _ in 0..10 {
        assert_eq!(
            ask(&mut server, &[0x24; 48], "192.0.2.8:5", 131).unwrap_err().to_string(),
            "mode server asks for nothing"
        );
    }
    assert_eq!(kiss(&ask(&mut server, &request(), "192.0.2.8:5", 131).unwrap()), None);
    let counters = server.counters();
    assert_eq!((counters.rate_kisses, counters.modes, counters.answered), (1, 10, 4));
}

/// Two workers: who is spread over both has the limit twice, who stays with one once.
#[test]
fn each_worker_limits_for_itself() {
    let limit = RateLimit { burst: 3, leak: None, kiss: None, ..RateLimit::default() };
    let mut workers = [KEY, KEY + 1].map(|key| server().with_rate_limit(&limit, key));
    let mut answered = |worker: usize, source| ask(&mut workers[worker], &request(), source, 100).is_ok();
    assert_eq!((0..10).filter(|_| answered(0, "192.0.2.7:40000")).count(), 3);
    assert_eq!((0..10).filter(|turn| answered(turn % 2, "192.0.2.8:40000")).count(), 6);
}

#[test]
fn a_spoofed_source_is_not_starved() {
    let mut server = server().with_rate_limit(&RateLimit::default(), KEY);
    // Somebody sends a hundred requests each second in the client's name; one in sixteen leaks through.
    let mut own = 0;
    for second in 1..=200 {
        for _ in 0..100 {
            let _ = ask(&mut server, &request(), CLIENT, second);
        }
        own += u32::from(ask(&mut server, &request(), CLIENT, second).is_ok_and(|answer| kiss(&answer).is_none()));
    }
    assert!((3..=30).contains(&own), "{own} of 200 answered");
    assert!(server.counters().leaked > 1_000);
}

#[test]
fn the_ceiling_holds_for_all_sources_together() {
    let mut server = server().with_ceiling(800);
    let answered = (0..10_000_u32).filter(|turn| {
        let source = SocketAddr::from((turn.to_be_bytes(), 123)).to_string().replace("0.0.", "198.51.");
        ask(&mut server, &request(), &source, 10).is_ok()
    });
    // What an eighth of a second holds, at one moment.
    assert!((100..=102).contains(&answered.count()));
    assert_eq!(server.counters().over_ceiling, 10_000 - server.counters().answered);
}

#[test]
fn an_interleaved_client_learns_when_the_answer_before_left() {
    let mut server = server().with_interleaving(1 << 10, KEY);
    let first = ask(&mut server, &request(), CLIENT, 1).unwrap();
    let first = Packet::parse(&first).unwrap();
    assert_eq!(first.transmit_timestamp(), T3);
    assert_eq!(server.wants_transmit(), None, "a basic client's stamp is not worth its price");
    let mut second = request();
    second[24..32].copy_from_slice(&first.receive_timestamp().to_bytes());
    second[32..40].copy_from_slice(b"received");
    // Somebody else's answer cannot be asked for.
    let stranger = ask(&mut server, &second, "198.51.100.1:40000", 2).unwrap();
    assert_eq!(&stranger[24..32], b"a nonce!");
    let answer = ask(&mut server, &second, CLIENT, 2).unwrap();
    let answer = Packet::parse(&answer).unwrap();
    assert_eq!((answer.origin_timestamp().to_bytes(), answer.transmit_timestamp()), (*b"received", T3));
    // The stamp of this one comes later and goes into the third.
    let left = T3 + NtpDuration::from_nanos(1234);
    server.handle_transmitted(server.wants_transmit().unwrap(), left);
    second[24..32].copy_from_slice(&answer.receive_timestamp().to_bytes());
    let third = ask(&mut server, &second, CLIENT, 3).unwrap();
    assert_eq!(Packet::parse(&third).unwrap().transmit_timestamp(), left);
    assert_ne!(answer.receive_timestamp(), first.receive_timestamp());
    assert_eq!((server.counters().interleaved, server.counters().answered), (2, 2));
    // An origin that names nothing, or all three alike: basic.
    second[24..32].copy_from_slice(b"whatever");
    assert_eq!(ask(&mut server, &second, CLIENT, 4).unwrap()[24..32], *b"a nonce!");
}

#[test]
fn a_smeared_leap_is_in_the_timestamps_and_not_announced() {
    let leap = T2 + NtpDuration::from_seconds(6 * 3600);
    let variables = ntp_proto::ServerVariables {
        leap: LeapIndicator::InsertSecond,
        stratum: Stratum::from_bits(2),
        ..ntp_proto::ServerVariables::default()
    };
    let clock = ServerClock::following(variables, Instant::ZERO);
    let smear = |leap| LeapSmear::new(leap, true, Duration::from_secs(86_400), SmearShape::Linear);
    let mut server = Server::new(clock).with_smear(smear(leap));
    let answer = ask(&mut server, &request(), CLIENT, 1).unwrap();
    let answer = Packet::parse(&answer).unwrap();
    let quarter = NtpDuration::from_seconds_f64(-0.25);
    for (served, true_time) in [(answer.receive_timestamp(), T2), (answer.transmit_timestamp(), T3)] {
        assert!((served.since(true_time) - quarter).abs() < NtpDuration::from_nanos(1_000_000));
    }
    assert_eq!((answer.leap(), answer.reference_id().to_bytes()[0]), (LeapIndicator::NoWarning, 254));
    let mut server = Server::new(clock).with_smear(smear(T2 + NtpDuration::from_nanos(500_000_000)));
    assert_eq!(ask(&mut server, &request(), CLIENT, 1), Err(DropReason::LeapSecond));
    assert_eq!((server.counters().leap_second, server.counters().received), (1, 1));
}

#[test]
fn what_is_longer_than_any_request_is_refused() {
    let mut server = server();
    assert_eq!(ask(&mut server, &[0x23; MAX_REQUEST + 4], CLIENT, 1), Err(DropReason::TooLong));
    assert_eq!(server.handle_truncated(), Outcome::Drop(DropReason::TooLong));
    assert_eq!((server.counters().received, server.counters().too_long), (2, 2));
}

/// A server with every policy on.
fn strict() -> Server {
    let rules = Arc::new(AccessRules::new(
        Access::Allow,
        &[("128.0.0.0/2".parse().unwrap(), Access::Refuse), ("192.0.0.0/3".parse().unwrap(), Access::Ignore)],
    ));
    let limit = RateLimit { burst: 2, sources: 16, ..RateLimit::default() };
    server().with_access(rules).with_rate_limit(&limit, KEY).with_ceiling(1000).with_interleaving(64, KEY)
}

proptest! {
    /// The same answers in place as apart, never longer than the request, valid for our own parser, each counted once.
    #[test]
    fn every_datagram_is_answered_within_the_rules(
        datagrams in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..200), 0..4_u8, prop::array::uniform4(any::<u8>()), any::<u16>(), 0..3_u64),
            1..60,
        ),
    ) {
        let (mut apart, mut in_place) = (strict(), strict());
        let mut now = 0;
        for (mut bytes, shape, ip, port, wait) in datagrams {
            // Mostly what looks like a request, so that answers come about.
            if shape > 0 {
                bytes.resize([48, 68, 72][usize::from(shape) - 1], 0);
                bytes[0] = bytes[0] & 0x38 | 3;
            }
            now += wait * 1_000_000_000;
            let (now, source) = (Instant::from_nanos(now), SocketAddr::from((ip, port)));
            let mut out = [0; 256];
            let outcome = apart.respond(&bytes, source, T2, T3, now, &mut out);
            let mut buffer = [0; 256];
            buffer[..bytes.len()].copy_from_slice(&bytes);
            let again = in_place.respond_in_place(&mut buffer, bytes.len(), source, T2, T3, now);
            prop_assert_eq!(outcome, again);
            if let Outcome::Response { length } = outcome {
                prop_assert!(length <= bytes.len());
                prop_assert_eq!(&out[..length], &buffer[..length]);
                let (asked, answer) = (Packet::parse(&bytes).unwrap(), Packet::parse(&out[..length]).unwrap());
                prop_assert_eq!((answer.version(), answer.poll().max(asked.poll())), (asked.version(), answer.poll()));
                prop_assert_eq!(answer.mode().to_bits(), if asked.mode().to_bits() == 1 { 2 } else { 4 });
                prop_assert!(!answer.receive_timestamp().is_after(answer.transmit_timestamp()));
                prop_assert!(port != 0);
            }
        }
        for server in [apart, in_place] {
            let counted: u64 = server.counters().outcomes().iter().map(|(_, _, count)| count).sum();
            prop_assert_eq!(counted, server.counters().received);
        }
    }
}
