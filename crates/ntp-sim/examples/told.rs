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
use ntp_sim::metrics::median;
use ntp_sim::network::{Event, Queue};
use ntp_sim::oscillator::{Oscillator, Wander};
use ntp_sim::scenario::Scenario;
use ntp_sim::server::Server;
use ntp_sim::table::{entries, Entry};
use ntp_sim::whole::{self, SOURCES};
use ntp_sim::world::Passage;
use ntp_types::{Instant, NtpTimestamp};

/// Seeds without an argument.
const SEEDS: u64 = 9;

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

/// The real client's RMS error, and the told filter's on the same samples.
#[allow(clippy::expect_used)] // the default policy is valid
fn compare(scenario: &Scenario, seed: u64, wander: f64) -> (f64, f64) {
    let engine = adaptive::Engine::<SOURCES>::new(Policy::default()).expect("the default policy is valid");
    let world = whole::world(engine, scenario, seed);
    let servers = &scenario.servers;
    let mut recorder = Recorder { start: world.now(), asked: vec![None; servers.len()], measured: Vec::new() };
    let (metrics, seconds) = world.run_tapped(|passage| recorder.handle(passage));

    let mut oscillator = Oscillator::new(&scenario.wander, seed);
    // Before anything is known: a second, and 75 ppm.
    let mut filter = Filter { x: 0.0, f: 0.0, xx: 1.0, xf: 0.0, ff: 5.6e-9, at: 0.0 };
    let (mut next, mut squares, mut count) = (recorder.measured.iter().peekable(), 0.0, 0.0);
    for second in 0..u32::try_from(seconds.len()).unwrap_or(u32::MAX) {
        let now = f64::from(second);
        while let Some(sample) = next.next_if(|sample| sample.second <= now) {
            let Some(server) = servers.get(sample.server).filter(|server| is_heard(server)) else { continue };
            let excess = (sample.delay - base(server, sample.second)).max(0.0);
            filter.predict(sample.second, wander);
            filter.update(sample.offset, 0.5 * excess + 1e-9);
        }
        if second >= scenario.settle {
            let error = filter.ahead(now) + oscillator.offset(0.0);
            (squares, count) = (squares + error * error, count + 1.0);
        }
        oscillator.advance();
    }
    (metrics.rms, (squares / count).sqrt())
}

/// One line of the table; errors as multiples of chrony's median RMS.
fn line(entry: &Entry, seeds: u64) -> Option<String> {
    let (figures, wander) = (entry.yardstick.figures()?, told(&entry.scenario)?);
    let runs: Vec<(f64, f64)> = (1..=seeds).map(|seed| compare(&entry.scenario, seed, wander)).collect();
    let each = |pick: fn(&(f64, f64)) -> f64| -> (f64, f64) {
        let all = || runs.iter().map(|run| pick(run) / figures.rms);
        (median(all()), all().fold(0.0, f64::max))
    };
    let ((ours, worst), (told, told_worst)) = (each(|run| run.0), each(|run| run.1));
    let seeds: Vec<String> = runs.iter().map(|run| format!("{:.2}", run.0 / run.1)).collect();
    let name = &entry.scenario.name;
    Some(format!(
        "{name:13} {:4} {ours:6.2} {told:6.2} {:6.2}   {worst:6.2} {told_worst:6.2}   {}",
        entry.polling,
        ours / told,
        seeds.join(" ")
    ))
}

fn main() {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    println!("RMS error in units of chrony's median one: the real client's, the told filter's on the same samples");
    println!("scenario      poll   ours   told  ratio   worst:ours told   ratio seed by seed");
    for line in entries().iter().filter_map(|entry| line(entry, seeds)) {
        println!("{line}");
    }
}
