//! Every conversion against exact 128-bit integers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

use core::time::Duration;

use ntp_types::{
    Applied, CivilTime, Frequency, Instant, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision, RoundTrip, UnixTime,
};
use proptest::prelude::*;

const NTP_EPOCH: i128 = -2_208_988_800;
const SECOND: i128 = 1 << 32;
const GIGA: i128 = 1_000_000_000;

/// `numerator / denominator` to the nearest, halves away from zero.
fn nearest(numerator: i128, denominator: i128) -> i128 {
    let half = if numerator < 0 { -denominator / 2 } else { denominator / 2 };
    (numerator + half) / denominator
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Any time from 1900 to 2300, and often one close to the ends of eras.
fn time() -> impl Strategy<Value = UnixTime> {
    let era_ends = prop_oneof![Just(2_085_978_496_i64), Just(4_233_462_144), Just(6_380_945_792), Just(0)];
    let seconds = prop_oneof![-2_208_988_800_i64..10_413_792_000, (era_ends, -3_i64..4).prop_map(|(a, b)| a + b)];
    (seconds, 0_u32..1_000_000_000).prop_map(|(seconds, nanos)| UnixTime::new(seconds, nanos).unwrap())
}

fn any_i64() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -10_i64..10, Just(i64::MIN), Just(i64::MAX), Just(i64::MIN + 1)]
}

proptest! {
    #[test]
    fn nanoseconds_to_timestamp_and_back_is_the_identity(time in time(), pivot_off in -2_147_483_647_i64..2_147_483_647) {
        let pivot = UnixTime::from_seconds(time.seconds() + pivot_off);
        prop_assert_eq!(NtpTimestamp::from_unix(time).to_unix(pivot), Some(time));
    }

    #[test]
    fn timestamp_of_a_time_is_exact(time in time()) {
        let exact = nearest((time.to_nanos() - NTP_EPOCH * GIGA) << 32, GIGA).rem_euclid(1 << 64);
        prop_assert_eq!(i128::from(NtpTimestamp::from_unix(time).to_bits()), exact.max(1));
    }

    #[test]
    fn dates_have_the_order_of_their_times(a in time(), b in time()) {
        let (a, b) = (a.seconds(), b.seconds());
        let civil = |seconds| UnixTime::from_seconds(seconds).to_civil().unwrap();
        prop_assert_eq!(civil(a).cmp(&civil(b)), a.cmp(&b));
    }

    #[test]
    fn assigning_is_adding(bits: u64, other in any_i64(), frequency in any_i64(), nanos: u64) {
        let duration = NtpDuration::from_bits(other);
        let mut timestamp = NtpTimestamp::from_bits(bits);
        timestamp += duration;
        prop_assert_eq!(timestamp.to_bits(), bits.wrapping_add(other as u64));
        timestamp -= duration;
        prop_assert_eq!(timestamp.to_bits(), bits);
        let mut sum = Frequency::from_bits(other);
        sum += Frequency::from_bits(frequency);
        prop_assert_eq!(i128::from(sum.to_bits()), i128::from(saturate(i128::from(other) + i128::from(frequency))));
        sum -= Frequency::from_bits(frequency);
        let exact = i128::from(saturate(i128::from(other) + i128::from(frequency))) - i128::from(frequency);
        prop_assert_eq!(sum.to_bits(), saturate(exact));
        let mut instant = Instant::from_nanos(bits);
        instant += Duration::from_nanos(nanos);
        prop_assert_eq!(instant.as_nanos(), bits.saturating_add(nanos));
    }

    #[test]
    fn unfolding_finds_the_time_nearest_the_pivot(bits in 1_u64.., pivot in time()) {
        let unfolded = NtpTimestamp::from_bits(bits).to_unix(pivot).unwrap();
        let seconds = unfolded.to_nanos().div_euclid(GIGA);
        // Congruent to the field, give or take the rounding to a nanosecond …
        let units = nearest((unfolded.to_nanos() - NTP_EPOCH * GIGA) << 32, GIGA);
        let error = (units - i128::from(bits)).rem_euclid(1 << 64);
        prop_assert!(error <= 3 || error >= (1 << 64) - 3, "{}", error);
        // … and within 2^31 s of the pivot.
        let distance = seconds - i128::from(pivot.seconds());
        prop_assert!((-(1_i128 << 31)..=1 << 31).contains(&distance), "{}", distance);
    }

    #[test]
    fn differences_wrap(a: u64, b: u64) {
        let difference = NtpTimestamp::from_bits(a) - NtpTimestamp::from_bits(b);
        let exact = (i128::from(a) - i128::from(b)).rem_euclid(1 << 64);
        let exact = if exact >= 1 << 63 { exact - (1 << 64) } else { exact };
        prop_assert_eq!(i128::from(difference.to_bits()), exact);
        prop_assert_eq!(NtpTimestamp::from_bits(b) + difference, NtpTimestamp::from_bits(a));
        prop_assert_eq!(NtpTimestamp::from_bits(a) - difference, NtpTimestamp::from_bits(b));
        prop_assert_eq!(NtpTimestamp::from_bits(a).is_after(NtpTimestamp::from_bits(b)), exact > 0);
    }

    #[test]
    fn a_timestamp_keeps_its_octets(bits: u64) {
        let timestamp = NtpTimestamp::from_bits(bits);
        prop_assert_eq!(NtpTimestamp::from_bytes(timestamp.to_bytes()), timestamp);
        prop_assert_eq!(NtpTimestamp::new(timestamp.seconds(), timestamp.fraction()), timestamp);
        prop_assert_eq!(timestamp.is_unset(), bits == 0);
    }

    #[test]
    fn offset_and_delay_are_exact(t1: u64, t2 in any_i64(), hold in any_i64(), t4 in any_i64()) {
        let at = |first: u64, later: i64| NtpTimestamp::from_bits(first.wrapping_add(later as u64));
        let exchange = RoundTrip {
            t1: NtpTimestamp::from_bits(t1),
            t2: at(t1, t2),
            t3: at(at(t1, t2).to_bits(), hold),
            t4: at(t1, t4),
        };
        let signed = |a: NtpTimestamp, b: NtpTimestamp| i128::from(a.to_bits().wrapping_sub(b.to_bits()) as i64);
        let RoundTrip { t1, t2, t3, t4 } = exchange;
        prop_assert_eq!(i128::from(exchange.offset().to_bits()), (signed(t2, t1) + signed(t3, t4)) / 2);
        prop_assert_eq!(exchange.delay().to_bits(), saturate(signed(t4, t1) - signed(t3, t2)));
        // An era later, nothing changes.
        let later = |t: NtpTimestamp| t + NtpDuration::from_seconds(i32::MAX) + NtpDuration::SECOND;
        let shifted = RoundTrip { t1: later(t1), t2: later(t2), t3: later(t3), t4: later(t4) };
        prop_assert_eq!(shifted.offset(), exchange.offset());
        prop_assert_eq!(shifted.delay(), exchange.delay());
    }

    #[test]
    fn durations_of_nanoseconds(nanos in any_i64()) {
        let duration = NtpDuration::from_nanos(nanos);
        prop_assert_eq!(duration.to_bits(), saturate(nearest(i128::from(nanos) << 32, GIGA)));
        if nanos.unsigned_abs() < 2_147_483_648_000_000_000 {
            prop_assert_eq!(duration.to_nanos(), nanos);
        }
    }

    #[test]
    fn nanoseconds_of_durations(bits in any_i64()) {
        let duration = NtpDuration::from_bits(bits);
        let exact = (i128::from(bits) * GIGA * 2 + SECOND).div_euclid(2 * SECOND);
        prop_assert_eq!(i128::from(duration.to_nanos()), exact);
        prop_assert_eq!(duration.to_std().is_ok(), duration.to_nanos() >= 0);
        prop_assert_eq!(i128::from(u64::try_from(duration.unsigned_abs().as_nanos()).unwrap()), exact.abs());
        prop_assert_eq!(duration.half().to_bits(), bits / 2);
    }

    /// Read as a fraction of 10¹⁰, what is shown names the duration and no other.
    #[test]
    fn debug_tells_any_two_durations_apart(bits in any_i64()) {
        let text = format!("{:?}", NtpDuration::from_bits(bits));
        let digits = text.strip_prefix("NtpDuration(").and_then(|text| text.strip_suffix(" s)")).unwrap();
        let decimals: i128 = digits.replace('.', "").parse().unwrap();
        prop_assert_eq!(nearest(decimals << 32, 10_000_000_000), i128::from(bits));
    }

    #[test]
    fn duration_arithmetic_saturates(a in any_i64(), b in any_i64()) {
        let (x, y) = (NtpDuration::from_bits(a), NtpDuration::from_bits(b));
        prop_assert_eq!((x + y).to_bits(), saturate(i128::from(a) + i128::from(b)));
        prop_assert_eq!((x - y).to_bits(), saturate(i128::from(a) - i128::from(b)));
        prop_assert_eq!((-x).to_bits(), saturate(-i128::from(a)));
        prop_assert_eq!(x.abs().to_bits(), saturate(i128::from(a).abs()));
    }

    #[test]
    fn durations_of_floats(bits in -(1_i64 << 52)..1 << 52) {
        let duration = NtpDuration::from_bits(bits);
        prop_assert_eq!(NtpDuration::from_seconds_f64(duration.to_seconds_f64()), duration);
    }

    #[test]
    fn durations_of_std(seconds: u64, nanos in 0_u32..1_000_000_000) {
        let exact = nearest((i128::from(seconds) * GIGA + i128::from(nanos)) << 32, GIGA);
        prop_assert_eq!(NtpDuration::from_std(Duration::new(seconds, nanos)).to_bits(), saturate(exact));
    }

    #[test]
    fn shorts_never_shrink_a_bound(bits in any_i64(), short: u32) {
        let rounded = NtpShort::from_duration(NtpDuration::from_bits(bits));
        let exact = (i128::from(bits.max(0)) + 0xffff) >> 16;
        prop_assert_eq!(i128::from(rounded.to_bits()), exact.min(i128::from(u32::MAX)));
        let short = NtpShort::from_bits(short);
        prop_assert_eq!(NtpShort::from_duration(short.to_duration()), short);
        prop_assert_eq!(NtpShort::from_bytes(short.to_bytes()), short);
    }

    #[test]
    fn poll_intervals(exponent: i8, min: i8, max: i8) {
        let poll = Poll::from_log2(exponent);
        let interval = i128::try_from(poll.interval().as_nanos()).unwrap();
        let exact = match exponent.clamp(-29, 62) {
            up @ 0.. => GIGA << up,
            down => nearest(GIGA, 1 << -i32::from(down)),
        };
        prop_assert_eq!(interval, exact);
        prop_assert!(poll.longer() >= poll && poll.shorter() <= poll);
        let clamped = poll.clamp(Poll::from_log2(min), Poll::from_log2(max)).log2();
        prop_assert_eq!(clamped, exponent.max(min).min(max));
    }

    #[test]
    fn precision_is_never_finer_than_the_clock(step in prop_oneof![1_i64..1 << 62, (0_u32..62).prop_map(|shift| 1 << shift)]) {
        let precision = Precision::of_resolution(NtpDuration::from_bits(step));
        let claimed = precision.to_duration().to_bits();
        prop_assert!(claimed >= step && claimed / 2 < step, "{} {}", claimed, step);
    }

    #[test]
    fn kernel_frequencies_come_back(scaled in -500_000_000_000_i64..500_000_000_000) {
        let frequency = Frequency::from_scaled_ppm(scaled);
        prop_assert_eq!(i128::from(frequency.to_bits()), nearest(i128::from(scaled) << 44, 1_000_000));
        prop_assert_eq!(frequency.to_scaled_ppm(), scaled);
    }

    #[test]
    fn frequencies_of_floats(ppm in -1e6_f64..1e6) {
        let frequency = Frequency::from_ppm_f64(ppm);
        prop_assert!((frequency.to_ppm_f64() - ppm).abs() <= 1e-9 + ppm.abs() * 1e-15);
        prop_assert_eq!(Frequency::from_ratio(frequency.to_ratio()).to_ratio(), frequency.to_ratio());
    }

    #[test]
    fn time_gained_is_exact(bits in any_i64(), nanos: u64, ppm: i32) {
        for frequency in [Frequency::from_bits(bits), Frequency::from_ppm(ppm)] {
            let product = i128::from(nanos.min(1 << 63)) * i128::from(frequency.to_bits());
            let exact = saturate(nearest(product, GIGA << 28));
            prop_assert_eq!(frequency.over(Duration::from_nanos(nanos)).to_bits(), exact);
        }
    }

    #[test]
    fn frequency_arithmetic_saturates(a in any_i64(), b in any_i64(), limit in any_i64()) {
        let (x, y) = (Frequency::from_bits(a), Frequency::from_bits(b));
        prop_assert_eq!((x + y).to_bits(), saturate(i128::from(a) + i128::from(b)));
        prop_assert_eq!((x - y).to_bits(), saturate(i128::from(a) - i128::from(b)));
        prop_assert_eq!((-x).to_bits(), saturate(-i128::from(a)));
        let bound = i128::from(saturate(i128::from(limit).abs()));
        prop_assert_eq!(i128::from(x.clamp_abs(Frequency::from_bits(limit)).to_bits()), i128::from(a).clamp(-bound, bound));
    }

    #[test]
    fn instants_saturate(a: u64, b: u64) {
        let (x, y) = (Instant::from_nanos(a), Instant::from_nanos(b));
        prop_assert_eq!(x.since(y), Duration::from_nanos(a.saturating_sub(b)));
        prop_assert_eq!((x + Duration::from_nanos(b)).as_nanos(), a.saturating_add(b));
        prop_assert_eq!(x.saturating_sub(Duration::from_nanos(b)).as_nanos(), a.saturating_sub(b));
    }

    #[test]
    fn a_slew_adds_its_offset_once(ppm in -500_i32..500, rate in -1000_i32..1000, slew in 1_u64..1000, wait in 0_u64..2000) {
        let at = Instant::from_nanos(5_000_000_000);
        let (frequency, slew_rate) = (Frequency::from_ppm(ppm), Frequency::from_ppm(rate));
        let slew_end = at + Duration::from_secs(slew);
        let applied = Applied { at, stepped: NtpDuration::SECOND, frequency, slew_rate, slew_end };
        let gained = applied.accumulated(at + Duration::from_secs(wait)).to_seconds_f64();
        let expected = 1.0 + f64::from(ppm) * 1e-6 * wait as f64 + f64::from(rate) * 1e-6 * wait.min(slew) as f64;
        prop_assert!((gained - expected).abs() < 1e-8, "{} {}", gained, expected);
    }

    #[test]
    fn civil_time_comes_back(seconds in -67_768_100_567_971_200_i64..=67_767_976_233_532_799) {
        let time = UnixTime::from_seconds(seconds);
        let civil = time.to_civil().unwrap();
        prop_assert_eq!(civil.to_unix(), Ok(time));
        prop_assert!((1..=12).contains(&civil.month) && (1..=31).contains(&civil.day));
    }

    #[test]
    fn times_print_and_parse(time in time()) {
        prop_assert_eq!(time.to_string().parse::<UnixTime>().unwrap(), time);
        prop_assert_eq!(UnixTime::from_nanos(time.to_nanos()), Some(time));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = text.parse::<UnixTime>();
        let _ = text.parse::<ntp_types::ReferenceId>();
        let _ = text.parse::<ntp_types::KissCode>();
    }
}

/// The first and the last second of the years that 32 bits hold, and those just beyond.
#[test]
fn years_end_with_their_32_bits() {
    let ends = [(-67_768_100_567_971_200, i32::MIN, -1), (67_767_976_233_532_799, i32::MAX, 1)];
    for (seconds, year, beyond) in ends {
        let time = UnixTime::from_seconds(seconds);
        assert_eq!(time.to_civil().unwrap().year, year);
        assert_eq!(time.to_civil().unwrap().to_unix(), Ok(time));
        assert_eq!(UnixTime::from_seconds(seconds + beyond).to_civil(), None);
    }
    assert_eq!(UnixTime::from_seconds(i64::MIN).to_civil(), None);
    assert_eq!(UnixTime::from_seconds(i64::MAX).to_civil(), None);
}

/// Every day from 1970 to 2199 by plain counting of months.
#[test]
fn every_day_of_the_rtc_range() {
    let mut days = 0;
    for year in 1970..2200 {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, &length) in (1_u8..).zip(&lengths) {
            for day in 1..=length {
                let civil = CivilTime { year, month, day, hour: 23, minute: 59, second: 59 };
                let time = UnixTime::from_seconds(days * 86_400 + 86_399);
                assert_eq!(civil.to_unix(), Ok(time), "{civil}");
                assert_eq!(time.to_civil(), Some(civil));
                days += 1;
            }
            let beyond = CivilTime { year, month, day: length + 1, hour: 0, minute: 0, second: 0 };
            assert!(beyond.to_unix().is_err(), "{beyond}");
        }
    }
}
