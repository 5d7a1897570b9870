//! What the agent says of its clock, from its `--json` lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ntp_proto::ServerVariables;
use ntp_server::ServerClock;
use ntp_types::{Instant, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, ReferenceId, Stratum};
use serde_json::Value;

use super::worker::Shared;
use super::PRECISION;

/// How often a file is looked at again after its end.
const LOOK: Duration = Duration::from_millis(500);

pub(super) type Lines = Box<dyn BufRead + Send>;

/// The file, or standard input for `-`.
pub(super) fn open(path: &Path) -> io::Result<Lines> {
    Ok(if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(path)?))
    })
}

/// Follows the lines from a thread of its own, which ends with the process: a read cannot be given a limit.
///
/// When they end, the clock stays as it was, its error bound growing.
pub(super) fn follow(mut lines: Lines, shared: &std::sync::Arc<Shared>) {
    let shared = std::sync::Arc::clone(shared);
    thread::spawn(move || {
        let mut line = String::new();
        loop {
            match lines.read_line(&mut line) {
                Ok(0) => thread::sleep(LOOK),
                Ok(_) if line.ends_with('\n') => {
                    if let Some(clock) = clock(&line, shared.now()) {
                        shared.set_clock(clock);
                    }
                    line.clear();
                }
                // A line that is still being written.
                Ok(_) => {}
                Err(error) => return eprintln!("ntp-serve: the agent's lines: {error}"),
            }
        }
    });
}

/// The clock of a status line; `None` for any other line.
fn clock(line: &str, now: Instant) -> Option<ServerClock> {
    let object: Value = serde_json::from_str(line).ok()?;
    if object.get("type")?.as_str()? != "status" {
        return None;
    }
    let stratum = Stratum::from_bits(u8::try_from(object.get("stratum")?.as_u64()?).ok()?);
    let status = object.get("status")?.as_str()?;
    if !stratum.is_synchronized() || status.starts_with("unsync") {
        return Some(ServerClock::unsynchronized(PRECISION));
    }
    let span = |name| object.get(name).and_then(Value::as_f64).map(NtpDuration::from_seconds_f64);
    let text = |name| object.get(name).and_then(Value::as_str);
    let variables = ServerVariables {
        leap: text("leap").and_then(|leap| leap.parse().ok()).unwrap_or(LeapIndicator::NoWarning),
        stratum,
        precision: PRECISION,
        root_delay: NtpShort::from_duration(span("root_delay")?),
        root_dispersion: NtpShort::from_duration(span("root_dispersion")?),
        reference_id: text("reference_id").and_then(|id| id.parse().ok()).unwrap_or(ReferenceId::UNSET),
        reference_timestamp: NtpTimestamp::from_unix(std::time::SystemTime::now().into()),
    };
    Some(ServerClock::following(variables, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_a_clock_and_others_are_not() {
        let line = r#"{"type":"status","status":"synchronized","leap":"none","stratum":3,"reference_id":"c0000201",
            "root_delay":0.0125,"root_dispersion":0.001}"#;
        let variables = clock(line, Instant::ZERO).unwrap().variables(Instant::ZERO, NtpTimestamp::UNSET);
        assert_eq!((variables.stratum.to_bits(), variables.leap), (3, LeapIndicator::NoWarning));
        assert_eq!(variables.reference_id.to_bytes(), [192, 0, 2, 1]);
        assert_eq!(variables.root_delay.to_string(), "0.012512");
        let lost = line.replace("\"synchronized", "\"unsynchronized");
        assert_eq!(clock(&lost, Instant::ZERO), Some(ServerClock::unsynchronized(PRECISION)));
        for other in ["", "{}", r#"{"type":"event","text":"x"}"#, "[1]"] {
            assert_eq!(clock(other, Instant::ZERO), None);
        }
    }
}
