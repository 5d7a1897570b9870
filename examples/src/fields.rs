//! What a program found, field by field: words for people, a value for programs.

use std::fmt::Display;

use ntp_clock::ClockStatus;
use serde_json::{json, Map, Value};

use crate::text;

/// Fields in the order in which they are shown.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(&'static str, String, Value)>);

impl Fields {
    /// Adds one: the name is a program's, with underscores.
    pub fn add(&mut self, name: &'static str, words: impl Display, value: impl Into<Value>) {
        self.0.push((name, words.to_string(), value.into()));
    }

    /// A line each, or one JSON object in a line.
    #[must_use]
    pub fn to_text(&self, is_json: bool) -> String {
        if is_json {
            let object: Map<_, _> = self.0.iter().map(|(name, _, value)| ((*name).to_owned(), value.clone())).collect();
            return format!("{}\n", Value::Object(object));
        }
        // The unit stands with the number.
        let label = |name: &str| name.trim_end_matches("_ppm").replace('_', " ");
        self.0.iter().map(|(name, words, _)| format!("{:<16} {words}\n", label(name))).collect()
    }
}

/// How the kernel's clock stands, as a person would read it.
#[must_use]
pub fn kernel_clock(status: &ClockStatus) -> Fields {
    let is_flagged = status.is_flagged_unsynchronized();
    let flag = if is_flagged {
        "set: the kernel leaves the RTC alone"
    } else {
        "clear: the kernel sets the RTC every 11 minutes"
    };
    let tai = if status.tai_offset == 0 { " s (nobody told the kernel)" } else { " s" };
    let mut fields = Fields::default();
    fields.add("time", status.time, status.time.to_string());
    fields.add("synchronized", if status.is_synchronized() { "yes" } else { "no" }, status.is_synchronized());
    fields.add("sta_unsync", flag, is_flagged);
    fields.add("max_error", text::magnitude(status.max_error), status.max_error.to_seconds_f64());
    fields.add("estimated_error", text::magnitude(status.estimated_error), status.estimated_error.to_seconds_f64());
    fields.add("leap", status.leap, status.leap.to_string());
    fields.add("tai_offset", format_args!("{}{tai}", status.tai_offset), status.tai_offset);
    fields.add("frequency_ppm", status.frequency, status.frequency.to_ppm_f64());
    fields.add("tick", format_args!("{} µs", status.tick), status.tick);
    fields.add("nominal_tick", format_args!("{} µs", status.nominal_tick), status.nominal_tick);
    fields.add("rate_ppm", format_args!("{} in all", status.rate()), status.rate().to_ppm_f64());
    fields.add(
        "offset",
        format_args!("{} left to the kernel's loop", text::signed(status.offset)),
        status.offset.to_seconds_f64(),
    );
    fields.add("time_constant", status.time_constant, status.time_constant);
    fields.add("precision", text::magnitude(status.precision), status.precision.to_seconds_f64());
    fields.add("tolerance_ppm", status.tolerance, status.tolerance.to_ppm_f64());
    fields.add("flags", status.flags, status.flags.to_string());
    let pps = &status.pps;
    let words = match pps.calibrations {
        0 => "none".to_owned(),
        _ => format!("{} jitter {}, wander {}", pps.frequency, text::magnitude(pps.jitter), pps.stability),
    };
    let value = json!({
        "frequency_ppm": pps.frequency.to_ppm_f64(),
        "jitter": pps.jitter.to_seconds_f64(),
        "stability_ppm": pps.stability.to_ppm_f64(),
        "calibrations": pps.calibrations,
        "errors": pps.errors,
    });
    fields.add("pps", words, value);
    fields
}
