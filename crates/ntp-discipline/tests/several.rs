//! The adaptive engine over several sources: who is followed, who is shown as what, and when.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test stops at a fault

mod world;

use ntp_discipline::{adaptive, Engine, Policy, SmearGuard, SourceOptions, Status, Verdict};
use world::{instant, Clock, Server, World};

const SOURCES: usize = 16;

type Engines = adaptive::Engine<SOURCES>;

fn world(servers: &[Server], polls: (i8, i8), seed: u64) -> World<Engines> {
    World::new(Engines::new(Policy::default()).unwrap(), servers, Clock::new(0.05, 20e-6), polls, seed)
}

fn verdicts(world: &World<Engines>) -> Vec<Verdict> {
    let verdict = |index| world.engine.source(&world.sources, index, instant(world.now)).verdict;
    (0..world.servers.len()).map(verdict).collect()
}

fn status(world: &World<Engines>) -> Status {
    world.engine.system(&world.sources, instant(world.now)).status
}

/// The largest error on the way to `until`.
fn worst(world: &mut World<Engines>, until: f64) -> f64 {
    let mut worst = 0.0_f64;
    world.run(until, |_, offset| worst = worst.max(offset.abs()));
    worst
}

/// One that jumps is not followed, nor is the first of all that do; when most have said the same, the clock is.
#[test]
fn servers_that_jump_together_are_followed_when_most_have_said_so() {
    for seed in 1..=2 {
        let mut world = world(&[Server::good(20e-3, 300e-6); 4], (6, 6), seed);
        world.run(8_000.0, |_, _| {});
        world.servers[0].error = 0.05;
        assert!(worst(&mut world, 8_400.0) < 1e-3, "seed {seed}");
        assert_eq!(verdicts(&world)[0], Verdict::Falseticker);
        // The others follow it: each is heard once before the clock moves, and three times before it has to stand.
        world.servers.iter_mut().for_each(|server| server.error = 0.05);
        let mut reached = None;
        world.run(9_400.0, |at, offset| {
            if (offset - 0.05).abs() < 2e-3 {
                let _ = reached.get_or_insert(at - 8_400.0);
            } else {
                reached = None;
            }
        });
        let reached = reached.unwrap();
        assert!((16.0..=400.0).contains(&reached), "seed {seed}: after {reached} s");
        assert_eq!((status(&world), world.steps), (Status::Synchronized, 0));
        assert!(verdicts(&world).into_iter().filter(|verdict| verdict.is_survivor()).count() >= 3);
    }
}

/// Who is right the others must tell, and not only when their turn comes.
#[test]
fn when_a_member_begins_to_disagree_the_others_are_asked_once_soon() {
    let mut world = world(&[Server::good(20e-3, 300e-6); 4], (6, 10), 1);
    world.run(20_000.0, |_, _| {});
    let polls = |world: &World<Engines>| [0, 1, 3, 2].map(|index| world.engine.poll(&world.sources, index).log2());
    let before = polls(&world);
    assert!(before.iter().all(|&poll| poll > 8), "{before:?}");
    world.servers[2].error = 0.05;
    while polls(&world) == before && world.now < 22_000.0 {
        let next = world.now + 0.01;
        world.run(next, |_, _| {});
    }
    // Itself in its turn only: until most have been heard nothing of it is believed anyway.
    assert_eq!(polls(&world), [6, 6, 6, before[3]]);
    for index in 0..4 {
        world.engine.handle_poll(&mut world.sources, index, 0xff, instant(world.now));
    }
    assert_eq!(polls(&world), before);
}

#[test]
fn a_server_that_turns_false_is_expelled_and_after_its_return_joins_again() {
    for seed in 1..=2 {
        let mut world = world(&[Server::good(20e-3, 300e-6); 3], (6, 6), seed);
        world.run(8_000.0, |_, _| {});
        world.servers[2].error = -0.02;
        assert!(worst(&mut world, 10_000.0) < 1e-3, "seed {seed}");
        assert_eq!(verdicts(&world)[2], Verdict::Falseticker);
        world.servers[2].error = 0.0;
        assert!(worst(&mut world, 12_000.0) < 1e-3, "seed {seed}");
        assert!(verdicts(&world)[2].is_survivor(), "seed {seed}: {:?}", verdicts(&world));
        assert_eq!((status(&world), world.bound_violations), (Status::Synchronized, 0));
    }
}

/// Five answer and steer; three never do, and delay nothing.
#[test]
fn the_dead_do_not_count() {
    let mut servers = [Server::good(20e-3, 300e-6); 8];
    servers[5..].iter_mut().for_each(|server| server.answers = false);
    let mut world = world(&servers, (6, 10), 3);
    world.run(30.0, |_, _| {});
    assert_eq!(status(&world), Status::Synchronized);
    world.run(3_000.0, |_, _| {});
    assert!(worst(&mut world, 9_000.0) < 5e-4);
    let verdicts = verdicts(&world);
    assert!(verdicts[..5].iter().all(|verdict| verdict.is_survivor()), "{verdicts:?}");
    assert!(verdicts[5..].iter().all(|verdict| !verdict.is_truechimer()), "{verdicts:?}");
}

#[test]
fn sixteen_are_all_heard_and_more_are_shown() {
    let mut world = world(&[Server::good(20e-3, 1e-3); SOURCES + 1], (6, 6), 5);
    world.run(2_000.0, |_, _| {});
    let alone = {
        let mut world = self::world(&[Server::good(20e-3, 1e-3)], (6, 6), 5);
        world.run(2_000.0, |_, _| {});
        worst(&mut world, 6_000.0)
    };
    let together = worst(&mut world, 6_000.0);
    assert!(together < 0.6 * alone, "{together} s beside {alone} s of a lone one");
    let verdicts = verdicts(&world);
    assert!(verdicts[..SOURCES].iter().all(|verdict| verdict.is_survivor()), "{verdicts:?}");
    assert_eq!(verdicts[SOURCES], Verdict::Excess);
    assert_eq!(world.bound_violations, 0);
}

/// Said or found out, one that smears is left out and shown; by default it is not even followed by itself.
#[test]
fn smearing_servers_and_others_are_never_mixed() {
    let smearing = SourceOptions { smeared: Some(true), ..SourceOptions::default() };
    let run = |smear: SmearGuard, smeared: &[usize]| {
        let policy = Policy { smear, ..Policy::default() };
        let mut world = World::new(
            Engines::new(policy).unwrap(),
            &[Server::good(20e-3, 300e-6); 3],
            Clock::new(0.05, 20e-6),
            (6, 6),
            7,
        );
        for &index in smeared {
            world.engine.open(&mut world.sources, index, smearing);
            world.servers[index].error = -0.3;
        }
        world.run(3_000.0, |_, _| {});
        (verdicts(&world), world.clock.offset(3_000.0), status(&world))
    };
    let (verdicts, offset, _) = run(SmearGuard::Unsmeared, &[1]);
    assert_eq!(verdicts[1], Verdict::Smeared);
    assert!(verdicts[0].is_survivor() && verdicts[2].is_survivor() && offset.abs() < 1e-3);
    let (verdicts, offset, _) = run(SmearGuard::Unsmeared, &[0, 1]);
    assert_eq!(verdicts[..2], [Verdict::Smeared; 2]);
    assert!(verdicts[2].is_survivor() && offset.abs() < 1e-3);
    let (verdicts, offset, _) = run(SmearGuard::Majority, &[0, 1]);
    assert_eq!(verdicts[2], Verdict::Smeared);
    assert!(verdicts[0].is_survivor() && (offset + 0.3).abs() < 1e-3, "{offset}");
    let (verdicts, _, status) = run(SmearGuard::Unsmeared, &[0, 1, 2]);
    assert_eq!((verdicts, status), (vec![Verdict::Smeared; 3], Status::Unsynchronized));
}

/// A second spread over a day, and nobody said so: it is a falseticker within the hour.
#[test]
fn a_smear_that_nobody_announced_is_found_out() {
    let mut world = world(&[Server::good(20e-3, 300e-6); 3], (6, 6), 9);
    world.run(8_000.0, |_, _| {});
    for minute in 0..60 {
        world.servers[1].error = -f64::from(minute) * 60.0 / 86_400.0;
        let until = world.now + 60.0;
        assert!(worst(&mut world, until) < 1e-3, "minute {minute}");
    }
    assert_eq!(verdicts(&world)[1], Verdict::Falseticker);
    assert_eq!(world.bound_violations, 0);
}

/// Without a majority nobody is right for certain: the clock is set where it errs least in the worst case, and says that
/// it is not synchronised.
#[test]
fn without_a_majority_the_clock_is_set_between() {
    let mut world = world(&[Server::good(20e-3, 300e-6); 2], (6, 6), 11);
    world.servers[0].error = 0.06;
    world.run(2_000.0, |_, _| {});
    let offset = world.clock.offset(world.now);
    assert!((offset - 0.03).abs() < 2e-3, "{offset}");
    assert_eq!(status(&world), Status::Unsynchronized);
    assert!(world.clock.frequency_error(world.now).abs() < 1e-6);
    // Minutes apart there is no between: the clock stays where it was.
    let mut world = self::world(&[Server::good(20e-3, 300e-6); 2], (6, 6), 11);
    world.servers[0].error = 600.0;
    world.run(2_000.0, |_, _| {});
    let offset = world.clock.offset(world.now);
    assert!((offset - 0.05).abs() < 0.005, "{offset}");
    assert_eq!(status(&world), Status::Unsynchronized);
}
