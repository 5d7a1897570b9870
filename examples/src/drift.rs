//! The frequency a clock needs, from one run to the next.

use std::path::PathBuf;
use std::time::Duration;

use ntp_client::System;
use ntp_clock::{DriftError, DriftFile, FileError};
use ntp_discipline::{Engine, Status};
use ntp_types::{Frequency, Instant};

/// How often the file is written.
const EVERY: Duration = Duration::from_secs(3_600);
/// How far a frequency may be off that was learnt in an earlier run, where the file does not say.
const KEPT: Frequency = Frequency::from_ppm(1);
/// How far one may be off that the clock happens to run at.
const FOUND: Frequency = Frequency::from_ppm(50);

/// A drift file, or none.
#[derive(Debug, Default)]
pub struct Drift {
    path: Option<PathBuf>,
    loaded: Option<DriftFile>,
    saved: Option<Instant>,
}

impl Drift {
    /// What the file holds, if there is a name and a file.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read or is no drift file.
    pub fn load(path: Option<PathBuf>) -> Result<Self, FileError<DriftError>> {
        let loaded = path.as_ref().map(DriftFile::load).transpose()?.flatten();
        Ok(Self { path, loaded, saved: None })
    }

    /// The frequency to start from and how far it may be off: the file's, or else the one `in_force`.
    #[must_use]
    pub fn known(&self, in_force: Frequency) -> Option<(Frequency, Frequency)> {
        match self.loaded {
            Some(drift) => Some((drift.frequency, drift.skew.unwrap_or(KEPT))),
            None => (in_force != Frequency::ZERO).then_some((in_force, FOUND)),
        }
    }

    /// Writes the file once an hour, and at the end, while the clock is synchronised. Says why when it cannot.
    pub fn handle_timeout<E: Engine>(&mut self, system: &System<E>, now: Instant, is_over: bool) -> Option<String> {
        let path = self.path.as_ref()?;
        let since = *self.saved.get_or_insert(now);
        if !is_over && now.since(since) < EVERY {
            return None;
        }
        self.saved = Some(now);
        let estimate = system.snapshot(now).system;
        if estimate.status != Status::Synchronized {
            return None;
        }
        let drift = DriftFile { frequency: estimate.frequency, skew: Some(estimate.wander) };
        drift.save(path).err().map(|error| error.to_string())
    }
}
