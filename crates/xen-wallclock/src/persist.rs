//! Keeping the switch on over restarts: a line in `sysctl.conf`, planned first and then written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use atomic_file::{AtomicError, Outcome, Snapshot};

use crate::{Edit, Facts, Situation, Sysctl, WallClock, KEY};

/// The comment above the line, as the guide writes it.
const COMMENT: &str = "#Set independent wall clock time";

/// The file that the guide names.
const MAIN: &str = "etc/sysctl.conf";

/// The file where systemd reads no [`MAIN`].
const DROP_IN: &str = "etc/sysctl.d/90-xen-wallclock.conf";

/// Directories of `*.conf` files; of equal names the one in the directory that stands first here is read.
const DIRECTORIES: [&str; 5] =
    ["etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d"];

/// Where the line goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Target {
    /// `/etc/sysctl.conf` if it exists; else `/etc/sysctl.d/90-xen-wallclock.conf` if that directory exists; else
    /// `/etc/sysctl.conf`, which is made.
    #[default]
    Auto,
    /// A file of the caller's choice, from the root.
    File(PathBuf),
}

/// How the switch is kept on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // settings to be written down
pub struct Persistence<'a> {
    /// The root: `/` for this machine.
    pub root: &'a Path,
    /// Where the line goes.
    pub target: Target,
    /// Write the line although this kernel has no such switch.
    pub force: bool,
}

/// What keeping the switch on would do.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "nothing is written until it is applied"]
pub struct Plan {
    /// The file as it is and as it would be; none when nothing is to be done.
    file: Option<(Snapshot, Vec<u8>)>,
    /// What happens to the file; none when nothing is to be done, because the kernel is always independent.
    pub edit: Option<Edit>,
    /// What keeps the line from working, now or at the next start.
    pub warnings: Vec<Warning>,
}

/// What keeps the line from working.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The file sets a switch that this kernel does not have.
    #[error("{} sets {KEY}, which this kernel does not have: `sysctl -p` fails", path.display())]
    Fails {
        /// The file.
        path: PathBuf,
    },
    /// systemd does not read the file.
    #[error("systemd does not read {} at start: no file in /etc/sysctl.d points at it", path.display())]
    NotReadAtStart {
        /// The file.
        path: PathBuf,
    },
    /// A file that is read later says otherwise.
    #[error("{} is read later and sets {KEY} to {value:?}", path.display())]
    Overridden {
        /// The file.
        path: PathBuf,
        /// What it says.
        value: String,
    },
}

/// Why the switch cannot be kept on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistError {
    /// This is no Xen guest.
    #[error("this is not a Xen guest: there is nothing to persist")]
    NotXen,
    /// A symbolic link leads out of the root.
    #[error("{} lies outside of {}", path.display(), root.display())]
    OutsideRoot {
        /// Where the file really is.
        path: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// The file could not be read or replaced.
    #[error(transparent)]
    File(#[from] AtomicError),
}

impl Persistence<'_> {
    /// Works out what is to be written, writing nothing.
    ///
    /// # Errors
    /// [`PersistError`].
    pub fn plan(&self) -> Result<Plan, PersistError> {
        let situation = Situation::of(&Facts::read(self.root));
        let path = self.path();
        if !self.force {
            match situation.wall_clock {
                WallClock::NotXen => return Err(PersistError::NotXen),
                WallClock::AlwaysGuest => return self.nothing_to_do(&path),
                _ => {}
            }
        }
        let snapshot = self.read(&path)?;
        let mut conf = Sysctl::parse(snapshot.bytes());
        let edit = conf.set(KEY, "1", COMMENT);
        let mut warnings = self.warnings(&snapshot);
        if !situation.has_switch() {
            warnings.push(Warning::Fails { path: snapshot.path().to_path_buf() });
        }
        Ok(Plan { file: Some((snapshot, conf.to_bytes())), edit: Some(edit), warnings })
    }

    /// The kernel needs no line; one that is there is worth a warning.
    fn nothing_to_do(&self, path: &Path) -> Result<Plan, PersistError> {
        let snapshot = self.read(path)?;
        let sets_it = Sysctl::parse(snapshot.bytes()).value(KEY).is_some();
        let path = snapshot.path().to_path_buf();
        let warnings = if sets_it { vec![Warning::Fails { path }] } else { Vec::new() };
        Ok(Plan { file: None, edit: None, warnings })
    }

    fn path(&self) -> PathBuf {
        let main = self.root.join(MAIN);
        match &self.target {
            Target::File(path) => self.root.join(path.strip_prefix("/").unwrap_or(path)),
            Target::Auto if main.exists() || !self.root.join("etc/sysctl.d").is_dir() => main,
            Target::Auto => self.root.join(DROP_IN),
        }
    }

    fn read(&self, path: &Path) -> Result<Snapshot, PersistError> {
        let snapshot = Snapshot::read(path)?;
        let root = self.root.canonicalize().unwrap_or_else(|_| self.root.to_path_buf());
        // A path that does not exist is as it was given: below the root by making, or below a link that was followed.
        let is_inside = snapshot.path().starts_with(&root) || snapshot.path().starts_with(self.root);
        if !is_inside {
            return Err(PersistError::OutsideRoot { path: snapshot.path().to_path_buf(), root });
        }
        Ok(snapshot)
    }

    /// What other files do to the line at the next start.
    fn warnings(&self, snapshot: &Snapshot) -> Vec<Warning> {
        let files = self.drop_ins();
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let ours = real(snapshot.path());
        let main = self.root.join(MAIN);
        let has_systemd = self.root.join("run/systemd/system").is_dir();
        let place = files.iter().position(|path| real(path) == ours);
        let is_main = real(&main) == ours;
        let mut later: Vec<&Path> = Vec::new();
        match place {
            Some(place) => {
                later.extend(files.iter().skip(place + 1).map(PathBuf::as_path));
                // procps reads the main file after all others; systemd does not read it.
                if !is_main && !has_systemd {
                    later.push(&main);
                }
            }
            // A new drop-in stands behind those of lesser names.
            None if !is_main => {
                let name = snapshot.path().file_name();
                later.extend(files.iter().map(PathBuf::as_path).filter(|path| path.file_name() > name));
            }
            None if has_systemd => {
                return vec![Warning::NotReadAtStart { path: snapshot.path().to_path_buf() }];
            }
            None => {}
        }
        let overridden = |path: &Path| {
            let file = Snapshot::read(path).ok()?;
            let value = Sysctl::parse(file.bytes()).value(KEY)?.to_string();
            (value != "1").then(|| Warning::Overridden { path: path.to_path_buf(), value })
        };
        later.into_iter().filter_map(overridden).collect()
    }

    /// The files of all directories, in the order in which they are read.
    fn drop_ins(&self) -> Vec<PathBuf> {
        let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for directory in DIRECTORIES {
            let Ok(entries) = std::fs::read_dir(self.root.join(directory)) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                let is_conf = path.extension().is_some_and(|extension| extension == "conf");
                if let (true, Some(name)) = (is_conf, path.file_name()) {
                    files.entry(name.to_os_string()).or_insert_with(|| path.clone());
                }
            }
        }
        files.into_values().collect()
    }
}

impl Plan {
    /// The file that would be written, links followed.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(snapshot, _)| snapshot.path())
    }

    /// The file as it is and as it would be.
    #[must_use]
    pub fn before_and_after(&self) -> Option<(&[u8], &[u8])> {
        self.file.as_ref().map(|(snapshot, after)| (snapshot.bytes(), after.as_slice()))
    }

    /// Writes it, whole or not at all; nothing when nothing is to be done or the file says it already. Owner, mode and
    /// attributes stay, and it is refused when somebody else changed the file since it was planned.
    ///
    /// # Errors
    /// [`PersistError::File`].
    pub fn apply(&self) -> Result<Outcome, PersistError> {
        match (&self.file, self.edit) {
            (Some((snapshot, after)), Some(Edit::Changed | Edit::Added)) => Ok(snapshot.replace(after)?),
            _ => Ok(Outcome::Unchanged),
        }
    }
}
