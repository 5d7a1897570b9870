//! The whole client among servers of which some, or all, are gone.

#![allow(clippy::unwrap_used)] // a test stops at a fault

use std::time::Duration;

use ntp_discipline::{adaptive, rfc5905, Engine, Policy};
use ntp_sim::metrics::Second;
use ntp_sim::network::When;
use ntp_sim::scenario::Scenario;
use ntp_sim::server::{Fault, Server};
use ntp_sim::whole::{self, SOURCES};

fn near() -> Server {
    Server::exponential(1e-2, 3e-4)
}

/// When the client first claimed to be synchronised.
fn first_claim(scenario: &Scenario, seed: u64) -> usize {
    let (_, seconds) = ntp_sim::run(scenario, seed);
    seconds.iter().position(|second| second.bound.is_some()).unwrap()
}

/// One that left a whole volley unanswered is not waited for; one that is merely late is.
#[test]
fn a_dead_server_holds_nobody_up() {
    let two = Scenario::new("two", "two good servers").server(near()).server(near()).watch(30, 60);
    for seed in 1..=5 {
        let alone = first_claim(&two, seed);
        let dead = near().fault(Fault::Silent(When::since(0.0)));
        let with_dead = first_claim(&two.clone().server(dead.clone()), seed);
        assert!(alone <= 4 && with_dead <= 6, "seed {seed}: {alone} and {with_dead} s");
        // First in the list, it is asked first.
        let dead_first = Scenario::new("dead", "a dead server, then two good ones").server(dead).watch(30, 60);
        let with_dead = first_claim(&dead_first.server(near()).server(near()), seed);
        assert!(with_dead <= 6, "seed {seed}: {with_dead} s");
    }
}

/// A near server that is 2 ms off is out-voted, and tells how our clock runs; when it runs off at last, it takes nobody along.
#[test]
fn an_outcast_tells_the_rate() {
    let far = || Server::exponential(2e-2, 1e-3);
    let three = Scenario::new("three", "three far servers").server(far()).server(far()).server(far());
    let three = three.poll_fixed(6).watch(10_000, 20_000);
    let outcast = Server::exponential(1e-4, 1e-5).wrong_by(2e-3);
    let fourth =
        |fault: Option<Fault>| three.clone().server(fault.map_or(outcast.clone(), |f| outcast.clone().fault(f)));
    for seed in 1..=3 {
        let [without, with, running] =
            [three.clone(), fourth(None), fourth(Some(Fault::Drift { from: 15e3, rate: 1e-6 }))]
                .map(|scenario| ntp_sim::run(&scenario, seed).0);
        assert!(
            with.rms < 0.9 * without.rms && with.rms_frequency < 0.6 * without.rms_frequency,
            "{with:?}, {without:?}"
        );
        assert!(running.rms < 1.1 * without.rms && running.max < 1.2 * without.max, "{running:?}, {without:?}");
    }
}

fn claims<E: Engine>(engine: E, scenario: &Scenario) -> Vec<Second> {
    whole::world(engine, scenario, 1).run().1
}

/// Servers fall silent, or lose their own time: the claim outlives them by the longest holdover, true all the while, and
/// comes back with them.
#[test]
fn a_claim_decays_without_servers_and_comes_back_with_them() {
    let policy = Policy { maximum_holdover: Duration::from_secs(3_600), ..Policy::default() };
    let gone = When::between(4_000.0, 12_000.0);
    for fault in [Fault::Silent(gone), Fault::Unsynchronized(gone)] {
        for count in [1, 3] {
            let empty = Scenario::new("gone", "servers go and come back").poll_fixed(6).watch(1_000, 16_000);
            let scenario = (0..count).fold(empty, |scenario, _| scenario.server(near().fault(fault)));
            let adaptive = claims(adaptive::Engine::<SOURCES>::new(policy).unwrap(), &scenario);
            let rfc5905 = claims(rfc5905::Engine::new(policy, rfc5905::Options::default()).unwrap(), &scenario);
            for (engine, seconds) in [("adaptive", adaptive), ("RFC 5905", rfc5905)] {
                let what = format!("{engine}, {count} servers, {fault:?}");
                let claimed = |from: usize, until: usize| seconds[from..until].iter().all(|s| s.bound.is_some());
                let none = |from: usize, until: usize| seconds[from..until].iter().all(|s| s.bound.is_none());
                // The last update may be a filter of eight samples old when the servers go.
                assert!(claimed(3_000, 7_000), "{what}: lost too early");
                assert!(none(7_700, 12_000), "{what}: stale");
                assert!(claimed(15_000, 16_000), "{what}: not regained");
                let grows = seconds[6_900].bound > seconds[5_000].bound;
                assert!(grows, "{what}: {:?} then {:?}", seconds[5_000].bound, seconds[6_900].bound);
                let holds = seconds[1_000..].iter().all(|s| s.bound.map_or(true, |bound| s.error.abs() <= bound));
                assert!(holds || engine != "adaptive", "{what}: not true");
            }
        }
    }
}

/// Somebody adds a third of a second to the clock, without a word: it shows, is seen at the next answer, and is taken off again.
#[test]
fn a_clock_that_somebody_sets_comes_right_again() {
    let quiet = Scenario::new("moved", "three servers, and somebody who sets the clock");
    let scenario = (0..3).fold(quiet, |scenario, _| scenario.server(near())).poll_fixed(6).watch(1_000, 4_000);
    let (_, seconds) = ntp_sim::run(&scenario.moved(2_000, 0.3), 1);
    let error = |at: usize| seconds[at].error;
    assert!(error(1_998).abs() < 1e-3 && (error(2_001) - 0.3).abs() < 1e-3, "{} {}", error(1_998), error(2_001));
    assert!((2_200..4_000).all(|at| error(at).abs() < 1e-3));
}
