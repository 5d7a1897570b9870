//! Where a key is agreed on, nothing without its MAC is used or obeyed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ntp_client::{Event, Ignored, Query, QueryConfig, SourceConfig};
use ntp_proto::mac::{Algorithm, Key, SharedKey, Unauthentic};
use ntp_proto::{Packet, Reject, Version};
use ntp_server::{Access, AccessRules, Outcome, RateLimit, Server, ServerClock};
use ntp_types::{Instant, NtpDuration, NtpTimestamp, Precision, Stratum};
use proptest::prelude::*;
use world::{answer, config, kiss, World, ROUND_TRIP};

const ADDRESS: &str = "192.0.2.1:123";
const HOUR: Duration = Duration::from_secs(3600);

fn key(id: u32, algorithm: Algorithm, fill: u8) -> SharedKey {
    let secret = vec![fill; algorithm.secret_length().unwrap_or(20)];
    SharedKey::new(id.try_into().unwrap(), Key::new(algorithm, &secret).unwrap())
}

fn ours() -> SharedKey {
    key(9, Algorithm::Aes128Cmac, 3)
}

fn signed_config(key: &SharedKey) -> SourceConfig {
    SourceConfig { key: Some(key.clone()), ..config(6, 6, false) }
}

fn server_with(keys: impl IntoIterator<Item = SharedKey>) -> Server {
    let clock = ServerClock::local(Stratum::PRIMARY, Precision::from_log2(-30));
    Server::new(clock).with_keys(Arc::new(keys.into_iter().collect()))
}

/// A server of ours at the far end of the test's network.
fn far(mut server: Server) -> impl FnMut(&[u8], NtpTimestamp, usize) -> Vec<(Duration, Vec<u8>)> {
    move |request, time, count| {
        let (there, mut out) = (time + NtpDuration::from_std(ROUND_TRIP / 2), [0; 200]);
        let now = Instant::from_nanos(u64::try_from(count).unwrap() * 1_000_000_000);
        match server.respond(request, "192.0.2.99:40000".parse().unwrap(), there, there, now, &mut out) {
            Outcome::Response { length } => {
                assert!(length <= request.len());
                if let Some(token) = server.wants_transmit() {
                    server.handle_transmitted(token, there);
                }
                vec![(ROUND_TRIP, out[..length].to_vec())]
            }
            Outcome::Drop(_) => Vec::new(),
        }
    }
}

/// The octets of an answer with the MAC of a key, whatever they say.
fn with_mac(key: &SharedKey, mut octets: Vec<u8>) -> Vec<u8> {
    let version = Version::from_bits(octets[0] >> 3 & 7);
    let digest = key.key().packet_digest(version, &octets);
    octets.extend(key.id().get().to_be_bytes());
    octets.extend(digest.as_bytes());
    octets
}

#[test]
fn every_kind_of_key_brings_time_from_a_server_that_holds_it() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha512, Algorithm::Aes128Cmac, Algorithm::Aes256Cmac]
    {
        for (version, interleaved, burst) in [(4, false, false), (3, true, true), (4, true, true)] {
            let key = key(70_000, algorithm, 1);
            let server = server_with([key.clone()]).with_interleaving(16, 5);
            let mut world = World::new();
            let address = world.serve(ADDRESS, far(server));
            let version = Version::from_bits(version);
            let config = SourceConfig { version, interleaved, burst, iburst: burst, ..signed_config(&key) };
            let id = world.add(address, config);
            world.run_for(HOUR);
            let counters = *world.system.association(id).unwrap().counters();
            assert!(counters.sent > 50 && counters.accepted == counters.sent, "{algorithm}: {counters:?}");
            for (_, _, request) in &world.requests {
                assert_eq!(key.authenticate(&Packet::parse(request).unwrap()), Ok(()), "{algorithm}");
            }
        }
    }
}

#[test]
fn without_the_same_key_there_is_no_time_and_the_reason_is_seen() {
    let unsigned = Reject::NotAuthentic(Unauthentic::Unsigned);
    let other_secret = server_with([key(9, Algorithm::Aes128Cmac, 4)]);
    let other_id = server_with([key(8, Algorithm::Aes128Cmac, 3)]);
    // The last does not look at what follows the header.
    let cases: [(world::Behaviour, Reject); 3] = [
        (Box::new(far(other_secret)), Reject::CryptoNak),
        (Box::new(far(other_id)), Reject::CryptoNak),
        (Box::new(world::good), unsigned),
    ];
    for (behaviour, expected) in cases {
        let mut world = World::new();
        let address = world.serve(ADDRESS, behaviour);
        let id = world.add(address, SourceConfig { key: Some(ours()), ..config(4, 10, false) });
        world.run_for(HOUR);
        let source = world.system.snapshot(world.now).sources[0];
        assert_eq!(source.last_ignored, Some(Ignored::Rejected(expected)));
        let counters = source.counters;
        assert_eq!((counters.accepted, counters.unusable, counters.foreign), (0, 0, 0));
        assert_eq!(counters.unauthentic, counters.sent);
        assert!(world.samples(id).is_empty() && !source.reach.is_reachable());
        let unusable = |event: &Event| matches!(event, Event::Unusable { reason, .. } if reason.is_unauthentic());
        assert!(world.events.iter().any(unusable));
        // As to a silent server, it is asked ever less often.
        assert!(counters.sent < 60 && source.poll.log2() > 6, "{counters:?}");
    }
}

#[test]
fn a_kiss_is_obeyed_only_with_the_mac_of_the_key() {
    let held = ours();
    for signer in [None, Some(key(9, Algorithm::Aes128Cmac, 4)), Some(held.clone())] {
        let is_ours = signer.as_ref() == Some(&held);
        for code in [b"DENY", b"RSTR", b"RATE"] {
            let mut world = World::new();
            let signer = signer.clone();
            let address = world.serve(ADDRESS, move |request, _, _| {
                let kiss = kiss(request, code);
                vec![(ROUND_TRIP, signer.as_ref().map_or(kiss.clone(), |key| with_mac(key, kiss)))]
            });
            let id = world.add(address, signed_config(&held));
            world.run_for(Duration::from_secs(500));
            let association = world.system.association(id).unwrap();
            let counters = association.counters();
            assert_eq!(association.is_stopped(), is_ours && code != b"RATE");
            if is_ours {
                assert!(counters.kisses > 0 && counters.unauthentic == 0);
            } else {
                assert_eq!((counters.kisses, counters.unauthentic), (0, counters.sent));
                assert!(counters.sent > 5, "asked on: {counters:?}");
            }
        }
    }
}

/// Our own server's kisses are obeyed: it signs them.
#[test]
fn a_servers_signed_kisses_are_obeyed() {
    let refusing = server_with([ours()]).with_access(Arc::new(AccessRules::new(Access::Refuse, &[])));
    let mut world = World::new();
    let address = world.serve(ADDRESS, far(refusing));
    let id = world.add(address, signed_config(&ours()));
    world.run_for(HOUR);
    assert_eq!((world.asked(address), world.system.association(id).unwrap().is_stopped()), (1, true));

    let limit = RateLimit { interval: HOUR, burst: 1, kiss: Some(1), leak: None, ..RateLimit::default() };
    let mut world = World::new();
    let address = world.serve(ADDRESS, far(server_with([ours()]).with_rate_limit(&limit, 3)));
    let id = world.add(address, signed_config(&ours()));
    world.run_for(HOUR);
    assert!(world.system.association(id).unwrap().counters().kisses > 0);
}

/// Who reads our packets on the way and answers first, but has no key, neither keeps the true answer out nor gets anything
/// done.
#[test]
fn an_attacker_on_the_path_without_the_key_changes_nothing() {
    let count = |attacked: bool| {
        let mut world = World::new();
        let mut honest = far(server_with([ours()]));
        let address = world.serve(ADDRESS, move |request, time, count| {
            let mut sent = honest(request, time, count);
            if attacked {
                let early = ROUND_TRIP / 4;
                let lie = answer(request, time + NtpDuration::from_seconds(100), early);
                let mut nak = lie.clone();
                nak.extend([0; 4]);
                let mut replayed = lie.clone();
                replayed.extend_from_slice(&request[48..]);
                let guessed = with_mac(&key(9, Algorithm::Aes128Cmac, 4), lie.clone());
                let forged = [lie, nak, replayed, guessed, kiss(request, b"DENY"), kiss(request, b"RATE")];
                sent.extend(forged.into_iter().map(|forged| (early, forged)));
            }
            sent
        });
        let id = world.add(address, SourceConfig { iburst: true, ..signed_config(&ours()) });
        world.run_for(HOUR);
        let counters = *world.system.association(id).unwrap().counters();
        assert!(world.samples(id).iter().all(|sample| sample.offset.abs() < NtpDuration::from_nanos(1_000_000)));
        (counters.sent, counters.accepted, counters.unauthentic)
    };
    let (sent, accepted, unauthentic) = count(true);
    assert_eq!((sent, accepted, 0), count(false));
    assert_eq!(unauthentic, sent * 6);
}

#[test]
fn a_query_can_be_signed() {
    let server: SocketAddr = ADDRESS.parse().unwrap();
    for (held, agreeing) in [(ours(), 1), (key(9, Algorithm::Aes128Cmac, 4), 0)] {
        let config = QueryConfig { key: Some(ours()), ..QueryConfig::default() };
        let mut query = Query::new([server], config, Instant::ZERO);
        let clock = NtpTimestamp::new(3_900_000_000, 0);
        let (_, request) = query.poll_transmit(Instant::ZERO, clock, 0x1122_3344_5566_7788).unwrap();
        let (_, answer) = far(server_with([held]))(request.bytes(), clock, 0).remove(0);
        let later = Instant::ZERO + ROUND_TRIP;
        let taken = query.handle_datagram(&answer, server, clock + NtpDuration::from_std(ROUND_TRIP), later);
        assert_eq!(taken.is_ok(), agreeing == 1, "{taken:?}");
        // A crypto-NAK can be forged: the true answer is waited for.
        assert_eq!(query.is_finished(later), agreeing == 1);
        assert_eq!(query.outcome().combined.map_or(0, |combined| combined.agreeing), agreeing);
    }
}

proptest! {
    /// Whatever octets of the true answer are changed, it is not the true answer any more.
    #[test]
    fn every_octet_of_an_answer_counts(
        algorithm in prop::sample::select(&[Algorithm::Md5, Algorithm::Sha256, Algorithm::Aes128Cmac][..]),
        version in 3..=4_u8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 0..3),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let key = key(5, algorithm, 1);
        let mut world = World::new();
        let mut honest = far(server_with([key.clone()]));
        let expected = std::rc::Rc::new(std::cell::Cell::new(true));
        let seen = expected.clone();
        let address = world.serve(ADDRESS, move |request, time, count| {
            let (after, original) = honest(request, time, count).remove(0);
            let mut changed = original.clone();
            for (place, change) in &changes {
                let place = place.index(changed.len());
                changed[place] ^= change;
            }
            if let Some(cut) = &cut {
                changed.truncate(cut.index(changed.len()));
            }
            seen.set(changed == original);
            vec![(after, changed)]
        });
        let config = SourceConfig { version: Version::from_bits(version), ..signed_config(&key) };
        let id = world.add(address, config);
        world.run_for(Duration::from_secs(1));
        let counters = world.system.association(id).unwrap().counters();
        prop_assert_eq!((counters.sent, counters.accepted == 1), (1, expected.get()));
        prop_assert_eq!(counters.kisses, 0);
    }
}
