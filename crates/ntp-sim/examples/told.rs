//! What bounds the estimator: a filter that is told all it has to guess, on the very samples that the real client took.
//!
//! It is told who is wrong, base delays and wander, and that queues are exponential and alike both ways, so that a sample's
//! offset is off by anything up to half its excess with equal chance. It steers nothing: its error is that of a clock that
//! could be set to its estimate at once. Only scenarios with a random walk of the frequency are so simple, and of their servers
//! only those with such queues are heard.
//!
//!     cargo run --release -p ntp-sim --example told [SEEDS]

use ntp_discipline::{adaptive, Policy};
use ntp_sim::clock::EPOCH;
use ntp_sim::metrics::{Metrics, Second};
use ntp_sim::network::{Event, Queue};
use ntp_sim::oscillator::{Oscillator, Wander};
use ntp_sim::scenario::Scenario;
use ntp_sim::server::Server;
use ntp_sim::table::{entries, Entry, Line, SEEDS};
use ntp_sim::whole::{self, SOURCES};
use ntp_sim::world::Passage;
use ntp_types::{Instant, NtpTimestamp};

/// One answer: true time less the raw clock's, and the round trip, in seconds.
struct Measured {
    server: usize,
    second: f64,
    offset: f64,
    delay: f64,
}

/// What the client measured: the world's packets as they pass it by.
struct Recorder {
    start: Instant,
    /// For each server the transmit timestamp of the last request, which an answer repeats, and the raw clock then.
    asked: Vec<Option<(NtpTimestamp, Instant)>>,
    measured: Vec<Measured>,
}

impl Recorder {
    fn handle(&mut self, passage: Passage<'_>) {
        let Some(asked) = self.asked.get_mut(passage.server) else { return };
        if !passage.to_client {
            *asked = timestamp(passage.bytes, 40).map(|t1| (t1, passage.now));
            return;
        }
        let stamp = |at| timestamp(passage.bytes, at);
        let (Some((t1, sent)), Some(origin), Some(t2), Some(t3)) = (*asked, stamp(24), stamp(32), stamp(40)) else {
            return;
        };
        if origin != t1 {
            return;
        }
        let since = |at: NtpTimestamp| (at - EPOCH).to_seconds_f64();
        let raw = |at: Instant| at.since(self.start).as_secs_f64();
        let (up, down) = (since(t2) - raw(sent), since(t3) - raw(passage.now));
        self.measured.push(Measured {
            server: passage.server,
            second: 0.5 * (since(t2) + since(t3)),
            offset: 0.5 * (up + down),
            delay: up - down,
        });
    }
}

fn timestamp(packet: &[u8], at: usize) -> Option<NtpTimestamp> {
    packet.get(at..at + 8)?.try_into().ok().map(NtpTimestamp::from_bytes)
}

/// Offset and frequency with their covariance.
struct Filter {
    x: f64,
    f: f64,
    xx: f64,
    xf: f64,
    ff: f64,
    at: f64,
}

impl Filter {
    fn ahead(&self, second: f64) -> f64 {
        self.x + self.f * (second - self.at)
    }

    fn predict(&mut self, second: f64, wander: f64) {
        let (d, q) = ((second - self.at).max(0.0), wander * wander);
        self.x += d * self.f;
        self.xx += d * (2.0 * self.xf + d * self.ff) + q * d * d * d / 3.0;
        self.xf += d * self.ff + q * d * d / 2.0;
        self.ff += q * d;
        self.at = second;
    }

    /// The truth lies within `half` of `offset`, anywhere there.
    fn update(&mut self, offset: f64, half: f64) {
        let deviation = self.xx.sqrt();
        let edge = |offset: f64| (offset - self.x) / deviation;
        let (low, high) = (edge(offset - half), edge(offset + half));
        let density = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let tail = |z: f64| 0.5 * libm::erfc(z / std::f64::consts::SQRT_2);
        let mass = if low > 0.0 { tail(low) - tail(high) } else { tail(-high) - tail(-low) };
        let (mean, variance) = if mass > 1e-14 {
            let mean = (density(low) - density(high)) / mass;
            let bent = 1.0 + (low * density(low) - high * density(high)) / mass - mean * mean;
            (self.x + deviation * mean, self.xx * bent)
        } else {
            (offset, half * half / 3.0)
        };
        let (gain, variance) = (self.xf / self.xx, variance.max(1e-20));
        self.f += gain * (mean - self.x);
        self.ff -= gain * gain * (self.xx - variance);
        (self.x, self.xx, self.xf) = (mean, variance, gain * variance);
    }
}

/// The wander of a scenario that is simple enough.
fn told(scenario: &Scenario) -> Option<f64> {
    let (mut walk, mut is_plain) = (0.0, scenario.suspended.is_empty() && scenario.moved.is_empty());
    for wander in &scenario.wander {
        match *wander {
            Wander::RandomWalk(step) => walk = step,
            Wander::Constant(_) => {}
            _ => is_plain = false,
        }
    }
    is_plain &= scenario.servers.iter().any(is_heard);
    is_plain.then_some(walk)
}

fn is_heard(server: &Server) -> bool {
    let is_exponential = matches!(server.up.queues.as_slice(), [Queue::Exponential(_)]);
    is_exponential && server.up == server.down && server.faults.is_empty()
}

/// The least round trip to a server then.
fn base(server: &Server, second: f64) -> f64 {
    let one_way = server.up.events.iter().fold(server.up.delay, |delay, (when, event)| match *event {
        Event::Longer(more) if when.holds(second) => delay + more,
        _ => delay,
    });
    2.0 * one_way
}

/// The real client's figures, and the told filter's on the same samples.
#[allow(clippy::expect_used)] // the default policy is valid
fn compare(scenario: &Scenario, seed: u64, wander: f64) -> (Metrics, Metrics) {
    let engine = adaptive::Engine::<SOURCES>::new(Policy::default()).expect("the default policy is valid");
    let world = whole::world(engine, scenario, seed);
    let servers = &scenario.servers;
    let mut recorder = Recorder { start: world.now(), asked: vec![None; servers.len()], measured: Vec::new() };
    let (ours, seconds) = world.run_tapped(|passage| recorder.handle(passage));

    let mut oscillator = Oscillator::new(&scenario.wander, seed);
    // Before anything is known: a second, and 75 ppm.
    let mut filter = Filter { x: 0.0, f: 0.0, xx: 1.0, xf: 0.0, ff: 5.6e-9, at: 0.0 };
    let mut next = recorder.measured.iter().peekable();
    let told: Vec<Second> = (0..seconds.len())
        .map(|second| {
            let now = second as f64;
            while let Some(sample) = next.next_if(|sample| sample.second <= now) {
                let Some(server) = servers.get(sample.server).filter(|server| is_heard(server)) else { continue };
                let excess = (sample.delay - base(server, sample.second)).max(0.0);
                filter.predict(sample.second, wander);
                filter.update(sample.offset, 0.5 * excess + 1e-9);
            }
            // Nothing is known before the first sample.
            let error = if filter.at > 0.0 { filter.ahead(now) + oscillator.offset(0.0) } else { 1.0 };
            let frequency = filter.f + oscillator.frequency();
            oscillator.advance();
            Second { error, frequency, bound: None }
        })
        .collect();
    (ours, Metrics::of(&told, scenario.settle as usize))
}

/// One line of the table: medians over the seeds and the worst, errors as multiples of chrony's median.
fn line(entry: &Entry, seeds: u64) -> Option<String> {
    let (chrony, wander) = (entry.yardstick.figures()?, told(&entry.scenario)?);
    let (ours, told): (Vec<_>, Vec<_>) = (1..=seeds).map(|seed| compare(&entry.scenario, seed, wander)).unzip();
    let (ours, told) = (Line::of(entry, &ours), Line::of(entry, &told));
    let ((rms, worst), (told_rms, told_worst)) = (ours.ratios()?, told.ratios()?);
    Some(format!(
        "{:13} {:4} {rms:6.2} {told_rms:6.2} {:6.2} {worst:6.2} {told_worst:6.2} {:6.2} {:6.2}  {:6} {:6} {:6}  {:6} {:6} {:6}",
        ours.name,
        ours.polling,
        rms / told_rms,
        ours.frequency_ratio()?,
        told.frequency_ratio()?,
        ours.to_1ms,
        told.to_1ms,
        chrony.to_1ms.unwrap_or(f64::INFINITY),
        ours.to_100us,
        told.to_100us,
        chrony.to_100us.unwrap_or(f64::INFINITY),
    ))
}

fn main() {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    println!(
        "The real client, the told filter on the same samples and chrony: RMS error and frequency error in units of"
    );
    println!("chrony's medians, and the seconds until the error stayed under 1 ms and 0.1 ms");
    println!();
    println!(
        "                                RMS        worst seed     frequency            1 ms                0.1 ms"
    );
    println!("scenario      poll   ours   told  ratio   ours   told   ours   told    ours   told chrony    ours   told chrony");
    for line in entries().iter().filter_map(|entry| line(entry, seeds)) {
        println!("{line}");
    }
}
