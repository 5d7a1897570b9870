//! Every format: what is recognised is written again from its parts, and the **written** octets are read again.

use ntp_proto::{Message, Packet};

/// Reads `data` as whatever it is.
pub fn message(data: &[u8]) {
    let message = match Message::parse(data) {
        Ok(message) => message,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(message.as_bytes(), data);
    let mut written = vec![0xa5; data.len() + 4];
    let length = message.emit(&mut written).expect("there is room");
    assert_eq!(&written[..length], data, "written octets differ");
    assert_eq!(&written[length..], [0xa5; 4], "wrote beyond the end");
    assert_eq!(Message::parse(&written[..length]), Ok(message));
    if let Some(short) = data.len().checked_sub(1) {
        assert!(message.emit(&mut written[..short]).is_err());
    }
    match message {
        Message::Time(packet) => assert_eq!(Packet::parse_lenient(data), Ok(packet)),
        Message::Control(_) => assert_eq!(data[0] & 7, 6),
        Message::Private(packet) => {
            assert_eq!(data[0] & 7, 7);
            assert_eq!(8 + packet.data().len() + packet.tail().len(), data.len());
        }
        Message::V5(packet) => {
            assert_eq!(data[0] >> 3 & 7, 5);
            let fields: usize = packet.extensions().map(|field| 4 + field.value.len() + field.padding.len()).sum();
            assert_eq!(48 + fields, data.len());
        }
        Message::OverPtp(inner) => assert!(inner.ntp().len() + inner.trailing().len() + 48 == data.len()),
        other => panic!("unknown message {other:?}"),
    }
}
