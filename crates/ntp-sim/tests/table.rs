//! The scored table as a snapshot: a few short scenarios here, the whole of it by `.ci/table`.
//!
//! `table.txt` holds what `ntp-sim` printed; the figures are the same to the last bit on every machine, in debug and in
//! release, so that a line here is a line there.

use ntp_sim::table::{entries, line, summaries, Line, Polling, SEEDS};

/// What the whole table said when it was last accepted.
const TABLE: &str = include_str!("../table.txt");

/// Short enough for a debug build: all nine seeds of the two of 20 000 s.
#[test]
fn lines_are_as_accepted() {
    for entry in entries() {
        let name = entry.scenario.name.as_str();
        if name == "off10s" && entry.polling == Polling::Free || name == "freq100ppm" {
            let found = line(&entry, SEEDS, || ()).to_string();
            assert!(TABLE.lines().any(|accepted| accepted == found.trim_end()), "not in table.txt:\n{found}");
        }
    }
}

#[test]
fn every_scenario_is_in_the_table() {
    for entry in entries() {
        let head = format!("{:13} {:4} ", entry.scenario.name, entry.polling);
        assert!(TABLE.lines().any(|accepted| accepted.starts_with(&head)), "not in table.txt: {head}");
    }
    assert_eq!(TABLE.lines().count(), 1 + entries().len() + summaries_of(TABLE).len());
}

/// Over the whole table, at most one second in a hundred thousand in which the true error lay outside the claimed bound.
#[test]
fn the_error_bound_holds_over_the_whole_table() {
    let entries = entries();
    let seconds: u64 = entries.iter().map(|entry| SEEDS * u64::from(entry.scenario.duration)).sum();
    let lines = TABLE.lines().skip(1).take(entries.len());
    let violations = lines.map(|line| {
        let (ours, _) = line.split_once('|').unwrap();
        ours.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    });
    let violations: u64 = violations.sum();
    assert!(violations * 100_000 <= seconds, "{violations} of {seconds} seconds");
}

fn summaries_of(table: &str) -> Vec<&str> {
    table.lines().filter(|line| line.contains("scenarios: rms")).collect()
}

/// A line's summary is what it says: two lines of known ratio.
#[test]
fn geometric_means() {
    let entry = entries().into_iter().find(|entry| entry.scenario.name == "wan1ms").unwrap();
    let run = |rms| ntp_sim::metrics::Metrics { rms, ..ntp_sim::metrics::Metrics::of(&[], 0) };
    let lines = [Line::of(&entry, &[run(1.127e-4)]), Line::of(&entry, &[run(1.127e-4 / 4.0)])];
    let summary = &summaries(&lines)[0];
    assert!((summary.rms - 0.5).abs() < 1e-3 && (summary.largest - 1.0).abs() < 1e-3, "{summary}");
}
