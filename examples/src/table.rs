//! The table of sources, in at most 80 columns.

use std::fmt::Write;

use ntp_client::{Snapshot, SourceSnapshot};
use ntp_discipline::{Status, Verdict};

use crate::address;
use crate::text::{fit, magnitude, ppm, signed};

/// Whether a table may use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Plain text.
    Plain,
    /// ANSI colours.
    Colour,
}

const GREEN: &str = "32";
const RED: &str = "31";
const DIM: &str = "2";
const BOLD: &str = "1";

impl Paint {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_string(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// The clock in one line: state, offset with its bound, frequency.
#[must_use]
pub fn clock(snapshot: &Snapshot, paint: Paint) -> String {
    let system = &snapshot.system;
    let colour = if system.status == Status::Synchronized { GREEN } else { RED };
    let state = paint.paint(colour, &system.status.to_string());
    if system.updated.is_none() {
        return format!("clock    {state}");
    }
    format!(
        "clock    {state}   offset {} ± {}   frequency {}",
        signed(system.offset),
        magnitude(system.bound),
        ppm(system.frequency),
    )
}

/// Every source, one line each under a heading.
#[must_use]
pub fn sources(snapshot: &Snapshot, paint: Paint) -> String {
    let mut table = paint.paint(BOLD, &heading());
    table.push('\n');
    for source in &snapshot.sources {
        let verdict = source.estimate.verdict;
        let code = match verdict {
            _ if verdict.is_survivor() => GREEN,
            Verdict::Falseticker => RED,
            _ if verdict.is_truechimer() => "",
            _ => DIM,
        };
        let line = line(source);
        let _ = writeln!(table, "{}", if code.is_empty() { line } else { paint.paint(code, &line) });
    }
    table
}

fn heading() -> String {
    columns(" ", "source", "verdict", "reach", "offset", "± bound", "delay", "jitter")
}

fn line(source: &SourceSnapshot) -> String {
    let estimate = &source.estimate;
    let letter = estimate.verdict.letter().to_string();
    let address = address::show(source.address);
    let reach = source.reach.to_string();
    let verdict = match (source.next, source.kiss) {
        (None, Some(code)) => format!("stopped: {code}"),
        _ => word(estimate.verdict),
    };
    if estimate.samples == 0 {
        return columns(&letter, &address, &verdict, &reach, "-", "-", "-", "-");
    }
    columns(
        &letter,
        &address,
        &verdict,
        &reach,
        &signed(estimate.offset),
        &magnitude(estimate.bound),
        &magnitude(estimate.delay),
        &magnitude(estimate.jitter),
    )
}

/// The verdict in at most 13 columns.
fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Unsynchronized => "unsynced".into(),
        Verdict::NoSelect => "not selected".into(),
        Verdict::Smeared => "other smear".into(),
        other => other.to_string(),
    }
}

#[allow(clippy::too_many_arguments)] // one for each column
fn columns(
    letter: &str,
    source: &str,
    verdict: &str,
    reach: &str,
    offset: &str,
    bound: &str,
    delay: &str,
    jitter: &str,
) -> String {
    let (source, verdict) = (fit(source, 21), fit(verdict, 13));
    format!("{letter} {source:<21} {verdict:<13} {reach:>5} {offset:>9} {bound:>8} {delay:>8} {jitter:>8}")
        .trim_end()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        assert_eq!(heading().chars().count(), 80);
        let wide =
            columns("*", &"x".repeat(50), &"y".repeat(50), "377", "+123.4 ms", "123.4 ms", "123.4 ms", "123.4 ms");
        assert_eq!(wide.chars().count(), 80);
    }
}
