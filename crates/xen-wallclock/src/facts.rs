//! What the machine says of itself: read, not judged.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Longest text that is read from a file of the kernel's.
const MAX_TEXT: u64 = 4096;

/// Texts of the kernel's files as they are; `None` where there is no such file or it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)] // plain data, to be made up in tests
pub struct Facts {
    /// `/proc/sys/xen/independent_wallclock`.
    pub switch: Option<String>,
    /// `/sys/hypervisor/type`: `xen` in every Xen guest.
    pub hypervisor: Option<String>,
    /// `/sys/hypervisor/guest_type`: `PV`, `HVM` or `PVH`, since Linux 4.11.
    pub guest_type: Option<String>,
    /// `/sys/hypervisor/uuid`: all zero in dom0.
    pub uuid: Option<String>,
    /// `/sys/hypervisor/properties/features`: hexadecimal, bit 11 in dom0.
    pub features: Option<String>,
    /// `/sys/hypervisor/version/major`.
    pub version_major: Option<String>,
    /// `/sys/hypervisor/version/minor`.
    pub version_minor: Option<String>,
    /// `/proc/xen/capabilities`: `control_d` in dom0, empty elsewhere.
    pub capabilities: Option<String>,
    /// `/proc/device-tree/hypervisor/compatible`: begins with `xen,` on Arm.
    pub device_tree: Option<String>,
    /// `/sys/class/dmi/id/sys_vendor`: `Xen` in guests with firmware.
    pub vendor: Option<String>,
    /// `/sys/devices/system/clocksource/clocksource0/current_clocksource`.
    pub clocksource: Option<String>,
    /// `/sys/devices/system/clocksource/clocksource0/available_clocksource`.
    pub available_clocksources: Option<String>,
    /// `/proc/sys/kernel/osrelease`.
    pub kernel: Option<String>,
    /// Files that are there and could not be read.
    pub unreadable: Vec<PathBuf>,
}

impl Facts {
    /// Reads them below `root`: `/` for this machine.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut unreadable = Vec::new();
        let mut text = |path: &str| {
            let path = root.join(path);
            match read_text(&path) {
                Ok(text) => Some(text),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => None,
                Err(_) => {
                    unreadable.push(path);
                    None
                }
            }
        };
        Self {
            switch: text(crate::SWITCH),
            hypervisor: text("sys/hypervisor/type"),
            guest_type: text("sys/hypervisor/guest_type"),
            uuid: text("sys/hypervisor/uuid"),
            features: text("sys/hypervisor/properties/features"),
            version_major: text("sys/hypervisor/version/major"),
            version_minor: text("sys/hypervisor/version/minor"),
            capabilities: text("proc/xen/capabilities"),
            device_tree: text("proc/device-tree/hypervisor/compatible"),
            vendor: text("sys/class/dmi/id/sys_vendor"),
            clocksource: text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            available_clocksources: text("sys/devices/system/clocksource/clocksource0/available_clocksource"),
            kernel: text("proc/sys/kernel/osrelease"),
            unreadable,
        }
    }
}

/// A short file as text; octets that are not UTF-8 are replaced.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    open(path, OpenOptions::new().read(true))?.take(MAX_TEXT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Opens what is no pipe: that would wait for its other end, maybe for ever.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    if is_pipe(std::fs::metadata(path)?.file_type()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is a pipe"));
    }
    options.open(path)
}

#[cfg(unix)]
fn is_pipe(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind)
}

#[cfg(not(unix))]
fn is_pipe(_: FileType) -> bool {
    false
}
