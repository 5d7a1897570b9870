//! What can go wrong at the hardware clock.

use core::time::Duration;

use atomic_file::AtomicError;

use crate::rtc::RtcTimeError;
use crate::{ClockError, Errno, Operation};

/// The hardware clock could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RtcError {
    /// There is none: none of the places where one would be can be opened.
    #[error("no hardware clock at {tried}: {error}{}", hint(.error))]
    NotFound {
        /// The places.
        tried: String,
        /// What the last of them said.
        error: ClockError,
    },
    /// A system call failed.
    #[error(transparent)]
    System(#[from] ClockError),
    /// The chip holds no date, or cannot hold this one.
    #[error(transparent)]
    Time(#[from] RtcTimeError),
    /// No second began within the limit: the clock stands still.
    #[error("the hardware clock did not tick within {limit:?}")]
    NoTick {
        /// The limit.
        limit: Duration,
    },
    /// The machine was too busy to hit the moment for writing.
    #[error("the moment for setting the hardware clock was missed {attempts} times, last by {late:?}")]
    TooBusy {
        /// How often.
        attempts: u32,
        /// By how much at the end.
        late: Duration,
    },
    /// The system clock is not synchronised, so its time is not worth keeping.
    #[error(
        "the system clock is not synchronised (maximum error {max_error_millis} ms); the hardware clock was left alone"
    )]
    Unsynchronized {
        /// The kernel's maximum error.
        max_error_millis: i64,
    },
    /// `/etc/adjtime` could not be read or replaced.
    #[error(transparent)]
    AdjTime(#[from] AtomicError),
    /// A file of the kernel's could not be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}: {found:?} is not a number of seconds", path.display())]
    Content {
        /// The file.
        path: std::path::PathBuf,
        /// What it holds, cut to 40 characters.
        found: String,
    },
}

fn hint(error: &ClockError) -> &'static str {
    match error.errno() {
        Some(Errno::ENOENT) => "; containers and Xen PV guests have none",
        _ => "",
    }
}

impl RtcError {
    pub(crate) fn system(operation: Operation, errno: Errno) -> Self {
        Self::System(ClockError::system(operation, errno))
    }

    /// The error of a time zone that could not be asked.
    #[must_use]
    pub fn zone(errno: Errno) -> Self {
        Self::system(Operation::TimeZone, errno)
    }

    /// The system's number, when it was the system that refused.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::System(error) | Self::NotFound { error, .. } => error.errno(),
            _ => None,
        }
    }
}
