//! The dissector against tshark on packets nobody captured: random headers, extension fields and MACs of every length.
//! Where tshark is not installed it says so and passes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

use std::process::Command;

use etherparse::PacketBuilder;
use ntp_examples::dump::{hex, json};
use ntp_proto::{ExtensionType, Header, PacketWriter};
use serde_json::Value;

/// xorshift64*: the same packets in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % limit
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }
}

/// A time packet that RFC 5905 and RFC 7822 allow.
fn packet(random: &mut Random) -> Vec<u8> {
    let mut header: [u8; 48] = random.octets(48).try_into().unwrap();
    let version = 1 + random.below(4);
    header[0] = u8::try_from(random.below(4) << 6 | version << 3 | random.below(6)).unwrap();
    let mut buffer = [0; 1024];
    let mut writer = PacketWriter::new(&mut buffer, &Header::from_bytes(&header)).unwrap();
    if version == 4 {
        for _ in 0..random.below(4) {
            let kind = ExtensionType::from_bits(u16::try_from(random.below(0x1_0000)).unwrap());
            let length = 12 + 4 * random.below(12);
            writer = writer.field(kind, &random.octets(length)).unwrap();
        }
    }
    let key_id = u32::try_from(random.below(1 << 31)).unwrap() + 1;
    let length = match (random.below(3), version) {
        (0, _) => writer.finish(),
        (1, _) => writer.mac(key_id, &random.octets(16)),
        (_, 3) => {
            let length = [20, 32, 48, 64][random.below(4)];
            writer.mac(key_id, &random.octets(length))
        }
        (_, _) => writer.mac(key_id, &random.octets(20)),
    };
    let length = length.unwrap();
    buffer[..length].to_vec()
}

/// A pcap file of Ethernet frames.
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file: Vec<u8> =
        [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32].iter().flat_map(|word| word.to_le_bytes()).collect();
    for packet in packets {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(123, 123);
        builder.write(&mut frame, packet).unwrap();
        let length = u32::try_from(frame.len()).unwrap();
        file.extend([0, 0, length, length].iter().flat_map(|word| word.to_le_bytes()));
        file.extend(frame);
    }
    file
}

/// The octets tshark gives a field: one, or several where the field repeats.
fn raw(layer: &Value, field: &str) -> Vec<String> {
    let text = |value: &Value| value[0].as_str().unwrap().to_owned();
    match layer.get(format!("{field}_raw")).and_then(Value::as_array) {
        Some(values) if values[0].is_array() => values.iter().map(text).collect(),
        Some(values) => vec![values[0].as_str().unwrap().to_owned()],
        None => Vec::new(),
    }
}

#[test]
fn as_tshark_reads_them() {
    if !Command::new("tshark").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: tshark is not installed");
        return;
    }
    let mut random = Random(0x1905_1905_1905_1905);
    let packets: Vec<Vec<u8>> = (0..1_500).map(|_| packet(&mut random)).collect();
    let file = std::env::temp_dir().join(format!("ntp-dump-{}.pcap", std::process::id()));
    std::fs::write(&file, pcap(&packets)).unwrap();
    let output = Command::new("tshark")
        .args(["-n", "-T", "json", "-x", "--no-duplicate-keys", "-j", "ntp", "-r"])
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let frames: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(frames.len(), packets.len());
    let mut fields = 0;
    for (packet, frame) in packets.iter().zip(&frames) {
        let layer = &frame["_source"]["layers"]["ntp"];
        let ours = json::object(packet);
        let show = hex(packet);
        let octet = |name: &str| u8::try_from(ours[name].as_i64().unwrap().rem_euclid(256)).unwrap();
        let lead = octet("leap") << 6 | octet("version") << 3 | octet("mode");
        for (name, value) in [
            ("ntp.flags", hex(&[lead])),
            ("ntp.stratum", hex(&[octet("stratum")])),
            ("ntp.ppoll", hex(&[octet("poll")])),
            ("ntp.precision", hex(&[octet("precision")])),
        ] {
            assert_eq!(raw(layer, name), [value], "{name} of {show}");
        }
        for (theirs, name) in [
            ("ntp.rootdelay", "root_delay"),
            ("ntp.rootdispersion", "root_dispersion"),
            ("ntp.refid", "refid"),
            ("ntp.reftime", "reference_ts"),
            ("ntp.org", "origin_ts"),
            ("ntp.rec", "receive_ts"),
            ("ntp.xmt", "transmit_ts"),
        ] {
            assert_eq!(raw(layer, theirs), [ours[name].as_str().unwrap()], "{name} of {show}");
        }
        let extensions: Vec<String> = ours["ext"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| {
                let head = format!("{:04x}{:04x}", field["type"].as_u64().unwrap(), field["len"].as_u64().unwrap());
                head + field["value"].as_str().unwrap()
            })
            .collect();
        fields += extensions.len();
        assert_eq!(raw(layer, "ntp.ext"), extensions, "extension fields of {show}");
        let key_id: Vec<String> =
            ours["mac"]["keyid"].as_u64().map(|key_id| format!("{key_id:08x}")).into_iter().collect();
        assert_eq!(raw(layer, "ntp.keyid"), key_id, "key id of {show}");
        let digest: Vec<&str> = ours["mac"]["digest"].as_str().into_iter().collect();
        assert_eq!(raw(layer, "ntp.mac"), digest, "digest of {show}");
    }
    println!("{} packets with {fields} extension fields", packets.len());
}
