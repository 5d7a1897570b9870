//! Whose configuration language a file is written in.

use std::fmt;
use std::path::Path;

/// A configuration language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// `ntp.conf` of the reference implementation, ntp 4.2.
    Ntp,
    /// `ntp.conf` of ntpsec: the same lexer, other words.
    Ntpsec,
    /// `chrony.conf`, and chrony's `*.sources` files.
    Chrony,
}

impl Dialect {
    /// What a path says: `chrony` anywhere in it, a `.sources` file, `ntpsec` anywhere in it, or else [`Dialect::Ntp`].
    ///
    /// The two `ntp.conf` dialects read the same servers from every file that both daemons accept.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        let names = |word: &str| path.components().any(|part| part.as_os_str().to_string_lossy().contains(word));
        let is_sources = path.extension().is_some_and(|extension| extension == "sources");
        if names("chrony") || is_sources {
            Self::Chrony
        } else if names("ntpsec") {
            Self::Ntpsec
        } else {
            Self::Ntp
        }
    }

    /// Whether it is one of the two `ntp.conf` dialects.
    #[must_use]
    pub const fn is_ntp(self) -> bool {
        matches!(self, Self::Ntp | Self::Ntpsec)
    }

    /// How deep included files may nest: MAXINCLUDELEVEL of ntpd, MAX_INCLUDE_LEVEL of chronyd.
    #[must_use]
    pub const fn max_include_depth(self) -> usize {
        match self {
            Self::Ntp | Self::Ntpsec => 5,
            Self::Chrony => 10,
        }
    }
}

/// `ntp`, `ntpsec` or `chrony`.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ntp => "ntp",
            Self::Ntpsec => "ntpsec",
            Self::Chrony => "chrony",
        })
    }
}
