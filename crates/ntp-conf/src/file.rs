//! A configuration file on disk: read, edited, written back whole or not at all.

use std::path::{Path, PathBuf};

use atomic_file::{AtomicError, Outcome, Snapshot};

use crate::{Dialect, Document};

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such file.
    #[error("{} does not exist", path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// It could not be read or replaced.
    #[error(transparent)]
    File(#[from] AtomicError),
}

/// A file with its document. Changes go back by [`save`](Self::save).
#[derive(Debug)]
pub struct ConfigFile {
    snapshot: Snapshot,
    document: Document,
}

impl ConfigFile {
    /// Reads a file in the language its path says ([`Dialect::of_path`]).
    ///
    /// # Errors
    /// [`ConfigError`] when it is not there or cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::read_as(Dialect::of_path(path.as_ref()), path)
    }

    /// Reads a file in a known language.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_as(dialect: Dialect, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let snapshot = Snapshot::read(path)?;
        if !snapshot.exists() {
            return Err(ConfigError::Missing { path: snapshot.path().to_path_buf() });
        }
        let document = Document::parse(dialect, snapshot.bytes());
        Ok(Self { snapshot, document })
    }

    /// Where it really is, links followed.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.snapshot.path()
    }

    /// What it held when it was read.
    #[must_use]
    pub fn original(&self) -> &[u8] {
        self.snapshot.bytes()
    }

    /// Its document.
    #[must_use]
    pub const fn document(&self) -> &Document {
        &self.document
    }

    /// Its document, to be edited.
    pub fn document_mut(&mut self) -> &mut Document {
        &mut self.document
    }

    /// Writes the document back atomically; not at all, when nothing changed. The file's owner, mode and attributes
    /// stay, and it is refused when somebody else changed it meanwhile.
    ///
    /// # Errors
    /// [`ConfigError::File`].
    pub fn save(&self) -> Result<Outcome, ConfigError> {
        Ok(self.snapshot.replace(&self.document.to_bytes())?)
    }
}
