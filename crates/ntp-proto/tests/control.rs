//! Mode 6: codes and status words keep every bit, fragments come together in any order, variables survive quotes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

mod common;

use common::captures;
use ntp_proto::control::{
    emit, Assembly, AssemblyError, ClockSource, ClockStatus, ControlEmitError, ControlErrorCode, ControlHeader,
    ControlPacket, Opcode, PeerEvent, PeerStatus, Selection, SystemEvent, SystemStatus, Truncated, Variable,
    VariableError, Variables, MAX_DATA, MAX_SPANS,
};
use ntp_proto::private::PrivateHeader;
use ntp_proto::{Message, Version};
use ntp_types::LeapIndicator;
use proptest::prelude::*;

#[test]
fn every_status_word_comes_back() {
    for bits in 0..=u16::MAX {
        assert_eq!(SystemStatus::from_bits(bits).to_bits(), bits);
        assert_eq!(PeerStatus::from_bits(bits).to_bits(), bits);
        assert_eq!(ClockStatus::from_bits(bits).to_bits(), bits);
    }
    // As captured from ntpd with an undisciplined local clock.
    let system = SystemStatus::from_bits(0x0514);
    assert_eq!((system.leap, system.source), (LeapIndicator::NoWarning, ClockSource::Local));
    assert_eq!((system.event_count, system.event), (1, SystemEvent::FrequencyMode));
    assert_eq!(system.to_string(), "leap none, local, 1 event, freq_mode");
    let peer = PeerStatus::from_bits(0x961a);
    assert_eq!((peer.selection, peer.event), (Selection::SystemPeer, PeerEvent::SystemPeer));
    assert_eq!(peer.to_string(), "conf, reach, sys.peer, 1 event, sys_peer");
    assert_eq!(peer.selection.tally(), '*');
    assert_eq!(ClockStatus::from_bits(0x0001).to_string(), "clk_unspec, last clk_noreply");
}

#[test]
fn every_code_has_a_text() {
    macro_rules! check {
        ($($code:ty, $mask:literal;)*) => {$(
            for bits in 0..=u8::MAX {
                let code = <$code>::from_bits(bits);
                assert_eq!(code.to_bits(), bits & $mask);
                assert_eq!(code.to_string().parse(), Ok(code));
                if bits & $mask == bits {
                    assert_eq!(bits.to_string().parse(), Ok(code));
                } else {
                    assert!(bits.to_string().parse::<$code>().is_err());
                }
            }
            assert!("no such".parse::<$code>().is_err());
            assert!(<$code>::ALL.iter().all(|code| !code.to_string().is_empty()));
        )*};
    }
    check! {
        Opcode, 0x1f;
        ControlErrorCode, 0xff;
        ClockSource, 0x3f;
        SystemEvent, 0x0f;
        Selection, 0x07;
        PeerEvent, 0x0f;
        ntp_proto::control::ClockEvent, 0xff;
    }
}

#[test]
fn refusals() {
    let error = ControlPacket::parse(&[0x16; 11]).unwrap_err();
    assert_eq!(error.to_string(), "control header at octet 0 needs 12 octets, had 11");
    let request = ControlHeader { count: 5, ..ControlHeader::request(Opcode::ReadVariables, 1, 0) };
    let mut bytes = request.to_bytes().to_vec();
    bytes.extend(b"leap");
    let error = ControlPacket::parse(&bytes).unwrap_err();
    assert_eq!(error, Truncated { field: "control data", offset: 12, needed: 5, had: 4 });
    let error = emit(&request, &[0; MAX_DATA + 1], &mut [0; 1000]).unwrap_err();
    assert_eq!(error, ControlEmitError::Data { had: 469 });
    assert_eq!(emit(&request, &[0; MAX_DATA], &mut [0; 480]), Ok(480));
    let error = emit(&request, b"leap,", &mut [0; 19]).unwrap_err();
    assert_eq!(error.to_string(), "control message at octet 0 needs 20 octets, had 19");
}

#[test]
fn request_as_ntpq_sends_it() {
    let mut out = [0xff; 16];
    let length = emit(&ControlHeader::request(Opcode::ReadVariables, 2, 31_748), b"", &mut out).unwrap();
    let captures = captures();
    let captured = captures.iter().find(|capture| capture.id == "ntpc4215-server#35").unwrap();
    assert_eq!(out[..length], captured.payload);
}

#[cfg(feature = "md5")]
#[test]
fn authenticated_request_as_ntpq_sends_it() {
    use ntp_proto::control::emit_authenticated;
    use ntp_proto::mac::{Algorithm, Key, MacError};

    let key = Key::new(Algorithm::Md5, b"secretmd5key").unwrap();
    let captures = captures();
    let captured = captures.iter().find(|capture| capture.id == "ntpc4215-server#72").unwrap();
    let Message::Control(packet) = Message::parse(&captured.payload).unwrap() else { panic!() };
    let mut out = [0xff; 64];
    let length = emit_authenticated(packet.header(), b"enable monitor", 1, &key, &mut out).unwrap();
    assert_eq!(out[..length], captured.payload);
    let error = emit_authenticated(packet.header(), b"enable monitor", 1, &key, &mut out[..51]).unwrap_err();
    assert_eq!(error.to_string(), "authenticator at octet 32 needs 20 octets, had 19");
    out[20] ^= 1;
    let packet = ControlPacket::parse(&out[..length]).unwrap();
    assert_eq!(packet.verify(&key), Some(Err(MacError::Mismatch { algorithm: Algorithm::Md5 })));
}

/// The answers captured in two fragments, in both orders, each twice.
#[test]
fn captured_fragments() {
    let captures = captures();
    let bytes = |id: &str| &captures.iter().find(|capture| capture.id == id).unwrap().payload;
    for (first, second, length, words) in
        [("ntpc4215-server#36", "ntpc4215-server#37", 531, 8), ("ntpsec122-server#60", "ntpsec122-server#61", 667, 13)]
    {
        let first = ControlPacket::parse(bytes(first)).unwrap();
        let second = ControlPacket::parse(bytes(second)).unwrap();
        for order in [[&first, &first, &second], [&second, &second, &first]] {
            let mut memory = [0; 1024];
            let mut answer = Assembly::new(first.header(), &mut memory);
            assert_eq!(answer.handle(order[0]), Ok(false));
            assert_eq!(answer.handle(order[1]), Ok(false));
            assert_eq!(answer.data(), None);
            assert_eq!(answer.handle(order[2]), Ok(true));
            let data = answer.data().unwrap();
            assert_eq!(data.len(), length);
            assert_eq!(Variables::new(data).get("srcadr"), Some(b"127.127.1.0".as_slice()));
            let filtdisp = Variables::new(data).get("filtdisp").unwrap();
            // ntpsec's copy has stray octets in it, one of them 04: kept as they came.
            assert_eq!(filtdisp.split(u8::is_ascii_whitespace).count(), words);
            assert_eq!(answer.status(), Some(0x961a));
        }
    }
}

/// A fragment of `data` at `offset` as octets.
fn fragment(request: &ControlHeader, offset: u16, data: &[u8], has_more: bool) -> Vec<u8> {
    let mut out = vec![0; 500];
    let header = ControlHeader { is_response: true, has_more, offset, ..*request };
    let length = emit(&header, data, &mut out).unwrap();
    out.truncate(length);
    out
}

#[test]
fn fragments_refused() {
    let request = ControlHeader::request(Opcode::ReadVariables, 9, 0);
    let mut memory = [0; 16];
    let mut answer = Assembly::new(&request, &mut memory);
    let mut give = |offset, data: &[u8], has_more| {
        answer.handle(&ControlPacket::parse(&fragment(&request, offset, data, has_more)).unwrap())
    };
    assert_eq!(give(4, b"efgh", true), Ok(false));
    // Overlapping with the same octets grows it, with others not.
    assert_eq!(give(6, b"ghij", true), Ok(false));
    assert_eq!(give(6, b"gHij", true), Err(AssemblyError::Conflict { offset: 7 }));
    assert_eq!(give(10, b"klmnopq", true), Err(AssemblyError::Memory { needed: 17, had: 16 }));
    assert_eq!(give(4, b"ef", false), Err(AssemblyError::Length { end: 10, total: 6 }));
    assert_eq!(give(10, b"kl", false), Ok(false));
    assert_eq!(give(10, b"klm", true), Err(AssemblyError::Length { end: 13, total: 12 }));
    assert_eq!(give(10, b"k", false), Err(AssemblyError::Length { end: 12, total: 11 }));
    assert_eq!(give(0, b"abcd", true), Ok(true));
    assert_eq!(answer.data(), Some(b"abcdefghijkl".as_slice()));

    let mut memory = [0; 8];
    let mut answer = Assembly::new(&request, &mut memory);
    for (field, other) in [
        ("response bit", ControlHeader { is_response: false, ..request }),
        ("opcode", ControlHeader { is_response: true, opcode: Opcode::ReadStatus, ..request }),
        ("sequence", ControlHeader { is_response: true, sequence: 8, ..request }),
        ("association", ControlHeader { is_response: true, association: 1, ..request }),
    ] {
        let bytes = other.to_bytes();
        match answer.handle(&ControlPacket::parse(&bytes).unwrap()) {
            Err(AssemblyError::Unrelated { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{other:?}"),
        }
    }
    let refused = ControlHeader { is_response: true, is_error: true, status: 0x0500, ..request }.to_bytes();
    let error = answer.handle(&ControlPacket::parse(&refused).unwrap()).unwrap_err();
    assert_eq!(error, AssemblyError::Refused(ControlErrorCode::UnknownVariable));
    assert_eq!(error.to_string(), "refused: unknownvar");
    // An empty answer is an answer.
    let empty = ControlHeader { is_response: true, ..request }.to_bytes();
    assert_eq!(answer.handle(&ControlPacket::parse(&empty).unwrap()), Ok(true));
    assert_eq!(answer.data(), Some([].as_slice()));
}

#[test]
fn scattered_fragments_stay_bounded() {
    let request = ControlHeader::request(Opcode::ReadMru, 1, 0);
    let mut memory = [0; 1000];
    let mut answer = Assembly::new(&request, &mut memory);
    for index in 0..=MAX_SPANS {
        let offset = u16::try_from(index * 2).unwrap();
        let bytes = fragment(&request, offset, b"x", true);
        let result = answer.handle(&ControlPacket::parse(&bytes).unwrap());
        assert_eq!(result, if index < MAX_SPANS { Ok(false) } else { Err(AssemblyError::TooScattered) });
    }
    // Filling the holes makes room again.
    let bytes = fragment(&request, 0, &[b'x'; 2 * MAX_SPANS + 1], false);
    assert_eq!(answer.handle(&ControlPacket::parse(&bytes).unwrap()), Ok(true));
}

fn variable<'a>(name: &'a str, value: Option<&'a str>, is_quoted: bool) -> Result<Variable<'a>, VariableError> {
    Ok(Variable { name: name.as_bytes(), value: value.map(str::as_bytes), is_quoted })
}

#[test]
fn variable_lists() {
    let read = |text: &'static str| Variables::new(text.as_bytes()).collect::<Vec<_>>();
    assert_eq!(read(""), []);
    assert_eq!(read(" ,\r\n, "), []);
    assert_eq!(read("a"), [variable("a", None, false)]);
    assert_eq!(
        read("a=,b = 2 ,c"),
        [variable("a", Some(""), false), variable("b", Some("2"), false), variable("c", None, false)]
    );
    assert_eq!(
        read("a=\"\",b=\"x, y=1\r\nz\""),
        [variable("a", Some(""), true), variable("b", Some("x, y=1\r\nz"), true)]
    );
    assert_eq!(
        read("a=1\r\nb=2\nc=3\r"),
        [variable("a", Some("1"), false), variable("b", Some("2"), false), variable("c", Some("3"), false)]
    );
    assert_eq!(read("a=b=c, d"), [variable("a", Some("b=c"), false), variable("d", None, false)]);
    assert_eq!(read("a= 1 2\t3 ,"), [variable("a", Some("1 2\t3"), false)]);
    assert_eq!(read("a=1,b=\"open"), [variable("a", Some("1"), false), Err(VariableError::OpenQuote { offset: 6 })]);
    assert_eq!(read("a=\"x\"y,b=1"), [Err(VariableError::AfterQuote { offset: 5 })]);
    assert_eq!(read("a=\"x\" ,b=1"), [variable("a", Some("x"), true), variable("b", Some("1"), false)]);
    assert_eq!(read(", =1"), [Err(VariableError::NoName { offset: 2 })]);
    // Octets beyond ASCII pass.
    assert_eq!(Variables::new(b"\xff=\xfe").get("x"), None);
    assert_eq!(Variables::new(b"\xff=\xfe").count(), 1);
}

fn names() -> impl Strategy<Value = String> {
    "[a-z_.0-9]{1,12}"
}

fn values() -> impl Strategy<Value = Option<(bool, String)>> {
    proptest::option::of(prop_oneof![
        "[ -!#-~\r\n,=]{0,30}".prop_map(|text| (true, text)),
        "([!#-+--~]([ -+--~]{0,10}[!-+--~])?)?".prop_map(|text| (false, text)),
    ])
}

proptest! {
    #[test]
    fn written_variables_are_read_again(list in proptest::collection::vec((names(), values()), 0..20), line_ends in any::<bool>()) {
        let mut text = String::new();
        for (name, value) in &list {
            text += name;
            match value {
                Some((true, value)) => text += &format!("=\"{value}\""),
                Some((false, value)) => text += &format!("={value}"),
                None => {}
            }
            text += if line_ends { ",\r\n" } else { ", " };
        }
        let read: Vec<_> = Variables::new(text.as_bytes()).collect();
        let written: Vec<_> = list.iter().map(|(name, value)| {
            let text = value.as_ref().map(|(_, text)| text.as_str());
            variable(name, text, matches!(value, Some((true, _))))
        }).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn every_header_comes_back(bytes in any::<[u8; 12]>()) {
        let mut bytes = bytes;
        bytes[0] = bytes[0] & !7 | 6;
        prop_assert_eq!(ControlHeader::from_bytes(&bytes).to_bytes(), bytes);
        let mut private: [u8; 8] = bytes[..8].try_into().unwrap();
        private[0] |= 7;
        prop_assert_eq!(PrivateHeader::from_bytes(&private).to_bytes(), private);
    }

    /// Any octets of mode 6 or 7 that are accepted are written again from the parts.
    #[test]
    fn accepted_octets_come_back(mut bytes in proptest::collection::vec(any::<u8>(), 8..64), mode in 6_u8..8, count in 0_u8..48) {
        bytes[0] = bytes[0] & !7 | mode;
        if mode == 6 && bytes.len() >= 12 {
            bytes[10..12].copy_from_slice(&[0, count]);
        }
        if let Ok(message) = Message::parse(&bytes) {
            let mut out = [0; 64];
            let length = message.emit(&mut out).unwrap();
            prop_assert_eq!(&out[..length], &bytes[..]);
        }
    }

    /// Against a plain map of octets: fragments of one answer, cut anyhow, overlapping, in any order.
    #[test]
    fn assembly_is_a_set_of_octets(
        data in proptest::collection::vec(any::<u8>(), 1..200),
        cuts in proptest::collection::vec((0_usize..200, 1_usize..60), 0..60),
        capacity in 0_usize..240,
    ) {
        let request = ControlHeader { version: Version::V2, ..ControlHeader::request(Opcode::ReadVariables, 3, 5) };
        let mut memory = vec![0; capacity];
        let mut answer = Assembly::new(&request, &mut memory);
        let mut seen = vec![false; data.len()];
        let mut is_total_known = false;
        for (start, length) in cuts {
            let start = start % data.len();
            let end = (start + length).min(data.len());
            let bytes = fragment(&request, u16::try_from(start).unwrap(), &data[start..end], end < data.len());
            match answer.handle(&ControlPacket::parse(&bytes).unwrap()) {
                Ok(is_complete) => {
                    prop_assert!(end <= capacity);
                    seen[start..end].fill(true);
                    is_total_known |= end == data.len();
                    prop_assert_eq!(is_complete, is_total_known && seen.iter().all(|seen| *seen));
                }
                Err(AssemblyError::Memory { needed, had }) => prop_assert_eq!((needed, had), (end, capacity)),
                Err(AssemblyError::TooScattered) => {
                    let stretches = seen.split(|seen| !seen).filter(|stretch| !stretch.is_empty()).count();
                    prop_assert_eq!(stretches, MAX_SPANS);
                }
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
        match answer.data() {
            Some(whole) => prop_assert_eq!(whole, &data[..]),
            None => prop_assert!(!(is_total_known && seen.iter().all(|seen| *seen))),
        }
    }
}
