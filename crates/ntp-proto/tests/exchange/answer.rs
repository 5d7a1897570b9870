//! The server's side: who is answered, with what, and never with more than was asked.

use super::*;

#[test]
fn only_requests_are_answered() {
    for lead in 0..=255_u8 {
        let mut octets = [0; 48];
        octets[0] = lead;
        let (version, mode) = (lead >> 3 & 7, lead & 7);
        let is_request = (1..=4).contains(&version) && (mode == 1 || mode == 3 || version == 1 && mode == 0);
        match Request::parse(&octets) {
            Ok(request) => {
                assert!(is_request, "{lead:02x}");
                let answer = if mode == 1 { Mode::SymmetricPassive } else { Mode::Server };
                assert_eq!(request.answer_mode(), answer);
                let octets = AnswerTemplate::new(&variables()).answer(&request, at(1), at(2));
                assert_eq!(octets[0] & 0x38, lead & 0x38, "the version is the request's");
                assert_eq!(octets[0] & 7, answer.to_bits());
                assert!(Request::parse(&octets).is_err(), "an answer to an answer");
                // The same behind the header's 48 octets.
                let mut longer = octets.to_vec();
                longer[0] = lead;
                longer.extend([0; 4]);
                assert_eq!(Request::parse(&longer).unwrap().answer_mode(), answer);
            }
            Err(NotARequest::Mode { .. }) => assert!(!is_request && (1..=4).contains(&version) && mode <= 5),
            Err(_) => assert!(!is_request && (!(1..=4).contains(&version) || mode > 5)),
        }
    }
    assert!(matches!(Request::parse(&[0x23; 47]), Err(NotARequest::Malformed(_))));
    let error = Request::parse(&[0x24; 48]).unwrap_err();
    assert_eq!(error.to_string(), "mode server of version 4 asks for nothing");
}

#[test]
fn the_answer_says_what_the_server_is() {
    let mut octets = [0x77; 48];
    octets[0] = 0xDB; // whatever else a client says
    let request = Request::parse(&octets).unwrap();
    let answer = Header::from_bytes(&AnswerTemplate::new(&variables()).answer(&request, at(NOW), at(NOW + 1)));
    let ServerVariables { leap, stratum, precision, root_delay, root_dispersion, reference_id, reference_timestamp } =
        variables();
    let expect = Header {
        lead: ntp_proto::Lead::new(leap, Version::V3, Mode::Server),
        stratum,
        poll: Poll::from_log2(0x77),
        precision,
        root_delay,
        root_dispersion,
        reference_id,
        reference_timestamp,
        origin_timestamp: at(0x7777_7777_7777_7777),
        receive_timestamp: at(NOW),
        transmit_timestamp: at(NOW + 1),
    };
    assert_eq!(answer, expect);
    // Stratum 16 goes out as 0; a time of zero as the next one.
    let unsynchronized = AnswerTemplate::new(&ServerVariables::default());
    let answer = Header::from_bytes(&unsynchronized.answer(&request, at(0), at(0)));
    assert_eq!((answer.leap(), answer.stratum), (LeapIndicator::Unsynchronized, Stratum::UNSPECIFIED));
    assert_eq!((answer.receive_timestamp, answer.transmit_timestamp), (at(1), at(1)));
    let kiss = Header::from_bytes(&unsynchronized.kiss(&request, KissCode::Rate, Poll::from_log2(8)));
    assert_eq!((kiss.lead.to_bits(), kiss.stratum.to_bits(), kiss.poll.log2()), (0xDC, 0, 0x77));
    assert_eq!(kiss.reference_id, KissCode::Rate.into());
    let echoed = [kiss.reference_timestamp, kiss.origin_timestamp, kiss.receive_timestamp, kiss.transmit_timestamp];
    assert_eq!(echoed, [at(0x7777_7777_7777_7777); 4]);
}

#[test]
fn no_answer_is_longer_than_its_request() {
    let template = AnswerTemplate::new(&variables());
    let mut octets = [0; 48];
    octets[0] = 0x23;
    let request = Request::parse(&octets).unwrap();
    let answer = template.answer(&request, at(NOW), at(NOW));
    let mut buffer = [0; 256];
    assert_eq!(AnswerTemplate::begin(&request, &answer, &mut buffer).unwrap().finish(), Ok(48));
    let error = AnswerTemplate::begin(&request, &answer, &mut buffer)
        .unwrap()
        .field(ExtensionType::UNIQUE_IDENTIFIER, &[0; 32])
        .unwrap_err();
    assert!(matches!(error, EmitError::LongerThanRequest { needed: 84, had: 48, .. }), "{error}");
    assert!(AnswerTemplate::begin(&request, &answer, &mut buffer).unwrap().mac(1, &[0; 16]).is_err());
    assert!(AnswerTemplate::begin(&request, &answer, &mut buffer).unwrap().crypto_nak().is_err());
    // To a request with a MAC a crypto-NAK or a MAC of the same length.
    let mut longer = octets.to_vec();
    longer.extend([0, 0, 0, 1]);
    longer.extend([5; 16]);
    let request = Request::parse(&longer).unwrap();
    assert_eq!(AnswerTemplate::begin(&request, &answer, &mut buffer).unwrap().mac(1, &[0; 16]), Ok(68));
    assert_eq!(AnswerTemplate::begin(&request, &answer, &mut buffer).unwrap().crypto_nak(), Ok(52));
    assert!(AnswerTemplate::begin(&request, &answer, &mut buffer).unwrap().mac(1, &[0; 20]).is_err());
}

#[test]
fn nothing_misreadable_can_be_written() {
    let mut buffer = [0; 256];
    let header = |version, mode| Header::new(LeapIndicator::NoWarning, Version::from_bits(version), mode);
    for version in 0..8 {
        for mode in 0..8 {
            let written = PacketWriter::new(&mut buffer, &header(version, Mode::from_bits(mode)));
            assert_eq!(written.is_ok(), (1..=4).contains(&version) && mode <= 5);
        }
    }
    let error = PacketWriter::new(&mut buffer, &header(3, Mode::Client))
        .and_then(|writer| writer.field(ExtensionType::UNIQUE_IDENTIFIER, &[0; 32]))
        .unwrap_err();
    assert_eq!(error.to_string(), "extension field in a packet of version 3");
    for length in 0..=80 {
        for version in 1..=4 {
            let written = PacketWriter::new(&mut buffer, &header(version, Mode::Client))
                .and_then(|writer| writer.mac(1, &[0; 80][..length]));
            let is_known = if version == 4 {
                [16, 20].contains(&length)
            } else {
                [8, 16, 20, 28, 32, 48, 64, 68].contains(&length)
            };
            assert_eq!(written.is_ok(), is_known, "{version} {length}");
        }
    }
    // Every value's length, alone and before every end, comes back as one field.
    for length in 0..=48 {
        for end in 0..3 {
            let value: Vec<u8> = (1..).take(length).collect();
            let writer = PacketWriter::new(&mut buffer, &Header::default())
                .and_then(|writer| writer.field(ExtensionType::from_bits(0xF001), &value))
                .unwrap();
            let written = match end {
                0 => writer.finish(),
                1 => writer.mac(7, &[3; 16]),
                _ => writer.crypto_nak(),
            };
            let packet = Packet::parse(&buffer[..written.unwrap()]).unwrap();
            let field = packet.extensions().next().unwrap();
            assert_eq!(packet.extensions().count(), 1);
            let (start, padding) = field.value.split_at(length);
            assert_eq!((start, padding.iter().any(|&octet| octet != 0)), (&value[..], false));
            assert_eq!((packet.mac().is_some(), packet.is_crypto_nak()), (end == 1, end == 2));
        }
    }
    // A buffer too short is named, at every length.
    for length in 0..68 {
        let written =
            PacketWriter::new(&mut buffer[..length], &Header::default()).and_then(|writer| writer.mac(1, &[0; 16]));
        assert!(matches!(written.unwrap_err(), EmitError::Buffer { .. }));
    }
}
