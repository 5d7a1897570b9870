//! `/etc/adjtime`, as hwclock keeps it: how the hardware clock drifts, when that was last put right, and whose time it shows.
//!
//! Three lines: `drift last-adjustment not-adjusted`, `last-calibration`, `UTC` or `LOCAL`. Read as hwclock reads them, by
//! the rules of C's `scanf` in lines of at most 80 octets; written as it writes them, octet for octet. Source: util-linux
//! `hwclock.c`, adjtime_config(5).

use core::fmt;
use std::path::Path;

use atomic_file::{Outcome, Snapshot};
use ntp_types::{NtpDuration, UnixTime};

use crate::rtc::scan::{line, Scanner};
use crate::rtc::zone::local_to_utc;
use crate::rtc::RtcError;

/// Whose time the hardware clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums)]
pub enum TimeScale {
    /// UTC, which is also meant where the file does not say.
    #[default]
    Utc,
    /// The local time of the machine's zone.
    Local,
}

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct AdjTime {
    /// Seconds a day to add to the clock's reading: positive when it runs slow.
    pub drift_factor: f64,
    /// When the clock was last set or adjusted, seconds since 1970; 0 when never.
    pub last_adjustment: i64,
    /// Seconds that were left to add then.
    pub not_adjusted: f64,
    /// When the drift was last calibrated; 0 when never.
    pub last_calibration: i64,
    /// Whose time it shows.
    pub scale: TimeScale,
}

/// A line of the file does not hold what belongs there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {found:?} is not {expected}")]
pub struct AdjTimeError {
    /// The line, counted from 1.
    pub line: usize,
    /// What belongs there.
    pub expected: &'static str,
    /// What stands there, as far as it is read: at most 80 octets.
    pub found: String,
}

/// What became of the drift factor when the clock was set.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum DriftUpdate {
    /// It was not asked for.
    NotAsked,
    /// The clock was never calibrated before: this is the first time, the next one can tell.
    FirstCalibration,
    /// Less than four hours have passed: too short to tell.
    TooSoon {
        /// Seconds since the last calibration.
        seconds: i64,
    },
    /// The kernel has been setting the clock itself every 11 minutes: what it drifted in between is not known.
    KernelSetsIt,
    /// It was put right.
    Updated {
        /// Seconds a day before.
        from: f64,
        /// Seconds a day now.
        to: f64,
    },
    /// It came out beyond anything a clock does and was reset to zero.
    Reset {
        /// What came out, seconds a day.
        computed: f64,
    },
}

/// `UTC`, `local time`.
impl fmt::Display for TimeScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utc => "UTC",
            Self::Local => "local time",
        })
    }
}

impl TimeScale {
    /// The moment at which the hardware clock shows `rtc`. `offset_at` gives the zone's seconds east of Greenwich.
    ///
    /// # Errors
    /// As `offset_at`.
    pub fn to_utc<E>(self, rtc: UnixTime, offset_at: impl Fn(UnixTime) -> Result<i32, E>) -> Result<UnixTime, E> {
        match self {
            Self::Utc => Ok(rtc),
            Self::Local => local_to_utc(rtc, offset_at),
        }
    }
}

/// What became of the drift, as a sentence.
impl fmt::Display for DriftUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("left as it was"),
            Self::FirstCalibration => f.write_str("to be known the next time: this was the first calibration"),
            Self::TooSoon { seconds } => {
                write!(f, "left as it was: only {seconds} s since the last calibration, four hours are needed")
            }
            Self::KernelSetsIt => f.write_str("left as it was: the kernel has been setting the clock"),
            Self::Updated { from, to } => write!(f, "{to:+.6} s a day to add (was {from:+.6})"),
            Self::Reset { computed } => write!(f, "reset to 0: {computed:+.6} s a day is no clock's drift"),
        }
    }
}

const SECONDS_PER_DAY: f64 = 86_400.0;
/// The drift beyond which hwclock does not believe it, in seconds a day. Source: `MAX_DRIFT`.
pub(crate) const MAX_DRIFT: f64 = 2_145.0;
/// From here on a number written with its six decimals may not leave room for the two beside it.
const TOO_LONG: f64 = 1e15;
/// The shortest time between calibrations, in seconds.
const MIN_CALIBRATION: i64 = 4 * 3_600;

impl AdjTime {
    /// Seconds to add to the clock's reading when it shows `rtc`.
    ///
    /// As hwclock: whole seconds rounded down, and the rest cut to microseconds.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // bounded just before
    pub fn correction_at(&self, rtc: UnixTime) -> NtpDuration {
        #[allow(clippy::cast_precision_loss)] // hwclock's own arithmetic
        let elapsed = rtc.seconds().saturating_sub(self.last_adjustment) as f64;
        let exact = elapsed * self.drift_factor / SECONDS_PER_DAY + self.not_adjusted;
        let whole = exact.floor();
        let micros = ((exact - whole) * 1e6).trunc();
        if !whole.is_finite() || whole.abs() > 2e9 {
            return if whole < 0.0 { NtpDuration::MIN } else { NtpDuration::MAX };
        }
        NtpDuration::from_nanos(whole as i64 * 1_000_000_000 + micros as i64 * 1_000)
    }

    /// The clock was set to `now`; just before it showed `corrected`, its drift put right.
    ///
    /// As hwclock: the drift is calibrated only where `update` asks for it, four hours after the last calibration at the
    /// earliest; the dates start anew in any case.
    pub fn handle_set(&mut self, now: UnixTime, corrected: Option<UnixTime>, update: bool) -> DriftUpdate {
        let outcome = match corrected {
            Some(corrected) if update => self.calibrate(now, corrected),
            _ => DriftUpdate::NotAsked,
        };
        self.last_calibration = now.seconds();
        self.last_adjustment = now.seconds();
        self.not_adjusted = 0.0;
        outcome
    }

    #[allow(clippy::cast_precision_loss)] // hwclock's own arithmetic
    fn calibrate(&mut self, now: UnixTime, corrected: UnixTime) -> DriftUpdate {
        let seconds = corrected.seconds().saturating_sub(self.last_calibration);
        if self.last_calibration == 0 {
            return DriftUpdate::FirstCalibration;
        }
        if seconds < MIN_CALIBRATION {
            return DriftUpdate::TooSoon { seconds };
        }
        let between = |from: i128| (now.to_nanos() - from) as f64 * 1e-9;
        let days = between(i128::from(self.last_calibration) * 1_000_000_000) / SECONDS_PER_DAY;
        let computed = self.drift_factor + between(corrected.to_nanos()) / days;
        if computed.is_nan() || computed.abs() > MAX_DRIFT {
            self.drift_factor = 0.0;
            return DriftUpdate::Reset { computed };
        }
        let from = core::mem::replace(&mut self.drift_factor, computed);
        DriftUpdate::Updated { from, to: computed }
    }

    /// Whether hwclock would adjust the clock for its drift, when it shows `rtc`: a second or more is due, the clock was
    /// set once, and the drift is credible.
    #[must_use]
    pub fn needs_adjustment(&self, rtc: UnixTime) -> bool {
        let whole = self.correction_at(rtc).to_bits() >> 32;
        let is_due = !(-1..=0).contains(&whole);
        is_due && self.last_adjustment != 0 && self.drift_factor.abs() <= MAX_DRIFT
    }

    /// Reads the file's text. Nothing is an error: what cannot be read keeps its default, as with hwclock. Whether anything
    /// could not be read, [`check`](Self::check) tells.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self::read(bytes).0
    }

    /// Whether every line that is there holds what [`parse`](Self::parse) reads of it. Lines may be missing, and so may what
    /// belongs at the end of the first.
    ///
    /// # Errors
    /// [`AdjTimeError`] names the first that does not.
    pub fn check(bytes: &[u8]) -> Result<(), AdjTimeError> {
        Self::read(bytes).1
    }

    fn read(bytes: &[u8]) -> (Self, Result<(), AdjTimeError>) {
        let (first, rest) = line(bytes);
        let (second, rest) = line(rest);
        let (third, _) = line(rest);
        let mut adjtime = Self::default();
        let is_drift = adjtime.read_drift(first);
        let mut scanner = Scanner(second);
        let calibration = scanner.integer();
        adjtime.last_calibration = calibration.unwrap_or(0);
        // Without its newline it is not recognised, and UTC is meant.
        adjtime.scale = if third == b"LOCAL\n" { TimeScale::Local } else { TimeScale::Utc };
        let lines = [
            (first, is_drift, "a drift, the time of the last adjustment and what was left then"),
            (second, calibration.is_some() && scanner.is_done(), "the time of the last calibration"),
            (third, matches!(third, b"UTC\n" | b"UTC" | b"LOCAL\n"), "UTC or LOCAL and the end of the line"),
        ];
        let wrong = (1..).zip(lines).find(|(_, (text, is_good, _))| !is_good && !text.is_empty());
        let checked = wrong.map_or(Ok(()), |(line, (text, _, expected))| {
            Err(AdjTimeError { line, expected, found: String::from_utf8_lossy(text).into_owned() })
        });
        (adjtime, checked)
    }

    /// Reads the first line as far as it goes; whether that is all it holds.
    fn read_drift(&mut self, line: &[u8]) -> bool {
        let mut scanner = Scanner(line);
        let Some(drift) = scanner.float() else { return false };
        self.drift_factor = drift;
        if scanner.is_done() {
            return true;
        }
        let Some(last) = scanner.integer() else { return false };
        self.last_adjustment = last;
        if scanner.is_done() {
            return true;
        }
        let Some(left) = scanner.float() else { return false };
        self.not_adjusted = left;
        scanner.is_done()
    }
}

/// The file's text as hwclock writes it; but a number too long for lines of 80 octets, which hwclock writes and cannot read,
/// is written as 0.
impl fmt::Display for AdjTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { last_adjustment, last_calibration, scale, .. } = self;
        let [drift_factor, not_adjusted] =
            [self.drift_factor, self.not_adjusted].map(|number| if number.abs() < TOO_LONG { number } else { 0.0 });
        let scale = if *scale == TimeScale::Local { "LOCAL" } else { "UTC" };
        writeln!(f, "{drift_factor:.6} {last_adjustment} {not_adjusted:.6}\n{last_calibration}\n{scale}")
    }
}

/// The file: what stands there octet for octet, and what it says.
#[derive(Debug)]
pub struct AdjTimeFile {
    snapshot: Option<Snapshot>,
    original: Vec<u8>,
    read: AdjTime,
    /// What it says; change it, then [`save`](Self::save).
    pub adjtime: AdjTime,
}

impl AdjTimeFile {
    /// Where it usually is.
    pub const PATH: &'static str = "/etc/adjtime";

    /// Reads a file; one that is missing says nothing, which is not an error.
    ///
    /// # Errors
    /// [`RtcError::AdjTime`] when it is there and cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RtcError> {
        let snapshot = Snapshot::read(path)?;
        let mut file = Self::from_bytes(snapshot.bytes());
        file.snapshot = Some(snapshot);
        Ok(file)
    }

    /// A file's octets.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let read = AdjTime::parse(bytes);
        Self { snapshot: None, original: bytes.to_vec(), read, adjtime: read }
    }

    /// Whether every line that was read holds what belongs there.
    ///
    /// # Errors
    /// As [`AdjTime::check`].
    pub fn check(&self) -> Result<(), AdjTimeError> {
        AdjTime::check(&self.original)
    }

    /// The octets: those that were read as long as nothing changed, else as hwclock writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.adjtime == self.read {
            self.original.clone()
        } else {
            self.adjtime.to_string().into_bytes()
        }
    }

    /// Replaces the file, atomically, if anything changed. Returns whether it was written.
    ///
    /// # Errors
    /// [`RtcError::AdjTime`] when it cannot be replaced; the old one is then still there.
    pub fn save(&mut self) -> Result<bool, RtcError> {
        let Some(snapshot) = &self.snapshot else { return Ok(false) };
        let bytes = self.to_bytes();
        let is_written = snapshot.replace(&bytes)? != Outcome::Unchanged;
        if is_written {
            self.snapshot = Some(Snapshot::read(snapshot.path())?);
            self.read = self.adjtime;
            self.original = bytes;
        }
        Ok(is_written)
    }
}
