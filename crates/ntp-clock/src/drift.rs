//! Drift files: the frequency a clock needs, kept over a restart.

use std::path::Path;
use std::str::FromStr;

use atomic_file::{AtomicError, Snapshot};
use ntp_types::Frequency;

use crate::FileError;

/// What a drift file says: the correction that the clock needs.
///
/// Two forms are read. ntpd and ntpsec write one number, the correction in ppm. chrony writes two, the rate in ppm at which the
/// clock *gains* when nothing corrects it, and how far that may be off: its sign is the opposite one.
///
/// ```
/// use ntp_clock::DriftFile;
///
/// let ntpd: DriftFile = "-7.313\n".parse()?;
/// let chrony: DriftFile = "            7.313000             0.052000\n".parse()?;
/// assert_eq!(ntpd.frequency, chrony.frequency);
/// assert_eq!(chrony.skew.map(|skew| skew.to_string()).as_deref(), Some("+0.052 ppm"));
/// assert_eq!(ntpd.to_ntpd(), "-7.313\n");
/// assert_eq!(chrony.to_chrony(), "            7.313000             0.052000\n");
/// # Ok::<(), ntp_clock::DriftError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct DriftFile {
    /// The correction: positive makes the clock run faster.
    pub frequency: Frequency,
    /// How far it may be off, where the file says so.
    pub skew: Option<Frequency>,
}

/// A text is no drift file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DriftError {
    /// It holds no number, or more than two.
    #[error("expected one number (ntpd) or two (chrony), found {found}")]
    Count {
        /// How many words.
        found: usize,
    },
    /// A word is not a finite number.
    #[error("{word:?} is not a number")]
    Number {
        /// The word, cut to 40 characters.
        word: String,
    },
    /// The frequency is beyond what any clock needs.
    #[error("{ppm} ppm is beyond the 10 % a clock can be corrected by")]
    TooLarge {
        /// The number.
        ppm: f64,
    },
}

/// The most a kernel's clock can be corrected by.
const MAX_PPM: f64 = 100_000.0;

impl DriftFile {
    /// Reads a file; `None` when there is none, as at the first start.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read or is no drift file.
    pub fn load(path: impl AsRef<Path>) -> Result<Option<Self>, FileError<DriftError>> {
        let file = Snapshot::read(path)?;
        if !file.exists() {
            return Ok(None);
        }
        match String::from_utf8_lossy(file.bytes()).parse() {
            Ok(drift) => Ok(Some(drift)),
            Err(error) => Err(FileError::Content { path: file.path().into(), error }),
        }
    }

    /// Replaces a file, atomically, in the form it has: chrony's where that holds two numbers, else ntpd's.
    ///
    /// # Errors
    /// [`AtomicError`] when it cannot be replaced; the old one is then still there.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), AtomicError> {
        let file = Snapshot::read(path)?;
        let is_chronys = String::from_utf8_lossy(file.bytes()).split_whitespace().count() == 2;
        let text = if is_chronys { self.to_chrony() } else { self.to_ntpd() };
        file.replace(text.as_bytes()).map(|_| ())
    }

    /// As ntpd writes it.
    #[must_use]
    pub fn to_ntpd(&self) -> String {
        format!("{:.3}\n", self.frequency.to_ppm_f64())
    }

    /// As chrony writes it; an unknown skew as chrony's largest, which it starts from.
    #[must_use]
    pub fn to_chrony(&self) -> String {
        let skew = self.skew.map_or(2_000.0, Frequency::to_ppm_f64);
        // Not minus zero.
        let gain = 0.0 - self.frequency.to_ppm_f64();
        format!("{gain:20.6} {skew:20.6}\n")
    }
}

impl FromStr for DriftFile {
    type Err = DriftError;

    fn from_str(text: &str) -> Result<Self, DriftError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match *words.as_slice() {
            // A second word of "0" or "1" is the flag of ntpd's oldest versions.
            [correction] | [correction, "0" | "1"] => Ok(Self { frequency: frequency(correction)?, skew: None }),
            [gain, skew] => Ok(Self { frequency: -frequency(gain)?, skew: Some(frequency(skew)?.abs()) }),
            _ => Err(DriftError::Count { found: words.len() }),
        }
    }
}

fn frequency(word: &str) -> Result<Frequency, DriftError> {
    match word.parse::<f64>() {
        Ok(ppm) if ppm.abs() <= MAX_PPM => Ok(Frequency::from_ppm_f64(ppm)),
        Ok(ppm) if ppm.is_finite() => Err(DriftError::TooLarge { ppm }),
        _ => Err(DriftError::Number { word: word.chars().take(40).collect() }),
    }
}
