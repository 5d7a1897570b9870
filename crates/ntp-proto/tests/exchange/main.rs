//! The exchange and the answer: every test by name, the arithmetic against wide integers, every era crossed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // how a test fails
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)] // the wraps of the wire

mod answer;

use std::net::SocketAddr;

use ntp_proto::mac::Unauthentic;
use ntp_proto::{
    AnswerTemplate, ClientRequest, EmitError, ExtensionType, Header, Mode, NotARequest, Packet, PacketWriter, Pending,
    Reject, Rejected, Reply, Request, ServerVariables, Version, MAX_DISPERSION,
};
use ntp_types::{
    KissAction, KissCode, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, RoundTrip,
    Stratum, UnixTime,
};
use proptest::prelude::*;

fn server() -> SocketAddr {
    "192.0.2.1:123".parse().unwrap()
}

fn at(bits: u64) -> NtpTimestamp {
    NtpTimestamp::from_bits(bits)
}

const NOW: u64 = 0xEE00_0000_0000_0000;

/// What the servers' precision of 2⁻²³ s leaves to chance.
const NOISE: u64 = 1 << 9;

fn variables() -> ServerVariables {
    ServerVariables {
        leap: LeapIndicator::NoWarning,
        stratum: Stratum::from_bits(2),
        precision: Precision::from_log2(-23),
        root_delay: NtpShort::from_bits(0x0100),
        root_dispersion: NtpShort::from_bits(0x0200),
        reference_id: ReferenceId::from_bytes([192, 0, 2, 9]),
        reference_timestamp: at(NOW - (5 << 32)),
    }
}

/// A request, what waits for its reply, and a good reply.
fn exchange() -> (Pending, Header) {
    let (octets, pending) = ClientRequest::new(at(0x1234_5678_9ABC_DEF0)).start(server());
    let answer = AnswerTemplate::new(&variables()).answer(&Request::parse(&octets).unwrap(), at(NOW), at(NOW + 9));
    (pending, Header::from_bytes(&answer))
}

fn reject_of(change: impl FnOnce(&mut Header)) -> Reject {
    let (pending, mut reply) = exchange();
    change(&mut reply);
    pending.accept(&reply.to_bytes(), server(), at(NOW), at(NOW)).unwrap_err().reject()
}

#[test]
fn the_good_reply() {
    let (pending, reply) = exchange();
    let octets = reply.to_bytes();
    let reply = pending.accept(&octets, server(), at(NOW - 100), at(NOW + 200)).unwrap();
    assert!(!reply.is_interleaved);
    let exchange = reply.exchange;
    assert_eq!(exchange.round_trip, RoundTrip { t1: at(NOW - 100), t2: at(NOW), t3: at(NOW + 9), t4: at(NOW + 200) });
    assert_eq!((exchange.offset().to_bits(), exchange.delay().to_bits()), (-45, 291));
    assert_eq!(
        (exchange.stratum.to_bits(), exchange.version, exchange.leap),
        (2, Version::V4, LeapIndicator::NoWarning)
    );
    assert_eq!(exchange.precision.log2(), -23);
    assert_eq!(reply.packet.as_bytes(), octets);
    // 2⁻²³ s + 2⁻²⁴ s + 15 ppm of 300 units, up to the next whole one.
    assert_eq!(exchange.dispersion(Precision::from_log2(-24)).to_bits(), 512 + 256 + 1);
    // (delay + root delay) / 2 up, root dispersion, dispersion.
    let expect = (291 + (0x0100 << 16) + 1) / 2 + (0x0200 << 16) + 769;
    assert_eq!(exchange.root_distance(Precision::from_log2(-24)).to_bits(), expect);
}

#[test]
fn every_test_by_its_name() {
    assert!(matches!(reject_of(|reply| reply.lead = Header::default().lead), Reject::Mode(Mode::Client)));
    for mode in [Mode::Reserved, Mode::SymmetricActive, Mode::SymmetricPassive, Mode::Broadcast] {
        let lead = ntp_proto::Lead::new(LeapIndicator::NoWarning, Version::V4, mode);
        assert_eq!(reject_of(|reply| reply.lead = lead), Reject::Mode(mode));
    }
    let reject = reject_of(|reply| reply.origin_timestamp = NtpTimestamp::UNSET);
    assert_eq!(
        reject.to_string(),
        "origin 00000000.00000000 is not the 12345678.9abcdef0 that was sent (test 2, bogus)"
    );
    let reject = reject_of(|reply| reply.receive_timestamp = NtpTimestamp::UNSET);
    assert_eq!(
        reject.to_string(),
        "receive 00000000.00000000 or transmit ee000000.00000009 is unset (test 3, invalid)"
    );
    let reject = reject_of(|reply| reply.reference_timestamp = at(NOW + 10));
    assert_eq!(
        reject.to_string(),
        "reference ee000000.0000000a lies after transmit ee000000.00000009 (test 7, header)"
    );
    let reject = reject_of(|reply| reply.receive_timestamp = at(NOW + 10 + NOISE));
    assert_eq!(reject.to_string(), "transmit ee000000.00000009 lies before receive ee000000.0000020a (test 7, header)");
    let reject = reject_of(|reply| reply.root_dispersion = NtpShort::from_duration(MAX_DISPERSION));
    assert_eq!(
        reject.to_string(),
        "root delay 0.003906 s and root dispersion 16.000000 s say 16 s or more (test 7, header)"
    );
    let reject = reject_of(|reply| reply.stratum = Stratum::UNSYNCHRONIZED);
    assert_eq!(reject.to_string(), "server not synchronised: leap none, stratum 16 (test 6)");
    // A server that does not say when its clock was set is not refused for it.
    let (pending, mut reply) = exchange();
    reply.reference_timestamp = NtpTimestamp::UNSET;
    assert!(pending.accept(&reply.to_bytes(), server(), at(NOW), at(NOW)).is_ok());
}

#[test]
fn every_kiss_is_final_and_only_after_the_origin() {
    for &code in KissCode::ALL {
        let kiss = |reply: &mut Header| {
            reply.stratum = Stratum::UNSPECIFIED;
            reply.reference_id = code.into();
            reply.poll = Poll::from_log2(10);
        };
        let (pending, mut reply) = exchange();
        kiss(&mut reply);
        match pending.accept(&reply.to_bytes(), server(), at(NOW), at(NOW)).unwrap_err() {
            Rejected::Final(Reject::Kiss { code: found, poll }) => {
                assert_eq!((found, poll.log2()), (code, 10));
                assert!(!matches!(code, KissCode::Init | KissCode::Step));
            }
            // INIT and STEP are how an ntpd without time fills the field; they ask for nothing.
            Rejected::Ignored { reject: Reject::Unsynchronized { .. }, .. } => {
                assert!(matches!(code, KissCode::Init | KissCode::Step));
                assert_eq!(code.action(), KissAction::None);
            }
            other => panic!("{code}: {other}"),
        }
        let (pending, mut reply) = exchange();
        kiss(&mut reply);
        reply.origin_timestamp = at(1);
        let rejected = pending.accept(&reply.to_bytes(), server(), at(NOW), at(NOW)).unwrap_err();
        assert!(matches!(rejected, Rejected::Ignored { reject: Reject::Origin { .. }, .. }), "{code}");
    }
    // A code nobody knows is one all the same.
    let reject = reject_of(|reply| {
        reply.stratum = Stratum::UNSPECIFIED;
        reply.reference_id = ReferenceId::from_bytes(*b"XYZ\0");
    });
    assert_eq!(reject.to_string(), "kiss-o'-death XYZ, poll 0");
}

#[test]
fn authenticity_is_asked_for_after_the_origin_and_before_the_kiss() {
    let (pending, mut reply) = exchange();
    reply.stratum = Stratum::UNSPECIFIED;
    reply.reference_id = KissCode::Deny.into();
    let octets = reply.to_bytes();
    let rejected = pending.accept_if(&octets, server(), at(NOW), at(NOW), |_| Err(Unauthentic::Unsigned)).unwrap_err();
    assert!(rejected.reject().is_unauthentic() && !rejected.reject().is_from_server());
    let Rejected::Ignored { reject: Reject::NotAuthentic(_), pending } = rejected else { panic!("{rejected}") };
    let mut is_asked = false;
    reply.origin_timestamp = at(1);
    let octets = reply.to_bytes();
    let rejected = pending.accept_if(&octets, server(), at(NOW), at(NOW), |_| {
        is_asked = true;
        Ok(())
    });
    assert!(rejected.is_err() && !is_asked);
    // A crypto-NAK is a refusal by name, and ends nothing.
    let (pending, reply) = exchange();
    let mut octets = reply.to_bytes().to_vec();
    octets.extend([0; 4]);
    let rejected = pending.accept(&octets, server(), at(NOW), at(NOW)).unwrap_err();
    assert!(matches!(rejected, Rejected::Ignored { reject: Reject::CryptoNak, .. }));
    assert!(rejected.reject().is_unauthentic() && !rejected.reject().is_from_server());
}

#[test]
fn the_source_is_the_same_under_its_other_names() {
    let take = |destination: &str, source: &str| {
        let destination: SocketAddr = destination.parse().unwrap();
        let (octets, pending) = ClientRequest::new(at(7)).start(destination);
        let template = AnswerTemplate::new(&variables());
        let answer = template.answer(&Request::parse(&octets).unwrap(), at(NOW), at(NOW));
        pending.accept(&answer, source.parse().unwrap(), at(NOW), at(NOW)).is_ok()
    };
    assert!(take("192.0.2.1:123", "[::ffff:192.0.2.1]:123"));
    assert!(take("[::ffff:192.0.2.1]:123", "192.0.2.1:123"));
    assert!(take("[fe80::1]:123", "[fe80::1%3]:123"));
    assert!(take("[fe80::1%3]:123", "[fe80::1%3]:123"));
    assert!(!take("[fe80::1%3]:123", "[fe80::1%4]:123"));
    assert!(!take("192.0.2.1:123", "192.0.2.1:1123"));
    assert!(!take("192.0.2.1:123", "[::192.0.2.1]:123"));
}

#[test]
fn a_request_tells_nothing_but_its_nonce() {
    let (octets, pending) = ClientRequest::new(at(0x0102_0304_0506_0708)).start(server());
    let mut expect = [0; 48];
    expect[0] = 0x23;
    expect[40..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(octets, expect);
    assert_eq!(
        (pending.destination(), pending.nonce(), pending.version()),
        (server(), at(0x0102_0304_0506_0708), Version::V4)
    );
    // A nonce of zero would be answered by anybody's packet.
    let (octets, pending) = ClientRequest::new(NtpTimestamp::UNSET).start(server());
    assert_eq!((octets[47], pending.nonce()), (1, at(1)));
    for version in 0..=7 {
        let version = Version::from_bits(version);
        match ClientRequest::new(at(7)).with_version(version) {
            Ok(request) => assert_eq!(
                request.with_poll(Poll::from_log2(6)).start(server()).0[..3],
                [version.to_bits() << 3 | 3, 0, 6]
            ),
            Err(error) => assert_eq!(error.to_string(), format!("no requests of version {version}: needed 1 to 4")),
        }
    }
    let mut buffer = [0; 128];
    let (writer, _) = ClientRequest::new(at(7)).begin(&mut buffer, server()).unwrap();
    assert_eq!(writer.mac(5, &[9; 20]).unwrap(), 72);
    assert_eq!(Packet::parse(&buffer[..72]).unwrap().mac().unwrap().key_id, 5);
}

/// Client and server over two rounds of RFC 9769.
#[test]
fn interleaved_gives_the_exchange_before_its_true_transmit_time() {
    let template = AnswerTemplate::new(&variables());
    let (octets, pending) = ClientRequest::new(at(111)).start(server());
    let answer = template.answer(&Request::parse(&octets).unwrap(), at(NOW + 50), at(NOW + 60));
    let first = pending.accept(&answer, server(), at(NOW), at(NOW + 200)).unwrap().exchange;
    // The answer truly left later than it said.
    let departed = at(NOW + 80);
    let later = NOW + (64 << 32);
    for is_remembered in [true, false] {
        let request = ClientRequest::new(at(222)).interleaved(first.round_trip, at(333));
        let (octets, pending) = request.start(server());
        let asked = Request::parse(&octets).unwrap();
        assert_eq!(asked.packet().origin_timestamp(), first.round_trip.t2);
        assert_eq!(asked.packet().receive_timestamp(), at(333));
        let answer = if is_remembered {
            template.answer_interleaved(&asked, at(later), departed)
        } else {
            template.answer(&asked, at(later), at(later))
        };
        let reply: Reply<'_> = pending.accept(&answer, server(), at(later), at(later)).unwrap();
        assert_eq!(reply.is_interleaved, is_remembered);
        if is_remembered {
            assert_eq!(reply.exchange.round_trip, RoundTrip { t3: departed, ..first.round_trip });
            assert_eq!(reply.exchange.delay().to_bits(), first.delay().to_bits() - 20);
        }
    }
    // A departure before the arrival it belongs to is refused, where it is not the noise below the server's precision.
    let (octets, pending) = ClientRequest::new(at(222)).interleaved(first.round_trip, at(333)).start(server());
    let answer = template.answer_interleaved(&Request::parse(&octets).unwrap(), at(later), at(NOW + 49 - NOISE));
    let reject = pending.accept(&answer, server(), at(later), at(later)).unwrap_err().reject();
    assert!(matches!(reject, Reject::TransmitBeforeReceive { .. }));
}

#[test]
fn timestamps_of_an_instant_answer_may_stand_the_wrong_way_round_by_the_precision() {
    let (pending, mut reply) = exchange();
    reply.receive_timestamp = at(NOW + 9 + NOISE);
    let exchange = pending.accept(&reply.to_bytes(), server(), at(NOW), at(NOW)).unwrap().exchange;
    assert_eq!(exchange.round_trip.t2, at(NOW + 9 + NOISE));
    assert_eq!(exchange.round_trip.t3, at(NOW + 9));
}

/// From a second before the era ends, and from a second after: the exchange does not care on which side each clock is.
#[test]
fn the_eras_of_2036_and_2104_are_crossed() {
    // Era 1 begins in 2036; in 2104 the highest bit, by which some software tells the eras apart, turns over in era 1.
    for instant in ["2036-02-07T06:28:16Z", "2104-02-26T09:42:24Z", "2172-03-15T12:56:32Z", "2026-11-23T00:00:00Z"] {
        let middle: UnixTime = instant.parse().unwrap();
        let middle = NtpTimestamp::from_unix(middle);
        for shift in -4..=4_i64 {
            let moved = |millis: i64| middle + NtpDuration::from_nanos(shift * 50_000_000 + millis * 1_000_000);
            let (octets, pending) = ClientRequest::new(moved(0)).start(server());
            let variables = ServerVariables { reference_timestamp: moved(-700), ..variables() };
            let answer =
                AnswerTemplate::new(&variables).answer(&Request::parse(&octets).unwrap(), moved(510), moved(515));
            let exchange = pending.accept(&answer, server(), moved(0), moved(25)).unwrap().exchange;
            let error = (exchange.offset() - NtpDuration::from_nanos(500_000_000)).abs();
            assert!(error.to_bits() <= 2, "{instant} {shift}: {}", exchange.offset());
            let error = (exchange.delay() - NtpDuration::from_nanos(20_000_000)).abs();
            assert!(error.to_bits() <= 4, "{instant} {shift}: {}", exchange.delay());
        }
    }
}

/// The wide reference: signed differences modulo 2⁶⁴, then exact sums.
fn difference(a: u64, b: u64) -> i128 {
    let wide = (i128::from(a) - i128::from(b)).rem_euclid(1 << 64);
    if wide >= 1 << 63 {
        wide - (1 << 64)
    } else {
        wide
    }
}

fn saturate(value: i128) -> i64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

proptest! {
    #[test]
    fn offset_delay_dispersion_and_distance_agree_with_wide_integers(
        t1: u64, t2: u64, turnaround in 0..1_u64 << 63, t4: u64,
        root_delay in 0..1_u32 << 20, root_dispersion in 0..1_u32 << 19, precision: i8, own: i8,
    ) {
        let t3 = t2.wrapping_add(turnaround);
        prop_assume!(t2 != 0 && t3 != 0);
        let (pending, mut reply) = exchange();
        reply.receive_timestamp = at(t2);
        reply.transmit_timestamp = at(t3);
        reply.reference_timestamp = NtpTimestamp::UNSET;
        reply.root_delay = NtpShort::from_bits(root_delay);
        reply.root_dispersion = NtpShort::from_bits(root_dispersion);
        reply.precision = Precision::from_log2(precision);
        let octets = reply.to_bytes();
        let exchange = pending.accept(&octets, server(), at(t1), at(t4)).unwrap().exchange;

        let offset = (difference(t2, t1) + difference(t3, t4)) / 2;
        prop_assert_eq!(i128::from(exchange.offset().to_bits()), offset);
        let delay = saturate(difference(t4, t1) - difference(t3, t2));
        prop_assert_eq!(exchange.delay().to_bits(), delay);

        let power = |exponent: i8| match i32::from(exponent) + 32 {
            shift if shift < 0 => 1_i128,
            shift if shift > 62 => i128::from(i64::MAX),
            shift => 1 << shift,
        };
        let drift = (difference(t4, t1).max(0) * 15 + 999_999) / 1_000_000;
        let dispersion = saturate(i128::from(saturate(power(precision) + power(own))) + drift);
        let own_precision = Precision::from_log2(own);
        prop_assert_eq!(exchange.dispersion(own_precision).to_bits(), dispersion);

        let all_delay = saturate(i128::from(delay).max(power(own)) + (i128::from(root_delay) << 16));
        let distance = (i128::from(all_delay) + 1) / 2 + (i128::from(root_dispersion) << 16) + i128::from(dispersion);
        prop_assert_eq!(exchange.root_distance(own_precision).to_bits(), saturate(distance));
    }

    #[test]
    fn nothing_but_the_answer_is_taken(datagram in prop::collection::vec(any::<u8>(), 0..120), t1: u64, t4: u64) {
        let (pending, _) = exchange();
        let Err(Rejected::Ignored { pending, .. }) = pending.accept(&datagram, server(), at(t1), at(t4)) else {
            return Err(TestCaseError::fail("a datagram of chance was taken"));
        };
        // And the true answer is still good afterwards.
        let (_, reply) = exchange();
        prop_assert!(pending.accept(&reply.to_bytes(), server(), at(t1), at(t4)).is_ok());
    }

    #[test]
    fn every_answer_is_read_again_as_it_was_meant(
        lead in prop::sample::select(vec![0x08_u8, 0x0B, 0x13, 0x1B, 0x23, 0x09, 0x11, 0x19, 0x21]),
        octets: [u8; 23], tail: [u8; 24], receive: u64, transmit: u64,
    ) {
        let mut request = [0; 48];
        request[0] = lead;
        request[1..24].copy_from_slice(&octets);
        request[24..].copy_from_slice(&tail);
        let request = Request::parse(&request).unwrap();
        let answer = AnswerTemplate::new(&variables()).answer(&request, at(receive), at(transmit));
        let packet = Packet::parse(&answer).unwrap();
        prop_assert_eq!(packet.version(), request.packet().version());
        prop_assert_eq!(packet.mode(), request.answer_mode());
        prop_assert_eq!(packet.poll(), request.packet().poll());
        prop_assert_eq!(packet.origin_timestamp(), request.packet().transmit_timestamp());
        prop_assert_eq!(packet.receive_timestamp(), at(receive.max(1)));
        prop_assert_eq!(packet.transmit_timestamp(), at(transmit.max(1)));
    }
}
