//! Calendar dates of the chip, and the local time it may keep.

use super::*;

#[test]
fn every_day_from_1970_to_2199_converts_both_ways() {
    // The naive calendar: counting days, month by month.
    let lengths = |year: i64| {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    };
    let mut days = 0_i64;
    for year in 1970..=2199 {
        let mut day_of_year = 0;
        for (month, length) in (0..).zip(lengths(year)) {
            for day in 1..=length {
                for second in [0_i64, 86_399] {
                    let time = UnixTime::from_seconds(days * 86_400 + second);
                    let fields = RtcTime::from_unix(time).unwrap();
                    let expected = RtcTime {
                        second: i32::try_from(second % 60).unwrap(),
                        minute: i32::try_from(second / 60 % 60).unwrap(),
                        hour: i32::try_from(second / 3600).unwrap(),
                        day,
                        month,
                        year: i32::try_from(year - 1900).unwrap(),
                        weekday: i32::try_from((days + 4) % 7).unwrap(),
                        day_of_year,
                    };
                    assert_eq!(fields, expected);
                    assert_eq!(fields.to_unix().unwrap(), time);
                }
                days += 1;
                day_of_year += 1;
            }
        }
    }
    assert_eq!(days, 84_006);
}

#[test]
fn dates_that_are_none_are_refused() {
    let good = RtcTime::from_unix(UnixTime::from_seconds(951_782_400)).unwrap(); // 2000-02-29
    assert_eq!((good.month, good.day), (1, 29));
    for (bad, message) in [
        (RtcTime { year: 101, ..good }, "the hardware clock's day 29 is not between 1 and 28"),
        (RtcTime { month: 12, ..good }, "the hardware clock's month 13 is not between 1 and 12"),
        (RtcTime { month: -1, ..good }, "the hardware clock's month 0 is not between 1 and 12"),
        (RtcTime { hour: 24, ..good }, "the hardware clock's hour 24 is not between 0 and 23"),
        (RtcTime { second: 165, ..good }, "the hardware clock's second 165 is not between 0 and 59"),
        (RtcTime { second: -1, ..good }, "the hardware clock's second -1 is not between 0 and 59"),
        (RtcTime { year: 69, ..good }, "the year 1969 is not one a hardware clock holds, 1970 to 2199"),
        (RtcTime { year: i32::MAX, ..good }, "the year 2147485547 is not one a hardware clock holds, 1970 to 2199"),
    ] {
        assert_eq!(bad.to_unix().unwrap_err().to_string(), message);
    }
    assert!(RtcTime::from_unix(UnixTime::from_seconds(-1)).is_err());
    assert!(RtcTime::from_unix(UnixTime::from_seconds(i64::MAX)).is_err());
}

proptest! {
    /// Local time and back, with a zone that changes by an hour or two somewhere.
    #[test]
    fn local_time_goes_there_and_back(time in 0_i64..7_000_000_000, change in 0_i64..7_000_000_000, base in -12_i32..12, jump in -2_i32..=2) {
        let offset_at = |at: UnixTime| -> Result<i32, ()> {
            Ok((base + if at.seconds() >= change { jump } else { 0 }) * 3600)
        };
        let time = UnixTime::new(time, 5).unwrap();
        let local = utc_to_local(time, offset_at).unwrap();
        let back = local_to_utc(local, offset_at).unwrap();
        // Right, or the other of two moments with the same local time.
        prop_assert_eq!(utc_to_local(back, offset_at).unwrap(), local);
        prop_assert!(back <= time);
    }
}
