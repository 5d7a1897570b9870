//! Exponentials and logarithms without a branch, which a compiler can work out several at a time.
//!
//! The bank needs some four hundred of each sample. Method and coefficients are those that `libm` has from FreeBSD's msun
//! (© 1993 Sun Microsystems), and so are the bits; only the range is smaller.

// As msun splits it: `LN_2_HIGH` has trailing zeros, so that its multiples by an exponent are exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// Of x·(eˣ + 1)/(eˣ − 1) − 2 in x², from the highest power down.
const EXP: [f64; 5] = [
    4.138_136_797_057_238_5e-8,
    -1.653_390_220_546_525_2e-6,
    6.613_756_321_437_934e-5,
    -2.777_777_777_701_559_3e-3,
    1.666_666_666_666_660_2e-1,
];
/// Of (ln(1 + s) − ln(1 − s))/s − 2 in s², even and odd powers apart, from the highest down.
const LN_EVEN: [f64; 3] = [1.531_383_769_920_937_3e-1, 2.222_219_843_214_978_4e-1, 3.999_999_999_940_942e-1];
const LN_ODD: [f64; 4] =
    [1.479_819_860_511_658_6e-1, 1.818_357_216_161_805e-1, 2.857_142_874_366_239e-1, 6.666_666_666_666_735e-1];
/// Added to a small number it leaves the nearest whole one in the low bits, in two's complement.
const WHOLE: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52
/// Up to 2⁻²⁸ the exponential is 1 + x.
const STRAIGHT: f64 = 3.725_290_298_461_914e-9;
/// Beyond it the exponential soon leaves the range of f64.
const MOST: f64 = 690.0;

const FRACTION_BITS: u32 = 52;
const EXPONENT_BIAS: u64 = 1_023;
/// Bits of √½, rounded up to twenty of its fraction.
const ROOT_HALF: u64 = 0x3fe6_a09e << 32;
const ONE: u64 = EXPONENT_BIAS << FRACTION_BITS;

/// eˣ of a number; beyond ±690 that of ±690.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    let x = if x > -MOST { x } else { -MOST };
    let x = if x < MOST { x } else { MOST };
    // x = k·ln 2 + reduced
    let shifted = x * core::f64::consts::LOG2_E + WHOLE;
    let k = shifted - WHOLE;
    let (high, low) = (x - k * LN_2_HIGH, k * LN_2_LOW);
    let reduced = high - low;
    let square = reduced * reduced;
    let [p5, p4, p3, p2, p1] = EXP;
    let rest = reduced - square * (p1 + square * (p2 + square * (p3 + square * (p4 + square * p5))));
    let curved = reduced * rest / (2.0 - rest);
    let curved = if libm::fabs(x) > STRAIGHT { curved } else { 0.0 };
    let fraction = 1.0 + (curved - low + high);
    fraction * f64::from_bits((shifted.to_bits() << FRACTION_BITS).wrapping_add(ONE))
}

/// ln x of a number that is neither subnormal nor infinite; positive.
#[inline]
pub(crate) fn ln(x: f64) -> f64 {
    // x = 2^k·(1 + f), 1 + f from √½ to √2
    let shifted = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    let above = f64::from_bits((shifted & ((1 << FRACTION_BITS) - 1)) + ROOT_HALF);
    let k = f64::from_bits(shifted >> FRACTION_BITS | WHOLE.to_bits()) - (WHOLE + 1_023.0);
    let f = above - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let [p6, p4, p2] = LN_EVEN;
    let even = w * (p2 + w * (p4 + w * p6));
    let [p7, p5, p3, p1] = LN_ODD;
    let odd = z * (p1 + w * (p3 + w * (p5 + w * p7)));
    s * (half_square + (odd + even)) + k * LN_2_LOW - half_square + f + k * LN_2_HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exponentials_are_those_of_libm(x in -MOST..MOST, small in -1.0..1.0_f64) {
            for x in [x, small, small * small * small, -0.0, MOST, -MOST] {
                prop_assert_eq!(exp(x), libm::exp(x), "{}", x);
            }
        }

        #[test]
        fn logarithms_are_those_of_libm(x in f64::MIN_POSITIVE..f64::MAX, near in 0.5..2.0_f64, power in -300..300_i32) {
            for x in [x, near, near * libm::pow(10.0, f64::from(power)), 1.0, f64::MIN_POSITIVE, f64::MAX] {
                prop_assert_eq!(ln(x), libm::log(x), "{}", x);
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_taken_as_its_edge() {
        for x in [691.0, 1e10, f64::INFINITY] {
            assert_eq!((exp(x), exp(-x)), (libm::exp(MOST), libm::exp(-MOST)));
        }
    }
}
