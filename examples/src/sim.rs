//! Presentation of the simulator's figures.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use ntp_sim::metrics::Second;
use ntp_sim::table::{Entry, Line, Polling};
use ntp_types::NtpDuration;
use similar::{ChangeTag, TextDiff};

use crate::agent::TracePoint;

/// At most this many points are plotted: one a pixel and some.
const POINTS: usize = 2_000;

/// Prints name and description of every scenario once.
pub fn list(entries: &[Entry]) {
    let first = entries.first().map_or(Polling::Fixed, |entry| entry.polling);
    for entry in entries.iter().filter(|entry| entry.polling == first) {
        println!("{:13} {}", entry.scenario.name, entry.scenario.about);
    }
}

/// A run as a trace for the plot.
#[must_use]
pub fn trace(seconds: &[Second]) -> Vec<TracePoint> {
    let every = (seconds.len() / POINTS).max(1);
    let points = (0_u64..).zip(seconds).step_by(every);
    points
        .map(|(at, second)| TracePoint {
            time: Duration::from_secs(at),
            offset: NtpDuration::from_seconds_f64(second.error),
            bound: second.bound.map(NtpDuration::from_seconds_f64),
        })
        .collect()
}

/// A line as one JSON object; times in seconds, `null` where there is none.
#[must_use]
pub fn json(line: &Line) -> serde_json::Value {
    let finite = |value: f64| value.is_finite().then_some(value);
    let ratios = line.ratios();
    serde_json::json!({
        "scenario": line.name,
        "poll": line.polling.to_string(),
        "rms": line.rms,
        "worst_rms": line.worst,
        "p95": line.p95,
        "max": line.max,
        "rms_frequency": line.rms_frequency,
        "to_1ms": finite(line.to_1ms),
        "to_100us": finite(line.to_100us),
        "recovery": line.recovery.and_then(finite),
        "packets": line.packets,
        "packets_in_all": line.packets_in_all,
        "violations": line.violations,
        "rms_over_chrony": ratios.map(|(ratio, _)| ratio),
        "worst_over_chrony": ratios.map(|(_, worst)| worst),
        "frequency_over_chrony": line.frequency_ratio(),
    })
}

/// Compares a table with the one expected and shows where they differ.
///
/// # Errors
/// None of its own.
pub fn check(expected: &str, found: &str) -> Result<ExitCode, Box<dyn Error>> {
    if expected == found {
        return Ok(ExitCode::SUCCESS);
    }
    for change in TextDiff::from_lines(expected, found).iter_all_changes() {
        match change.tag() {
            ChangeTag::Delete => print!("- {change}"),
            ChangeTag::Insert => print!("+ {change}"),
            ChangeTag::Equal => {}
        }
    }
    Ok(ExitCode::FAILURE)
}
