//! One server at a time: when it is asked, what it may answer, and what peers of ours get wrong about it.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod interleaved;
mod schedule;
#[path = "../world/mod.rs"]
mod world;

use std::time::Duration;

use ntp_client::{reference_id_of, Event, Ignored, SourceConfig};
use ntp_server::{Outcome, Server, ServerClock};
use ntp_types::{
    ClockCommand, Frequency, Instant, KissCode, LeapIndicator, NtpDuration, NtpTimestamp, Poll, Precision, Stratum,
};
use world::{answer, config, good, kiss, silent, World, ROUND_TRIP};

const HOUR: Duration = Duration::from_secs(3_600);

/// A rival counts a kiss as a lost packet and asks on every two seconds.
#[test]
fn deny_stops_after_one_request() {
    for code in [b"DENY", b"RSTR"] {
        let mut world = World::new();
        let server = world.serve("192.0.2.1:123", |request, _, _| vec![(ROUND_TRIP, kiss(request, code))]);
        let id = world.add(server, config(0, 10, true));
        world.run_for(HOUR);
        assert_eq!(world.asked(server), 1);
        let association = world.system.association(id).unwrap();
        assert!(association.is_stopped());
        assert_eq!(association.kiss(), Some(KissCode::from_bytes(*code)));
        assert!(matches!(world.events[..], [Event::Stopped { .. }]), "{:?}", world.events);
        assert_eq!(world.system.next_timeout(), None);
    }
}

#[test]
fn rate_doubles_the_interval_each_time_and_ends_the_volley() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", |request, _, _| vec![(ROUND_TRIP, kiss(request, b"RATE"))]);
    let id = world.add(server, config(2, 4, true));
    world.run_for(HOUR);
    let gaps = world.gaps(server);
    assert!(gaps[0] > 7.8, "no second request of the volley: {gaps:?}");
    assert!(gaps.windows(2).all(|pair| (1.9..=2.1).contains(&(pair[1] / pair[0]))), "{gaps:?}");
    assert!(world.asked(server) <= 11);
    assert!(world.system.association(id).unwrap().poll() > Poll::from_log2(4), "beyond the operator's maximum");
}

#[test]
fn a_kiss_with_the_wrong_origin_is_nobodys() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", |request, time, _| {
        let mut spoofed = kiss(request, b"DENY");
        spoofed[24..32].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        vec![(ROUND_TRIP / 4, spoofed), (ROUND_TRIP, answer(request, time, ROUND_TRIP))]
    });
    world.add(server, config(6, 10, false));
    world.run_for(HOUR);
    assert_eq!(world.accepted, world.asked(server), "the true reply behind it still counts");
    assert_eq!(world.ignored.len(), world.asked(server));
    assert!(world.ignored.iter().all(|(_, ignored)| !ignored.is_from_server()));
}

#[test]
fn other_kisses_change_nothing_but_the_count() {
    for code in [b"INIT", b"STEP", b"NKEY", b"X123"] {
        let mut world = World::new();
        let server = world.serve("192.0.2.1:123", |request, _, _| vec![(ROUND_TRIP, kiss(request, code))]);
        let id = world.add(server, config(6, 10, false));
        world.run_for(HOUR);
        let association = world.system.association(id).unwrap();
        assert!(!association.is_stopped());
        assert!((53..=57).contains(&world.asked(server)));
        assert_eq!(association.reach().to_string(), "000", "it brings no time");
        assert_eq!(association.unanswered(), 0, "but it answers");
    }
}

/// Root delay and dispersion of 65 536 s each were used by a rival, which then steered at 201 ppm.
#[test]
fn a_root_distance_beyond_measure_is_refused() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", |request, time, _| {
        let mut bytes = answer(request, time, ROUND_TRIP);
        bytes[4..12].fill(0xff);
        vec![(ROUND_TRIP, bytes)]
    });
    let id = world.add(server, config(6, 10, false));
    world.run_for(HOUR);
    assert_eq!(world.accepted, 0);
    assert!(world.system.association(id).unwrap().counters().unusable > 50);
}

#[test]
fn unsynchronised_servers_answer_but_bring_no_time() {
    type Spoil = fn(&mut Vec<u8>);
    let spoils: [Spoil; 3] = [
        |bytes| bytes[0] |= 0xc0,
        |bytes| bytes[1] = 16,
        |bytes| {
            bytes[1] = 0;
            bytes[12..16].fill(0);
        },
    ];
    for spoil in spoils {
        let mut world = World::new();
        let server = world.serve("192.0.2.1:123", move |request, time, _| {
            let mut bytes = answer(request, time, ROUND_TRIP);
            spoil(&mut bytes);
            vec![(ROUND_TRIP, bytes)]
        });
        let id = world.add(server, config(6, 10, true));
        world.run_for(HOUR);
        let association = world.system.association(id).unwrap();
        assert_eq!(world.accepted, 0);
        assert_eq!(association.reach().to_string(), "000");
        assert_eq!(association.counters().lost, 0);
        assert!((60..=66).contains(&world.asked(server)), "8 of a volley and no back-off: {}", world.asked(server));
    }
}

#[test]
fn duplicates_and_replays_are_unsolicited() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", {
        let mut previous = Vec::new();
        move |request, time, _| {
            let fresh = answer(request, time, ROUND_TRIP);
            let replay = std::mem::replace(&mut previous, fresh.clone());
            vec![(ROUND_TRIP / 2, replay), (ROUND_TRIP, fresh.clone()), (ROUND_TRIP + ROUND_TRIP, fresh)]
        }
    });
    world.add(server, config(6, 10, false));
    world.run_for(HOUR);
    assert_eq!(world.accepted, world.asked(server));
    assert_eq!(world.ignored.len(), 2 * world.asked(server));
    let duplicates = world.ignored.iter().filter(|(_, ignored)| *ignored == Ignored::Unsolicited).count();
    assert_eq!(duplicates, world.asked(server));
}

/// One wrong datagram ends a query in three peers of ours: here it costs nothing.
#[test]
fn floods_of_rubbish_change_nothing() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    let id = world.add(server, config(6, 10, false));
    let stranger = "203.0.113.9:123".parse().unwrap();
    for second in 0..3_600_u32 {
        for length in [0_usize, 1, 47, 48, 49, 52, 68, 200] {
            let octet = u8::try_from((usize::try_from(second).unwrap() + length) % 256).unwrap();
            world.inject(server, vec![octet; length]);
            world.inject(stranger, vec![0x24; length]);
        }
        world.run_for(Duration::from_secs(1));
    }
    assert_eq!(world.accepted, world.asked(server));
    assert!((53..=57).contains(&world.asked(server)));
    assert_eq!(world.system.association(id).unwrap().reach().to_string(), "377");
    let snapshot = world.system.snapshot(world.now);
    let counters = snapshot.sources[0].counters;
    assert_eq!((snapshot.strangers, counters.foreign, counters.unusable), (3_600 * 8, 3_600 * 8, 0));
}

#[test]
fn a_server_whose_reference_is_ourselves_is_a_loop() {
    let own = "192.0.2.77".parse().unwrap();
    let loopback = "127.0.0.1".parse().unwrap();
    for (stratum, reference) in [(1, own), (3, own), (3, loopback)] {
        let mut world = World::new();
        let server = world.serve("192.0.2.1:123", move |request, time, _| {
            let mut bytes = answer(request, time, ROUND_TRIP);
            bytes[1] = stratum;
            bytes[12..16].copy_from_slice(&reference_id_of(reference).to_bytes());
            vec![(ROUND_TRIP, bytes)]
        });
        world.system.set_local_addresses([own, loopback]);
        world.add(server, config(6, 10, false));
        world.run_for(HOUR);
        if stratum == 1 || reference == loopback {
            assert_eq!(
                world.accepted,
                world.asked(server),
                "no address of ours, but a clock's name, or its own loopback"
            );
        } else {
            assert_eq!(world.accepted, 0);
            assert!(world.ignored.iter().all(|(_, ignored)| matches!(ignored, Ignored::Loop(_))));
        }
    }
}

#[test]
fn the_reference_id_of_an_ipv6_server_is_a_hash() {
    let v6 = "fd77::1".parse().unwrap();
    assert_eq!(reference_id_of(v6).to_bytes(), [0x77, 0xa9, 0x4b, 0xdf]);
    let mapped = "::ffff:192.0.2.7".parse().unwrap();
    assert_eq!(reference_id_of(mapped).to_bytes(), [192, 0, 2, 7]);
}

#[test]
fn a_reply_that_took_too_long_is_not_used() {
    let late = Duration::from_millis(3_100);
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", move |request, time, _| vec![(late, answer(request, time, late))]);
    world.add(server, config(6, 10, false));
    world.run_for(HOUR);
    assert_eq!(world.accepted, 0);
    assert!(world.ignored.iter().all(|(_, ignored)| matches!(ignored, Ignored::Late { .. })));
}

#[test]
fn requests_in_flight_over_a_step_are_discarded_and_asked_again() {
    let mut world = World::new();
    let near = world.serve("192.0.2.1:123", good);
    let far = world.serve("192.0.2.2:123", |request, time, _| {
        let round_trip = Duration::from_millis(400);
        vec![(round_trip, answer(request, time, round_trip))]
    });
    world.error = NtpDuration::from_seconds(-100);
    let (near_id, far_id) = (world.add(near, config(6, 6, false)), world.add(far, config(6, 6, false)));
    let step = ClockCommand::Step { offset: NtpDuration::from_seconds(100), frequency: Frequency::ZERO };
    world.system.engine_mut().commands.push_back(step);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.error, NtpDuration::ZERO);
    let counters = world.system.association(far_id).unwrap().counters();
    assert_eq!((counters.discarded, counters.lost), (1, 0));
    assert_eq!(world.gaps(far).len(), 1, "asked again at once");
    assert!(world.gaps(far)[0] < 2.1);
    assert_eq!(world.system.association(far_id).unwrap().reach().to_string(), "001");
    // Nothing the engine got from the far server mixes the two clocks.
    let offset = world.system.association(far_id).unwrap().last().unwrap().exchange.round_trip.offset();
    assert!(offset.abs() < NtpDuration::from_nanos(1_000), "{offset}");
    assert_eq!(world.system.association(near_id).unwrap().counters().discarded, 0);
}

/// Half before and half after, it would seem to have taken less than no time, and to be half a second off.
#[test]
fn an_exchange_over_a_leap_second_is_discarded_and_asked_again() {
    for (leap, second) in [(LeapIndicator::InsertSecond, -1), (LeapIndicator::DeleteSecond, 1)] {
        let mut world = World::new();
        let far = world.serve("192.0.2.2:123", |request, time, _| {
            let round_trip = Duration::from_millis(400);
            vec![(round_trip, answer(request, time, round_trip))]
        });
        let id = world.add(far, config(6, 6, false));
        world.run_for(HOUR);
        let due = world.system.association(id).unwrap().next_timeout().unwrap();
        world.run_until(due + Duration::from_millis(100));
        world.error += NtpDuration::from_seconds(second);
        world.system.handle_leap(leap, world.now);
        assert_eq!(world.system.engine().leaps, [(leap, world.now)]);
        let samples = world.samples(id).len();
        world.run_for(Duration::from_secs(10));
        let moved = world
            .ignored
            .iter()
            .any(|(_, ignored)| matches!(ignored, Ignored::ClockMoved { by } if by.is_negative() == (second < 0)));
        let association = world.system.association(id).unwrap();
        assert!(moved && association.counters().discarded == 1, "{:?}", world.ignored);
        assert_eq!((association.reach().to_string().as_str(), world.samples(id).len()), ("377", samples + 1));
        let offset = world.samples(id).last().unwrap().offset - NtpDuration::from_seconds(-second);
        assert!(offset.abs() < NtpDuration::from_nanos(1_000), "{offset}");
        assert!(world.system.engine().discontinuities.is_empty());
    }
}

#[test]
fn a_transmit_stamp_replaces_the_departure_of_its_own_request_only() {
    let mut world = World::new();
    let address = "192.0.2.1:123".parse().unwrap();
    let id = world.add(address, config(6, 6, false));
    let transmit = world.system.poll_transmit(world.now, world.clock(), 42).unwrap();
    let late = NtpDuration::from_nanos(30_000);
    assert!(!world.system.handle_transmit_stamp(id, transmit.request.sequence + 1, world.clock() + late));
    assert!(world.system.handle_transmit_stamp(id, transmit.request.sequence, world.clock() + late));
    let reply = answer(transmit.request.bytes(), world.clock(), ROUND_TRIP);
    world.now += ROUND_TRIP;
    world.system.handle_datagram(&reply, address, world.clock(), world.now).unwrap();
    let delay = world.system.association(id).unwrap().last().unwrap().exchange.round_trip.delay();
    assert!((delay - (NtpDuration::from_std(ROUND_TRIP) - late)).abs() < NtpDuration::from_nanos(2));
}

#[test]
fn the_wire_carries_the_nonce_and_nothing_about_us() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", good);
    world.add(server, config(6, 6, false));
    world.run_for(HOUR);
    let mut nonces: Vec<_> = world.requests.iter().map(|(_, _, bytes)| bytes[40..48].to_vec()).collect();
    for (_, _, bytes) in &world.requests {
        assert_eq!(bytes[0], 0x23, "version 4, client");
        assert!(bytes[1..40].iter().all(|octet| *octet == 0));
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), world.requests.len());
}

#[test]
fn versions_one_to_four_are_asked_in_kind() {
    for version in 1..=4 {
        let mut world = World::new();
        let server = world.serve("192.0.2.1:123", good);
        let version = ntp_proto::Version::from_bits(version);
        world.add(server, SourceConfig { version, ..config(6, 6, false) });
        world.run_for(HOUR);
        assert_eq!(world.accepted, world.asked(server), "version {version}");
    }
}

#[test]
fn a_request_of_ours_that_a_step_spoils_leaves_no_hole_in_the_reach() {
    let mut world = World::new();
    let server = world.serve("192.0.2.1:123", |request, time, _| {
        let round_trip = Duration::from_millis(400);
        vec![(round_trip, answer(request, time, round_trip))]
    });
    let id = world.add(server, config(4, 4, false));
    world.run_for(HOUR);
    let next = world.system.next_timeout().unwrap();
    world.run_until(next + Duration::from_millis(100));
    let applied = ntp_types::Applied {
        at: world.now,
        stepped: NtpDuration::SECOND,
        slew_end: world.now,
        ..ntp_types::Applied::default()
    };
    world.system.handle_applied(&applied);
    world.run_for(Duration::from_secs(10));
    let association = world.system.association(id).unwrap();
    assert_eq!((association.reach().to_string().as_str(), association.counters().discarded), ("377", 1));
}
