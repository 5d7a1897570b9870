//! The RFC's engine steering a simulated clock, end to end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test stops where it is wrong
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small numbers and bits

mod world;

use ntp_discipline::rfc5905::clock_loop::State;
use ntp_discipline::rfc5905::{Engine, Options};
use ntp_discipline::{Decision, Engine as _, Policy, Refusal, Status, Verdict};
use ntp_types::{ClockCommand, Frequency, LeapIndicator, NtpDuration, Precision, Stratum};
use std::time::Duration;
use world::{instant, Clock, Random, Server, World};

fn engine(policy: Policy) -> Engine {
    Engine::new(policy, Options { precision: Precision::from_log2(-24), huffpuff: false }).unwrap()
}

#[test]
fn a_clock_half_a_second_off_and_50_ppm_fast_comes_right_at_short_polls() {
    let policy = Policy { stepout: Duration::from_secs(8), ..Policy::default() };
    let servers = [Server::good(1e-3, 50e-6)];
    let mut world = World::new(engine(policy), &servers, Clock::new(0.35, 50e-6), (-1, 1), 1);
    let mut worst = 0.0_f64;
    world.run(60.0, |_, _| {});
    world.run(120.0, |_, offset| worst = worst.max(offset.abs()));
    assert_eq!(world.steps, 1);
    assert_eq!(world.engine.state(), State::Synchronized);
    assert!(worst < 300e-6, "worst offset {worst}");
    let frequency = world.engine.system(&world.sources, instant(120.0)).frequency.to_ratio();
    assert!((frequency + 50e-6).abs() < 10e-6, "frequency {frequency}");
    assert_eq!(world.bound_violations, 0);
}

/// Nothing is stepped: what it finds at the start, and what gathers while it measures the frequency, is gone soon after that.
#[test]
fn what_has_gathered_at_the_start_is_paid_out_quickly() {
    let servers = [Server::good(40e-3, 300e-6)];
    let mut world = World::new(engine(Policy::default()), &servers, Clock::new(0.05, 20e-6), (6, 6), 1);
    // The stepout, eight polls until a sample is used, and some time constants of 32 s.
    world.run(900.0 + 8.0 * 64.0 + 200.0, |_, _| {});
    assert_eq!((world.engine.state(), world.steps), (State::Synchronized, 0));
    let mut worst = 0.0_f64;
    world.run(6_000.0, |_, offset| worst = worst.max(offset.abs()));
    assert!(worst < 1e-3, "worst offset {worst}");
    assert_eq!(world.bound_violations, 0);
}

/// What three servers say together is of different ages: by that the frequency would be measured 1 to 3 ppm wrong, and an hour spent
/// on it.
#[test]
fn the_frequency_is_measured_by_one_server() {
    let servers = [Server::good(10e-3, 300e-6), Server::good(40e-3, 1e-3), Server::good(80e-3, 3e-3)];
    for seed in 1..=9 {
        let mut world = World::new(engine(Policy::default()), &servers, Clock::new(0.05, 20e-6), (6, 6), seed);
        while world.engine.state() != State::Synchronized && world.now < 3_000.0 {
            let next = world.now + 10.0;
            world.run(next, |_, _| {});
        }
        let frequency = world.engine.system(&world.sources, instant(world.now)).frequency.to_ratio();
        assert!((frequency + 20e-6).abs() < 0.4e-6, "seed {seed} at {} s: {frequency}", world.now);
    }
}

#[test]
fn three_good_servers_outvote_a_falseticker() {
    let mut servers = [Server::good(20e-3, 200e-6); 4];
    servers[1].error = 0.3;
    let mut world = World::new(engine(Policy::default()), &servers, Clock::new(-0.35, 50e-6), (1, 6), 7);
    world.run(4_000.0, |_, _| {});
    let mut worst = 0.0_f64;
    world.run(20_000.0, |_, offset| worst = worst.max(offset.abs()));
    let now = instant(20_000.0);
    assert_eq!(world.engine.source(&world.sources, 1, now).verdict, Verdict::Falseticker);
    let system = world.engine.system(&world.sources, now);
    assert_eq!((system.status, system.survivors), (Status::Synchronized, 3));
    assert!(system.system_peer != Some(1));
    assert!(worst < 2e-3, "worst offset {worst}");
    assert_eq!(world.bound_violations, 0);
}

#[test]
fn a_drift_file_spares_the_frequency_measurement() {
    let servers = [Server::good(1e-3, 50e-6)];
    let mut engine = engine(Policy::default());
    engine.preset_frequency(Frequency::from_ppm(-50), Frequency::from_ppm(1));
    let mut world = World::new(engine, &servers, Clock::new(0.35, 50e-6), (4, 6), 3);
    world.run(0.5, |_, _| {});
    assert!(world.clock.frequency_error(0.5).abs() < 1e-9, "preset before the first sample");
    let mut worst = 0.0_f64;
    world.run(200.0, |_, _| {});
    world.run(2_000.0, |_, offset| worst = worst.max(offset.abs()));
    assert_eq!(world.engine.state(), State::Synchronized);
    assert!(worst < 1e-3, "worst offset {worst}");
}

#[test]
fn tracking_decays_to_holdover_and_then_to_unsynchronised() {
    let servers = [Server::good(1e-3, 50e-6)];
    let policy = Policy { stepout: Duration::from_secs(60), ..Policy::default() };
    let mut world = World::new(engine(policy), &servers, Clock::new(0.01, 20e-6), (4, 4), 5);
    world.run(1_000.0, |_, _| {});
    let status = |world: &World<Engine>, at| world.engine.system(&world.sources, instant(at));
    assert_eq!(status(&world, 1_000.0).status, Status::Synchronized);
    world.silent = true;
    world.run(1_400.0, |_, _| {});
    let system = status(&world, 1_400.0);
    assert_eq!((system.status, system.system_peer), (Status::Holdover, None));
    assert_eq!(system.stratum, Stratum::from_bits(2));
    assert_eq!(world.engine.source(&world.sources, 0, instant(1_400.0)).verdict, Verdict::Unreachable);
    // 15 ppm reach a second of root distance within a day; the bound has grown all along.
    let later = status(&world, 80_000.0);
    assert_eq!((later.status, later.leap), (Status::Unsynchronized, LeapIndicator::Unsynchronized));
    assert_eq!(later.stratum, Stratum::UNSYNCHRONIZED);
    assert!(later.root_dispersion > NtpDuration::SECOND);
}

#[test]
fn a_lasting_jump_is_stepped_only_after_the_stepout_and_a_spike_never() {
    let policy = Policy { stepout: Duration::from_secs(300), ..Policy::default() };
    let mut servers = [Server::good(1e-3, 50e-6)];
    let mut world = World::new(engine(policy), &servers, Clock::new(0.0, 0.0), (4, 4), 5);
    world.run(2_000.0, |_, _| {});
    servers[0].error = 0.5;
    world.servers = servers.to_vec();
    world.run(2_200.0, |_, _| {});
    assert_eq!(world.steps, 0);
    assert_eq!(world.engine.state(), State::Spike);
    servers[0].error = 0.0;
    world.servers = servers.to_vec();
    world.run(2_500.0, |_, _| {});
    assert_eq!((world.steps, world.engine.state()), (0, State::Synchronized));
    servers[0].error = 0.5;
    world.servers = servers.to_vec();
    world.run(3_500.0, |_, _| {});
    assert_eq!((world.steps, world.engine.state()), (1, State::Synchronized));
    assert!((world.clock.offset(3_500.0) - 0.5).abs() < 1e-3);
}

/// Every decision, to the bit, whatever the optimiser and the machine.
#[test]
fn replays_are_the_same_to_the_bit() {
    let run = || {
        let servers = [Server::good(20e-3, 1e-3); 3];
        let mut world = World::new(engine(Policy::default()), &servers, Clock::new(0.2, 30e-6), (4, 10), 11);
        world.run(30_000.0, |_, _| {});
        world.decisions
    };
    let decisions = run();
    assert_eq!(decisions, run());
    let bits = |decision: &Decision| match decision.command {
        ClockCommand::Hold => [0; 4],
        ClockCommand::Step { offset, frequency } => [1, offset.to_bits(), 0, frequency.to_bits()],
        ClockCommand::Slew { offset, duration, frequency } => {
            [2, offset.to_bits(), duration.as_nanos() as i64, frequency.to_bits()]
        }
    };
    let digest = decisions.iter().flat_map(bits).fold(0, |digest, bits| Random(digest ^ bits as u64).bits());
    assert_eq!((decisions.len(), format!("{digest:016x}").as_str()), (728, "25eebd8d8042b91d"));
}

/// A published defect of a peer: the survivors were combined, and the first one's own offset steered all the same.
#[test]
fn all_survivors_steer_the_clock() {
    let mut servers = [Server::good(20e-3, 10e-6); 3];
    for (server, error) in servers.iter_mut().zip([3e-3, 0.0, -3e-3]) {
        server.error = error;
    }
    let mut engine = engine(Policy::default());
    engine.preset_frequency(Frequency::ZERO, Frequency::ZERO);
    let mut world = World::new(engine, &servers, Clock::new(0.0, 0.0), (4, 4), 7);
    world.run(3_000.0, |_, _| {});
    assert!(world.clock.offset(3_000.0).abs() < 0.5e-3, "{}", world.clock.offset(3_000.0));
}

/// A published defect of a peer: the same minimum-delay sample came back again and again, each time corrected anew.
#[test]
fn a_sample_is_used_once_and_what_is_held_follows_the_clock() {
    let servers = [Server::good(1e-3, 300e-6)];
    let policy = Policy { stepout: Duration::from_secs(16), ..Policy::default() };
    let mut world = World::new(engine(policy), &servers, Clock::new(0.05, 0.0), (4, 4), 7);
    world.run(2_000.0, |raw, _| assert!(raw >= 0.0));
    let updates = world.decisions.iter().filter(|decision| decision.command != ClockCommand::Hold).count();
    assert!(updates > 20);
    // What each source is held to be off by is what the clock is off by, also in the middle of a slew.
    for now in [2_000.0, 2_003.0, 2_011.0] {
        let held = world.engine.source(&world.sources, 0, instant(now)).offset.to_seconds_f64();
        assert!((held + world.clock.offset(now)).abs() < 0.8e-3, "{held} {}", world.clock.offset(now));
    }
}

/// The falseticker answers first; it is not followed before the others have spoken.
#[test]
fn the_first_step_waits_for_those_that_could_turn_the_majority() {
    let mut servers = [Server::good(20e-3, 200e-6); 4];
    servers[0].error = 0.5;
    let mut world = World::new(engine(Policy::default()), &servers, Clock::new(0.35, 50e-6), (1, 6), 7);
    let mut worst = 0.0_f64;
    world.run(60.0, |_, offset| worst = worst.max(offset.abs()));
    assert_eq!(world.steps, 1);
    assert!(worst < 0.36, "{worst}");
    assert!(world
        .decisions
        .iter()
        .any(|decision| matches!(decision.refused, Some(Refusal::Quorum { .. } | Refusal::Settling { .. }))));
}

/// Polls of a sixteenth of a second, the shortest there are.
#[test]
fn sub_second_polls_converge() {
    let policy = Policy { stepout: Duration::from_secs(8), ..Policy::default() };
    let servers = [Server::good(200e-6, 20e-6)];
    let mut world = World::new(engine(policy), &servers, Clock::new(-0.35, 50e-6), (-4, -2), 1);
    world.run(30.0, |_, _| {});
    let mut worst = 0.0_f64;
    world.run(90.0, |_, offset| worst = worst.max(offset.abs()));
    assert_eq!((world.steps, world.engine.state()), (1, State::Synchronized));
    assert!(worst < 200e-6, "{worst}");
    assert_eq!(world.bound_violations, 0);
}

/// The true error lies inside the published bound, each second of each run, also while nobody answers.
#[test]
fn the_error_bound_holds() {
    for seed in 0..20 {
        let jitter = [20e-6, 500e-6, 5e-3][seed as usize % 3];
        let mut servers = [Server::good(20e-3, jitter); 3];
        servers[2].base = 80e-3;
        let clock = Clock::new(0.1 - 0.02 * seed as f64, 1e-6 * (seed as f64 - 10.0));
        let mut world = World::new(engine(Policy::default()), &servers, clock, (2, 8), seed);
        world.run(10_000.0, |_, _| {});
        world.silent = true;
        world.run(20_000.0, |_, _| {});
        assert_eq!(world.bound_violations, 0, "seed {seed}");
        let status = world.engine.system(&world.sources, instant(20_000.0)).status;
        assert_eq!(status, Status::Holdover, "seed {seed}");
    }
}

#[test]
fn after_a_sleep_the_frequency_is_known_and_the_time_is_not() {
    let policy = Policy { stepout: Duration::from_secs(60), ..Policy::default() };
    let servers = [Server::good(1e-3, 50e-6); 3];
    let mut engine = engine(policy);
    engine.preset_frequency(Frequency::from_ppm(-20), Frequency::from_ppm(1));
    let mut world = World::new(engine, &servers, Clock::new(0.01, 20e-6), (4, 4), 5);
    world.run(4_000.0, |_, _| {});
    let before = world.engine.system(&world.sources, instant(4_000.0));
    world.clock.error -= 7_200.0; // beyond the panic threshold
    world.engine.handle_discontinuity(&mut world.sources, instant(4_000.0));
    let system = world.engine.system(&world.sources, instant(4_000.0));
    assert_eq!((system.status, system.bound, system.system_peer), (Status::Unsynchronized, NtpDuration::MAX, None));
    assert_eq!(world.engine.state(), State::FrequencySet);
    assert_eq!(system.frequency, before.frequency);
    let mut worst = 0.0_f64;
    world.run(4_300.0, |_, _| {});
    world.run(6_000.0, |_, offset| worst = worst.max(offset.abs()));
    assert_eq!(world.engine.system(&world.sources, instant(6_000.0)).status, Status::Synchronized);
    assert!(worst < 1e-3, "worst offset {worst}");
    assert_eq!((world.steps, world.bound_violations), (1, 0));
}
