//! Both engines set a clock from four samples, without std, without an allocator, with its own entry and panic handler.
//!
//! That it links is the proof: neither std nor an allocator has a symbol here. That it ends with 0 shows that it also works.
//! `cargo run --release` here; Linux on x86-64 and aarch64.

#![no_std]
#![no_main]

use core::hint::black_box;

use ntp_discipline::leap::LeapList;
use ntp_discipline::{adaptive, rfc5905, Engine, Policy, Sample, ServerState, SourceOptions, Status};
use ntp_types::{
    Applied, ClockCommand, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Precision, RoundTrip, Stratum, UnixTime,
};

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

/// Ends the program by an illegal instruction, so that whoever runs it sees it fail.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the instruction has no operands and does not return.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!("ud2", options(noreturn));
        #[cfg(target_arch = "aarch64")]
        core::arch::asm!("udf 0", options(noreturn));
    }
}

/// Named by the compiler's own 128-bit division, which is built to unwind; nothing here unwinds.
#[no_mangle]
extern "C" fn rust_eh_personality() {}

/// 0 when all came out right, else the number of the step that did not.
extern "C" fn main() -> i32 {
    let Ok(mut engine) = rfc5905::Engine::new(black_box(Policy::default()), rfc5905::Options::default()) else {
        return 1;
    };
    let mut sources = [rfc5905::Source::default(), rfc5905::Source::default()];
    if !steers(&mut engine, &mut sources) {
        return 2;
    }
    let Ok(mut engine) = adaptive::Engine::<2>::new(black_box(Policy::default())) else { return 3 };
    let mut sources = [adaptive::Source::default(), adaptive::Source::default()];
    if !steers(&mut engine, &mut sources) {
        return 4;
    }
    let text = black_box("#@ 3707596800\n3644697600 36\n3692217600 37\n");
    let Ok(list) = LeapList::parse(text) else { return 5 };
    let december = UnixTime::from_seconds(black_box(1_482_000_000));
    if list.warning(december) != Some(LeapIndicator::InsertSecond) {
        return 6;
    }
    0
}

/// Whether the engine steps a clock that is 350 ms behind, and counts it as right afterwards.
fn steers<E: Engine>(engine: &mut E, sources: &mut [E::Source]) -> bool {
    let server = ServerState { stratum: Stratum::PRIMARY, ..ServerState::default() };
    engine.open(sources, 0, SourceOptions::default());
    let mut behind = black_box(350_000_000_i64);
    let mut now = Instant::ZERO;
    for second in 0..2_000_u32 {
        let at = |nanos| NtpTimestamp::new(0xeb00_0000 + second, 0) + NtpDuration::from_nanos(nanos);
        let trip = RoundTrip { t1: at(0), t2: at(behind + 100_000), t3: at(behind + 100_000), t4: at(200_000) };
        let sent = Instant::from_nanos(u64::from(second) * 1_000_000_000);
        now = sent + core::time::Duration::from_micros(200);
        let sample = Sample::new(black_box(trip), Precision::default(), server, sent, now);
        engine.handle_poll(sources, 0, 0xfe, sent);
        if let ClockCommand::Step { offset, frequency } = engine.handle_sample(sources, 0, &sample, now).command {
            behind -= offset.to_nanos();
            let done = Applied { at: now, stepped: offset, frequency, slew_end: now, ..Applied::default() };
            engine.handle_applied(sources, &done);
        }
    }
    behind.abs() < 1_000 && engine.system(sources, now).status == Status::Synchronized
}
