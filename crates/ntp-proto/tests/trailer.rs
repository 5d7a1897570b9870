//! The trailer rule, exhaustively: every length from 0 to 80 under every first word that decides something, in every
//! version, held against the rule written down once more by places; and the tables of what other software makes of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

use ntp_proto::{Ambiguity, Field, Packet, ParseError, Part, Reader};

/// A header of that version, mode 3, and what follows it.
fn packet(version: u8, tail: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    bytes[0] = version << 3 | 3;
    bytes.extend_from_slice(tail);
    bytes
}

/// Where each field begins and how long it is, and the octets left over for a MAC; `None` where the RFC refuses.
fn oracle(version: u8, tail: &[u8]) -> Option<(Vec<(usize, usize)>, usize)> {
    let mut fields = Vec::new();
    let mut at = 0;
    while version == 4 && tail.len() - at > 24 {
        let length = usize::from(tail[at + 2]) << 8 | usize::from(tail[at + 3]);
        if length < 16 || length & 3 != 0 || at + length > tail.len() {
            return None;
        }
        fields.push((at, length));
        at += length;
    }
    let left = tail.len() - at;
    let is_good = match left {
        0 | 20 | 24 => true,
        4 => tail[at..] == [0, 0, 0, 0],
        12 | 32 | 36 | 52 | 68 | 72 => version < 4,
        _ => false,
    };
    is_good.then_some((fields, left))
}

fn check(version: u8, tail: &[u8]) {
    let bytes = packet(version, tail);
    let strict = Packet::parse(&bytes);
    let lenient = Packet::parse_lenient(&bytes).unwrap();
    let lazy: Result<Vec<Part<'_>>, ParseError> = Reader::new(&bytes).unwrap().collect();
    assert_eq!(lenient.as_bytes(), bytes);
    match oracle(version, tail) {
        Some((fields, left)) => {
            let strict = strict.unwrap_or_else(|error| panic!("{version} {tail:02x?}: {error}"));
            let found: Vec<&[u8]> = strict.extensions().map(|field| field.value).collect();
            let expect: Vec<&[u8]> = fields.iter().map(|&(at, length)| &tail[at + 4..at + length]).collect();
            assert_eq!(found, expect, "{version} {tail:02x?}");
            assert_eq!(strict.authenticated().len(), bytes.len() - left);
            assert_eq!(strict.mac().map(|mac| mac.digest.len() + 4), (left > 4).then_some(left));
            assert_eq!(strict.is_crypto_nak(), left == 4);
            assert_eq!(strict.trailing(), []);
            // The lenient reading is the same; at most it says that a MAC looks like a field.
            assert!(lenient.extensions().eq(strict.extensions()), "{version} {tail:02x?}");
            assert_eq!((lenient.mac(), lenient.is_crypto_nak()), (strict.mac(), strict.is_crypto_nak()));
            assert!(lenient.ambiguities().iter().all(|doubt| doubt == Ambiguity::MacOrField));
            // And so is the lazy one.
            let mut parts: Vec<Part<'_>> = strict.extensions().map(Part::Field).collect();
            parts.extend(strict.mac().map(Part::Mac));
            parts.extend(strict.is_crypto_nak().then_some(Part::CryptoNak));
            assert_eq!(lazy.unwrap(), parts);
        }
        None => {
            let Err(error) = strict else { panic!("accepted: {version} {tail:02x?}") };
            assert!((48..=bytes.len()).contains(&error.offset), "{error} {tail:02x?}");
            assert_eq!(lazy.unwrap_err(), error);
            // The lenient reading says why it is in doubt, and loses no octet.
            assert!(!lenient.ambiguities().is_empty(), "{version} {tail:02x?}");
            let read: usize = lenient.extensions().map(|field| field.length()).sum();
            let mac = lenient.mac().map_or(0, |mac| mac.digest.len() + 4);
            let nak = if lenient.is_crypto_nak() { 4 } else { 0 };
            assert_eq!(read + mac + nak + lenient.trailing().len(), tail.len(), "{version} {tail:02x?}");
        }
    }
}

#[test]
fn every_length_under_every_first_word() {
    let mut words: Vec<[u8; 4]> = vec![[0, 0, 0, 1], [0, 1, 0, 0], [0xFF; 4], [0x80, 0, 0, 0]];
    for kind in [[0, 0], [1, 4], [0x20, 5], [0x82, 2], [0xF3, 0x23]] {
        words.extend((0..=88).map(|length| [kind[0], kind[1], 0, length]));
        words.extend([[kind[0], kind[1], 1, 0], [kind[0], kind[1], 0xFF, 0xFC]]);
    }
    let mut count = 0;
    for length in 0..=80 {
        for word in &words {
            // What follows the first word: nothing of note, or the same word again wherever a second field may begin.
            for (filler, is_repeated) in [(0, false), (0xAA, false), (0xBB, true)] {
                let mut tail = vec![filler; length];
                let step = if is_repeated { usize::from(word[3]).max(4) } else { length.max(1) };
                for at in (0..length).step_by(step) {
                    let end = length.min(at + 4);
                    tail[at..end].copy_from_slice(&word[..end - at]);
                }
                for version in 1..=4 {
                    check(version, &tail);
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 81 * (4 + 5 * 91) * 3 * 4);
}

/// Two and three fields of every length, then a MAC, a crypto-NAK or nothing.
#[test]
fn every_pair_of_fields_with_every_end() {
    for first in (0..=40).step_by(2) {
        for second in (0..=40).step_by(2) {
            for end in [0, 4, 8, 12, 16, 20, 24, 28] {
                let mut tail = Vec::new();
                for length in [first, second] {
                    let mut field = vec![0xAA; length];
                    field.splice(..length.min(4), [0x20, 0x01, 0, u8::try_from(length).unwrap()]);
                    field.truncate(length);
                    tail.extend(field);
                }
                tail.extend(vec![0; end]);
                check(4, &tail);
            }
        }
    }
}

fn tail(first: [u8; 4], length: usize) -> Vec<u8> {
    let mut tail = vec![0xBB; length];
    tail[..4].copy_from_slice(&first);
    tail
}

/// The decision table: what RFC 7822 says, where ntp-parser, ntpd-rs, facebook/time, ntp_usg and rusty_time go wrong.
#[test]
fn the_decision_table() {
    let parse = |tail: &[u8]| {
        let bytes = packet(4, tail);
        Packet::parse(&bytes).map(|packet| {
            let fields: Vec<usize> = packet.extensions().map(|field| field.length()).collect();
            (fields, packet.mac().map(|mac| (mac.key_id, mac.digest.len())), packet.is_crypto_nak())
        })
    };
    assert_eq!(parse(&[]), Ok((vec![], None, false)));
    assert_eq!(parse(&[0; 4]), Ok((vec![], None, true)));
    // Malformed: a key id alone, three octets, seven, eight, twelve, sixteen, twenty-one.
    for length in [3, 5, 7, 8, 12, 16, 21] {
        let mut octets = tail([0, 0, 0, 1], length.max(4));
        octets.truncate(length);
        assert_eq!(parse(&octets).unwrap_err().field, Field::Mac, "{length}");
    }
    let error = parse(&[0, 0, 0, 1]).unwrap_err();
    assert_eq!(error.to_string(), "key id of a crypto-NAK at octet 48: needed 0, had 1");
    // A last field needs 28 octets: one of 16 is malformed, those of 20 and 24 are MACs.
    let error = parse(&tail([1, 4, 0, 16], 16)).unwrap_err();
    assert_eq!(error.to_string(), "MAC at octet 48: needed 0, 4, 20 or 24 octets, had 16");
    assert_eq!(parse(&tail([0, 0, 0, 1], 20)), Ok((vec![], Some((1, 16)), false)));
    assert_eq!(parse(&tail([0, 0, 0, 20], 20)), Ok((vec![], Some((20, 16)), false)));
    assert_eq!(parse(&tail([0, 0, 0, 24], 24)), Ok((vec![], Some((24, 20)), false)));
    assert_eq!(parse(&tail([1, 4, 0, 28], 28)), Ok((vec![28], None, false)));
    assert_eq!(parse(&tail([1, 4, 0, 32], 32)), Ok((vec![32], None, false)));
    // With a MAC, 16 are enough.
    for length in [16, 20, 24, 28] {
        let mut octets = tail([0x20, 1, 0, length], length.into());
        octets.extend(tail([0, 0, 0, 1], 20));
        assert_eq!(parse(&octets), Ok((vec![length.into()], Some((1, 16)), false)));
        octets.push(0);
        assert!(parse(&octets).is_err(), "one octet more");
    }
    // Lengths that no field has: 0, 4, 8, 12, 17, 30, past the end.
    for length in [0, 4, 8, 12, 17, 30] {
        let mut octets = tail([0x20, 1, 0, length], 28);
        octets.extend(tail([0, 0, 0, 1], 20));
        let error = parse(&octets).unwrap_err();
        assert_eq!((error.field, error.offset, error.had), (Field::ExtensionLength, 50, length.into()));
    }
    let error = parse(&tail([0x20, 1, 0, 32], 28)).unwrap_err();
    assert_eq!(error.to_string(), "extension field at octet 48: needed 32 octets, had 28");
    let mut octets = tail([0x20, 1, 0, 28], 28);
    octets.extend(tail([0x20, 1, 0, 17], 36));
    let error = parse(&octets).unwrap_err();
    assert_eq!(error.to_string(), "extension field length at octet 78: needed a multiple of 4 from 16 up, had 17");
}

/// Versions before 4 have no fields: what follows is a MAC, of the lengths that are on the wire.
#[test]
fn version_3_carries_longer_macs_and_no_fields() {
    for version in [1, 2, 3] {
        for length in 0..=80 {
            let octets = packet(version, &vec![0xBB; length]);
            let is_good = [0, 12, 20, 24, 32, 36, 52, 68, 72].contains(&length);
            assert_eq!(Packet::parse(&octets).is_ok(), is_good, "{version} {length}");
        }
        // chrony's SHA3-224, SHA-256, SHA-384 and SHA-512; the same in version 4 is no MAC.
        for length in [32, 36, 52, 68] {
            let octets = packet(version, &tail([0, 0, 0, 9], length));
            let mac = Packet::parse(&octets).unwrap().mac().unwrap();
            assert_eq!((mac.key_id, mac.digest.len()), (9, length - 4));
            assert!(Packet::parse(&packet(4, &tail([0, 0, 0, 9], length))).is_err());
        }
        // What would be a field in version 4 is a MAC here.
        let octets = packet(version, &tail([1, 4, 0, 36], 36));
        assert_eq!(Packet::parse(&octets).unwrap().extensions().count(), 0);
        assert!(Packet::parse_lenient(&octets).unwrap().ambiguities().contains(Ambiguity::MacOrField));
    }
    // MS-SNTP: a key id and 16 zeros; extended, 72 octets.
    let mut basic = tail([0, 0, 4, 0x57], 20);
    basic[4..].fill(0);
    assert_eq!(Packet::parse(&packet(3, &basic)).unwrap().mac().unwrap().digest, [0; 16]);
    let octets = packet(3, &tail([0, 0, 4, 0x57], 72));
    assert_eq!(Packet::parse(&octets).unwrap().mac().unwrap().digest.len(), 68);
    let error = Packet::parse(&packet(3, &[0; 8])).unwrap_err();
    assert_eq!(error.to_string(), "MAC at octet 48: needed 0, 4, 12, 20, 24, 32, 36, 52, 68 or 72 octets, had 8");
}

#[test]
fn the_lenient_reading_says_its_doubts() {
    let doubts = |version, tail: &[u8]| {
        let bytes = packet(version, tail);
        let packet = Packet::parse_lenient(&bytes).unwrap();
        (packet.ambiguities().iter().collect::<Vec<_>>(), packet.extensions().count(), packet.mac().map(|m| m.key_id))
    };
    assert_eq!(doubts(4, &[0, 0, 0, 7]), (vec![Ambiguity::KeyIdWithoutDigest], 0, Some(7)));
    assert_eq!(doubts(4, &tail([0, 0, 0, 20], 20)), (vec![Ambiguity::MacOrField], 0, Some(20)));
    assert_eq!(doubts(4, &tail([1, 4, 0, 16], 16)), (vec![Ambiguity::ShortField], 1, None));
    assert_eq!(doubts(4, &tail([0, 0, 0, 1], 16)), (vec![Ambiguity::MacLength], 0, Some(1)));
    assert_eq!(doubts(4, &tail([0, 0, 0, 1], 36)), (vec![Ambiguity::MacLength], 0, Some(1)));
    assert_eq!(doubts(4, &[9; 7]), (vec![Ambiguity::Unread], 0, None));
    assert_eq!(doubts(4, &[9; 100]), (vec![Ambiguity::Unread], 0, None));
    assert_eq!(doubts(3, &[9; 28]), (vec![Ambiguity::MacLength], 0, Some(0x0909_0909)));
    assert_eq!(doubts(5, &[]), (vec![Ambiguity::UnknownVersion], 0, None));
    assert_eq!(doubts(7, &[0; 4]), (vec![Ambiguity::UnknownVersion, Ambiguity::Unread], 0, None));
    // Autokey: a field of 8 octets before a MAC.
    let mut autokey = tail([0x82, 2, 0, 8], 8);
    autokey.extend(tail([1, 2, 3, 4], 20));
    assert_eq!(doubts(4, &autokey), (vec![Ambiguity::ShortField], 1, Some(0x0102_0304)));
    let bytes = packet(4, &[9; 7]);
    let unread = Packet::parse_lenient(&bytes).unwrap();
    assert_eq!(unread.trailing(), [9; 7]);
    assert_eq!(unread.ambiguities().to_string(), "trailing octets that are neither field nor MAC");
    assert_eq!(Packet::parse_lenient(&packet(4, &[])).unwrap().ambiguities().to_string(), "none");
}

#[test]
fn versions_and_modes_that_are_not_time() {
    for lead in 0..=255_u8 {
        let (version, mode) = (lead >> 3 & 7, lead & 7);
        let mut bytes = [0; 48];
        bytes[0] = lead;
        let parsed = Packet::parse(&bytes);
        assert_eq!(parsed.is_ok(), (1..=4).contains(&version) && mode <= 5, "{lead:02x}");
        if let Err(error) = parsed {
            let expect = if (1..=4).contains(&version) { (Field::Mode, mode) } else { (Field::Version, version) };
            assert_eq!((error.field, error.had), (expect.0, expect.1.into()));
            assert_eq!(error.offset, 0);
        }
        // The lossless reader keeps every version.
        assert_eq!(Packet::parse_lenient(&bytes).is_ok(), mode <= 5, "{lead:02x}");
    }
    for length in 0..48 {
        let error = Packet::parse(&[0x23; 48][..length]).unwrap_err();
        assert_eq!((error.field, error.offset, error.had), (Field::Header, 0, length));
        assert_eq!(Packet::parse_lenient(&[0x23; 48][..length]).unwrap_err(), error);
        assert_eq!(Reader::new(&[0x23; 48][..length]).unwrap_err(), error);
    }
}

#[test]
fn a_packet_shows_its_parts() {
    let octets = packet(4, &[0, 0, 0, 9]);
    let shown = format!("{:?}", Packet::parse_lenient(&octets).unwrap());
    assert!(
        shown.starts_with("Packet { header: Header { lead: Lead(NoWarning, Version(4), Client), stratum"),
        "{shown}"
    );
    let end = "extensions: [], mac: Some(Mac { key_id: 9, digest: [] }), is_crypto_nak: false, trailing: [], ambiguities: {KeyIdWithoutDigest} }";
    assert!(shown.ends_with(end), "{shown}");
}
