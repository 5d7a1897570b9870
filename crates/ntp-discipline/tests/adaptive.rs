//! The adaptive engine under hostile input, and what it promises its caller.

#![allow(clippy::unwrap_used)] // a test stops at a fault
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // random bits

use std::time::Duration;

mod world;

use ntp_discipline::{
    adaptive, Decision, Engine, Policy, Sample, ServerState, SourceOptions, Status, StepLimit, Verdict,
};
use ntp_types::{
    Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Poll, Precision, ReferenceId,
    RoundTrip, Stratum,
};

use world::{assert_numbers, instant, Clock, Polls, Server, World};

const SOURCES: usize = 4;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number whose size is spread over all magnitudes, of either sign.
    fn wild(&mut self) -> i64 {
        let shift = self.bits() % 64;
        (self.bits() >> shift) as i64
    }
}

/// An engine, its sources, and a clock that does what it is told, late, partly or not at all.
struct Bench {
    engine: adaptive::Engine<SOURCES>,
    sources: [adaptive::Source; SOURCES],
    now: Instant,
    applied: Applied,
    polls: Polls,
}

impl Bench {
    fn new(policy: Policy) -> Self {
        let mut engine = adaptive::Engine::new(policy).unwrap();
        let mut sources = [adaptive::Source::default(); SOURCES];
        for index in 0..SOURCES {
            engine.open(&mut sources, index, SourceOptions::default());
        }
        let mut polls = Polls::default();
        polls.ask(&engine, &sources);
        Self { engine, sources, now: Instant::from_nanos(1_000_000_000), applied: Applied::default(), polls }
    }

    fn sample(&mut self, index: usize, offset: NtpDuration, delay: NtpDuration, server: ServerState) -> Decision {
        let t1 = NtpTimestamp::new(4_000_000_000, 0);
        let trip = RoundTrip { t1, t2: t1 + offset + delay.half(), t3: t1 + offset + delay.half(), t4: t1 + delay };
        let waited = delay.to_std().unwrap_or_default().min(Duration::from_secs(10));
        let sample = Sample::new(trip, Precision::from_log2(-26), server, self.now, self.now + waited);
        self.now += waited;
        self.engine.handle_poll(&mut self.sources, index, 0xff, self.now);
        let decision = self.engine.handle_sample(&mut self.sources, index, &sample, self.now);
        self.polls.ask_one(&self.engine, &self.sources, index);
        self.polls.check(&self.engine, &self.sources, &decision);
        decision
    }

    fn apply(&mut self, command: ClockCommand) {
        let at = self.now;
        let applied = match command {
            ClockCommand::Hold => return,
            ClockCommand::Step { offset, frequency } => {
                Applied { at, stepped: offset, frequency, slew_rate: Frequency::ZERO, slew_end: at }
            }
            ClockCommand::Slew { offset, duration, frequency } => {
                let rate = offset.to_seconds_f64() / duration.as_secs_f64().max(1e-9);
                let slew_rate = Frequency::from_ratio(rate);
                Applied { at, stepped: NtpDuration::ZERO, frequency, slew_rate, slew_end: at + duration }
            }
        };
        self.applied = applied;
        self.engine.handle_applied(&mut self.sources, &applied);
    }
}

fn good() -> ServerState {
    ServerState { leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerState::default() }
}

fn millis(millis: f64) -> NtpDuration {
    NtpDuration::from_seconds_f64(millis * 1e-3)
}

/// What the policy forbids must not come out, whatever goes in.
fn assert_allowed(decision: &Decision, policy: &Policy, corrections: u32) {
    let frequency = match decision.command {
        ClockCommand::Hold => return,
        ClockCommand::Step { offset, frequency } => {
            assert!(offset.abs() > policy.step_threshold, "a step of {offset} s below the threshold");
            assert!(
                corrections <= policy.panic_after || offset.abs() <= policy.panic_threshold,
                "beyond panic: {offset}"
            );
            if let StepLimit::First(limit) = policy.step_limit {
                assert!(corrections < limit, "step number {corrections}");
            }
            assert_ne!(policy.step_limit, StepLimit::Never);
            frequency
        }
        ClockCommand::Slew { offset, duration, frequency } => {
            let rate = offset.abs().to_seconds_f64() / duration.as_secs_f64().max(1e-9);
            assert!(rate <= policy.maximum_slew_rate.to_ratio() * 1.000_001, "slew of {offset} s in {duration:?}");
            frequency
        }
    };
    assert!(frequency.abs() <= policy.maximum_frequency, "{frequency:?}");
}

fn hostile(samples: u64, seed: u64) {
    let mut random = Random(seed);
    let policy = Policy { step_limit: StepLimit::First(3), panic_after: 1, ..Policy::default() };
    let mut bench = Bench::new(policy);
    let mut corrections = 0;
    for count in 0..samples {
        // Mostly a network that makes sense, so that there is something to spoil.
        let sane = random.bits() % 4 > 0;
        let (offset, delay) = if sane {
            let jitter = NtpDuration::from_bits(random.wild() >> 40);
            (jitter, millis(20.0) + jitter.abs())
        } else {
            (NtpDuration::from_bits(random.wild()), NtpDuration::from_bits(random.wild()))
        };
        let server = if random.bits() % 8 == 0 {
            let bits = random.bits().to_be_bytes();
            ServerState {
                leap: LeapIndicator::from_bits(bits[0]),
                stratum: Stratum::from_bits(bits[1] % 20),
                root_delay: ntp_types::NtpShort::from_bits(random.wild() as u32),
                root_dispersion: ntp_types::NtpShort::from_bits(random.wild() as u32),
                reference_id: ReferenceId::from_bytes([254, bits[2], bits[3], bits[4]]),
                ..ServerState::default()
            }
        } else {
            good()
        };
        let index = random.bits() as usize % (SOURCES + 1);
        let decision = bench.sample(index, offset, delay, server);
        assert_allowed(&decision, &policy, corrections);
        corrections += u32::from(decision.command != ClockCommand::Hold);
        match random.bits() % 64 {
            0 => {} // refused: nothing is told
            1 => bench.engine.reset(&mut bench.sources, index),
            2 => bench.engine.close(&mut bench.sources, index),
            3..=5 => bench.engine.open(&mut bench.sources, index, SourceOptions::default()),
            6 => bench.apply(ClockCommand::Step {
                offset: NtpDuration::from_bits(random.wild()),
                frequency: Frequency::from_bits(random.wild()),
            }),
            7 => {
                bench.engine.handle_discontinuity(&mut bench.sources, bench.now);
                assert_eq!(bench.engine.system(&bench.sources, bench.now).status, Status::Unsynchronized);
                corrections = 0;
                bench.polls.ask(&bench.engine, &bench.sources);
            }
            _ => bench.apply(decision.command),
        }
        bench.polls.ask_one(&bench.engine, &bench.sources, index);
        // Hours, seconds, nothing; and the raw clock of a machine that is up for centuries.
        let ahead = random.bits() >> (random.bits() % 48 + 14);
        bench.now += Duration::from_nanos(ahead);
        if count % 64 == 0 {
            let system = bench.engine.system(&bench.sources, bench.now);
            assert!(!system.bound.is_negative() && !system.jitter.is_negative(), "{system:?}");
            for index in 0..=SOURCES {
                let source = bench.engine.source(&bench.sources, index, bench.now);
                assert!(!source.bound.is_negative() && !source.jitter.is_negative(), "{source:?}");
                assert!(bench.engine.poll(&bench.sources, index) <= Poll::DEFAULT_MAX);
            }
        }
        if count % 5_000 == 4_999 {
            assert_numbers(&bench.engine, &bench.sources);
            bench = Bench::new(policy);
            corrections = 0;
        }
    }
}

/// Ten million where the compiler optimises, enough to walk every path where it does not.
#[test]
fn hostile_samples_bring_no_panic_and_no_command_the_policy_forbids() {
    hostile(if cfg!(debug_assertions) { 100_000 } else { 10_000_000 }, 1);
}

#[test]
fn a_lone_source_is_followed_and_lost_time_decays_to_holdover_and_to_nothing() {
    let policy = Policy { maximum_holdover: Duration::from_secs(7_200), ..Policy::default() };
    let mut bench = Bench::new(policy);
    for index in 1..SOURCES {
        bench.engine.close(&mut bench.sources, index);
    }
    assert_eq!(bench.engine.system(&bench.sources, bench.now).status, Status::Unsynchronized);
    for _ in 0..40 {
        let decision = bench.sample(0, NtpDuration::ZERO, millis(10.0), good());
        bench.apply(decision.command);
        bench.now += decision.poll.interval();
    }
    let at = |bench: &Bench, seconds| bench.engine.system(&bench.sources, bench.now + Duration::from_secs(seconds));
    let system = at(&bench, 0);
    assert_eq!(
        (system.status, system.system_peer, system.stratum),
        (Status::Synchronized, Some(0), Stratum::from_bits(2))
    );
    assert!(system.bound < millis(30.0));
    assert_eq!(bench.engine.source(&bench.sources, 0, bench.now).verdict, Verdict::SystemPeer);
    let later = at(&bench, 5_400);
    assert_eq!((later.status, later.stratum), (Status::Holdover, Stratum::from_bits(2)));
    assert!(later.bound > system.bound && later.root_dispersion > system.root_dispersion);
    let lost = at(&bench, 10_000);
    assert_eq!((lost.status, lost.leap), (Status::Unsynchronized, LeapIndicator::Unsynchronized));
    assert_eq!(lost.stratum, Stratum::UNSYNCHRONIZED);
}

#[test]
fn a_minority_never_wins_and_no_majority_is_said() {
    let mut bench = Bench::new(Policy::default());
    bench.engine.close(&mut bench.sources, 3);
    let offsets = [0.0, 200.0, 0.0];
    for round in 0..30 {
        for (index, offset) in offsets.into_iter().enumerate() {
            let decision = bench.sample(index, millis(offset), millis(10.0), good());
            assert!(!matches!(decision.command, ClockCommand::Step { .. }), "round {round}: {decision:?}");
            if let ClockCommand::Slew { offset, .. } = decision.command {
                assert!(offset.abs() < millis(5.0), "{decision:?}");
            }
            bench.now += Duration::from_secs(1);
        }
    }
    assert_eq!(bench.engine.source(&bench.sources, 1, bench.now).verdict, Verdict::Falseticker);
    assert_eq!(bench.engine.system(&bench.sources, bench.now).survivors, 2);

    let mut bench = Bench::new(Policy::default());
    (2..SOURCES).for_each(|index| bench.engine.close(&mut bench.sources, index));
    for _ in 0..30 {
        for (index, offset) in [0.0, 200.0].into_iter().enumerate() {
            let _ = bench.sample(index, millis(offset), millis(10.0), good());
            bench.now += Duration::from_secs(1);
        }
    }
    assert_eq!(bench.engine.system(&bench.sources, bench.now).status, Status::Unsynchronized);
}

/// Slews under way are known exactly: a clock that is being slewed is not measured wrong.
#[test]
fn steering_is_taken_out_of_what_is_measured() {
    let mut bench = Bench::new(Policy::default());
    (1..SOURCES).for_each(|index| bench.engine.close(&mut bench.sources, index));
    // The clock is 100 ms behind and the network perfect: what was slewed so far is missing from the next offset.
    let mut error = 0.1;
    for _ in 0..60 {
        let decision = bench.sample(0, NtpDuration::from_seconds_f64(error), millis(1.0), good());
        bench.apply(decision.command);
        let before = bench.now;
        bench.now += Duration::from_secs(2);
        error -= (bench.applied.accumulated(bench.now) - bench.applied.accumulated(before)).to_seconds_f64();
    }
    assert!(error.abs() < 1e-6, "{error} s are left");
    let system = bench.engine.system(&bench.sources, bench.now);
    assert!(system.frequency.abs() < Frequency::from_ratio(1e-8), "{:?}", system.frequency);
}

/// Four servers, one of them a falseticker, and lone ones: after a sleep the clock is nobody's until it is corrected, and
/// what was known of its frequency steers it at once.
#[test]
fn after_a_sleep_nothing_is_claimed_until_it_is_confirmed() {
    let policy = Policy { step_limit: StepLimit::First(2), ..Policy::default() };
    for (count, slept) in [(1, 8.0 * 3_600.0), (4, -0.4), (4, 86_400.0)] {
        let mut servers = vec![Server::good(20e-3, 300e-6); count];
        if count > 1 {
            servers[1].error = 0.1;
        }
        let engine = adaptive::Engine::<SOURCES>::new(policy).unwrap();
        let mut world = World::new(engine, &servers, Clock::new(0.05, 30e-6), (4, 6), 3);
        world.run(6_000.0, |_, _| {});
        let system = world.engine.system(&world.sources, instant(6_000.0));
        assert_eq!(system.status, Status::Synchronized);

        world.clock.error += slept;
        world.engine.handle_discontinuity(&mut world.sources, instant(6_000.0));
        let woken = world.engine.system(&world.sources, instant(6_000.0));
        assert_eq!((woken.status, woken.bound), (Status::Unsynchronized, NtpDuration::MAX));
        assert_eq!((woken.leap, woken.updated), (LeapIndicator::Unsynchronized, None));
        assert_eq!(woken.frequency, system.frequency);
        for index in 0..count {
            assert_eq!(world.engine.source(&world.sources, index, instant(6_000.0)).samples, 0);
            assert_eq!(world.engine.poll(&world.sources, index), Poll::from_log2(4));
        }
        let mut worst = 0.0_f64;
        world.run(6_250.0, |_, _| {});
        world.run(7_000.0, |_, offset| worst = worst.max(offset.abs()));
        assert_eq!(world.engine.system(&world.sources, instant(7_000.0)).status, Status::Synchronized);
        assert!(worst < 5e-4, "{count} servers: {worst}");
        assert!(world.clock.frequency_error(6_250.0).abs() < 1e-6);
        assert_eq!((world.bound_violations, world.steps), (0, 1));
    }
}

/// Each server alone takes the surprise for its own; together they find that it is our clock's, and the bound held meanwhile.
#[test]
fn a_frequency_step_is_followed_with_several_sources_and_the_bound_holds() {
    let servers = [Server::good(1e-3, 1e-4); 3];
    let engine = adaptive::Engine::<SOURCES>::new(Policy::default()).unwrap();
    let mut world = World::new(engine, &servers, Clock::new(0.05, 20e-6), (6, 10), 1);
    world.run(30_000.0, |_, _| {});
    assert!(world.engine.poll(&world.sources, 0) > Poll::from_log2(8));
    let change = -5e-6;
    world.clock.drift += change;
    world.clock.error += change * world.now;
    let mut worst = 0.0_f64;
    world.run(33_000.0, |_, offset| worst = worst.max(offset.abs()));
    assert!(worst > 1e-3, "{worst}: nothing happened");
    let mut worst = 0.0_f64;
    world.run(36_000.0, |_, offset| worst = worst.max(offset.abs()));
    assert!(worst < 3e-4, "{worst}");
    assert_eq!(world.bound_violations, 0);
}
