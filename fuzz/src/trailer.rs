//! The trailer rule by itself: the first octet chooses version and mode, the rest follows a header of zeros.

use ntp_proto::Packet;

use crate::{decode, reference};

/// Reads `data[1..]` as what follows a header, and checks what must hold when more is appended.
pub fn trailer(data: &[u8]) {
    let Some((&lead, tail)) = data.split_first() else { return };
    let mut bytes = vec![0; 48];
    bytes[0] = lead;
    bytes.extend_from_slice(tail);
    decode(&bytes);

    let Ok(packet) = Packet::parse(&bytes) else { return };
    let reading = reference::of(&packet);
    let ends_in_field = reading.mac.is_none() && !reading.is_crypto_nak;
    if !packet.version().has_extensions() || !ends_in_field {
        return;
    }
    // A MAC of either length, a crypto-NAK or a field long enough may follow, and change nothing before it.
    for length in [4, 20, 24, 28, 36] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + length, 0);
        if length > 24 {
            let at = bytes.len();
            longer[at + 3] = u8::try_from(length).unwrap();
        }
        let longer = Packet::parse(&longer).expect("a field, a MAC or a crypto-NAK may follow");
        let mut grown = reference::of(&longer);
        match length {
            4 => assert!(grown.is_crypto_nak),
            20 | 24 => assert_eq!(grown.mac, Some((0, vec![0; length - 4]))),
            _ => assert_eq!(grown.fields.pop(), Some((0, vec![0; length - 4]))),
        }
        assert_eq!(grown.fields, reading.fields);
    }
    // Nothing else may: one to three octets never, eight and twelve neither.
    for length in [1, 2, 3, 5, 8, 12] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + length, 0);
        assert!(Packet::parse(&longer).is_err(), "{length} octets of zero accepted");
    }
}
