//! Reading: strict against the plain rule, the lazy reader against the strict one, the lenient one never losing an octet.

use ntp_proto::{Ambiguity, Header, Packet, Part, Reader};

use crate::reference::{self, Reading};

/// Reads `data` as a time packet in every way there is.
pub fn decode(data: &[u8]) {
    let strict = Packet::parse(data);
    assert_eq!(strict.as_ref().ok().map(reference::of), reference::read(data), "strict against the rule");
    assert_eq!(lazily(data), strict.as_ref().ok().map(reference::of), "lazy against strict");
    if let Err(error) = strict {
        assert!(error.offset <= data.len(), "{error} beyond {} octets", data.len());
        assert!(!error.to_string().is_empty());
    }
    match Packet::parse_lenient(data) {
        Ok(lenient) => check_lenient(data, &lenient, strict.ok().as_ref()),
        Err(error) => {
            let is_other_format = data.first().is_some_and(|lead| lead & 7 > 5);
            assert!(data.len() < 48 || is_other_format, "lenient refused: {error}");
            assert!(strict.is_err());
        }
    }
}

/// The parts as the lazy reader gives them, if it gets to the end.
fn lazily(data: &[u8]) -> Option<Reading> {
    let reader = Reader::new(data).ok()?;
    assert_eq!(reader.header().to_bytes(), data[..48]);
    let mut reading = Reading { fields: Vec::new(), mac: None, is_crypto_nak: false };
    for part in reader {
        assert!(reading.mac.is_none() && !reading.is_crypto_nak, "a part after the last");
        match part.ok()? {
            Part::Field(field) => reading.fields.push((field.kind.to_bits(), field.value.to_vec())),
            Part::Mac(mac) => reading.mac = Some((mac.key_id, mac.digest.to_vec())),
            Part::CryptoNak => reading.is_crypto_nak = true,
            part => panic!("unknown part {part:?}"),
        }
    }
    Some(reading)
}

fn check_lenient(data: &[u8], lenient: &Packet<'_>, strict: Option<&Packet<'_>>) {
    let reading = reference::of(lenient);
    let doubts = lenient.ambiguities();
    if let Some(strict) = strict {
        assert_eq!(reference::of(strict), reading, "lenient reads what strict accepts in the same way");
        assert!(doubts.iter().all(|doubt| doubt == Ambiguity::MacOrField), "{doubts} of what strict accepts");
        assert!(strict.ambiguities().is_empty() && strict.trailing().is_empty());
    }
    assert!(strict.is_some() || !doubts.is_empty(), "refused by the rule and yet without doubt");
    // The parts are all there is.
    let fields: usize = reading.fields.iter().map(|(_, value)| 4 + value.len()).sum();
    let mac = reading.mac.as_ref().map_or(0, |(_, digest)| 4 + digest.len());
    let nak = if reading.is_crypto_nak { 4 } else { 0 };
    assert_eq!(48 + fields + mac + nak + lenient.trailing().len(), data.len(), "octets lost");
    assert_eq!(lenient.authenticated(), &data[..48 + fields]);
    // Each accessor gives the header's field.
    let header = lenient.header();
    assert_eq!(header.to_bytes(), data[..48]);
    assert_eq!(Header::from_bytes(lenient.header_bytes()), header);
    let again = Header {
        lead: lenient.lead(),
        stratum: lenient.stratum(),
        poll: lenient.poll(),
        precision: lenient.precision(),
        root_delay: lenient.root_delay(),
        root_dispersion: lenient.root_dispersion(),
        reference_id: lenient.reference_id(),
        reference_timestamp: lenient.reference_timestamp(),
        origin_timestamp: lenient.origin_timestamp(),
        receive_timestamp: lenient.receive_timestamp(),
        transmit_timestamp: lenient.transmit_timestamp(),
    };
    assert_eq!(again, header);
    assert_eq!(lenient.kiss().is_some(), data[1] == 0 && data[12..16] != [0; 4]);
}
