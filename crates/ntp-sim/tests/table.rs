//! The scored table as a snapshot: a few short scenarios here, the whole of it by `.ci/table`.
//!
//! `table.txt` holds what `ntp-sim` printed; the figures are the same to the last bit on every machine, in debug and in
//! release, so that a line here is a line there.

use ntp_sim::metrics::Metrics;
use ntp_sim::table::{entries, line, summaries, Line, Polling, Row, HEAD, SEEDS};

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
    let violations: Vec<f64> = TABLE.lines().filter_map(Row::parse).filter_map(|row| row.ours("viol")).collect();
    assert_eq!(violations.len(), entries.len());
    let violations: f64 = violations.iter().sum();
    assert!(violations * 100_000.0 <= seconds as f64, "{violations} of {seconds} seconds");
}

fn summaries_of(table: &str) -> Vec<&str> {
    table.lines().filter(|line| line.contains("scenarios: rms")).collect()
}

/// What a line says stands below the names that the head has for it.
#[test]
fn a_row_has_its_lines_figures() {
    let entries = entries();
    let entry =
        entries.iter().find(|entry| entry.scenario.name == "outage4h" && entry.polling == Polling::Free).unwrap();
    let run = Metrics {
        rms: 1e-3,
        p95: 2e-3,
        max: 3e-3,
        rms_frequency: 4e-8,
        to_1ms: Some(5),
        to_100us: None,
        recovery: Some(6),
        packets: 7,
        packets_in_all: 8,
        violations: 9,
        ..Metrics::of(&[], 0)
    };
    let line = Line::of(entry, &[run]);
    let text = line.to_string();
    let row = Row::parse(&text).unwrap();
    assert_eq!((row.name(), row.polling()), ("outage4h", Some(Polling::Free)));
    let ours = ["rms", "worst", "p95", "max", "freq", "1ms", "0.1ms", "recover", "packets", "all", "viol"];
    let figures = [1e-3, 1e-3, 2e-3, 3e-3, 4e-8, 5.0, f64::INFINITY, 6.0, 7.0, 8.0, 9.0];
    assert_eq!(ours.map(|column| row.ours(column)), figures.map(Some));
    let chrony = entry.yardstick.figures().unwrap();
    let near = |column, expected: f64| (row.chrony(column).unwrap() / expected - 1.0).abs() < 0.01;
    assert!(near("rms", chrony.rms) && near("1ms", chrony.to_1ms.unwrap()) && near("0.1ms", chrony.to_100us.unwrap()));
    assert!(near("packets", line.chrony_packets().unwrap()) && near("ratio", line.ratios().unwrap().0));
    assert!(near("worst", line.ratios().unwrap().1) && near("freq", line.frequency_ratio().unwrap()));
    assert!(row.chrony("known").is_some() && row.ours("known").is_none() && Row::parse(HEAD).is_none());
}

/// A line's summary is what it says: two lines of known ratio.
#[test]
fn geometric_means() {
    let entry = entries().into_iter().find(|entry| entry.scenario.name == "wan1ms").unwrap();
    let run = |rms| Metrics { rms, ..Metrics::of(&[], 0) };
    let lines = [Line::of(&entry, &[run(1.127e-4)]), Line::of(&entry, &[run(1.127e-4 / 4.0)])];
    let summary = &summaries(&lines)[0];
    assert!((summary.rms - 0.5).abs() < 1e-3 && (summary.largest - 1.0).abs() < 1e-3, "{summary}");
}
