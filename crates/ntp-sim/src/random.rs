//! Seeded randomness, the same bits on every target: xoshiro256++ filled by SplitMix64, and the distributions the
//! simulation draws from, all through `libm`.
//!
//! It is kept here, and small, because a replay must not change when somebody else's generator does.

/// A seeded stream of random numbers (xoshiro256++). Not for secrets.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
    /// The second of a pair of normal variates, not yet handed out.
    spare: Option<f64>,
}

impl Random {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut x = seed;
        let mut next = || {
            // SplitMix64, as the generator's authors advise for filling its state.
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = x;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Self { state: [next(), next(), next(), next()], spare: None }
    }

    /// An independent stream for the part of the simulation called `purpose`, so that what one part draws never
    /// depends on how much another drew.
    #[must_use]
    pub fn stream(seed: u64, purpose: u64) -> Self {
        Self::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ purpose.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c2, d2) = (c ^ a, d ^ b);
        self.state = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        result
    }

    /// Uniform in [0, 1).
    #[allow(clippy::cast_precision_loss)] // 53 bits, exact
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.uniform())
    }

    /// Standard normal (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let scale = libm::sqrt(-2.0 * libm::log(s) / s);
                self.spare = Some(v * scale);
                return u * scale;
            }
        }
    }

    /// Gamma with the given shape and scale 1 (Marsaglia and Tsang; shapes below 1 by their power transform).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = libm::pow(1.0 - self.uniform(), 1.0 / shape.max(1e-3));
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let x = self.normal();
            let v = 1.0 + c * x;
            if v > 0.0 {
                let v = v * v * v;
                if libm::log(1.0 - self.uniform()) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                    return d * v;
                }
            }
        }
    }

    /// Pareto (Lomax) with the given tail index and scale 1, starting at zero: heavy tails below index 2.
    pub fn pareto(&mut self, index: f64) -> f64 {
        libm::pow(1.0 - self.uniform(), -1.0 / index.max(0.1)) - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(mut draw: impl FnMut(&mut Random) -> f64) -> (f64, f64) {
        let mut random = Random::new(7);
        let n = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let x = draw(&mut random);
            sum += x;
            squares += x * x;
        }
        let mean = sum / f64::from(n);
        (mean, squares / f64::from(n) - mean * mean)
    }

    fn near(found: (f64, f64), mean: f64, variance: f64) {
        assert!((found.0 - mean).abs() < 0.02 * (1.0 + mean), "mean {} against {mean}", found.0);
        assert!((found.1 - variance).abs() < 0.05 * (0.1 + variance), "variance {} against {variance}", found.1);
    }

    #[test]
    fn distributions_have_their_moments() {
        near(moments(Random::uniform), 0.5, 1.0 / 12.0);
        near(moments(Random::exponential), 1.0, 1.0);
        near(moments(Random::normal), 0.0, 1.0);
        near(moments(|r| r.gamma(3.0)), 3.0, 3.0);
        near(moments(|r| r.gamma(0.5)), 0.5, 0.5);
        near(moments(|r| r.pareto(5.0)), 0.25, 5.0 / (16.0 * 3.0));
    }

    #[test]
    fn a_seed_is_a_stream_for_good() {
        let mut random = Random::new(1);
        let first: [u64; 3] = [random.bits(), random.bits(), random.bits()];
        assert_eq!(first, [14971601782005023387, 13781649495232077965, 1847458086238483744]);
        assert_ne!(Random::stream(1, 1).bits(), Random::stream(1, 2).bits());
    }
}
