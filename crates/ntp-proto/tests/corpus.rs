//! Real packets, read field by field as tshark reads them and emitted again octet for octet.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // how a test fails
use ntp_proto::{Ambiguity, Header, Packet, PacketKind, PacketWriter, Part, Reader};
use serde_json::{json, Value};

fn corpus() -> impl Iterator<Item = Value> {
    include_str!("data/packets.jsonl").lines().map(|line| serde_json::from_str(line).unwrap())
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn payload(line: &Value) -> Vec<u8> {
    octets(line["payload"].as_str().unwrap())
}

/// The packet in the keys of the corpus's `expect`.
fn dissect(packet: &Packet<'_>) -> Value {
    let ext: Vec<Value> = packet
        .extensions()
        .map(|field| json!({"type": field.kind.to_bits(), "len": field.length(), "value": hex(field.value)}))
        .collect();
    let mac = packet.mac().map(|mac| json!({"keyid": mac.key_id, "digest": hex(mac.digest)}));
    // The corpus shows a crypto-NAK as a MAC without digest.
    let mac = mac.or_else(|| packet.is_crypto_nak().then(|| json!({"keyid": 0, "digest": ""})));
    json!({
        "cls": "ntp",
        "leap": packet.leap().to_bits(),
        "version": packet.version().to_bits(),
        "mode": packet.mode().to_bits(),
        "stratum": packet.stratum().to_bits(),
        "poll": packet.poll().log2(),
        "precision": packet.precision().log2(),
        "root_delay": hex(&packet.root_delay().to_bytes()),
        "root_dispersion": hex(&packet.root_dispersion().to_bytes()),
        "refid": hex(&packet.reference_id().to_bytes()),
        "reference_ts": hex(&packet.reference_timestamp().to_bytes()),
        "origin_ts": hex(&packet.origin_timestamp().to_bytes()),
        "receive_ts": hex(&packet.receive_timestamp().to_bytes()),
        "transmit_ts": hex(&packet.transmit_timestamp().to_bytes()),
        "ext": ext,
        "mac": mac,
        "crypto_nak": packet.is_crypto_nak(),
    })
}

#[test]
fn every_time_packet_is_read_as_tshark_reads_it() {
    let (mut exact, mut ambiguous) = (0, 0);
    for line in corpus().filter(|line| line["expect"]["cls"] == "ntp") {
        let (id, bytes) = (&line["id"], payload(&line));
        let packet = Packet::parse_lenient(&bytes).unwrap_or_else(|error| panic!("{id}: {error}"));
        let mut found = dissect(&packet);
        let mut expect = line["expect"].clone();
        if let Some(readings) = line.get("ambiguous") {
            // An Autokey error: a field of 8 octets, which RFC 7822 forbids, and a MAC of 20.
            assert!(Packet::parse(&bytes).is_err(), "{id}");
            assert!(packet.ambiguities().contains(Ambiguity::ShortField), "{id}");
            expect["ext"] = readings["rfc5906_autokey"]["ext"].clone();
            expect["mac"] = readings["rfc5906_autokey"]["mac"].clone();
            ambiguous += 1;
        } else {
            let strict = Packet::parse(&bytes).unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!(dissect(&strict), found, "{id}");
            // A digest may happen to look like a field; nothing else is in doubt.
            assert!(packet.ambiguities().iter().all(|doubt| doubt == Ambiguity::MacOrField), "{id}");
            exact += 1;
        }
        if expect.get("kiss").is_some() {
            found["kiss"] = packet.kiss().map(|code| code.to_string()).into();
        }
        if let Some(mac) = expect["mac"].as_object_mut() {
            mac.retain(|key, _| key == "keyid" || key == "digest"); // not the key itself
        }
        assert_eq!(found, expect, "{id}");
    }
    assert_eq!((exact, ambiguous), (468, 3));
}

#[test]
fn every_packet_comes_back_octet_for_octet() {
    for line in corpus() {
        let (id, bytes) = (&line["id"], payload(&line));
        let Ok(packet) = Packet::parse_lenient(&bytes) else {
            assert_ne!(line["expect"]["cls"], "ntp", "{id}");
            assert_ne!(line["expect"]["cls"], "ntpv5", "{id}");
            continue;
        };
        let mut buffer = [0; 1024];
        let length = packet.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..length], bytes, "{id}");
        // The header through its decoded fields.
        assert_eq!(packet.header().to_bytes(), bytes[..48], "{id}");
        // And all of it through the writer, part by part.
        if let (Ok(packet), "ntp") = (Packet::parse(&bytes), line["expect"]["cls"].as_str().unwrap()) {
            assert_eq!(rewrite(&packet), bytes, "{id}");
        }
    }
}

/// The packet written anew from its parts.
fn rewrite(packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut writer = PacketWriter::new(&mut buffer, &packet.header()).unwrap();
    for field in packet.extensions() {
        writer = writer.field(field.kind, field.value).unwrap();
    }
    let length = match packet.mac() {
        Some(mac) => writer.mac(mac.key_id, mac.digest),
        None if packet.is_crypto_nak() => writer.crypto_nak(),
        None => writer.finish(),
    };
    buffer[..length.unwrap()].to_vec()
}

#[test]
fn the_lazy_reader_finds_the_same_parts() {
    for line in corpus() {
        let bytes = payload(&line);
        match Packet::parse(&bytes) {
            Ok(packet) => {
                let reader = Reader::new(&bytes).unwrap();
                assert_eq!(reader.header(), packet.header());
                let parts: Vec<Part<'_>> = reader.map(Result::unwrap).collect();
                let mut expect: Vec<Part<'_>> = packet.extensions().map(Part::Field).collect();
                expect.extend(packet.mac().map(Part::Mac));
                expect.extend(packet.is_crypto_nak().then_some(Part::CryptoNak));
                assert_eq!(parts, expect, "{}", line["id"]);
            }
            Err(error) => {
                let lazy = Reader::new(&bytes).and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
                assert_eq!(lazy.unwrap_err(), error, "{}", line["id"]);
            }
        }
    }
}

#[test]
fn what_is_not_time_is_told_by_its_first_octet() {
    for line in corpus() {
        let bytes = payload(&line);
        let kind = PacketKind::of(&bytes).unwrap();
        match line["expect"]["cls"].as_str().unwrap() {
            "ntp" => assert_eq!(kind, PacketKind::Time),
            "control" => assert_eq!(kind, PacketKind::Control),
            "private" => assert_eq!(kind, PacketKind::Private),
            "ntpv5" => {
                assert!(matches!(kind, PacketKind::UnknownVersion(version) if version.to_bits() == 5));
                let packet = Packet::parse_lenient(&bytes).unwrap();
                assert!(packet.ambiguities().contains(Ambiguity::UnknownVersion));
                assert_eq!(packet.trailing(), &bytes[48..]);
                assert_eq!(packet.as_bytes(), bytes);
            }
            // Not on port 123; its own head comes first.
            other => assert_eq!(other, "ntp-over-ptp"),
        }
        if kind != PacketKind::Time {
            assert!(Packet::parse(&bytes).is_err(), "{}", line["id"]);
        }
    }
}

#[test]
fn the_header_alone_holds_every_octet() {
    for line in corpus() {
        let bytes = payload(&line);
        if let Some(front) = bytes.first_chunk() {
            assert_eq!(&Header::from_bytes(front).to_bytes(), front);
        }
    }
}
