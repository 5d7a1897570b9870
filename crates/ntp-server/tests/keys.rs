//! Who signs is answered signed, who does not know the key is told so, and nobody learns anything from it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ntp_proto::mac::{Algorithm, Key, KeyRing, SharedKey};
use ntp_proto::{ClientRequest, ExtensionType, Packet, Version};
use ntp_server::{Access, AccessRules, DropReason, Outcome, RateLimit, Server, ServerClock};
use ntp_types::{Instant, KissCode, NtpTimestamp, Precision, Stratum};
use proptest::prelude::*;

const T2: NtpTimestamp = NtpTimestamp::new(4_004_000_000, 1);
const T3: NtpTimestamp = NtpTimestamp::new(4_004_000_000, 77_777);
const SALT: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::Md5,
    Algorithm::Sha1,
    Algorithm::Sha256,
    Algorithm::Sha384,
    Algorithm::Sha512,
    Algorithm::Aes128Cmac,
    Algorithm::Aes256Cmac,
];

fn client() -> SocketAddr {
    "192.0.2.7:40000".parse().unwrap()
}

fn key(id: u32, algorithm: Algorithm, fill: u8) -> SharedKey {
    let secret = vec![fill; algorithm.secret_length().unwrap_or(20)];
    SharedKey::new(id.try_into().unwrap(), Key::new(algorithm, &secret).unwrap())
}

/// A server with one key of each algorithm, their ids from 1 on.
fn server() -> Server {
    let keys: KeyRing = (1..).zip(ALGORITHMS).map(|(id, algorithm)| key(id, algorithm, 5)).collect();
    Server::new(ServerClock::local(Stratum::from_bits(5), Precision::from_log2(-24))).with_keys(Arc::new(keys))
}

fn request(version: u8, key: Option<&SharedKey>) -> Vec<u8> {
    let mut buffer = [0; 200];
    let asked = ClientRequest::new(NtpTimestamp::from_bits(77)).with_version(Version::from_bits(version)).unwrap();
    let (writer, _pending) = asked.begin(&mut buffer, client()).unwrap();
    let length = match key {
        Some(key) => writer.sign(key).unwrap(),
        None => writer.finish().unwrap(),
    };
    buffer[..length].to_vec()
}

fn ask(server: &mut Server, request: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut buffer = [0; 600];
    buffer[..request.len()].copy_from_slice(request);
    match server.respond_in_place(&mut buffer, request.len(), client(), T2, T3, Instant::ZERO) {
        Outcome::Response { length } => Ok(buffer[..length].to_vec()),
        Outcome::Drop(reason) => Err(reason),
    }
}

#[test]
fn a_signed_request_gets_an_answer_signed_with_the_same_key() {
    let mut server = server();
    let mut asked = 0;
    for version in 1..=4 {
        for (id, algorithm) in (1..).zip(ALGORITHMS) {
            let key = key(id, algorithm, 5);
            let request = request(version, Some(&key));
            let answer = ask(&mut server, &request).unwrap();
            assert_eq!(answer.len(), request.len());
            let packet = Packet::parse(&answer).unwrap();
            assert_eq!(key.authenticate(&packet), Ok(()));
            assert_eq!((packet.version().to_bits(), packet.transmit_timestamp()), (version, T3));
            asked += 1;
        }
        let plain = ask(&mut server, &request(version, None)).unwrap();
        assert_eq!(plain.len(), 48);
    }
    assert_eq!((server.counters().signed, server.counters().answered), (asked, asked + 4));
}

#[test]
fn another_key_and_an_untrue_mac_are_told_so() {
    let mut server = server();
    let mut forged = request(4, Some(&key(2, Algorithm::Sha1, 5)));
    forged[5] ^= 1;
    let strangers = [
        request(4, Some(&key(2, Algorithm::Sha1, 6))),       // another secret
        request(4, Some(&key(99, Algorithm::Sha1, 5))),      // another id
        request(4, Some(&key(2, Algorithm::Aes128Cmac, 5))), // another algorithm
        request(4, Some(&key(3, Algorithm::Sha1, 5))),       // a digest as long as the right one's
        forged,
    ];
    for stranger in &strangers {
        let answer = ask(&mut server, stranger).unwrap();
        assert_eq!((answer.len(), Packet::parse(&answer).unwrap().is_crypto_nak()), (52, true));
    }
    assert_eq!((server.counters().crypto_naks, server.counters().signed), (5, 0));
}

/// The MAC covers the fields too, and the answer has none of them.
#[test]
fn fields_before_the_mac_are_read_and_not_echoed() {
    let mut server = server();
    let key = key(6, Algorithm::Aes128Cmac, 5);
    let mut buffer = [0; 200];
    let (writer, _pending) = ClientRequest::new(T2).begin(&mut buffer, client()).unwrap();
    let length = writer.field(ExtensionType::from_bits(0xf323), &[1; 20]).unwrap().sign(&key).unwrap();
    let answer = ask(&mut server, &buffer[..length]).unwrap();
    assert_eq!((answer.len(), key.authenticate(&Packet::parse(&answer).unwrap())), (68, Ok(())));
    buffer[60] ^= 1;
    assert!(Packet::parse(&ask(&mut server, &buffer[..length]).unwrap()).unwrap().is_crypto_nak());
}

#[test]
fn a_rule_can_demand_a_key() {
    let mut server = server().with_access(Arc::new(AccessRules::new(Access::Signed, &[])));
    for version in 1..=4 {
        assert_eq!(ask(&mut server, &request(version, None)), Err(DropReason::Unsigned));
    }
    // Nor a peer, nor who has something else behind the header.
    let mut peer = request(4, None);
    peer[0] = 0x21;
    assert_eq!(ask(&mut server, &peer), Err(DropReason::Unsigned));
    let mut buffer = [0; 200];
    let (writer, _pending) = ClientRequest::new(T2).begin(&mut buffer, client()).unwrap();
    let length = writer.field(ExtensionType::UNIQUE_IDENTIFIER, &[1; 32]).unwrap().finish().unwrap();
    assert_eq!(ask(&mut server, &buffer[..length]), Err(DropReason::Unsigned));
    let key = key(1, Algorithm::Md5, 5);
    let answer = ask(&mut server, &request(4, Some(&key))).unwrap();
    assert_eq!(key.authenticate(&Packet::parse(&answer).unwrap()), Ok(()));
    let unknown = self::key(99, Algorithm::Md5, 5);
    assert!(Packet::parse(&ask(&mut server, &request(4, Some(&unknown))).unwrap()).unwrap().is_crypto_nak());
    let counters = server.counters();
    assert_eq!((counters.unsigned, counters.answered, counters.crypto_naks, counters.received), (6, 1, 1, 8));
}

/// A client that holds a key obeys no other, and who has not shown that he does gets nothing signed.
#[test]
fn kisses_are_signed_for_who_signs() {
    let mut server = server().with_access(Arc::new(AccessRules::new(Access::Refuse, &[])));
    let key = key(2, Algorithm::Sha1, 5);
    let answer = ask(&mut server, &request(4, Some(&key))).unwrap();
    let packet = Packet::parse(&answer).unwrap();
    assert_eq!((packet.kiss(), key.authenticate(&packet)), (Some(KissCode::Deny), Ok(())));
    for other in [Some(self::key(2, Algorithm::Sha1, 6)), None] {
        let answer = ask(&mut server, &request(4, other.as_ref())).unwrap();
        assert_eq!((answer.len(), Packet::parse(&answer).unwrap().kiss()), (48, Some(KissCode::Deny)));
    }
    assert_eq!((server.counters().deny_kisses, server.counters().signed), (3, 1));
}

#[test]
fn the_rate_limit_comes_before_the_mac() {
    let limit =
        RateLimit { interval: Duration::from_secs(64), burst: 1, leak: None, kiss: None, ..RateLimit::default() };
    let mut server = server().with_rate_limit(&limit, SALT);
    let signed = request(4, Some(&key(2, Algorithm::Sha1, 5)));
    assert!(ask(&mut server, &signed).is_ok());
    // Neither a true MAC nor a wrong one gets past it.
    assert_eq!(ask(&mut server, &signed), Err(DropReason::RateLimited));
    assert_eq!(ask(&mut server, &request(4, Some(&key(2, Algorithm::Sha1, 6)))), Err(DropReason::RateLimited));
}

#[test]
fn interleaved_answers_are_signed_too() {
    let mut server = server().with_interleaving(64, SALT);
    let key = key(7, Algorithm::Aes256Cmac, 5);
    let first = ask(&mut server, &request(4, Some(&key))).unwrap();
    let first = Packet::parse(&first).unwrap();
    let previous = ntp_types::RoundTrip { t1: T2, t2: first.receive_timestamp(), t3: NtpTimestamp::UNSET, t4: T3 };
    let asked = ClientRequest::new(NtpTimestamp::from_bits(78)).interleaved(previous, NtpTimestamp::from_bits(79));
    let mut buffer = [0; 200];
    let (writer, _pending) = asked.begin(&mut buffer, client()).unwrap();
    let length = writer.sign(&key).unwrap();
    let answer = ask(&mut server, &buffer[..length]).unwrap();
    let packet = Packet::parse(&answer).unwrap();
    assert_eq!((packet.origin_timestamp().to_bits(), key.authenticate(&packet)), (79, Ok(())));
    assert_eq!((server.counters().interleaved, server.counters().signed), (1, 2));
}

proptest! {
    /// An answer is signed if and only if its request was, truly; and is never longer.
    #[test]
    fn signed_if_and_only_if_the_request_is(
        version in 1..=4_u8,
        id in 1..=8_u32,
        algorithm in prop::sample::select(&ALGORITHMS[..]),
        fill in 4..=5_u8,
        change in prop::option::of((any::<prop::sample::Index>(), 1..=255_u8)),
        length in any::<prop::sample::Index>(),
        is_whole in any::<bool>(),
    ) {
        let mut server = server();
        let mut bytes = request(version, Some(&key(id, algorithm, fill)));
        if let Some((place, change)) = change {
            bytes[place.index(68)] ^= change;
        }
        if !is_whole {
            bytes.truncate(length.index(bytes.len()));
        }
        let expected = Packet::parse(&bytes).ok().and_then(|packet| {
            let mac = packet.mac()?;
            let held = key(mac.key_id, *ALGORITHMS.get(usize::try_from(mac.key_id).ok()?.checked_sub(1)?)?, 5);
            held.authenticate(&packet).is_ok().then_some(held)
        });
        let Ok(answer) = ask(&mut server, &bytes) else { return Ok(()) };
        prop_assert!(answer.len() <= bytes.len());
        let packet = Packet::parse(&answer).unwrap();
        match expected {
            Some(key) => prop_assert_eq!(key.authenticate(&packet), Ok(())),
            None => prop_assert!(packet.mac().is_none()),
        }
        prop_assert_eq!(packet.is_crypto_nak(), packet.mac().is_none() && bytes.len() > 48);
    }
}
