//! Key files of both dialects: what is read, what is refused and how it is said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

use ntp_proto::keys::{Dialect, Entry, Keys, LineError};
use ntp_proto::mac::Algorithm;
use proptest::prelude::*;

fn only(dialect: Dialect, text: &str) -> Result<Entry<'_>, LineError> {
    let mut keys = Keys::new(dialect, text.as_bytes());
    let entry = keys.next().expect("a line");
    assert!(keys.next().is_none());
    entry
}

fn secret(entry: &Entry) -> Vec<u8> {
    entry.secret.octets().collect()
}

fn message(dialect: Dialect, text: &str) -> String {
    only(dialect, text).unwrap_err().to_string()
}

#[test]
fn chrony_file() {
    // The examples of chrony.conf(5), keyfile.
    let text = "\
10 tulip
11 hyacinth
20 MD5 ASCII:crocus
25 SHA1 HEX:933F62BE1D604E68A81B557F18CFA200483F5B70
30 AES128 HEX:7EA62AE64D190114D46D5A082F948EC1
31 AES256 HEX:37DDCBC67BB902BCB8E995977FAB4D2B5642F5B32EBCEEE421921D97E5CBFE39
";
    let keys: Vec<_> = Keys::new(Dialect::Chrony, text.as_bytes()).map(Result::unwrap).collect();
    let heads: Vec<_> = keys.iter().map(|key| (key.line, key.id.get(), key.algorithm, key.secret.len())).collect();
    assert_eq!(
        heads,
        [
            (1, 10, Algorithm::Md5, 5),
            (2, 11, Algorithm::Md5, 8),
            (3, 20, Algorithm::Md5, 6),
            (4, 25, Algorithm::Sha1, 20),
            (5, 30, Algorithm::Aes128Cmac, 16),
            (6, 31, Algorithm::Aes256Cmac, 32),
        ]
    );
    assert_eq!(secret(&keys[1]), b"hyacinth");
    assert_eq!(secret(&keys[2]), b"crocus");
    assert_eq!(secret(&keys[4])[..4], [0x7e, 0xa6, 0x2a, 0xe6]);
    assert!(keys.iter().all(|key| key.addresses.is_empty() && !key.secret.is_empty()));
}

#[test]
fn ntpd_file() {
    // The form ntp-keygen writes, an address list of ntp.keys(5), a comment after a key, no line end at the end.
    let text = "# ntpkey_MD5key_host.3872\r\n\r\n 1 MD5 L\";Nw<`.I<f4U0)247\"i  # MD5 key\r\n\
                11\tSHA1  89a4dc0ca9e4e2f1c9c31d0b9b1c3e6b3a9a2c51 # SHA1 key\n\
                12 M short 192.0.2.1,2001:db8::/32\n13 AES128CMAC 2b7e151628aed2a6abf7158809cf4f3c";
    let keys: Vec<_> = Keys::new(Dialect::Ntpd, text.as_bytes()).map(Result::unwrap).collect();
    let heads: Vec<_> = keys.iter().map(|key| (key.line, key.id.get(), key.algorithm, key.secret.len())).collect();
    assert_eq!(
        heads,
        [
            (3, 1, Algorithm::Md5, 20),
            (4, 11, Algorithm::Sha1, 20),
            (5, 12, Algorithm::Md5, 5),
            (6, 13, Algorithm::Aes128Cmac, 16),
        ]
    );
    assert_eq!(secret(&keys[0]), b"L\";Nw<`.I<f4U0)247\"i");
    assert_eq!(secret(&keys[1])[..2], [0x89, 0xa4]);
    assert_eq!(keys[2].addresses, b"192.0.2.1,2001:db8::/32");
}

/// The same line means different things to the two daemons.
#[test]
fn dialects_differ() {
    let line = "7 MD5 HEX:abcd";
    assert_eq!(secret(&only(Dialect::Chrony, line).unwrap()), [0xab, 0xcd]);
    assert_eq!(secret(&only(Dialect::Ntpd, line).unwrap()), b"HEX:abcd");
    let line = "7 MD5 tu#lip";
    assert_eq!(secret(&only(Dialect::Chrony, line).unwrap()), b"tu#lip");
    assert_eq!(secret(&only(Dialect::Ntpd, line).unwrap()), b"tu");
    let line = "70000 MD5 tulip";
    assert_eq!(only(Dialect::Chrony, line).unwrap().id.get(), 70_000);
    assert_eq!(message(Dialect::Ntpd, line), "line 1: `70000` is not a key id between 1 and 65535");
    for mark in ["!", ";", "#", "%"] {
        let line = format!(" {mark}7 MD5 tulip");
        assert!(Keys::new(Dialect::Chrony, line.as_bytes()).next().is_none());
        assert_eq!(Keys::new(Dialect::Ntpd, line.as_bytes()).next().is_none(), mark == "#");
    }
}

#[test]
fn greatest_key_ids() {
    assert_eq!(only(Dialect::Ntpd, "65535 M a").unwrap().id.get(), 65_535);
    assert_eq!(only(Dialect::Chrony, "4294967295 a").unwrap().id.get(), u32::MAX);
    assert_eq!(message(Dialect::Ntpd, "65536 M a"), "line 1: `65536` is not a key id between 1 and 65535");
}

#[test]
fn refusals_name_line_and_reason() {
    let chrony = |text| message(Dialect::Chrony, text);
    let ntpd = |text| message(Dialect::Ntpd, text);
    assert_eq!(chrony("x MD5 a"), "line 1: `x` is not a key id between 1 and 4294967295");
    assert_eq!(chrony("0 MD5 a"), "line 1: `0` is not a key id between 1 and 4294967295");
    assert_eq!(chrony("-1 MD5 a"), "line 1: `-1` is not a key id between 1 and 4294967295");
    assert_eq!(chrony("4294967296 a"), "line 1: `4294967296` is not a key id between 1 and 4294967295");
    assert_eq!(chrony("1"), "line 1: needed 2 or 3 words (id, type, secret), had 1");
    assert_eq!(chrony("1 MD5 a b"), "line 1: needed 2 or 3 words (id, type, secret), had 4");
    assert_eq!(ntpd("1 secret"), "line 1: needed 3 or 4 words (id, type, secret, addresses), had 2");
    assert_eq!(ntpd("1 M a b c"), "line 1: needed 3 or 4 words (id, type, secret, addresses), had 5");
    assert_eq!(chrony("1 TIGER a"), "line 1: unknown key type `TIGER`");
    assert_eq!(chrony("1 a-very-long-type-name a"), "line 1: unknown key type `a-very-long-type…`");
    assert_eq!(chrony("1 SHA1 HEX:0g"), "line 1: `g` at place 2 of the secret is not a hexadecimal digit");
    assert_eq!(chrony("1 SHA1 HEX:012"), "line 1: 3 hexadecimal digits, an odd number");
    assert_eq!(chrony("1 SHA1 HEX:"), "line 1: SHA1 key is empty");
    assert_eq!(chrony("1 SHA1 ASCII:"), "line 1: SHA1 key is empty");
    assert_eq!(chrony("1 AES128 HEX:0123"), "line 1: AES128 key has 2 octets, must have 16");
    assert_eq!(ntpd("1 MD5 thisismorethantwenty1"), "line 1: `t` at place 1 of the secret is not a hexadecimal digit");
    let long = format!("1 SHA256 {}", "ab".repeat(33));
    assert_eq!(ntpd(&long), "line 1: secret has 33 octets, ntpd uses only the first 32");
    assert_eq!(secret(&only(Dialect::Chrony, &long).unwrap()).len(), 66);
    // Octets beyond ASCII in a word are escaped.
    let error = Keys::new(Dialect::Ntpd, b"\xff M a").next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "line 1: `\\xff` is not a key id between 1 and 65535");
}

#[test]
fn one_bad_line_spoils_no_other() {
    let keys = Keys::new(Dialect::Chrony, b"1 a\n\nbad line here now\n2 b\n1 c");
    let results: Vec<_> = keys.clone().collect();
    assert_eq!(results.len(), 4);
    assert_eq!(results[1].unwrap_err().line, 3);
    // The last of two keys with one id counts.
    assert_eq!(secret(&keys.find(1).unwrap()), b"c");
    assert!(keys.find(3).is_none());
}

#[test]
fn debug_hides_the_secret() {
    let entry = only(Dialect::Chrony, "1 hyacinth").unwrap();
    assert!(format!("{entry:?}").contains("Secret(8 octets)") && !format!("{entry:?}").contains("hyacinth"));
}

#[cfg(feature = "sha1")]
#[test]
fn keys_are_ready_for_use() {
    let entry = only(Dialect::Chrony, "25 SHA1 HEX:933F62BE1D604E68A81B557F18CFA200483F5B70").unwrap();
    let secret: Vec<u8> = entry.secret.octets().collect();
    let key = entry.key().unwrap();
    assert!(key
        .digest(b"x")
        .matches(ntp_proto::mac::Key::new(Algorithm::Sha1, &secret).unwrap().digest(b"x").as_bytes()));
}

proptest! {
    /// Whatever key is written in chrony's form is read again.
    #[test]
    fn written_keys_are_read_again(
        id in 1_u32..,
        algorithm in proptest::sample::select(Algorithm::ALL),
        mut octets in proptest::collection::vec(any::<u8>(), 1..80),
        upper in any::<bool>(),
    ) {
        if let Some(length) = algorithm.secret_length() {
            octets.resize(length, 0x5a);
        }
        let digits: String = octets.iter().map(|octet| if upper { format!("{octet:02X}") } else { format!("{octet:02x}") }).collect();
        let line = format!("{id}  {algorithm}\tHEX:{digits}\r\n");
        let entry = only(Dialect::Chrony, &line).unwrap();
        prop_assert_eq!((entry.id.get(), entry.algorithm), (id, algorithm));
        prop_assert_eq!(secret(&entry), octets.clone());
        if id <= 65_535 && (11..=32).contains(&octets.len()) {
            let line = format!("{id} {algorithm} {digits}");
            prop_assert_eq!(secret(&only(Dialect::Ntpd, &line).unwrap()), octets);
        }
    }

    /// Any octets at all: no panic, an answer for each line that is neither blank nor comment, ascending line numbers.
    #[test]
    fn any_octets(text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b' '), Just(b'1'), Just(b'M')], 0..200)) {
        for dialect in [Dialect::Ntpd, Dialect::Chrony] {
            let lines: Vec<usize> = Keys::new(dialect, &text).map(|result| match result {
                Ok(entry) => entry.line,
                Err(error) => error.line,
            }).collect();
            prop_assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(lines.len() <= text.split(|&octet| octet == b'\n').filter(|line| !line.trim_ascii().is_empty()).count());
        }
    }
}

#[test]
fn whose_file_it_is_shows_in_the_text() {
    let ntpd =
        ["", "# a comment\n\n", "1 MD5 secret\n2 AES 2b7e151628aed2a6abf7158809cf4f3c # ours\n", "1 M a 10.0.0.0/8\n"];
    let chrony = ["1 MD5 ASCII:secret\n", "10 tulip", "! a comment\n1 MD5 secret\n", "\n 1 AES128  HEX:00\n", "% x"];
    assert!(ntpd.iter().all(|text| Dialect::of_text(text.as_bytes()) == Dialect::Ntpd));
    assert!(chrony.iter().all(|text| Dialect::of_text(text.as_bytes()) == Dialect::Chrony));
}
