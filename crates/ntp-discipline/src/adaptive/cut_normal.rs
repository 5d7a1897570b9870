//! A standard normal cut to an interval: its mass, mean and variance, safe at every width and distance.
//!
//! It is the heart of the estimator's update: a Gaussian prior under a likelihood that is flat between two edges.

use super::elementary::exp;

/// 1/√(2π).
pub(crate) const INVERSE_SQRT_2PI: f64 = 0.398_942_280_401_432_7;
/// Intervals narrower than this are treated as flat to second order; wider ones only while they lie near the middle.
const NARROW: f64 = 0.02;
const NARROW_NEAR: f64 = 0.2;
/// Beyond this many deviations the tail is taken as exponential; the direct formula would leave the range of f64 at 37.
const FAR: f64 = 35.0;
/// Beyond an edge whose square lies this much above the nearest point's is less than 10⁻¹⁶ of the mass.
const NOTHING: f64 = 74.0;
/// The Mills ratio's numerator and denominator, from the highest power down: the rational function that meets it in 18
/// points of 0 … 36, with a relative error below 5·10⁻¹⁵ between them.
const NUMERATOR: [f64; 9] = [
    2.0715292271694657e-05,
    0.000_472_408_070_283_338_13,
    0.005_258_815_618_513_079,
    0.036_680_897_797_102_61,
    0.173_941_793_541_018_19,
    0.572_860_100_404_869_9,
    1.283_369_172_192_783_6,
    1.806_063_831_816_611_6,
    1.253_314_137_315_503_2,
];
const DENOMINATOR: [f64; 10] = [
    2.0715292270936803e-05,
    0.000_472_408_070_420_199_14,
    0.005_279_530_899_747_859,
    0.037_153_306_397_086_96,
    0.179_159_161_536_810_6,
    0.608_596_574_687_906_3,
    1.446_993_718_610_461_3,
    2.310_376_166_151_604_7,
    2.238_915_008_034_215_5,
    1.0,
];

/// Mass, mean and variance of what is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CutNormal {
    /// The mass is `mass` · exp(`ln_scale`): far out it would leave the range of f64.
    pub(crate) mass: f64,
    pub(crate) ln_scale: f64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

/// Standard normals cut to `[low, high]`, `low < high`, both finite.
pub(crate) fn cut_normals<const N: usize>(edges: &[(f64, f64); N]) -> [CutNormal; N] {
    let mut cuts = edges.map(|(low, high)| direct(low, high));
    for (cut, &(low, high)) in cuts.iter_mut().zip(edges) {
        if high - low >= NARROW_NEAR && low.max(-high) <= FAR && cut.mass > 0.0 {
            continue;
        }
        // Mirrored so that the interval's middle is not below zero: only upper tails remain.
        let (low, high, sign) = if low + high < 0.0 { (-high, -low, -1.0) } else { (low, high, 1.0) };
        if let Some(special) = special(low, high, cut.mass) {
            *cut = CutNormal { mean: sign * special.mean, ..special };
        }
    }
    cuts
}

/// By the direct formula, without a branch; where that fails whatever it gives.
#[inline]
fn direct(low: f64, high: f64) -> CutNormal {
    let mirrored = low + high < 0.0;
    let (low, high) = if mirrored { (-high, -low) } else { (low, high) };
    let width = high - low;
    let nearest = low.max(0.0) * low.max(0.0);
    let ((at_low, below), (at_high, above)) = (edge(low, nearest), edge(high, nearest));
    let mass = if low < 0.0 { 1.0 - below } else { below } - above;
    let per_mass = 1.0 / mass;
    let mean = ((at_low - at_high) * per_mass).max(low).min(high);
    let edges = (low * at_low - high * at_high) * per_mass;
    let widest = (width * width / 12.0).min(1.0);
    let variance = (1.0 + edges - mean * mean).max(1e-9 * widest).min(widest);
    CutNormal { mass, ln_scale: 0.0, mean: if mirrored { -mean } else { mean }, variance }
}

/// Where the direct formula, which found this mass, fails; the interval's middle not below zero.
fn special(low: f64, high: f64, mass: f64) -> Option<CutNormal> {
    let width = (high - low).max(f64::MIN_POSITIVE);
    let middle = 0.5 * (low + high);
    if width < NARROW && middle < 1.0 || width < NARROW_NEAR && width * middle < NARROW {
        let variance = width * width / 12.0;
        let mean = middle * (1.0 - variance);
        return Some(CutNormal { mass: width * INVERSE_SQRT_2PI, ln_scale: -0.5 * middle * middle, mean, variance });
    }
    if low > FAR || low > 1.0 && width < NARROW {
        return Some(far(low, width));
    }
    // Only rounding can leave nothing between two edges this far apart.
    (mass <= 0.0).then(|| far(low.max(1.0), width))
}

/// The density at an edge and the mass beyond it, away from the middle; nothing where both vanish beside what lies at the
/// square of the nearest point.
#[inline]
fn edge(at: f64, nearest_squared: f64) -> (f64, f64) {
    let square = at * at;
    let density = exp(-0.5 * square) * INVERSE_SQRT_2PI;
    let density = if square - nearest_squared > NOTHING { 0.0 } else { density };
    (density, density * mills_ratio(libm::fabs(at)))
}

/// Of a standard normal at `x`, from 0 on: the mass beyond it over the density there.
#[inline]
fn mills_ratio(x: f64) -> f64 {
    let polynomial = |coefficients: &[f64]| coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient);
    polynomial(&NUMERATOR) / polynomial(&DENOMINATOR)
}

/// The far tail: exponential with rate `low`, from `low` on over `width`.
fn far(low: f64, width: f64) -> CutNormal {
    let lengths = low * width;
    let ln_scale = -0.5 * low * low;
    if lengths < 0.02 {
        let (mean, variance) = (low + 0.5 * width, width * width / 12.0);
        return CutNormal { mass: width * INVERSE_SQRT_2PI, ln_scale, mean, variance };
    }
    // Beyond forty lengths nothing is left, and the exponential would leave the range of f64.
    let growth = libm::expm1(lengths.min(40.0));
    let cut = lengths.min(40.0) / growth;
    CutNormal {
        mass: -libm::expm1(-lengths) / low * INVERSE_SQRT_2PI,
        ln_scale,
        mean: low + (1.0 - cut) / low,
        variance: (1.0 - cut * cut * (growth + 1.0)).max(0.0) / (low * low),
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    fn cut_normal(low: f64, high: f64) -> CutNormal {
        let [cut] = cut_normals(&[(low, high)]);
        cut
    }

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
            mass: mass * step / 3.0 * INVERSE_SQRT_2PI,
            ln_scale: -0.5 * peak * peak,
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
                let ln_mass = |cut: CutNormal| cut.ln_scale + libm::log(cut.mass);
                assert!((ln_mass(found) - ln_mass(exact)).abs() < 2e-3 * (1.0 + ln_mass(exact).abs()), "{context}");
                let scale = libm::sqrt(exact.variance);
                assert!((found.mean - exact.mean).abs() < 0.01 * scale, "{context}");
                assert!((found.variance / exact.variance - 1.0).abs() < 0.02, "{context}");
            }
        }
    }

    #[test]
    fn masses_agree_with_the_error_function() {
        let mut x = 0.0;
        while x < 36.0 {
            let exact = 0.5 * libm::erfc(x * core::f64::consts::FRAC_1_SQRT_2);
            // An ulp of x²/2 is so much of the density.
            let close = 2e-14 + 1e-15 * x * x;
            let found = libm::exp(-0.5 * x * x) * INVERSE_SQRT_2PI * mills_ratio(x);
            assert!((found / exact - 1.0).abs() < close, "{x}: {found} against {exact}");
            x += 0.001;
        }
    }

    #[test]
    fn finite_everywhere() {
        let mut low = -1e12;
        while low < 1e12 {
            for width in [1e-12, 1e-3, 1.0, 1e6, 1e12] {
                let cut = cut_normal(low, low + width);
                assert!(cut.ln_scale.is_finite() && cut.mass > 0.0 && cut.mean.is_finite(), "{low} {width} {cut:?}");
                assert!(cut.variance >= 0.0 && cut.variance <= 1.0, "{low} {width} {cut:?}");
            }
            low += 1e9_f64.min(1.0 + low.abs() / 3.0);
        }
    }
}
