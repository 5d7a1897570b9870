//! What tells one state of a file from another.

use std::fs::{File, Metadata};
use std::io;

/// Which file it is and when it was last touched. Two states of equal identity may still differ in bytes, when they were
/// written within one tick of the file system's clock: the bytes are compared beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    length: u64,
    modified: Option<std::time::SystemTime>,
    #[cfg(unix)]
    inode: (u64, u64),
    /// Changes with mode, owner and links too, so that those are not undone either.
    #[cfg(unix)]
    changed: (i64, i64),
}

impl Identity {
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino()),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
