//! The table line by line, and the suggestion against a search over every offset.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use proptest::prelude::*;
use rackspace_ntp::{Region, UtcOffset, RACKSPACE};

/// The guide's table, as text.
const GUIDE: &str = "\
| DFW | time.dfw1.rackspace.com | CST (UTC-06:00) |
| DFW | time2.dfw1.rackspace.com | CST (UTC-06:00) |
| ORD | time.ord1.rackspace.com | CST (UTC-06:00) |
| ORD | time2.ord1.rackspace.com | CST (UTC-06:00) |
| IAD | time.iad1.rackspace.com | CST (UTC-06:00) |
| IAD | time2.iad1.rackspace.com | CST (UTC-06:00) |
| LON | time.lon1.rackspace.com | GMT (UTC+00:00) |
| LON | time2.lon1.rackspace.com | GMT (UTC+00:00) |
| HKG | time.hkg1.rackspace.com | HKT (UTC+08:00) |
| HKG | time2.hkg1.rackspace.com | HKT (UTC+08:00) |
| SYD | time.syd1.rackspace.com | AET (UTC+10:00) |
| SYD | time2.syd1.rackspace.com | AET (UTC+10:00) |
";

#[test]
fn table_is_the_guides() {
    let ours: String = RACKSPACE
        .servers
        .iter()
        .map(|server| format!("| {} | {} | {} |\n", server.region, server.host, server.timezone))
        .collect();
    assert_eq!(ours, GUIDE);
}

#[test]
fn regions_are_the_tables() {
    let by_type: String = Region::ALL
        .iter()
        .flat_map(|&region| region.hosts().map(|host| format!("| {region} | {host} | {} |\n", region.timezone())))
        .collect();
    assert_eq!(by_type, GUIDE);
    assert!(RACKSPACE.regions().eq(Region::ALL.iter().map(|region| region.code())));
    for region in Region::ALL {
        assert!(RACKSPACE.hosts(&region.code().to_lowercase()).eq(region.hosts()));
    }
    assert_eq!(RACKSPACE.hosts("XXX").count(), 0);
}

#[test]
fn regions_are_named_in_any_case() {
    for text in ["DFW", "dfw", "Dfw", "dFW"] {
        assert_eq!(text.parse(), Ok(Region::Dfw));
    }
    for text in ["", "DF", "DFW1", " DFW", "dfw ", "DEF"] {
        let error = text.parse::<Region>().unwrap_err();
        assert_eq!(error.to_string(), "not a Rackspace region: they are DFW ORD IAD LON HKG SYD");
    }
    assert_eq!(format!("{:>5}", Region::Lon), "  LON");
}

#[test]
fn suggestions() {
    let suggest = |hours: f32| {
        #[allow(clippy::cast_possible_truncation)] // small
        let offset = UtcOffset::from_minutes((hours * 60.0) as i16).unwrap();
        Region::suggest(offset).map(Region::code).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(suggest(-6.0), "DFW ORD IAD");
    assert_eq!(suggest(-5.0), "DFW ORD IAD"); // Central daylight time, or Virginia's winter
    assert_eq!(suggest(-4.0), "DFW ORD IAD");
    assert_eq!(suggest(0.0), "LON");
    assert_eq!(suggest(1.0), "LON");
    assert_eq!(suggest(5.5), "HKG");
    assert_eq!(suggest(8.0), "HKG");
    assert_eq!(suggest(10.0), "SYD");
    assert_eq!(suggest(11.0), "SYD");
    assert_eq!(suggest(14.0), "SYD");
    assert_eq!(suggest(-10.0), "SYD"); // Hawaii: across the date line, Sydney's summer is three hours away
}

proptest! {
    /// Whatever the offset: something is suggested, and nothing else lies nearer.
    #[test]
    fn suggestion_is_the_nearest(minutes in -840_i16..=840) {
        let machine = UtcOffset::from_minutes(minutes).unwrap();
        // Slow reference: walk away from the machine's time until a zone is met.
        let meets = |region: &Region, away: i32| {
            let zone = i32::from(region.timezone().offset.minutes());
            [zone, zone + 60].iter().any(|zone| {
                [away, -away].iter().any(|away| (i32::from(minutes) + away - zone).rem_euclid(1440) == 0)
            })
        };
        let away = (0..).find(|&away| Region::ALL.iter().any(|region| meets(region, away))).unwrap();
        let expected: Vec<_> = Region::ALL.iter().copied().filter(|region| meets(region, away)).collect();
        prop_assert_eq!(Region::suggest(machine).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn offsets_beyond_fourteen_hours_are_refused(minutes: i16) {
        prop_assert_eq!(UtcOffset::from_minutes(minutes).is_some(), (-840..=840).contains(&minutes));
    }
}
