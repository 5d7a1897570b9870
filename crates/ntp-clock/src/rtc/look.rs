//! Looking at the hardware clock with whatever access there is.

use core::time::Duration;
use std::path::{Path, PathBuf};

use crate::rtc::{Edge, Rtc, RtcError, SysfsRtc, Validity};
use crate::Errno;

/// What an ordinary user can find out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Look {
    /// Where it was read: the device, or its directory in sysfs.
    pub path: PathBuf,
    /// The driver's name.
    pub driver: Option<String>,
    /// The beginning of a second.
    pub edge: Edge,
    /// Whether its time can be believed, where the device could be asked.
    pub validity: Option<Validity>,
    /// The correction of its rate in parts per billion, where the driver has one.
    pub correction_ppb: Option<i64>,
}

/// Reads the hardware clock at an edge: through the device, or through sysfs where the device is taken or not permitted.
///
/// # Errors
/// [`RtcError`] of the device when neither way leads to it.
pub fn look(device: Option<&Path>, limit: Duration) -> Result<Look, RtcError> {
    let opened = match device {
        Some(path) => Rtc::open_at(path),
        None => Rtc::open(),
    };
    let denied = match opened {
        Ok(rtc) => {
            return Ok(Look {
                path: rtc.device().path().to_path_buf(),
                driver: rtc.driver().map(str::to_owned),
                edge: rtc.read_at_edge(limit)?,
                validity: Some(rtc.validity()?),
                correction_ppb: rtc.correction_ppb()?,
            });
        }
        Err(error) => error,
    };
    if !matches!(denied.errno(), Some(Errno::EACCES | Errno::EPERM | Errno::EBUSY)) {
        return Err(denied);
    }
    let sysfs = match device.and_then(Path::file_name) {
        Some(name) if name != "rtc" => SysfsRtc::at(Path::new("/sys/class/rtc").join(name)),
        _ => SysfsRtc::new(),
    };
    match sysfs.read_at_edge(limit) {
        Ok(edge) => Ok(Look {
            path: sysfs.directory().to_path_buf(),
            driver: sysfs.driver().ok(),
            edge,
            validity: None,
            correction_ppb: None,
        }),
        Err(RtcError::File { .. }) => Err(denied),
        Err(error) => Err(error),
    }
}
