//! Each stage alone: its properties, and the same numbers as the RFC's formulas written down a second time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test stops where it is wrong
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small numbers

mod naive;

use std::time::Duration;

use ntp_discipline::rfc5905::cluster::{cluster, Truechimer};
use ntp_discipline::rfc5905::combine::combine;
use ntp_discipline::rfc5905::filter::{ClockFilter, Filtered, Tuple};
use ntp_discipline::rfc5905::huffpuff::HuffPuff;
use ntp_discipline::rfc5905::peer::Peer;
use ntp_discipline::rfc5905::popcorn::is_spike;
use ntp_discipline::rfc5905::selection::{intersect, Candidate, Edge};
use ntp_discipline::rfc5905::{Engine, Options, Source};
use ntp_discipline::{Engine as _, Policy, Sample, ServerState, SourceOptions};
use ntp_types::{Instant, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision, RoundTrip, Stratum};
use proptest::prelude::*;

fn micros(n: i64) -> NtpDuration {
    NtpDuration::from_nanos(n * 1_000)
}

fn seconds(n: u64) -> Instant {
    Instant::from_nanos(n * 1_000_000_000)
}

/// A timestamp so many microseconds after some moment.
fn stamp(after: i64) -> NtpTimestamp {
    NtpTimestamp::from_bits(0xeb00_0000 << 32) + micros(after)
}

fn near(left: NtpDuration, right: f64, tolerance: f64) -> bool {
    (left.to_seconds_f64() - right).abs() <= tolerance
}

fn any_duration() -> impl Strategy<Value = NtpDuration> {
    any::<i64>().prop_map(NtpDuration::from_bits)
}

proptest! {
    /// Offset µs, delay µs (few, so that equal ones meet), gap s; one in five is a dummy.
    #[test]
    fn filter_as_the_rfc_writes_it(
        trace in prop::collection::vec((-50_000_i64..50_000, 1_i64..20, 1_u64..2_000, 0_u8..5), 1..40),
    ) {
        let (mut filter, mut naive) = (ClockFilter::new(), naive::Filter::default());
        let mut now = 0;
        for (offset, delay, gap, kind) in trace {
            now += gap;
            let at = (kind > 0).then_some(now);
            let tuple = if at.is_some() {
                Tuple { offset: micros(offset), delay: micros(delay), dispersion: micros(30), at: Some(seconds(now)) }
            } else {
                Tuple::DUMMY
            };
            filter.push(tuple, seconds(now));
            let (offset, delay, disp) = if at.is_some() {
                (offset as f64 / 1e6, delay as f64 / 1e6, 30e-6)
            } else {
                (0.0, naive::MAXDISP, naive::MAXDISP)
            };
            naive.push(now as f64, naive::Tuple { offset, delay, disp, at: at.map(|at| at as f64) });
            match (filter.best(Precision::from_log2(-30)), naive.best()) {
                (None, None) => {}
                (Some(ours), Some((offset, delay, dispersion, jitter, at))) => {
                    prop_assert!(near(ours.offset, offset, 1e-9), "{ours:?} {offset}");
                    prop_assert!(near(ours.delay, delay, 1e-9));
                    prop_assert!(near(ours.dispersion, dispersion, 5e-9), "{ours:?} {dispersion}");
                    prop_assert!(near(ours.jitter, jitter.max(2_f64.powi(-30)), 2e-9), "{ours:?} {jitter}");
                    prop_assert_eq!(ours.at, seconds(at as u64));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    /// Whatever is in the register, its numbers stay in their ranges, and the best has the least delay.
    #[test]
    fn filter_of_anything(trace in prop::collection::vec((any_duration(), any_duration(), any_duration(), any::<u64>()), 1..20)) {
        let mut filter = ClockFilter::new();
        for (offset, delay, dispersion, at) in trace {
            let at = Instant::from_nanos(at);
            filter.push(Tuple { offset, delay, dispersion, at: Some(at) }, at);
        }
        let best = filter.best(Precision::default()).unwrap();
        prop_assert!(filter.stages().iter().filter(|stage| stage.at.is_some()).all(|stage| stage.delay >= best.delay));
        prop_assert!(best.jitter >= Precision::default().to_duration());
    }

    /// Re-expressing on a clock stepped by s is the same as having measured on it.
    #[test]
    fn filter_follows_a_step(offsets in prop::collection::vec(-1_000_000_i64..1_000_000, 1..12), step in -1_000_000_i64..1_000_000) {
        let (mut before, mut after) = (ClockFilter::new(), ClockFilter::new());
        for (place, offset) in offsets.iter().enumerate() {
            let now = seconds(64 * place as u64);
            let tuple = Tuple { offset: micros(*offset), delay: micros(100), dispersion: micros(1), at: Some(now) };
            before.push(tuple, now);
            after.push(Tuple { offset: micros(*offset) - micros(step), ..tuple }, now);
        }
        before.shift_offsets(|_| -micros(step));
        prop_assert_eq!(before, after);
    }

    #[test]
    fn four_samples_bring_the_dispersion_under_a_second(count in 1_usize..8) {
        let mut filter = ClockFilter::new();
        for place in 0..count as u64 {
            filter.push(Tuple { at: Some(seconds(place)), delay: micros(9), dispersion: micros(1), ..Tuple::DUMMY }, seconds(place));
        }
        let dispersion = filter.best(Precision::default()).unwrap().dispersion;
        prop_assert_eq!(dispersion < NtpDuration::SECOND, count >= 4);
    }

    /// A jump of more than three jitters is dropped once; a slow or late one, or one within the jitter, is not.
    #[test]
    fn popcorn(jump in -1_000_000_i64..1_000_000, jitter in 1_i64..100_000, gap in 1_u64..300, dispersion in 1_i64..1_100_000) {
        let last = Filtered { offset: micros(5), delay: micros(1), dispersion: micros(dispersion), jitter: micros(jitter), at: seconds(1_000) };
        let next = Filtered { offset: micros(5 + jump), at: seconds(1_000 + gap), ..last };
        // A microsecond is not a whole number of 2⁻³² s: leave out the edge.
        prop_assume!((jump.abs() - 3 * jitter).abs() > 1);
        prop_assert_eq!(is_spike(&last, &next, Duration::from_secs(64)), jump.abs() > 3 * jitter && gap < 128 && dispersion < 1_000_000);
    }

    /// What stands for a source, after samples (offset, delay and gap, ms to s) and polls that nobody answered.
    #[test]
    fn the_peer_process_as_the_rfc_writes_it(
        trace in prop::collection::vec((prop_oneof![9 => -400_i64..400, 1 => -90_000_i64..90_000], 1_i64..30, 1_u64..150, 0_u8..6), 1..60),
    ) {
        let mut engine = Engine::new(Policy::default(), Options::default()).unwrap();
        let mut sources = [Source::default()];
        let options = SourceOptions { min_poll: Poll::DEFAULT_MIN, max_poll: Poll::DEFAULT_MIN, ..SourceOptions::default() };
        engine.open(&mut sources, 0, options);
        let mut naive = naive::Peer::default();
        let mut now = 0;
        for (offset, delay, gap, kind) in trace {
            now += gap;
            let dummy = naive::Tuple { offset: 0.0, delay: naive::MAXDISP, disp: naive::MAXDISP, at: None };
            let tuple = if kind == 0 {
                engine.handle_poll(&mut sources, 0, 0xf8, seconds(now));
                dummy
            } else {
                let trip = RoundTrip { t1: stamp(0), t2: stamp(offset), t3: stamp(offset), t4: stamp(0) };
                let server = ServerState { stratum: Stratum::PRIMARY, ..ServerState::default() };
                let mut sample = Sample::new(trip, Precision::default(), server, seconds(now), seconds(now));
                (sample.delay, sample.dispersion) = (micros(delay), micros(30));
                let _ = engine.handle_sample(&mut sources, 0, &sample, seconds(now));
                naive::Tuple { offset: sample.offset.to_seconds_f64(), delay: delay as f64 / 1e6, disp: 30e-6, at: Some(now as f64) }
            };
            naive.push(now as f64, tuple, 64.0, 2_f64.powi(-24));
            prop_assume!(!naive.is_close);
            match (sources[0].used(), naive.used) {
                (None, None) => {}
                (Some(ours), Some((offset, delay, dispersion, jitter, at))) => {
                    prop_assert_eq!(ours.at, seconds(at as u64));
                    prop_assert!(near(ours.offset, offset, 1e-9) && near(ours.delay, delay, 1e-9), "{ours:?} {offset}");
                    prop_assert!(near(ours.dispersion, dispersion, 5e-9), "{ours:?} {dispersion}");
                    prop_assert!(near(ours.jitter, jitter, 2e-9), "{ours:?} {jitter}");
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    /// The same stage alone; there what is told may also come in another order than it was measured in.
    #[test]
    fn a_peer_takes_none_that_is_older_than_the_last_it_took(
        trace in prop::collection::vec((-400_i64..400, 1_i64..30, 1_u64..150, prop_oneof![3 => Just(0), 1 => 0_u64..900]), 1..60),
    ) {
        let (mut peer, mut naive) = (Peer::new(), naive::Peer::default());
        let mut now = 1_000;
        for (offset, delay, gap, late) in trace {
            now += gap;
            let (at, before) = (now - late, naive.used.map(|used| used.4));
            let tuple = Tuple { offset: micros(offset), delay: micros(delay), dispersion: micros(30), at: Some(seconds(at)) };
            let is_new = peer.push(tuple, seconds(now), Precision::default(), Duration::from_secs(64));
            let [offset, delay] = [tuple.offset, tuple.delay].map(NtpDuration::to_seconds_f64);
            naive.push(now as f64, naive::Tuple { offset, delay, disp: 30e-6, at: Some(at as f64) }, 64.0, 2_f64.powi(-20));
            prop_assume!(!naive.is_close);
            let used = naive.used.map(|used| used.4);
            prop_assert_eq!(peer.used().map(|used| used.at), used.map(|at| seconds(at as u64)));
            prop_assert_eq!(is_new, used > before);
            prop_assert!(used >= before);
        }
    }

    /// Microseconds of δ, root delay and root dispersion, and seconds since the sample.
    #[test]
    fn root_distance_as_the_rfc_writes_it(delay in 1_i64..9_000, root in (0_i64..9_000, 0_i64..900_000), age in 0_u64..9_000) {
        let mut peer = Peer::new();
        let tuple = Tuple { delay: micros(delay), dispersion: micros(30), at: Some(seconds(5)), ..Tuple::DUMMY };
        for _ in 0..8 {
            peer.push(tuple, seconds(5), Precision::default(), Duration::from_secs(64));
        }
        let [root_delay, root_dispersion] = [root.0, root.1].map(|micro| NtpShort::from_duration(micros(micro)));
        let server = ServerState { root_delay, root_dispersion, ..ServerState::default() };
        let short = |value: NtpShort| value.to_duration().to_seconds_f64();
        let used = peer.used().unwrap();
        let [disp, jitter] = [used.dispersion, used.jitter].map(NtpDuration::to_seconds_f64);
        let expected = (short(root_delay) + delay as f64 / 1e6).max(0.005) / 2.0 + short(root_dispersion) + disp
            + naive::PHI * age as f64 + jitter;
        let found = peer.root_distance(&server, seconds(5 + age)).unwrap();
        prop_assert!(near(found, expected, 2e-9), "{found} {expected}");
    }

    #[test]
    fn selection_as_the_rfc_defines_it(sources in prop::collection::vec((-40_i64..40, 0_i64..30), 0..9)) {
        let candidates: Vec<Candidate> = sources
            .iter()
            .map(|&(offset, half)| Candidate {
                offset: NtpDuration::from_bits(offset),
                root_distance: NtpDuration::from_bits(half),
            })
            .collect();
        let found = intersect(&candidates, &mut [Edge::default(); 27]);
        let found = found.map(|found| (found.low.to_bits(), found.high.to_bits(), found.allowed));
        prop_assert_eq!(found, naive::select(&sources));
    }

    /// A minority of falsetickers never wins: with a majority around true time, whoever is selected has a midpoint inside
    /// a true interval.
    #[test]
    fn a_minority_of_falsetickers_never_wins(
        good in prop::collection::vec((-1.0_f64..1.0, 0.0_f64..1e6), 1..9),
        bad in prop::collection::vec((any::<i64>(), any::<i64>()), 0..8),
        order in any::<u64>(),
    ) {
        prop_assume!(bad.len() < good.len());
        // A good source is off by no more than it says.
        let good: Vec<Candidate> = good
            .iter()
            .map(|&(share, distance)| Candidate {
                offset: NtpDuration::from_seconds_f64(share * distance * 1e-3),
                root_distance: NtpDuration::from_seconds_f64(distance * 1e-3) + NtpDuration::from_bits(2),
            })
            .collect();
        let hull = |pick: fn(i64, i64) -> i64, start: i64, sign: i64| {
            good.iter().map(|one| one.offset.to_bits() + sign * one.root_distance.to_bits()).fold(start, pick)
        };
        let (lowest, highest) = (hull(i64::min, i64::MAX, -1), hull(i64::max, i64::MIN, 1));
        let mut all = good.clone();
        all.extend(bad.iter().map(|&(offset, distance)| Candidate {
            offset: NtpDuration::from_bits(offset),
            root_distance: NtpDuration::from_bits(distance),
        }));
        let turn = order as usize % all.len();
        all.rotate_left(turn);
        let mut scratch = vec![Edge::default(); 3 * all.len()];
        if let Some(found) = intersect(&all, &mut scratch) {
            let chosen: Vec<&Candidate> = all.iter().filter(|one| found.contains(one)).collect();
            prop_assert!(2 * chosen.len() > all.len(), "no majority");
            for one in chosen {
                prop_assert!((lowest..=highest).contains(&one.offset.to_bits()), "{one:?} outside every true interval");
            }
        }
    }

    #[test]
    fn cluster_and_combine_as_the_rfc_writes_them(
        sources in prop::collection::vec((-20_000_i64..20_000, 1_i64..5_000, 1_000_i64..500_000, 1_u8..4), 1..12),
    ) {
        let mut list: Vec<Truechimer> = sources
            .iter()
            .enumerate()
            .map(|(index, &(offset, jitter, distance, stratum))| Truechimer {
                index,
                offset: micros(offset),
                jitter: micros(jitter),
                root_distance: micros(distance),
                stratum: Stratum::from_bits(stratum),
                prefer: false,
            })
            .collect();
        let plain: Vec<_> = list
            .iter()
            .map(|one| {
                let [offset, jitter, distance] =
                    [one.offset, one.jitter, one.root_distance].map(NtpDuration::to_seconds_f64);
                (one.index, offset, jitter, distance, one.stratum.to_bits())
            })
            .collect();
        let survivors = cluster(&mut list);
        let (expected, outliers) = naive::cluster(&plain);
        prop_assert_eq!(list[..survivors].iter().map(|one| one.index).collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(list.len() - survivors, outliers.len());
        prop_assert!(survivors >= list.len().min(3));
        let combined = combine(&list[..survivors]).unwrap();
        let (offset, jitter) =
            naive::combine(&expected.iter().map(|&index| (plain[index].1, plain[index].3)).collect::<Vec<_>>());
        prop_assert!(near(combined.offset, offset, 1e-9), "{combined:?} {offset}");
        prop_assert!(near(combined.jitter, jitter, 1e-9), "{combined:?} {jitter}");
    }

    /// The mean lies between the extremes, whatever the offsets and distances.
    #[test]
    fn combine_stays_inside(list in prop::collection::vec((any_duration(), any_duration()), 1..20)) {
        let survivors: Vec<Truechimer> = list
            .iter()
            .map(|&(offset, root_distance)| Truechimer { offset, root_distance, ..Truechimer::default() })
            .collect();
        let combined = combine(&survivors).unwrap();
        let slack = NtpDuration::from_seconds_f64(1e-5); // offsets of 68 years in 53 bits
        let offsets = || survivors.iter().map(|one| one.offset);
        prop_assert!(combined.offset >= offsets().min().unwrap() - slack);
        prop_assert!(combined.offset <= offsets().max().unwrap() + slack);
        prop_assert!(!combined.jitter.is_negative());
    }

    #[test]
    fn a_preferred_source_is_never_cast_off(
        offsets in prop::collection::vec(-20_000_i64..20_000, 4..12), preferred in any::<prop::sample::Index>(),
    ) {
        let preferred = preferred.index(offsets.len());
        let mut list: Vec<Truechimer> = offsets
            .iter()
            .enumerate()
            .map(|(index, &offset)| Truechimer { index, offset: micros(offset), prefer: index == preferred, ..Truechimer::default() })
            .collect();
        let survivors = cluster(&mut list);
        prop_assert!(list[..survivors].iter().any(|one| one.prefer));
    }

    /// Never across zero, never larger, and half of the excess delay where that fits.
    #[test]
    fn huff_n_puff(trace in prop::collection::vec((-500_000_i64..500_000, 1_000_i64..400_000, 1_u64..2_000), 1..100)) {
        let mut filter = HuffPuff::new();
        let mut seen: Vec<(u64, i64)> = Vec::new();
        let mut now = 0;
        for (offset, delay, gap) in trace {
            now += gap;
            filter.handle_delay(micros(delay), seconds(now));
            seen.push((now, delay));
            let corrected = filter.correct(micros(offset), micros(delay));
            // ntpd's: half of the excess off what is positive, on what is negative; here not past zero.
            let excess = delay as f64 * 1e-6 - filter.least().unwrap().to_seconds_f64();
            let theirs = offset as f64 * 1e-6 - (offset as f64).signum() * excess / 2.0;
            let expected = if theirs * offset as f64 > 0.0 { theirs } else { 0.0 };
            prop_assert!(near(corrected, expected, 1e-9), "{corrected} {expected}");
            // Between seven and eight slots of 900 s are remembered.
            let least = |window: u64| seen.iter().filter(|(at, _)| now - at < window).map(|(_, delay)| *delay).min();
            let known = filter.least().unwrap();
            prop_assert!(known <= micros(least(6_300).unwrap()));
            prop_assert!(known >= micros(least(7_200).unwrap()));
        }
    }
}
