//! Temporary files that name their writer, so that what a killed one left can be told from one at work.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// End of every temporary name.
const SUFFIX: &str = ".atomic";

/// Tells apart the temporary files of one process. Only the name depends on it.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A temporary file; removed on drop unless it was put in its place.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) file: File,
    path: PathBuf,
    /// Whether the path names the file: what has no name vanishes by itself, however the process ends.
    is_named: bool,
}

impl Temporary {
    /// Creates one in the directory that has no name yet; `None` where the system or the file system knows none.
    #[cfg(target_os = "linux")]
    pub(crate) fn unnamed(directory: &Path, name: &OsStr) -> Option<Self> {
        use rustix::fs::{open, Mode, OFlags};

        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = open(directory, flags, Mode::RUSR | Mode::WUSR).ok()?; // whatever hinders it hinders or spares the other way
        Some(Self { file: file.into(), path: temporary_path(directory, name), is_named: false })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn unnamed(_: &Path, _: &OsStr) -> Option<Self> {
        None
    }

    /// Creates one beside `name`, readable and writable by the owner only until it gets its mode.
    pub(crate) fn named(directory: &Path, name: &OsStr) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true); // follows no link and opens no file that is there
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let path = temporary_path(directory, name);
        let file = without_leftover(&path, || options.open(&path))?;
        Ok(Self { file, path, is_named: true })
    }

    /// Whether it can be seen in its directory.
    pub(crate) fn is_named(&self) -> bool {
        self.is_named
    }

    /// Gives it its temporary name if it has none.
    pub(crate) fn name(&mut self) -> io::Result<()> {
        if !self.is_named {
            without_leftover(&self.path, || link(&self.file, &self.path))?;
            self.is_named = true;
        }
        Ok(())
    }

    /// Puts it in the place of the file that is there; it has its temporary name.
    pub(crate) fn replace(&mut self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, path)?;
        self.is_named = false;
        Ok(())
    }

    /// Puts it where no file is.
    pub(crate) fn create(&mut self, path: &Path) -> io::Result<()> {
        if self.is_named {
            rename_new(&self.path, path)?;
            self.is_named = false;
            Ok(())
        } else {
            link(&self.file, path)
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.is_named {
            let _ = std::fs::remove_file(&self.path); // the next replacement removes it
        }
    }
}

/// Names an open file that has no name: through `/proc`, because by the descriptor alone it takes a privilege.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{linkat, AtFlags, CWD};

    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, open.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A rename that does not overwrite; where the file system knows none, one that was preceded by a look.
#[cfg(target_os = "linux")]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{renameat_with, RenameFlags, CWD};
    use rustix::io::Errno;

    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::rename(from, to),
        other => other.map_err(io::Error::from),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Makes what bears a temporary name of this process; what is there already was left by an earlier one of the same number.
fn without_leftover<T>(path: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            make()
        }
        other => other,
    }
}

fn temporary_path(directory: &Path, name: &OsStr) -> PathBuf {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut temporary = prefix(name);
    temporary.push(format!("{}-{count}{SUFFIX}", std::process::id()));
    directory.join(temporary)
}

/// Removes the temporary files of `name` whose writer is gone. What cannot be listed or removed stays: it harms nothing.
pub(crate) fn remove_leftovers(directory: &Path, name: &OsStr) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if writer(&entry.file_name(), name).is_some_and(|process| !is_alive(process)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The process number in a temporary name of `name`.
fn writer(temporary: &OsStr, name: &OsStr) -> Option<u32> {
    let prefix = prefix(name);
    let rest = temporary.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes())?;
    let rest = std::str::from_utf8(rest).ok()?.strip_suffix(SUFFIX)?;
    let (process, count) = rest.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    if is_number(process) && is_number(count) {
        process.parse().ok()
    } else {
        None
    }
}

/// Whether a process of that number runs; taken as running where that cannot be known.
fn is_alive(process: u32) -> bool {
    process == std::process::id()
        || !Path::new("/proc/self").exists()
        || Path::new("/proc").join(process.to_string()).exists()
}

fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_dead_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let name = OsStr::new("a");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let left = directory.path().join(format!(".a.{}-0.atomic", child.id()));
        std::fs::write(&left, "").unwrap();
        let at_work = Temporary::named(directory.path(), name).unwrap();
        remove_leftovers(directory.path(), name);
        assert!(!left.exists() || !Path::new("/proc/self").exists());
        assert!(at_work.path.exists());
    }

    /// Both kinds are put in place, and neither overwrites what it should not.
    #[test]
    fn named_or_not_it_is_put_in_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let name = OsStr::new("a");
        let both = || [Temporary::named(directory.path(), name).ok(), Temporary::unnamed(directory.path(), name)];
        for mut temporary in both().into_iter().flatten() {
            temporary.create(&path).unwrap();
            assert!(!temporary.is_named);
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::write(&path, "old").unwrap();
        for mut temporary in both().into_iter().flatten() {
            assert_eq!(temporary.create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            temporary.name().unwrap();
            temporary.replace(&path).unwrap();
            std::fs::write(&path, "old").unwrap();
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_exact_names_are_leftovers() {
        let name = OsStr::new("sysctl.conf");
        assert_eq!(writer(OsStr::new(".sysctl.conf.71-0.atomic"), name), Some(71));
        for other in ["sysctl.conf", ".sysctl.conf.swp", ".sysctl.conf.71.atomic", ".sysctl.conf.-1.atomic"] {
            assert_eq!(writer(OsStr::new(other), name), None, "{other}");
        }
        for other in [".sysctl.conf.+1-2.atomic", ".sysctl.conf.1-x.atomic", ".other.conf.71-0.atomic"] {
            assert_eq!(writer(OsStr::new(other), name), None, "{other}");
        }
    }
}
