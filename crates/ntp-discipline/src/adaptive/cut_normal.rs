//! A standard normal cut to an interval: its mass, mean and variance, safe at every width and distance.
//!
//! It is the heart of the estimator's update: a Gaussian prior under a likelihood that is flat between two edges.

use core::f64::consts::{FRAC_1_SQRT_2, PI};

/// ln √(2π).
pub(crate) const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;
/// Intervals narrower than this are treated as flat to second order; wider ones only while they lie near the middle.
const NARROW: f64 = 0.02;
const NARROW_NEAR: f64 = 0.2;
/// Beyond this many deviations the tail is taken as exponential; the direct formula would leave the range of f64 at 37.
const FAR: f64 = 35.0;

/// Logarithm of the mass, mean and variance of what is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CutNormal {
    pub(crate) ln_mass: f64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

/// A standard normal cut to `[low, high]`, `low < high`, both finite.
pub(crate) fn cut_normal(low: f64, high: f64) -> CutNormal {
    // Mirrored so that the interval's middle is not below zero: only upper tails remain.
    if low + high < 0.0 {
        let mirrored = upper(-high, -low);
        return CutNormal { mean: -mirrored.mean, ..mirrored };
    }
    upper(low, high)
}

fn upper(low: f64, high: f64) -> CutNormal {
    let width = (high - low).max(f64::MIN_POSITIVE);
    let middle = 0.5 * (low + high);
    if width < NARROW && middle < 1.0 || width < NARROW_NEAR && width * middle < NARROW {
        let variance = width * width / 12.0;
        return CutNormal {
            ln_mass: -0.5 * middle * middle - LN_SQRT_2PI + libm::log(width),
            mean: middle * (1.0 - variance),
            variance,
        };
    }
    if low > FAR || low > 1.0 && width < NARROW {
        return far(low, width);
    }
    let mass = 0.5 * (libm::erfc(low * FRAC_1_SQRT_2) - libm::erfc(high * FRAC_1_SQRT_2));
    if mass <= 0.0 {
        // Only rounding can leave nothing between two edges this far apart.
        return far(low.max(1.0), width);
    }
    let (at_low, at_high) = (density(low), density(high));
    let mean = ((at_low - at_high) / mass).max(low).min(high);
    let edges = (product(low, at_low) - product(high, at_high)) / mass;
    let widest = (width * width / 12.0).min(1.0);
    let variance = (1.0 + edges - mean * mean).max(1e-9 * widest).min(widest);
    CutNormal { ln_mass: libm::log(mass), mean, variance }
}

/// The far tail: exponential with rate `low`, from `low` on over `width`.
fn far(low: f64, width: f64) -> CutNormal {
    let lengths = low * width;
    let ln_density = -0.5 * low * low - LN_SQRT_2PI;
    if lengths < 0.02 {
        return CutNormal {
            ln_mass: ln_density + libm::log(width),
            mean: low + 0.5 * width,
            variance: width * width / 12.0,
        };
    }
    // Beyond forty lengths nothing is left, and the exponential would leave the range of f64.
    let growth = libm::expm1(lengths.min(40.0));
    let cut = lengths.min(40.0) / growth;
    CutNormal {
        ln_mass: ln_density - libm::log(low) + libm::log1p(-libm::exp(-lengths)),
        mean: low + (1.0 - cut) / low,
        variance: (1.0 - cut * cut * (growth + 1.0)).max(0.0) / (low * low),
    }
}

fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) * (1.0 / libm::sqrt(2.0 * PI))
}

/// `x · density`, zero where the density has vanished and `x` may be huge.
fn product(x: f64, density: f64) -> f64 {
    if x.abs() > 30.0 && density == 0.0 {
        0.0
    } else {
        x * density
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    /// By Simpson's rule, relative to the density's largest value in the interval.
    fn numerically(low: f64, high: f64) -> CutNormal {
        let peak = if low > 0.0 {
            low
        } else if high < 0.0 {
            high
        } else {
            0.0
        };
        // Beyond forty deviations (or forty tail lengths) nothing is left.
        let reach = 40.0 / peak.abs().max(1.0);
        let (from, to) = (low.max(peak - reach), high.min(peak + reach));
        let n = 20_000;
        let step = (to - from) / f64::from(n);
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        for i in 0..=n {
            let x = from + step * f64::from(i);
            let weight = if i == 0 || i == n {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            };
            let value = weight * libm::exp(0.5 * (peak * peak - x * x));
            mass += value;
            first += value * (x - peak);
            second += value * (x - peak) * (x - peak);
        }
        let mean = first / mass;
        CutNormal {
            ln_mass: libm::log(mass * step / 3.0) - 0.5 * peak * peak - LN_SQRT_2PI,
            mean: peak + mean,
            variance: second / mass - mean * mean,
        }
    }

    #[test]
    fn moments_agree_with_integration() {
        let lows = [-40.0, -8.0, -3.0, -1.0, -0.1, -0.005, 0.0, 0.3, 1.0, 4.0, 12.0, 30.0];
        let widths = [1e-4, 0.005, 0.019, 0.021, 0.1, 0.19, 0.25, 1.0, 3.0, 20.0, 100.0];
        for low in lows {
            for width in widths {
                let (found, exact) = (cut_normal(low, low + width), numerically(low, low + width));
                let context = format!("[{low}, {}]: {found:?} against {exact:?}", low + width);
                assert!((found.ln_mass - exact.ln_mass).abs() < 2e-3 * (1.0 + exact.ln_mass.abs()), "{context}");
                let scale = libm::sqrt(exact.variance);
                assert!((found.mean - exact.mean).abs() < 0.01 * scale, "{context}");
                assert!((found.variance / exact.variance - 1.0).abs() < 0.02, "{context}");
            }
        }
    }

    #[test]
    fn finite_everywhere() {
        let mut low = -1e12;
        while low < 1e12 {
            for width in [1e-12, 1e-3, 1.0, 1e6, 1e12] {
                let cut = cut_normal(low, low + width);
                assert!(cut.ln_mass.is_finite() && cut.mean.is_finite(), "{low} {width} {cut:?}");
                assert!(cut.variance >= 0.0 && cut.variance <= 1.0, "{low} {width} {cut:?}");
            }
            low += 1e9_f64.min(1.0 + low.abs() / 3.0);
        }
    }
}
