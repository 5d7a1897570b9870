//! Mode 6 reading (RFC 9327): what `ntpq -c rv -p` shows of this server, for askers on this machine only.
//!
//! Its answers are longer than its questions, so nobody else ever gets one: an address can be forged from afar, but
//! the answer to a local one stays here. Nothing can be written.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};

use ntp_proto::control::{
    emit, ControlErrorCode, ControlHeader, ControlPacket, Opcode, CONTROL_HEADER_LENGTH, MAX_DATA,
};

use crate::report::{PeerReport, SystemReport, Variable};

/// Answers control messages from a report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Monitor {
    /// The system.
    pub system: SystemReport,
    /// Its sources.
    pub peers: Vec<PeerReport>,
}

/// Why a control message got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotAnswered {
    /// It did not come from this machine.
    #[error("control messages are answered on this machine only")]
    NotLocal,
    /// It is no question: an answer, or no control message at all.
    #[error("not a question")]
    NotAQuestion,
}

impl Monitor {
    /// Answers one control message that came from `source` to our address `local`; `send` gets each datagram of the answer.
    ///
    /// # Errors
    /// [`NotAnswered`], and nothing was sent.
    pub fn respond(
        &self,
        request: &[u8],
        source: SocketAddr,
        local: Option<IpAddr>,
        mut send: impl FnMut(&[u8]),
    ) -> Result<(), NotAnswered> {
        let ip = source.ip().to_canonical();
        if !(ip.is_loopback() || local.is_some_and(|local| local.to_canonical() == ip)) || source.port() == 0 {
            return Err(NotAnswered::NotLocal);
        }
        if request.first().map_or(true, |lead| lead & 7 != 6) {
            return Err(NotAnswered::NotAQuestion);
        }
        let packet = ControlPacket::parse(request).map_err(|_| NotAnswered::NotAQuestion)?;
        let asked = packet.header();
        if asked.is_response || asked.is_error {
            return Err(NotAnswered::NotAQuestion);
        }
        let answer = ControlHeader { is_response: true, has_more: false, offset: 0, status: 0, ..*asked };
        match self.answer(asked, packet.data()) {
            Ok((status, data)) => fragments(&ControlHeader { status, ..answer }, &data, &mut send),
            Err(code) => {
                let status = u16::from_be_bytes([code.to_bits(), 0]);
                fragments(&ControlHeader { is_error: true, status, ..answer }, &[], &mut send);
            }
        }
        Ok(())
    }

    /// The status word and the data of an answer.
    fn answer(&self, asked: &ControlHeader, names: &[u8]) -> Result<(u16, Vec<u8>), ControlErrorCode> {
        let peer = self.peers.iter().find(|peer| peer.id == asked.association);
        let status = match (asked.association, peer) {
            (0, _) => self.system.status(),
            (_, Some(peer)) => peer.status(),
            (_, None) => return Err(ControlErrorCode::BadAssociation),
        };
        match asked.opcode {
            Opcode::ReadStatus if asked.association == 0 => {
                let words = |peer: &PeerReport| [peer.id.to_be_bytes(), peer.status().to_be_bytes()].concat();
                Ok((status, self.peers.iter().flat_map(words).collect()))
            }
            Opcode::ReadStatus | Opcode::ReadVariables => {
                let variables = peer.map_or_else(|| self.system.variables(), PeerReport::variables);
                Ok((status, chosen(&variables, names)?))
            }
            Opcode::WriteVariables | Opcode::Configure | Opcode::SaveConfig | Opcode::WriteClock => {
                Err(ControlErrorCode::Permission)
            }
            _ => Err(ControlErrorCode::BadOpcode),
        }
    }
}

/// The variables that are asked for, in the asked order; all of them when none is named.
fn chosen(variables: &[Variable], names: &[u8]) -> Result<Vec<u8>, ControlErrorCode> {
    let mut data = String::new();
    let mut add = |(name, value): &Variable| {
        let separator = if data.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(data, "{separator}{name}={value}");
    };
    let mut named = names.split(|&octet| octet == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
    let mut next = named.next();
    if next.is_none() {
        variables.iter().for_each(&mut add);
    }
    while let Some(name) = next {
        // What is not known is left out, as long as something is.
        if let Some(variable) = variables.iter().find(|(known, _)| known.as_bytes() == name) {
            add(variable);
        }
        next = named.next();
    }
    if data.is_empty() {
        return Err(ControlErrorCode::UnknownVariable);
    }
    data.push_str("\r\n");
    Ok(data.into_bytes())
}

/// Sends an answer in as many datagrams as it takes; at least one.
fn fragments(header: &ControlHeader, data: &[u8], send: &mut impl FnMut(&[u8])) {
    let mut datagram = [0; CONTROL_HEADER_LENGTH + MAX_DATA];
    let mut rest = data;
    loop {
        let (part, behind) = rest.split_at(rest.len().min(MAX_DATA));
        let offset = u16::try_from(data.len() - rest.len()).unwrap_or(u16::MAX);
        let header = ControlHeader { has_more: !behind.is_empty(), offset, ..*header };
        if let Some(octets) = emit(&header, part, &mut datagram).ok().and_then(|length| datagram.get(..length)) {
            send(octets);
        }
        if behind.is_empty() {
            return;
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_proto::control::{Assembly, Selection};
    use ntp_proto::ServerVariables;
    use ntp_types::{LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, Stratum};
    use proptest::prelude::*;

    fn monitor() -> Monitor {
        let peer = PeerReport {
            id: 7,
            source: "192.0.2.1:123".parse().unwrap(),
            local: "192.0.2.9:50000".parse().unwrap(),
            selection: Selection::SystemPeer,
            leap: LeapIndicator::InsertSecond,
            stratum: Stratum::from_bits(2),
            precision: Precision::from_log2(-23),
            root_delay: NtpShort::from_bits(66),
            root_dispersion: NtpShort::from_bits(655),
            reference_id: ReferenceId::from_bytes([10, 0, 0, 1]),
            reference_time: NtpTimestamp::new(1, 0),
            received: NtpTimestamp::new(2, 0),
            reach: 0xff,
            unreached: 0,
            poll: Poll::from_log2(6),
            offset: NtpDuration::from_nanos(-1_500_000),
            delay: NtpDuration::from_nanos(250_000),
            dispersion: NtpDuration::from_nanos(10_000),
            jitter: NtpDuration::from_nanos(2_000),
        };
        let variables = ServerVariables { stratum: Stratum::from_bits(3), ..ServerVariables::default() };
        Monitor { system: SystemReport { variables, peer: 7, ..SystemReport::default() }, peers: Vec::from([peer]) }
    }

    fn ask(opcode: Opcode, association: u16, names: &[u8]) -> (ControlHeader, Vec<u8>, usize) {
        let header = ControlHeader::request(opcode, 99, association);
        let mut request = [0; 480];
        let length = emit(&header, names, &mut request).unwrap();
        let mut buffer = [0; 4096];
        let (mut last, mut count, mut whole) = (header, 0, Assembly::new(&header, &mut buffer));
        let source = "127.0.0.1:4000".parse().unwrap();
        monitor()
            .respond(&request[..length], source, None, |datagram| {
                let packet = ControlPacket::parse(datagram).unwrap();
                last = *packet.header();
                count += 1;
                if !last.is_error {
                    whole.handle(&packet).unwrap();
                }
            })
            .unwrap();
        let data = whole.data().map(<[u8]>::to_vec).unwrap_or_default();
        (last, data, count)
    }

    #[test]
    fn the_system_and_its_peers_can_be_read() {
        let (header, data, _) = ask(Opcode::ReadStatus, 0, b"");
        assert_eq!(data, [0, 7, 0x96, 0x14]);
        assert!(header.is_response && header.sequence == 99);
        let (_, data, fragments) = ask(Opcode::ReadVariables, 0, b"");
        let variables = ntp_proto::control::Variables::new(&data);
        assert_eq!(variables.number::<u8>("stratum"), Some(3));
        assert_eq!(variables.get("leap"), Some(&b"3"[..]));
        assert_eq!(variables.get("refid"), Some(&b"0.0.0.0"[..]));
        assert!(fragments >= 1);
        let (_, data, _) = ask(Opcode::ReadVariables, 7, b"");
        let variables = ntp_proto::control::Variables::new(&data);
        assert_eq!(variables.get("srcadr"), Some(&b"192.0.2.1"[..]));
        assert_eq!(variables.get("leap"), Some(&b"1"[..]));
        assert_eq!(variables.get("refid"), Some(&b"10.0.0.1"[..]));
        assert_eq!(variables.get("offset"), Some(&b"-1.500000"[..]));
        assert_eq!(variables.get("reach"), Some(&b"0xff"[..]));
        let (_, data, _) = ask(Opcode::ReadVariables, 7, b"delay, nonsense ,stratum");
        assert_eq!(data, b"delay=0.250000, stratum=2\r\n");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_code() {
        let code = |opcode, association, names: &[u8]| ask(opcode, association, names).0.error();
        assert_eq!(code(Opcode::ReadVariables, 8, b""), Some(ControlErrorCode::BadAssociation));
        assert_eq!(code(Opcode::ReadVariables, 0, b"nonsense"), Some(ControlErrorCode::UnknownVariable));
        assert_eq!(code(Opcode::WriteVariables, 0, b"stratum=1"), Some(ControlErrorCode::Permission));
        assert_eq!(code(Opcode::ReadMru, 0, b""), Some(ControlErrorCode::BadOpcode));
    }

    #[test]
    fn only_this_machine_is_answered() {
        let mut request = [0; 12];
        emit(&ControlHeader::request(Opcode::ReadVariables, 1, 0), &[], &mut request).unwrap();
        let respond = |source: &str, local: Option<&str>| {
            let local = local.map(|ip| ip.parse().unwrap());
            monitor().respond(&request, source.parse().unwrap(), local, |_| {})
        };
        assert_eq!(respond("192.0.2.7:4000", None), Err(NotAnswered::NotLocal));
        assert_eq!(respond("192.0.2.7:4000", Some("192.0.2.8")), Err(NotAnswered::NotLocal));
        assert_eq!(respond("192.0.2.7:4000", Some("192.0.2.7")), Ok(()));
        assert_eq!(respond("[::ffff:127.0.0.1]:4000", None), Ok(()));
        assert_eq!(respond("[::1]:4000", None), Ok(()));
        assert_eq!(respond("127.0.0.1:0", None), Err(NotAnswered::NotLocal));
        // An answer is never answered: two servers would talk for ever.
        request[1] |= 0x80;
        let again = monitor().respond(&request, "127.0.0.1:123".parse().unwrap(), None, |_| {});
        assert_eq!(again, Err(NotAnswered::NotAQuestion));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_answer_is_a_control_message(request: Vec<u8>, shaped: bool) {
            let mut request = request;
            if shaped && request.len() >= 12 {
                request[0] = 0x16;
                request[1] &= 0x1f;
                request[10..12].fill(0);
            }
            let _ = monitor().respond(&request, "127.0.0.1:4000".parse().unwrap(), None, |datagram| {
                assert!(ControlPacket::parse(datagram).unwrap().header().is_response);
            });
        }
    }
}
