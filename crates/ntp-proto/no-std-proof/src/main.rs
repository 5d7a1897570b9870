//! One exchange between a client and a server, and a monitor's question, without std, without an allocator, with its own
//! entry and panic handler.
//!
//! That it links is the proof for std and alloc: neither has a symbol here. It is one for panics too: the handler calls a
//! function that does not exist, so the linker refuses the program if any path to a panic is left in it.
//! That it ends with 0 shows that it also works. `cargo run --release` here; Linux on x86-64 and aarch64.

#![no_std]
#![no_main]

// What a program without std begins and ends with, the same in every proof.
#[path = "../../../../.ci/no-std-no-panic.rs"]
mod no_panic;
#[path = "../../../../.ci/no-std-start.rs"]
mod start;

use core::hint::black_box;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use ntp_proto::control::{self, Assembly, ControlHeader, Opcode, Variables};
use ntp_proto::keys::{Dialect, Keys};
use ntp_proto::{
    AnswerTemplate, ClientRequest, ExtensionType, Header, Message, Packet, PacketWriter, Part, Reader, Request,
    ServerVariables,
};
use ntp_types::{LeapIndicator, NtpDuration, NtpTimestamp, Precision, Stratum};

/// 0 when all came out right, else the number of the step that did not.
extern "C" fn main() -> i32 {
    let server = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 123);
    let now = |units: u64| NtpTimestamp::from_bits(black_box(3_900_000_000_u64 << 32) + units);
    let (request, pending) = ClientRequest::new(black_box(now(77))).start(server);
    let variables =
        ServerVariables { leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerVariables::default() };
    let Ok(request) = Request::parse(black_box(&request)) else { return 1 };
    let answer = AnswerTemplate::new(black_box(&variables)).answer(&request, now(1_000), now(1_010));
    let Ok(reply) = pending.accept(black_box(&answer), black_box(server), now(0), now(30)) else { return 2 };
    if reply.exchange.offset() != NtpDuration::from_bits(990) || reply.exchange.delay() != NtpDuration::from_bits(20) {
        return 3;
    }
    if reply.exchange.root_distance(Precision::from_log2(-24)) < NtpDuration::ZERO {
        return 4;
    }
    let mut buffer = [0; 128];
    let written = PacketWriter::new(black_box(&mut buffer), &Header::default())
        .and_then(|writer| writer.field(ExtensionType::UNIQUE_IDENTIFIER, black_box(&[7; 32])))
        .and_then(|writer| writer.mac(1, black_box(&[9; 16])));
    let Some(octets) = written.ok().and_then(|length| buffer.get(..length)) else { return 5 };
    let Ok(packet) = Packet::parse(black_box(octets)) else { return 6 };
    if packet.extensions().count() != 1 || packet.mac().map(|mac| mac.key_id) != Some(1) {
        return 7;
    }
    let Ok(lenient) = Packet::parse_lenient(black_box(octets)) else { return 8 };
    let Ok(reader) = Reader::new(black_box(octets)) else { return 9 };
    let fields = reader.filter(|part| matches!(part, Ok(Part::Field(_)))).count();
    if fields != 1 || !lenient.trailing().is_empty() {
        return 10;
    }
    monitor()
}

/// Mode 6, key files and the telling apart of formats.
fn monitor() -> i32 {
    let request = ControlHeader::request(Opcode::ReadVariables, black_box(7), 0);
    let mut memory = [0; 64];
    let mut answer = Assembly::new(&request, black_box(&mut memory));
    for (offset, has_more, text) in [(8, false, "b=\"1, 2\""), (0, true, "leap=0, ")] {
        let header = ControlHeader { is_response: true, has_more, offset: black_box(offset), ..request };
        let mut datagram = [0; 64];
        let Ok(length) = control::emit(&header, black_box(text.as_bytes()), black_box(&mut datagram)) else {
            return 11;
        };
        let Some(octets) = datagram.get(..length) else { return 12 };
        let Ok(Message::Control(packet)) = Message::parse(black_box(octets)) else { return 13 };
        if answer.handle(&packet).is_err() {
            return 14;
        }
        let mut again = [0; 64];
        if packet.emit(black_box(&mut again)) != Ok(length) || again != datagram {
            return 15;
        }
    }
    let Some(text) = answer.data() else { return 16 };
    if Variables::new(black_box(text)).get("b") != Some(b"1, 2") {
        return 17;
    }
    let file = b"# keys\n1 AES128 HEX:2b7e151628aed2a6abf7158809cf4f3c\n";
    let Some(entry) = Keys::new(black_box(Dialect::Chrony), black_box(file)).find(1) else { return 18 };
    if entry.secret.octets().next() != Some(0x2b) || entry.secret.octets().count() != 16 {
        return 19;
    }
    let mut octets = [0x2b; 52];
    octets[50] = 0;
    octets[51] = 4;
    let Ok(message) = Message::parse(black_box(&octets)) else { return 20 };
    if message.emit(black_box(&mut [0; 52])) != Ok(52) {
        return 21;
    }
    0
}
