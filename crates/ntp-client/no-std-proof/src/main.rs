//! The client sets a clock by the server's answers, both without std, with an allocator of a few lines, their own entry and
//! panic handler.
//!
//! That it links is the proof for std: it has no symbol here. That it ends with 0 shows that it also works.
//! `cargo run --release` here; Linux on x86-64 and aarch64.

#![no_std]
#![no_main]

#[path = "../../../../.ci/no-std-start.rs"]
mod start;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::hint::black_box;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use ntp_client::{SourceConfig, System, SystemConfig};
use ntp_discipline::{adaptive, Policy, Status};
use ntp_server::{Outcome, Server, ServerClock};
use ntp_types::{Applied, ClockCommand, Instant, NtpDuration, NtpTimestamp, Precision, Stratum};

/// 0 when all came out right, else the number of the step that did not.
extern "C" fn main() -> i32 {
    let Ok(engine) = adaptive::Engine::<4>::new(black_box(Policy::default())) else { return 1 };
    let mut system = System::new(engine, SystemConfig::default());
    let (mut now, mut clock) = (Instant::ZERO, NtpTimestamp::new(black_box(3_900_000_000), 0));
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 123);
    if system.add_source(address, SourceConfig { iburst: true, ..SourceConfig::default() }, now).is_err() {
        return 2;
    }
    let mut server = Server::new(ServerClock::local(Stratum::PRIMARY, Precision::from_log2(-24)));
    let (mut ahead, mut nonce) = (NtpDuration::from_nanos(black_box(500_000_000)), 0x1122_3344_5566_7788);
    let way = Duration::from_millis(10);
    for _ in 0..20 {
        nonce += 1;
        if let Some(transmit) = system.poll_transmit(now, clock, nonce) {
            let (there, mut answer) = (clock + NtpDuration::from_std(way) + ahead, [0; 48]);
            let outcome = server.respond(transmit.request.bytes(), address, there, there, now, &mut answer);
            if !matches!(outcome, Outcome::Response { length: 48, .. }) {
                return 3;
            }
            (now, clock) = (now + way * 2, clock + NtpDuration::from_std(way * 2));
            if system.handle_datagram(&answer, address, clock, now).is_err() {
                return 4;
            }
        }
        match system.poll_command() {
            Some(ClockCommand::Step { offset, frequency }) => {
                (clock, ahead) = (clock + offset, ahead - offset);
                let done = Applied { at: now, stepped: offset, frequency, slew_end: now, ..Applied::default() };
                system.handle_applied(&done);
            }
            Some(ClockCommand::Slew { .. } | ClockCommand::Hold) | None => {}
        }
        let Some(next) = system.next_timeout() else { return 5 };
        (now, clock) = (now.max(next), clock + NtpDuration::from_std(next.since(now)));
        system.handle_timeout(now);
    }
    let snapshot = system.snapshot(now);
    let Some(source) = snapshot.sources.first() else { return 6 };
    if ahead.abs() > NtpDuration::from_nanos(1_000) || snapshot.system.status != Status::Synchronized {
        return 7;
    }
    i32::from(source.reach.answered() != 8) * 8
}

/// Memory that is given out and never taken back.
struct Heap {
    octets: UnsafeCell<[u8; 1 << 20]>,
    used: AtomicUsize,
}

// SAFETY: every octet is given out once, as counted by an atomic.
unsafe impl Sync for Heap {}

// SAFETY: what is given out lies within the octets, as aligned as asked for, and overlaps nothing else.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.octets.get().cast::<u8>();
        let room = layout.size() + layout.align();
        let from = self.used.fetch_add(room, Ordering::Relaxed);
        if from + room > 1 << 20 {
            return core::ptr::null_mut();
        }
        let from = start.wrapping_add(from);
        from.wrapping_add(from.align_offset(layout.align()))
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: Heap = Heap { octets: UnsafeCell::new([0; 1 << 20]), used: AtomicUsize::new(0) };

/// An allocator's failure is a path to it that a collection cannot be without.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
