//! Replace a file whole or not at all, and leave everything about it but its bytes as it was.
//!
//! Made for the files an administrator also edits (`/etc/sysctl.conf`, `ntp.conf`, `/etc/adjtime`, a drift file): read it
//! as a [`Snapshot`], work out the new bytes, [`replace`](Snapshot::replace) it.
//!
//! - **Atomic and durable**: a temporary file in the same directory, fsync, rename, fsync of the directory. Whatever
//!   kills the writer, the file is the old or the new one.
//! - **Nothing else is left**: on Linux the temporary file has no name (`O_TMPFILE`) before it is whole, dressed and on the
//!   disk, so that it vanishes with its writer; a file that did not exist is linked to its own name at once. Only between the
//!   naming and the rename of a file that existed can a whole copy stay: linkat(2) knows no flag to replace, and fails with
//!   `EEXIST`. Where a file system has no such files, the temporary one has its name from the start.
//! - **No write at all** when the bytes are equal: no rename, no new inode, no new date.
//! - **Symbolic links are followed**: the target is replaced, the link stays a link.
//! - **Mode, owner and extended attributes** (ACLs, SELinux labels) are kept; where the owner cannot be kept the
//!   replacement is refused. Hard links to the old file keep the old bytes, as with every rename.
//! - **Refused when the file changed meanwhile**, by inode, size, dates or bytes; a file that appeared meanwhile is not
//!   overwritten.
//! - **Leftovers are cleared**: a temporary name says whose it is (`.NAME.PID-COUNT.atomic`); the next replacement of
//!   that file removes those whose writer is gone.
//!
//! The crates that exist for this (`atomic-write-file`, `tempfile`) rename and keep the mode, but neither follow links,
//! keep attributes, notice another writer, nor find what a killed predecessor left.
//!
//! ```
//! use std::path::Path;
//!
//! use atomic_file::{Outcome, Snapshot};
//!
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//! let path = Path::new("ntp.drift");
//! let file = Snapshot::read(path)?; // a missing file reads as empty
//! assert_eq!(file.replace(b"-7.313\n")?, Outcome::Created);
//! let file = Snapshot::read(path)?;
//! assert_eq!(file.bytes(), b"-7.313\n");
//! assert_eq!(file.replace(b"-7.313\n")?, Outcome::Unchanged);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod identity;
mod metadata;
mod replace;
mod snapshot;
mod temporary;

use std::io;
use std::path::{Path, PathBuf};

pub use replace::{Outcome, Replacement, Step};
pub use snapshot::Snapshot;

/// Why a file was not read or not replaced. Whichever it is, the file still holds its old bytes, except after
/// [`NotDurable`](AtomicError::NotDurable).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AtomicError {
    /// A system call failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path names a directory, a device, a pipe or a socket.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The path, links followed.
        path: PathBuf,
    },
    /// The file is longer than any that is read here.
    #[error("{} has more than {most} octets", path.display())]
    TooLong {
        /// The path, links followed.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
    /// The file is no longer the one that was read.
    #[error("{} was changed by someone else meanwhile", path.display())]
    Changed {
        /// The path, links followed.
        path: PathBuf,
    },
    /// The new file is in place, but the directory could not be flushed: after a power loss it may be the old one.
    #[error("{} is replaced, but its directory could not be flushed: {source}", path.display())]
    NotDurable {
        /// The path, links followed.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl AtomicError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// What the system said, where it was the system.
    #[must_use]
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } | Self::NotDurable { source, .. } => Some(source.kind()),
            Self::NotRegular { .. } | Self::TooLong { .. } | Self::Changed { .. } => None,
        }
    }
}

/// What `path` holds, read as [`Snapshot::read`] does; here a file that does not exist is an error.
///
/// # Errors
/// As that, and [`AtomicError::Io`] of the kind `NotFound`.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, AtomicError> {
    let file = Snapshot::read(path)?;
    if !file.exists() {
        let error = std::fs::metadata(file.path()).err().unwrap_or_else(|| io::ErrorKind::NotFound.into());
        return Err(AtomicError::io("open", file.path())(error));
    }
    Ok(file.into_bytes())
}

/// Makes `path` hold `bytes`, whatever it held: [`Snapshot::read`] and [`Snapshot::replace`] in one.
///
/// # Errors
/// As both.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Outcome, AtomicError> {
    Snapshot::read(path)?.replace(bytes)
}
