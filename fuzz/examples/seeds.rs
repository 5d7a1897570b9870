//! Writes the seeds of every target anew from the captured packets: one packet of each kind, and a few key files,
//! variable lists and scripts by hand. Run it as `cargo run -p ntp-fuzz --example seeds`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a tool for this repository alone

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

const KEY_FILES: &[&str] = &[
    "# ntp.keys\n1 MD5 tulip\n2 SHA1 89a4dc0ca9e4e2f1c9c31d0b9b1c3e6b3a9a2c51 192.0.2.1\n3 AES128CMAC 2b7e151628aed2a6abf7158809cf4f3c # c\n",
    "! chrony.keys\n10 tulip\n20 MD5 ASCII:crocus\r\n25 SHA1 HEX:933F62BE1D604E68A81B557F18CFA200483F5B70\n31 AES256 HEX:37DDCBC67BB902BCB8E995977FAB4D2B5642F5B32EBCEEE421921D97E5CBFE39\n",
    "1 SHA256 HEX:0\n0 M x\n70000 MD5 y\nz\n1 TIGER a\n2 SHA3-512 HEX:00ff\n",
];

const VARIABLES: &[&str] = &[
    "version=\"ntpd 4.2.8p15@1.3728-o, (1)\", leap=0,\r\nfiltdelay= 0.10 0.20,\r\nsrchost=\"\"\r\n",
    "a,b = 1,c=\"open",
    "a=\"x\"y, =3",
];

/// Memory of 64 octets; fragments `offset length flags data`.
const SCRIPTS: &[&[u8]] = &[
    b"\x10\x04\x04\x00efgh\x00\x04\x01abcd",
    b"\x10\x00\x02\x01ab\x01\x02\x01bc\x01\x01\x01X\x03\x01\x00d\x00\x09\x01",
    b"\x01\x00\x08\x00abcdefgh\x00\x00\x06\x00\x00\x38",
];

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packets = fs::read_to_string(root.join("../crates/ntp-proto/tests/data/packets.jsonl"))?;
    let mut kinds: BTreeMap<(String, usize), Vec<u8>> = BTreeMap::new();
    for line in packets.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let digits = line["payload"].as_str().unwrap();
        let payload: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        // A kind is what decides the way through the parsers: first octet, stratum, length.
        let kind = format!("{:02x}-{:02x}", payload[0], payload[1]);
        kinds.entry((kind, payload.len())).or_insert(payload);
    }
    let of = |wanted: fn(&[u8]) -> bool| kinds.values().filter(|packet| wanted(packet)).cloned().collect::<Vec<_>>();
    let time = of(|packet| packet[0] & 7 < 6 && packet.len() >= 48);
    for target in ["decode", "round_trip", "differential"] {
        write(&root.join("corpus").join(target), &time)?;
    }
    let mut trailers: Vec<Vec<u8>> = time.iter().map(|packet| [&packet[..1], &packet[48..]].concat()).collect();
    // No captured packet has a field of a wrong length: these have, and then what would be a MAC.
    trailers.extend([0, 4, 8, 12, 15, 16, 17, 18, 28, 30, 40, 255].map(|length| {
        let mut tail = vec![0; 1 + usize::from(length).clamp(8, 44) + 20];
        tail[..5].copy_from_slice(&[0x23, 0x01, 0x04, 0, length]);
        tail
    }));
    write(&root.join("corpus/trailer"), &trailers)?;
    let exchanges: Vec<Vec<u8>> = time
        .iter()
        .filter(|packet| packet[0] & 7 == 4)
        .flat_map(|packet| [4, 6, 0].map(|flags| [&packet[24..48], &[flags], packet.as_slice()].concat()))
        .collect();
    write(&root.join("corpus/exchange"), &exchanges)?;
    let mut controls = of(|packet| packet[0] & 7 == 6);
    controls.extend(VARIABLES.iter().map(|text| text.as_bytes().to_vec()));
    controls.extend(SCRIPTS.iter().map(|script| script.to_vec()));
    write(&root.join("corpus/control"), &controls)?;
    let keys: Vec<Vec<u8>> = KEY_FILES.iter().map(|text| text.as_bytes().to_vec()).collect();
    write(&root.join("corpus/keys"), &keys)?;
    write(&root.join("corpus/message"), &of(|packet| packet[0] & 7 > 5 || !(1..=4).contains(&(packet[0] >> 3 & 7))))
}

fn write(folder: &Path, seeds: &[Vec<u8>]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for (index, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{index:03}")), seed)?;
    }
    println!("{}: {} seeds", folder.display(), seeds.len());
    Ok(())
}
