//! Owner, mode and extended attributes of the old file put on the new one.

use std::fs::File;
use std::path::Path;

use crate::AtomicError;

/// What a file has beside its bytes goes from `old` to `new`; both are open.
///
/// In this order because changing the owner clears set-user-id bits and file capabilities.
#[cfg(unix)]
pub(crate) fn copy(old: &File, new: &File, path: &Path) -> Result<(), AtomicError> {
    use std::os::unix::fs::MetadataExt as _;

    let had = old.metadata().map_err(AtomicError::io("look at", path))?;
    let has = new.metadata().map_err(AtomicError::io("look at the copy of", path))?;
    if (had.uid(), had.gid()) != (has.uid(), has.gid()) {
        std::os::unix::fs::fchown(new, Some(had.uid()), Some(had.gid()))
            .map_err(AtomicError::io("keep the owner of", path))?;
    }
    #[cfg(target_os = "linux")]
    attributes::copy(old, new).map_err(AtomicError::io("keep the extended attributes of", path))?;
    set_mode(new, had.mode() & 0o7777, path)
}

/// Elsewhere the mode is all that std knows.
#[cfg(not(unix))]
pub(crate) fn copy(old: &File, new: &File, path: &Path) -> Result<(), AtomicError> {
    let had = old.metadata().map_err(AtomicError::io("look at", path))?;
    new.set_permissions(had.permissions()).map_err(AtomicError::io("keep the mode of", path))
}

/// Sets the permission bits, whatever the umask says.
#[cfg(unix)]
pub(crate) fn set_mode(file: &File, mode: u32, path: &Path) -> Result<(), AtomicError> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    file.set_permissions(permissions).map_err(AtomicError::io("set the mode of", path))
}

#[cfg(not(unix))]
pub(crate) fn set_mode(_: &File, _: u32, _: &Path) -> Result<(), AtomicError> {
    Ok(())
}

#[cfg(target_os = "linux")]
mod attributes {
    use std::ffi::CStr;
    use std::fs::File;
    use std::io;

    use rustix::fs::{fgetxattr, flistxattr, fremovexattr, fsetxattr, XattrFlags};
    use rustix::io::Errno;

    /// The kernel's limits of one attribute and of the list of names.
    const MAX: usize = 65_536;

    /// An access list of the directory's making, which the old file need not have.
    const ACCESS_LIST: &CStr = c"system.posix_acl_access";

    pub(super) fn copy(old: &File, new: &File) -> io::Result<()> {
        let mut names = vec![0_u8; MAX];
        let length = match flistxattr(old, &mut names[..]) {
            Err(Errno::NOTSUP) => return Ok(()), // a file system without attributes has none to keep
            other => other?,
        };
        names.truncate(length);
        let names: Vec<&CStr> = names
            .split_inclusive(|&octet| octet == 0)
            .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
            .collect();
        if !names.contains(&ACCESS_LIST) {
            match fremovexattr(new, ACCESS_LIST) {
                Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut value = vec![0_u8; MAX];
        for name in names {
            let length = match fgetxattr(old, name, &mut value[..]) {
                Err(Errno::NODATA) => continue, // removed since it was listed
                other => other?,
            };
            match fsetxattr(new, name, value.get(..length).unwrap_or_default(), XattrFlags::empty()) {
                Ok(()) => {}
                // Labels that only the system's own services may set: the new file has what its directory gives it.
                Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if is_privileged(name) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn is_privileged(name: &CStr) -> bool {
        name.to_bytes().starts_with(b"security.") || name.to_bytes().starts_with(b"trusted.")
    }
}
