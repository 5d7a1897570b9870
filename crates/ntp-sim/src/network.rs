//! One direction of a network path: what happens to a packet that enters it.

use crate::random::Random;

/// A random delay, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Queue {
    /// Exponential with this mean.
    Exponential(f64),
    /// Gamma: the sum of `shape` exponentials of mean `scale`, for any positive shape.
    Gamma {
        /// Shape.
        shape: f64,
        /// Mean of one part.
        scale: f64,
    },
    /// Pareto from zero: heavy tails, no variance at index 2 and below.
    Pareto {
        /// Tail index.
        index: f64,
        /// Scale.
        scale: f64,
    },
    /// Normal, cut at zero: interrupt and stamping noise.
    Normal(f64),
    /// A queue that fills and drains slowly: exponential with mean `mean`, correlated over about `seconds`.
    Correlated {
        /// Mean.
        mean: f64,
        /// Correlation time.
        seconds: f64,
    },
}

/// When something on a path holds: from `from` to `until`, every `every` seconds if given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct When {
    /// Start, in seconds.
    pub from: f64,
    /// End, in seconds.
    pub until: f64,
    /// Period after which it comes again.
    pub every: Option<f64>,
}

impl When {
    /// For good from `from` on.
    #[must_use]
    pub const fn since(from: f64) -> Self {
        Self { from, until: f64::INFINITY, every: None }
    }

    /// Once.
    #[must_use]
    pub const fn between(from: f64, until: f64) -> Self {
        Self { from, until, every: None }
    }

    /// The first `length` seconds of every `period`.
    #[must_use]
    pub const fn every(period: f64, length: f64) -> Self {
        Self { from: 0.0, until: length, every: Some(period) }
    }

    /// Whether it holds at `time`.
    #[must_use]
    pub fn holds(self, time: f64) -> bool {
        let phase = self.every.map_or(time, |period| libm::fmod(time, period));
        phase >= self.from && phase <= self.until
    }
}

/// Something that befalls the packets of a path while it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A longer way: this much more delay.
    Longer(f64),
    /// One more queue.
    Congested(Queue),
    /// Every packet is lost.
    Down,
}

/// One direction of a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Fixed delay in seconds.
    pub delay: f64,
    /// Queues, summed.
    pub queues: Vec<Queue>,
    /// Share of packets lost.
    pub loss: f64,
    /// Share of packets that arrive twice.
    pub duplicated: f64,
    /// Share of packets held back by up to ten times the usual queue, so that later ones overtake them.
    pub reordered: f64,
    /// What changes over time.
    pub events: Vec<(When, Event)>,
}

impl Path {
    /// A path of fixed delay.
    #[must_use]
    pub const fn fixed(delay: f64) -> Self {
        Self { delay, queues: Vec::new(), loss: 0.0, duplicated: 0.0, reordered: 0.0, events: Vec::new() }
    }

    /// A path of fixed delay with one exponential queue.
    #[must_use]
    pub fn exponential(delay: f64, mean: f64) -> Self {
        Self::fixed(delay).queue(Queue::Exponential(mean))
    }

    /// With one more queue.
    #[must_use]
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queues.push(queue);
        self
    }

    /// With this share of packets lost.
    #[must_use]
    pub fn lossy(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    /// With this share of packets arriving twice.
    #[must_use]
    pub fn duplicating(mut self, share: f64) -> Self {
        self.duplicated = share;
        self
    }

    /// With this share of packets overtaken.
    #[must_use]
    pub fn reordering(mut self, share: f64) -> Self {
        self.reordered = share;
        self
    }

    /// With something that befalls it.
    #[must_use]
    pub fn event(mut self, when: When, event: Event) -> Self {
        self.events.push((when, event));
        self
    }
}

/// A path in motion: its own random stream, and what its correlated queues remember.
#[derive(Debug, Clone)]
pub struct Link {
    path: Path,
    random: Random,
    /// What each queue remembers, and each event.
    memory: Vec<Memory>,
    congestion: Vec<Memory>,
}

/// Time and two normal values of a correlated queue, whose squares' half sum is the exponential.
type Memory = (f64, [f64; 2]);

impl Link {
    /// The path in motion, with the random stream `purpose` of `seed`.
    #[must_use]
    pub fn new(path: Path, seed: u64, purpose: u64) -> Self {
        let mut random = Random::stream(seed, purpose);
        let memory = path.queues.iter().map(|_| (0.0, [random.normal(), random.normal()])).collect();
        let congestion = vec![(0.0, [0.0; 2]); path.events.len()];
        Self { path, random, memory, congestion }
    }

    /// When the copies of a packet that enters at `now` arrive, as delays in seconds; none when it is lost.
    pub fn carry(&mut self, now: f64) -> [Option<f64>; 2] {
        let mut delay = self.path.delay;
        let random = &mut self.random;
        for (queue, memory) in self.path.queues.iter().zip(&mut self.memory) {
            delay += draw(*queue, now, random, memory);
        }
        let queued = delay - self.path.delay;
        let mut lost = random.chance(self.path.loss);
        for (&(when, event), memory) in self.path.events.iter().zip(&mut self.congestion) {
            if when.holds(now) {
                match event {
                    Event::Longer(more) => delay += more,
                    Event::Congested(queue) => delay += draw(queue, now, random, memory),
                    Event::Down => lost = true,
                }
            }
        }
        if random.chance(self.path.reordered) {
            delay += 10.0 * queued * random.uniform();
        }
        let again = random.chance(self.path.duplicated).then(|| delay + queued * random.uniform());
        if lost {
            [None, None]
        } else {
            [Some(delay), again]
        }
    }
}

fn draw(queue: Queue, now: f64, random: &mut Random, memory: &mut Memory) -> f64 {
    match queue {
        Queue::Exponential(mean) => mean * random.exponential(),
        Queue::Gamma { shape, scale } => scale * random.gamma(shape),
        Queue::Pareto { index, scale } => scale * random.pareto(index),
        Queue::Normal(size) => (size * random.normal()).abs(),
        Queue::Correlated { mean, seconds } => {
            let keep = libm::exp(-(now - memory.0).max(0.0) / seconds);
            let fresh = libm::sqrt(1.0 - keep * keep);
            memory.0 = now;
            memory.1 = memory.1.map(|value| keep * value + fresh * random.normal());
            mean * 0.5 * memory.1.iter().map(|value| value * value).sum::<f64>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periodic_and_single_events() {
        let bursts = When::every(1200.0, 300.0);
        assert!(bursts.holds(100.0) && bursts.holds(1300.0) && !bursts.holds(400.0));
        assert!(When::since(5.0).holds(1e9) && !When::between(1.0, 2.0).holds(3.0));
    }

    #[test]
    fn shares_are_what_they_say() {
        let path = Path::exponential(0.02, 1e-3).lossy(0.3).duplicating(0.1).event(When::since(5e4), Event::Down);
        let mut link = Link::new(path, 1, 1);
        let carried: Vec<_> = (0..100_000).map(|i| link.carry(f64::from(i))).collect();
        let arrived = carried.iter().filter(|c| c[0].is_some()).count();
        let twice = carried.iter().filter(|c| c[1].is_some()).count();
        assert!((34_000..36_000).contains(&arrived), "{arrived}");
        assert!((3_200..3_800).contains(&twice), "{twice}");
        assert!(carried.iter().flatten().flatten().all(|&delay| delay >= 0.02));
    }

    #[allow(clippy::cast_precision_loss)]
    fn mean(path: Path) -> f64 {
        let mut link = Link::new(path, 1, 1);
        let delays: Vec<f64> = (0..100_000).filter_map(|i| link.carry(f64::from(i))[0]).collect();
        delays.iter().sum::<f64>() / delays.len() as f64
    }

    #[test]
    fn queues_have_their_means_as_a_path_and_as_congestion() {
        for (queue, expected) in [
            (Queue::Exponential(2.0), 2.0),
            (Queue::Gamma { shape: 3.0, scale: 0.5 }, 1.5),
            (Queue::Pareto { index: 5.0, scale: 4.0 }, 1.0),
            (Queue::Normal(1.0), libm::sqrt(2.0 / core::f64::consts::PI)),
            (Queue::Correlated { mean: 1.0, seconds: 5.0 }, 1.0),
        ] {
            let always = mean(Path::fixed(0.5).queue(queue)) - 0.5;
            assert!((always / expected - 1.0).abs() < 0.03, "{queue:?}: {always}");
            // A quarter of the time.
            let bursts = mean(Path::fixed(0.5).event(When::every(400.0, 100.0), Event::Congested(queue))) - 0.5;
            assert!((4.0 * bursts / expected - 1.0).abs() < 0.05, "{queue:?}: {bursts}");
        }
        let longer = mean(Path::fixed(0.5).event(When::between(0.0, 49_999.0), Event::Longer(2.0)));
        assert!((longer - 1.5).abs() < 1e-9, "{longer}");
    }

    #[test]
    fn reordered_packets_are_overtaken() {
        let overtaken = |path: Path| {
            let mut link = Link::new(path, 1, 1);
            let arrivals: Vec<f64> =
                (0..10_000).filter_map(|i| Some(5e-3 * f64::from(i) + link.carry(5e-3 * f64::from(i))[0]?)).collect();
            arrivals.windows(2).filter(|pair| pair[0] > pair[1]).count()
        };
        let plain = overtaken(Path::exponential(0.02, 1e-3));
        let reordered = overtaken(Path::exponential(0.02, 1e-3).reordering(0.2));
        assert!(plain < 100 && reordered > 500, "{plain} and {reordered}");
    }

    #[test]
    fn a_correlated_queue_is_exponential_and_correlated() {
        let queue = Queue::Correlated { mean: 1.0, seconds: 100.0 };
        assert_correlated(Path::fixed(0.0).queue(queue));
        assert_correlated(Path::fixed(0.0).event(When::since(0.0), Event::Congested(queue)));
    }

    fn assert_correlated(path: Path) {
        let mut link = Link::new(path, 1, 1);
        let delays: Vec<f64> = (0..200_000).filter_map(|i| link.carry(f64::from(i) * 10.0)[0]).collect();
        #[allow(clippy::cast_precision_loss)]
        let n = delays.len() as f64;
        let mean = delays.iter().sum::<f64>() / n;
        let var = delays.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / n;
        let lagged = delays.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / n / var;
        assert!((mean - 1.0).abs() < 0.05 && (var - 1.0).abs() < 0.1, "{mean} {var}");
        // The square of the underlying correlation, exp(−0.1)².
        assert!((lagged - 0.819).abs() < 0.03, "{lagged}");
    }
}
