//! The last known time, for machines without a battery clock: they start no earlier than they stopped.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::SystemTime;

use atomic_file::Snapshot;
use ntp_types::UnixTime;

use crate::FileError;

/// A file that keeps a time while the machine is off.
///
/// Two forms, each understood by the program it comes from: [`LastTime::Text`] is fake-hwclock's
/// (`/etc/fake-hwclock.data`: `2026-03-01 12:00:00` in UTC), [`LastTime::Modified`] is systemd-timesyncd's
/// (`/var/lib/systemd/timesync/clock`: an empty file whose date is the time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LastTime {
    /// The time is what the file says.
    Text,
    /// The time is when the file was modified.
    Modified,
}

/// A file's text is not a time like `2026-03-01 12:00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UTC time like 2026-03-01 12:00:00")]
pub struct NotATime;

impl LastTime {
    /// The time the file keeps; `None` when there is none.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read or holds no time.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Option<UnixTime>, FileError<NotATime>> {
        let file = Snapshot::read(path)?;
        let path = || file.path().to_path_buf();
        if !file.exists() {
            return Ok(None);
        }
        let time = match self {
            Self::Text => Self::parse(file.bytes()).map_err(|error| FileError::Content { path: path(), error })?,
            Self::Modified => {
                let date = std::fs::metadata(file.path()).and_then(|data| data.modified());
                date.map_err(|error| FileError::Date { path: path(), error })?.into()
            }
        };
        Ok(Some(time))
    }

    /// Keeps `time`, unless the file already keeps a later one: a clock that is wrong backwards must not spoil it.
    ///
    /// Returns whether the file was written.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written.
    pub fn save(self, path: impl AsRef<Path>, time: UnixTime) -> Result<bool, FileError<NotATime>> {
        let path = path.as_ref();
        match self.load(path) {
            Ok(Some(kept)) if kept.seconds() >= time.seconds() => return Ok(false),
            // A file that holds no time is replaced; what is no file is not.
            Ok(_) | Err(FileError::Content { .. }) => {}
            Err(error) => return Err(error),
        }
        let in_file = |error| FileError::Date { path: path.into(), error };
        match self {
            Self::Text => {
                let text = Self::to_text(time).ok_or(FileError::Content { path: path.into(), error: NotATime })?;
                let _ = atomic_file::write(path, text.as_bytes())?;
            }
            Self::Modified => {
                let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(in_file)?;
                let time = SystemTime::try_from(time)
                    .map_err(|_| FileError::Content { path: path.into(), error: NotATime })?;
                file.set_modified(time).and_then(|()| file.sync_all()).map_err(in_file)?;
            }
        }
        Ok(true)
    }

    /// The time in the text of a file of the form [`Text`](Self::Text).
    ///
    /// # Errors
    /// [`NotATime`] where it holds anything else.
    pub fn parse(bytes: &[u8]) -> Result<UnixTime, NotATime> {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(date), Some(time), None) => format!("{date}T{time}Z").parse().map_err(|_| NotATime),
            _ => Err(NotATime),
        }
    }

    /// The text of a file of the form [`Text`](Self::Text), to the second; `None` beyond the years that have a date.
    #[must_use]
    pub fn to_text(time: UnixTime) -> Option<String> {
        Some(time.to_civil()?.to_string().replace('T', " ") + "\n")
    }
}

/// What a clock that reads `now` is to be set to, when the time was last known to be `kept`: never backwards.
#[must_use]
pub fn restored(now: UnixTime, kept: UnixTime) -> Option<UnixTime> {
    (kept > now).then_some(kept)
}
