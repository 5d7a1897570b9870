//! Many sources together: company, pools, events, and what it costs to have thousands.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod world;

use std::net::SocketAddr;
use std::time::Duration;

use ntp_client::{known_lag, AddError, Event, PoolConfig, System, SystemConfig};
use ntp_discipline::{Refusal, Status, Verdict};
use ntp_types::{ClockCommand, Frequency, Instant, NtpDuration, NtpTimestamp, Poll, UnixTime};
use world::{answer, config, good, kiss, silent, Recorder, World, ROUND_TRIP};

const HOUR: Duration = Duration::from_secs(3_600);

fn address(last: u16) -> SocketAddr {
    format!("10.0.{}.{}:123", last >> 8, last & 255).parse().unwrap()
}

/// In a rival one dead server delays every other's poll by two seconds each time.
#[test]
fn a_dead_server_delays_nobody() {
    let mut alone = World::new();
    let server = alone.serve("10.0.0.1:123", good);
    alone.add(server, config(4, 4, true));
    alone.run_for(HOUR);

    let mut world = World::new();
    world.serve("10.0.0.1:123", good);
    let dead: Vec<_> = (2..10).map(|last| world.serve(&address(last).to_string(), silent)).collect();
    world.add(server, config(4, 4, true));
    for dead in dead {
        world.add(dead, config(4, 4, true));
    }
    world.run_for(HOUR);
    assert!(world.asked(server).abs_diff(alone.asked(server)) <= 1);
    assert!(world.gaps(server).iter().skip(4).all(|gap| (14.5..=18.0).contains(gap)));
}

#[test]
fn requests_of_several_sources_are_spread_evenly() {
    let mut world = World::new();
    let servers: Vec<_> = (1..=4).map(|last| world.serve(&address(last).to_string(), good)).collect();
    for server in &servers {
        world.add(*server, config(6, 6, false));
    }
    world.run_for(HOUR);
    let mut last: Vec<_> = servers.iter().map(|server| *world.servers[server].asked.last().unwrap()).collect();
    last.sort();
    for pair in last.windows(2) {
        let apart = pair[1].since(pair[0]).as_secs_f64();
        assert!((12.0..=20.0).contains(&apart), "{apart} s apart, 16 would be even");
    }
}

#[test]
fn the_newest_command_replaces_one_that_was_not_fetched() {
    let mut system = System::new(Recorder::default(), SystemConfig::default());
    let now = Instant::from_nanos(1);
    let clock = NtpTimestamp::new(4_004_000_000, 0);
    for last in 1..=2 {
        system.add_source(address(last), config(6, 6, false), now).unwrap();
        let frequency = Frequency::from_ppm(i32::from(last));
        system.engine_mut().commands.push_back(ClockCommand::Step { offset: NtpDuration::SECOND, frequency });
    }
    let now = now + Duration::from_secs(1);
    let requests: Vec<_> = std::iter::from_fn(|| system.poll_transmit(now, clock, 77)).collect();
    for transmit in requests {
        let reply = answer(transmit.request.bytes(), clock, Duration::ZERO);
        system.handle_datagram(&reply, transmit.request.to, clock, now).unwrap();
    }
    let frequency = Frequency::from_ppm(2);
    assert_eq!(system.poll_command(), Some(ClockCommand::Step { offset: NtpDuration::SECOND, frequency }));
    assert_eq!(system.poll_command(), None);
}

#[test]
fn an_interval_that_gets_shorter_brings_the_next_request_forward_for_every_source() {
    let mut world = World::new();
    let servers: Vec<_> = (1..=3).map(|last| world.serve(&address(last).to_string(), good)).collect();
    for server in &servers {
        world.add(*server, config(4, 10, false));
    }
    world.system.engine_mut().poll = Some(Poll::from_log2(10));
    world.run_for(HOUR * 3);
    world.system.engine_mut().poll = Some(Poll::from_log2(4));
    // The next sample of any source tells them all.
    let next = world.system.next_timeout().unwrap();
    world.run_until(next + Duration::from_secs(1));
    let before: Vec<_> = servers.iter().map(|server| world.asked(*server)).collect();
    world.run_for(Duration::from_secs(36));
    for (server, before) in servers.iter().zip(before) {
        assert!(world.asked(*server) >= before + 2, "{} after {before}", world.asked(*server));
    }
}

#[test]
fn removed_sources_are_forgotten_and_their_names_do_not_come_back() {
    let mut world = World::new();
    let (one, two) = (world.serve("10.0.0.1:123", good), world.serve("10.0.0.2:123", good));
    let id = world.add(one, config(4, 4, false));
    assert_eq!(world.system.add_source(one, config(4, 4, false), world.now), Err(AddError::Present(one)));
    world.run_for(Duration::from_secs(100));
    assert!(world.system.remove_source(id) && !world.system.remove_source(id));
    let asked = world.asked(one);
    let next = world.add(two, config(4, 4, false));
    assert_eq!((next.slot(), id.slot()), (0, 0), "the slot is used again");
    assert_ne!(next, id);
    world.run_for(Duration::from_secs(100));
    assert_eq!(world.asked(one), asked);
    assert!(world.system.association(id).is_none());
    assert_eq!(world.system.source_at(one), None);
    assert_eq!(world.system.snapshot(world.now).sources.len(), 1);
}

#[test]
fn what_is_no_address_of_a_server_is_not_added() {
    let mut world = World::new();
    for wrong in ["10.0.0.1:0", "0.0.0.0:123", "[::]:123", "224.0.1.1:123"] {
        let wrong = wrong.parse().unwrap();
        assert_eq!(world.system.add_source(wrong, config(6, 6, false), world.now), Err(AddError::NotAServer(wrong)));
    }
    assert!(world.system.is_empty());
}

#[test]
fn a_pool_uses_some_and_replaces_the_silent_the_denying_and_the_false() {
    let mut world = World::new();
    let servers: Vec<_> = (0..10).map(|last| world.serve(&address(last + 1).to_string(), good)).collect();
    let deny = world.serve(&address(2).to_string(), |request, _, _| vec![(ROUND_TRIP, kiss(request, b"DENY"))]);
    let dead = world.serve(&address(3).to_string(), silent);
    let pool = world.system.add_pool(PoolConfig { source: config(4, 4, true), ..PoolConfig::default() });
    world.system.add_candidates(pool, servers.iter().copied(), world.now);
    assert_eq!(world.system.len(), 4);
    world.system.engine_mut().verdicts.insert(3, Verdict::Falseticker);
    world.run_for(HOUR);
    let members: Vec<_> = world.system.snapshot(world.now).sources.iter().map(|source| source.address).collect();
    assert_eq!(members.len(), 4);
    assert!(members.contains(&servers[0]));
    assert!(!members.contains(&deny) && !members.contains(&dead) && !members.contains(&servers[3]), "{members:?}");
    assert_eq!(world.asked(deny), 1);
    // The one in the fourth slot is called false whoever it is, so the pool runs out at last and says so, once.
    let wants = world.events.iter().filter(|event| matches!(event, Event::CandidatesWanted { .. })).count();
    let replaced = world.events.iter().filter(|event| matches!(event, Event::Replaced { .. })).count();
    assert_eq!((wants, replaced), (1, 6), "six waited and six were needed");
}

/// What is asked of a pool's name, and when: its members are all dead, then one of what it leads to refuses.
#[test]
fn a_pool_of_the_dead_asks_for_others_and_never_again_for_who_refused() {
    let mut world = World::new();
    let dead = [1, 2].map(|last| world.serve(&address(last).to_string(), silent));
    let config = PoolConfig { size: 2, source: config(4, 4, false), ..PoolConfig::default() };
    let pool = world.system.add_pool(config);
    assert_eq!(world.system.add_candidates(pool, dead, world.now), 2);
    let wants =
        |world: &World| world.events.iter().filter(|event| matches!(event, Event::CandidatesWanted { .. })).count();
    world.run_for(HOUR);
    assert_eq!(wants(&world), 1, "said once");
    // The name leads to the same: nothing new, and said again when the next request is due.
    assert_eq!(world.system.add_candidates(pool, dead, world.now), 0);
    world.run_for(HOUR);
    assert_eq!(wants(&world), 2);
    let deny = world.serve("10.0.0.3:123", |request, _, _| vec![(ROUND_TRIP, kiss(request, b"DENY"))]);
    let alive = world.serve("10.0.0.4:123", good);
    assert_eq!(world.system.add_candidates(pool, [deny, alive], world.now), 2);
    world.run_for(HOUR);
    for _ in 0..5 {
        assert_eq!(world.system.add_candidates(pool, [deny], world.now), 0);
        world.run_for(HOUR);
    }
    assert_eq!(world.asked(deny), 1, "it said no");
    let members: Vec<_> = world.system.snapshot(world.now).sources.iter().map(|source| source.address).collect();
    assert!(members.contains(&alive) && !members.contains(&deny), "{members:?}");
}

#[test]
fn a_pool_without_candidates_keeps_what_it_has_but_not_who_refuses() {
    let mut world = World::new();
    let dead = world.serve("10.0.0.1:123", silent);
    let deny = world.serve("10.0.0.2:123", |request, _, _| vec![(ROUND_TRIP, kiss(request, b"RSTR"))]);
    let pool = world.system.add_pool(PoolConfig { source: config(4, 4, false), ..PoolConfig::default() });
    world.system.add_candidates(pool, [dead, deny], world.now);
    world.run_for(HOUR);
    let snapshot = world.system.snapshot(world.now);
    assert_eq!(snapshot.sources.len(), 1);
    assert_eq!(snapshot.sources[0].address, dead);
    let wants = world.events.iter().filter(|event| matches!(event, Event::CandidatesWanted { .. })).count();
    assert_eq!(wants, 1);
}

#[test]
fn the_snapshot_says_what_happened() {
    let mut world = World::new();
    let (up, down) = (world.serve("10.0.0.1:123", good), world.serve("10.0.0.2:123", silent));
    world.add(up, config(4, 10, true));
    let lost = world.serve("10.0.0.3:123", |request: &[u8], time, _| {
        let mut bytes = answer(request, time, ROUND_TRIP);
        bytes[0] |= 0xc0; // leap 3: it has no time
        vec![(ROUND_TRIP, bytes)]
    });
    world.add(down, config(4, 10, true));
    world.add(lost, config(4, 10, true));
    world.system.engine_mut().system_peer = Some(0);
    world.system.engine_mut().status = Status::Synchronized;
    world.run_for(HOUR / 2);
    let refusal = Refusal::NoMajority { candidates: 2 };
    world.system.engine_mut().refusal = Some(refusal);
    world.system.engine_mut().verdicts.insert(0, Verdict::Candidate);
    world.run_for(HOUR / 4);
    world.system.engine_mut().verdicts.clear();
    world.run_for(HOUR / 4);
    assert!(world.events.contains(&Event::Refused(refusal)));
    let judged = world.events.iter().filter_map(|event| match *event {
        Event::Judged { address, before, now, .. } => Some((address, before, now)),
        _ => None,
    });
    let (pending, candidate) = (Verdict::Pending, Verdict::Candidate);
    assert_eq!(judged.collect::<Vec<_>>(), [(up, pending, candidate), (up, candidate, pending)]);
    let snapshot = world.system.snapshot(world.now);
    assert_eq!(snapshot.system_peer, Some(up));
    assert_eq!(snapshot.standing.reference_id.to_bytes(), [10, 0, 0, 1]);
    let [up, down, lost] = &snapshot.sources[..] else { panic!("three sources") };
    let verdicts = [up, down, lost].map(|source| source.estimate.verdict);
    assert_eq!(verdicts, [Verdict::Pending, Verdict::Unreachable, Verdict::Unsynchronized]);
    assert_eq!((up.reach.to_string(), down.reach.to_string()), ("377".into(), "000".into()));
    assert_eq!(up.counters.sent, up.counters.accepted);
    assert_eq!((down.counters.accepted, down.counters.sent), (0, down.counters.lost + 1));
    assert_eq!(up.server.unwrap().stratum.to_bits(), 2);
    assert!(down.server.is_none() && down.next.is_some());
    assert!(world.events.contains(&Event::StatusChanged { before: Status::Unsynchronized, now: Status::Synchronized }));
    for event in &world.events {
        assert!(!event.to_string().is_empty());
    }
}

/// An era ends on 2036-02-07; neither offset nor delay notices.
#[test]
fn the_end_of_an_era_passes_unnoticed() {
    for (ours, theirs) in [(0xffff_fff0_u32, 5_u32), (5, 0xffff_fff0), (0xffff_fffe, 0xffff_ffff)] {
        let mut system = System::new(Recorder::default(), SystemConfig::default());
        let now = Instant::from_nanos(1);
        let id = system.add_source(address(1), config(6, 6, false), now).unwrap();
        let (ours, theirs) = (NtpTimestamp::new(ours, 1 << 31), NtpTimestamp::new(theirs, 5));
        let transmit = system.poll_transmit(now, ours, 99).unwrap();
        let reply = answer(transmit.request.bytes(), theirs, Duration::from_secs(2));
        let now = now + Duration::from_secs(2);
        system.handle_datagram(&reply, address(1), ours + NtpDuration::from_seconds(2), now).unwrap();
        let trip = system.association(id).unwrap().last().unwrap().exchange.round_trip;
        assert_eq!(trip.offset(), theirs - ours);
        assert!((trip.delay() - NtpDuration::from_seconds(2)).abs() < NtpDuration::from_nanos(2));
    }
}

/// A machine that starts in 1970 asks a server of 2038-01-20: 68 years and a day. A rival comes out in 1901.
#[test]
fn a_clock_at_1970_finds_2038_from_a_time_known_to_have_passed() {
    let unix = |text: &str| text.parse::<UnixTime>().unwrap();
    let (made, truth) = (unix("2026-11-01T00:00:00Z"), unix("2038-01-20T00:00:00Z"));
    let offset_from = |clock: NtpTimestamp| {
        let mut system = System::new(Recorder::default(), SystemConfig::default());
        let now = Instant::from_nanos(1);
        let id = system.add_source(address(1), config(6, 6, false), now).unwrap();
        let transmit = system.poll_transmit(now, clock, 99).unwrap();
        let reply = answer(transmit.request.bytes(), NtpTimestamp::from_unix(truth), Duration::ZERO);
        system.handle_datagram(&reply, address(1), clock, now).unwrap();
        system.association(id).unwrap().last().unwrap().exchange.round_trip.offset()
    };
    let start = NtpTimestamp::from_unix(UnixTime::EPOCH);
    assert!(offset_from(start).is_negative(), "wrapped: 68 years and a day do not fit");
    let lag = known_lag(UnixTime::EPOCH, made).unwrap();
    let clock = start + lag;
    assert_eq!(clock + offset_from(clock), NtpTimestamp::from_unix(truth));
    assert_eq!(known_lag(truth, made), None);
}

/// Sources that are added together are not asked all at once, nor made to wait for long.
#[test]
fn first_requests_are_spread() {
    let mut world = World::new();
    for last in 0..300 {
        let server = world.serve(&address(last).to_string(), good);
        world.add(server, config(6, 6, false));
    }
    let start = world.now;
    world.run_for(Duration::from_secs(3));
    let first: Vec<Duration> = world.servers.values().map(|server| server.asked[0].since(start)).collect();
    assert!(first.iter().all(|at| *at <= Duration::from_secs(2)));
    let at_once = |moment: &Duration| first.iter().filter(|at| *at == moment).count();
    assert!(first.iter().all(|at| at_once(at) <= 2), "{first:?}");
}

/// However many associations there are: a request and its reply concern one of them, and the engine is asked of no other.
#[test]
fn a_thousand_associations_leave_each_other_alone() {
    let count = 1_000;
    let mut world = World::new();
    for last in 0..count {
        let server = world.serve(&address(last).to_string(), good);
        world.add(server, config(6, 6, false));
    }
    world.run_for(Duration::from_secs(640));
    let polls: usize = world.servers.values().map(|server| server.asked.len()).sum();
    assert!(polls >= usize::from(count) * 10);
    assert!(polls - world.accepted < 10, "only what is in flight at the end is missing");
    assert!(world.system.engine().polls_asked.get() <= 2 * polls + usize::from(count));
}

/// What is asked of a server within two minutes of waking.
fn woken(world: &mut World, server: SocketAddr) -> Vec<f64> {
    let (woke, before) = (world.now, world.asked(server));
    world.run_for(Duration::from_secs(120));
    world.servers[&server].asked[before..].iter().map(|at| at.since(woke).as_secs_f64()).collect()
}

#[test]
fn after_a_sleep_sources_are_asked_at_once_and_what_was_in_flight_is_void() {
    let mut world = World::new();
    let slow = |request: &[u8], time, _| vec![(Duration::from_secs(2), answer(request, time, ROUND_TRIP))];
    let (quick, one, late) =
        (world.serve("10.0.0.1:123", good), world.serve("10.0.0.2:123", good), world.serve("10.0.0.3:123", slow));
    let gone = world.serve("10.0.0.4:123", |request, _, _| vec![(ROUND_TRIP, kiss(request, b"DENY"))]);
    world.add(quick, config(10, 10, true));
    world.add(one, config(10, 10, false));
    let late_id = world.add(late, config(10, 10, false));
    world.add(gone, config(10, 10, true));
    world.run_for(HOUR);
    // It falls asleep with a request under way.
    let due = world.system.association(late_id).unwrap().next_timeout().unwrap();
    world.run_until(due + Duration::from_secs(1));
    let (samples, command) =
        (world.samples(late_id).len(), ClockCommand::Step { offset: NtpDuration::SECOND, frequency: Frequency::ZERO });
    world.system.engine_mut().commands.push_back(command);
    world.system.handle_suspended(Duration::from_secs(600), world.now);
    assert_eq!(world.system.engine().discontinuities, [world.now]);
    assert_eq!(world.system.poll_command(), None);
    assert_eq!(world.system.association(late_id).unwrap().counters().discarded, 1);

    world.system.engine_mut().commands.clear();
    let asked = woken(&mut world, quick);
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked[0] < 0.1 && asked.windows(2).all(|pair| (1.9..2.5).contains(&(pair[1] - pair[0]))), "{asked:?}");
    assert_eq!(world.samples(late_id).len(), samples + 1, "the answer to the new request only");
    let last = |server: &SocketAddr| *world.servers[server].asked.last().unwrap();
    assert!(world.now.since(last(&one)).as_secs_f64() > 119.0, "one request without iburst, at once");
    assert_eq!(world.asked(gone), 1, "a server that refused stays unasked");
    assert!(world.events.contains(&Event::Suspended { slept: Duration::from_secs(600) }));
}

#[test]
fn a_clock_that_somebody_else_sets_is_seen_at_the_next_look() {
    let mut world = World::new();
    let server = world.serve("10.0.0.1:123", good);
    world.add(server, config(6, 6, true));
    world.run_for(HOUR);
    assert!(world.system.engine().discontinuities.is_empty());
    // Our own step is none of this.
    let offset = NtpDuration::from_seconds_f64(2.5);
    world.system.engine_mut().commands.push_back(ClockCommand::Step { offset, frequency: Frequency::ZERO });
    world.run_for(HOUR);
    assert!(world.system.engine().discontinuities.is_empty());

    world.error += NtpDuration::from_seconds_f64(-0.25);
    let asked = woken(&mut world, server);
    assert_eq!(world.system.engine().discontinuities.len(), 1);
    assert!(asked.len() >= 4, "{asked:?}");
    let by = world.events.iter().find_map(|event| match event {
        Event::ClockMoved { by } => Some(*by),
        _ => None,
    });
    assert!((by.unwrap() + NtpDuration::from_seconds_f64(0.25)).abs() < NtpDuration::from_nanos(1_000), "{by:?}");
}

#[test]
fn a_server_that_asked_for_fewer_requests_gets_no_volley_on_waking() {
    let mut world = World::new();
    let server = world.serve("10.0.0.1:123", |request, time, count| match count {
        0 => vec![(ROUND_TRIP, kiss(request, b"RATE"))],
        _ => good(request, time, count),
    });
    world.add(server, config(4, 10, true));
    world.run_for(HOUR);
    world.system.handle_suspended(Duration::from_secs(60), world.now);
    let asked = woken(&mut world, server);
    assert!(asked[0] < 0.1 && asked.get(1).map_or(true, |second| *second > 10.0), "{asked:?}");
}
