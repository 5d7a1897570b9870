//! The replacement itself, step by step.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::temporary::{self, Temporary};
use crate::{metadata, AtomicError, Snapshot};

/// Mode of a file that did not exist.
const NEW_FILE_MODE: u32 = 0o644;

/// What a replacement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The file held these bytes already: nothing was written.
    Unchanged,
    /// The file holds the new bytes.
    Replaced,
    /// There was no file; now there is.
    Created,
}

/// A point between two system calls of a replacement, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// Nothing is done yet; leftovers are cleared.
    Started,
    /// The temporary file exists, empty.
    Created,
    /// Half of its bytes are written.
    HalfWritten,
    /// All are.
    Written,
    /// It has owner, attributes and mode.
    Dressed,
    /// It is on the disk.
    Synced,
    /// The old file was seen to be unchanged.
    Checked,
    /// The new file is in place.
    Renamed,
    /// The directory is on the disk.
    Flushed,
}

impl Step {
    /// All, in order.
    pub const ALL: [Self; 9] = [
        Self::Started,
        Self::Created,
        Self::HalfWritten,
        Self::Written,
        Self::Dressed,
        Self::Synced,
        Self::Checked,
        Self::Renamed,
        Self::Flushed,
    ];
}

/// A replacement with its settings; [`Snapshot::replace`] is the short way.
#[must_use = "nothing is written until it runs"]
pub struct Replacement<'a> {
    snapshot: &'a Snapshot,
    bytes: &'a [u8],
    mode: u32,
    on_step: Box<dyn FnMut(Step) + 'a>,
}

impl<'a> Replacement<'a> {
    /// Of the file read as `snapshot` by `bytes`.
    pub fn new(snapshot: &'a Snapshot, bytes: &'a [u8]) -> Self {
        Self { snapshot, bytes, mode: NEW_FILE_MODE, on_step: Box::new(|_| {}) }
    }

    /// Permission bits of a file that does not exist yet, 0o644 if not said; one that does keeps its own.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Called after each step: for tests that end the writer there.
    pub fn on_step(mut self, on_step: impl FnMut(Step) + 'a) -> Self {
        self.on_step = Box::new(on_step);
        self
    }

    /// Does it.
    ///
    /// # Errors
    /// Every [`AtomicError`].
    pub fn run(mut self) -> Result<Outcome, AtomicError> {
        let snapshot = self.snapshot;
        if snapshot.exists() && snapshot.bytes() == self.bytes {
            return Ok(Outcome::Unchanged);
        }
        let path = snapshot.path();
        let (directory, name) = snapshot.place()?;
        temporary::remove_leftovers(directory, name);
        (self.on_step)(Step::Started);
        let temporary = self.fill(directory, name)?;
        temporary.file.sync_all().map_err(AtomicError::io("flush the copy of", path))?;
        (self.on_step)(Step::Synced);
        if !snapshot.is_current()? {
            return Err(AtomicError::Changed { path: path.to_path_buf() });
        }
        (self.on_step)(Step::Checked);
        if snapshot.exists() {
            std::fs::rename(temporary.path(), path).map_err(AtomicError::io("replace", path))?;
        } else {
            rename_new(temporary.path(), path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => AtomicError::Changed { path: path.to_path_buf() },
                _ => AtomicError::io("create", path)(error),
            })?;
        }
        temporary.placed();
        (self.on_step)(Step::Renamed);
        flush_directory(directory).map_err(|source| AtomicError::NotDurable { path: path.to_path_buf(), source })?;
        (self.on_step)(Step::Flushed);
        Ok(if snapshot.exists() { Outcome::Replaced } else { Outcome::Created })
    }

    /// The temporary file with its bytes, owner, attributes and mode.
    fn fill(&mut self, directory: &Path, name: &OsStr) -> Result<Temporary, AtomicError> {
        let path = self.snapshot.path();
        let mut temporary =
            Temporary::create(directory, name).map_err(AtomicError::io("create a copy beside", path))?;
        (self.on_step)(Step::Created);
        let (first, second) = self.bytes.split_at(self.bytes.len() / 2);
        temporary.file.write_all(first).map_err(AtomicError::io("write the copy of", path))?;
        (self.on_step)(Step::HalfWritten);
        temporary.file.write_all(second).map_err(AtomicError::io("write the copy of", path))?;
        (self.on_step)(Step::Written);
        if self.snapshot.exists() {
            let old = File::open(path).map_err(AtomicError::io("open", path))?;
            metadata::copy(&old, &temporary.file, path)?;
        } else {
            metadata::set_mode(&temporary.file, self.mode, path)?;
        }
        (self.on_step)(Step::Dressed);
        Ok(temporary)
    }
}

impl fmt::Debug for Replacement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replacement")
            .field("path", &self.snapshot.path())
            .field("bytes", &self.bytes.len())
            .field("mode", &format_args!("{:o}", self.mode))
            .finish_non_exhaustive()
    }
}

/// A rename that does not overwrite; where the file system knows none, one that was preceded by a look.
#[cfg(target_os = "linux")]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{renameat_with, RenameFlags, CWD};
    use rustix::io::Errno;

    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::rename(from, to),
        other => other.map_err(io::Error::from),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

#[cfg(unix)]
fn flush_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be opened as a file.
#[cfg(not(unix))]
fn flush_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
