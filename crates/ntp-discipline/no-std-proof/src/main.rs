//! Both engines set a clock that four sources measure, one of them wrong, without std, without an allocator, with its own
//! entry and panic handler.
//!
//! That it links is the proof for std and alloc: neither has a symbol here. It is one for panics too: the handler calls a
//! function that does not exist, so the linker refuses the program if any path to a panic is left in it; every method of
//! the engines and of the leap seconds is called with values that the compiler cannot know.
//! That it ends with 0 shows that it also works. `cargo run --release` here; Linux on x86-64 and aarch64.

#![no_std]
#![no_main]

// What a program without std begins and ends with, the same in every proof.
#[path = "../../../../.ci/no-std-no-panic.rs"]
mod no_panic;
#[path = "../../../../.ci/no-std-start.rs"]
mod start;

use core::hint::black_box;

use ntp_discipline::leap::{seconds_in_minute, vote, LeapAction, LeapArm, LeapList};
use ntp_discipline::{adaptive, rfc5905, Engine, Policy, Sample, ServerState, SourceOptions, Status};
use ntp_types::{
    Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Precision, RoundTrip, Stratum,
    UnixTime,
};

/// 0 when all came out right, else the number of the step that did not.
extern "C" fn main() -> i32 {
    let options = rfc5905::Options { huffpuff: black_box(true), ..rfc5905::Options::default() };
    let Ok(mut engine) = rfc5905::Engine::new(black_box(Policy::default()), black_box(options)) else { return 1 };
    if !steers(&mut engine, &mut [rfc5905::Source::default(); SOURCES]) {
        return 2;
    }
    let Ok(mut engine) = adaptive::Engine::<SOURCES>::new(black_box(Policy::default())) else { return 3 };
    if !steers(&mut engine, &mut [adaptive::Source::default(); SOURCES]) {
        return 4;
    }
    leaps()
}

const SOURCES: usize = 4;

/// Whether the engine steps a clock that is 350 ms behind, counts it as right afterwards, and bears all else.
fn steers<E: Engine>(engine: &mut E, sources: &mut [E::Source]) -> bool {
    engine.preset_frequency(black_box(Frequency::from_ppm(3)), black_box(Frequency::from_ppm(1)));
    for index in 0..SOURCES {
        engine.open(sources, black_box(index), black_box(SourceOptions::default()));
    }
    let mut behind = black_box(350_000_000_i64);
    let mut now = Instant::ZERO;
    for second in 0..4_000_u32 {
        let index = black_box(second as usize % SOURCES);
        let seen = behind + if index == 3 { 100_000_000 } else { 0 };
        let at = |nanos| NtpTimestamp::new(0xeb00_0000 + second, 0) + NtpDuration::from_nanos(nanos);
        let trip = RoundTrip { t1: at(0), t2: at(seen + 100_000), t3: at(seen + 100_000), t4: at(200_000) };
        let sent = Instant::from_nanos(u64::from(second) * 1_000_000_000);
        now = sent + core::time::Duration::from_micros(200);
        let server = ServerState { stratum: Stratum::PRIMARY, ..ServerState::default() };
        let sample = Sample::new(black_box(trip), Precision::default(), black_box(server), sent, now);
        engine.handle_poll(sources, index, black_box(0xfe), sent);
        let mut command = engine.handle_sample(sources, index, black_box(&sample), now).command;
        if engine.next_timeout().is_some_and(|due| due <= now) && command == ClockCommand::Hold {
            command = engine.handle_timeout(sources, now).command;
        }
        let done = match command {
            ClockCommand::Step { offset, frequency } => {
                behind -= offset.to_nanos();
                Applied { at: now, stepped: offset, frequency, slew_end: now, ..Applied::default() }
            }
            // As fast as that: nothing of it lasts until the next sample.
            ClockCommand::Slew { offset, frequency, .. } => {
                behind -= offset.to_nanos();
                Applied { at: now, stepped: offset, frequency, slew_end: now, ..Applied::default() }
            }
            ClockCommand::Hold => continue,
        };
        engine.handle_applied(sources, black_box(&done));
    }
    let good = behind.abs() < 1_000_000 && engine.system(sources, now).status == Status::Synchronized;
    engine.handle_leap(black_box(LeapIndicator::InsertSecond), now);
    engine.handle_discontinuity(sources, now);
    engine.reset(sources, black_box(1));
    engine.close(sources, black_box(2));
    let told = (0..=SOURCES).map(|index| (engine.source(sources, index, now).verdict, engine.poll(sources, index)));
    black_box(told.fold(0, |count, one| count + usize::from(black_box(one).0.is_survivor())));
    black_box((engine.system(sources, now), *engine.policy()));
    good
}

fn leaps() -> i32 {
    let text = black_box("#@ 3707596800\n3644697600 36\n3692217600 37\n");
    let Ok(list) = LeapList::parse(text) else { return 5 };
    let december = UnixTime::from_seconds(black_box(1_483_200_000));
    let Some(warning) = list.warning(december) else { return 6 };
    if list.tai_offset(december) != Some(36) || list.utc_of(black_box(1_483_228_836)) != Some((1_483_228_799, true)) {
        return 7;
    }
    let mut arm = LeapArm::new();
    let Some(LeapAction::Arm { leap, end }) = arm.handle_warning(vote(black_box([warning; 3])), december) else {
        return 8;
    };
    let start = UnixTime::from_seconds(black_box(end.seconds() - 60));
    if seconds_in_minute(start, leap, end) != 61 {
        return 9;
    }
    0
}
