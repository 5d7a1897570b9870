//! Every captured packet, of every format: told apart, read field by field, written again from its parts, octet for octet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

mod common;

use common::{captures, hex, Capture};
use ntp_proto::control::{ControlPacket, Variables};
use ntp_proto::private::PrivatePacket;
use ntp_proto::{Message, Packet};
use serde_json::{json, Value};

fn class(message: &Message) -> &'static str {
    match message {
        Message::Time(_) => "ntp",
        Message::Control(_) => "control",
        Message::Private(_) => "private",
        Message::V5(_) => "ntpv5",
        Message::OverPtp(_) => "ntp-over-ptp",
        _ => unreachable!(),
    }
}

#[test]
fn each_is_told_apart_and_written_again() {
    let captures = captures();
    assert_eq!(captures.len(), 570);
    for Capture { id, payload, expect } in &captures {
        let message = Message::parse(payload).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(class(&message), expect["cls"], "{id}");
        let mut out = vec![0xa5; payload.len()];
        assert_eq!(message.emit(&mut out), Ok(payload.len()), "{id}");
        assert_eq!(&out, payload, "{id}");
        // One octet too few is refused.
        let short = payload.len() - 1;
        assert!(message.emit(&mut out[..short]).is_err(), "{id}");
        assert_eq!(message.as_bytes(), payload);
    }
}

fn control_fields(packet: &ControlPacket) -> Value {
    let header = packet.header();
    let tail = packet.as_bytes().len() - 12 - packet.data().len();
    let mut fields = json!({
        "cls": "control",
        "leap": header.leap.to_bits(),
        "version": header.version.to_bits(),
        "mode": packet.as_bytes()[0] & 7,
        "response": u8::from(header.is_response),
        "error": u8::from(header.is_error),
        "more": u8::from(header.has_more),
        "opcode": header.opcode.to_bits(),
        "sequence": header.sequence,
        "status": format!("{:04x}", header.status),
        "associd": header.association,
        "offset": header.offset,
        "count": header.count,
        "data": hex(packet.data()),
        "tail_len": tail,
        "auth": null,
    });
    match packet.authenticator() {
        Some(authenticator) => {
            fields["auth"] = json!({
                "pad": hex(packet.padding()),
                "keyid": authenticator.key_id,
                "digest": hex(authenticator.digest),
            });
        }
        None => fields["pad"] = hex(packet.padding()).into(),
    }
    fields
}

fn private_fields(packet: &PrivatePacket) -> Value {
    let header = packet.header();
    json!({
        "cls": "private",
        "response": u8::from(header.is_response),
        "more": u8::from(header.has_more),
        "version": header.version.to_bits(),
        "mode": packet.as_bytes()[0] & 7,
        "auth": u8::from(header.is_authenticated),
        "sequence": header.sequence,
        "implementation": header.implementation,
        "reqcode": header.request_code,
        "err": header.error,
        "nitems": header.item_count,
        "mbz": header.reserved,
        "itemsize": header.item_size,
        "data": hex(packet.data()),
    })
}

#[test]
fn modes_6_and_7_field_by_field() {
    let (mut controls, mut privates) = (0, 0);
    for Capture { id, payload, mut expect } in captures() {
        // The key is not in the packet.
        if let Some(authenticator) = expect["auth"].as_object_mut() {
            authenticator.remove("key");
        }
        match Message::parse(&payload).unwrap() {
            Message::Control(packet) => {
                controls += 1;
                assert_eq!(control_fields(&packet), expect, "{id}");
            }
            Message::Private(packet) => {
                privates += 1;
                assert_eq!(private_fields(&packet), expect, "{id}");
            }
            _ => {}
        }
    }
    assert_eq!((controls, privates), (43, 38));
}

#[test]
fn version_5_field_by_field() {
    let mut count = 0;
    for Capture { id, payload, expect } in captures() {
        let Message::V5(packet) = Message::parse(&payload).unwrap() else { continue };
        count += 1;
        let header = packet.header();
        let fields: Vec<Value> = packet
            .extensions()
            .map(|field| json!({ "type": field.kind.to_bits(), "len": field.length(), "value": hex(field.value) }))
            .collect();
        let found = json!({
            "cls": "ntpv5",
            "leap": header.leap.to_bits(),
            "version": 5,
            "mode": header.mode.to_bits(),
            "stratum": header.stratum.to_bits(),
            "poll": header.poll.log2(),
            "precision": header.precision.log2(),
            "root_delay": format!("{:08x}", header.root_delay),
            "root_dispersion": format!("{:08x}", header.root_dispersion),
            "timescale": header.timescale,
            "era": header.era,
            "flags": format!("{:04x}", header.flags),
            "server_cookie": format!("{:016x}", header.server_cookie),
            "client_cookie": format!("{:016x}", header.client_cookie),
            "receive_ts": format!("{:016x}", header.receive_timestamp.to_bits()),
            "transmit_ts": format!("{:016x}", header.transmit_timestamp.to_bits()),
            "ext": fields,
        });
        assert_eq!(found, expect, "{id}");
    }
    assert_eq!(count, 12);
}

#[test]
fn inside_ptp() {
    let mut count = 0;
    for Capture { id, payload, expect } in captures() {
        let Message::OverPtp(message) = Message::parse(&payload).unwrap() else { continue };
        count += 1;
        assert_eq!(hex(message.ptp_header()), expect["ptp_header"], "{id}");
        assert_eq!(message.ntp_offset(), expect["ntp"]["offset"], "{id}");
        let packet = Packet::parse(message.ntp()).unwrap();
        assert_eq!(format!("{:016x}", packet.transmit_timestamp().to_bits()), expect["ntp"]["transmit_ts"], "{id}");
    }
    assert_eq!(count, 6);
}

#[test]
fn every_captured_variable_list_reads_to_its_end() {
    let (mut lists, mut variables) = (0, 0);
    for Capture { id, payload, .. } in captures() {
        let Message::Control(packet) = Message::parse(&payload).unwrap() else { continue };
        let header = packet.header();
        // Whole answers in text; readstat answers are pairs of words.
        if !header.is_response || header.has_more || header.offset != 0 || header.opcode.to_bits() < 2 {
            continue;
        }
        lists += 1;
        for variable in packet.variables() {
            let variable = variable.unwrap_or_else(|error| panic!("{id}: {error}"));
            assert!(!variable.name.is_empty());
            variables += 1;
        }
    }
    println!("{variables} variables in {lists} answers");
    assert!(lists > 5 && variables > 100, "{lists} {variables}");
}

#[test]
fn known_variables() {
    let captures = captures();
    let capture = captures.iter().find(|capture| capture.id == "ntpc4215-server#32").unwrap();
    let Message::Control(packet) = Message::parse(&capture.payload).unwrap() else { panic!() };
    let variables: Variables = packet.variables();
    assert_eq!(variables.get("version").unwrap(), b"ntpd 4.2.8p15@1.3728-o Wed Sep 23 11:46:38 UTC 2020 (1)");
    assert_eq!(variables.number::<u8>("stratum"), Some(4));
    assert_eq!(variables.number::<f64>("rootdisp"), Some(447.643));
    assert_eq!(variables.get("clk_wander"), Some(b"0.000".as_slice()));
    assert_eq!(variables.get("no such"), None);
    assert_eq!(variables.count(), 19);
}

/// An Autokey error has a field of 8 octets and a MAC of 20; RFC 7822 knows no such field and has a MAC of 28.
#[test]
fn both_readings_of_an_autokey_error() {
    let mut count = 0;
    for Capture { id, payload, expect } in captures() {
        let Message::Time(packet) = Message::parse(&payload).unwrap() else { continue };
        let Some(other) = packet.without_short_fields() else { continue };
        count += 1;
        assert_eq!(packet.extensions().map(|field| field.length()).collect::<Vec<_>>(), [8], "{id}");
        assert_eq!(packet.mac().unwrap().digest.len(), 16);
        assert_eq!(other.extensions().count(), 0);
        assert_eq!(other.mac().unwrap().key_id, expect["mac"]["keyid"]);
        assert_eq!(hex(other.mac().unwrap().digest), expect["mac"]["digest"]);
        assert_eq!(other.as_bytes(), payload);
        let doubts: Vec<_> = other.ambiguities().iter().collect();
        assert_eq!(doubts, [ntp_proto::Ambiguity::MacLength]);
        assert_eq!(other.without_short_fields(), None);
    }
    assert_eq!(count, 3);
}
