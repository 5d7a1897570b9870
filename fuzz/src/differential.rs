//! Other people's parsers on the same octets. Where they differ from ours the difference must have a name in
//! [`Disagreement`], which says who is wrong and why; any other difference fails.

use ntp_parser::{parse_ntp, NtpPacket};
use ntp_proto::{Header, Packet};
use ntp_usg_proto::extension::iter_extension_fields;
use ntp_usg_proto::protocol::{FromBytes, Packet as UsgPacket};

use crate::reference::{self, Reading};

/// A difference that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disagreement {
    /// ntp-parser refuses versions 1 and 2, which share the header.
    ParserRefusesOldVersions,
    /// ntp-parser reads modes 6 and 7, which have another format, as time.
    ParserAcceptsOtherFormats,
    /// ntp-parser takes the first 12 octets after a header of version 3 as the MAC of RFC 1305 whatever stands there, and
    /// drops the rest. Version 3 carries MACs of 20 to 68 octets today.
    ParserCutsVersion3Mac,
    /// ntp-parser refuses a crypto-NAK.
    ParserRefusesCryptoNak,
    /// ntp-parser wants a MAC of 20 octets at the end of every packet with fields, and counts a field's length word without
    /// its head: it refuses or misreads fields and MACs of 24 octets.
    ParserMisframesFields,
    /// The same makes it accept what is no field at all.
    ParserAcceptsMalformedFields,
    /// ntp_usg reads versions 0 and 5 to 7 as if they had the header of version 4.
    UsgAcceptsUnknownVersions,
    /// ntp_usg reads modes 6 and 7, which have another format, as time.
    UsgAcceptsOtherFormats,
    /// ntp_usg does not know MACs: it reads one as extension fields, refuses it, or passes over it.
    UsgMisreadsMac,
    /// ntp_usg reads what follows a header of versions 1 to 3, which have no fields, as fields.
    UsgReadsFieldsInOldVersions,
    /// ntp_usg accepts fields of fewer than 16 octets, last fields of fewer than 28, lengths that are no multiple of four, and
    /// passes over up to three octets at the end.
    UsgAcceptsMalformedFields,
}

impl Disagreement {
    /// Each of them.
    pub const ALL: &'static [Self] = &[
        Self::ParserRefusesOldVersions,
        Self::ParserAcceptsOtherFormats,
        Self::ParserCutsVersion3Mac,
        Self::ParserRefusesCryptoNak,
        Self::ParserMisframesFields,
        Self::ParserAcceptsMalformedFields,
        Self::UsgAcceptsUnknownVersions,
        Self::UsgAcceptsOtherFormats,
        Self::UsgMisreadsMac,
        Self::UsgReadsFieldsInOldVersions,
        Self::UsgAcceptsMalformedFields,
    ];
}

/// What a parser made of the octets: header and what follows it.
type Outcome = Option<(Header, Reading)>;

/// Reads `data` with every parser and returns the known disagreements it shows.
#[must_use]
pub fn differential(data: &[u8]) -> Vec<Disagreement> {
    let ours = Packet::parse(data).ok().map(|packet| (packet.header(), reference::of(&packet)));
    let mut shown = Vec::new();
    for (peer, theirs, explain) in [
        (
            "ntp-parser",
            by_ntp_parser(data),
            explain_ntp_parser as fn(&[u8], &Outcome, &Outcome) -> Option<Disagreement>,
        ),
        ("ntp_usg", by_usg(data), explain_usg),
    ] {
        if let (Some((our_header, _)), Some((their_header, _))) = (&ours, &theirs) {
            assert_eq!(our_header, their_header, "{peer} reads the header in another way");
        }
        if ours != theirs {
            let name = explain(data, &ours, &theirs);
            shown.push(name.unwrap_or_else(|| panic!("{peer} reads {theirs:?}\nours {ours:?}\nof {data:02x?}")));
        }
    }
    shown
}

fn by_ntp_parser(data: &[u8]) -> Outcome {
    let (_, packet) = parse_ntp(data).ok()?;
    macro_rules! header {
        ($packet:expr) => {{
            let packet = &$packet;
            let mut bytes = vec![packet.li << 6 | packet.version << 3 | packet.mode.0, packet.stratum];
            bytes.extend([packet.poll.cast_unsigned(), packet.precision.cast_unsigned()]);
            bytes.extend([packet.root_delay, packet.root_dispersion, packet.ref_id].map(u32::to_be_bytes).concat());
            let stamps = [packet.ts_ref, packet.ts_orig, packet.ts_recv, packet.ts_xmit];
            bytes.extend(stamps.map(u64::to_be_bytes).concat());
            Header::from_bytes(bytes.as_slice().try_into().unwrap())
        }};
    }
    Some(match packet {
        NtpPacket::V3(packet) => {
            let mac = packet.authenticator.map(|octets| {
                let (key_id, digest) = octets.split_first_chunk().unwrap();
                (u32::from_be_bytes(*key_id), digest.to_vec())
            });
            (header!(packet), Reading { fields: Vec::new(), mac, is_crypto_nak: false })
        }
        NtpPacket::V4(packet) => {
            let fields = packet.extensions.iter().map(|field| (field.field_type, field.value.to_vec())).collect();
            let mac = packet.auth.as_ref().map(|mac| (mac.key_id, mac.mac.to_vec()));
            (header!(packet), Reading { fields, mac, is_crypto_nak: false })
        }
    })
}

fn explain_ntp_parser(data: &[u8], ours: &Outcome, theirs: &Outcome) -> Option<Disagreement> {
    let (version, mode) = (data[0] >> 3 & 7, data[0] & 7);
    let tail = data.len().checked_sub(48)?;
    match (ours, theirs, version) {
        (Some(_), None, 1 | 2) => Some(Disagreement::ParserRefusesOldVersions),
        (None, Some(_), 3 | 4) if mode > 5 => Some(Disagreement::ParserAcceptsOtherFormats),
        (_, Some(_), 3) if tail != 0 && tail != 12 => Some(Disagreement::ParserCutsVersion3Mac),
        (Some((_, reading)), None, 4) if reading.is_crypto_nak => Some(Disagreement::ParserRefusesCryptoNak),
        (Some(_), _, 4) if tail > 20 => Some(Disagreement::ParserMisframesFields),
        (None, Some(_), 4) if tail > 20 => Some(Disagreement::ParserAcceptsMalformedFields),
        _ => None,
    }
}

fn by_usg(data: &[u8]) -> Outcome {
    let (packet, length) = UsgPacket::from_bytes(data).ok()?;
    assert_eq!(length, 48);
    let mut bytes = [0; 48];
    bytes.copy_from_slice(&data[..48]);
    // Its types are turned into octets field by field, so that a field read wrong shows.
    let short =
        |value: ntp_usg_proto::protocol::ShortFormat| u32::from(value.seconds) << 16 | u32::from(value.fraction);
    let stamp =
        |value: ntp_usg_proto::protocol::TimestampFormat| u64::from(value.seconds) << 32 | u64::from(value.fraction);
    bytes[1..4].copy_from_slice(&[packet.stratum.0, packet.poll.cast_unsigned(), packet.precision.cast_unsigned()]);
    bytes[4..8].copy_from_slice(&short(packet.root_delay).to_be_bytes());
    bytes[8..12].copy_from_slice(&short(packet.root_dispersion).to_be_bytes());
    bytes[12..16].copy_from_slice(&packet.reference_id.as_bytes());
    for (place, value) in bytes[16..].chunks_mut(8).zip([
        packet.reference_timestamp,
        packet.origin_timestamp,
        packet.receive_timestamp,
        packet.transmit_timestamp,
    ]) {
        place.copy_from_slice(&stamp(value).to_be_bytes());
    }
    let fields: Result<Vec<_>, _> = iter_extension_fields(&data[48..])
        .map(|field| field.map(|field| (field.field_type, field.value.to_vec())))
        .collect();
    Some((Header::from_bytes(&bytes), Reading { fields: fields.ok()?, mac: None, is_crypto_nak: false }))
}

fn explain_usg(data: &[u8], ours: &Outcome, theirs: &Outcome) -> Option<Disagreement> {
    let (version, mode) = (data[0] >> 3 & 7, data[0] & 7);
    match (ours, theirs) {
        (None, Some(_)) if !(1..=4).contains(&version) => Some(Disagreement::UsgAcceptsUnknownVersions),
        (None, Some(_)) if mode > 5 => Some(Disagreement::UsgAcceptsOtherFormats),
        (Some((_, reading)), _) if reading.mac.is_some() || reading.is_crypto_nak => Some(Disagreement::UsgMisreadsMac),
        (None, Some(_)) if version < 4 => Some(Disagreement::UsgReadsFieldsInOldVersions),
        (None, Some(_)) if data.len() > 48 => Some(Disagreement::UsgAcceptsMalformedFields),
        _ => None,
    }
}
