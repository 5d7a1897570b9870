//! One line: its bytes, and what the daemon reads in them.

use crate::lexer::{chrony_words, ntp_words, split_end, Word};
use crate::{Association, Authentication, Dialect, Kind, Restrict};

/// A line of a file. Its bytes are the file's; what they mean stands beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    bytes: Vec<u8>,
    content: Content,
}

/// What a line means.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Nothing: blank, or a comment.
    Blank,
    /// `server`, `pool`, `peer`.
    Association(Association),
    /// A reference clock: `refclock`, or a `server` of ntpd's whose address begins with 127.127, or its `fudge` line.
    ReferenceClock(ReferenceClock),
    /// Another file or directory is read here.
    Include(Include),
    /// `keys`, `trustedkey` (ntpd), `keyfile` (chrony).
    Authentication(Authentication),
    /// `restrict` (ntpd).
    Restrict(Restrict),
    /// How many sources must be good before the clock is set: `tos minsane 3` (ntpd), `minsources 3` (chrony).
    Minimum(u32),
    /// Anything else.
    Other {
        /// The first word.
        keyword: String,
    },
}

/// A line about a reference clock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReferenceClock {
    /// The driver: a word (`SHM`, `pps`), or ntpd's address (`127.127.28.0`).
    pub driver: String,
    /// Whether it is only a `fudge` line.
    pub is_fudge: bool,
}

/// A line by which other files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Include {
    /// What is read.
    pub kind: IncludeKind,
    /// The paths as they stand there; `confdir` and `sourcedir` may name several.
    pub paths: Vec<String>,
}

/// What a line includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IncludeKind {
    /// A file; chrony takes a pattern (`include`), ntpsec a directory too (`includefile`).
    File,
    /// The files `*.conf` of a directory (`confdir`).
    Directory,
    /// The files `*.sources` of a directory (`sourcedir`), in which only sources may stand.
    Sources,
}

impl Line {
    /// Reads one line, with or without its end.
    pub(crate) fn parse(dialect: Dialect, bytes: &[u8]) -> Self {
        let (text, _) = split_end(bytes);
        let words = match dialect {
            Dialect::Ntp | Dialect::Ntpsec => ntp_words(text),
            Dialect::Chrony => chrony_words(text),
        };
        Self { bytes: bytes.to_vec(), content: Content::from_words(dialect, &words) }
    }

    /// The line, its end included.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The line without its end, for people; octets that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(split_end(&self.bytes).0).into_owned()
    }

    /// Its end: LF, CR LF, or nothing at the end of the file.
    #[must_use]
    pub fn end(&self) -> &[u8] {
        split_end(&self.bytes).1
    }

    /// What it means.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The association, if it is one.
    #[must_use]
    pub const fn association(&self) -> Option<&Association> {
        match &self.content {
            Content::Association(association) => Some(association),
            _ => None,
        }
    }
}

impl Content {
    fn from_words(dialect: Dialect, words: &[Word]) -> Self {
        let Some((first, rest)) = words.split_first() else { return Self::Blank };
        let keyword = match first.as_bare() {
            Some(word) if dialect == Dialect::Chrony => word.to_ascii_lowercase(),
            Some(word) => word.to_string(),
            None => return Self::Other { keyword: first.to_text() },
        };
        if let Some(kind) = Kind::of_word(dialect, &keyword) {
            let association = Association::from_words(dialect, kind, rest);
            if association.is_reference_clock() {
                return Self::ReferenceClock(ReferenceClock { driver: association.address().into(), is_fudge: false });
            }
            return Self::Association(association);
        }
        let second = || rest.first().map(Word::to_text).unwrap_or_default();
        let include = |kind| Self::Include(Include { kind, paths: rest.iter().map(Word::to_text).collect() });
        match (dialect, keyword.as_str()) {
            (Dialect::Ntp | Dialect::Ntpsec, "fudge") => {
                Self::ReferenceClock(ReferenceClock { driver: second(), is_fudge: true })
            }
            (Dialect::Ntpsec | Dialect::Chrony, "refclock") => {
                Self::ReferenceClock(ReferenceClock { driver: second(), is_fudge: false })
            }
            (Dialect::Ntp | Dialect::Ntpsec, "includefile") | (Dialect::Chrony, "include") => {
                include(IncludeKind::File)
            }
            (Dialect::Chrony, "confdir") => include(IncludeKind::Directory),
            (Dialect::Chrony, "sourcedir") => include(IncludeKind::Sources),
            (Dialect::Ntp | Dialect::Ntpsec, "restrict") => {
                Restrict::from_words(rest).map_or(Self::Other { keyword }, Self::Restrict)
            }
            (Dialect::Ntp | Dialect::Ntpsec, "tos") => {
                let named = rest.iter().rposition(|word| word.as_bare() == Some("minsane"));
                number(named.and_then(|place| rest.get(place + 1))).map_or(Self::Other { keyword }, Self::Minimum)
            }
            (Dialect::Chrony, "minsources") => number(rest.first()).map_or(Self::Other { keyword }, Self::Minimum),
            _ => match Authentication::from_words(dialect, &keyword, rest) {
                Some(authentication) => Self::Authentication(authentication),
                None => Self::Other { keyword },
            },
        }
    }
}

fn number(word: Option<&Word>) -> Option<u32> {
    word?.as_bare()?.parse().ok()
}
