//! The machine's oscillator: how far its raw, unsteered clock is from true time.
//!
//! Its frequency error is drawn anew every second of true time and constant within it, so that the raw time is a
//! broken line whose inverse is exact.

use crate::random::Random;

/// One cause of frequency error; an oscillator sums several. All amounts in seconds per second.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Wander {
    /// A constant error: `5e-5` is 50 ppm fast.
    Constant(f64),
    /// A random walk: a normal step of this size every second.
    RandomWalk(f64),
    /// White: a normal value of this size for every second.
    White(f64),
    /// Flicker (1/f): eight relaxations in octaves from 4 s to 18 hours, each of this size.
    Flicker(f64),
    /// A day of warmth: `amplitude · sin(2π · t / period)`.
    Temperature {
        /// Largest error.
        amplitude: f64,
        /// Period in seconds.
        period: f64,
    },
    /// A change from `at` seconds on.
    Step {
        /// When.
        at: f64,
        /// By how much.
        change: f64,
    },
}

/// Flicker's relaxations: shortest time constant in seconds, and the ratio between neighbours.
const FLICKER: (f64, f64, usize) = (4.0, 4.0, 8);

/// One cause with what it remembers.
#[derive(Debug, Clone)]
struct Cause {
    wander: Wander,
    memory: [f64; FLICKER.2],
}

/// A machine's oscillator in motion.
#[derive(Debug, Clone)]
pub struct Oscillator {
    causes: Vec<Cause>,
    random: Random,
    second: u32,
    frequency: f64,
    /// Raw minus true time at the start of the second.
    offset: f64,
}

impl Oscillator {
    /// An oscillator with these causes of error.
    #[must_use]
    pub fn new(wander: &[Wander], seed: u64) -> Self {
        let causes = wander.iter().map(|&wander| Cause { wander, memory: [0.0; FLICKER.2] }).collect();
        let mut oscillator =
            Self { causes, random: Random::stream(seed, 0x05c1), second: 0, frequency: 0.0, offset: 0.0 };
        oscillator.frequency = oscillator.draw();
        oscillator
    }

    /// The frequency error of the present second.
    #[must_use]
    pub fn frequency(&self) -> f64 {
        self.frequency
    }

    /// Raw minus true time, `into` seconds (0 to 1) into the present second.
    #[must_use]
    pub fn offset(&self, into: f64) -> f64 {
        self.offset + self.frequency * into
    }

    /// Goes on to the next second.
    pub fn advance(&mut self) {
        self.offset += self.frequency;
        self.second += 1;
        self.frequency = self.draw();
    }

    /// Goes on to the next second without having counted this one: the machine was asleep.
    pub fn sleep(&mut self) {
        self.offset -= 1.0;
        self.second += 1;
        self.frequency = self.draw();
    }

    fn draw(&mut self) -> f64 {
        let now = f64::from(self.second);
        let random = &mut self.random;
        self.causes.iter_mut().map(|cause| cause.draw(now, random)).sum()
    }
}

impl Cause {
    fn draw(&mut self, now: f64, random: &mut Random) -> f64 {
        match self.wander {
            Wander::Constant(error) => error,
            Wander::RandomWalk(step) => {
                self.memory[0] += step * random.normal();
                self.memory[0]
            }
            Wander::White(size) => size * random.normal(),
            Wander::Flicker(size) => {
                let mut constant = FLICKER.0;
                for value in &mut self.memory {
                    let keep = libm::exp(-1.0 / constant);
                    *value = keep * *value + size * libm::sqrt(1.0 - keep * keep) * random.normal();
                    constant *= FLICKER.1;
                }
                self.memory.iter().sum()
            }
            Wander::Temperature { amplitude, period } => {
                amplitude * libm::sin(2.0 * core::f64::consts::PI * now / period)
            }
            Wander::Step { at, change } => {
                if now >= at {
                    change
                } else {
                    0.0
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_error_accumulates() {
        let mut oscillator = Oscillator::new(&[Wander::Constant(1e-4), Wander::Step { at: 10.0, change: -1e-4 }], 1);
        for _ in 0..20 {
            oscillator.advance();
        }
        assert!((oscillator.offset(0.5) - 1e-3).abs() < 1e-12);
        oscillator.sleep();
        oscillator.sleep();
        assert!((oscillator.offset(0.0) + 2.0 - 1e-3).abs() < 1e-12);
    }

    #[test]
    fn warmth_comes_and_goes_with_its_period() {
        let mut oscillator = Oscillator::new(&[Wander::Temperature { amplitude: 1e-6, period: 400.0 }], 1);
        for (second, expected) in [(0, 0.0), (100, 1e-6), (200, 0.0), (300, -1e-6), (400, 0.0)] {
            (oscillator.second..second).for_each(|_| oscillator.advance());
            assert!((oscillator.frequency() - expected).abs() < 1e-12, "{second}: {}", oscillator.frequency());
        }
    }

    #[test]
    fn a_random_walk_spreads_with_the_root_of_time() {
        let spread = |second: u32| {
            let mut squares = 0.0;
            for seed in 0..1_000 {
                let mut oscillator = Oscillator::new(&[Wander::RandomWalk(1e-9)], seed);
                (1..second).for_each(|_| oscillator.advance());
                squares += oscillator.frequency() * oscillator.frequency() / 1_000.0;
            }
            libm::sqrt(squares)
        };
        assert!((spread(1) / 1e-9 - 1.0).abs() < 0.1, "{}", spread(1));
        assert!((spread(400) / 20e-9 - 1.0).abs() < 0.1, "{}", spread(400));
    }

    #[test]
    fn flicker_has_more_power_the_longer_one_averages_than_white() {
        // The Allan deviation of flicker is flat, that of white falls with the root of the averaging time.
        let deviation = |wander: Wander, span: usize| {
            let mut oscillator = Oscillator::new(&[wander], 3);
            let mut means = Vec::new();
            for _ in 0..(1 << 16) / span {
                let before = oscillator.offset(0.0);
                (0..span).for_each(|_| oscillator.advance());
                #[allow(clippy::cast_precision_loss)]
                means.push((oscillator.offset(0.0) - before) / span as f64);
            }
            let squares: f64 = means.windows(2).map(|w| (w[1] - w[0]) * (w[1] - w[0])).sum();
            #[allow(clippy::cast_precision_loss)]
            libm::sqrt(squares / means.len() as f64 / 2.0)
        };
        let ratio = |wander| deviation(wander, 16) / deviation(wander, 256);
        let (white, flicker) = (ratio(Wander::White(1e-8)), ratio(Wander::Flicker(1e-8)));
        assert!((3.0..5.0).contains(&white), "white fell by {white}");
        assert!((0.7..1.5).contains(&flicker), "flicker fell by {flicker}");
    }
}
