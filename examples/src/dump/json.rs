//! A datagram as one JSON object, in the field names dissectors share: raw values, hexadecimal without prefix.

#![allow(clippy::indexing_slicing)] // `object["key"] = value` on a JSON object inserts the key

use ntp_proto::control::ControlPacket;
use ntp_proto::over_ptp::OverPtp;
use ntp_proto::private::PrivatePacket;
use ntp_proto::v5::V5Packet;
use ntp_proto::{Header, Message, Packet};
use serde_json::{json, Value};

use super::{hex, round_trip};
use crate::capture::Datagram;

/// The object of a datagram: what it holds, or why it is refused.
#[must_use]
pub fn object(datagram: &[u8]) -> Value {
    let message = match Message::parse(datagram) {
        Ok(message) => message,
        Err(error) => return refusal(&error),
    };
    let mut object = match &message {
        Message::Time(packet) => time(packet),
        Message::Control(packet) => control(packet),
        Message::Private(packet) => private(packet),
        Message::V5(packet) => v5(packet),
        Message::OverPtp(message) => over_ptp(message),
        _ => json!({ "cls": "unknown", "data": hex(datagram) }),
    };
    object["round_trip"] = round_trip(&message).into();
    object
}

/// The object of a captured datagram: what it holds, and where and when it was captured.
#[must_use]
pub fn captured(datagram: &Datagram<'_>) -> Value {
    let mut object = object(datagram.payload);
    object["frame"] = datagram.frame.into();
    object["time"] = datagram.time.map(|time| time.to_string()).into();
    object["src"] = datagram.source.to_string().into();
    object["dst"] = datagram.destination.to_string().into();
    object["cut"] = datagram.is_cut.into();
    object
}

/// The object of something that is no packet.
#[must_use]
pub fn refusal(reason: &impl ToString) -> Value {
    json!({ "error": reason.to_string() })
}

fn time(packet: &Packet<'_>) -> Value {
    // Of two readings the one of RFC 7822 stands first.
    let other = packet.without_short_fields();
    let (packet, other) = match &other {
        Some(rule) => (rule, Some(packet)),
        None => (packet, None),
    };
    let mut object = header(&packet.header());
    object["cls"] = "ntp".into();
    object["ext"] = extensions(packet);
    object["mac"] = mac(packet);
    object["crypto_nak"] = packet.is_crypto_nak().into();
    object["kiss"] = packet.kiss().map(|code| code.to_string()).into();
    if !packet.trailing().is_empty() {
        object["trailing"] = hex(packet.trailing()).into();
    }
    let doubts: Vec<String> = packet.ambiguities().iter().map(|doubt| doubt.to_string()).collect();
    if !doubts.is_empty() {
        object["ambiguous"] = doubts.into();
    }
    if let Some(other) = other {
        object["other_reading"] = json!({ "ext": extensions(other), "mac": mac(other) });
    }
    object
}

fn header(header: &Header) -> Value {
    json!({
        "leap": header.leap().to_bits(),
        "version": header.version().to_bits(),
        "mode": header.mode().to_bits(),
        "stratum": header.stratum.to_bits(),
        "poll": header.poll.log2(),
        "precision": header.precision.log2(),
        "root_delay": hex(&header.root_delay.to_bytes()),
        "root_dispersion": hex(&header.root_dispersion.to_bytes()),
        "refid": hex(&header.reference_id.to_bytes()),
        "reference_ts": hex(&header.reference_timestamp.to_bytes()),
        "origin_ts": hex(&header.origin_timestamp.to_bytes()),
        "receive_ts": hex(&header.receive_timestamp.to_bytes()),
        "transmit_ts": hex(&header.transmit_timestamp.to_bytes()),
    })
}

fn extensions(packet: &Packet<'_>) -> Value {
    packet
        .extensions()
        .map(|field| json!({ "type": field.kind.to_bits(), "len": field.length(), "value": hex(field.value) }))
        .collect()
}

/// A crypto-NAK shows as a MAC without digest.
fn mac(packet: &Packet<'_>) -> Value {
    match packet.mac() {
        Some(mac) => json!({ "keyid": mac.key_id, "digest": hex(mac.digest) }),
        None if packet.is_crypto_nak() => json!({ "keyid": 0, "digest": "" }),
        None => Value::Null,
    }
}

fn control(packet: &ControlPacket<'_>) -> Value {
    let header = packet.header();
    let authenticator = packet.authenticator();
    let digest = authenticator.map_or(0, |authenticator| 4 + authenticator.digest.len());
    let mut object = json!({
        "cls": "control",
        "leap": header.leap.to_bits(),
        "version": header.version.to_bits(),
        "mode": 6,
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
        "tail_len": packet.padding().len() + digest,
        "auth": null,
    });
    match authenticator {
        Some(authenticator) => {
            object["auth"] = json!({
                "pad": hex(packet.padding()),
                "keyid": authenticator.key_id,
                "digest": hex(authenticator.digest),
            });
        }
        None => object["pad"] = hex(packet.padding()).into(),
    }
    object
}

fn private(packet: &PrivatePacket<'_>) -> Value {
    let header = packet.header();
    let mut object = json!({
        "cls": "private",
        "response": u8::from(header.is_response),
        "more": u8::from(header.has_more),
        "version": header.version.to_bits(),
        "mode": 7,
        "auth": u8::from(header.is_authenticated),
        "sequence": header.sequence,
        "implementation": header.implementation,
        "reqcode": header.request_code,
        "err": header.error,
        "nitems": header.item_count,
        "mbz": header.reserved,
        "itemsize": header.item_size,
        "data": hex(packet.data()),
    });
    if !packet.tail().is_empty() {
        object["tail"] = hex(packet.tail()).into();
    }
    object
}

fn v5(packet: &V5Packet<'_>) -> Value {
    let header = packet.header();
    let fields: Vec<Value> = packet
        .extensions()
        .map(|field| json!({ "type": field.kind.to_bits(), "len": field.length(), "value": hex(field.value) }))
        .collect();
    json!({
        "cls": "ntpv5",
        "leap": header.leap.to_bits(),
        "version": 5,
        "mode": header.mode.to_bits(),
        "stratum": header.stratum.to_bits(),
        "poll": header.poll.log2(),
        "precision": header.precision.log2(),
        "timescale": header.timescale,
        "era": header.era,
        "flags": format!("{:04x}", header.flags),
        "root_delay": format!("{:08x}", header.root_delay),
        "root_dispersion": format!("{:08x}", header.root_dispersion),
        "server_cookie": format!("{:016x}", header.server_cookie),
        "client_cookie": format!("{:016x}", header.client_cookie),
        "receive_ts": hex(&header.receive_timestamp.to_bytes()),
        "transmit_ts": hex(&header.transmit_timestamp.to_bytes()),
        "ext": fields,
    })
}

fn over_ptp(message: &OverPtp<'_>) -> Value {
    let mut inner = match Packet::parse_lenient(message.ntp()) {
        Ok(packet) => time(&packet),
        Err(error) => refusal(&error),
    };
    inner["offset"] = message.ntp_offset().into();
    let tlv = message.as_bytes().get(message.ntp_offset() - 4..message.ntp_offset() + 4);
    json!({
        "cls": "ntp-over-ptp",
        "ptp_header": hex(message.ptp_header()),
        "tlv": hex(tlv.unwrap_or_default()),
        "ntp": inner,
    })
}
