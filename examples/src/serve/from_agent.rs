//! What the agent says of its clock, from its `--json` lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use ntp_proto::control::Selection;
use ntp_proto::ServerVariables;
use ntp_server::{Monitor, PeerReport, ServerClock, SystemReport};
use ntp_types::{
    Frequency, Instant, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, Stratum,
};
use serde_json::Value;

use super::shared::Shared;
use super::PRECISION;
use crate::output::{remark, warn};

/// How often a file is looked at again after its end.
const LOOK: Duration = Duration::from_millis(500);
/// Octets of the longest line that is read: more than a thousand sources.
const LONGEST: usize = 1 << 20;
/// Octets after which a line has no end: it is a device's or another program's, and would be read for ever.
const ENDLESS: usize = 1 << 26;

pub(super) type Lines = Box<dyn BufRead + Send>;

/// The file, or standard input for `-`.
pub(super) fn open(path: &Path) -> io::Result<Lines> {
    Ok(if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Box::new(BufReader::new(file))
    })
}

/// Follows the lines from a thread of its own, which ends with the process: a read cannot be given a limit.
///
/// When they end, the clock stays as it was, its error bound growing.
pub(super) fn follow(mut lines: Lines, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut line = Line::default();
        let mut is_told = false;
        loop {
            match line.read(&mut lines) {
                Ok(true) => {
                    let object = serde_json::from_slice(line.octets()).unwrap_or(Value::Null);
                    if object.is_null() && !is_told {
                        is_told = true;
                        warn("ntp-serve", ["lines that are not the agent's are passed over"]);
                    }
                    if let Some(clock) = clock(&object, shared.now()) {
                        shared.set_clock(clock, monitor(&object));
                    }
                }
                Ok(false) => thread::sleep(LOOK),
                Err(error) => return remark(format_args!("ntp-serve: the agent's lines: {error}")),
            }
        }
    });
}

/// A line that comes in piece by piece, in a bounded amount of memory.
#[derive(Debug, Default)]
struct Line {
    octets: Vec<u8>,
    /// Octets of it, those included that are not kept.
    length: usize,
    is_whole: bool,
}

impl Line {
    /// Reads on, into the next line once this one is whole; false where more has yet to be written.
    fn read(&mut self, lines: &mut impl BufRead) -> io::Result<bool> {
        if std::mem::take(&mut self.is_whole) {
            self.octets.clear();
            self.length = 0;
        }
        while !self.is_whole {
            let piece = match lines.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(piece) => piece,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => return Ok(false),
                    _ => return Err(error),
                },
            };
            let end = piece.iter().position(|&octet| octet == b'\n');
            let len = end.map_or(piece.len(), |end| end + 1);
            // One more than the longest has: enough to tell that it is too long.
            let room = (LONGEST + 1).saturating_sub(self.octets.len());
            self.octets.extend(piece.iter().take(len.min(room)));
            lines.consume(len);
            self.length += len;
            self.is_whole = end.is_some();
            if self.length > ENDLESS {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
            }
        }
        Ok(true)
    }

    /// The whole line; nothing of one that is too long.
    fn octets(&self) -> &[u8] {
        if self.octets.len() > LONGEST {
            &[]
        } else {
            &self.octets
        }
    }
}

/// The clock of a status line; `None` for any other line.
fn clock(object: &Value, now: Instant) -> Option<ServerClock> {
    if object.get("type")?.as_str()? != "status" {
        return None;
    }
    let stratum = Stratum::from_bits(u8::try_from(object.get("stratum")?.as_u64()?).ok()?);
    let status = object.get("status")?.as_str()?;
    if !stratum.is_synchronized() || status.starts_with("unsync") {
        return Some(ServerClock::unsynchronized(PRECISION));
    }
    let text = |name| object.get(name).and_then(Value::as_str);
    let variables = ServerVariables {
        leap: text("leap").and_then(|leap| leap.parse().ok()).unwrap_or(LeapIndicator::NoWarning),
        stratum,
        precision: PRECISION,
        root_delay: NtpShort::from_duration(span(object, "root_delay")?),
        root_dispersion: NtpShort::from_duration(span(object, "root_dispersion")?),
        reference_id: text("reference_id").and_then(|id| id.parse().ok()).unwrap_or(ReferenceId::UNSET),
        reference_timestamp: when(object).unwrap_or_else(now_utc),
    };
    Some(ServerClock::following(variables, now))
}

/// The machine's clock. A line is read when it was just written.
fn now_utc() -> NtpTimestamp {
    NtpTimestamp::from_unix(SystemTime::now().into())
}

/// When what an object tells of last came in.
fn when(object: &Value) -> Option<NtpTimestamp> {
    span(object, "age").map(|age| now_utc() - age)
}

fn span(object: &Value, name: &str) -> Option<NtpDuration> {
    object.get(name).and_then(Value::as_f64).map(NtpDuration::from_seconds_f64)
}

/// What a status line says for `ntpq`.
fn monitor(object: &Value) -> Monitor {
    let frequency = |name| object.get(name).and_then(Value::as_f64).map_or(Frequency::ZERO, Frequency::from_ppm_f64);
    let sources = object.get("sources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let peers: Vec<_> = sources.iter().zip(1..).filter_map(|(source, id)| peer(source, id)).collect();
    let followed = peers.iter().find(|peer| peer.selection == Selection::SystemPeer);
    let system = SystemReport {
        peer: followed.map_or(0, |peer| peer.id),
        poll: followed.map_or(SystemReport::default().poll, |peer| peer.poll),
        offset: span(object, "offset").unwrap_or_default(),
        frequency: frequency("frequency_ppm"),
        jitter: span(object, "jitter").unwrap_or_default(),
        wander: frequency("wander_ppm"),
        ..SystemReport::default()
    };
    Monitor { system, peers }
}

fn peer(source: &Value, id: u16) -> Option<PeerReport> {
    let text = |name| source.get(name).and_then(Value::as_str);
    let octet = |name| source.get(name).and_then(Value::as_u64).and_then(|number| u8::try_from(number).ok());
    let address: SocketAddr = text("address")?.parse().ok()?;
    let any = if address.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let log2 = |name| source.get(name).and_then(Value::as_i64).and_then(|log2| i8::try_from(log2).ok());
    let short = |name| NtpShort::from_duration(span(source, name).unwrap_or_default());
    let unreached = source.get("unanswered").and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
    Some(PeerReport {
        id,
        source: address,
        local: SocketAddr::new(any, 0),
        selection: match text("verdict")? {
            "system peer" => Selection::SystemPeer,
            "candidate" => Selection::Candidate,
            "backup" => Selection::Backup,
            "outlier" => Selection::Outlier,
            "excess" => Selection::Excess,
            "falseticker" => Selection::Falseticker,
            _ => Selection::Reject,
        },
        leap: text("server_leap").and_then(|leap| leap.parse().ok()).unwrap_or(LeapIndicator::Unsynchronized),
        stratum: Stratum::from_bits(octet("stratum").unwrap_or(16)),
        precision: Precision::from_log2(log2("server_precision").unwrap_or(0)),
        root_delay: short("server_root_delay"),
        root_dispersion: short("server_root_dispersion"),
        reference_id: text("server_reference_id").and_then(|id| id.parse().ok()).unwrap_or(ReferenceId::UNSET),
        reference_time: NtpTimestamp::UNSET,
        received: when(source).unwrap_or(NtpTimestamp::UNSET),
        reach: octet("reach").unwrap_or(0),
        unreached: unreached.unwrap_or(0),
        poll: Poll::from_log2(log2("poll").unwrap_or(6)),
        offset: span(source, "offset").unwrap_or_default(),
        delay: span(source, "delay").unwrap_or_default(),
        dispersion: span(source, "bound").unwrap_or_default(),
        jitter: span(source, "jitter").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comes in pieces, and is interrupted and empty now and then.
    struct Pieces<'a>(Vec<&'a [u8]>, usize);

    impl io::Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            match (self.1 % 4, self.0.first_mut()) {
                (1, _) => Err(io::ErrorKind::Interrupted.into()),
                (2, _) => Err(io::ErrorKind::WouldBlock.into()),
                (3, _) | (_, None) => Ok(0),
                (_, Some(piece)) => {
                    let len = io::Read::read(piece, buffer)?;
                    self.0.retain(|piece| !piece.is_empty());
                    Ok(len)
                }
            }
        }
    }

    #[test]
    fn lines_come_in_pieces_and_one_without_end_takes_no_memory() {
        let long = vec![b'x'; 3 * LONGEST];
        let pieces = vec![&b"one\ntw"[..], b"o\n", &long, b"\nthr\xffee\n", &long[..LONGEST - 1], b"\nlast"];
        let mut lines = BufReader::new(Pieces(pieces, 0));
        let mut line = Line::default();
        let mut found = Vec::new();
        while !lines.get_ref().0.is_empty() || !lines.buffer().is_empty() {
            if line.read(&mut lines).unwrap() {
                found.push((line.octets().len(), line.octets().first().copied()));
            }
            assert!(line.octets.capacity() <= 2 * LONGEST + 2, "{}", line.octets.capacity());
        }
        let (o, t, x) = (Some(b'o'), Some(b't'), Some(b'x'));
        assert_eq!(found, [(4, o), (4, t), (0, None), (7, t), (LONGEST, x)]);
        assert_eq!(line.octets(), b"last");
        let refused = line.read(&mut BufReader::new(io::repeat(b'x'))).unwrap_err();
        assert_eq!((refused.to_string().as_str(), line.length / ENDLESS), ("a line without end", 1));
    }

    #[test]
    fn a_status_line_is_a_clock_and_others_are_not() {
        let line = r#"{"type":"status","status":"synchronized","leap":"none","stratum":3,"reference_id":"c0000201",
            "root_delay":0.0125,"root_dispersion":0.001,"age":3600.0,"system_peer":"192.0.2.1:123","sources":[
            {"address":"192.0.2.1:123","verdict":"system peer","reach":255,"poll":6,"offset":0.001,"stratum":2}]}"#;
        let object: Value = serde_json::from_str(line).unwrap();
        let variables = clock(&object, Instant::ZERO).unwrap().variables(Instant::ZERO, NtpTimestamp::UNSET);
        assert_eq!((variables.stratum.to_bits(), variables.leap), (3, LeapIndicator::NoWarning));
        assert_eq!(variables.reference_id.to_bytes(), [192, 0, 2, 1]);
        assert_eq!(variables.root_delay.to_string(), "0.012512");
        assert_eq!(variables.root_dispersion, NtpShort::from_duration(NtpDuration::from_nanos(1_000_000)));
        let corrected = now_utc().since(variables.reference_timestamp).to_seconds_f64();
        assert!((3_600.0..3_660.0).contains(&corrected), "an hour ago: {corrected} s");
        let monitor = monitor(&object);
        assert_eq!((monitor.system.peer, monitor.peers.len()), (1, 1));
        assert_eq!((monitor.peers[0].selection, monitor.peers[0].reach), (Selection::SystemPeer, 255));
        let lost = serde_json::from_str(&line.replace("\"synchronized", "\"unsynchronized")).unwrap();
        assert_eq!(clock(&lost, Instant::ZERO), Some(ServerClock::unsynchronized(PRECISION)));
        for other in ["{}", r#"{"type":"event","text":"x"}"#, "[1]", "null"] {
            assert_eq!(clock(&serde_json::from_str(other).unwrap(), Instant::ZERO), None);
        }
    }

    #[test]
    fn a_directory_has_no_lines() {
        let refused = open(Path::new("/")).map(drop).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::IsADirectory);
    }
}
