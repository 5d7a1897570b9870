//! Writing: what was read is written from its parts, and the **written** octets are read again.

use ntp_proto::{Packet, PacketWriter};

use crate::reference;

/// Reads `data` strictly and, where that works, writes it anew part by part and reads what was written.
pub fn round_trip(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else { return };
    let mut written = vec![0xa5; data.len() + 8];
    let length = write(&packet, &mut written).expect("what was read can be written");
    assert_eq!(&written[..length], data, "written octets differ");
    assert!(written[length..].iter().all(|&octet| octet == 0xa5), "wrote beyond the end");

    let again = Packet::parse(&written[..length]).expect("what was written can be read");
    assert_eq!(again.header(), packet.header());
    assert_eq!(reference::of(&again), reference::of(&packet));
    assert_eq!(again, packet);

    // The packet's own way out, and a buffer one octet too short.
    let mut copy = vec![0; data.len()];
    assert_eq!(packet.emit(&mut copy), Ok(data.len()));
    assert_eq!(copy, data);
    let short = data.len() - 1;
    assert!(packet.emit(&mut copy[..short]).is_err());
    assert!(write(&packet, &mut copy[..short]).is_none());
}

fn write(packet: &Packet<'_>, buffer: &mut [u8]) -> Option<usize> {
    let mut writer = PacketWriter::new(buffer, &packet.header()).ok()?;
    for field in packet.extensions() {
        writer = writer.field(field.kind, field.value).ok()?;
    }
    match packet.mac() {
        Some(mac) => {
            assert_eq!(writer.as_bytes(), packet.authenticated());
            writer.mac(mac.key_id, mac.digest).ok()
        }
        None if packet.is_crypto_nak() => writer.crypto_nak().ok(),
        None => writer.finish().ok(),
    }
}
