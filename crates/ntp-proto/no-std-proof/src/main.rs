//! One exchange between a client and a server, without std, without an allocator, with its own entry and panic handler.
//!
//! That it links is the proof for std and alloc: neither has a symbol here. It is one for panics too: the handler calls a
//! function that does not exist, so the linker refuses the program if any path to a panic is left in it.
//! That it ends with 0 shows that it also works. `cargo run --release` here; Linux on x86-64 and aarch64.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use ntp_proto::{
    AnswerTemplate, ClientRequest, ExtensionType, Header, Packet, PacketWriter, Part, Reader, Request, ServerVariables,
};
use ntp_types::{LeapIndicator, NtpDuration, NtpTimestamp, Precision, Stratum};

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start: xor ebp, ebp",
    "and rsp, -16",
    "call {main}",
    "mov edi, eax",
    "mov eax, 60", // exit
    "syscall",
    main = sym main
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start: bl {main}",
    "mov x8, 93", // exit
    "svc 0",
    main = sym main
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    extern "C" {
        fn a_path_to_a_panic_is_left() -> !;
    }
    // SAFETY: never called: the program does not link while anything reaches this.
    unsafe { a_path_to_a_panic_is_left() }
}

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
    0
}
