//! Reading the hardware clock without opening it: through sysfs, while another program has the device.

use core::time::Duration;
use std::path::{Path, PathBuf};

use ntp_types::UnixTime;

use crate::kernel::{ClockId, Host, Kernel};
use crate::rtc::{Edge, EdgeMethod, RtcError};
use crate::sample::{monotonic, read_at};

/// A hardware clock as `/sys/class/rtc/rtcN` shows it. It needs no privilege and disturbs nobody.
#[derive(Debug, Clone)]
pub struct SysfsRtc<K = Host> {
    directory: PathBuf,
    kernel: K,
}

impl SysfsRtc {
    /// `/sys/class/rtc/rtc0`.
    #[must_use]
    pub fn new() -> Self {
        Self::at("/sys/class/rtc/rtc0")
    }

    /// Another clock's directory.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), kernel: Host }
    }
}

impl Default for SysfsRtc {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Kernel> SysfsRtc<K> {
    /// With another table of system calls.
    #[must_use]
    pub fn with_kernel(directory: impl Into<PathBuf>, kernel: K) -> Self {
        Self { directory: directory.into(), kernel }
    }

    /// The second it shows, in the scale the chip keeps.
    ///
    /// # Errors
    /// [`RtcError`] when the file cannot be read (the kernel says `EINVAL` when the chip has lost its time) or holds no number.
    pub fn read(&self) -> Result<UnixTime, RtcError> {
        let (path, text) = self.file("since_epoch")?;
        match text.trim().parse() {
            Ok(seconds) => Ok(UnixTime::from_seconds(seconds)),
            Err(_) => Err(RtcError::Content { path, found: text.trim().chars().take(40).collect() }),
        }
    }

    /// Waits for the next second to begin, looking every millisecond.
    ///
    /// # Errors
    /// [`RtcError::NoTick`] when none begins within `limit`; else as [`read`](Self::read).
    pub fn read_at_edge(&self, limit: Duration) -> Result<Edge, RtcError> {
        let deadline = monotonic(&self.kernel)? + limit;
        let before = self.read()?;
        loop {
            self.kernel.sleep(Duration::from_millis(1));
            let rtc = self.read()?;
            let (system, at) = read_at(&self.kernel, ClockId::Realtime)?;
            if rtc != before {
                return Ok(Edge { rtc, system, at, method: EdgeMethod::Sysfs });
            }
            if at >= deadline {
                return Err(RtcError::NoTick { limit });
            }
        }
    }

    /// The driver's name.
    ///
    /// # Errors
    /// [`RtcError::File`] when it cannot be read.
    pub fn driver(&self) -> Result<String, RtcError> {
        let (_, text) = self.file("name")?;
        Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Whether the kernel set its clock from this one when it booted.
    ///
    /// # Errors
    /// [`RtcError::File`] when it cannot be read.
    pub fn did_set_the_system(&self) -> Result<bool, RtcError> {
        Ok(self.file("hctosys")?.1.trim() == "1")
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn file(&self, name: &str) -> Result<(PathBuf, String), RtcError> {
        let path = self.directory.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(error) => Err(RtcError::File { path, error }),
        }
    }
}
