//! Quantities in few columns.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use ntp_types::{Frequency, NtpDuration};

/// Without a sign: `85.10 µs`.
#[must_use]
pub fn magnitude(duration: NtpDuration) -> String {
    duration.abs().human().to_string().trim_start_matches('+').to_string()
}

/// With its sign: `+12.33 µs`.
#[must_use]
pub fn signed(duration: NtpDuration) -> String {
    duration.human().to_string()
}

/// `-49.872 ppm`.
#[must_use]
pub fn ppm(frequency: Frequency) -> String {
    frequency.to_string()
}

/// `text` in at most `width` columns, cut with an ellipsis.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A directory that is there.
///
/// # Errors
/// Says what is needed.
pub fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() {
        Ok(path)
    } else {
        Err("this is no directory".into())
    }
}

/// Where a file can be written: found out before the work whose result it is to hold.
#[must_use]
pub fn place() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path: PathBuf| {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (directory.is_dir(), path.is_dir()) {
            (_, true) => Err("this is a directory".to_owned()),
            (false, _) => Err(format!("there is no directory {}", directory.display())),
            (true, false) => Ok(path),
        }
    })
}

/// A finite number.
///
/// # Errors
/// Says what is needed.
pub fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| "a number is needed".into())
}

/// A number of seconds above zero.
///
/// # Errors
/// Says what is needed.
pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    let seconds = seconds.ok_or("a number of seconds above zero is needed")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(Duration::ZERO) => Err("this is less than a nanosecond".into()),
        Ok(duration) => Ok(duration),
        Err(_) => Err(format!("this is more than {} s, the most that is counted", u64::MAX)),
    }
}
