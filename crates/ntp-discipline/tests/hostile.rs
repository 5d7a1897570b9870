//! Anything at all goes in; nothing forbidden comes out, and nothing ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test stops where it is wrong
#![allow(clippy::panic, clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // noise

mod world;

use std::time::Duration;

use ntp_discipline::engine::Engine as _;
use ntp_discipline::rfc5905::{Engine, Options, Source};
use ntp_discipline::{Decision, Policy, Sample, ServerState, SmearGuard, SourceOptions, Status, StepLimit, Verdict};
use ntp_types::{
    Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision,
    ReferenceId, RoundTrip, Stratum,
};
use world::{assert_numbers, Polls, Random};

/// Ten million where the compiler optimises, enough to walk every path where it does not.
const SAMPLES: u32 = if cfg!(debug_assertions) { 200_000 } else { 10_000_000 };

#[test]
fn nothing_forbidden_comes_out_of_anything() {
    let mut random = Random(42);
    let mut seen = Seen::default();
    let mut left = SAMPLES;
    while left > 0 {
        left -= run(&mut random, left.min(500), &mut seen);
    }
    // The noise reaches every kind of answer.
    let Seen { steps, slews, refusals, .. } = seen;
    assert!(steps > SAMPLES / 2_000 && slews > SAMPLES / 100 && refusals > SAMPLES / 100, "{steps} {slews} {refusals}");
}

/// Every decision on the same trace, to the bit, whatever the optimiser and the machine.
#[test]
fn the_same_trace_gives_the_same_bits_everywhere() {
    let mut random = Random(7);
    let mut seen = Seen::default();
    for _ in 0..20 {
        run(&mut random, 500, &mut seen);
    }
    assert_eq!(format!("{:016x}", seen.digest), "44854cbcf22d7477");
}

#[derive(Default)]
struct Seen {
    digest: u64,
    steps: u32,
    slews: u32,
    refusals: u32,
}

fn run(random: &mut Random, samples: u32, seen: &mut Seen) -> u32 {
    let policy = policy(random);
    let mut engine = Engine::new(policy, Options { huffpuff: random.bits() & 1 == 0, ..Options::default() }).unwrap();
    let mut sources = vec![Source::default(); 1 + random.bits() as usize % 9];
    let mut now = random.bits() >> (8 + random.bits() % 56);
    let mut corrections = 0;
    let mut truth = 0;
    for index in 0..sources.len() {
        let options = SourceOptions {
            min_poll: Poll::from_log2((random.bits() % 12) as i8 - 4),
            max_poll: Poll::from_log2((random.bits() % 18) as i8),
            prefer: random.bits() % 8 == 0,
            no_select: random.bits() % 8 == 0,
            smeared: [None, Some(true), Some(false)][random.bits() as usize % 3],
        };
        engine.open(&mut sources, index, options);
    }
    let mut polls = Polls::default();
    polls.ask(&engine, &sources);
    if random.bits() % 4 == 0 {
        engine.preset_frequency(Frequency::from_bits(random.bits() as i64), Frequency::ZERO);
    }
    for _ in 0..samples {
        now = now.saturating_add(random.bits() % (1 << (20 + random.bits() % 17)));
        if random.bits() % 128 == 0 {
            now = now.saturating_add(random.bits() % (1 << (random.bits() % 52)));
        }
        if random.bits() % 64 == 0 {
            truth = random.bits() as i64 >> (random.bits() % 48);
        }
        let at = Instant::from_nanos(now);
        let index = random.bits() as usize % (sources.len() + 1);
        let mut is_sample = true;
        let decision = match random.bits() % 16 {
            0 => {
                engine.handle_poll(&mut sources, index, random.bits() as u8, at);
                continue;
            }
            1 => {
                is_sample = false;
                engine.handle_timeout(&mut sources, at)
            }
            2 => {
                engine.handle_leap(LeapIndicator::from_bits(random.bits() as u8), at);
                continue;
            }
            3 if random.bits() % 16 == 0 => {
                engine.reset(&mut sources, index);
                continue;
            }
            4 if random.bits() % 16 == 0 => {
                engine.handle_applied(&mut sources, &anything_applied(random, at));
                continue;
            }
            5 if random.bits() % 64 == 0 => {
                engine.handle_discontinuity(&mut sources, at);
                assert_eq!(engine.system(&sources, at).status, Status::Unsynchronized);
                polls.ask(&engine, &sources);
                corrections = 0;
                continue;
            }
            _ => {
                let sample = sample(random, truth, now);
                engine.handle_sample(&mut sources, index, &sample, at)
            }
        };
        seen.steps += u32::from(matches!(decision.command, ClockCommand::Step { .. }));
        seen.slews += u32::from(matches!(decision.command, ClockCommand::Slew { .. }));
        seen.refusals += u32::from(decision.refused.is_some());
        seen.digest = decision_bits(&decision).fold(seen.digest, |digest, bits| Random(digest ^ bits).bits());
        check_command(&decision.command, &policy, corrections);
        if is_sample && decision.command != ClockCommand::Hold {
            corrections += 1;
        }
        // A clock that does as told, one that is told in vain, and one that does half.
        match random.bits() % 4 {
            0 => {}
            1 => engine.handle_applied(&mut sources, &applied(&decision.command, at, 2)),
            _ => engine.handle_applied(&mut sources, &applied(&decision.command, at, 1)),
        }
        polls.ask_one(&engine, &sources, index);
        polls.check(&engine, &sources, &decision);
        check_readings(&engine, &sources, at);
    }
    assert_numbers(&engine, &sources);
    samples
}

fn decision_bits(decision: &Decision) -> impl Iterator<Item = u64> {
    let (offset, nanos, frequency) = match decision.command {
        ClockCommand::Hold => (0, 0, 0),
        ClockCommand::Step { offset, frequency } => (offset.to_bits(), 1, frequency.to_bits()),
        ClockCommand::Slew { offset, duration, frequency } => {
            (offset.to_bits(), duration.as_nanos() as u64, frequency.to_bits())
        }
    };
    [offset as u64, nanos, frequency as u64, decision.poll.log2() as u64].into_iter()
}

fn check_command(command: &ClockCommand, policy: &Policy, corrections: u32) {
    match *command {
        ClockCommand::Hold => {}
        ClockCommand::Step { offset, frequency } => {
            assert!(offset.abs() > policy.step_threshold);
            assert!(corrections < policy.panic_after || offset.abs() <= policy.panic_threshold, "{offset}");
            assert!(corrections < policy.maximum_change_after || offset.abs() <= policy.maximum_change.max(second()));
            match policy.step_limit {
                StepLimit::Never => panic!("a step"),
                StepLimit::First(limit) => assert!(corrections < limit),
                StepLimit::Always => {}
            }
            assert!(frequency.abs() <= policy.maximum_frequency);
        }
        ClockCommand::Slew { offset, duration, frequency } => {
            assert!(frequency.abs() <= policy.maximum_frequency);
            assert!(policy.maximum_slew_rate.over(duration) + NtpDuration::from_bits(1) >= offset.abs());
        }
    }
}

/// A second with the step threshold on it: what a leap exempts.
fn second() -> NtpDuration {
    NtpDuration::SECOND + Policy::default().step_threshold
}

fn check_readings(engine: &Engine, sources: &[Source], at: Instant) {
    let system = engine.system(sources, at);
    assert!(!system.bound.is_negative() && !system.root_dispersion.is_negative() && !system.jitter.is_negative());
    assert!(system.frequency.abs() <= engine.policy().maximum_frequency);
    for index in 0..=sources.len() {
        let source = engine.source(sources, index, at);
        assert!(!source.root_distance.is_negative() && !source.jitter.is_negative());
        assert_eq!(source.verdict == Verdict::Vacant, index == sources.len());
    }
    if let Some(peer) = system.system_peer {
        assert!(peer < sources.len());
    }
}

fn policy(random: &mut Random) -> Policy {
    Policy {
        step_limit: [StepLimit::Never, StepLimit::First(2), StepLimit::Always][random.bits() as usize % 3],
        stepout: Duration::from_secs(random.bits() % 1_000),
        panic_after: (random.bits() % 3) as u32,
        maximum_change: NtpDuration::from_seconds((random.bits() % 2_000) as i32),
        maximum_change_after: (random.bits() % 3) as u32,
        smear: [SmearGuard::Unsmeared, SmearGuard::Smeared, SmearGuard::Majority][random.bits() as usize % 3],
        maximum_slew_rate: Frequency::from_ppm(1 + (random.bits() % 100_000) as i32),
        ..Policy::default()
    }
}

/// Mostly what an honest exchange over `truth` gives, sometimes anything at all.
fn sample(random: &mut Random, truth: i64, now: u64) -> Sample {
    let base = NtpTimestamp::from_bits(random.bits());
    let after = |bits: i64| base.wrapping_add(NtpDuration::from_bits(bits));
    let honest = random.bits() % 16 != 0;
    let trip = if honest {
        let (up, down) = ((random.bits() >> 36) as i64, (random.bits() >> 36) as i64);
        let server = after(truth.wrapping_add(up));
        RoundTrip { t1: base, t2: server, t3: server, t4: after(up + down) }
    } else {
        let mut stamp = || after(random.bits() as i64 >> (random.bits() % 64));
        RoundTrip { t1: stamp(), t2: stamp(), t3: stamp(), t4: stamp() }
    };
    let shift = if honest { 20 } else { random.bits() % 32 };
    let server = ServerState {
        leap: LeapIndicator::from_bits(if honest { random.bits() as u8 % 3 } else { random.bits() as u8 }),
        stratum: Stratum::from_bits(if honest { 1 + (random.bits() % 15) as u8 } else { random.bits() as u8 }),
        precision: Precision::from_log2(if honest { -20 } else { random.bits() as i8 }),
        root_delay: NtpShort::from_bits((random.bits() as u32) >> shift),
        root_dispersion: NtpShort::from_bits((random.bits() as u32) >> shift),
        reference_id: ReferenceId::from_bytes((random.bits() as u32).to_be_bytes()),
    };
    let sent = now.saturating_sub(random.bits() % (1 << (random.bits() % 32)));
    let own = Precision::from_log2(if honest { -24 } else { random.bits() as i8 });
    Sample::new(trip, own, server, Instant::from_nanos(sent), Instant::from_nanos(now))
}

fn applied(command: &ClockCommand, at: Instant, share: i64) -> Applied {
    match *command {
        ClockCommand::Hold => Applied { at, slew_end: at, ..Applied::default() },
        ClockCommand::Step { offset, frequency } => Applied {
            at,
            stepped: NtpDuration::from_bits(offset.to_bits() / share),
            frequency,
            slew_end: at,
            ..Applied::default()
        },
        ClockCommand::Slew { offset, duration, frequency } => {
            let seconds = duration.as_secs_f64().max(1e-9);
            let slew_rate = Frequency::from_ratio(offset.to_seconds_f64() / seconds);
            Applied { at, frequency, slew_rate, slew_end: at + duration / share as u32, ..Applied::default() }
        }
    }
}

fn anything_applied(random: &mut Random, at: Instant) -> Applied {
    Applied {
        at: if random.bits() & 1 == 0 { at } else { Instant::from_nanos(random.bits()) },
        stepped: NtpDuration::from_bits(random.bits() as i64),
        frequency: Frequency::from_bits(random.bits() as i64),
        slew_rate: Frequency::from_bits(random.bits() as i64),
        slew_end: Instant::from_nanos(random.bits()),
    }
}
