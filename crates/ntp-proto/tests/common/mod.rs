//! The captured packets, as the tests need them.

#![allow(dead_code, unreachable_pub)] // each test takes its part
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // how a test fails

use serde_json::Value;

/// One captured packet and what a dissector must find in it.
pub struct Capture {
    pub id: String,
    pub payload: Vec<u8>,
    pub expect: Value,
}

/// All of them.
pub fn captures() -> Vec<Capture> {
    let lines = include_str!("../data/packets.jsonl").lines();
    lines
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            Capture {
                id: line["id"].as_str().unwrap().to_owned(),
                payload: unhex(line["payload"].as_str().unwrap()),
                expect: line["expect"].take(),
            }
        })
        .collect()
}

pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
