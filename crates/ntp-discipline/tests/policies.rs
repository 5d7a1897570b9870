//! What both engines owe the policy, the clock that refuses, and the votes on leap seconds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test stops where it is wrong

mod world;

use std::time::Duration;

use ntp_discipline::{
    adaptive, rfc5905, Engine, Policy, Refusal, SmearGuard, SourceOptions, Status, StepLimit, Verdict,
};
use ntp_types::{ClockCommand, Frequency, LeapIndicator, NtpDuration, Precision};
use world::{instant, Clock, Random, Server, World, REFERENCE};

/// Quick to believe a lasting jump; all else as by default.
fn quick() -> Policy {
    Policy { stepout: Duration::from_secs(60), ..Policy::default() }
}

fn adaptive(policy: Policy) -> adaptive::Engine<8> {
    adaptive::Engine::new(policy).unwrap()
}

fn rfc5905(policy: Policy) -> rfc5905::Engine {
    let options = rfc5905::Options { precision: Precision::from_log2(-24), huffpuff: false };
    rfc5905::Engine::new(policy, options).unwrap()
}

/// The same test of both engines.
macro_rules! of_both {
    ($($name:ident => $check:ident)*) => {$(
        #[test]
        fn $name() {
            $check(adaptive);
            $check(rfc5905);
        }
    )*};
}

of_both! {
    the_first_correction_waits_for_its_quorum => quorum
    no_correction_below_the_minimum_of_sources => minimum_sources
    panic_is_refused_and_the_engine_goes_on => panic
    too_large_a_change_is_refused_unless_a_second_has_leapt => maximum_change
    only_the_first_corrections_may_be_steps => step_limit
    slews_and_frequencies_are_bounded => rates
    smearing_servers_and_others_are_never_mixed => smear
    a_leap_warning_needs_a_majority => leap
    what_the_clock_refuses_is_asked_again_and_teaches_nothing => refusing_clock
    no_minority_ever_wins => minority
    a_preferred_source_is_the_system_peer => prefer
    who_is_only_measured_does_not_steer => no_select
    a_source_that_is_reset_starts_over => reset
    a_known_frequency_is_taken_over => preset
    a_claim_ends_where_the_distance_is_too_large => distance
}

fn world<E: Engine>(engine: E, servers: usize, clock: Clock) -> World<E> {
    World::new(engine, &vec![Server::good(20e-3, 200e-6); servers], clock, (4, 4), 7)
}

fn refused<E: Engine>(world: &World<E>, is: impl Fn(&Refusal) -> bool) -> bool {
    world.decisions.iter().filter_map(|decision| decision.refused.as_ref()).any(is)
}

fn commands<E: Engine>(world: &World<E>) -> usize {
    world.decisions.iter().filter(|decision| decision.command != ClockCommand::Hold).count()
}

fn quorum<E: Engine>(engine: impl Fn(Policy) -> E) {
    let mut world = world(engine(Policy { quorum: 3, ..quick() }), 3, Clock::new(0.3, 0.0));
    world.servers[2].answers = false;
    world.run(600.0, |_, offset| assert!((offset - 0.3).abs() < 1e-6));
    assert!(refused(&world, |refusal| *refusal == Refusal::Quorum { agreeing: 2, required: 3 }));
    assert_eq!((world.steps, commands(&world)), (0, 0));
    world.servers[2].answers = true;
    world.run(2_000.0, |_, _| {});
    assert_eq!(world.steps, 1);
    // Once is enough.
    world.servers[2].answers = false;
    let before = commands(&world);
    world.run(4_000.0, |_, _| {});
    assert!(commands(&world) > before + 10 && world.clock.offset(4_000.0).abs() < 2e-3);
}

fn minimum_sources<E: Engine>(engine: impl Fn(Policy) -> E) {
    let mut world = world(engine(Policy { quorum: 2, minimum_sources: 2, ..quick() }), 2, Clock::new(0.3, 0.0));
    world.run(3_000.0, |_, _| {});
    assert!(world.clock.offset(3_000.0).abs() < 2e-3);
    world.servers[1].answers = false;
    world.run(4_000.0, |_, _| {});
    // The other is not followed alone.
    world.servers[0].error = 0.01;
    world.run(6_000.0, |_, offset| assert!(offset.abs() < 2e-3));
    assert!(refused(&world, |refusal| *refusal == Refusal::MinimumSources { agreeing: 1, required: 2 }));
    world.servers.iter_mut().for_each(|server| (server.answers, server.error) = (true, 0.01));
    world.run(9_000.0, |_, _| {});
    assert!((world.clock.offset(9_000.0) - 0.01).abs() < 3e-3, "{}", world.clock.offset(9_000.0));
}

fn panic<E: Engine>(engine: impl Fn(Policy) -> E) {
    let mut world = world(engine(quick()), 3, Clock::new(0.01, 0.0));
    world.run(2_000.0, |_, _| {});
    world.servers.iter_mut().for_each(|server| server.error = 5_000.0);
    world.run(6_000.0, |_, offset| assert!(offset.abs() < 5e-3));
    assert!(refused(
        &world,
        |refusal| matches!(refusal, Refusal::Panic { offset, .. } if offset.to_seconds_f64() > 4_999.0)
    ));
    world.servers.iter_mut().for_each(|server| server.error = 0.0);
    world.run(10_000.0, |_, _| {});
    assert_eq!(world.decisions.last().unwrap().refused, None);
    assert_eq!(world.engine.system(&world.sources, instant(10_000.0)).status, Status::Synchronized);
    assert!(world.steps <= 1 && world.clock.offset(10_000.0).abs() < 1e-3);
}

fn maximum_change<E: Engine>(engine: impl Fn(Policy) -> E) {
    let maximum_change = NtpDuration::from_nanos(500_000_000);
    let policy = Policy { maximum_change, maximum_change_after: 1, ..quick() };
    let mut world = world(engine(policy), 3, Clock::new(5.0, 0.0));
    world.run(2_000.0, |_, _| {});
    assert!(world.clock.offset(2_000.0).abs() < 1e-3, "the first may be larger");
    // A second was inserted, and our clock did not do it.
    world.servers.iter_mut().for_each(|server| server.error = -1.0);
    world.run(4_000.0, |_, offset| assert!(offset.abs() < 5e-3));
    assert!(refused(
        &world,
        |refusal| matches!(refusal, Refusal::MaximumChange { limit, .. } if *limit == maximum_change)
    ));
    world.engine.handle_leap(LeapIndicator::InsertSecond, instant(4_000.0));
    world.run(7_000.0, |_, _| {});
    assert!((world.clock.offset(7_000.0) + 1.0).abs() < 2e-3, "{}", world.clock.offset(7_000.0));
}

fn step_limit<E: Engine>(engine: impl Fn(Policy) -> E) {
    for (step_limit, steps) in [(StepLimit::Never, 0), (StepLimit::First(1), 1), (StepLimit::Always, 2)] {
        let mut world = world(engine(Policy { step_limit, ..quick() }), 3, Clock::new(0.7, 0.0));
        world.run(12_000.0, |_, _| {});
        assert!(world.clock.offset(12_000.0).abs() < 3e-3, "{step_limit:?}");
        world.servers.iter_mut().for_each(|server| server.error = 0.6);
        world.run(24_000.0, |_, _| {});
        assert!((world.clock.offset(24_000.0) - 0.6).abs() < 3e-3, "{step_limit:?}: {}", world.clock.offset(24_000.0));
        assert_eq!(world.steps, steps, "{step_limit:?}");
    }
}

fn rates<E: Engine>(engine: impl Fn(Policy) -> E) {
    let (maximum_slew_rate, maximum_frequency) = (Frequency::from_ppm(100), Frequency::from_ppm(20));
    let policy = Policy { maximum_slew_rate, maximum_frequency, step_limit: StepLimit::Never, ..quick() };
    let mut world = world(engine(policy), 3, Clock::new(0.2, 30e-6));
    let mut before = None;
    world.run(6_000.0, |_, offset| {
        let fastest = 100e-6 + 20e-6 + 30e-6 + 1e-9;
        assert!(before.replace(offset).map_or(true, |before: f64| (offset - before).abs() <= fastest));
    });
    let frequencies = world.decisions.iter().filter_map(|decision| match decision.command {
        ClockCommand::Slew { frequency, .. } => Some(frequency),
        _ => None,
    });
    assert_eq!(frequencies.map(Frequency::abs).max(), Some(maximum_frequency), "30 ppm were needed");
}

fn smear<E: Engine>(engine: impl Fn(Policy) -> E) {
    let smearing = SourceOptions { smeared: Some(true), ..SourceOptions::default() };
    for (smear, servers, smeared, followed) in [
        (SmearGuard::Unsmeared, 3, &[1][..], 0.0),
        (SmearGuard::Unsmeared, 3, &[0, 1][..], 0.0),
        (SmearGuard::Smeared, 3, &[1][..], -0.3),
        (SmearGuard::Majority, 3, &[1][..], 0.0),
        (SmearGuard::Majority, 2, &[1][..], 0.0),
        (SmearGuard::Majority, 3, &[0, 1][..], -0.3),
    ] {
        let mut world = world(engine(Policy { smear, ..quick() }), servers, Clock::new(0.05, 0.0));
        for &index in smeared {
            world.engine.open(&mut world.sources, index, smearing);
            world.servers[index].error = -0.3;
        }
        world.run(3_000.0, |_, _| {});
        assert!((world.clock.offset(3_000.0) - followed).abs() < 2e-3, "{smear:?} {smeared:?}");
        for index in 0..servers {
            let verdict = world.engine.source(&world.sources, index, instant(3_000.0)).verdict;
            let is_followed = smeared.contains(&index) == (followed < 0.0);
            assert_eq!(
                (verdict.is_survivor(), verdict == Verdict::Smeared),
                (is_followed, !is_followed),
                "{smear:?} {index}"
            );
        }
    }
}

fn leap<E: Engine>(engine: impl Fn(Policy) -> E) {
    let mut world = world(engine(quick()), 4, Clock::new(0.0, 0.0));
    world.servers[3].leap = LeapIndicator::DeleteSecond;
    world.servers[3].error = 0.5;
    let said = |world: &World<E>| world.engine.system(&world.sources, instant(world.now)).leap;
    world.run(600.0, |_, _| {});
    assert_eq!(said(&world), LeapIndicator::NoWarning);
    for (announcing, expected) in
        [(1, LeapIndicator::NoWarning), (2, LeapIndicator::InsertSecond), (0, LeapIndicator::NoWarning)]
    {
        for (index, server) in world.servers.iter_mut().take(3).enumerate() {
            server.leap = if index < announcing { LeapIndicator::InsertSecond } else { LeapIndicator::NoWarning };
        }
        let until = world.now + 200.0;
        world.run(until, |_, _| {});
        assert_eq!(said(&world), expected, "{announcing} of three, and a falseticker");
    }
}

/// The clock may not be changed for a while (no privilege, or somebody forbids it): nothing is learnt from what was only
/// asked for.
fn refusing_clock<E: Engine>(engine: impl Fn(Policy) -> E) {
    for initial in [0.7, 0.05] {
        let mut world = world(engine(quick()), 3, Clock::new(initial, 30e-6));
        world.obeys = false;
        world.run(2_000.0, |_, _| {});
        assert_eq!(world.steps, 0);
        let system = world.engine.system(&world.sources, instant(2_000.0));
        let claimed = system.status != Status::Unsynchronized;
        assert!(!claimed || system.bound.to_seconds_f64() > world.clock.offset(2_000.0).abs(), "{system:?}");
        world.obeys = true;
        world.run(20_000.0, |_, _| {});
        let (offset, frequency) = (world.clock.offset(20_000.0), world.clock.frequency_error(20_000.0));
        assert!(offset.abs() < 2e-3 && frequency.abs() < 5e-6, "{initial}: {offset} s, {frequency}");
        assert_eq!(world.engine.system(&world.sources, instant(20_000.0)).status, Status::Synchronized);
        assert_eq!(world.bound_violations, 0);
    }
}

/// Liars fewer than true servers, alone or of one mind, nearer and quieter or not, from the start or later: the clock never
/// follows them, and none of them is among the survivors.
fn minority<E: Engine>(engine: impl Fn(Policy) -> E) {
    let mut random = Random(1);
    for seed in 0..24 {
        let good = 2 + random.bits() % 3;
        let bad = 1 + random.bits() % (good - 1);
        let together = random.bits() % 2 == 0;
        // Beyond what root distance would explain, to either side.
        let mut lie = || (0.08 + 2.0 * random.unit()) * if random.bits() % 2 == 0 { 1.0 } else { -1.0 };
        let common = lie();
        let mut servers: Vec<Server> = (0..good).map(|_| Server::good(20e-3, 300e-6)).collect();
        for _ in 0..bad {
            let error = if together { common } else { lie() };
            servers.insert(servers.len() / 2, Server { error, ..Server::good(2e-3, 50e-6) });
        }
        let turn = usize::try_from(seed).unwrap() % servers.len();
        servers.rotate_left(turn);
        let is_late = seed % 2 == 0;
        let honest = |server: &Server| Server { error: if is_late { 0.0 } else { server.error }, ..*server };
        let start: Vec<Server> = servers.iter().map(honest).collect();
        // With few samples a source says a second either way, and a liar within it is none: the quick ones come first.
        let polls = if is_late { (4, 4) } else { (1, 4) };
        let mut world = World::new(engine(quick()), &start, Clock::new(0.3, 20e-6), polls, seed);
        let mut worst = 0.0_f64;
        world.run(900.0, |at, offset| worst = worst.max(if at > 120.0 { offset.abs() } else { 0.0 }));
        world.servers = servers.clone();
        world.run(1_800.0, |_, offset| worst = worst.max(offset.abs()));
        assert!(worst < 0.02 && world.steps <= 1, "seed {seed}: {worst} s, {} steps", world.steps);
        for (index, error) in servers.iter().map(|server| server.error).enumerate() {
            let verdict = world.engine.source(&world.sources, index, instant(1_800.0)).verdict;
            assert!(error == 0.0 || !verdict.is_truechimer(), "seed {seed}: {error} s off is a {verdict}");
        }
    }
}

fn prefer<E: Engine>(engine: impl Fn(Policy) -> E) {
    for preferred in [None, Some(2)] {
        let mut world = world(engine(quick()), 3, Clock::new(0.05, 0.0));
        world.servers[2].base = 60e-3;
        if let Some(index) = preferred {
            world.engine.open(&mut world.sources, index, SourceOptions { prefer: true, ..world.options });
        }
        world.run(2_000.0, |_, _| {});
        let system = world.engine.system(&world.sources, instant(2_000.0));
        assert_eq!(system.system_peer == Some(2), preferred.is_some(), "{system:?}");
        assert_eq!(system.peer_reference, REFERENCE);
    }
}

fn no_select<E: Engine>(engine: impl Fn(Policy) -> E) {
    let mut world = world(engine(quick()), 2, Clock::new(0.05, 0.0));
    world.engine.open(&mut world.sources, 1, SourceOptions { no_select: true, ..world.options });
    world.servers[1].error = 0.03;
    world.run(2_000.0, |_, _| {});
    assert!(world.clock.offset(2_000.0).abs() < 2e-3, "{}", world.clock.offset(2_000.0));
    let only_measured = world.engine.source(&world.sources, 1, instant(2_000.0));
    assert_eq!(only_measured.verdict, Verdict::NoSelect);
    assert!((only_measured.offset.to_seconds_f64() - 0.03).abs() < 2e-3, "{only_measured:?}");
    assert_eq!(world.engine.system(&world.sources, instant(2_000.0)).survivors, 1);
}

fn reset<E: Engine>(engine: impl Fn(Policy) -> E) {
    let mut world = world(engine(quick()), 3, Clock::new(0.05, 0.0));
    let source = |world: &World<E>| world.engine.source(&world.sources, 1, instant(world.now));
    world.run(2_000.0, |_, _| {});
    assert!(source(&world).samples >= 8 && source(&world).verdict.is_survivor());
    world.engine.reset(&mut world.sources, 1);
    assert_eq!((source(&world).samples, source(&world).verdict), (0, Verdict::Pending));
    world.run(4_000.0, |_, offset| assert!(offset.abs() < 2e-3, "{offset}"));
    assert!(source(&world).samples >= 8 && source(&world).verdict.is_survivor());
}

fn preset<E: Engine>(engine: impl Fn(Policy) -> E) {
    let mut world = world(engine(quick()), 1, Clock::new(0.3, 50e-6));
    world.engine.preset_frequency(Frequency::from_ppm(-50), Frequency::from_ppm(1));
    // One sample is enough.
    world.run(5.0, |_, _| {});
    assert!(world.clock.frequency_error(5.0).abs() < 1e-6, "{}", world.clock.frequency_error(5.0));
}

/// Without servers the error bound grows by 15 ppm at the least, and the claim ends with it.
fn distance<E: Engine>(engine: impl Fn(Policy) -> E) {
    let policy = Policy { maximum_distance: NtpDuration::from_nanos(60_000_000), ..quick() };
    let mut world = world(engine(policy), 1, Clock::new(0.05, 0.0));
    let system = |world: &World<E>| world.engine.system(&world.sources, instant(world.now));
    world.run(2_000.0, |_, _| {});
    let before = system(&world);
    assert_eq!(before.status, Status::Synchronized);
    world.silent = true;
    world.run(3_000.0, |_, _| {});
    let after = system(&world);
    assert_eq!(after.status, Status::Holdover);
    let grown = (after.root_dispersion - before.root_dispersion).to_seconds_f64();
    assert!(grown > 0.9 * 15e-6 * 1_000.0, "{grown}");
    world.run(9_000.0, |_, _| {});
    assert_eq!(system(&world).status, Status::Unsynchronized);
}
