//! The one-shot query: samples, patience, and the vote.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ntp_client::{Query, QueryConfig, QueryOutcome};
use ntp_discipline::Verdict;
use ntp_types::{Instant, NtpDuration};
use world::{answer, kiss, START};

/// What a server does with its nth request: the answer's octets and how long they take, if it answers.
type Script = fn(&[u8], usize) -> Option<(Duration, Vec<u8>)>;

struct Asked {
    outcome: QueryOutcome,
    requests: BTreeMap<SocketAddr, Vec<Instant>>,
    ended: Instant,
}

fn address(last: usize) -> SocketAddr {
    format!("192.0.2.{last}:123").parse().unwrap()
}

/// Runs a query against these servers; our clock is right.
fn ask(scripts: &[Script], config: QueryConfig) -> Asked {
    let servers: BTreeMap<_, _> = scripts.iter().enumerate().map(|(index, script)| (address(index), *script)).collect();
    let mut query = Query::new(servers.keys().copied(), config, Instant::ZERO);
    let (mut now, mut nonce) = (Instant::ZERO, 1_u64);
    let mut arriving: Vec<(Instant, SocketAddr, Vec<u8>)> = Vec::new();
    let mut requests: BTreeMap<SocketAddr, Vec<Instant>> = BTreeMap::new();
    let clock = |now: Instant| START + NtpDuration::from_std(now.since(Instant::ZERO));
    while !query.is_finished(now) {
        nonce = nonce.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        while let Some((_, request)) = query.poll_transmit(now, clock(now), nonce) {
            let asked = requests.entry(request.to).or_default();
            asked.push(now);
            let mut bytes = request.bytes().to_vec();
            bytes.extend(clock(now).to_bytes());
            if let Some((after, answer)) = servers[&request.to](&bytes, asked.len() - 1) {
                arriving.push((now + after, request.to, answer));
            }
            nonce += 1;
        }
        let next = arriving.iter().map(|(at, ..)| *at).chain(query.next_timeout()).min().unwrap();
        assert!(next > now || !arriving.is_empty(), "it waits for something to come");
        now = now.max(next);
        while let Some(place) = arriving.iter().position(|(at, ..)| *at <= now) {
            let (_, from, bytes) = arriving.remove(place);
            let _ = query.handle_datagram(&bytes, from, clock(now), now);
        }
    }
    Asked { outcome: query.outcome(), requests, ended: now }
}

/// A good answer of a server so many milliseconds ahead, after a round trip of so many.
fn good(request: &[u8], ahead: i64, round_trip: u64) -> Option<(Duration, Vec<u8>)> {
    let round_trip = Duration::from_millis(round_trip);
    let sent = ntp_types::NtpTimestamp::from_bytes(request[48..56].try_into().unwrap());
    let server = sent + NtpDuration::from_nanos(ahead * 1_000_000);
    let mut bytes = answer(&request[..48], server, round_trip);
    bytes[4..12].fill(0);
    Some((round_trip, bytes))
}

fn verdicts(asked: &Asked) -> Vec<Verdict> {
    asked.outcome.servers.iter().map(|server| server.verdict).collect()
}

#[test]
fn the_majority_answers_and_the_false_one_is_named() {
    let scripts: [Script; 4] = [
        |request, _| good(request, 500, 20),
        |request, _| good(request, 503, 30),
        |request, _| good(request, 900, 10),
        |request, _| good(request, 501, 8),
    ];
    let asked = ask(&scripts, QueryConfig::default());
    let combined = asked.outcome.combined.unwrap();
    assert_eq!(combined.agreeing, 3);
    assert!((combined.offset.to_nanos() - 501_000_000).abs() < 1_000_000, "{}", combined.offset);
    assert!(
        combined.bound < NtpDuration::from_nanos(6_000_000),
        "the intersection is narrower than each: {}",
        combined.bound
    );
    assert_eq!(verdicts(&asked)[2], Verdict::Falseticker);
    assert_eq!(verdicts(&asked)[3], Verdict::SystemPeer, "the nearest");
    assert_eq!(asked.ended, Instant::ZERO + Duration::from_millis(30), "nothing is waited for that is not needed");
}

#[test]
fn without_a_majority_there_is_no_answer() {
    let scripts: [Script; 2] = [|request, _| good(request, 0, 20), |request, _| good(request, 900, 20)];
    let asked = ask(&scripts, QueryConfig::default());
    assert_eq!(asked.outcome.combined, None);
    assert!(asked.outcome.servers.iter().all(|server| server.best.is_some()));
}

#[test]
fn of_several_samples_the_one_with_the_least_delay_counts() {
    let delays: Script = |request, turn| good(request, 0, [80, 30, 50, 40][turn]);
    let asked = ask(&[delays], QueryConfig { samples: 4, ..QueryConfig::default() });
    assert_eq!(asked.outcome.servers[0].best.unwrap().delay, NtpDuration::from_std(Duration::from_millis(30)));
    assert_eq!(asked.outcome.servers[0].counters.accepted, 4);
    let gaps: Vec<_> = asked.requests[&address(0)].windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert_eq!(gaps, [Duration::from_secs(2); 3]);
}

#[test]
fn patience_is_bounded_and_one_loss_is_forgiven() {
    let scripts: [Script; 3] = [
        |_, _| None,
        |request, turn| if turn == 0 { None } else { good(request, 0, 20) },
        |request, _| good(request, 0, 20),
    ];
    let asked = ask(&scripts, QueryConfig::default());
    let counts: Vec<_> = (0..3).map(|last| asked.requests[&address(last)].len()).collect();
    assert_eq!(counts, [2, 2, 1]);
    assert_eq!(asked.ended, Instant::ZERO + Duration::from_secs(4), "two requests 2 s apart and 2 s of waiting");
    assert_eq!(verdicts(&asked)[0], Verdict::Unreachable);
    assert_eq!(asked.outcome.combined.unwrap().agreeing, 2);
}

#[test]
fn a_kiss_ends_it_and_an_unsynchronised_server_is_called_so() {
    let scripts: [Script; 2] = [
        |request, _| Some((Duration::from_millis(5), kiss(&request[..48], b"RATE"))),
        |request, _| {
            let (after, mut bytes) = good(request, 0, 20)?;
            bytes[0] |= 0xc0;
            Some((after, bytes))
        },
    ];
    let asked = ask(&scripts, QueryConfig { samples: 4, ..QueryConfig::default() });
    assert_eq!(asked.requests[&address(0)].len(), 1);
    assert_eq!(verdicts(&asked)[1], Verdict::Unsynchronized);
    assert_eq!(asked.outcome.combined, None);
}

#[test]
fn an_address_given_twice_is_asked_once() {
    let query = Query::new([address(1), address(1)], QueryConfig::default(), Instant::ZERO);
    assert_eq!(query.outcome().servers.len(), 1);
}

#[test]
fn a_server_is_given_up_when_every_request_to_it_was_refused() {
    let config = QueryConfig { samples: 2, ..QueryConfig::default() };
    let (server, later) = (address(0), |millis| Instant::ZERO + Duration::from_millis(millis));
    let mut query = Query::new([server], config.clone(), Instant::ZERO);
    assert!(query.poll_transmit(Instant::ZERO, START, 1).is_some());
    query.handle_unreachable(address(1)); // not asked
    assert!(!query.is_finished(later(1)));
    query.handle_unreachable(server);
    assert!(query.is_finished(later(1)) && query.next_timeout().is_none());
    assert!(query.poll_transmit(later(2_000), START, 2).is_none());
    assert_eq!(query.outcome().servers[0].verdict, Verdict::Unreachable);

    // With one that had an answer, the others are waited for.
    let mut query = Query::new([server], config, Instant::ZERO);
    let (_, request) = query.poll_transmit(Instant::ZERO, START, 1).unwrap();
    let mut bytes = request.bytes().to_vec();
    bytes.extend(START.to_bytes());
    let (way, answer) = good(&bytes, 0, 20).unwrap();
    query.handle_datagram(&answer, server, START + NtpDuration::from_std(way), Instant::ZERO + way).unwrap();
    assert!(query.poll_transmit(later(2_000), START, 2).is_some());
    query.handle_unreachable(server);
    assert!(!query.is_finished(later(2_001)));
}
