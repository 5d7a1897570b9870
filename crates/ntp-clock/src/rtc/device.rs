//! The device's calls, as a table that a test can stand in for.

use core::fmt;
use core::time::Duration;
use std::fs::File;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use crate::linux as platform;
#[cfg(not(target_os = "linux"))]
use crate::other as platform;
use crate::rtc::{RtcError, RtcTime};
use crate::{ClockError, Errno, Operation};

/// The calls a hardware clock answers.
///
/// # Errors
/// Each returns the errno.
#[allow(clippy::missing_errors_doc)] // said once, above
pub trait RtcDevice: fmt::Debug {
    /// `RTC_RD_TIME`.
    fn read_time(&self) -> Result<RtcTime, Errno>;
    /// `RTC_SET_TIME`.
    fn set_time(&self, time: &RtcTime) -> Result<(), Errno>;
    /// `RTC_UIE_ON` and `RTC_UIE_OFF`: whether each second is announced.
    fn update_interrupt(&self, is_on: bool) -> Result<(), Errno>;
    /// Waits for an announcement and takes it; `false` when none came in time.
    fn wait(&self, limit: Duration) -> Result<bool, Errno>;
    /// `RTC_PARAM_GET`.
    fn parameter(&self, parameter: u64) -> Result<u64, Errno>;
    /// `RTC_PARAM_SET`.
    fn set_parameter(&self, parameter: u64, value: u64) -> Result<(), Errno>;
    /// `RTC_VL_READ`.
    fn voltage(&self) -> Result<u32, Errno>;
    /// `RTC_VL_CLR`.
    fn clear_voltage(&self) -> Result<(), Errno>;
}

/// A parameter of the driver.
///
/// Source: `<linux/rtc.h>`, `RTC_PARAM_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parameter {
    /// What the chip can do, a bit each.
    Features,
    /// Correction of its rate, in parts per billion, signed.
    Correction,
    /// When it switches to the battery: 0 never, 1 directly, 2 by level, 3 standby.
    BackupSwitchMode,
    /// One this version does not know.
    Other(u64),
}

impl Parameter {
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Features => 0,
            Self::Correction => 1,
            Self::BackupSwitchMode => 2,
            Self::Other(number) => number,
        }
    }
}

/// What the chip says about its supply.
///
/// Source: `<linux/rtc.h>`, `RTC_VL_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VoltageFlags(pub u32);

impl VoltageFlags {
    /// The time is lost.
    #[must_use]
    pub const fn is_data_invalid(self) -> bool {
        self.0 & 1 != 0
    }

    /// The battery is weak.
    #[must_use]
    pub const fn is_backup_low(self) -> bool {
        self.0 & 2 != 0
    }

    /// The battery is empty.
    #[must_use]
    pub const fn is_backup_empty(self) -> bool {
        self.0 & 4 != 0
    }

    /// The voltage is too low for the stated accuracy.
    #[must_use]
    pub const fn is_accuracy_low(self) -> bool {
        self.0 & 8 != 0
    }

    /// It has run on the battery.
    #[must_use]
    pub const fn has_switched_to_backup(self) -> bool {
        self.0 & 16 != 0
    }
}

/// The words of the flags set: `backup low, accuracy low`; `good` when none is.
impl fmt::Display for VoltageFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = ["data invalid", "backup low", "backup empty", "accuracy low", "was on backup"];
        let mut separator = "";
        for (bit, word) in words.iter().enumerate() {
            if self.0 & 1 << bit != 0 {
                write!(f, "{separator}{word}")?;
                separator = ", ";
            }
        }
        if self.0 >> words.len() != 0 {
            write!(f, "{separator}{:#x}", self.0 >> words.len() << words.len())?;
        } else if separator.is_empty() {
            f.write_str("good")?;
        }
        Ok(())
    }
}

/// Whether the clock's time can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Validity {
    /// Whether it gives a time at all, and one that is a date.
    pub has_time: bool,
    /// What it says about its supply, where the driver knows.
    pub voltage: Option<VoltageFlags>,
}

impl Validity {
    /// Whether nothing speaks against the time.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.has_time && !self.voltage.is_some_and(VoltageFlags::is_data_invalid)
    }
}

/// The device of the machine, open: nobody else can have it meanwhile.
#[derive(Debug)]
pub struct DeviceFile {
    file: File,
    path: PathBuf,
}

impl DeviceFile {
    /// The places where a hardware clock is, in order.
    pub const PLACES: [&'static str; 3] = ["/dev/rtc", "/dev/rtc0", "/dev/misc/rtc"];

    /// Opens the first that is there.
    ///
    /// # Errors
    /// [`RtcError::NotFound`] when there is none; [`RtcError::System`] when one is there and cannot be opened: `EBUSY` while
    /// another program has it, `EACCES` without permission.
    pub fn open_default() -> Result<Self, RtcError> {
        let mut missing = ClockError::system(Operation::Open, Errno::ENOENT);
        for place in Self::PLACES {
            match Self::open(place) {
                Err(RtcError::NotFound { error, .. }) => missing = error,
                other => return other,
            }
        }
        Err(RtcError::NotFound { tried: Self::PLACES.join(", "), error: missing })
    }

    /// Opens a device.
    ///
    /// # Errors
    /// [`RtcError::NotFound`] when there is none; [`RtcError::System`] when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RtcError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| {
            let errno = Errno(error.raw_os_error().unwrap_or(Errno::EIO.0));
            let error = ClockError::system(Operation::Open, errno);
            match errno {
                Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => {
                    RtcError::NotFound { tried: path.display().to_string(), error }
                }
                _ => error.into(),
            }
        })?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The driver's name, `rtc_cmos` on a PC; `None` where sysfs does not say.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        let number = platform::device_number(&self.file)?;
        let name = std::fs::read_to_string(format!("/sys/dev/char/{number}/name")).ok()?;
        name.split_whitespace().next().map(str::to_owned)
    }
}

impl RtcDevice for DeviceFile {
    fn read_time(&self) -> Result<RtcTime, Errno> {
        platform::rtc_read_time(&self.file)
    }

    fn set_time(&self, time: &RtcTime) -> Result<(), Errno> {
        platform::rtc_set_time(&self.file, time)
    }

    fn update_interrupt(&self, is_on: bool) -> Result<(), Errno> {
        platform::rtc_update_interrupt(&self.file, is_on)
    }

    fn wait(&self, limit: Duration) -> Result<bool, Errno> {
        platform::rtc_wait(&self.file, limit)
    }

    fn parameter(&self, parameter: u64) -> Result<u64, Errno> {
        platform::rtc_parameter(&self.file, parameter)
    }

    fn set_parameter(&self, parameter: u64, value: u64) -> Result<(), Errno> {
        platform::rtc_set_parameter(&self.file, parameter, value)
    }

    fn voltage(&self) -> Result<u32, Errno> {
        platform::rtc_voltage(&self.file)
    }

    fn clear_voltage(&self) -> Result<(), Errno> {
        platform::rtc_clear_voltage(&self.file)
    }
}
