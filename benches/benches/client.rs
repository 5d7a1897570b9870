//! The client's bench: `cargo bench -p ntp-benches --bench client [-- criterion's arguments | --count]`. One whole poll, request
//! and reply over real packet bytes, in time, on the number of sources given: with a discipline that does nothing, which shows
//! what the client itself costs, and with the two engines. `--count` prints only the instructions of a poll without a
//! discipline, by callgrind, and ends with an error above a limit.

#![allow(clippy::expect_used, clippy::panic)] // a bench stops at a fault

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use ntp_benches::callgrind;
use ntp_client::{SourceConfig, System, SystemConfig};
use ntp_discipline::{
    adaptive, rfc5905, Decision, Engine, Policy, Sample, SourceEstimate, SourceOptions, SystemEstimate,
};
use ntp_proto::{AnswerTemplate, Request, ServerVariables};
use ntp_types::{Applied, Frequency, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Poll, Stratum};

/// A discipline without maths.
#[derive(Debug, Default)]
struct Idle(Policy);

impl Engine for Idle {
    type Source = ();
    fn open(&mut self, _: &mut [()], _: usize, _: SourceOptions) {}
    fn reset(&mut self, _: &mut [()], _: usize) {}
    fn close(&mut self, _: &mut [()], _: usize) {}
    fn preset_frequency(&mut self, _: Frequency, _: Frequency) {}
    fn handle_sample(&mut self, _: &mut [()], _: usize, _: &Sample, _: Instant) -> Decision {
        Decision::hold(Poll::DEFAULT_MIN)
    }
    fn handle_poll(&mut self, _: &mut [()], _: usize, _: u8, _: Instant) {}
    fn handle_applied(&mut self, _: &mut [()], _: &Applied) {}
    fn handle_discontinuity(&mut self, _: &mut [()], _: Instant) {}

    fn handle_leap(&mut self, _: LeapIndicator, _: Instant) {}
    fn handle_timeout(&mut self, _: &mut [()], _: Instant) -> Decision {
        Decision::hold(Poll::DEFAULT_MIN)
    }
    fn next_timeout(&self) -> Option<Instant> {
        None
    }
    fn poll(&self, _: &[()], _: usize) -> Poll {
        Poll::DEFAULT_MIN
    }
    fn source(&self, _: &[()], _: usize, _: Instant) -> SourceEstimate {
        SourceEstimate::default()
    }
    fn system(&self, _: &[()], _: Instant) -> SystemEstimate {
        SystemEstimate::default()
    }
    fn policy(&self) -> &Policy {
        &self.0
    }
}

struct World<E: Engine> {
    system: System<E>,
    template: AnswerTemplate,
    now: Instant,
    nonce: u64,
}

impl<E: Engine> World<E> {
    fn new(engine: E, count: u32) -> Self {
        let variables =
            ServerVariables { leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerVariables::default() };
        let mut system = System::new(engine, SystemConfig::default());
        for last in 0..count {
            let address = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + last), 123));
            system.add_source(address, SourceConfig::default(), Instant::ZERO).expect("a new address");
        }
        let mut world = Self { system, template: AnswerTemplate::new(&variables), now: Instant::ZERO, nonce: 1 };
        // Past the filling of the filters.
        for _ in 0..count * 10 {
            world.poll();
        }
        world
    }

    fn clock(&self) -> NtpTimestamp {
        NtpTimestamp::new(4_000_000_000, 0) + NtpDuration::from_std(self.now.since(Instant::ZERO))
    }

    /// The next request that is due, its answer half a millisecond and some noise later.
    fn poll(&mut self) {
        self.now = self.now.max(self.system.next_timeout().expect("somebody is asked"));
        self.system.handle_timeout(self.now);
        self.nonce = self.nonce.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let clock = self.clock();
        let Some(transmit) = self.system.poll_transmit(self.now, clock, self.nonce) else { return };
        let (there, back) = (Duration::from_nanos(500_000 + self.nonce % 10_000), Duration::from_nanos(500_000));
        let request = Request::parse(transmit.request.bytes()).expect("a request");
        let time = clock + NtpDuration::from_std(there);
        let answer = self.template.answer(&request, time, time);
        self.now = self.now + there + back;
        let clock = self.clock();
        let _ = black_box(self.system.handle_datagram(&answer, transmit.request.to, clock, self.now));
        let _ = black_box(self.system.poll_command());
        while self.system.poll_event().is_some() {}
    }
}

fn polls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("client, one poll");
    for count in [1_u32, 4, 16, 256, 1_024, 4_096, 16_384] {
        let mut world = World::new(Idle::default(), count);
        group.bench_function(BenchmarkId::new("no discipline", count), |bench| bench.iter(|| world.poll()));
    }
    for count in [1_u32, 4, 16, 256, 1_024] {
        let engine = rfc5905::Engine::new(Policy::default(), rfc5905::Options::default()).expect("a valid policy");
        let mut world = World::new(engine, count);
        group.bench_function(BenchmarkId::new("rfc5905", count), |bench| bench.iter(|| world.poll()));
    }
    for count in [1_u32, 4, 16, 256, 1_024, 4_096] {
        let mut world = World::new(adaptive::Engine::<16>::new(Policy::default()).expect("a valid policy"), count);
        group.bench_function(BenchmarkId::new("adaptive", count), |bench| bench.iter(|| world.poll()));
    }
    group.finish();
}

/// What the instructions of a poll may be, the simulated server's answer included, of so many sources.
const LIMITS: [(u32, u64); 5] = [(1, 3_020), (16, 3_560), (256, 3_780), (4_096, 4_220), (16_384, 4_380)];
const COUNTED: u64 = 10_000;

#[inline(never)]
fn counted_polls(world: &mut World<Idle>) {
    for _ in 0..COUNTED {
        world.poll();
    }
}

/// Whether all keep their limits.
fn print_instructions() -> bool {
    println!("| sources | one poll | limit |\n|---|---|---|");
    let mut is_good = true;
    for (count, limit) in LIMITS {
        let counts = callgrind::count(&["--counted", &count.to_string()], &["counted_polls".to_owned()]);
        let [Some(instructions)] = counts[..] else { panic!("no counts of {count} sources") };
        let each = instructions / COUNTED;
        is_good &= each <= limit;
        println!("| {count} | {each} | {limit} |");
    }
    is_good
}

fn measure_time() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(20)
        .configure_from_args();
    polls(&mut criterion);
    criterion.final_summary();
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        // What this program is told when it runs itself.
        ["--counted", count] => {
            counted_polls(&mut World::new(Idle::default(), count.parse().expect("a number of sources")));
        }
        ["--count", ..] => return callgrind::check(print_instructions),
        // `cargo test --benches`, which gives no argument, only looks whether it runs.
        [] | ["--test", ..] => counted_polls(&mut World::new(Idle::default(), 16)),
        _ => measure_time(),
    }
    ExitCode::SUCCESS
}
