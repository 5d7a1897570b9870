//! Worlds that no client can tell apart. Where no majority is right, who errs less in one of them errs more in its mirror.
//!
//! Two worlds mirror each other when everything that a client is given, every octet and every reading of its own clocks, is the
//! same in both, and another clock is the truth. What a client does is then the same as well, whichever client it is: its two
//! errors differ by what the two truths differ by, and add up to no less.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test stops at a fault

use std::time::Duration;

use ntp_discipline::{adaptive, Policy};
use ntp_sim::metrics::Second;
use ntp_sim::more::more;
use ntp_sim::scenario::Scenario;
use ntp_sim::table::{entries, Polling};
use ntp_sim::whole::{self, Answering, Whole, SOURCES};
use ntp_sim::world::{Client, World, PACKET};
use ntp_types::{Applied, ClockCommand, Instant, NtpTimestamp};

/// `nomaj2`: two servers, one of them wrong, and nothing tells which. A client that errs by half of what they differ by, whichever
/// is right, errs less in the worse of the two worlds than any other.
#[test]
fn of_two_servers_nobody_can_know_which_is_right() {
    for polling in [Polling::Fixed, Polling::Free] {
        let scenario = scenario("nomaj2", polling);
        let apart = scenario.servers[0].error(0.0) - scenario.servers[1].error(0.0);
        for seed in 1..=3 {
            let errors = in_both(&scenario, [0, 1], seed);
            assert!(errors.iter().all(|&error| error < 0.52 * apart), "seed {seed}: {errors:?} of {apart}");
        }
    }
}

/// `collude2of3`: either two of three servers run off together, or our oscillator does and the third server with it. That no
/// source wins which has a majority of truechimers against it decides which of the two a client has to be right in: it follows
/// the pair.
#[test]
fn whoever_doubts_a_majority_errs_where_it_is_right() {
    for polling in [Polling::Fixed, Polling::Free] {
        let scenario = scenario("collude2of3", polling);
        for seed in 1..=3 {
            let [followed, denied] = in_both(&scenario, [1, 0], seed);
            assert!(followed + denied > departure(&scenario), "seed {seed}: {followed} and {denied}");
            assert!(followed < 0.2 * denied, "seed {seed}: {followed} and {denied}");
        }
    }
}

/// The mirror of `collude2of3` is `echo1of3`, of an oscillator and a server that run off together: to be the other to the last bit
/// the one lacks that delays, and the seconds of the oscillator's walk, are a ten millionth longer.
#[test]
fn the_mirror_is_made_of_ordinary_parts() {
    for polling in [Polling::Fixed, Polling::Free] {
        let (collude, echo) = (scenario("collude2of3", polling).judged_by(1), scenario("echo1of3", polling));
        let [(acts, seconds), (mirrored, other)] = [&collude, &echo].map(|world| watched(world, 1));
        let [requests, others] = [&acts, &mirrored].map(|acts| requests(acts));
        assert_eq!(requests.len(), others.len());
        for (&(server, at), &(other, then)) in requests.iter().zip(&others) {
            let apart = at.since(then).max(then.since(at));
            assert!(server == other && apart < Duration::from_nanos(100), "{server} {at:?}, {other} {then:?}");
        }
        let furthest =
            seconds.iter().zip(&other).map(|(one, other)| (one.error - other.error).abs()).fold(0.0, f64::max);
        assert!(furthest < 1e-6, "{furthest}");
    }
}

/// chrony is such a client, too: it errs less in `collude2of3`, and more in the mirror.
#[test]
fn chrony_errs_in_one_of_them() {
    let further = more();
    let of = |name: &str| further.iter().find(|further| further.scenario.name == name).unwrap();
    let (collude, echo) = (of("collude2of3"), of("echo1of3"));
    let departure = departure(&collude.scenario);
    for (one, other) in collude.chrony.iter().flatten().zip(echo.chrony.iter().flatten()) {
        // Medians over other seeds than ours, of worlds that are mirrored to rounding.
        assert!(one.rms + other.rms > 0.99 * departure, "{} and {}", one.rms, other.rms);
    }
}

fn scenario(name: &str, polling: Polling) -> Scenario {
    entries().into_iter().find(|entry| entry.scenario.name == name && entry.polling == polling).unwrap().scenario
}

/// The two errors of a client in a world that is judged by one of two servers, then by the other, once it is shown that it cannot
/// tell them apart.
fn in_both(scenario: &Scenario, truths: [usize; 2], seed: u64) -> [f64; 2] {
    let worlds = truths.map(|truth| scenario.clone().judged_by(truth));
    let [(acts, seconds), (mirrored, other)] = worlds.each_ref().map(|world| watched(world, seed));
    assert!(acts == mirrored, "{}, seed {seed}: told apart", scenario.name);
    let servers = truths.map(|truth| &scenario.servers[truth]);
    for (at, (one, other)) in (1_u32..).zip(seconds.iter().zip(&other)) {
        let [ahead, other_ahead] = servers.map(|server| server.error(f64::from(at)));
        let apart = (ahead - other_ahead).abs();
        assert!((one.error - other.error + ahead - other_ahead).abs() < 1e-12, "seed {seed}, {at} s");
        assert!(one.error.abs() + other.error.abs() > apart - 1e-12, "seed {seed}, {at} s");
        // What it claims is true of either.
        assert_eq!(one.bound, other.bound);
        assert!(one.bound.map_or(true, |bound| one.error.abs().max(other.error.abs()) <= bound), "seed {seed}, {at} s");
    }
    [scored(scenario, &seconds), scored(scenario, &other)]
}

/// RMS error after settling.
fn scored(scenario: &Scenario, seconds: &[Second]) -> f64 {
    rms(seconds[scenario.settle as usize..].iter().map(|second| second.error))
}

/// How far the pair of `collude2of3` runs off, RMS of the seconds that are scored.
fn departure(scenario: &Scenario) -> f64 {
    rms((scenario.settle..scenario.duration).map(|second| scenario.servers[1].error(f64::from(second + 1))))
}

fn rms(of: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = of.fold((0.0, 0.0), |(sum, count), error| (sum + error * error, count + 1.0));
    f64::sqrt(sum / count)
}

/// To whom the requests went, and when.
fn requests(acts: &[Act]) -> Vec<(usize, Instant)> {
    let request = |act: &Act| match *act {
        Act::Sent(server, _, now, _) => Some((server, now)),
        _ => None,
    };
    acts.iter().filter_map(request).collect()
}

/// The whole client's run: what passed between it and the world, and every second.
fn watched(scenario: &Scenario, seed: u64) -> (Vec<Act>, Vec<Second>) {
    let engine = adaptive::Engine::<SOURCES>::new(Policy::default()).unwrap();
    let start = whole::world(engine.clone(), scenario, seed).now();
    let responders = scenario.servers.iter().map(|server| Answering::new(server, None)).collect();
    let mut acts = Vec::new();
    let client = Watched { client: Whole::new(engine, scenario, seed, start), acts: &mut acts };
    let (_, seconds) = World::new(scenario, seed, client, responders).run();
    (acts, seconds)
}

/// What a client was given, and what it did.
#[derive(Debug, Clone, PartialEq)]
enum Act {
    /// Server, octets, and both clocks.
    Sent(usize, Vec<u8>, Instant, NtpTimestamp),
    Given(usize, Vec<u8>, Instant, NtpTimestamp),
    Suspended(Duration, Instant),
    Woken(Instant),
    Commanded(ClockCommand),
    Applied(Applied),
}

/// A client of which everything is written down.
struct Watched<'a, C> {
    client: C,
    acts: &'a mut Vec<Act>,
}

impl<C: Client> Client for Watched<'_, C> {
    fn poll_transmit(
        &mut self,
        now: Instant,
        time: NtpTimestamp,
        nonce: u64,
        out: &mut [u8; PACKET],
    ) -> Option<(usize, usize)> {
        let (server, length) = self.client.poll_transmit(now, time, nonce, out)?;
        self.acts.push(Act::Sent(server, out[..length].to_vec(), now, time));
        Some((server, length))
    }

    fn handle_datagram(&mut self, server: usize, bytes: &[u8], time: NtpTimestamp, now: Instant) {
        self.acts.push(Act::Given(server, bytes.to_vec(), now, time));
        self.client.handle_datagram(server, bytes, time, now);
    }

    fn handle_suspended(&mut self, slept: Duration, now: Instant) {
        self.acts.push(Act::Suspended(slept, now));
        self.client.handle_suspended(slept, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.acts.push(Act::Woken(now));
        self.client.handle_timeout(now);
    }

    fn poll_command(&mut self) -> Option<ClockCommand> {
        let command = self.client.poll_command()?;
        self.acts.push(Act::Commanded(command));
        Some(command)
    }

    fn handle_applied(&mut self, applied: &Applied) {
        self.acts.push(Act::Applied(*applied));
        self.client.handle_applied(applied);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.client.next_timeout()
    }

    fn bound(&self, now: Instant) -> Option<f64> {
        self.client.bound(now)
    }
}
