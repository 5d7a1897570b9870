//! Both engines: whatever samples, polls, readings of the clock and instants come, nothing the policy forbids comes out.

use std::fmt::Debug;
use std::time::Duration;

use ntp_discipline::{
    adaptive, rfc5905, Decision, Engine, Policy, Sample, ServerState, SmearGuard, SourceOptions, StepLimit, Verdict,
};
use ntp_types::{
    Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision,
    ReferenceId, RoundTrip, Stratum,
};

const SOURCES: usize = 4;

/// Octets one after the other; zeros when there are no more.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        for place in &mut taken {
            if let Some((first, rest)) = self.0.split_first() {
                *place = *first;
                self.0 = rest;
            }
        }
        taken
    }

    fn octet(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn word(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn signed(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }

    fn long(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }
}

/// Reads `data` as a policy and a run of events, and tells them to one engine or the other.
pub fn discipline(data: &[u8]) {
    let mut octets = Octets(data);
    let choice = octets.octet();
    let policy = policy(&mut octets);
    if choice & 1 == 0 {
        let options = rfc5905::Options { huffpuff: choice & 2 != 0, ..rfc5905::Options::default() };
        run(rfc5905::Engine::new(policy, options).expect("a valid policy"), &policy, octets, data);
    } else {
        run(adaptive::Engine::<SOURCES>::new(policy).expect("a valid policy"), &policy, octets, data);
    }
}

fn policy(octets: &mut Octets<'_>) -> Policy {
    let [steps, panic, change, smear, slew, stepout, ..] = octets.take::<6>();
    Policy {
        step_limit: match steps % 3 {
            0 => StepLimit::Always,
            1 => StepLimit::First(u32::from(steps / 3)),
            _ => StepLimit::Never,
        },
        panic_after: u32::from(panic % 3),
        maximum_change: NtpDuration::from_seconds(if change == 0 { i32::MAX } else { i32::from(change) }),
        smear: [SmearGuard::Unsmeared, SmearGuard::Smeared, SmearGuard::Majority][usize::from(smear % 3)],
        maximum_slew_rate: Frequency::from_ppm(1 + 300 * i32::from(slew)),
        stepout: Duration::from_secs(u64::from(stepout) * 4),
        ..Policy::default()
    }
}

fn run<E: Engine<Source: Debug> + Debug>(mut engine: E, policy: &Policy, mut octets: Octets<'_>, data: &[u8]) {
    let mut sources: Vec<E::Source> = (0..SOURCES).map(|_| E::Source::default()).collect();
    let mut now = 0_u64;
    let mut corrections = 0;
    let options = SourceOptions { min_poll: Poll::MIN, ..SourceOptions::default() };
    for index in 0..SOURCES {
        engine.open(&mut sources, index, options);
    }
    while !octets.0.is_empty() {
        let what = octets.octet();
        let index = usize::from(what >> 4) % (SOURCES + 1);
        // Up to half a day on.
        now = now.saturating_add(u64::from(octets.word()) * 10_000);
        let at = Instant::from_nanos(now);
        let decision = match what & 7 {
            0..=2 => {
                let sample = honest(&mut octets, at);
                engine.handle_sample(&mut sources, index, &sample, at)
            }
            3 => {
                let sample = anything(&mut octets, at);
                engine.handle_sample(&mut sources, index, &sample, at)
            }
            4 => {
                engine.handle_poll(&mut sources, index, octets.octet(), at);
                continue;
            }
            5 => engine.handle_timeout(&mut sources, at),
            6 => {
                let applied = Applied {
                    at: Instant::from_nanos(octets.long()).min(at),
                    stepped: NtpDuration::from_bits(octets.signed()),
                    frequency: Frequency::from_bits(octets.signed()),
                    slew_rate: Frequency::from_bits(octets.signed()),
                    slew_end: Instant::from_nanos(octets.long()),
                };
                engine.handle_applied(&mut sources, &applied);
                continue;
            }
            _ => {
                match octets.octet() % 6 {
                    0 => engine.reset(&mut sources, index),
                    1 => engine.close(&mut sources, index),
                    2 => engine.open(&mut sources, index, options),
                    3 => engine
                        .preset_frequency(Frequency::from_bits(octets.signed()), Frequency::from_bits(octets.signed())),
                    4 => {
                        engine.handle_discontinuity(&mut sources, at);
                        corrections = 0;
                    }
                    _ => engine.handle_leap(LeapIndicator::from_bits(octets.octet()), at),
                }
                continue;
            }
        };
        check(&decision, policy, corrections);
        let is_correction = what & 7 != 5 && decision.command != ClockCommand::Hold;
        corrections += u32::from(is_correction);
        if what & 8 == 0 {
            engine.handle_applied(&mut sources, &applied(&decision.command, at));
        }
        check_readings(&engine, &sources, at);
    }
    crate::assert_numbers(data, &(engine, sources));
}

/// An exchange whose times are near each other, and a server in good health.
fn honest(octets: &mut Octets<'_>, at: Instant) -> Sample {
    let offset = octets.signed();
    let [up, down] = [octets.word(), octets.word()].map(i64::from);
    let t1 = NtpTimestamp::from_bits(0xeb00_0000 << 32);
    let server = t1.wrapping_add(NtpDuration::from_bits(offset)).wrapping_add(NtpDuration::from_bits(up));
    let trip = RoundTrip { t1, t2: server, t3: server, t4: t1.wrapping_add(NtpDuration::from_bits(up + down)) };
    let state = ServerState { stratum: Stratum::PRIMARY, ..ServerState::default() };
    Sample::new(trip, Precision::default(), state, at.saturating_sub(trip.elapsed().unsigned_abs()), at)
}

fn anything(octets: &mut Octets<'_>, at: Instant) -> Sample {
    let mut stamp = || NtpTimestamp::from_bytes(octets.take());
    let trip = RoundTrip { t1: stamp(), t2: stamp(), t3: stamp(), t4: stamp() };
    let [leap, stratum, server, own] = octets.take();
    let state = ServerState {
        leap: LeapIndicator::from_bits(leap),
        stratum: Stratum::from_bits(stratum),
        precision: Precision::from_log2(i8::from_be_bytes([server])),
        root_delay: NtpShort::from_bits(octets.word()),
        root_dispersion: NtpShort::from_bits(octets.word()),
        reference_id: ReferenceId::from_bytes(octets.take()),
    };
    let sent = Instant::from_nanos(octets.long()).min(at);
    Sample::new(trip, Precision::from_log2(i8::from_be_bytes([own])), state, sent, at)
}

fn check(decision: &Decision, policy: &Policy, corrections: u32) {
    match decision.command {
        ClockCommand::Hold => {}
        ClockCommand::Step { offset, frequency } => {
            assert!(offset.abs() > policy.step_threshold, "a step of {offset} within the threshold");
            assert!(corrections < policy.panic_after || offset.abs() <= policy.panic_threshold, "a panic: {offset}");
            let leap = NtpDuration::SECOND + policy.step_threshold;
            assert!(offset.abs() <= policy.maximum_change.max(leap), "too large a change: {offset}");
            match policy.step_limit {
                StepLimit::Never => panic!("a step where none is allowed"),
                StepLimit::First(limit) => assert!(corrections < limit, "a step too late"),
                StepLimit::Always => {}
            }
            assert!(frequency.abs() <= policy.maximum_frequency);
        }
        ClockCommand::Slew { offset, duration, frequency } => {
            assert!(frequency.abs() <= policy.maximum_frequency);
            let most = policy.maximum_slew_rate.over(duration) + NtpDuration::from_bits(1);
            assert!(offset.abs() <= most, "{offset} in {duration:?}");
        }
    }
}

fn check_readings<E: Engine>(engine: &E, sources: &[E::Source], at: Instant) {
    let system = engine.system(sources, at);
    for span in [system.bound, system.root_delay, system.root_dispersion, system.jitter] {
        assert!(!span.is_negative(), "{system:?}");
    }
    if let Some(peer) = system.system_peer {
        assert!(peer < SOURCES);
    }
    for index in 0..=SOURCES {
        let source = engine.source(sources, index, at);
        for span in [source.delay, source.jitter, source.bound, source.root_distance] {
            assert!(!span.is_negative(), "{source:?}");
        }
        assert!(index < SOURCES || source.verdict == Verdict::Vacant);
    }
}

/// What a clock does that does as it is told.
fn applied(command: &ClockCommand, at: Instant) -> Applied {
    match *command {
        ClockCommand::Hold => Applied { at, slew_end: at, ..Applied::default() },
        ClockCommand::Step { offset, frequency } => {
            Applied { at, stepped: offset, frequency, slew_end: at, ..Applied::default() }
        }
        ClockCommand::Slew { offset, duration, frequency } => {
            let rate = offset.to_seconds_f64() / duration.as_secs_f64().max(1e-9);
            Applied {
                at,
                frequency,
                slew_rate: Frequency::from_ratio(rate),
                slew_end: at + duration,
                ..Applied::default()
            }
        }
    }
}
