//! `server`, `pool` and `peer` lines with their options.

use std::fmt;

use crate::lexer::Word;
use crate::option::{read_value, Shape, ValueError};
use crate::{AssociationOption, Dialect, Keyword, Value};

/// Shortest poll interval that every daemon takes when none is said, log2 seconds.
const DEFAULT_MIN_POLL: i64 = 6;
/// Longest likewise.
const DEFAULT_MAX_POLL: i64 = 10;

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One server.
    Server,
    /// As many servers as the name has addresses, up to a limit.
    Pool,
    /// A symmetric association. ntpsec takes it as a server.
    Peer,
    /// Sending broadcast packets (ntp only).
    Broadcast,
    /// Finding servers by multicast (ntp only).
    ManycastClient,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Pool => "pool",
            Self::Peer => "peer",
            Self::Broadcast => "broadcast",
            Self::ManycastClient => "manycastclient",
        }
    }

    /// The kind a line's first word spells.
    pub(crate) fn of_word(dialect: Dialect, word: &str) -> Option<Self> {
        let kinds: &[Self] = match dialect {
            Dialect::Ntp => &[Self::Server, Self::Pool, Self::Peer, Self::Broadcast, Self::ManycastClient],
            Dialect::Ntpsec | Dialect::Chrony => &[Self::Server, Self::Pool, Self::Peer],
        };
        kinds.iter().copied().find(|kind| match dialect {
            Dialect::Chrony => kind.as_str().eq_ignore_ascii_case(word),
            Dialect::Ntp | Dialect::Ntpsec => kind.as_str() == word,
        })
    }
}

/// The word.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which addresses of a name are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // there is no third
pub enum Family {
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// What a daemon finds wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no address. ntpd passes over the line, chronyd does not start.
    #[error("no address")]
    NoAddress,
    /// A word that is no option. ntpd keeps the server with the options before it, chronyd does not start.
    #[error("unknown option {word:?}")]
    UnknownOption {
        /// The word.
        word: String,
    },
    /// An option that a server cannot have. ntp loses the whole line.
    #[error("option {keyword} is for reference clocks only")]
    OnlyForReferenceClocks {
        /// The option.
        keyword: Keyword,
    },
    /// An option without the value it needs, or with one it cannot have. ntpd loses the whole line, chronyd does not start.
    #[error("option {keyword}: {}", match value { Some(value) => format!("unsuitable value {value:?}"), None => "no value".into() })]
    BadValue {
        /// The option.
        keyword: Keyword,
        /// The word after it, if there is one.
        value: Option<String>,
    },
}

/// A `server`, `pool` or `peer` line as the daemon takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Association {
    dialect: Dialect,
    kind: Kind,
    family: Option<Family>,
    address: String,
    options: Vec<AssociationOption>,
    problem: Option<Problem>,
}

impl Association {
    /// From the words after the first.
    pub(crate) fn from_words(dialect: Dialect, kind: Kind, words: &[Word]) -> Self {
        let mut association =
            Self { dialect, kind, family: None, address: String::new(), options: Vec::new(), problem: None };
        let rest = match dialect {
            Dialect::Ntp | Dialect::Ntpsec => association.read_ntp_family(words),
            Dialect::Chrony => words,
        };
        match rest.split_first() {
            Some((address, options)) if dialect == Dialect::Chrony || address.is_string => {
                association.address = address.to_text();
                association.read_options(options);
            }
            _ => association.problem = Some(Problem::NoAddress),
        }
        association
    }

    /// `-4` or `-6` before the address. The lexer looks at no more than the first two characters.
    fn read_ntp_family<'w>(&mut self, words: &'w [Word]) -> &'w [Word] {
        let Some((first, rest)) = words.split_first() else { return words };
        if first.text.starts_with(b"-4") {
            self.family = Some(Family::Ipv4);
        } else if first.text.starts_with(b"-6") {
            self.family = Some(Family::Ipv6);
        } else {
            return words;
        }
        match rest.first() {
            // A second flag is no address to the grammar.
            Some(second) if second.text.starts_with(b"-4") || second.text.starts_with(b"-6") => &[],
            _ => rest,
        }
    }

    fn read_options(&mut self, words: &[Word]) {
        let mut words = words.iter();
        let mut stuck: Option<Word> = None;
        loop {
            let next = stuck.take();
            let Some(word) = next.as_ref().or_else(|| words.next()) else { return };
            let known = word.as_bare().and_then(|text| Keyword::of_word(self.dialect, text));
            let Some((keyword, shape)) = known else {
                let problem = Problem::UnknownOption { word: word.to_text() };
                self.problem.get_or_insert(problem);
                return;
            };
            if keyword == Keyword::Mode && self.dialect == Dialect::Ntp && !self.is_reference_clock() {
                self.problem.get_or_insert(Problem::OnlyForReferenceClocks { keyword });
            }
            if shape == Shape::Flag {
                self.options.push(AssociationOption { keyword, value: Value::None });
                continue;
            }
            let word = words.next();
            match read_value(self.dialect, shape, word) {
                Ok((value, left)) => {
                    self.options.push(AssociationOption { keyword, value });
                    stuck = left;
                }
                Err(ValueError::Grammar) => {
                    self.problem = Some(Problem::BadValue { keyword, value: word.map(Word::to_text) });
                    return;
                }
                // The grammar goes on; the line is lost all the same.
                Err(ValueError::Range) => {
                    let problem = Problem::BadValue { keyword, value: word.map(Word::to_text) };
                    self.problem.get_or_insert(problem);
                }
            }
        }
    }

    /// Whether ntpd takes it for a reference clock.
    pub(crate) fn is_reference_clock(&self) -> bool {
        self.dialect.is_ntp() && self.address.starts_with("127.127.")
    }

    /// What it asks for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Name or address; empty when the line has none. Octets that are not UTF-8 are replaced.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address without the brackets and the port that ntpsec allows: `[2001:db8::1]:123`.
    #[must_use]
    pub fn host(&self) -> &str {
        let bracketed = self.address.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        bracketed.map_or(self.address.as_str(), |(host, _)| host)
    }

    /// The UDP port, where the line names one (chrony).
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.integer(Keyword::Port).and_then(|port| u16::try_from(port).ok())
    }

    /// Which addresses of the name are used; both when it does not say.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        if self.has(Keyword::Ipv6) {
            Some(Family::Ipv6)
        } else if self.has(Keyword::Ipv4) {
            Some(Family::Ipv4)
        } else {
            self.family
        }
    }

    /// The options in their order, as far as the daemon reads them.
    #[must_use]
    pub fn options(&self) -> &[AssociationOption] {
        &self.options
    }

    /// What the daemon finds wrong, if anything.
    #[must_use]
    pub const fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Whether the daemon uses it. ntpd forgives a word it does not know, chronyd nothing.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        match (&self.problem, self.dialect) {
            (None, _) | (Some(Problem::UnknownOption { .. }), Dialect::Ntp | Dialect::Ntpsec) => true,
            (Some(_), _) => false,
        }
    }

    /// Whether an option is there.
    #[must_use]
    pub fn has(&self, keyword: Keyword) -> bool {
        self.options.iter().any(|option| option.keyword == keyword)
    }

    /// An option's value; the last, when it is there more than once.
    #[must_use]
    pub fn value(&self, keyword: Keyword) -> Option<&Value> {
        self.options.iter().rev().find(|option| option.keyword == keyword).map(|option| &option.value)
    }

    fn integer(&self, keyword: Keyword) -> Option<i64> {
        match self.value(keyword) {
            Some(&Value::Integer(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether it asks for a burst at the start.
    #[must_use]
    pub fn is_iburst(&self) -> bool {
        self.has(Keyword::Iburst)
    }

    /// Shortest and longest poll interval, log2 seconds, as the daemon uses them: 6 and 10 by default, brought inside its
    /// limits (ntp 3 to 17, ntpsec 0 to 17, chrony −7 to 24). Where the two cross, ntpd takes the longest for both,
    /// chronyd the shortest.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // inside the limits by then
    pub fn poll_range(&self) -> (i8, i8) {
        let shortest = self.integer(Keyword::MinPoll).unwrap_or(DEFAULT_MIN_POLL);
        let longest = self.integer(Keyword::MaxPoll).unwrap_or(DEFAULT_MAX_POLL);
        let (shortest, longest) = match self.dialect {
            Dialect::Ntp => {
                let longest = match longest {
                    0 => DEFAULT_MAX_POLL, // ntp takes this for "not said",
                    ..=-1 => 17,           // and a negative one for its limit
                    _ => longest.clamp(3, 17),
                };
                (shortest.clamp(3, 17).min(longest), longest)
            }
            Dialect::Ntpsec => {
                let longest = longest.clamp(0, 17);
                (shortest.clamp(0, 17).min(longest), longest)
            }
            Dialect::Chrony => {
                // What lies below the limit is not said at all.
                let inside = |value: i64, default| if value < -7 { default } else { value.min(24) };
                let shortest = inside(shortest, DEFAULT_MIN_POLL);
                (shortest, inside(longest, DEFAULT_MAX_POLL).max(shortest))
            }
        };
        (shortest as i8, longest as i8)
    }

    /// Number of the symmetric key; 0 is none.
    #[must_use]
    pub fn key(&self) -> Option<u32> {
        self.integer(Keyword::Key).and_then(|key| u32::try_from(key).ok()).filter(|&key| key != 0)
    }

    /// Protocol version of the requests, where the line names one.
    #[must_use]
    pub fn version(&self) -> Option<u8> {
        self.integer(Keyword::Version).and_then(|version| u8::try_from(version).ok())
    }
}

/// The line as it would be written anew: one blank between words.
impl fmt::Display for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match self.family {
            Some(Family::Ipv4) => f.write_str(" -4")?,
            Some(Family::Ipv6) => f.write_str(" -6")?,
            None => {}
        }
        write!(f, " {}", self.address)?;
        self.options.iter().try_for_each(|option| write!(f, " {option}"))
    }
}
