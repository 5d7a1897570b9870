//! Key files: which keys a program takes from one, and what it has to say about it.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use atomic_file::AtomicError;
use ntp_proto::keys::{Dialect, Entry, Keys};
use ntp_proto::mac::{KeyRing, SharedKey};

/// The keys of a file.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    ring: KeyRing,
    complaints: Vec<String>,
}

/// A key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoKey {
    /// The file cannot be read.
    #[error("keys: {0}")]
    Unreadable(#[from] AtomicError),
    /// The file does not hold it.
    #[error("no key {id} in {}{}", path.display(), complaints.iter().map(|why| format!("\n  {why}")).collect::<String>())]
    Missing {
        /// The key asked for.
        id: NonZeroU32,
        /// The file.
        path: PathBuf,
        /// What was found wrong with it.
        complaints: Vec<String>,
    },
}

impl KeyFile {
    /// Reads a file of a daemon's, or of whose it must be. A line that holds no key is left out and complained about.
    ///
    /// # Errors
    /// [`NoKey::Unreadable`].
    pub fn read(path: &Path, dialect: Option<Dialect>) -> Result<Self, NoKey> {
        let text = atomic_file::read(path)?;
        let mode = std::fs::metadata(path).map_or(0, |data| mode_of(&data));
        let mut complaints = Vec::new();
        if mode & 0o007 != 0 {
            let path = path.display();
            complaints.push(format!("{path}: keys that everybody can read or write are no secret: chmod o= {path}"));
        }
        let mut ring = KeyRing::new();
        for entry in Keys::new(dialect.unwrap_or_else(|| Dialect::of_text(&text)), &text) {
            let key = entry.map_err(|error| error.to_string()).and_then(|entry| take(&entry));
            match key {
                Ok(key) => drop(ring.insert(key)),
                Err(why) => complaints.push(format!("{}: {why}", path.display())),
            }
        }
        Ok(Self { path: path.into(), ring, complaints })
    }

    /// The key with an id.
    ///
    /// # Errors
    /// [`NoKey::Missing`].
    pub fn key(&self, id: NonZeroU32) -> Result<SharedKey, NoKey> {
        let missing = || NoKey::Missing { id, path: self.path.clone(), complaints: self.complaints.clone() };
        self.ring.get(id.get()).cloned().ok_or_else(missing)
    }

    /// All of them.
    #[must_use]
    pub fn into_ring(self) -> KeyRing {
        self.ring
    }

    /// What was found wrong with the file.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }
}

/// The key of a line, unless only some addresses may use it: to take it for all would be to say more than was said.
fn take(entry: &Entry<'_>) -> Result<SharedKey, String> {
    let (line, id) = (entry.line, entry.id);
    if !entry.addresses.is_empty() {
        return Err(format!("line {line}: key {id} is for some addresses only, which is not supported: not used"));
    }
    entry.key().map(|key| SharedKey::new(id, key)).map_err(|error| format!("line {line}: {error}"))
}

#[cfg(unix)]
fn mode_of(data: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(data)
}

#[cfg(not(unix))]
fn mode_of(_: &std::fs::Metadata) -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn what_is_wrong_is_said_and_what_is_right_is_taken() {
        let (_directory, path) = file("1 SHA1 secret\n2 TIGER x\n3 SHA1 limited 10.0.0.0/8\n", 0o640);
        let keys = KeyFile::read(&path, None).unwrap();
        let [unknown, limited] = keys.complaints() else { panic!("{:?}", keys.complaints()) };
        assert!(unknown.ends_with("line 2: unknown key type `TIGER`"), "{unknown}");
        assert!(limited.contains("line 3: key 3 is for some addresses only"), "{limited}");
        assert_eq!(keys.key(NonZeroU32::MIN).unwrap().id(), NonZeroU32::MIN);
        for id in [2, 3, 4] {
            let missing = keys.key(id.try_into().unwrap()).unwrap_err().to_string();
            assert!(missing.starts_with(&format!("no key {id} in {}\n", path.display())), "{missing}");
        }
        assert!(keys.into_ring().get(3).is_none());
    }

    #[test]
    fn a_file_for_everybody_is_complained_about() {
        for (mode, is_open) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            let (_directory, path) = file("1 SHA1 secret\n", mode);
            let keys = KeyFile::read(&path, None).unwrap();
            assert_eq!(!keys.complaints().is_empty(), is_open, "{mode:o}: {:?}", keys.complaints());
        }
        let missing = KeyFile::read(Path::new("/nowhere/keys"), None).unwrap_err().to_string();
        assert!(missing.starts_with("keys: cannot open /nowhere/keys: No such file"), "{missing}");
    }
}
