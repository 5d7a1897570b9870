//! What others send does not move the clock.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use ntp_discipline::{adaptive, Policy};
use ntp_proto::mac::{Algorithm, Key, SharedKey};
use ntp_sim::attack::Attack;
use ntp_sim::network::{Event, When};
use ntp_sim::scenario::Scenario;
use ntp_sim::server::{Fault, Server};
use ntp_sim::whole::{self, SOURCES};

fn quiet() -> Scenario {
    Scenario::new("quiet", "three good servers, an hour and a half")
        .server(Server::exponential(5e-3, 3e-4))
        .server(Server::exponential(1e-2, 3e-4))
        .server(Server::exponential(2e-2, 5e-4))
        .watch(1_800, 5_400)
}

#[test]
fn floods_replays_and_spoofed_kisses_change_nothing() {
    let (calm, _) = ntp_sim::run(&quiet(), 1);
    let always = When::since(0.0);
    let attacked = quiet()
        .attack(Attack::Flood(always, 20))
        .attack(Attack::Rubbish(always, 20))
        .attack(Attack::SpoofedKiss(always, 5, *b"DENY"))
        .attack(Attack::SpoofedKiss(always, 5, *b"RATE"))
        .attack(Attack::Replay(always, 0.5))
        .attack(Attack::Replay(always, 70.0));
    let engine = adaptive::Engine::<SOURCES>::new(Policy::default()).unwrap();
    let mut arrived = BTreeMap::new();
    let (stormy, _) = whole::world(engine, &attacked, 1).run_tapped(|passage| {
        let kind = match passage.bytes {
            _ if !passage.to_client => "requests",
            [0xe4, 0, 6, 0xe8, _, _, _, _, _, _, _, _, b'D' | b'R', ..] => "kisses",
            [0x24, 1, 6, 0xe8, ..] => "flood",
            [0x24, 1, ..] => "answers",
            _ => "rubbish",
        };
        *arrived.entry(kind).or_insert(0) += 1;
    });
    assert!(calm.rms > 0.0 && calm.rms < 1e-3, "{calm:?}");
    // Not a bit: nothing of it passes the checks, and no random number of the network depends on it.
    assert_eq!(stormy, calm);
    // Each of them had been there, every answer three times.
    let seconds = 5_400;
    let near = |kind: &str, expected: u32| (expected - expected / 20..=expected).contains(&arrived[kind]);
    assert!(
        near("flood", 20 * seconds) && near("rubbish", 20 * seconds) && near("kisses", 10 * seconds),
        "{arrived:?}"
    );
    assert!(near("answers", 3 * arrived["requests"]), "{arrived:?}");
}

#[test]
fn who_reads_the_packets_rules_a_client_without_a_key_and_nothing_of_one_with() {
    let key = || SharedKey::new(NonZeroU32::MIN, Key::new(Algorithm::Sha1, b"of client and servers").unwrap());
    let read = Attack::OnPath(When::since(0.0));
    let (believed, _) = ntp_sim::run(&quiet().attack(read), 1);
    assert!(believed.max > 1.0, "{believed:?}");
    let (calm, _) = ntp_sim::run(&quiet().signed(key()), 1);
    let (stormy, _) = ntp_sim::run(&quiet().signed(key()).attack(read), 1);
    assert!(calm.rms > 0.0 && calm.rms < 1e-3, "{calm:?}");
    assert_eq!(stormy, calm);
    // A MAC changes nothing of what is measured.
    assert_eq!(calm, ntp_sim::run(&quiet(), 1).0);
}

#[test]
fn a_delaying_attacker_is_outvoted() {
    let delayed = Server::exponential(5e-3, 3e-4);
    let delayed = Server { down: delayed.down.clone().event(When::since(2_000.0), Event::Longer(0.4)), ..delayed };
    let (attacked, _) = ntp_sim::run(&quiet().server(delayed), 1);
    assert!(attacked.max < 2e-3 && attacked.violations == 0, "{attacked:?}");
}

#[test]
fn a_server_that_kisses_is_asked_no_more_and_one_without_time_is_not_followed() {
    let wrong = Server::exponential(1e-3, 1e-4).wrong_by(5.0);
    let always = When::since(0.0);
    let with = quiet()
        .server(wrong.clone().fault(Fault::Kiss(always, *b"DENY")))
        .server(wrong.fault(Fault::Unsynchronized(always)));
    let (figures, _) = ntp_sim::run(&with, 1);
    assert!(figures.max < 2e-3 && figures.violations == 0, "{figures:?}");
    // Three good ones, the one without time, and a single request to the one that said no.
    let (calm, _) = ntp_sim::run(&quiet(), 1);
    assert!(figures.packets_in_all <= calm.packets_in_all * 4 / 3 + 12, "{figures:?} against {calm:?}");
}
