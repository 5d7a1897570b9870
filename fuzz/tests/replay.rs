//! Every harness over its committed seeds, over every captured packet, and over octets changed in each of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

use std::fs;
use std::path::Path;

use ntp_fuzz::HARNESSES;
use serde_json::Value;

fn captures() -> Vec<Vec<u8>> {
    let lines = include_str!("../../crates/ntp-proto/tests/data/packets.jsonl").lines();
    lines
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let digits = line["payload"].as_str().unwrap();
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
        })
        .collect()
}

#[test]
fn committed_seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, harness) in HARNESSES {
        let mut count = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("corpus/{name}: {error}")) {
            let path = entry.unwrap().path();
            println!("{}", path.display()); // shown when it fails
            harness(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "no seeds for {name}");
    }
}

#[test]
fn captured_packets() {
    for packet in captures() {
        for (name, harness) in HARNESSES {
            println!("{name} {packet:02x?}"); // shown when it fails
            harness(&packet);
        }
    }
}

/// Each captured packet with one octet changed, cut, and lengthened, in a fixed pseudo-random order.
#[test]
fn changed_packets() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        // xorshift64*, enough to choose places.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % below
    };
    for packet in captures() {
        for _ in 0..8 {
            let mut changed = packet.clone();
            for _ in 0..=random(3) {
                let at = random(changed.len());
                changed[at] = u8::try_from(random(256)).unwrap();
            }
            match random(4) {
                0 => changed.truncate(random(changed.len()) + 1),
                1 => changed.extend((0..random(40)).map(|octet| u8::try_from(octet).unwrap())),
                2 => changed[random(packet.len().min(4))] ^= 1 << random(8),
                _ => {}
            }
            for (name, harness) in HARNESSES {
                println!("{name} {changed:02x?}"); // shown when it fails
                harness(&changed);
            }
        }
    }
}

/// No harness trips over nothing, or over one octet of any value.
#[test]
fn almost_nothing() {
    for (_, harness) in HARNESSES {
        harness(&[]);
        (0..=255).for_each(|octet| harness(&[octet]));
    }
}
