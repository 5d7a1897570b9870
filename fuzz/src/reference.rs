//! The rule of RFC 5905 and RFC 7822 written down once more, slow and plain, to hold the parser against.

use ntp_proto::Packet;

/// What a time packet holds after its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Type and value of each extension field.
    pub fields: Vec<(u16, Vec<u8>)>,
    /// Key id and digest.
    pub mac: Option<(u32, Vec<u8>)>,
    /// Four octets of zero at the end.
    pub is_crypto_nak: bool,
}

/// How RFC 5905, RFC 7822 and the captured MACs of version 3 have these octets read; `None` where they refuse them.
pub(crate) fn read(bytes: &[u8]) -> Option<Reading> {
    if bytes.len() < 48 {
        return None;
    }
    let (version, mode) = (bytes[0] >> 3 & 7, bytes[0] & 7);
    if !(1..=4).contains(&version) || mode > 5 {
        return None;
    }
    let mut tail = bytes[48..].to_vec();
    let mut fields = Vec::new();
    while version == 4 && tail.len() > 24 {
        let length = usize::from(tail[2]) * 256 + usize::from(tail[3]);
        if length < 16 || length % 4 != 0 || length > tail.len() {
            return None;
        }
        let field: Vec<u8> = tail.drain(..length).collect();
        fields.push((u16::from(field[0]) * 256 + u16::from(field[1]), field[4..].to_vec()));
    }
    let lengths: &[usize] = if version == 4 { &[0, 20, 24] } else { &[0, 12, 20, 24, 32, 36, 52, 68, 72] };
    let is_crypto_nak = tail == [0; 4];
    if !is_crypto_nak && !lengths.contains(&tail.len()) {
        return None;
    }
    let mac = (tail.len() > 4).then(|| (u32::from_be_bytes([tail[0], tail[1], tail[2], tail[3]]), tail[4..].to_vec()));
    Some(Reading { fields, mac, is_crypto_nak })
}

/// What our packet says it holds.
pub(crate) fn of(packet: &Packet<'_>) -> Reading {
    Reading {
        fields: packet.extensions().map(|field| (field.kind.to_bits(), field.value.to_vec())).collect(),
        mac: packet.mac().map(|mac| (mac.key_id, mac.digest.to_vec())),
        is_crypto_nak: packet.is_crypto_nak(),
    }
}
