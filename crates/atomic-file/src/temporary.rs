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

/// A temporary file; removed on drop unless it was renamed.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) file: File,
    path: PathBuf,
    is_placed: bool,
}

impl Temporary {
    /// Creates one beside `name`, readable and writable by the owner only until it gets its mode.
    pub(crate) fn create(directory: &Path, name: &OsStr) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true); // follows no link and opens no file that is there
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut temporary = prefix(name);
        temporary.push(format!("{}-{count}{SUFFIX}", std::process::id()));
        let path = directory.join(temporary);
        let file = match options.open(&path) {
            // This process has not used the name: an earlier one of the same number left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::remove_file(&path)?;
                options.open(&path)?
            }
            other => other?,
        };
        Ok(Self { file, path, is_placed: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says that it bears its final name now.
    pub(crate) fn placed(mut self) {
        self.is_placed = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = std::fs::remove_file(&self.path); // the next replacement removes it
        }
    }
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
