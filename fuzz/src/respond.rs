//! The responder under every policy, over a conversation with many sources; and the mode 6 reader.
//!
//! An answer is signed if and only if its request was, truly, with a key of the server's.
//!
//! Input: one octet of policies, then records: seconds to wait, three octets of address, port and length (two octets each,
//! big-endian), and so many octets of datagram; the last takes what is left. Also the whole input as one datagram.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ntp_proto::control::ControlPacket;
use ntp_proto::mac::{Algorithm, Key, KeyRing, SharedKey};
use ntp_proto::{Mode, Packet, Version};
use ntp_server::{
    Access, AccessRules, DropReason, LeapSmear, Monitor, Outcome, RateLimit, Server, ServerClock, SmearShape,
    MAX_REQUEST,
};
use ntp_types::{Instant, KissCode, NtpDuration, NtpTimestamp, Precision, Stratum};

const START: NtpTimestamp = NtpTimestamp::new(3_900_000_000, 1);
const KEY: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

/// Compiled once: the table of the first 16 bits takes longer than a whole conversation.
fn rules() -> Arc<AccessRules> {
    static RULES: OnceLock<Arc<AccessRules>> = OnceLock::new();
    let rule = |prefix: &str, access| (prefix.parse().unwrap(), access);
    Arc::clone(RULES.get_or_init(|| {
        Arc::new(AccessRules::new(
            Access::Allow,
            &[
                rule("10.64.0.0/10", Access::Refuse),
                rule("10.128.0.0/10", Access::Ignore),
                rule("10.192.0.0/10", Access::Trust),
                rule("10.32.0.0/11", Access::Signed),
            ],
        ))
    }))
}

fn server(policies: u8) -> Server {
    let mut server = Server::new(ServerClock::local(Stratum::from_bits(5), Precision::from_log2(-24)));
    if policies & 1 != 0 {
        server = server.with_access(rules());
    }
    if policies & 2 != 0 {
        let limit = RateLimit { burst: 2, sources: 16, ..RateLimit::default() };
        server = server.with_rate_limit(&limit, KEY);
    }
    if policies & 4 != 0 {
        server = server.with_ceiling(80);
    }
    if policies & 8 != 0 {
        server = server.with_interleaving(16, KEY);
    }
    if policies & 16 != 0 {
        let leap = START + NtpDuration::from_seconds(60);
        server = server.with_smear(LeapSmear::new(leap, true, Duration::from_secs(200), SmearShape::Cosine));
    }
    if policies & 32 != 0 {
        server = server.with_keys(keys());
    }
    server
}

/// Two keys, by ids 1 and 2.
fn keys() -> Arc<KeyRing> {
    static KEYS: OnceLock<Arc<KeyRing>> = OnceLock::new();
    let key = |id: u32, algorithm| SharedKey::new(id.try_into().unwrap(), Key::new(algorithm, &[7; 16]).unwrap());
    Arc::clone(
        KEYS.get_or_init(|| Arc::new([key(1, Algorithm::Sha1), key(2, Algorithm::Aes128Cmac)].into_iter().collect())),
    )
}

/// The datagram; under policy 64 one that ends in key id 1 or 2 gets that key's true MAC.
fn signed(policies: u8, datagram: &[u8]) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    let Some([head @ .., a, b, c, d]) = datagram.get(..).filter(|_| policies & 64 != 0) else { return datagram };
    let id = u32::from_be_bytes([*a, *b, *c, *d]);
    if let (Some(key), Some(lead)) = (keys().get(id), head.first()) {
        let digest = key.key().packet_digest(Version::from_bits(lead >> 3 & 7), head);
        datagram.extend_from_slice(digest.as_bytes());
    }
    datagram
}

/// Answers a conversation twice, in place and apart, and judges every answer.
pub fn respond(data: &[u8]) {
    let Some((&policies, mut rest)) = data.split_first() else { return };
    let (mut apart, mut in_place) = (server(policies), server(policies));
    let mut seconds = 0;
    while let Some((&[wait, a, b, c, p0, p1, l0, l1], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([l0, l1])).min(after.len());
        let (datagram, after) = after.split_at(length);
        seconds += u64::from(wait % 8);
        let source = SocketAddr::from(([10, a, b, c], u16::from_be_bytes([p0, p1])));
        judge(&mut apart, &mut in_place, policies, &signed(policies, datagram), source, seconds);
        rest = after;
    }
    judge(&mut apart, &mut in_place, policies, data, ([10, 0, 0, 1], 40_000).into(), seconds);
    for server in [apart, in_place] {
        let counted: u64 = server.counters().outcomes().iter().map(|(_, _, count)| count).sum();
        assert_eq!(counted, server.counters().received);
    }
    let local = Some(IpAddr::from([10, 0, 0, 1]));
    let _ = Monitor::default().respond(data, ([10, 0, 0, 1], 40_000).into(), local, |answer| {
        assert!(ControlPacket::parse(answer).unwrap().header().is_response, "an answer says so");
    });
}

fn judge(apart: &mut Server, in_place: &mut Server, policies: u8, datagram: &[u8], source: SocketAddr, seconds: u64) {
    let now = Instant::from_nanos(seconds * 1_000_000_000);
    let received = START + NtpDuration::from_seconds(i32::try_from(seconds).unwrap());
    let transmit = received + NtpDuration::from_nanos(5_000);
    let mut buffer = vec![0; datagram.len().max(64)];
    buffer[..datagram.len()].copy_from_slice(datagram);
    let outcome = in_place.respond_in_place(&mut buffer, datagram.len(), source, received, transmit, now);
    if datagram.len() <= MAX_REQUEST {
        let mut out = vec![0; datagram.len().max(64)];
        assert_eq!(apart.respond(datagram, source, received, transmit, now, &mut out), outcome);
        if let Outcome::Response { length } = outcome {
            assert_eq!(buffer[..length], out[..length], "the same in place as apart");
        }
    }
    let is_signed_only = policies & 1 != 0 && matches!(source, SocketAddr::V4(v4) if v4.ip().octets()[1] >> 5 == 1);
    let asked = Packet::parse(datagram);
    let has_mac = asked.is_ok_and(|packet| packet.mac().is_some());
    assert!(outcome != Outcome::Drop(DropReason::Unsigned) || is_signed_only && !has_mac);
    let Outcome::Response { length } = outcome else { return };
    assert!(!is_signed_only || has_mac, "a key is demanded there");
    assert!(length <= datagram.len(), "never longer than the request");
    let (asked, answer) = (asked.unwrap(), Packet::parse(&buffer[..length]).unwrap());
    let key = keys().authenticate(&asked).ok().cloned().filter(|_| policies & 32 != 0);
    // An NTS request has the fields and no MAC; one with both is not signed for.
    assert_eq!(
        answer.mac().is_some(),
        key.is_some() && answer.kiss() != Some(KissCode::NtsNak),
        "signed as it was asked"
    );
    assert!(key.is_none() || answer.mac().is_none() || key.is_some_and(|key| key.authenticate(&answer).is_ok()));
    assert!(!answer.is_crypto_nak() || has_mac && answer.mac().is_none());
    assert_eq!(answer.version(), asked.version());
    let expected = if asked.mode() == Mode::SymmetricActive { Mode::SymmetricPassive } else { Mode::Server };
    assert_eq!(answer.mode(), expected);
    let origin = answer.origin_timestamp();
    let is_interleaved = policies & 8 != 0 && origin == asked.receive_timestamp();
    assert!(origin == asked.transmit_timestamp() || is_interleaved, "the answer belongs to the request");
    assert!(is_interleaved || !answer.receive_timestamp().is_after(answer.transmit_timestamp()));
    assert_ne!(source.port(), 0, "nobody can be reached there");
    if policies & 1 != 0 {
        let SocketAddr::V4(v4) = source else { return };
        let region = v4.ip().octets()[1] >> 6;
        assert_ne!(region, 2, "ignored addresses get nothing");
        assert_eq!(region == 1, answer.kiss().is_some_and(|kiss| kiss.to_bytes() == *b"DENY"));
    }
}
