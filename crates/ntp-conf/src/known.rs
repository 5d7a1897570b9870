//! Where the distributions keep their files.

use std::path::{Path, PathBuf};

use crate::Dialect;

/// A file that some distribution's daemon reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct KnownFile {
    /// Its path from the root.
    pub path: &'static str,
    /// Its language.
    pub dialect: Dialect,
    /// Whose it is, for people.
    pub systems: &'static str,
    /// Names of the service to restart after a change, the likeliest first.
    pub services: &'static [&'static str],
    /// A file made by the DHCP client that is read **instead** of this one while it is there.
    pub replaced_by: Option<&'static str>,
}

impl KnownFile {
    /// All, the more specific before the more general.
    pub const ALL: &'static [Self] = &[
        Self {
            path: "/etc/chrony/chrony.conf",
            dialect: Dialect::Chrony,
            systems: "Debian, Ubuntu, Alpine, Gentoo",
            services: &["chrony", "chronyd"],
            replaced_by: None,
        },
        Self {
            path: "/etc/chrony.conf",
            dialect: Dialect::Chrony,
            systems: "RHEL, Fedora, SUSE, Arch",
            services: &["chronyd"],
            replaced_by: None,
        },
        Self {
            path: "/etc/ntpsec/ntp.conf",
            dialect: Dialect::Ntpsec,
            systems: "Debian 12 and later, Ubuntu",
            services: &["ntpsec"],
            replaced_by: Some("/run/ntpsec/ntp.conf.dhcp"),
        },
        Self {
            path: "/etc/ntp.conf",
            dialect: Dialect::Ntp,
            systems: "Debian up to 11, RHEL and CentOS up to 7, SUSE, Arch, FreeBSD, macOS",
            services: &["ntp", "ntpd"],
            replaced_by: Some("/run/ntp.conf.dhcp"),
        },
    ];

    /// Those that exist below `root` (`/` for this machine), in the order of [`ALL`](Self::ALL).
    pub fn present(root: &Path) -> impl Iterator<Item = Self> + '_ {
        Self::ALL.iter().copied().filter(move |file| file.path_in(root).is_file())
    }

    /// The one of a path, if it is known.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::ALL.iter().copied().find(|file| Path::new(file.path) == path)
    }

    /// The one that is `path` below `root`, if it is known.
    #[must_use]
    pub fn at(root: &Path, path: &Path) -> Option<Self> {
        Self::ALL.iter().copied().find(|file| file.path_in(root) == path)
    }

    /// Its path below `root`.
    #[must_use]
    pub fn path_in(&self, root: &Path) -> PathBuf {
        root.join(self.path.trim_start_matches('/'))
    }

    /// The file that is read instead of this one, if it is there now.
    #[must_use]
    pub fn replacement_in(&self, root: &Path) -> Option<PathBuf> {
        let path = root.join(self.replaced_by?.trim_start_matches('/'));
        path.is_file().then_some(path)
    }
}
