//! The vectors of tests/data: RFC 5905 figure 4 and its neighbours, computed elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

use ntp_types::{KissCode, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, RoundTrip, UnixTime};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("data/vectors.json")).unwrap();
    all[name].clone()
}

fn rows(value: &Value) -> Vec<Value> {
    let rows = value.as_array().unwrap().clone();
    assert!(!rows.is_empty());
    rows
}

fn bits(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

#[test]
fn timestamps_of_named_dates() {
    for row in rows(&vectors("timestamps")) {
        let time: UnixTime = row["utc"].as_str().unwrap().parse().unwrap();
        assert_eq!(time.seconds(), row["unix"].as_i64().unwrap(), "{row}");
        let timestamp = NtpTimestamp::from_unix(time);
        assert_eq!(u64::from(timestamp.seconds()), row["ntp_field_u32"].as_u64().unwrap(), "{row}");
        assert!(!timestamp.is_unset(), "a date is never unset: {row}");
        assert_eq!(timestamp.to_unix(time), Some(time), "{row}");
    }
}

#[test]
fn dates_of_figure_4() {
    for row in rows(&vectors("dates")["rows"]) {
        let name = row["date"].as_str().unwrap();
        if name.contains("Julian") {
            continue; // our calendar is Gregorian throughout
        }
        let seconds = row["seconds_from_1900"].as_i64().unwrap() - 2_208_988_800;
        let time = UnixTime::from_seconds(seconds);
        let civil = time.to_civil().unwrap();
        let (date, _) = name.split_once(' ').unwrap_or((name, ""));
        let mut parts = date.rsplitn(3, '-');
        let mut next = || parts.next().unwrap().parse::<i64>().unwrap();
        let (day, month, year) = (next(), next(), next());
        assert_eq!((i64::from(civil.year), i64::from(civil.month), i64::from(civil.day)), (year, month, day), "{row}");
        let field = NtpTimestamp::from_unix(time).seconds();
        assert_eq!(u64::from(field), row["era_offset"].as_u64().unwrap(), "{row}");
        assert_eq!(civil.to_unix(), Ok(time), "{row}");
    }
}

#[test]
fn fractions_round_to_nearest_both_ways() {
    for row in rows(&vectors("fraction")["ns_to_frac"]) {
        let nanos = u32::try_from(row["ns"].as_u64().unwrap()).unwrap();
        let timestamp = NtpTimestamp::from_unix(UnixTime::new(1_800_000_000, nanos).unwrap());
        assert_eq!(u64::from(timestamp.fraction()), row["frac_round"].as_u64().unwrap(), "{row}");
    }
    for row in rows(&vectors("fraction")["frac_to_ns"]) {
        let fraction = u32::try_from(row["frac"].as_u64().unwrap()).unwrap();
        let pivot = UnixTime::from_seconds(1_800_000_000);
        let timestamp = NtpTimestamp::new(NtpTimestamp::from_unix(pivot).seconds(), fraction);
        let passed = timestamp.to_unix(pivot).unwrap().to_nanos() - pivot.to_nanos();
        assert_eq!(passed, i128::from(row["ns_round"].as_u64().unwrap()), "{row}");
    }
}

#[test]
fn short_format() {
    for row in rows(&vectors("short_format")["rows"]) {
        let short = NtpShort::from_bits(u32::try_from(bits(&row["hex"])).unwrap());
        let floor = (i128::from(short.to_duration().to_bits()) * 1_000_000_000) >> 32;
        assert_eq!(floor, i128::from(row["ns_floor"].as_u64().unwrap()), "{row}");
    }
}

#[test]
fn log2_fields() {
    for row in rows(&vectors("log2")) {
        let exponent = i8::try_from(row["i8"].as_i64().unwrap()).unwrap();
        assert_eq!(Poll::from_log2(exponent).log2().to_be_bytes()[0], row["byte"].as_u64().unwrap() as u8);
        if (-29..=62).contains(&exponent) {
            let seconds = Poll::from_log2(exponent).interval().as_secs_f64();
            let exact = 2_f64.powi(exponent.into());
            assert!((seconds / exact - 1.0).abs() < 0.08, "{row}: {seconds}"); // whole nanoseconds at the low end
        }
        if (-32..=30).contains(&exponent) {
            let seconds = Precision::from_log2(exponent).to_duration().to_seconds_f64();
            assert_eq!(seconds, 2_f64.powi(exponent.into()), "{row}");
        }
    }
}

#[test]
fn offset_and_delay() {
    for row in rows(&vectors("offset_delay")["cases"]) {
        let at = |name: &str| NtpTimestamp::from_bits(bits(&row[name]));
        let exchange = RoundTrip { t1: at("t1"), t2: at("t2"), t3: at("t3"), t4: at("t4") };
        let twice: i128 = row["offset_x2_units_2^-32"].to_string().parse().unwrap();
        assert_eq!(i128::from(exchange.offset().to_bits()), twice / 2, "{row}");
        assert_eq!(exchange.delay().to_bits(), row["delay_units_2^-32"].as_i64().unwrap(), "{row}");
    }
}

#[test]
fn every_kiss_code_of_iana_is_named() {
    let listed = vectors("kiss_codes");
    let listed = listed.as_object().unwrap();
    assert_eq!(KissCode::ALL.len(), listed.len());
    for (name, hex) in listed {
        let code: KissCode = name.parse().unwrap();
        assert!(!matches!(code, KissCode::Other(_)), "{name}");
        assert_eq!(ReferenceId::from(code).to_string(), hex.as_str().unwrap());
        assert_eq!(code.to_string(), *name);
    }
}
