//! Interleaved mode (RFC 9769) with a server of ours whose answers leave later than they say.

use super::*;

/// A server of ours whose answers leave half a millisecond after the T3 it writes into them, and which learns that later.
fn late_leaving(interleaving: bool) -> impl FnMut(&[u8], NtpTimestamp, usize) -> Vec<(Duration, Vec<u8>)> {
    let mut server = Server::new(ServerClock::local(Stratum::PRIMARY, Precision::from_log2(-30)));
    if interleaving {
        server = server.with_interleaving(64, 99);
    }
    let late = Duration::from_micros(500);
    move |request, time, count| {
        let (there, mut out) = (time + NtpDuration::from_std(ROUND_TRIP / 2), [0; 48]);
        let now = Instant::from_nanos(u64::try_from(count).unwrap() * 1_000_000_000);
        let outcome = server.respond(request, "192.0.2.99:40000".parse().unwrap(), there, there, now, &mut out);
        assert!(matches!(outcome, Outcome::Response { length: 48, .. }), "{outcome:?}");
        if let Some(token) = server.wants_transmit() {
            server.handle_transmitted(token, there + NtpDuration::from_std(late));
        }
        vec![(ROUND_TRIP + late, out.to_vec())]
    }
}

#[test]
fn interleaved_answers_take_out_what_the_server_could_not_know_in_time() {
    for (asked, knows) in [(false, true), (true, false), (true, true)] {
        let mut world = World::new();
        let server = world.serve("192.0.2.1:123", late_leaving(knows));
        let id = world.add(server, SourceConfig { interleaved: asked, ..config(6, 6, false) });
        world.run_for(HOUR);
        assert_eq!(world.accepted, world.asked(server), "asked {asked}, knows {knows}");
        let answer = world.system.association(id).unwrap().last().unwrap();
        let trip = answer.exchange.round_trip;
        let (offset, delay) = if asked && knows { (0, 20_000_000) } else { (-250_000, 20_500_000) };
        assert!((trip.offset().to_nanos() - offset).abs() < 3, "asked {asked}, knows {knows}: {}", trip.offset());
        assert!((trip.delay().to_nanos() - delay).abs() < 3, "asked {asked}, knows {knows}: {}", trip.delay());
        // The instants are those of the exchange the timestamps belong to.
        assert_eq!(world.true_time(answer.sent), trip.t1);
        assert_eq!(world.true_time(answer.received), trip.t4);
    }
}

#[test]
fn interleaved_mode_survives_loss_and_a_step() {
    let mut world = World::new();
    let mut inner = late_leaving(true);
    let server = world.serve("192.0.2.1:123", move |request, time, count| {
        let answer = inner(request, time, count);
        if count % 7 == 3 || (30..40).contains(&count) {
            Vec::new()
        } else {
            answer
        }
    });
    let id = world.add(server, SourceConfig { interleaved: true, ..config(4, 4, false) });
    world.run_for(HOUR / 4);
    let jump = NtpDuration::from_seconds(5);
    world.error += jump;
    world.system.handle_applied(&ntp_types::Applied {
        at: world.now,
        stepped: jump,
        slew_end: world.now,
        ..ntp_types::Applied::default()
    });
    let next = world.requests.len();
    world.run_for(HOUR);
    assert!(world.requests[next].2[24..40].iter().all(|octet| *octet == 0), "what is before a step is not completed");
    for sample in world.samples(id) {
        let expected = if sample.sent < Instant::ZERO + HOUR / 4 + Duration::from_secs(5) { 0 } else { -5_000_000_000 };
        let wrong = (sample.offset.to_nanos() - expected).abs();
        assert!(wrong < 251_000, "{} instead of {expected} ns", sample.offset);
    }
    assert!(world.ignored.is_empty(), "{:?}", world.ignored.first());
    let basic = world.requests.iter().filter(|(_, _, bytes)| bytes[24..40].iter().all(|octet| *octet == 0)).count();
    assert!((3..=20).contains(&basic), "at the start, in the long silence and after the step: {basic}");
}
