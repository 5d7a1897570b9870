//! When a server is asked: intervals, volleys, silence and what follows it.

use super::*;

#[test]
fn a_good_server_is_asked_once_per_interval_and_every_reply_is_used() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    let id = world.add(server, config(6, 10, false));
    world.error = NtpDuration::from_nanos(-250_000_000);
    world.run_for(HOUR);
    assert!((53..=57).contains(&world.asked(server)), "{} requests in an hour", world.asked(server));
    assert_eq!(world.accepted, world.asked(server));
    for gap in world.gaps(server) {
        assert!((64.0..=66.3).contains(&gap), "gap of {gap} s");
    }
    // Clients do not march in step.
    let (least, most) = world.gaps(server).iter().fold((f64::MAX, 0.0_f64), |(a, b), gap| (a.min(*gap), b.max(*gap)));
    assert!(most - least > 1.0, "from {least} to {most} s");
    let association = world.system.association(id).unwrap();
    assert_eq!(association.reach().to_string(), "377");
    let trip = association.last().unwrap().exchange.round_trip;
    assert!((trip.offset() - NtpDuration::from_nanos(250_000_000)).abs() < NtpDuration::from_nanos(2));
    assert!((trip.delay() - NtpDuration::from_std(ROUND_TRIP)).abs() < NtpDuration::from_nanos(2));
}

#[test]
fn the_initial_volley_ends_after_four_good_replies() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    world.add(server, config(6, 10, true));
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.asked(server), 4);
    assert_eq!(world.gaps(server), [2.0, 2.0, 2.0]);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.asked(server), 5, "then the ordinary interval begins");
}

/// Where `iburst` allows a quick start, the discipline may ask for twelve replies sooner than the operator's shortest interval.
#[test]
fn the_start_may_be_quicker_than_the_shortest_interval() {
    for (iburst, expected) in [(true, 8), (false, 0)] {
        let mut world = World::new();
        world.system.engine_mut().poll = Some(Poll::from_log2(4));
        let server = world.serve("192.0.2.1:123", good);
        world.add(server, config(6, 10, iburst));
        world.run_for(HOUR);
        let gaps = world.gaps(server);
        let quick = gaps.iter().filter(|gap| (15.0..=17.0).contains(*gap)).count();
        assert_eq!(quick, expected, "{gaps:?}");
        assert!(gaps.iter().skip(12).all(|gap| *gap > 60.0), "{gaps:?}");
    }
}

#[test]
fn a_volley_into_silence_is_bounded_and_backs_off() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", silent);
    let id = world.add(server, config(6, 10, true));
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.asked(server), 8, "twice the four wanted, 2 s apart");
    world.run_for(HOUR * 24);
    let gaps = world.gaps(server);
    assert!(gaps[7] < 134.0, "the first interval after the volley: {} s", gaps[7]);
    assert!(gaps.iter().rev().take(20).all(|gap| (1_024.0..=1_060.0).contains(gap)), "{gaps:?}");
    assert!(gaps.windows(2).all(|pair| pair[1] > pair[0] * 0.9), "it never speeds up: {gaps:?}");
    assert!(world.events.is_empty(), "it never was reachable: {:?}", world.events);
    assert_eq!(world.system.association(id).unwrap().counters().lost, u64::try_from(gaps.len()).unwrap());
}

#[test]
fn a_very_short_interval_backs_off_to_a_minute_whatever_its_maximum() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", silent);
    world.add(server, config(-4, -4, false));
    world.run_for(HOUR);
    let total = world.asked(server);
    assert!(total < 160, "{total} requests into an hour of silence at 1/16 s");
    assert!(world.gaps(server).last().is_some_and(|gap| *gap > 60.0));
}

#[test]
fn recovery_costs_about_an_eighth_of_the_silence_and_brings_a_volley() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    world.add(server, config(4, 10, true));
    world.run_for(HOUR / 4);
    world.set_answering(server, false);
    world.run_for(HOUR / 2);
    world.set_answering(server, true);
    let back = world.now;
    let accepted = world.accepted;
    world.run_for(HOUR / 2 / 4);
    assert!(world.accepted > accepted + 4, "back within a quarter of the outage, with a volley");
    let asked = &world.servers[&server].asked;
    let first = asked.iter().find(|at| **at > back).unwrap();
    let second = asked.iter().find(|at| **at > *first).unwrap();
    assert_eq!(second.since(*first), Duration::from_secs(2));
    let unreachable = world.events.iter().filter(|event| matches!(event, Event::Unreachable { .. })).count();
    let reachable = world.events.iter().filter(|event| matches!(event, Event::Reachable { .. })).count();
    assert_eq!((unreachable, reachable), (1, 2));
}

#[test]
fn a_silence_in_which_nothing_was_saved_brings_no_volley() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    world.add(server, config(10, 10, true));
    world.run_for(HOUR);
    world.set_answering(server, false);
    world.run_for(4 * HOUR);
    world.set_answering(server, true);
    let asked = world.asked(server);
    world.run_for(HOUR);
    assert!(world.asked(server) <= asked + 4);
}

#[test]
fn a_server_that_limits_for_good_is_asked_too_often_ever_less() {
    let mut world = World::new();
    let mut last: Option<NtpTimestamp> = None;
    let server = world.serve("192.0.2.1:123", move |request, time, _| {
        let is_early = last.replace(time).is_some_and(|last| time.since(last) < NtpDuration::from_seconds_f64(30.0));
        vec![(ROUND_TRIP, if is_early { kiss(request, b"RATE") } else { answer(request, time, ROUND_TRIP) })]
    });
    world.add(server, config(4, 4, false));
    world.run_for(24 * HOUR);
    let early = world.gaps(server).iter().filter(|gap| **gap < 30.0).count();
    assert!((5..=15).contains(&early), "{early}");
}

/// A poll field of 0x7f, in a kiss or in an ordinary reply, is no reason to fall silent for 68 years.
#[test]
fn the_poll_field_of_a_reply_has_a_bound() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", |request, time, count| {
        let mut bytes = if count == 0 { kiss(request, b"RATE") } else { answer(request, time, ROUND_TRIP) };
        bytes[2] = 0x7f;
        vec![(ROUND_TRIP, bytes)]
    });
    world.add(server, config(6, 10, false));
    world.run_for(HOUR * 3);
    assert!(world.gaps(server).iter().all(|gap| *gap <= 1_060.0), "{:?}", world.gaps(server));
    assert!(world.gaps(server)[0] >= 1_024.0 && world.accepted >= 9);
}

#[test]
fn a_new_port_is_advised_for_every_poll_but_not_within_a_volley() {
    let mut world = World::new();
    let address = "192.0.2.1:123".parse().unwrap();
    world.add(address, config(6, 6, true));
    let mut advice = Vec::new();
    for _ in 0..6 {
        world.now = world.system.next_timeout().unwrap();
        let transmit = world.system.poll_transmit(world.now, world.clock(), 42).unwrap();
        advice.push(transmit.request.fresh_port);
        let reply = answer(transmit.request.bytes(), world.clock(), ROUND_TRIP);
        world.now += ROUND_TRIP;
        world.system.handle_datagram(&reply, address, world.clock(), world.now).unwrap();
    }
    assert_eq!(advice, [true, false, false, false, true, true]);
}

#[test]
fn a_suspended_machine_makes_nothing_up() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    world.add(server, config(4, 6, true));
    world.run_for(Duration::from_secs(3));
    let before = world.asked(server);
    world.now += HOUR * 8;
    world.run_for(Duration::from_secs(4));
    assert!(world.asked(server) <= before + 3, "{} requests at once after waking up", world.asked(server) - before);
}

#[test]
fn a_burst_is_a_volley_at_every_poll_while_the_server_answers() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    world.add(server, SourceConfig { burst: true, ..config(6, 6, false) });
    world.run_for(HOUR);
    let gaps = world.gaps(server);
    let short = gaps.iter().filter(|gap| **gap == 2.0).count();
    assert!((150..=175).contains(&short), "three of four gaps: {short} of {}", gaps.len());
    world.set_answering(server, false);
    world.run_for(HOUR / 2);
    let asked = world.asked(server);
    world.run_for(HOUR);
    assert!(world.asked(server) - asked < 60, "none into silence: {}", world.asked(server) - asked);
}

#[test]
fn a_burst_that_begins_late_makes_nothing_up() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    world.add(server, SourceConfig { burst: true, ..config(6, 6, false) });
    world.run_for(HOUR);
    let asked = world.asked(server);
    world.now = world.system.next_timeout().unwrap() + Duration::from_secs(25);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.asked(server), asked + 1);
}
