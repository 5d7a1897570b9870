//! MACs against published vectors and every captured packet whose key is known.
#![cfg(all(feature = "md5", feature = "sha1", feature = "sha2", feature = "sha3", feature = "cmac"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

mod common;

use common::{captures, hex, unhex, Capture};
use ntp_proto::mac::{Algorithm, Key, KeyError, KeyRing, MacError, SharedKey, Unauthentic};
use ntp_proto::{ExtensionType, Header, Lead, Message, Mode, Packet, PacketWriter, Version};
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/mac-vectors.json")).unwrap()
}

fn octets(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap())
}

fn key(algorithm: &Value, secret: &Value) -> Key {
    Key::new(algorithm.as_str().unwrap().parse().unwrap(), &octets(secret)).unwrap()
}

#[test]
fn cmac_vectors() {
    let vectors = vectors();
    let vectors = vectors["aes_cmac"].as_array().unwrap();
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let algorithm = if octets(&vector["key"]).len() == 16 { "AES128" } else { "AES256" };
        let digest = key(&algorithm.into(), &vector["key"]).digest(&octets(&vector["msg"]));
        assert_eq!(digest.to_string(), vector["tag"], "{}", vector["source"]);
    }
}

#[test]
fn mac_vectors() {
    let vectors = vectors();
    let vectors = vectors["ntp_mac"]["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 11);
    for vector in vectors {
        let key = key(&vector["alg"], &vector["key"]);
        let digest = key.digest(&octets(&vector["data"]));
        assert_eq!(hex(digest.as_bytes()), vector["mac"], "{}", vector["source"]);
        assert_eq!(digest.as_bytes().len(), key.algorithm().digest_length());
    }
}

/// Each captured MAC holds under its key, and under no other: not with an octet of packet or digest changed, not with
/// another secret, not as another length.
#[test]
fn captured_macs() {
    let mut count = 0;
    for Capture { id, payload, expect } in captures() {
        let key_of = |mac: &Value| mac.get("key").map(|known| (key(&known["type"], &known["hex"]), known.clone()));
        let (key, known, version, covered, digest) = match Message::parse(&payload).unwrap() {
            Message::Time(packet) => {
                let Some((key, known)) = key_of(&expect["mac"]) else { continue };
                let mac = packet.mac().unwrap();
                assert_eq!(mac.key_id, expect["mac"]["keyid"], "{id}");
                (key, known, packet.version(), packet.authenticated(), mac.digest)
            }
            Message::Control(packet) => {
                let Some((key, known)) = key_of(&expect["auth"]) else { continue };
                assert_eq!(packet.verify(&key), Some(Ok(())), "{id}");
                (key, known, Version::V2, packet.authenticated(), packet.authenticator().unwrap().digest)
            }
            _ => continue,
        };
        count += 1;
        assert_eq!(key.verify(version, covered, digest), Ok(()), "{id}");
        let algorithm = key.algorithm();
        for at in 0..digest.len() {
            let mut wrong = digest.to_vec();
            wrong[at] ^= 1;
            assert_eq!(key.verify(version, covered, &wrong), Err(MacError::Mismatch { algorithm }), "{id}");
        }
        let mut wrong = covered.to_vec();
        wrong[47 % covered.len()] ^= 0x80;
        assert_eq!(key.verify(version, &wrong, digest), Err(MacError::Mismatch { algorithm }), "{id}");
        let short = &digest[1..];
        let needed = digest.len();
        let length = MacError::Length { algorithm, needed, had: needed - 1 };
        assert_eq!(key.verify(version, covered, short), Err(length), "{id}");
        let mut secret = octets(&known["hex"]);
        secret[0] ^= 1;
        let other = Key::new(algorithm, &secret).unwrap();
        assert_eq!(other.verify(version, covered, digest), Err(MacError::Mismatch { algorithm }), "{id}");
    }
    assert_eq!(count, 132);
}

/// NTPv4 has no room for more than 20 octets; every other version carries the digest whole.
#[test]
fn truncation() {
    for &algorithm in Algorithm::ALL {
        let key = Key::new(algorithm, &[7; 64][..algorithm.secret_length().unwrap_or(64)]).unwrap();
        let full = key.digest(&[0x23; 48]);
        let length = algorithm.digest_length();
        assert_eq!(full.as_bytes().len(), length);
        let cut = key.packet_digest(Version::V4, &[0x23; 48]);
        assert_eq!(cut.as_bytes(), &full.as_bytes()[..length.min(20)]);
        assert_eq!(key.packet_digest(Version::V3, &[0x23; 48]).as_bytes(), full.as_bytes());
        assert_eq!(key.verify(Version::V4, &[0x23; 48], cut.as_bytes()), Ok(()));
        if length > 20 {
            let error = MacError::Length { algorithm, needed: 20, had: length };
            assert_eq!(key.verify(Version::V4, &[0x23; 48], full.as_bytes()), Err(error));
        }
        // Nothing, and a prefix, match nothing.
        assert!(key.verify(Version::V4, &[0x23; 48], &[]).is_err());
        assert!(full.matches(full.as_bytes()) && !full.matches(&full.as_bytes()[..16.min(length - 1)]));
    }
}

#[test]
fn secrets() {
    for &algorithm in Algorithm::ALL {
        for had in 0..100 {
            let made = Key::new(algorithm, &vec![0; had]).map(|key| key.algorithm());
            let expected = match algorithm.secret_length() {
                Some(needed) if needed != had => Err(KeyError::SecretLength { algorithm, needed, had }),
                None if had == 0 => Err(KeyError::EmptySecret { algorithm }),
                _ => Ok(algorithm),
            };
            assert_eq!(made, expected);
        }
    }
    let key = Key::new(Algorithm::Md5, b"very secret").unwrap();
    assert_eq!(format!("{key:?}"), "Key { algorithm: Md5, .. }");
    let error = Key::new(Algorithm::Aes128Cmac, b"short").unwrap_err();
    assert_eq!(error.to_string(), "AES128 key has 5 octets, must have 16");
}

#[test]
fn names() {
    for &algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        assert_eq!(algorithm.to_string().to_lowercase().parse(), Ok(algorithm));
    }
    for (name, algorithm) in [
        ("M", Algorithm::Md5),
        ("sha", Algorithm::Sha1),
        ("AES128CMAC", Algorithm::Aes128Cmac),
        ("AES-128", Algorithm::Aes128Cmac),
        ("AES256", Algorithm::Aes256Cmac),
    ] {
        assert_eq!(name.parse(), Ok(algorithm));
    }
    assert!("TIGER".parse::<Algorithm>().is_err() && "".parse::<Algorithm>().is_err());
}

fn shared(id: u32, algorithm: Algorithm, fill: u8) -> SharedKey {
    let secret = vec![fill; algorithm.secret_length().unwrap_or(20)];
    SharedKey::new(id.try_into().unwrap(), Key::new(algorithm, &secret).unwrap())
}

#[test]
fn a_ring_has_one_key_of_each_id() {
    let keys = [5, 1, u32::MAX, 9].map(|id| shared(id, Algorithm::Sha1, 7));
    let mut ring: KeyRing = keys.iter().cloned().collect();
    assert!(keys.iter().all(|key| ring.get(key.id().get()) == Some(key)));
    assert!([0, 2, 6, u32::MAX - 1].iter().all(|&id| ring.get(id).is_none()));
    let newer = shared(5, Algorithm::Sha1, 7);
    assert_ne!(newer, keys[0], "equal is the same, not alike");
    assert_eq!(ring.insert(newer.clone()).as_ref(), Some(&keys[0]));
    assert_eq!((ring.get(5), ring.len()), (Some(&newer), 4));
    assert_eq!(format!("{:?}", KeyRing::from_iter([newer])), "{5: Sha1}");
}

proptest! {
    /// Every octet counts, the key id's too, whatever the algorithm and the version.
    #[test]
    fn what_is_signed_is_authentic_and_what_was_changed_is_not(
        algorithm in prop::sample::select(Algorithm::ALL),
        version in 1..=4_u8,
        header in any::<[u8; 47]>(),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..60)),
        id in 1..=u32::MAX,
        place in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let mut octets = [0; 48];
        octets[1..].copy_from_slice(&header);
        let mut header = Header::from_bytes(&octets);
        header.lead = Lead::new(header.leap(), Version::from_bits(version), Mode::Client);
        let key = shared(id, algorithm, 1);
        let mut buffer = [0; 256];
        let mut writer = PacketWriter::new(&mut buffer, &header).unwrap();
        if let (4, Some(value)) = (version, value) {
            writer = writer.field(ExtensionType::from_bits(0xf323), &value).unwrap();
        }
        let length = writer.sign(&key).unwrap();
        let packet = Packet::parse(&buffer[..length]).unwrap();
        let ring: KeyRing = [shared(7, algorithm, 2), shared(id / 2 + 1, algorithm, 2), key.clone()].into_iter().collect();
        prop_assert_eq!(key.authenticate(&packet), Ok(()));
        prop_assert_eq!(ring.authenticate(&packet), Ok(&key));
        let other = shared(id, algorithm, 2).authenticate(&packet);
        prop_assert_eq!(other, Err(Unauthentic::Mac(MacError::Mismatch { algorithm })));
        let unsigned = Packet::parse(&buffer[..48]).unwrap();
        prop_assert_eq!(ring.authenticate(&unsigned), Err(Unauthentic::Unsigned));

        buffer[place.index(length)] ^= change;
        if let Ok(packet) = Packet::parse(&buffer[..length]) {
            prop_assert!(ring.authenticate(&packet).is_err());
        }
    }
}
