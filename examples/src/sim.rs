//! Presentation of the simulator's figures.

use std::time::Duration;

use ntp_sim::metrics::Second;
use ntp_sim::table::{Entry, Line, Polling};
use ntp_types::NtpDuration;
use similar::{ChangeTag, TextDiff};

use crate::agent::TracePoint;
use crate::output::Report;

/// At most this many points are plotted: one a pixel and some.
const POINTS: usize = 2_000;

/// Name and description of every scenario once.
#[must_use]
pub fn list(entries: &[Entry]) -> Report {
    let first = entries.first().map_or(Polling::Fixed, |entry| entry.polling);
    let once = entries.iter().filter(|entry| entry.polling == first);
    Report::done(once.map(|entry| format!("{:13} {}\n", entry.scenario.name, entry.scenario.about)).collect())
}

/// A run as a trace for the plot: of the seconds that share a point, the one in which the clock was most off.
#[must_use]
pub fn trace(seconds: &[Second]) -> Vec<TracePoint> {
    let every = (seconds.len() / POINTS).max(1);
    let seconds: Vec<(u64, &Second)> = (0..).zip(seconds).collect();
    let worst = |some: &[(u64, &Second)]| {
        let &(at, second) = some.iter().max_by(|(_, a), (_, b)| a.error.abs().total_cmp(&b.error.abs()))?;
        Some(TracePoint {
            time: Duration::from_secs(at),
            offset: NtpDuration::from_seconds_f64(second.error),
            bound: second.bound.map(NtpDuration::from_seconds_f64),
        })
    };
    seconds.chunks(every).filter_map(worst).collect()
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
        "chrony": line.yardstick.figures().map(|chrony| serde_json::json!({
            "rms": chrony.rms,
            "max": chrony.max,
            "rms_frequency": chrony.rms_frequency,
            "to_1ms": chrony.to_1ms,
            "to_100us": chrony.to_100us,
            "packets": line.chrony_packets(),
        })),
        "rms_over_chrony": ratios.map(|(ratio, _)| ratio),
        "worst_over_chrony": ratios.map(|(_, worst)| worst),
        "frequency_over_chrony": line.frequency_ratio(),
        "rms_over_best_known": line.known_ratio(),
    })
}

/// Where a table differs from the one expected: a success if nowhere.
#[must_use]
pub fn check(expected: &str, found: &str) -> Report {
    let differing = TextDiff::from_lines(expected, found);
    let lines = differing.iter_all_changes().filter_map(|change| match change.tag() {
        ChangeTag::Delete => Some(format!("- {change}")),
        ChangeTag::Insert => Some(format!("+ {change}")),
        ChangeTag::Equal => None,
    });
    Report { text: lines.collect(), is_success: expected == found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_bad_second_is_plotted() {
        let second = |at| Second { error: if at == 12_345 { -0.5 } else { 1e-6 }, frequency: 0.0, bound: Some(1e-3) };
        let trace = trace(&(0..60_000).map(second).collect::<Vec<_>>());
        assert!((1_900..=2_100).contains(&trace.len()));
        assert!(trace.windows(2).all(|pair| pair[0].time < pair[1].time));
        let worst = trace.iter().max_by_key(|point| point.offset.abs()).unwrap();
        assert_eq!((worst.time.as_secs(), worst.offset.to_seconds_f64()), (12_345, -0.5));
    }
}
