//! The discipline's bench: `cargo bench -p ntp-benches --bench discipline [-- criterion's arguments | --count]`.
//!
//! Input and unit stand in each name: one call on the number of sources given, in time. `--count` prints only the
//! instructions of a sample in the adaptive engine, by callgrind, and ends with an error above a limit.

#![allow(clippy::expect_used, clippy::panic)] // a bench stops at a fault

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use ntp_benches::callgrind;
use ntp_discipline::rfc5905::clock_loop::{ClockLoop, LoopOptions};
use ntp_discipline::rfc5905::cluster::{cluster, Truechimer};
use ntp_discipline::rfc5905::combine::combine;
use ntp_discipline::rfc5905::filter::{ClockFilter, Tuple};
use ntp_discipline::rfc5905::selection::{intersect, Candidate, Edge};
use ntp_discipline::{adaptive, rfc5905, Decision, Engine, Policy, Sample, ServerState, SourceOptions};
use ntp_types::{Instant, NtpDuration, NtpTimestamp, Poll, Precision, RoundTrip, Stratum};

const SOURCES: [usize; 4] = [1, 4, 16, 64];

fn micros(n: u64) -> NtpDuration {
    NtpDuration::from_std(Duration::from_micros(n))
}

/// Deterministic noise of up to a millisecond (SplitMix64).
fn noise(turn: u64) -> u64 {
    let z = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) & 1_023
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
    let mut clock = ClockLoop::new(LoopOptions::default(), Poll::DEFAULT_MIN);
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
                let mut fed = Fed::new(make(), count);
                // Every filter full before the first is timed.
                for _ in 0..64 * count {
                    let _ = fed.feed();
                }
                bencher.iter(|| black_box(fed.feed()));
            },
        );
    }
    group.finish();
}

/// An engine and its sources, which are fed in turn.
struct Fed<E: Engine> {
    engine: E,
    sources: Vec<E::Source>,
    turn: u64,
    next: usize,
}

impl<E: Engine> Fed<E> {
    fn new(mut engine: E, count: usize) -> Self {
        let mut sources: Vec<E::Source> = (0..count).map(|_| E::Source::default()).collect();
        for index in 0..count {
            engine.open(&mut sources, index, SourceOptions::default());
        }
        Self { engine, sources, turn: 0, next: 0 }
    }

    fn feed(&mut self) -> Decision {
        self.turn += 1;
        let sample = sample(self.turn);
        let index = self.next;
        self.next = (index + 1) % self.sources.len();
        self.engine.handle_sample(&mut self.sources, index, &sample, sample.received)
    }
}

fn engines(criterion: &mut Criterion) {
    let rfc = || rfc5905::Engine::new(Policy::default(), rfc5905::Options::default()).expect("a valid policy");
    engine(criterion, "rfc5905", rfc, &SOURCES);
    engine(criterion, "adaptive", adaptive_engine, &[1, 4, 16]);
}

fn adaptive_engine() -> adaptive::Engine<16> {
    adaptive::Engine::new(Policy::default()).expect("a valid policy")
}

/// What the instructions of an adaptive sample may be: of so many sources, the first 32 samples of each on average, and
/// then after 48 of each.
const LIMITS: [(usize, u64, u64); 3] = [(1, 340_000, 68_000), (4, 435_000, 98_000), (16, 465_000, 126_000)];
const FIRST: usize = 32;
const SETTLED: usize = 48;
const COUNTED: usize = 160;

#[inline(never)]
fn first_samples(fed: &mut Fed<adaptive::Engine<16>>) {
    for _ in 0..FIRST * fed.sources.len() {
        let _ = black_box(fed.feed());
    }
}

#[inline(never)]
fn settled_samples(fed: &mut Fed<adaptive::Engine<16>>) {
    for _ in 0..COUNTED {
        let _ = black_box(fed.feed());
    }
}

fn count_once(count: usize) {
    let mut fed = Fed::new(adaptive_engine(), count);
    first_samples(&mut fed);
    for _ in FIRST * count..SETTLED * count {
        let _ = fed.feed();
    }
    settled_samples(&mut fed);
}

/// Whether all keep their limits.
fn print_instructions() -> bool {
    println!(
        "| sources | one of the first {FIRST} samples | limit | one after {SETTLED} | limit |\n|---|---|---|---|---|"
    );
    let mut is_good = true;
    for (count, first_limit, settled_limit) in LIMITS {
        let symbols = ["first_samples", "settled_samples"].map(String::from);
        let counts = callgrind::count(&["--counted", &count.to_string()], &symbols);
        let [Some(first), Some(settled)] = counts[..] else { panic!("no counts of {count} sources") };
        let each = |instructions: u64, samples: usize| instructions / u64::try_from(samples).expect("a small number");
        let (first, settled) = (each(first, FIRST * count), each(settled, COUNTED));
        is_good &= first <= first_limit && settled <= settled_limit;
        println!("| {count} | {first} | {first_limit} | {settled} | {settled_limit} |");
    }
    is_good
}

fn measure_time() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .configure_from_args();
    stages(&mut criterion);
    engines(&mut criterion);
    criterion.final_summary();
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        // What this program is told when it runs itself.
        ["--counted", count] => count_once(count.parse().expect("a number of sources")),
        ["--count", ..] => return callgrind::check(print_instructions),
        // `cargo test --benches`, which gives no argument, only looks whether it runs.
        [] | ["--test", ..] => LIMITS.iter().for_each(|&(count, ..)| count_once(count)),
        _ => {
            measure_time();
            return callgrind::check(print_instructions);
        }
    }
    ExitCode::SUCCESS
}
