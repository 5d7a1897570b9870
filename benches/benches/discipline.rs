//! The discipline's bench: `cargo bench -p ntp-benches --bench discipline`. Input and unit stand in each name: one call on
//! the number of sources given, in time.

#![allow(clippy::expect_used)] // a bench stops at a fault
#![allow(missing_docs)] // criterion's entry point

use std::hint::black_box;
use std::time::Duration;

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion};
use ntp_discipline::rfc5905::clock_loop::{ClockLoop, LoopOptions};
use ntp_discipline::rfc5905::cluster::{cluster, Truechimer};
use ntp_discipline::rfc5905::combine::combine;
use ntp_discipline::rfc5905::constants;
use ntp_discipline::rfc5905::filter::{ClockFilter, Tuple};
use ntp_discipline::rfc5905::selection::{intersect, Candidate, Edge};
use ntp_discipline::{adaptive, rfc5905, Engine, Policy, Sample, ServerState, SourceOptions};
use ntp_types::{Instant, NtpDuration, NtpTimestamp, Poll, Precision, RoundTrip, Stratum};

const SOURCES: [usize; 4] = [1, 4, 16, 64];

fn micros(n: u64) -> NtpDuration {
    NtpDuration::from_std(Duration::from_micros(n))
}

/// Deterministic noise of up to a millisecond.
fn noise(turn: u64) -> u64 {
    turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 1_023
}

/// The `turn`th exchange, one a second: 20 ms and some noise each way.
fn sample(turn: u64) -> Sample {
    let sent = Instant::from_nanos(turn * 1_000_000_000);
    let (up, down) = (10_000 + noise(turn), 10_000 + noise(!turn));
    let at = |delay| NtpTimestamp::from_bits(0xeb00_0000 << 32) + micros(turn * 1_000_000 + delay);
    let trip = RoundTrip { t1: at(0), t2: at(up), t3: at(up), t4: at(up + down) };
    let server = ServerState { stratum: Stratum::PRIMARY, ..ServerState::default() };
    Sample::new(trip, Precision::default(), server, sent, sent + Duration::from_micros(up + down))
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("discipline/stage");
    let mut turn = 0;
    let mut next = || {
        turn += 1;
        turn
    };
    group.bench_function("sample, one exchange", |bencher| bencher.iter(|| black_box(sample(black_box(next())))));
    let mut filter = ClockFilter::new();
    group.bench_function("clock filter, one sample of eight", |bencher| {
        bencher.iter(|| {
            let now = Instant::from_nanos(next() * 1_000_000_000);
            let delay = micros(noise(now.as_nanos()));
            filter.push(Tuple { offset: delay, delay, dispersion: micros(1), at: Some(now) }, now);
            black_box(filter.best(Precision::default()))
        });
    });
    let mut clock = ClockLoop::new(
        LoopOptions {
            step_threshold: constants::STEP_THRESHOLD,
            stepout: constants::STEPOUT,
            panic_threshold: constants::PANIC_THRESHOLD,
            maximum_frequency: constants::MAXIMUM_FREQUENCY,
            precision: Precision::default(),
        },
        Poll::DEFAULT_MIN,
    );
    group.bench_function("PLL/FLL loop, one update", |bencher| {
        bencher.iter(|| {
            let at = Instant::from_nanos(next() * 64_000_000_000);
            let outcome = clock.update(micros(noise(at.as_nanos())), at, (Poll::DEFAULT_MIN, Poll::DEFAULT_MAX));
            (black_box(outcome), black_box(clock.due(Duration::from_secs(64))))
        });
    });
    for count in SOURCES {
        let numbers = || (0..count).zip(0_u64..);
        let candidates: Vec<Candidate> = numbers()
            .map(|(_, n)| Candidate { offset: micros(noise(n)), root_distance: micros(10_000 + noise(!n)) })
            .collect();
        let mut scratch = vec![Edge::default(); 3 * count];
        group.bench_with_input(BenchmarkId::new("intersection, sources", count), &candidates, |bencher, candidates| {
            bencher.iter(|| black_box(intersect(black_box(candidates), &mut scratch)));
        });
        let truechimers: Vec<Truechimer> = numbers()
            .map(|(index, n)| Truechimer {
                index,
                offset: micros(noise(n)),
                jitter: micros(1),
                root_distance: micros(10_000 + noise(!n)),
                stratum: Stratum::PRIMARY,
                prefer: false,
            })
            .collect();
        group.bench_with_input(BenchmarkId::new("cluster, sources", count), &truechimers, |bencher, truechimers| {
            let mut list = truechimers.clone();
            bencher.iter(|| {
                list.copy_from_slice(truechimers);
                black_box(cluster(&mut list))
            });
        });
        group.bench_with_input(BenchmarkId::new("combine, sources", count), &truechimers, |bencher, truechimers| {
            bencher.iter(|| black_box(combine(black_box(truechimers))));
        });
    }
    group.finish();
}

/// One sample through a whole engine, sources in turn, its clock never corrected.
fn engine<E: Engine>(criterion: &mut Criterion, name: &str, make: impl Fn() -> E, counts: &[usize]) {
    let mut group = criterion.benchmark_group("discipline/engine");
    for &count in counts {
        group.bench_with_input(
            BenchmarkId::new(format!("{name}, one sample, sources"), count),
            &count,
            |bencher, &count| {
                let mut engine = make();
                let mut sources: Vec<E::Source> = (0..count).map(|_| E::Source::default()).collect();
                for index in 0..count {
                    engine.open(&mut sources, index, SourceOptions::default());
                }
                let mut indices = (0..count).cycle();
                let mut feed = |turn: u64| {
                    let sample = sample(turn);
                    let index = indices.next().expect("a cycle does not end");
                    engine.handle_sample(&mut sources, index, &sample, sample.received)
                };
                // Every filter full before the first is timed.
                let mut turn = 0;
                for _ in 0..64 * count {
                    turn += 1;
                    let _ = feed(turn);
                }
                bencher.iter(|| {
                    turn += 1;
                    black_box(feed(turn))
                });
            },
        );
    }
    group.finish();
}

fn engines(criterion: &mut Criterion) {
    let rfc = || rfc5905::Engine::new(Policy::default(), rfc5905::Options::default()).expect("a valid policy");
    engine(criterion, "rfc5905", rfc, &SOURCES);
    let adaptive = || adaptive::Engine::<16>::new(Policy::default()).expect("a valid policy");
    engine(criterion, "adaptive", adaptive, &[1, 4, 16]);
}

fn settings() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
}

criterion_group! { name = benches; config = settings(); targets = stages, engines }
criterion_main!(benches);
