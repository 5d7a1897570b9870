//! A file as it was read: its bytes, and what is needed to notice that somebody else touched it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::identity::Identity;
use crate::replace::{Outcome, Replacement};
use crate::AtomicError;

/// The longest file that is read, in octets: far longer than any configuration.
const MOST: u64 = 16 << 20;

/// How many symbolic links in a row are followed, as in Linux.
const MAX_LINKS: usize = 40;

/// A file as it was read. A file that does not exist is an empty one, told apart by [`exists`](Self::exists).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    path: PathBuf,
    bytes: Vec<u8>,
    identity: Option<Identity>,
}

impl Snapshot {
    /// Reads the file that `path` names, through symbolic links: a regular one of 16 MiB at the most, so that no pipe or device
    /// keeps the reader for ever.
    ///
    /// # Errors
    /// [`AtomicError::Io`], [`AtomicError::NotRegular`], [`AtomicError::TooLong`]; [`AtomicError::Changed`] when it changed while it was read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, AtomicError> {
        let path = resolve(path.as_ref())?;
        match std::fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return Err(AtomicError::NotRegular { path }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, bytes: Vec::new(), identity: None });
            }
            Err(error) => return Err(AtomicError::io("look at", &path)(error)),
        }
        let file = File::open(&path).map_err(AtomicError::io("open", &path))?;
        let identity = |file: &File| Identity::of_file(file).map_err(AtomicError::io("look at", &path));
        let before = identity(&file)?;
        let mut bytes = Vec::new();
        let length = (&file).take(MOST + 1).read_to_end(&mut bytes).map_err(AtomicError::io("read", &path))?;
        if u64::try_from(length).map_or(true, |length| length > MOST) {
            return Err(AtomicError::TooLong { path, most: MOST });
        }
        if identity(&file)? != before {
            return Err(AtomicError::Changed { path });
        }
        Ok(Self { path, bytes, identity: Some(before) })
    }

    /// Where the file really is: the path with every symbolic link followed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it held.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it held, without the file.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether there was a file.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.identity.is_some()
    }

    /// Makes the file hold `bytes`; a new one is readable by all (`rw-r--r--`).
    ///
    /// # Errors
    /// Every [`AtomicError`].
    pub fn replace(&self, bytes: &[u8]) -> Result<Outcome, AtomicError> {
        Replacement::new(self, bytes).run()
    }

    /// The directory and the file's name in it.
    pub(crate) fn place(&self) -> Result<(&Path, &OsStr), AtomicError> {
        match (self.path.parent(), self.path.file_name()) {
            (Some(directory), Some(name)) if directory.as_os_str().is_empty() => Ok((Path::new("."), name)),
            (Some(directory), Some(name)) => Ok((directory, name)),
            _ => Err(AtomicError::NotRegular { path: self.path.clone() }),
        }
    }

    /// Whether the path still names the file that was read, with the same bytes; or still none.
    pub(crate) fn is_current(&self) -> Result<bool, AtomicError> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Ok(false), // a link, a pipe: not opened, it may block
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.identity.is_none()),
            Err(error) => return Err(AtomicError::io("look at", &self.path)(error)),
        }
        let now = File::open(&self.path).map_err(AtomicError::io("open", &self.path))?;
        let identity = Identity::of_file(&now).map_err(AtomicError::io("look at", &self.path))?;
        if Some(&identity) != self.identity.as_ref() {
            return Ok(false);
        }
        let mut bytes = Vec::with_capacity(self.bytes.len());
        // One octet more than expected is enough to see that it grew.
        let limit = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX).saturating_add(1);
        now.take(limit).read_to_end(&mut bytes).map_err(AtomicError::io("read", &self.path))?;
        Ok(bytes == self.bytes)
    }
}

/// Follows symbolic links, also one that points at nothing yet: there the new file is made.
fn resolve(path: &Path) -> Result<PathBuf, AtomicError> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match std::fs::canonicalize(&path) {
            Ok(found) => return Ok(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(AtomicError::io("find", &path)(error)),
        }
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or_else(|| Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(AtomicError::io("find", &path)(io::Error::other("too many levels of symbolic links")))
}
