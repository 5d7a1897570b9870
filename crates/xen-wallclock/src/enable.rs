//! Switching the independent wall clock on, now.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::facts::{open, read_text};
use crate::{Facts, Situation, WallClock, SWITCH};

/// What switching on did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // the decision's whole range
#[must_use]
pub enum Enabled {
    /// It was off and is on: read back.
    Switched,
    /// It was on.
    AlreadyOn,
    /// The kernel has no switch: it is always independent.
    NotNeeded,
}

/// Why the switch is not on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnableError {
    /// This is no Xen guest.
    #[error("this is not a Xen guest: there is nothing to enable")]
    NotXen,
    /// It was not permitted.
    #[error("cannot write {}: {source} (this needs root)", path.display())]
    NotPermitted {
        /// The switch.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It could not be written or read back.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The switch.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It was written, and the kernel says something else.
    #[error("{} still says {says:?} after 1 was written", path.display())]
    Refused {
        /// The switch.
        path: PathBuf,
        /// What it says.
        says: String,
    },
}

/// Switches the independent wall clock on below `root` and reads it back. Never creates the switch.
///
/// # Errors
/// [`EnableError`]; a kernel without the switch is none, if it runs under Xen.
pub fn enable(root: &Path) -> Result<Enabled, EnableError> {
    match Situation::of(&Facts::read(root)).wall_clock {
        WallClock::NotXen => return Err(EnableError::NotXen),
        WallClock::AlwaysGuest => return Ok(Enabled::NotNeeded),
        WallClock::Guest => return Ok(Enabled::AlreadyOn),
        WallClock::Hypervisor | WallClock::Unknown => {}
    }
    let path = root.join(SWITCH);
    let fail = |action| {
        let path = path.clone();
        move |source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied => EnableError::NotPermitted { path, source },
            _ => EnableError::Io { action, path, source },
        }
    };
    // What `echo 1 >` does, but for creating a file.
    let mut file = open(&path, OpenOptions::new().write(true)).map_err(fail("open"))?;
    file.write_all(b"1\n").map_err(fail("write"))?;
    drop(file);
    let says = read_text(&path).map_err(fail("read back"))?;
    if says.trim() == "1" {
        Ok(Enabled::Switched)
    } else {
        Err(EnableError::Refused { path, says: says.trim().to_string() })
    }
}
