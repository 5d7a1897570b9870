//! A file together with those it includes: what the daemon reads in all.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::{Association, Authentication, ConfigError, ConfigFile, Content, Dialect, Document, Include, IncludeKind};

/// Most files that are read. The daemons know no limit; a directory that includes itself makes one needed.
const MAX_FILES: usize = 1000;

/// Everything a daemon reads when it starts with one file.
#[derive(Debug)]
pub struct Configuration {
    files: Vec<IncludedFile>,
    not_included: Vec<NotIncluded>,
    associations: Vec<(usize, Association)>,
    key_file: Option<PathBuf>,
    trusted: Vec<RangeInclusive<u32>>,
}

/// One of the files.
#[derive(Debug)]
#[non_exhaustive]
pub struct IncludedFile {
    /// Its path.
    pub path: PathBuf,
    /// The file that includes it, as an index into [`Configuration::files`]; none for the first.
    pub included_by: Option<usize>,
    /// What it holds.
    pub document: Document,
}

/// A file that should have been included.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotIncluded {
    /// It could not be read.
    #[error("included: {0}")]
    Unreadable(#[from] ConfigError),
    /// Its directory could not be listed.
    #[error("included directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It is included by a file that is itself nested too deep.
    #[error("{} is included more than {depth} levels deep", path.display())]
    TooDeep {
        /// The file.
        path: PathBuf,
        /// The daemon's limit.
        depth: usize,
    },
    /// So many files are included already that it must be a circle: this one and all after it are left out.
    #[error("{} would be one of more than {MAX_FILES} files", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
    },
    /// The pattern cannot be read.
    #[error("{pattern:?} is not a pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
}

impl Configuration {
    /// Reads a file and what it includes.
    ///
    /// # Errors
    /// [`ConfigError`] when the file itself cannot be read; an included one that cannot is in
    /// [`not_included`](Self::not_included).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        Self::read_below(Path::new("/"), Dialect::of_path(path), path)
    }

    /// Reads a file in a known language; absolute paths in it are taken below `root`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_below(root: &Path, dialect: Dialect, path: &Path) -> Result<Self, ConfigError> {
        let first = ConfigFile::read_as(dialect, path)?;
        let mut configuration = Self {
            files: Vec::new(),
            not_included: Vec::new(),
            associations: Vec::new(),
            key_file: None,
            trusted: Vec::new(),
        };
        configuration.take(root, path.to_path_buf(), None, first.document().clone(), 0);
        if dialect == Dialect::Ntpsec {
            // ntpsec reads this directory beside its file unasked.
            let directory = path.parent().unwrap_or(Path::new(".")).join("ntp.d");
            for path in configuration.directory_files(&[directory], "conf") {
                configuration.include(root, dialect, path, 0, 1);
            }
        }
        Ok(configuration)
    }

    /// The file and those it includes, in the order in which they are met.
    #[must_use]
    pub fn files(&self) -> &[IncludedFile] {
        &self.files
    }

    /// What could not be included.
    #[must_use]
    pub fn not_included(&self) -> &[NotIncluded] {
        &self.not_included
    }

    /// The associations of all files in the daemon's order, those it does not accept too
    /// ([`Association::is_accepted`]).
    pub fn associations(&self) -> impl Iterator<Item = &Association> {
        self.associations.iter().map(|(_, association)| association)
    }

    /// The same, each with its file.
    pub fn located(&self) -> impl Iterator<Item = (&Path, &Association)> {
        self.associations
            .iter()
            .filter_map(|(file, association)| Some((self.files.get(*file)?.path.as_path(), association)))
    }

    /// The associations of included files: those that editing the first file leaves.
    pub fn included_associations(&self) -> impl Iterator<Item = (&Path, &Association)> {
        let first = self.files.first().map(|file| file.path.as_path());
        self.located().filter(move |(path, _)| Some(*path) != first)
    }

    /// The file of symmetric keys, the last that is named; a relative path is taken from the directory of its line's file.
    #[must_use]
    pub fn key_file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    /// Whether the daemon uses a key of that file: ntpd only if it is named by `trustedkey`, chronyd any.
    #[must_use]
    pub fn trusts(&self, key: u32) -> bool {
        let is_chrony = self.files.first().is_some_and(|first| first.document.dialect() == Dialect::Chrony);
        is_chrony || self.trusted.iter().any(|range| range.contains(&key))
    }

    fn take(&mut self, root: &Path, path: PathBuf, included_by: Option<usize>, document: Document, depth: usize) {
        let index = self.files.len();
        let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
        self.files.push(IncludedFile { path, included_by, document: document.clone() });
        for line in document.lines() {
            match line.content() {
                Content::Association(association) => self.associations.push((index, association.clone())),
                Content::Authentication(Authentication::KeyFile(path)) => {
                    self.key_file = Some(below(root, &directory, path));
                }
                Content::Authentication(Authentication::Trusted(keys)) => self.trusted.extend(keys.iter().cloned()),
                Content::Include(include) => {
                    for path in self.included_paths(root, &directory, document.dialect(), include) {
                        self.include(root, document.dialect(), path, index, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    fn include(&mut self, root: &Path, dialect: Dialect, path: PathBuf, by: usize, depth: usize) {
        if depth > dialect.max_include_depth() {
            self.not_included.push(NotIncluded::TooDeep { path, depth: dialect.max_include_depth() });
            return;
        }
        if self.files.len() >= MAX_FILES {
            if !self.not_included.iter().any(|problem| matches!(problem, NotIncluded::TooMany { .. })) {
                self.not_included.push(NotIncluded::TooMany { path });
            }
            return;
        }
        match ConfigFile::read_as(dialect, &path) {
            Ok(file) => self.take(root, path, Some(by), file.document().clone(), depth),
            Err(error) => self.not_included.push(error.into()),
        }
    }

    /// The files that a line includes.
    fn included_paths(&mut self, root: &Path, directory: &Path, dialect: Dialect, include: &Include) -> Vec<PathBuf> {
        let paths: Vec<PathBuf> = include.paths.iter().map(|path| below(root, directory, path)).collect();
        match include.kind {
            IncludeKind::Directory => self.directory_files(&paths, "conf"),
            IncludeKind::Sources => self.directory_files(&paths, "sources"),
            IncludeKind::File if dialect == Dialect::Chrony => {
                paths.first().map_or(Vec::new(), |path| self.matching(path))
            }
            IncludeKind::File => match paths.first() {
                Some(path) if path.is_dir() => self.directory_files(&paths, "conf"),
                Some(path) => vec![path.clone()],
                None => Vec::new(),
            },
        }
    }

    /// The files of a pattern; a pattern without special characters is its own file.
    fn matching(&mut self, pattern: &Path) -> Vec<PathBuf> {
        let pattern = pattern.to_string_lossy();
        if !pattern.contains(['*', '?', '[']) {
            return vec![PathBuf::from(&*pattern)];
        }
        match glob::glob(&pattern) {
            Ok(paths) => paths.flatten().collect(),
            Err(_) => {
                self.not_included.push(NotIncluded::Pattern { pattern: pattern.into_owned() });
                Vec::new()
            }
        }
    }

    /// The files of directories that end in `.extension`, in the order of their names; of equal names the one in the
    /// directory named first. A directory that is missing is an empty one.
    fn directory_files(&mut self, directories: &[PathBuf], extension: &str) -> Vec<PathBuf> {
        let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for directory in directories {
            let entries = match std::fs::read_dir(directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    self.not_included.push(NotIncluded::Directory { path: directory.clone(), source });
                    continue;
                }
            };
            for path in entries.flatten().map(|entry| entry.path()) {
                if let (Some(name), true) = (path.file_name(), path.extension().is_some_and(|found| found == extension))
                {
                    files.entry(name.to_os_string()).or_insert_with(|| path.clone());
                }
            }
        }
        files.into_values().collect()
    }
}

/// A path as a file names it: from `root` if it is absolute, else from the file's own directory.
fn below(root: &Path, directory: &Path, path: &str) -> PathBuf {
    match path.strip_prefix('/') {
        Some(path) => root.join(path),
        None => directory.join(path),
    }
}
