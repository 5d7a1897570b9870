//! What the responder says, and what it keeps silent about.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::time::Duration;

use ntp_proto::{ClientRequest, Mode, Packet, PacketWriter, ServerVariables, Version};
use ntp_server::{DropReason, Outcome, Server, ServerClock};
use ntp_types::{
    Frequency, Instant, KissCode, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Precision, ReferenceId, Stratum,
};
use proptest::prelude::*;

const T2: NtpTimestamp = NtpTimestamp::new(4_004_000_000, 1);
const T3: NtpTimestamp = NtpTimestamp::new(4_004_000_000, 77_777);

fn client() -> SocketAddr {
    "192.0.2.7:40000".parse().unwrap()
}

fn request(version: u8, mode: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[0] = version << 3 | mode;
    bytes[2] = 6;
    bytes[40..48].copy_from_slice(&0x1122_3344_5566_7788_u64.to_be_bytes());
    bytes
}

fn synchronized() -> ServerClock {
    let variables = ServerVariables {
        leap: LeapIndicator::InsertSecond,
        stratum: Stratum::from_bits(3),
        precision: Precision::from_log2(-23),
        root_delay: NtpShort::from_bits(0x333),
        root_dispersion: NtpShort::from_bits(0x100),
        reference_id: ReferenceId::from_bytes([192, 0, 2, 1]),
        reference_timestamp: T2 - NtpDuration::from_seconds(30),
    };
    ServerClock::following(variables, Instant::ZERO)
}

fn ask(server: &mut Server, bytes: &[u8], source: SocketAddr) -> Result<Vec<u8>, DropReason> {
    let mut out = [0xaa; 600];
    match server.respond(bytes, source, T2, T3, Instant::ZERO, &mut out) {
        Outcome::Response { length } => Ok(out[..length].to_vec()),
        Outcome::Drop(reason) => Err(reason),
    }
}

#[test]
fn versions_and_modes_are_answered_in_kind() {
    let mut server = Server::new(synchronized());
    for (version, mode, expected) in [(1, 0, 4), (1, 3, 4), (2, 3, 4), (3, 3, 4), (4, 3, 4), (3, 1, 2), (4, 1, 2)] {
        let answer = ask(&mut server, &request(version, mode, 48), client()).unwrap();
        let packet = Packet::parse(&answer).unwrap();
        assert_eq!((packet.version().to_bits(), packet.mode().to_bits()), (version, expected));
        let header = packet.header();
        assert_eq!((header.leap(), header.stratum.to_bits()), (LeapIndicator::InsertSecond, 3));
        assert_eq!((header.root_delay.to_bits(), header.root_dispersion.to_bits()), (0x333, 0x100));
        assert_eq!((header.reference_id.to_bytes(), header.precision.log2()), ([192, 0, 2, 1], -23));
        assert_eq!(header.origin_timestamp.to_bits(), 0x1122_3344_5566_7788);
        assert_eq!((header.receive_timestamp, header.transmit_timestamp), (T2, T3));
        assert_eq!(header.reference_timestamp, T2 - NtpDuration::from_seconds(30));
        assert_eq!(header.poll.log2(), 6);
    }
    assert_eq!(server.counters().answered, 7);
}

#[test]
fn what_asks_for_nothing_gets_nothing() {
    let mut server = Server::new(synchronized());
    let from = |text: &str| text.parse::<SocketAddr>().unwrap();
    let cases = [
        (request(4, 4, 48), client(), DropReason::Mode(Mode::Server)),
        (request(4, 2, 48), client(), DropReason::Mode(Mode::SymmetricPassive)),
        (request(4, 5, 48), client(), DropReason::Mode(Mode::Broadcast)),
        (request(4, 0, 48), client(), DropReason::Mode(Mode::Reserved)),
        (request(1, 0, 48), from("192.0.2.7:123"), DropReason::Mode(Mode::Reserved)),
        (request(2, 6, 48), client(), DropReason::Control),
        (request(2, 7, 48), client(), DropReason::Control),
        (vec![0x16, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], client(), DropReason::Control),
        (request(5, 3, 48), client(), DropReason::Version(Version::V5)),
        (request(0, 3, 48), client(), DropReason::Version(Version::from_bits(0))),
        (request(4, 3, 48)[..47].to_vec(), client(), DropReason::Malformed),
        (Vec::new(), client(), DropReason::Malformed),
        (request(4, 3, 51), client(), DropReason::Malformed),
        (request(4, 3, 55), client(), DropReason::Malformed),
        (request(4, 3, 52), client(), DropReason::Malformed),
        (request(4, 3, 48), from("192.0.2.7:0"), DropReason::Source),
        (request(4, 3, 48), from("0.0.0.0:40000"), DropReason::Source),
        (request(4, 3, 48), from("[ff02::101]:40000"), DropReason::Source),
    ];
    for (bytes, source, expected) in cases {
        assert_eq!(ask(&mut server, &bytes, source), Err(expected), "{bytes:02x?} from {source}");
    }
    let counted = server.counters().outcomes().into_iter().filter(|&(_, _, count)| count > 0);
    let counted: Vec<_> = counted.map(|(name, _, count)| (name, count)).collect();
    assert_eq!(counted, [("malformed", 5), ("versions", 2), ("modes", 5), ("control", 3), ("sources", 3)]);
    assert_eq!(server.counters().received, 18);
}

/// What a program in a driver would do with the template is what the server does.
#[test]
fn the_plain_answer_is_data() {
    let mut server = Server::new(synchronized()).with_lead(NtpDuration::from_nanos(20_000));
    for (seconds, version) in [(0, 1), (3, 2), (100, 3), (90_000, 4)] {
        let now = Instant::ZERO + Duration::from_secs(seconds);
        let (template, valid_until) = server.plain_answer(now, T2).unwrap();
        assert_eq!(valid_until.since(now), Duration::from_secs(1));
        let mut datagram = request(version, 3, 48);
        let mut answer = *template.as_bytes();
        answer[0] |= (datagram[0] & 0x3f) + 1;
        answer[2] = datagram[2];
        answer[24..32].copy_from_slice(&datagram[40..48]);
        answer[32..40].copy_from_slice(&T2.to_bytes());
        answer[40..48].copy_from_slice(&T3.to_bytes());
        let outcome = server.respond_in_place(&mut datagram, 48, client(), T2, T3, now);
        assert_eq!((outcome, &datagram[..]), (Outcome::Response { length: 48 }, &answer[..]), "after {seconds} s");
    }
    let mut interleaved = Server::new(synchronized()).with_interleaving(64, 7);
    assert!(interleaved.plain_answer(Instant::ZERO, T2).is_none());
}

/// A rival answers leap 0, stratum 1 whatever its clock is doing.
#[test]
fn an_unsynchronised_server_says_so() {
    let mut server = Server::new(ServerClock::unsynchronized(Precision::from_log2(-24)));
    let answer = ask(&mut server, &request(4, 3, 48), client()).unwrap();
    assert_eq!((answer[0] >> 6, answer[1]), (3, 0));
    let source = client();
    let (bytes, pending) = ClientRequest::new(NtpTimestamp::from_bits(99)).start(source);
    let answer = ask(&mut server, &bytes, source).unwrap();
    assert!(pending.accept(&answer, source, T2, T3).is_err(), "no client of ours would follow it");
}

#[test]
fn a_local_reference_names_itself_and_a_fresh_reference_time() {
    for (stratum, reference) in [(1, *b"LOCL"), (10, [127, 127, 1, 1])] {
        let mut server = Server::new(ServerClock::local(Stratum::from_bits(stratum), Precision::from_log2(-24)));
        let answer = ask(&mut server, &request(4, 3, 48), client()).unwrap();
        let header = Packet::parse(&answer).unwrap().header();
        assert_eq!(header.reference_id.to_bytes(), reference);
        assert_eq!(header.reference_timestamp, T2);
    }
}

#[test]
fn root_dispersion_grows_while_nothing_corrects_the_clock() {
    let mut server = Server::new(synchronized());
    let dispersion = |server: &mut Server, seconds| {
        let mut out = [0; 48];
        let now = Instant::ZERO + Duration::from_secs(seconds);
        let _ = server.respond(&request(4, 3, 48), client(), T2, T3, now, &mut out);
        Packet::parse(&out).unwrap().root_dispersion().to_duration()
    };
    let start = dispersion(&mut server, 0);
    assert_eq!(start, NtpShort::from_bits(0x100).to_duration());
    let grown = dispersion(&mut server, 10_000) - start;
    assert!((grown - NtpDuration::from_nanos(150_000_000)).abs() < NtpDuration::from_nanos(20_000), "{grown}");
    // In place, where a template made before serves for a second, it does too.
    let mut buffer = [0; 48];
    for second in [20_000, 20_001, 20_004] {
        let now = Instant::ZERO + Duration::from_millis(second * 1_000 - 1);
        buffer.copy_from_slice(&request(4, 3, 48));
        let _ = server.respond_in_place(&mut buffer, 48, client(), T2, T3, now);
        let grown = Packet::parse(&buffer).unwrap().root_dispersion().to_duration() - start;
        let late = NtpDuration::from_nanos(15_000 * i64::try_from(second).unwrap()) - grown;
        assert!(late.abs() < NtpDuration::from_nanos(31_000), "{late} at {second} s");
    }
    server.set_clock(synchronized().with_growth(Frequency::from_ppm(100)));
    let grown = dispersion(&mut server, 1_000) - start;
    assert!((grown - NtpDuration::from_nanos(100_000_000)).abs() < NtpDuration::from_nanos(20_000), "{grown}");
}

/// Whoever told it of its clock may be gone: 28 h without a word, and its synchronised clock is none any more.
#[test]
fn a_clock_nobody_speaks_for_any_more_decays_to_unsynchronised() {
    let mut server = Server::new(synchronized());
    let mut says = |hours: u64| {
        let mut out = [0; 48];
        let now = Instant::ZERO + Duration::from_secs(3_600 * hours);
        let _ = server.respond(&request(4, 3, 48), client(), T2, T3, now, &mut out);
        (out[0] >> 6, out[1])
    };
    assert_eq!(says(27), (1, 3), "a leap second to come, stratum 3");
    assert_eq!(says(28), (3, 0));
    let stratum = |clock: ServerClock| clock.variables(Instant::ZERO + Duration::from_secs(1 << 40), T2).stratum;
    assert_eq!(stratum(synchronized()), Stratum::UNSYNCHRONIZED);
    let of_its_own = ServerClock::local(Stratum::from_bits(7), Precision::from_log2(-24));
    assert_eq!(stratum(of_its_own), Stratum::from_bits(7), "the operator's word does not age");
}

#[test]
fn root_dispersion_contains_how_far_timestamps_are_taken_ahead() {
    let most = NtpShort::from_bits(1).to_duration();
    for (clock, alone) in
        [(synchronized(), 0x100), (ServerClock::local(Stratum::from_bits(3), Precision::from_log2(-24)), 0)]
    {
        let mut server = Server::new(clock).with_lead(most);
        let answer = ask(&mut server, &request(4, 3, 48), client()).unwrap();
        assert_eq!(Packet::parse(&answer).unwrap().root_dispersion(), NtpShort::from_bits(alone + 1));
        assert_eq!(server.variables(Instant::ZERO, T2).root_dispersion, NtpShort::from_bits(alone + 1));
    }
}

#[test]
fn an_answer_never_leaves_before_its_request_came() {
    let mut server = Server::new(synchronized());
    let mut out = [0; 48];
    let _ = server.respond(&request(4, 3, 48), client(), T3, T2, Instant::ZERO, &mut out);
    let packet = Packet::parse(&out).unwrap();
    assert_eq!((packet.receive_timestamp(), packet.transmit_timestamp()), (T3, T3));
}

/// A rival answers signed requests, and those with NTS, as if they were plain.
#[test]
fn what_cannot_be_authenticated_is_told_so() {
    let mut server = Server::new(synchronized());
    for digest in [16, 20] {
        let mut signed = request(4, 3, 48);
        signed.extend([0, 0, 0, 20]);
        signed.extend(vec![0xbb; digest]);
        let answer = ask(&mut server, &signed, client()).unwrap();
        assert!(Packet::parse(&answer).unwrap().is_crypto_nak());
        assert_eq!(answer.len(), 52);
    }
    let mut buffer = [0; 256];
    let (writer, _pending) = ClientRequest::new(T2).begin(&mut buffer, client()).unwrap();
    let length = writer
        .field(ntp_proto::ExtensionType::UNIQUE_IDENTIFIER, &[5; 32])
        .and_then(|writer| writer.field(ntp_proto::ExtensionType::NTS_COOKIE, &[6; 100]))
        .and_then(PacketWriter::finish)
        .unwrap();
    let answer = ask(&mut server, &buffer[..length], client()).unwrap();
    let packet = Packet::parse(&answer).unwrap();
    assert_eq!(packet.kiss(), Some(KissCode::NtsNak));
    assert_eq!(packet.extensions().next().unwrap().value, [5; 32]);
    assert_eq!((server.counters().crypto_naks, server.counters().nts_naks), (2, 1));
}

#[test]
fn a_buffer_that_is_too_short_is_a_reason_not_a_panic() {
    let mut server = Server::new(synchronized());
    let mut out = [0; 47];
    let outcome = server.respond(&request(4, 3, 48), client(), T2, T3, Instant::ZERO, &mut out);
    assert_eq!((outcome, server.counters().no_room), (Outcome::Drop(DropReason::NoRoom), 1));
}

proptest! {
    #[test]
    fn any_octets_get_an_answer_that_is_valid_and_no_longer_or_none(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        lead in any::<u8>(),
        shape in any::<bool>(),
        times in any::<(u64, u64, u64)>(),
        port in any::<u16>(),
    ) {
        if let (true, Some(first)) = (shape, bytes.first_mut()) {
            *first = (lead & 0xc7 | 0x20) & !7 | 3;
        }
        let mut server = Server::new(synchronized());
        let source = SocketAddr::new("192.0.2.7".parse().unwrap(), port);
        let mut out = [0; 600];
        let (t2, t3) = (NtpTimestamp::from_bits(times.0), NtpTimestamp::from_bits(times.1));
        if let Outcome::Response { length } =
            server.respond(&bytes, source, t2, t3, Instant::from_nanos(times.2), &mut out)
        {
            prop_assert!(length <= bytes.len());
            let answer = Packet::parse(&out[..length]).unwrap();
            prop_assert_eq!(&out[24..32], &bytes[40..48]);
            prop_assert!(matches!(answer.mode(), Mode::Server | Mode::SymmetricPassive));
            prop_assert!(!answer.receive_timestamp().is_unset() && !answer.transmit_timestamp().is_unset());
            prop_assert!(!answer.receive_timestamp().is_after(answer.transmit_timestamp()));
        }
        prop_assert_eq!(server.counters().received, 1);
    }
}
