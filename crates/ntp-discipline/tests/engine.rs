//! The RFC's engine told what happens by hand: what it holds follows the clock, and what it says of itself is true.

#![allow(clippy::unwrap_used, clippy::panic)] // a test stops where it is wrong

use std::time::Duration;

use ntp_discipline::rfc5905::{Engine, Options, Source};
use ntp_discipline::{adaptive, Engine as _, Policy, Sample, ServerState, SourceOptions, Status, Verdict};
use ntp_types::{
    Applied, ClockCommand, Frequency, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Poll, Precision, RoundTrip,
    Stratum,
};

fn micros(n: i64) -> NtpDuration {
    NtpDuration::from_nanos(n * 1_000)
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// A sample taken at `second` of a server `offset` µs ahead, in two milliseconds and a little less each time: the filter
/// takes each.
fn sample(second: u64, offset: i64) -> Sample {
    let stamp = |nanos| NtpTimestamp::from_bits(0xeb00_0000 << 32) + NtpDuration::from_nanos(nanos);
    let waited = 2_000_000 - 1_000 * i64::try_from(second).unwrap();
    let server = stamp(offset * 1_000 + waited / 2);
    let trip = RoundTrip { t1: stamp(0), t2: server, t3: server, t4: stamp(waited) };
    let state = ServerState { stratum: Stratum::PRIMARY, ..ServerState::default() };
    let received = at(second) + Duration::from_nanos(waited.unsigned_abs());
    Sample::new(trip, Precision::from_log2(-30), state, at(second), received)
}

/// One source that sent an offset each 16 s until `until`, what it asked for applied at once.
fn settled(policy: Policy, offset: i64, until: u64) -> (Engine, [Source; 1]) {
    let mut engine = Engine::new(policy, Options::default()).unwrap();
    let mut sources = [Source::default()];
    let options =
        SourceOptions { min_poll: Poll::from_log2(4), max_poll: Poll::from_log2(4), ..SourceOptions::default() };
    engine.open(&mut sources, 0, options);
    engine.preset_frequency(Frequency::ZERO, Frequency::ZERO);
    for second in (0..until).step_by(16) {
        let sample = sample(second, offset);
        let _ = engine.handle_sample(&mut sources, 0, &sample, sample.received);
    }
    (engine, sources)
}

fn offset(engine: &Engine, sources: &[Source], now: u64) -> NtpDuration {
    engine.source(sources, 0, at(now)).offset
}

#[test]
fn what_is_held_follows_a_step_a_slew_and_a_frequency() {
    let (mut engine, mut sources) = settled(Policy::default(), 5_000, 100);
    assert_eq!(offset(&engine, &sources, 100), micros(5_000));
    let stepped = Applied { at: at(100), stepped: micros(2_000), slew_end: at(100), ..Applied::default() };
    engine.handle_applied(&mut sources, &stepped);
    assert!((offset(&engine, &sources, 100) - micros(3_000)).abs() <= NtpDuration::from_bits(2));
    // 100 ppm for ten seconds are a millisecond.
    let slewing = Applied { at: at(100), slew_rate: Frequency::from_ppm(100), slew_end: at(110), ..Applied::default() };
    engine.handle_applied(&mut sources, &slewing);
    let near = |now, expected: NtpDuration, engine: &Engine, sources: &[Source]| {
        let found = offset(engine, sources, now);
        assert!((found - expected).abs() < NtpDuration::from_nanos(10), "{found} {expected}");
    };
    near(105, micros(2_500), &engine, &sources);
    near(110, micros(2_000), &engine, &sources);
    near(900, micros(2_000), &engine, &sources);
    // Ten ppm more from 120 s on: had the clock run so since the sample, it would be that much further ahead now.
    let age = at(120).since(sources.first().unwrap().used().unwrap().at);
    let faster = Applied { at: at(120), frequency: Frequency::from_ppm(10), slew_end: at(120), ..Applied::default() };
    engine.handle_applied(&mut sources, &faster);
    near(120, micros(2_000) + Frequency::from_ppm(10).over(age), &engine, &sources);
}

#[test]
fn a_sample_that_straddles_a_step_is_not_believed() {
    let (mut engine, mut sources) = settled(Policy::default(), 5_000, 100);
    let held = engine.source(&sources, 0, at(100)).samples;
    let stepped = Applied { at: at(100), stepped: micros(5_000), slew_end: at(100), ..Applied::default() };
    engine.handle_applied(&mut sources, &stepped);
    let straddling = sample(100, 400_000);
    let decision = engine.handle_sample(&mut sources, 0, &straddling, straddling.received);
    assert_eq!(decision.command, ClockCommand::Hold);
    assert_eq!(engine.source(&sources, 0, at(101)).samples, held);
    assert_eq!(offset(&engine, &sources, 101), NtpDuration::ZERO);
}

#[test]
fn another_hand_on_the_frequency_is_adopted_and_rounding_is_not() {
    let (mut engine, mut sources) = settled(Policy::default(), 100, 100);
    let before = engine.discipline().frequency();
    let run_at = |frequency| Applied { at: at(100), frequency, slew_end: at(100), ..Applied::default() };
    engine.handle_applied(&mut sources, &run_at(before + Frequency::from_scaled_ppm(1)));
    assert_eq!(engine.discipline().frequency(), before);
    engine.handle_applied(&mut sources, &run_at(Frequency::from_ppm(-30)));
    assert!((engine.discipline().frequency() - Frequency::from_ppm(-30)).abs() < Frequency::from_scaled_ppm(1));
}

#[test]
fn the_last_source_gone_is_holdover_at_once_and_too_long_a_holdover_the_end() {
    let policy = Policy { maximum_holdover: Duration::from_secs(600), ..Policy::default() };
    let (mut engine, mut sources) = settled(policy, 100, 100);
    let system = engine.system(&sources, at(100));
    assert_eq!((system.status, system.system_peer), (Status::Synchronized, Some(0)));
    assert_eq!((system.stratum, system.leap), (Stratum::from_bits(2), LeapIndicator::NoWarning));
    engine.close(&mut sources, 0);
    assert_eq!(engine.source(&sources, 0, at(100)).verdict, Verdict::Vacant);
    let holdover = engine.system(&sources, at(100));
    assert_eq!((holdover.status, holdover.system_peer), (Status::Holdover, None));
    assert!(engine.system(&sources, at(500)).bound > holdover.bound);
    assert_eq!(engine.system(&sources, at(690)).status, Status::Holdover);
    let system = engine.system(&sources, at(800));
    assert_eq!((system.status, system.stratum), (Status::Unsynchronized, Stratum::UNSYNCHRONIZED));
}

#[test]
fn after_a_step_the_clock_counts_as_unsynchronised_until_a_sample_confirms_it() {
    let policy = Policy { stepout: Duration::from_secs(30), ..Policy::default() };
    let (mut engine, mut sources) = settled(policy, 100, 200);
    assert_eq!(engine.system(&sources, at(200)).status, Status::Synchronized);
    let mut command = ClockCommand::Hold;
    for second in (200..600).step_by(16) {
        let sample = sample(second, 500_000);
        command = engine.handle_sample(&mut sources, 0, &sample, sample.received).command;
        if let ClockCommand::Step { offset, frequency } = command {
            let now = sample.received;
            assert_eq!(engine.system(&sources, now).status, Status::Unsynchronized);
            let done = Applied { at: now, stepped: offset, frequency, slew_end: now, ..Applied::default() };
            engine.handle_applied(&mut sources, &done);
            break;
        }
    }
    assert!(matches!(command, ClockCommand::Step { .. }));
    let confirming = sample(700, 0);
    let _ = engine.handle_sample(&mut sources, 0, &confirming, confirming.received);
    assert_eq!(engine.system(&sources, at(701)).status, Status::Synchronized);
}

#[test]
fn a_preset_frequency_is_told_before_the_first_sample_and_only_once() {
    let mut engine = Engine::new(Policy::default(), Options::default()).unwrap();
    assert_eq!(engine.next_timeout(), None);
    engine.preset_frequency(Frequency::from_ppm(-12), Frequency::from_ppm(1));
    assert_eq!(engine.next_timeout(), Some(Instant::ZERO));
    match engine.handle_timeout(&mut [], at(1)).command {
        ClockCommand::Slew { offset, frequency, .. } => {
            assert_eq!(offset, NtpDuration::ZERO);
            assert!((frequency - Frequency::from_ppm(-12)).abs() < Frequency::from_scaled_ppm(1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((engine.next_timeout(), engine.handle_timeout(&mut [], at(2)).command), (None, ClockCommand::Hold));
}

/// The previous system peer stays while it is as good a stratum as the best; a preferred one wins whatever comes.
#[test]
fn the_system_peer_does_not_hop() {
    let mut engine = Engine::new(Policy::default(), Options::default()).unwrap();
    let mut sources = [Source::default(); 3];
    for index in 0..3 {
        engine.open(&mut sources, index, SourceOptions::default());
    }
    let feed = |engine: &mut Engine, sources: &mut [Source; 3], index, second, dispersion| {
        let mut sample = sample(second, 0);
        sample.dispersion = micros(dispersion);
        let _ = engine.handle_sample(sources, index, &sample, sample.received);
    };
    for second in (0..64).step_by(16) {
        feed(&mut engine, &mut sources, 0, second, 100);
        feed(&mut engine, &mut sources, 1, second + 1, 5_000);
    }
    assert_eq!(engine.system(&sources, at(64)).system_peer, Some(0));
    // A nearer one comes up: no hop.
    for second in (64..200).step_by(16) {
        feed(&mut engine, &mut sources, 2, second, 1);
        feed(&mut engine, &mut sources, 0, second + 1, 9_000);
    }
    assert_eq!(engine.system(&sources, at(200)).system_peer, Some(0));
    // It leaves: the nearest takes over, and stays when the first returns.
    engine.reset(&mut sources, 0);
    feed(&mut engine, &mut sources, 2, 208, 1);
    assert_eq!(engine.system(&sources, at(209)).system_peer, Some(2));
    let preferred = SourceOptions { prefer: true, ..SourceOptions::default() };
    engine.open(&mut sources, 0, preferred);
    for second in (216..280).step_by(16) {
        feed(&mut engine, &mut sources, 0, second, 9_000);
    }
    assert_eq!(engine.system(&sources, at(280)).system_peer, Some(0));
}

/// A server that says it is not synchronised, or is too far away, or never answered, is shown as such and not used.
#[test]
fn unfit_sources_say_why() {
    let mut engine = Engine::new(Policy::default(), Options::default()).unwrap();
    let mut sources = [Source::default(); 4];
    for index in 0..4 {
        engine.open(&mut sources, index, SourceOptions { no_select: index == 3, ..SourceOptions::default() });
    }
    for second in (0..128).step_by(16) {
        for index in [0, 1, 3] {
            let mut sample = sample(second, 0);
            match index {
                0 => sample.server.leap = LeapIndicator::Unsynchronized,
                1 => sample.server.root_dispersion = ntp_types::NtpShort::from_bits(2 << 16),
                _ => {}
            }
            let decision = engine.handle_sample(&mut sources, index, &sample, sample.received);
            assert_eq!(decision.command, ClockCommand::Hold);
        }
        engine.handle_poll(&mut sources, 2, 0, at(second));
    }
    let sample = sample(128, 0);
    let _ = engine.handle_sample(&mut sources, 3, &sample, sample.received);
    let found: Vec<Verdict> = (0..5).map(|index| engine.source(&sources, index, at(129)).verdict).collect();
    let expected =
        [Verdict::Unsynchronized, Verdict::Distant, Verdict::Unreachable, Verdict::NoSelect, Verdict::Vacant];
    assert_eq!(found, expected);
}

/// Fit sources beyond the 64 that are weighed are measured, and said to be too many.
#[test]
fn more_sources_than_are_weighed_are_shown() {
    let mut engine = Engine::new(Policy::default(), Options::default()).unwrap();
    let mut sources = [Source::default(); 66];
    for index in 0..sources.len() {
        engine.open(&mut sources, index, SourceOptions::default());
    }
    for second in (0..128).step_by(16) {
        for index in 0..sources.len() {
            let sample = sample(second, 0);
            let _ = engine.handle_sample(&mut sources, index, &sample, sample.received);
        }
    }
    let excess = |source: &Source| source.verdict() == Verdict::Excess;
    assert!(sources[..64].iter().all(|source| source.verdict().is_truechimer() && !excess(source)));
    assert!(sources[64..].iter().all(excess));
}

/// A spike is not believed, but the sample was there: the filter is one fuller.
#[test]
fn a_spike_moves_nothing_and_still_fills_the_filter() {
    let (mut engine, mut sources) = settled(Policy::default(), 100, 80);
    let before = engine.source(&sources, 0, at(66));
    let spike = sample(80, 50_000);
    let _ = engine.handle_sample(&mut sources, 0, &spike, spike.received);
    let after = engine.source(&sources, 0, at(81));
    assert_eq!((before.samples, after.samples), (5, 6));
    assert!((after.offset - before.offset).abs() < micros(50));
    assert!(after.bound < before.bound.half() + micros(5_000), "{} {}", after.bound, before.bound);
}

#[test]
fn poll_bounds_that_contradict_each_other_end_nothing() {
    let options =
        SourceOptions { min_poll: Poll::from_log2(10), max_poll: Poll::from_log2(4), ..SourceOptions::default() };
    let mut rfc = Engine::new(Policy::default(), Options::default()).unwrap();
    let mut rfc_sources = [Source::default()];
    rfc.open(&mut rfc_sources, 0, options);
    let mut adaptive = adaptive::Engine::<1>::new(Policy::default()).unwrap();
    let mut adaptive_sources = [adaptive::Source::default()];
    adaptive.open(&mut adaptive_sources, 0, options);
    for second in (0..640).step_by(16) {
        let sample = sample(second, 1);
        let polls = [
            rfc.handle_sample(&mut rfc_sources, 0, &sample, sample.received).poll,
            adaptive.handle_sample(&mut adaptive_sources, 0, &sample, sample.received).poll,
        ];
        assert!(polls.iter().all(|&poll| poll <= options.min_poll), "{polls:?}");
    }
}

/// Of a server that was away for long nothing old is left that the first new sample would have to beat.
#[test]
fn silence_empties_the_filter() {
    let (mut engine, mut sources) = settled(Policy::default(), 100, 128);
    assert_eq!(engine.source(&sources, 0, at(128)).samples, 8);
    for poll in 0..11_u32 {
        let reach = u8::try_from(0xff_u32 << poll & 0xff).unwrap();
        engine.handle_poll(&mut sources, 0, reach, at(128 + 16 * u64::from(poll)));
    }
    assert_eq!(engine.source(&sources, 0, at(300)).samples, 0);
    assert_eq!(engine.source(&sources, 0, at(300)).verdict, Verdict::Unreachable);
    let mut late = sample(320, 700);
    late.delay = micros(9_000);
    let _ = engine.handle_sample(&mut sources, 0, &late, late.received);
    assert_eq!((engine.source(&sources, 0, at(321)).samples, offset(&engine, &sources, 321)), (1, micros(700)));
}
