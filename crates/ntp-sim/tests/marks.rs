//! The accepted table against the marks it is to meet, scenario by scenario; what misses one is named, with how far it may.
//!
//! `bounds.md` says why they miss it.

use ntp_sim::table::Polling::{Fixed, Free};
use ntp_sim::table::{entries, line, Polling, Row};

const TABLE: &str = include_str!("../table.txt");

/// How far our figure is above chrony's; nothing where chrony has no end.
fn more(row: &Row<'_>, column: &str) -> Option<f64> {
    let (ours, chrony) = (row.ours(column)?, row.chrony(column)?);
    chrony.is_finite().then_some(ours - chrony)
}

/// Where `of` is above `mark`, it has to be in `missed`, and no further than that says; and nothing is there without need.
/// At least so many rows have such a figure.
#[track_caller]
fn holds(of: impl Fn(&Row<'_>) -> Option<f64>, least: usize, mark: f64, missed: &[(&str, Polling, f64)]) {
    let mut held = 0;
    for row in TABLE.lines().filter_map(Row::parse) {
        let (Some(value), Some(polling)) = (of(&row), row.polling()) else { continue };
        held += 1;
        let allowed = missed.iter().find(|&&(name, how, _)| (name, how) == (row.name(), polling));
        match allowed {
            Some(&(_, _, limit)) => {
                assert!(value <= limit, "{} {polling}: {value} above {limit}", row.name());
                assert!(value > mark, "{} {polling}: {value} meets the mark now", row.name());
            }
            None => assert!(value <= mark, "{} {polling}: {value} above {mark}", row.name()),
        }
    }
    assert!(held >= least, "{held} rows have such a figure");
}

/// Geometric means over a class: RMS and frequency, poll fixed and free.
#[test]
fn classes_meet_their_marks() {
    let marks = [
        ("one source ", Fixed, 0.40, 0.6),
        ("one source ", Free, 0.50, 0.9),
        ("several sources ", Fixed, 0.5, 0.6),
        ("several sources ", Free, 0.35, 0.9),
        ("one source, further", Fixed, 0.40, 0.6),
        ("one source, further", Free, 0.50, 0.9),
        ("several sources, further", Fixed, 0.15, 0.6),
        ("several sources, further", Free, 0.22, 0.9),
    ];
    for (class, polling, rms, frequency) in marks {
        let summary =
            TABLE.lines().find(|line| line.starts_with(class) && line.contains(&format!("poll {polling:4} ")));
        let figure = |after: &str| -> Option<f64> {
            let (_, rest) = summary?.split_once(after)?;
            rest.split([' ', ',']).next()?.parse().ok()
        };
        let (of_rms, of_frequency) = (figure(": rms ").unwrap(), figure("frequency ").unwrap());
        assert!(of_rms <= rms && of_frequency <= frequency, "{class}, {polling}: {of_rms}, {of_frequency}");
    }
}

/// In `collude2of3` a wrong majority is believed; who does not errs more in its mirror, `echo1of3`, where it is right.
#[test]
fn nowhere_is_chrony_better() {
    holds(|row| row.chrony("ratio"), 80, 1.0, &[("collude2of3", Fixed, 1.55), ("collude2of3", Free, 1.65)]);
}

/// A world and its mirror, which no client can tell apart (`mirrors.rs`), count for one.
#[test]
fn over_both_mirrors_chrony_is_not_better() {
    let rows = || TABLE.lines().filter_map(Row::parse);
    let ratio = |name, polling| {
        let mut of = rows().filter(|row| (row.name(), row.polling()) == (name, Some(polling)));
        of.next().unwrap().chrony("ratio").unwrap()
    };
    for polling in [Fixed, Free] {
        let both = ratio("collude2of3", polling) * ratio("echo1of3", polling);
        assert!(both < 0.5, "{polling}: {both}");
    }
}

#[test]
fn no_seed_is_above_one_and_a_half() {
    let missed = [("collude2of3", Fixed, 1.55), ("collude2of3", Free, 1.65), ("off10s", Free, 2.75)];
    holds(|row| row.chrony("worst"), 80, 1.5, &missed);
}

#[test]
fn the_best_known_is_near() {
    let missed = [("bursty", Free, 1.50), ("freq100ppm", Free, 1.39)];
    holds(|row| row.chrony("known"), 10, 1.3, &missed);
}

/// In `nomaj2` nobody can know which of two servers is wrong (`mirrors.rs`); chrony's clock, which runs, comes by.
#[test]
fn a_millisecond_is_reached_no_later_than_by_chrony() {
    let missed = [("nomaj2", Fixed, f64::INFINITY), ("nomaj2", Free, f64::INFINITY)];
    holds(|row| more(row, "1ms"), 70, 0.0, &missed);
}

/// In `correlated` nine seeds say little (see below).
#[test]
fn a_tenth_of_a_millisecond_is_reached_no_later_than_by_chrony() {
    holds(|row| more(row, "0.1ms"), 50, 0.0, &[("correlated", Free, 2200.0)]);
}

/// Where queues fill and drain over 300 s it is chance when the error stays below 0.1 ms for a minute, and nine seeds say little of
/// the median. chrony's is that of 200, and so is this.
#[test]
fn behind_correlated_queues_a_tenth_of_a_millisecond_is_reached_no_later_by_many_seeds() {
    let mut entries = entries();
    let entry =
        entries.iter_mut().find(|entry| (entry.scenario.name.as_str(), entry.polling) == ("correlated", Free)).unwrap();
    // The start is enough.
    entry.scenario = entry.scenario.clone().watch(2_000, 4_000);
    let line = line(entry, 200, || ()).to_string();
    let row = Row::parse(&line).unwrap();
    assert!(more(&row, "0.1ms").unwrap() <= 0.0, "{line}");
}

#[test]
fn no_more_packets_than_chrony() {
    holds(|row| more(row, "packets"), 80, 0.0, &[]);
}
