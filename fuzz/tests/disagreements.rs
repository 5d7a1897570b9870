//! Each known disagreement with another parser, shown by the shortest octets that do.
#![cfg(feature = "peers")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // how a test fails

use ntp_fuzz::differential::{differential, Disagreement};

/// A header of zeros but for its first octet, and what follows it.
fn packet(lead: u8, tail: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    bytes[0] = lead;
    bytes.extend(tail.concat());
    bytes
}

#[test]
fn each_is_real() {
    use Disagreement::*;

    let mac16: &[u8] = &[&[0, 0, 0, 1][..], &[0xbb; 16]].concat();
    let mac20: &[u8] = &[&[0, 0, 0, 1][..], &[0xbb; 20]].concat();
    let field16: &[u8] = &[&[0x20, 0x01, 0x00, 0x10][..], &[0xaa; 12]].concat();
    let field28: &[u8] = &[&[0x01, 0x04, 0x00, 0x1c][..], &[0xaa; 24]].concat();
    let cases: &[(Vec<u8>, &[Disagreement])] = &[
        // Nothing but a header, a MAC of 20 octets in version 4 (which ntp-parser knows): all agree where they can.
        (packet(0x23, &[]), &[]),
        (packet(0x23, &[mac16]), &[UsgMisreadsMac]),
        (packet(0x13, &[]), &[ParserRefusesOldVersions]),
        (packet(0x26, &[]), &[ParserAcceptsOtherFormats, UsgAcceptsOtherFormats]),
        (packet(0x03, &[]), &[UsgAcceptsUnknownVersions]),
        (packet(0x2b, &[]), &[UsgAcceptsUnknownVersions]),
        (packet(0x1b, &[mac16]), &[ParserCutsVersion3Mac, UsgMisreadsMac]),
        (packet(0x1b, &[field28]), &[ParserCutsVersion3Mac, UsgReadsFieldsInOldVersions]),
        (packet(0x23, &[&[0; 4]]), &[ParserRefusesCryptoNak, UsgMisreadsMac]),
        (packet(0x23, &[field28]), &[ParserMisframesFields]),
        (packet(0x23, &[mac20]), &[ParserMisframesFields, UsgMisreadsMac]),
        (packet(0x23, &[field16, mac16]), &[ParserMisframesFields, UsgMisreadsMac]),
        // Five octets of nothing between header and MAC.
        (packet(0x23, &[&[0, 0, 0, 0, 0xff], mac16]), &[ParserAcceptsMalformedFields]),
        (packet(0x23, &[field16]), &[UsgAcceptsMalformedFields]),
        (packet(0x23, &[&[0; 3]]), &[UsgAcceptsMalformedFields]),
    ];
    let mut shown: Vec<Disagreement> = Vec::new();
    for (bytes, expected) in cases {
        let found = differential(bytes);
        assert_eq!(found, *expected, "{bytes:02x?}");
        shown.extend(found);
    }
    for name in Disagreement::ALL {
        assert!(shown.contains(name), "{name:?} is shown by no case");
    }
}
