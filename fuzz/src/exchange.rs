//! The exchange: whatever comes in, only the answer to what was asked is taken, and anything else ends nothing.

use std::net::{Ipv4Addr, SocketAddr};

use ntp_proto::{
    AnswerTemplate, ClientRequest, Header, Mode, Packet, Pending, Rejected, Reply, Request, ServerVariables,
};
use ntp_types::{LeapIndicator, NtpTimestamp, Precision, RoundTrip, Stratum};

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 123);
const OTHER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 123);

/// What the first octets of the input choose.
struct Choice {
    nonce: NtpTimestamp,
    t1: NtpTimestamp,
    t4: NtpTimestamp,
    is_other_source: bool,
    is_interleaved: bool,
}

/// Gives `data[25..]` to an exchange as a datagram; the octets before choose nonce, clock readings and circumstances.
pub fn exchange(data: &[u8]) {
    let Some((head, datagram)) = data.split_first_chunk::<25>() else { return };
    let word = |at: usize| NtpTimestamp::from_bytes(head[at..at + 8].try_into().unwrap());
    let choice = Choice {
        nonce: word(0),
        t1: word(8),
        t4: word(16),
        is_other_source: head[24] & 1 != 0,
        is_interleaved: head[24] & 2 != 0,
    };
    let mut datagram = datagram.to_vec();
    if head[24] & 4 != 0 && datagram.len() >= 32 {
        // Whoever sent it knows the nonce, so that the tests after the origin's are reached.
        let (_, pending) = start(&choice);
        datagram[24..32].copy_from_slice(&pending.nonce().to_bytes());
    }
    let (request, pending) = start(&choice);
    let nonce = pending.nonce();
    let source = if choice.is_other_source { OTHER } else { SERVER };
    match pending.accept(&datagram, source, choice.t1, choice.t4) {
        Ok(reply) => {
            assert!(!choice.is_other_source, "taken from a stranger");
            check_reply(&choice, nonce, &datagram, &reply);
        }
        Err(Rejected::Final(reject)) => {
            assert!(!choice.is_other_source, "ended by a stranger: {reject}");
            let packet = Packet::parse(&datagram).expect("a kiss is a packet");
            let nonces = [Some(nonce), choice.is_interleaved.then_some(request.receive_timestamp)];
            assert!(nonces.contains(&Some(packet.origin_timestamp())), "ended without a nonce: {reject}");
            assert!(packet.kiss().is_some() && packet.mode() == Mode::Server);
        }
        Err(Rejected::Ignored { reject, pending }) => {
            assert!(!reject.to_string().is_empty());
            assert_eq!((pending.nonce(), pending.destination()), (nonce, SERVER));
            let packet = Packet::parse(&datagram);
            let is_stranger =
                choice.is_other_source || packet.is_err() || packet.is_ok_and(|packet| packet.mode() != Mode::Server);
            assert!(!is_stranger || !reject.is_from_server(), "{reject}");
            check_still_open(&choice, &request, pending);
        }
    }
}

fn start(choice: &Choice) -> (Header, Pending) {
    let mut request = ClientRequest::new(choice.nonce);
    if choice.is_interleaved {
        let previous = RoundTrip { t1: choice.t1, t2: choice.t1, t3: choice.t1, t4: choice.t1 };
        request = request.interleaved(previous, NtpTimestamp::from_bits(!choice.nonce.to_bits()));
    }
    let (bytes, pending) = request.start(SERVER);
    (Header::from_bytes(&bytes), pending)
}

/// What was taken is what the datagram says, and the arithmetic agrees with wide integers.
fn check_reply(choice: &Choice, nonce: NtpTimestamp, datagram: &[u8], reply: &Reply<'_>) {
    let header = Packet::parse(datagram).expect("taken, so a packet").header();
    assert_eq!(header.lead.mode(), Mode::Server);
    assert_eq!(header.origin_timestamp == nonce, !reply.is_interleaved);
    assert!(choice.is_interleaved || !reply.is_interleaved);
    assert!(header.stratum.is_synchronized() && header.leap().is_synchronized());
    assert!(!header.receive_timestamp.is_unset() && !header.transmit_timestamp.is_unset());
    let exchange = &reply.exchange;
    assert_eq!(
        (exchange.stratum, exchange.reference_id, exchange.root_delay, exchange.root_dispersion),
        (header.stratum, header.reference_id, header.root_delay, header.root_dispersion)
    );
    let RoundTrip { t1, t2, t3, t4 } = exchange.round_trip;
    assert_eq!(t3, header.transmit_timestamp);
    if !reply.is_interleaved {
        assert_eq!((t1, t2, t4), (choice.t1, header.receive_timestamp, choice.t4));
    }
    // Differences modulo 2^64 read as signed, sums in 128 bits.
    let since = |a: NtpTimestamp, b: NtpTimestamp| i128::from(a.to_bits().wrapping_sub(b.to_bits()).cast_signed());
    let twice = since(t2, t1) + since(t3, t4);
    assert!((i128::from(exchange.offset().to_bits()) * 2 - twice).abs() <= 1, "offset");
    let delay = (since(t4, t1) - since(t3, t2)).clamp(i64::MIN.into(), i64::MAX.into());
    assert_eq!(i128::from(exchange.delay().to_bits()), delay, "delay");
    let own = Precision::from_log2(-20);
    let bound = exchange.root_distance(own);
    assert!(bound >= exchange.dispersion(own) && bound >= header.root_dispersion.to_duration());
    assert!(bound >= exchange.delay().half() && !bound.is_negative());
}

/// After a datagram that was ignored the true answer is taken.
fn check_still_open(choice: &Choice, request: &Header, pending: Pending) {
    let bytes = request.to_bytes();
    let now = NtpTimestamp::from_bits(choice.t4.to_bits() | 1);
    let variables =
        ServerVariables { leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerVariables::default() };
    let answer = AnswerTemplate::new(&variables).answer(&Request::parse(&bytes).unwrap(), now, now);
    let reply = pending.accept(&answer, SERVER, choice.t1, choice.t4).expect("the answer ends it well");
    assert!(!reply.is_interleaved);
}
