//! The replacement itself, step by step.

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
    /// The temporary file exists, empty; on Linux without a name.
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
    /// The temporary file has a name: nothing replaces a file by one that has none. Passed over for a file that is made.
    Named,
    /// The new file is in place.
    Placed,
    /// The directory is on the disk.
    Flushed,
}

impl Step {
    /// All, in order.
    pub const ALL: [Self; 10] = [
        Self::Started,
        Self::Created,
        Self::HalfWritten,
        Self::Written,
        Self::Dressed,
        Self::Synced,
        Self::Checked,
        Self::Named,
        Self::Placed,
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
        let (directory, name) = snapshot.place()?;
        temporary::remove_leftovers(directory, name);
        (self.on_step)(Step::Started);
        let is_placed = match Temporary::unnamed(directory, name) {
            Some(temporary) => self.place(temporary)?,
            None => false,
        };
        if !is_placed {
            let path = snapshot.path();
            let temporary = Temporary::named(directory, name).map_err(AtomicError::io("create a copy beside", path))?;
            self.place(temporary)?;
        }
        flush_directory(directory)
            .map_err(|source| AtomicError::NotDurable { path: snapshot.path().to_path_buf(), source })?;
        (self.on_step)(Step::Flushed);
        Ok(if snapshot.exists() { Outcome::Replaced } else { Outcome::Created })
    }

    /// Fills the temporary file and puts it in place; `false` where one without a name cannot be given one.
    fn place(&mut self, mut temporary: Temporary) -> Result<bool, AtomicError> {
        let snapshot = self.snapshot;
        let path = snapshot.path();
        let changed = || AtomicError::Changed { path: path.to_path_buf() };
        (self.on_step)(Step::Created);
        self.fill(&mut temporary)?;
        temporary.file.sync_all().map_err(AtomicError::io("flush the copy of", path))?;
        (self.on_step)(Step::Synced);
        if !snapshot.is_current()? {
            return Err(changed());
        }
        (self.on_step)(Step::Checked);
        let (action, placed) = if snapshot.exists() {
            let named = temporary.name();
            (
                "replace",
                named.and_then(|()| {
                    (self.on_step)(Step::Named);
                    temporary.replace(path)
                }),
            )
        } else {
            ("create", temporary.create(path))
        };
        match placed {
            Ok(()) => {
                (self.on_step)(Step::Placed);
                Ok(true)
            }
            Err(error) if !snapshot.exists() && error.kind() == io::ErrorKind::AlreadyExists => Err(changed()),
            Err(_) if !temporary.is_named() => Ok(false),
            Err(error) => Err(AtomicError::io(action, path)(error)),
        }
    }

    /// Bytes, owner, attributes and mode.
    fn fill(&mut self, temporary: &mut Temporary) -> Result<(), AtomicError> {
        let path = self.snapshot.path();
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
        Ok(())
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

#[cfg(unix)]
fn flush_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be opened as a file.
#[cfg(not(unix))]
fn flush_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
