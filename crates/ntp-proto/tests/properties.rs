//! Parse and emit are inverse to each other: on arbitrary structures, and on captured packets with octets changed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

mod common;

use std::sync::OnceLock;

use common::{captures, Capture};
use ntp_proto::{
    Ambiguity, ExtensionRange, ExtensionType, Header, Lead, Mode, Packet, PacketWriter, ParseError, Part, Reader,
    Version,
};
use ntp_types::{NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, Stratum};
use proptest::prelude::*;

prop_compose! {
    fn any_header()(
        leap in 0..4_u8, version in 1..5_u8, mode in 0..6_u8, small: [i8; 2], stratum: u8, shorts: [u32; 2],
        reference_id: [u8; 4], times: [u64; 4],
    ) -> Header {
        Header {
            lead: Lead::from_bits(leap << 6 | version << 3 | mode),
            stratum: Stratum::from_bits(stratum),
            poll: Poll::from_log2(small[0]),
            precision: Precision::from_log2(small[1]),
            root_delay: NtpShort::from_bits(shorts[0]),
            root_dispersion: NtpShort::from_bits(shorts[1]),
            reference_id: ReferenceId::from_bytes(reference_id),
            reference_timestamp: NtpTimestamp::from_bits(times[0]),
            origin_timestamp: NtpTimestamp::from_bits(times[1]),
            receive_timestamp: NtpTimestamp::from_bits(times[2]),
            transmit_timestamp: NtpTimestamp::from_bits(times[3]),
        }
    }
}

#[derive(Debug, Clone)]
enum End {
    Nothing,
    Mac(u32, Vec<u8>),
    CryptoNak,
}

fn any_end() -> impl Strategy<Value = End> {
    let octets = |length| prop::collection::vec(any::<u8>(), length);
    prop_oneof![
        Just(End::Nothing),
        (1_u32.., octets(16)).prop_map(|(key_id, digest)| End::Mac(key_id, digest)),
        (1_u32.., octets(20)).prop_map(|(key_id, digest)| End::Mac(key_id, digest)),
        Just(End::CryptoNak),
    ]
}

fn any_fields() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..70)), 0..5)
}

fn write(header: &Header, fields: &[(u16, Vec<u8>)], end: &End) -> Vec<u8> {
    let mut buffer = [0xEE; 1024];
    let mut writer = PacketWriter::new(&mut buffer, header).unwrap();
    for (kind, value) in fields {
        writer = writer.field(ExtensionType::from_bits(*kind), value).unwrap();
    }
    let length = match end {
        End::Nothing => writer.finish(),
        End::Mac(key_id, digest) => writer.mac(*key_id, digest),
        End::CryptoNak => writer.crypto_nak(),
    };
    buffer[..length.unwrap()].to_vec()
}

/// The packet written anew from the parts that were read.
fn rewrite(packet: &Packet<'_>) -> Vec<u8> {
    let fields: Vec<_> = packet.extensions().map(|field| (field.kind.to_bits(), field.value.to_vec())).collect();
    let end = match packet.mac() {
        Some(mac) => End::Mac(mac.key_id, mac.digest.to_vec()),
        None if packet.is_crypto_nak() => End::CryptoNak,
        None => End::Nothing,
    };
    write(&packet.header(), &fields, &end)
}

/// What must hold for any octets at all.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut buffer = [0; 2048];
    if let Ok(packet) = Packet::parse(bytes) {
        let length = packet.emit(&mut buffer).unwrap();
        prop_assert_eq!(&buffer[..length], bytes);
        prop_assert_eq!(rewrite(&packet), bytes);
        prop_assert_eq!(&packet.header().to_bytes(), packet.header_bytes());
        let lenient = Packet::parse_lenient(bytes).unwrap();
        prop_assert!(lenient.extensions().eq(packet.extensions()));
        prop_assert_eq!(lenient.mac(), packet.mac());
        prop_assert!(lenient.ambiguities().iter().all(|doubt| doubt == Ambiguity::MacOrField));
    }
    let whole = Packet::parse(bytes).map(|packet| {
        let mut parts: Vec<Part<'_>> = packet.extensions().map(Part::Field).collect();
        parts.extend(packet.mac().map(Part::Mac));
        parts.extend(packet.is_crypto_nak().then_some(Part::CryptoNak));
        parts
    });
    let lazy: Result<Vec<Part<'_>>, ParseError> = Reader::new(bytes).and_then(|reader| reader.collect());
    prop_assert_eq!(lazy, whole);
    if let Ok(packet) = Packet::parse_lenient(bytes) {
        let length = packet.emit(&mut buffer).unwrap();
        prop_assert_eq!(&buffer[..length], bytes);
        let read: usize = packet.extensions().map(|field| field.length()).sum();
        let mac = packet.mac().map_or(0, |mac| mac.digest.len() + 4);
        let nak = if packet.is_crypto_nak() { 4 } else { 0 };
        prop_assert_eq!(48 + read + mac + nak + packet.trailing().len(), bytes.len());
        prop_assert!(bytes.starts_with(packet.authenticated()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read(header in any_header(), fields in any_fields(), end in any_end()) {
        // Version 4 alone has fields.
        let fields = if header.version().has_extensions() { fields } else { Vec::new() };
        let bytes = write(&header, &fields, &end);
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(packet.header(), header);
        let read: Vec<_> = packet.extensions().collect();
        prop_assert_eq!(read.len(), fields.len());
        for (field, (kind, value)) in read.iter().zip(&fields) {
            prop_assert_eq!(field.kind.to_bits(), *kind);
            prop_assert!(field.value.starts_with(value));
            prop_assert!(field.value[value.len()..].iter().all(|&octet| octet == 0));
            prop_assert!(field.value.len() <= value.len().next_multiple_of(4).max(24));
        }
        match end {
            End::Nothing => prop_assert!(packet.mac().is_none() && !packet.is_crypto_nak()),
            End::CryptoNak => prop_assert!(packet.mac().is_none() && packet.is_crypto_nak()),
            End::Mac(key_id, digest) => {
                let mac = packet.mac().unwrap();
                prop_assert_eq!((mac.key_id, mac.digest), (key_id, &digest[..]));
                prop_assert_eq!(packet.authenticated().len() + 4 + digest.len(), bytes.len());
            }
        }
        check(&bytes)?;
    }

    #[test]
    fn captured_packets_with_octets_changed(
        index: prop::sample::Index, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()), more in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        static CAPTURES: OnceLock<Vec<Capture>> = OnceLock::new();
        let mut bytes = index.get(CAPTURES.get_or_init(captures)).payload.clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(more);
        check(&bytes)?;
    }

    #[test]
    fn octets_of_chance(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes)?;
    }

    #[test]
    fn codes_and_their_words(bits: u16, small: u8) {
        let kind = ExtensionType::from_bits(bits);
        prop_assert_eq!(kind.to_string().parse(), Ok(kind));
        prop_assert_eq!(kind.range() == ExtensionRange::Assigned, kind.name().is_some());
        let (mode, version) = (Mode::from_bits(small), Version::from_bits(small));
        prop_assert_eq!(mode.to_string().parse(), Ok(mode));
        prop_assert_eq!(mode.to_bits().to_string().parse(), Ok(mode));
        prop_assert_eq!(version.to_string().parse(), Ok(version));
        prop_assert_eq!((mode.to_bits(), version.to_bits()), (small & 7, small & 7));
    }
}

#[cfg(feature = "bytes")]
#[test]
fn a_buf_mut_gets_the_same_octets() {
    for capture in captures() {
        let Ok(packet) = Packet::parse_lenient(&capture.payload) else { continue };
        let mut grown = bytes::BytesMut::new();
        assert_eq!(packet.header().put(&mut grown), Ok(48));
        assert_eq!(packet.put(&mut grown), Ok(capture.payload.len()));
        assert_eq!((&grown[..48], &grown[48..]), (&capture.payload[..48], &capture.payload[..]));
        // A buffer of fixed length takes all or nothing.
        let mut short = vec![0; capture.payload.len() - 1];
        assert!(packet.put(&mut &mut short[..]).is_err());
        assert!(short.iter().all(|&octet| octet == 0));
    }
}

#[test]
fn codes_reject_other_words() {
    for text in ["", "0x", "0x12345", "0xg", "0x+1", "unique", "UNIQUE-IDENTIFIER"] {
        assert!(text.parse::<ExtensionType>().is_err(), "{text}");
    }
    for text in ["", "8", "-1", "clients"] {
        assert!(text.parse::<Mode>().is_err() && text.parse::<Version>().is_err(), "{text}");
    }
    // The registry: names and ranges.
    for kind in ExtensionType::NAMED {
        assert_eq!(kind.name().unwrap().parse(), Ok(*kind));
        assert_eq!(kind.range(), ExtensionRange::Assigned);
    }
    for (bits, range) in [
        (0x0002, ExtensionRange::Historic),
        (0x0102, ExtensionRange::Historic),
        (0x0902, ExtensionRange::Historic),
        (0x0A02, ExtensionRange::Unassigned),
        (0x8002, ExtensionRange::Historic),
        (0xC902, ExtensionRange::Historic),
        (0x4002, ExtensionRange::Unassigned),
        (0x0202, ExtensionRange::Assigned),
        (0xEFFF, ExtensionRange::Unassigned),
        (0xF000, ExtensionRange::Experimental),
        (0xF323, ExtensionRange::Experimental),
        (0xFFFF, ExtensionRange::Experimental),
    ] {
        assert_eq!(ExtensionType::from_bits(bits).range(), range, "{bits:04x}");
    }
    assert!(ExtensionType::AUTOKEY_SIGN_ERROR.is_autokey() && !ExtensionType::NTS_COOKIE.is_autokey());
}
