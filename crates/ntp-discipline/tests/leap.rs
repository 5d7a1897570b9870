//! Leap seconds: the published table, arming once, the minutes around.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test stops where it is wrong

use std::path::Path;

use ntp_discipline::leap::{month_end, seconds_in_minute, vote, LeapAction, LeapArm, LeapList};
use ntp_types::LeapIndicator::{self, DeleteSecond, InsertSecond, NoWarning, Unsynchronized};
use ntp_types::UnixTime;
use proptest::prelude::*;

const PUBLISHED: &str = include_str!("data/leap-seconds.list");

fn at(text: &str) -> UnixTime {
    text.parse().unwrap()
}

#[test]
fn the_published_table() {
    let list = LeapList::parse(PUBLISHED).unwrap();
    assert_eq!(list.entries().len(), 28);
    assert_eq!((list.entries()[0].from, list.entries()[0].tai_offset), (at("1972-01-01T00:00:00Z"), 10));
    let last = list.entries()[27];
    assert_eq!((last.from, last.tai_offset), (at("2017-01-01T00:00:00Z"), 37));
    assert_eq!(list.tai_offset(at("1971-12-31T23:59:59Z")), None);
    assert_eq!(list.tai_offset(at("2016-12-31T23:59:59Z")), Some(36));
    assert_eq!(list.tai_offset(at("2017-01-01T00:00:00Z")), Some(37));
    for (month, warning) in [
        ("2016-12-31T23:59:59Z", InsertSecond),
        ("2015-06-01T00:00:00Z", InsertSecond),
        ("2016-11-30T23:59:59Z", NoWarning),
    ] {
        assert_eq!(list.warning(at(month)), Some(warning));
    }
    // Past its expiry the table says nothing about what comes.
    assert!(list.is_expired(at("2099-01-01T00:00:00Z")));
    assert_eq!(list.warning(at("2099-01-01T00:00:00Z")), None);
}

#[test]
fn this_machines_table() {
    let path = Path::new("/usr/share/zoneinfo/leap-seconds.list");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: no {}", path.display());
        return;
    };
    let list = LeapList::parse(&text).unwrap();
    assert!(list.entries().len() >= 28 && list.hash().is_some());
    #[cfg(feature = "sha1")]
    assert_eq!(LeapList::parse_verified(&text), Ok(list));
}

#[cfg(feature = "sha1")]
#[test]
fn a_changed_number_does_not_match_its_hash() {
    use ntp_discipline::leap::LeapListError;

    assert!(LeapList::parse_verified(PUBLISHED).is_ok());
    for (from, to) in [("3692217600      37", "3692217600      35"), ("3550089600", "3550089601")] {
        assert!(PUBLISHED.contains(from));
        let changed = PUBLISHED.replace(from, to);
        assert!(LeapList::parse(&changed).is_ok());
        assert_eq!(LeapList::parse_verified(&changed), Err(LeapListError::Hash));
    }
    let without: String =
        PUBLISHED.lines().filter(|line| !line.starts_with("#h")).map(|line| format!("{line}\n")).collect();
    assert_eq!(LeapList::parse_verified(&without), Err(LeapListError::Hash));
}

#[test]
fn errors_name_their_line() {
    let parse = |text: &str| LeapList::parse(text).unwrap_err().to_string();
    assert_eq!(parse(""), "no leap seconds");
    assert_eq!(parse("2272060800 10\n"), "no expiry (#@)");
    assert_eq!(parse("# x\n2272060800\n"), "line 2: expected an offset in seconds");
    assert_eq!(parse("#@ soon\n"), "line 1: expected a time in seconds since 1900");
    assert_eq!(parse("#h 1 2 3 4\n"), "line 1: expected five hexadecimal words");
    let order = "line 2: entry is not later than the one before, or its offset not one second away";
    assert_eq!(parse("2272060800 10\n2272060800 11\n"), order);
    assert_eq!(parse("2272060800 10\n2287785600 13\n"), order);
    let many: String = (0..70).map(|n| format!("{} {n}\n", 2_272_060_800_i64 + n * 86_400)).collect();
    assert_eq!(parse(&many), "line 65: more than 64 entries");
}

/// Every TAI second of the published table is one UTC second, in order, and inserted seconds are labelled.
#[test]
fn tai_to_utc_around_every_leap_second() {
    let list = LeapList::parse(PUBLISHED).unwrap();
    for pair in list.entries().windows(2) {
        let (before, leap) = (pair[0], pair[1]);
        let end = leap.from.seconds();
        let tai_of_end = end + i64::from(leap.tai_offset);
        let expected = [(end - 2, false), (end - 1, false), (end - 1, true), (end, false), (end + 1, false)];
        for (place, expected) in expected.into_iter().enumerate() {
            let tai = tai_of_end - 3 + i64::try_from(place).unwrap();
            assert_eq!(list.utc_of(tai), Some(expected), "{before:?}");
        }
    }
}

#[test]
fn a_deleted_second_has_no_label() {
    let list = LeapList::parse("#@ 4000000000\n3692217600 37\n3707856000 36\n").unwrap(); // invented: 2017-07-01
    assert_eq!(list.warning(at("2017-06-15T00:00:00Z")), Some(DeleteSecond));
    let end = at("2017-07-01T00:00:00Z").seconds();
    assert_eq!(list.utc_of(end - 2 + 37), Some((end - 2, false)));
    assert_eq!(list.utc_of(end - 1 + 37), Some((end, false)));
}

#[test]
fn minutes_of_61_and_59_seconds() {
    let end = at("2017-01-01T00:00:00Z");
    let last = at("2016-12-31T23:59:00Z");
    assert_eq!(seconds_in_minute(last, InsertSecond, end), 61);
    assert_eq!(seconds_in_minute(last, DeleteSecond, end), 59);
    assert_eq!(seconds_in_minute(last, NoWarning, end), 60);
    assert_eq!(seconds_in_minute(at("2016-12-31T23:58:00Z"), InsertSecond, end), 60);
    assert_eq!(seconds_in_minute(end, InsertSecond, end), 60);
}

#[test]
fn a_warning_taken_back_disarms_and_a_lingering_one_does_not_arm_again() {
    let mut arm = LeapArm::new();
    let end = at("2017-01-01T00:00:00Z");
    let day = at("2016-12-31T00:00:00Z");
    assert_eq!(arm.handle_warning(InsertSecond, day), Some(LeapAction::Arm { leap: InsertSecond, end }));
    assert_eq!(arm.handle_warning(Unsynchronized, day), Some(LeapAction::Disarm));
    assert_eq!(arm.handle_warning(DeleteSecond, day), Some(LeapAction::Arm { leap: DeleteSecond, end }));
    assert_eq!(arm.handle_warning(InsertSecond, day), Some(LeapAction::Arm { leap: InsertSecond, end }));
    assert_eq!(arm.handle_warning(NoWarning, end), Some(LeapAction::Passed { leap: InsertSecond }));
    for hours in 0..24 * 29 {
        let later = UnixTime::from_seconds(end.seconds() + hours * 3_600);
        assert_eq!(arm.handle_warning(InsertSecond, later), None);
    }
}

proptest! {
    #[test]
    fn a_vote_needs_more_than_half(votes in prop::collection::vec(0_u8..4, 0..12)) {
        let leaps: Vec<LeapIndicator> = votes.iter().map(|&bits| LeapIndicator::from_bits(bits)).collect();
        let count = |leap| leaps.iter().filter(|&&one| one == leap).count();
        let won = vote(leaps.iter().copied());
        prop_assert!(won != Unsynchronized);
        for leap in [InsertSecond, DeleteSecond] {
            prop_assert_eq!(won == leap, 2 * count(leap) > leaps.len());
        }
    }

    #[test]
    fn the_month_ends_after_now_and_within_31_days(seconds in -60_000_000_000_i64..60_000_000_000) {
        let now = UnixTime::from_seconds(seconds);
        let end = month_end(now).unwrap();
        prop_assert!(end > now && end.seconds() - seconds <= 31 * 86_400);
        let civil = end.to_civil().unwrap();
        prop_assert_eq!((civil.day, civil.hour, civil.minute, civil.second), (1, 0, 0, 0));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[#$@h 0-9a-f\n\t-]{0,200}") {
        let _ = LeapList::parse(&text);
    }

    /// At most one arming is in force, none outlives its month, and each is ended by exactly one action.
    #[test]
    fn arming_alternates(events in prop::collection::vec((0_u8..4, 0_i64..200_000), 1..200)) {
        let mut arm = LeapArm::new();
        let mut now = at("2016-12-20T00:00:00Z").seconds();
        for (bits, gap) in events {
            now += gap;
            let time = UnixTime::from_seconds(now);
            let before = arm.armed();
            match arm.handle_warning(LeapIndicator::from_bits(bits), time) {
                Some(LeapAction::Arm { leap, end }) => {
                    prop_assert_eq!(arm.armed(), Some((leap, end)));
                    prop_assert!(end.seconds() - now <= 86_400 && end > time);
                }
                Some(LeapAction::Passed { leap }) => {
                    prop_assert!(before.is_some_and(|(armed, end)| armed == leap && end <= time));
                    prop_assert_eq!(arm.armed(), None);
                }
                Some(LeapAction::Disarm) => prop_assert!(before.is_some() && arm.armed().is_none()),
                None => prop_assert_eq!(before, arm.armed()),
            }
        }
    }
}
