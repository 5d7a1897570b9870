//! The dissector over every captured packet, as hexadecimal and as a capture; and over captures of every kind it reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

use std::collections::HashMap;
use std::io::{Cursor, Read, Write};
use std::process::{Command, Stdio};

use etherparse::PacketBuilder;
use ntp_examples::capture::{self, Datagram};
use ntp_examples::dump::{json, text, unhex};
use ntp_types::UnixTime;
use serde_json::Value;

const PACKETS: &str = include_str!("../../crates/ntp-proto/tests/data/packets.jsonl");
const CAPTURE: &[u8] = include_bytes!("../../crates/ntp-proto/tests/data/packets.pcap");

fn packets() -> Vec<Value> {
    PACKETS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Everything expected is there, with the same name and in the same form; there may be more.
fn assert_holds(found: &Value, expect: &Value, place: &str) {
    match expect {
        Value::Object(fields) => {
            // The key that was used is not in the packet.
            for (name, value) in fields.iter().filter(|(name, _)| *name != "key") {
                let found = found.get(name).unwrap_or_else(|| panic!("{place}.{name} is missing"));
                assert_holds(found, value, &format!("{place}.{name}"));
            }
        }
        Value::Array(items) => {
            assert_eq!(found.as_array().map(Vec::len), Some(items.len()), "{place}");
            for (index, item) in items.iter().enumerate() {
                assert_holds(&found[index], item, &format!("{place}[{index}]"));
            }
        }
        _ => assert_eq!(found, expect, "{place}"),
    }
}

fn run(arguments: &[&str], input: &str) -> (String, String, bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ntp-dump"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

#[test]
fn every_captured_packet_as_hexadecimal() {
    let packets = packets();
    let lines: Vec<&str> = packets.iter().map(|packet| packet["payload"].as_str().unwrap()).collect();
    let (out, err, is_success) = run(&["--hex", "--json"], &lines.join("\n"));
    assert!(is_success && err.is_empty(), "{err}");
    let objects: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 570);
    for (packet, object) in packets.iter().zip(&objects) {
        assert_holds(object, &packet["expect"], packet["id"].as_str().unwrap());
        assert_eq!(object["round_trip"], true, "{}", packet["id"]);
    }
}

#[test]
fn every_captured_packet_out_of_the_capture() {
    let packets = packets();
    let by_payload: HashMap<&str, &Value> =
        packets.iter().map(|packet| (packet["payload"].as_str().unwrap(), packet)).collect();
    let mut count = 0;
    let tally = capture::read(CAPTURE, |datagram| {
        count += 1;
        let packet = by_payload[ntp_examples::dump::hex(datagram.payload).as_str()];
        let object = json::captured(datagram);
        assert_holds(&object, &packet["expect"], packet["id"].as_str().unwrap());
        assert_eq!((&object["round_trip"], &object["frame"]), (&true.into(), &count.into()));
        // The ports are those of one of the packets with this payload.
        let ports = |packet: &Value| [packet["sport"].as_u64().unwrap(), packet["dport"].as_u64().unwrap()];
        let found = [datagram.source, datagram.destination].map(|address| u64::from(address.port()));
        let mut same = packets.iter().filter(|other| other["payload"] == packet["payload"]);
        assert!(same.any(|other| ports(other) == found), "{}", packet["id"]);
        assert!(!datagram.is_cut && datagram.time.is_some());
        assert!(!text::describe(datagram.payload, datagram.time.unwrap()).starts_with("refused"));
        Ok(())
    });
    assert_eq!((count, tally.unwrap().frames), (570, 570));
}

/// A capture that comes in drops, as from a pipe.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // The file's header in one piece, then seven octets at a time.
        let length = if self.0.len() == CAPTURE.len() { 24 } else { 7 };
        let length = length.min(self.0.len()).min(buffer.len());
        let (drop, rest) = self.0.split_at(length);
        buffer[..length].copy_from_slice(drop);
        self.0 = rest;
        Ok(length)
    }
}

#[test]
fn a_slow_pipe() {
    let tally = capture::read(Drops(CAPTURE), |_| Ok(())).unwrap();
    assert_eq!((tally.frames, tally.datagrams), (570, 570));
}

#[test]
fn what_cannot_be_read_is_said() {
    let input = "\n  # a comment\n23\nxyz\n230\n2300 # too short\n26 02 00:01\n170003\n";
    let (out, _, is_success) = run(&["--hex", "--json"], input);
    assert!(is_success);
    let errors: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["error"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        errors,
        [
            "header at octet 0: needed 48 octets, had 1",
            "3 hexadecimal digits, an odd number",
            "3 hexadecimal digits, an odd number",
            "header at octet 0: needed 48 octets, had 2",
            "control header at octet 0 needs 12 octets, had 4",
            "private header at octet 0 needs 8 octets, had 3",
        ]
    );
    assert_eq!(unhex("0g"), Err("`g` at place 2 is not a hexadecimal digit".to_owned()));
    for (path, reason) in [("/no/such/file", "No such file"), ("/", "is a directory")] {
        let (out, err, is_success) = run(&["--pcap", path], "");
        assert!(!is_success && out.is_empty() && err.starts_with(&format!("ntp-dump: {path}: {reason}")), "{err}");
    }
    let (_, err, is_success) = run(&[], "");
    assert!(!is_success && err.contains("--hex") && err.contains("--pcap"), "{err}");
    let (out, _, is_success) = run(&["--hex"], "2300");
    assert!(is_success && out.starts_with("refused: header at octet 0"), "{out}");
}

/// One frame as a file's link type has it, and the datagram it holds.
fn frames(payload: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let build = |builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>| {
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).unwrap();
        frame
    };
    let ethernet = || PacketBuilder::ethernet2([2; 6], [4; 6]);
    let v6 = [0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let ip4 = build(PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(1234, 123));
    let ip6 = build(PacketBuilder::ipv6(v6, v6, 64).udp(1234, 123));
    let cooked = [&[0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0, 8, 0][..], &ip4].concat();
    let cooked2 = [&[0x86, 0xdd, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0][..], &ip6].concat();
    vec![
        (1, build(ethernet().ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(1234, 123))),
        (1, build(ethernet().ipv6(v6, v6, 64).udp(1234, 123))),
        (
            1,
            build(
                ethernet().single_vlan(7.try_into().unwrap()).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(1234, 123),
            ),
        ),
        (101, ip4.clone()),
        (101, ip6.clone()),
        (228, ip4.clone()),
        (229, ip6),
        (0, [&[2, 0, 0, 0][..], &ip4].concat()),
        (113, cooked),
        (276, cooked2),
    ]
}

/// A pcapng block: type, length, body padded to four octets, length.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let length = u32::try_from(12 + body.len() + padding).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &[0; 3][..padding], &length].concat()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// pcapng with one interface per frame, nanosecond timestamps.
fn pcapng(frames: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, &[&words(&[0x1a2b_3c4d, 1])[..], &[0xff; 8]].concat());
    for (link, _) in frames {
        let resolution = [9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        file.extend(block(1, &[&words(&[*link, 0])[..], &resolution].concat()));
    }
    file.extend(block(0x0bad, b"unknown"));
    let nanos = 1_795_441_680_123_456_789_u64;
    let [high, low] = [nanos >> 32, nanos & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
    for (index, (_, frame)) in frames.iter().enumerate() {
        let length = u32::try_from(frame.len()).unwrap();
        let head = words(&[u32::try_from(index).unwrap(), high, low, length, length]);
        file.extend(block(6, &[&head[..], frame].concat()));
    }
    file
}

/// Frame, time, addresses, payload, and whether it is cut.
type Found = (usize, Option<String>, String, Vec<u8>, bool);

fn collect(file: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    capture::read(file, |datagram: &Datagram<'_>| {
        let Datagram { frame, time, source, destination, payload, is_cut } = *datagram;
        let time = time.map(|time| time.to_string());
        found.push((frame, time, format!("{source} {destination}"), payload.to_vec(), is_cut));
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn every_link_layer() {
    let payload = unhex(packets()[0]["payload"].as_str().unwrap()).unwrap();
    let frames = frames(&payload);
    let found = collect(&pcapng(&frames));
    assert_eq!(found.len(), frames.len());
    for (index, (frame, time, way, octets, is_cut)) in found.into_iter().enumerate() {
        assert_eq!((frame, octets, is_cut), (index + 1, payload.clone(), false));
        assert_eq!(time.unwrap(), "2026-11-23T13:48:00.123456789Z");
        let is_v6 = [1, 4, 6, 9].contains(&index);
        let expected = if is_v6 { "[fd77::1]:1234 [fd77::1]:123" } else { "192.0.2.1:1234 192.0.2.2:123" };
        assert_eq!(way, expected, "frame {frame}");
    }
}

#[test]
fn cut_frames_and_damaged_files() {
    let payload = [0x23; 48];
    let mut frames = frames(&payload);
    frames.truncate(1);
    frames[0].1.truncate(60);
    let found = collect(&pcapng(&frames));
    assert_eq!((found.len(), found[0].3.len(), found[0].4), (1, 60 - 42, true));
    // Whatever is cut from a file: the frames before are read, and no more.
    for length in (0..2000).step_by(7) {
        let mut count = 0;
        let result = capture::read(&CAPTURE[..length], |_| {
            count += 1;
            Ok(())
        });
        assert!(result.map_or(true, |tally| tally.frames == count));
    }
    // And whatever stands in it: no panic.
    for at in (0..1000).step_by(3) {
        let mut damaged = CAPTURE[..4000].to_vec();
        damaged[at] ^= 0xff;
        let _ = capture::read(Cursor::new(damaged), |_| Ok(()));
    }
}

#[test]
fn for_people() {
    let pivot: UnixTime = "2026-01-01T00:00:00Z".parse().unwrap();
    let packets = packets();
    let describe = |id: &str| {
        let packet = packets.iter().find(|packet| packet["id"] == id).unwrap();
        text::describe(&unhex(packet["payload"].as_str().unwrap()).unwrap(), pivot)
    };
    let control = describe("ntpc4215-server#32");
    assert!(control.starts_with("NTPv2 control answer, readvar, sequence 1, association 0\n"), "{control}");
    assert!(control.contains("  status 0514: leap none, local, 1 event, freq_mode\n"), "{control}");
    assert!(
        control.contains("    version=\"ntpd 4.2.8p15@1.3728-o Wed Sep 23 11:46:38 UTC 2020 (1)\",\n"),
        "{control}"
    );
    let server = describe("busybox137#2");
    assert!(server.contains("leap none, stratum 5, reference LOCAL(1)"), "{server}");
    assert!(server.contains("receive   eeaec3d8.15eebe6d 2026-11-23T13:53:28.085674192Z"), "{server}");
    let private = describe("ntpc4215-server#76");
    assert!(private.starts_with("NTPv2 private request, implementation 3, request 42 (monitor list)"), "{private}");
}
