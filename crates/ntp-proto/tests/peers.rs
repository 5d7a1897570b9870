//! Faults found in other NTP software, each with the octets that show it, as cases that must come out right here.
//!
//! The names of the tests say what went wrong elsewhere.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // how a test fails
#![allow(clippy::result_large_err)] // the exchange comes back by value

mod common;

use std::net::SocketAddr;

use common::unhex;
use ntp_proto::{
    AnswerTemplate, ClientRequest, EmitError, Exchange, ExtensionType, Field, Header, Packet, PacketWriter, Reject,
    Rejected, Request, ServerVariables, Version,
};
use ntp_types::{KissCode, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Precision, Stratum};

const NONCE: NtpTimestamp = NtpTimestamp::from_bits(0x1122_3344_5566_7788);
/// The request of the vectors, and of the replies to it: version 4, mode 3, the nonce.
const REQUEST: &str =
    "230000000000000000000000000000000000000000000000000000000000000000000000000000001122334455667788";

fn server() -> SocketAddr {
    "192.0.2.1:123".parse().unwrap()
}

/// Gives `reply` to a client that sent the nonce at `t1` and got it 20 ms later.
fn accept(reply: &[u8], t1: NtpTimestamp) -> Result<Exchange, Rejected> {
    let (_, pending) = ClientRequest::new(NONCE).start(server());
    let t4 = t1 + NtpDuration::from_nanos(20_000_000);
    pending.accept(reply, server(), t1, t4).map(|reply| reply.exchange)
}

fn in_2026() -> NtpTimestamp {
    NtpTimestamp::from_bits(0xEE00_0000_0000_0000)
}

/// A good answer to the nonce: stratum 1, GPS, all times the same.
fn good_reply() -> [u8; 48] {
    let variables = ServerVariables {
        leap: LeapIndicator::NoWarning,
        stratum: Stratum::PRIMARY,
        reference_id: "GPS".parse().unwrap(),
        reference_timestamp: in_2026(),
        ..ServerVariables::default()
    };
    let request = unhex(REQUEST);
    AnswerTemplate::new(&variables).answer(&Request::parse(&request).unwrap(), in_2026(), in_2026())
}

#[test]
fn extension_fields_are_framed_by_their_whole_length() {
    // ntp-parser takes the length for that of the value; ntp_usg-proto refuses the packet.
    let bytes = unhex(&format!("{REQUEST}20010010{}00000001{}", "aa".repeat(12), "bb".repeat(16)));
    let packet = Packet::parse(&bytes).unwrap();
    let field = packet.extensions().next().unwrap();
    assert_eq!((field.kind.to_bits(), field.value), (0x2001, &[0xAA; 12][..]));
    assert_eq!(packet.mac().unwrap().key_id, 1);
}

#[test]
fn octets_between_field_and_mac_are_not_dropped() {
    // ntp-parser reads this as a field of nothing and a MAC, and loses five octets.
    let bytes = unhex(&format!("{REQUEST}00000000ffffffffff00000001{}", "bb".repeat(16)));
    assert_eq!(Packet::parse(&bytes).unwrap_err().field, Field::ExtensionLength);
}

#[test]
fn a_key_id_is_not_an_empty_field() {
    // ntp-parser makes a field of the key id and a key id of the digest.
    let bytes = unhex(&format!("{REQUEST}00010000{}", "bb".repeat(20)));
    let mac = Packet::parse(&bytes).unwrap().mac().unwrap();
    assert_eq!((mac.key_id, mac.digest), (0x0001_0000, &[0xBB; 20][..]));
}

#[test]
fn an_nts_request_keeps_the_end_of_its_authenticator() {
    // ntp-parser takes the last 20 octets of any packet for a MAC.
    let mut buffer = [0; 256];
    let length = PacketWriter::new(&mut buffer, &Header::default())
        .and_then(|writer| writer.field(ExtensionType::UNIQUE_IDENTIFIER, &[1; 32]))
        .and_then(|writer| writer.field(ExtensionType::NTS_AUTHENTICATOR, &[2; 36]))
        .and_then(PacketWriter::finish)
        .unwrap();
    let packet = Packet::parse(&buffer[..length]).unwrap();
    assert_eq!(packet.extension(ExtensionType::NTS_AUTHENTICATOR).unwrap().value, [2; 36]);
    assert_eq!(packet.mac(), None);
}

#[test]
fn a_crypto_nak_is_read_and_four_other_octets_are_not() {
    let nak = unhex(&format!("{REQUEST}00000000"));
    assert!(Packet::parse(&nak).unwrap().is_crypto_nak());
    assert_eq!(Packet::parse(&nak).unwrap().mac(), None);
    assert_eq!(Packet::parse(&unhex(&format!("{REQUEST}00000001"))).unwrap_err().field, Field::KeyId);
}

#[test]
fn version_3_has_an_ordinary_mac_of_16_octets() {
    // ntp-parser reads 12 octets of it.
    let bytes = unhex(&format!("1b{}00000001{}", &REQUEST[2..], "bb".repeat(16)));
    assert_eq!(Packet::parse(&bytes).unwrap().mac().unwrap().digest, [0xBB; 16]);
}

#[test]
fn timestamps_before_1970_do_not_panic() {
    // ntp_usg-proto: T2 or T3 of 1968 with a fraction ends the process.
    let reply =
        unhex("240106ec0000000000000000475053000000000000000000112233445566778880000000800000008000000080000000");
    let exchange = accept(&reply, in_2026()).unwrap();
    assert!(exchange.offset().is_negative());
    assert!(exchange.root_distance(Precision::default()) > NtpDuration::ZERO);
}

#[test]
fn a_spoofed_kiss_ends_nothing() {
    // ntp_usg-proto looks for a kiss before the origin, and at no source port; rsntp before the origin.
    let deny =
        unhex("24000000000000000000000044454e590000000000000000010203040506070800000000000000000000000000000000");
    let (_, pending) = ClientRequest::new(NONCE).start(server());
    let Err(Rejected::Ignored { reject, pending }) = pending.accept(&deny, server(), in_2026(), in_2026()) else {
        panic!("not ignored");
    };
    assert!(matches!(reject, Reject::Origin { .. }) && !reject.is_from_server());
    // The true reply, from the wrong port and from the wrong address, and then from the right one.
    let mut pending = pending;
    for source in ["192.0.2.1:124", "192.0.2.2:123", "[2001:db8::1]:123"] {
        let source: SocketAddr = source.parse().unwrap();
        let Err(Rejected::Ignored { reject, pending: back }) =
            pending.accept(&good_reply(), source, in_2026(), in_2026())
        else {
            panic!("taken from {source}");
        };
        assert_eq!(reject, Reject::Source { destination: server(), source_address: source });
        pending = back;
    }
    assert!(pending.accept(&good_reply(), server(), in_2026(), in_2026()).is_ok());
}

#[test]
fn one_wrong_datagram_does_not_end_the_query() {
    // beevik/ntp, rsntp and sntpc read one datagram and give up.
    let (request, mut pending) = ClientRequest::new(NONCE).start(server());
    let mut late = good_reply();
    late[31] ^= 1;
    for datagram in [&b""[..], b"\x24", &request, &late, &[0xFF; 48], &[0x24; 1500]] {
        let Err(Rejected::Ignored { pending: back, .. }) = pending.accept(datagram, server(), in_2026(), in_2026())
        else {
            panic!("{datagram:02x?}");
        };
        pending = back;
    }
    assert!(pending.accept(&good_reply(), server(), in_2026(), in_2026()).is_ok());
}

#[test]
fn a_mac_whose_key_id_looks_like_a_length_is_a_mac() {
    // facebook/time, ntp_usg-proto and rusty_time: key id 20 before 16 octets, 24 before 20.
    for (key_id, length) in [(20, 16), (24, 20)] {
        let bytes = unhex(&format!("{REQUEST}{key_id:08x}{}", "bb".repeat(length)));
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.extensions().count(), 0);
        assert_eq!(packet.mac().unwrap().key_id, key_id);
    }
}

#[test]
fn a_server_in_the_next_era_is_read() {
    // sntpc: T3 in era 1 underflows; rtime: an offset of minus 126 years.
    let reply =
        unhex("240106ec0000000000000000475053000000000000000000112233445566778800000001000000000000000100000000");
    let exchange = accept(&reply, NtpTimestamp::from_bits(0xFFFF_FFFF_0000_0000)).unwrap();
    assert_eq!(exchange.offset(), NtpDuration::from_nanos(1_990_000_000));
    // sntpc: reference in era 0, transmit in era 1 is called a backward reference.
    let reply =
        unhex("240106ec000000000000000047505300fffffff000000000112233445566778800000005000000000000000500100000");
    let exchange = accept(&reply, NtpTimestamp::from_bits(0x0000_0005_0000_0000)).unwrap();
    assert!(exchange.delay() > NtpDuration::from_nanos(19_000_000));
    // beevik/ntp: receive in era 0, transmit in era 1 is called a server that ticked backwards; rtime: a delay of 2³² s.
    let reply =
        unhex("240106ec000000000000000047505300ffffff00000000001122334455667788ffffffffffff00000000000000010000");
    let exchange = accept(&reply, NtpTimestamp::from_bits(0xFFFF_FFFF_FD00_0000)).unwrap();
    assert!(exchange.delay() < NtpDuration::from_nanos(20_000_000));
}

#[test]
fn any_precision_gives_a_bound_and_no_panic() {
    // sntpc: shifts by the server's precision, 0x40 to 0x80.
    for precision in 0..=255_u8 {
        let mut reply = good_reply();
        reply[3] = precision;
        let exchange = accept(&reply, in_2026()).unwrap();
        let own = Precision::from_log2(-24);
        assert!(exchange.dispersion(own) >= own.to_duration());
        assert!(exchange.root_distance(own) >= exchange.dispersion(own));
    }
    let mut reply = good_reply();
    reply[3] = 0x7F;
    assert_eq!(accept(&reply, in_2026()).unwrap().dispersion(Precision::default()), NtpDuration::MAX);
}

#[test]
fn a_zero_transmit_timestamp_is_refused() {
    // rsntp takes it for 2036 and sets the clock.
    let reply =
        unhex("240106ec000000000000000047505300edfffff0000000001122334455667788ee000000000000000000000000000000");
    let reject = accept(&reply, in_2026()).unwrap_err().reject();
    assert!(matches!(reject, Reject::ZeroTimestamp { transmit, .. } if transmit.is_unset()), "{reject}");
    let mut reply = good_reply();
    reply[32..40].fill(0);
    assert!(matches!(accept(&reply, in_2026()).unwrap_err().reject(), Reject::ZeroTimestamp { .. }));
}

#[test]
fn a_reference_id_may_be_binary_at_stratum_1() {
    // rsntp and `ntp` refuse the reply.
    let reply =
        unhex("240106ec0000000000000000ff010203edfffff0000000001122334455667788ee00000000000000ee00000010000000");
    assert_eq!(accept(&reply, in_2026()).unwrap().reference_id.to_bytes(), [0xFF, 1, 2, 3]);
}

#[test]
fn a_cookie_placeholder_may_hold_anything() {
    // ntpd-rs refuses the whole packet unless the placeholder's body is zero.
    let bytes = unhex(&format!("{REQUEST}0304001c{}", "01".repeat(24)));
    let field = Packet::parse(&bytes).unwrap().extension(ExtensionType::NTS_COOKIE_PLACEHOLDER).unwrap();
    assert_eq!(field.value, [1; 24]);
}

#[test]
fn a_poll_of_127_is_kept_and_harmless() {
    // ntpd-rs waits 2³¹ s; its poll increment overflows.
    let reply =
        unhex("24017fec000000000000000047505300edfffff0000000001122334455667788ee00000000000000ee00000010000000");
    let poll = accept(&reply, in_2026()).unwrap().poll;
    assert_eq!((poll.log2(), poll.longer().log2()), (127, 127));
    assert_eq!(poll.clamp(ntp_types::Poll::DEFAULT_MIN, ntp_types::Poll::DEFAULT_MAX).log2(), 10);
}

#[test]
fn an_odd_trailer_is_no_mac() {
    // ntpd-rs takes any trailer of 4 to 24 octets for a MAC; ntp_usg-proto, rtime and `ntp` drop one to three octets.
    for trailer in ["01", "0102", "010203", "0000000101", "00000001aabb", "00000001aabbcc"] {
        assert_eq!(Packet::parse(&unhex(&format!("{REQUEST}{trailer}"))).unwrap_err().field, Field::Mac, "{trailer}");
    }
    let bytes = unhex(&format!("{REQUEST}01040010{}", "aa".repeat(12)));
    assert_eq!(Packet::parse(&bytes).unwrap_err().field, Field::Mac, "a last field of 16 octets");
}

#[test]
fn a_kiss_without_timestamps_is_seen() {
    // beevik/ntp and rtime see the zero transmit timestamp of ntpd-rs's kisses first, and so never slow down.
    let rate =
        unhex("240000000000000000000000524154450000000000000000112233445566778800000000000000000000000000000000");
    let Err(Rejected::Final(Reject::Kiss { code, .. })) = accept(&rate, in_2026()) else { panic!("not final") };
    assert_eq!(code, KissCode::Rate);
}

#[test]
fn an_unsynchronised_server_is_refused_at_every_version() {
    // rtime takes it for a good sample; ntpd-rs logs something else.
    let reply =
        unhex("dc1006ec000000000000000047505300edfffff0000000001122334455667788ee00000000000000ee00000010000000");
    let reject = accept(&reply, in_2026()).unwrap_err().reject();
    assert_eq!(reject.to_string(), "server not synchronised: leap unsynchronised, stratum 16 (test 6)");
    for (lead, stratum) in [(0xE4, 2), (0x24, 0), (0x24, 16), (0x24, 17), (0x24, 255)] {
        let mut reply = good_reply();
        (reply[0], reply[1]) = (lead, stratum);
        reply[12..16].fill(0);
        let reject = accept(&reply, in_2026()).unwrap_err().reject();
        assert!(matches!(reject, Reject::Unsynchronized { .. }), "{reject}");
    }
}

#[test]
fn a_reply_of_an_older_version_is_taken() {
    // rsntp refuses version 3 from old servers.
    for version in 1..=4 {
        let mut reply = good_reply();
        reply[0] = version << 3 | 4;
        assert_eq!(accept(&reply, in_2026()).unwrap().version, Version::from_bits(version));
    }
}

#[test]
fn a_reply_may_be_longer_than_48_octets() {
    // sntpc refuses it.
    let mut reply = good_reply().to_vec();
    reply.extend([0, 0, 0, 1]);
    reply.extend([9; 16]);
    assert!(accept(&reply, in_2026()).is_ok());
}

#[test]
fn the_origin_is_compared_by_every_bit() {
    // facebook/time and lsongdev's server send a timestamp through nanoseconds or floats and lose the last bit.
    for bit in 0..64 {
        let nonce = NtpTimestamp::from_bits(0x0123_4567_89AB_CDEF ^ 1 << bit);
        let (request, pending) = ClientRequest::new(nonce).start(server());
        assert_eq!(request[40..], nonce.to_bytes());
        let template = AnswerTemplate::new(&ServerVariables::default());
        let answer = template.answer(&Request::parse(&request).unwrap(), in_2026(), in_2026());
        assert_eq!(answer[24..32], nonce.to_bytes());
        let mut wrong = answer;
        wrong[24 + bit / 8] ^= 1 << (bit % 8);
        let reject = pending.accept(&wrong, server(), in_2026(), in_2026()).unwrap_err().reject();
        assert!(matches!(reject, Reject::Origin { .. }));
    }
}

#[test]
fn a_field_is_written_with_its_padding_counted() {
    // ntp_usg-proto writes length 9 and three octets of padding for a value of five.
    let mut buffer = [0xFF; 128];
    let length = PacketWriter::new(&mut buffer, &Header::default())
        .and_then(|writer| writer.field(ExtensionType::from_bits(0x1234), &[1, 2, 3, 4, 5]))
        .and_then(|writer| writer.field(ExtensionType::UNIQUE_IDENTIFIER, &[0xAA; 32]))
        .and_then(PacketWriter::finish)
        .unwrap();
    assert_eq!(buffer[48..64], [0x12, 0x34, 0, 16, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Packet::parse(&buffer[..length]).unwrap().extensions().count(), 2);
    // And what it writes is refused.
    let bytes = unhex(&format!("{REQUEST}1234000901020304050000000104001c{}", "aa".repeat(24)));
    assert_eq!(Packet::parse(&bytes).unwrap_err().had, 9);
}

#[test]
fn a_length_word_never_wraps() {
    // ntpd-rs: 65 529 octets and more give a length of 0.
    let mut buffer = vec![0; 70_000];
    for (length, is_good) in [(65_528, true), (65_529, false), (65_531, false), (69_000, false)] {
        let value = vec![1; length];
        let written = PacketWriter::new(&mut buffer, &Header::default())
            .and_then(|writer| writer.field(ExtensionType::from_bits(0xF000), &value));
        assert_eq!(written.is_ok(), is_good, "{length}");
        if let Err(error) = written {
            assert_eq!(error, EmitError::ValueTooLong { had: length, most: 65_528 });
        }
    }
}

#[test]
fn offset_and_delay_are_exact() {
    // ntp_usg-proto computes in seconds since 1970 as floats: steps of 238 ns.
    let mut reply = good_reply();
    reply[32..40].copy_from_slice(&NtpTimestamp::from_bits(0xEE00_0000_0000_0003).to_bytes());
    reply[40..48].copy_from_slice(&NtpTimestamp::from_bits(0xEE00_0000_0000_0004).to_bytes());
    let (_, pending) = ClientRequest::new(NONCE).start(server());
    let t4 = NtpTimestamp::from_bits(0xEE00_0000_0000_0003);
    let exchange = pending.accept(&reply, server(), in_2026(), t4).unwrap().exchange;
    assert_eq!((exchange.offset().to_bits(), exchange.delay().to_bits()), (2, 2));
}

#[test]
fn root_delay_and_dispersion_have_a_limit() {
    // rusty_time steers by a reply that says 65 536 s for both.
    for (delay, dispersion, is_good) in [
        (u32::MAX, u32::MAX, false),
        (0, 16 << 16, false),
        (32 << 16, 0, false),
        (16 << 16, 8 << 16, false),
        (16 << 16, (8 << 16) - 1, true),
    ] {
        let mut reply = good_reply();
        reply[4..8].copy_from_slice(&NtpShort::from_bits(delay).to_bytes());
        reply[8..12].copy_from_slice(&NtpShort::from_bits(dispersion).to_bytes());
        let result = accept(&reply, in_2026());
        assert_eq!(result.is_ok(), is_good, "{delay:x} {dispersion:x}");
        if let Err(rejected) = result {
            assert!(matches!(rejected.reject(), Reject::RootDistance { .. }));
        }
    }
}

#[test]
fn a_reply_sent_before_its_request_arrived_is_refused() {
    // rusty_time judges only the delay's sign. Up to the server's precision, 2⁻²⁴ s here, it is noise.
    let mut reply = good_reply();
    reply[38] = 1;
    assert!(accept(&reply, in_2026()).is_ok());
    reply[39] = 1;
    let reject = accept(&reply, in_2026()).unwrap_err().reject();
    assert!(matches!(reject, Reject::TransmitBeforeReceive { .. }), "{reject}");
}

#[test]
fn old_versions_are_answered_in_kind_and_have_no_fields() {
    // rusty_time refuses versions 1 and 2 and reads fields in version 3; authelia, EasyNTPClient: wrong first octet.
    let template = AnswerTemplate::new(&ServerVariables::default());
    for (lead, answer) in [(0x08, 0xCC), (0x0B, 0xCC), (0x13, 0xD4), (0x1B, 0xDC), (0x23, 0xE4), (0x21, 0xE2)] {
        let mut request = [0; 48];
        request[0] = lead;
        let request = Request::parse(&request).unwrap();
        assert_eq!(template.answer(&request, in_2026(), in_2026())[0], answer, "{lead:02x}");
    }
    assert_eq!(Packet::parse(&unhex(&format!("1b{}0104001c{}", &REQUEST[2..], "aa".repeat(24)))).ok(), None);
}

#[test]
fn a_unique_identifier_comes_back_whole() {
    // rusty_time cuts it at 32 octets.
    let mut buffer = [0; 256];
    let length = PacketWriter::new(&mut buffer, &Header::default())
        .and_then(|writer| writer.field(ExtensionType::UNIQUE_IDENTIFIER, &[7; 64]))
        .and_then(|writer| writer.field(ExtensionType::NTS_COOKIE, &[8; 100]))
        .and_then(PacketWriter::finish)
        .unwrap();
    let request = Request::parse(&buffer[..length]).unwrap();
    let mut answer = [0; 256];
    let length = AnswerTemplate::new(&ServerVariables::default()).nts_nak(&request, &mut answer).unwrap();
    let packet = Packet::parse(&answer[..length]).unwrap();
    assert_eq!(packet.kiss(), Some(KissCode::NtsNak));
    assert_eq!(packet.extensions().map(|field| field.value.len()).collect::<Vec<_>>(), [64]);
}
