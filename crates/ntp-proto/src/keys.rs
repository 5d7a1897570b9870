//! Reader of key files: ntpd's `ntp.keys` and chrony's `keyfile`.
//!
//! One line is one key. The two daemons agree on the order of the words and on little else, so the caller says whose file
//! it is:
//!
//! | | [`Dialect::Ntpd`] (ntpd, ntpsec) | [`Dialect::Chrony`] |
//! |---|---|---|
//! | comment | from `#` to the end of any line | a line that begins with `!`, `;`, `#` or `%` |
//! | key id | 1 to 65 535 | 1 to 4 294 967 295 |
//! | type | always there | may be left out, then MD5 |
//! | secret | up to 20 characters as they stand; longer as hexadecimal | `HEX:…`, `ASCII:…`, else as it stands |
//! | fourth word | addresses that may use the key | none |
//!
//! Where a daemon would quietly use less than what is written (an odd hexadecimal digit, more than 32 octets, an AES key
//! of another length than RFC 8573 §2 asks for), the line is an error here that says so.
//!
//! The reader borrows the text and decodes on the fly: no copy, no allocation. A bad line is an error of that line alone.

use core::fmt;
use core::num::NonZeroU32;
use core::str::FromStr;

use crate::mac::{Algorithm, KeyError};

/// Whose key file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// `ntp.keys` of the reference implementation and of ntpsec.
    Ntpd,
    /// `keyfile` of chrony.
    Chrony,
}

impl Dialect {
    /// Whose file `text` must be: chrony's if a line has what only chrony's have (a secret that begins with `HEX:` or `ASCII:`,
    /// a key without type, a comment after `!`, `;` or `%`), else ntpd's.
    ///
    /// A file without any of these that both read means the same to both, but for a secret of more than 20 characters, which
    /// is hexadecimal to ntpd alone.
    #[must_use]
    pub fn of_text(text: &[u8]) -> Self {
        let is_chrony = |line: &[u8]| match line.trim_ascii() {
            [b'!' | b';' | b'%', ..] => true,
            [b'#', ..] | [] => false,
            line => {
                let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).skip(2);
                words.next().map_or(true, |secret| secret.starts_with(b"HEX:") || secret.starts_with(b"ASCII:"))
            }
        };
        if text.split(|&octet| octet == b'\n').any(is_chrony) {
            Self::Chrony
        } else {
            Self::Ntpd
        }
    }
}

/// The keys of a file, line by line.
///
/// # Example
/// ```
/// use ntp_proto::keys::{Dialect, Keys};
/// use ntp_proto::mac::Algorithm;
///
/// let file = b"# keys of this host\n1 AES128 HEX:2b7e151628aed2a6abf7158809cf4f3c\n10 SHA1 HEX:0g\n";
/// let mut keys = Keys::new(Dialect::Chrony, file);
/// let first = keys.next().unwrap().unwrap();
/// assert_eq!((first.id.get(), first.algorithm), (1, Algorithm::Aes128Cmac));
/// let second = keys.next().unwrap().unwrap_err();
/// assert_eq!(second.to_string(), "line 3: `g` at place 2 of the secret is not a hexadecimal digit");
/// ```
#[derive(Debug, Clone)]
pub struct Keys<'a> {
    dialect: Dialect,
    rest: &'a [u8],
    line: usize,
}

/// One key of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its line, counted from 1.
    pub line: usize,
    /// The key id packets carry.
    pub id: NonZeroU32,
    /// The key type.
    pub algorithm: Algorithm,
    /// The secret, as long as the algorithm asks.
    pub secret: Secret<'a>,
    /// The fourth word of ntpd's file, as it stands: addresses and prefixes that alone may use the key. Empty when every
    /// address may.
    pub addresses: &'a [u8],
}

/// The secret of a key file's line, still encoded. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a> {
    text: &'a [u8],
    is_hex: bool,
}

/// A line of a key file is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// The line, counted from 1.
    pub line: usize,
    /// Why.
    #[source]
    pub reason: Reason,
}

/// Why a line of a key file is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It has too few or too many words.
    #[error("needed {expected}, had {had}")]
    Words {
        /// Words found.
        had: usize,
        /// What the dialect expects.
        expected: &'static str,
    },
    /// The first word is no key id.
    #[error("`{word}` is not a key id between 1 and {max}")]
    KeyId {
        /// The word.
        word: Word,
        /// The greatest key id of the dialect.
        max: u32,
    },
    /// The key type is not known.
    #[error("unknown key type `{word}`")]
    KeyType {
        /// The word.
        word: Word,
    },
    /// A character of a hexadecimal secret is none.
    #[error("`{digit}` at place {place} of the secret is not a hexadecimal digit")]
    HexDigit {
        /// The character; as a byte escape where it is not ASCII.
        digit: Word,
        /// Its place among the digits, counted from 1.
        place: usize,
    },
    /// A hexadecimal secret has half an octet.
    #[error("{digits} hexadecimal digits, an odd number")]
    OddHex {
        /// Digits found.
        digits: usize,
    },
    /// ntpd would use only the first 32 octets.
    #[error("secret has {had} octets, ntpd uses only the first {max}")]
    Overlong {
        /// Octets written.
        had: usize,
        /// Octets used.
        max: usize,
    },
    /// The secret does not suit the key type.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The beginning of an offending word, at most 16 octets, non-ASCII escaped when shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word {
    octets: [u8; 16],
    length: u8,
    is_cut: bool,
}

/// Longest secret ntpd takes as it stands; a longer word is hexadecimal.
const NTPD_MAX_PLAIN: usize = 20;
/// Octets of a hexadecimal secret ntpd uses.
const NTPD_MAX_SECRET: usize = 32;
/// Greatest key id of `ntp.keys`, NTP_MAXKEY; session keys of Autokey lie above.
const NTPD_MAX_ID: u32 = 65_535;

impl<'a> Keys<'a> {
    /// Reads `text`, a whole file of the dialect.
    #[must_use]
    pub const fn new(dialect: Dialect, text: &'a [u8]) -> Self {
        Self { dialect, rest: text, line: 0 }
    }

    /// The key with the id; of several the last, as daemons use it. Bad lines are passed over.
    #[must_use]
    pub fn find(&self, id: u32) -> Option<Entry<'a>> {
        self.clone().filter_map(Result::ok).filter(|entry| entry.id.get() == id).last()
    }

    /// The next line without its end; `None` after the last.
    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line = self.line.saturating_add(1);
        let mut parts = self.rest.splitn(2, |&octet| octet == b'\n');
        let line = parts.next();
        self.rest = parts.next().unwrap_or_default();
        line
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = Result<Entry<'a>, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = strip_comment(self.dialect, self.next_line()?);
            if !text.is_empty() {
                let line = self.line;
                return Some(parse_line(self.dialect, line, text).map_err(|reason| LineError { line, reason }));
            }
        }
    }
}

impl core::iter::FusedIterator for Keys<'_> {}

/// The line without surrounding blanks and comment.
fn strip_comment(dialect: Dialect, line: &[u8]) -> &[u8] {
    match dialect {
        Dialect::Ntpd => line.split(|&octet| octet == b'#').next().unwrap_or_default().trim_ascii(),
        Dialect::Chrony => match line.trim_ascii() {
            [b'!' | b';' | b'#' | b'%', ..] => &[],
            text => text,
        },
    }
}

fn parse_line(dialect: Dialect, line: usize, text: &[u8]) -> Result<Entry<'_>, Reason> {
    let words = || text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let had = words().count();
    let (expected, is_right, max_id) = match dialect {
        Dialect::Ntpd => ("3 or 4 words (id, type, secret, addresses)", matches!(had, 3 | 4), NTPD_MAX_ID),
        Dialect::Chrony => ("2 or 3 words (id, type, secret)", matches!(had, 2 | 3), u32::MAX),
    };
    if !is_right {
        return Err(Reason::Words { had, expected });
    }
    let mut words = words();
    let mut next = || words.next().unwrap_or_default();
    let id = parse_id(next(), max_id)?;
    let algorithm = if had == 2 { Algorithm::Md5 } else { parse_type(next())? };
    let secret = Secret::parse(dialect, next())?;
    algorithm.check_secret(secret.len())?;
    Ok(Entry { line, id, algorithm, secret, addresses: next() })
}

fn parse_id(word: &[u8], max: u32) -> Result<NonZeroU32, Reason> {
    parse_ascii(word).filter(|id: &NonZeroU32| id.get() <= max).ok_or(Reason::KeyId { word: Word::new(word), max })
}

fn parse_type(word: &[u8]) -> Result<Algorithm, Reason> {
    parse_ascii(word).ok_or(Reason::KeyType { word: Word::new(word) })
}

fn parse_ascii<T: FromStr>(word: &[u8]) -> Option<T> {
    core::str::from_utf8(word).ok()?.parse().ok()
}

impl<'a> Secret<'a> {
    fn parse(dialect: Dialect, word: &'a [u8]) -> Result<Self, Reason> {
        let secret = match dialect {
            Dialect::Ntpd => Self { text: word, is_hex: word.len() > NTPD_MAX_PLAIN },
            Dialect::Chrony => match (word.strip_prefix(b"HEX:"), word.strip_prefix(b"ASCII:")) {
                (Some(text), _) => Self { text, is_hex: true },
                (None, Some(text)) => Self { text, is_hex: false },
                (None, None) => Self { text: word, is_hex: false },
            },
        };
        secret.check_hex()?;
        if dialect == Dialect::Ntpd && secret.len() > NTPD_MAX_SECRET {
            return Err(Reason::Overlong { had: secret.len(), max: NTPD_MAX_SECRET });
        }
        Ok(secret)
    }

    fn check_hex(self) -> Result<(), Reason> {
        if !self.is_hex {
            return Ok(());
        }
        if let Some(at) = self.text.iter().position(|octet| !octet.is_ascii_hexdigit()) {
            let digit = self.text.get(at..=at).unwrap_or_default();
            return Err(Reason::HexDigit { digit: Word::new(digit), place: at.saturating_add(1) });
        }
        if self.text.len() % 2 == 1 {
            return Err(Reason::OddHex { digits: self.text.len() });
        }
        Ok(())
    }

    /// Its length in octets, decoded.
    #[must_use]
    pub const fn len(self) -> usize {
        if self.is_hex {
            self.text.len() / 2
        } else {
            self.text.len()
        }
    }

    /// Whether there is none; never true of an [`Entry`].
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its octets, decoded.
    pub fn octets(self) -> impl Iterator<Item = u8> + Clone + 'a {
        let step = if self.is_hex { 2 } else { 1 };
        self.text.chunks(step).map(|chunk| match chunk {
            [high, low] => hex_value(*high) << 4 | hex_value(*low),
            [octet] => *octet,
            _ => 0, // chunks are one or two octets long
        })
    }
}

/// The value of a hexadecimal digit; the digits have been checked.
fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(feature = "mac")]
impl Entry<'_> {
    /// The key, ready for use.
    ///
    /// # Errors
    /// [`KeyError::NotBuilt`] when the algorithm's feature is off.
    pub fn key(&self) -> Result<crate::mac::Key, KeyError> {
        crate::mac::Key::from_octets(self.algorithm, self.secret.octets())
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} octets)", self.len())
    }
}

impl Word {
    fn new(word: &[u8]) -> Self {
        let mut octets = [0; 16];
        let mut length = 0;
        for (place, octet) in octets.iter_mut().zip(word) {
            *place = *octet;
            length += 1; // the array has 16 places
        }
        Self { octets, length, is_cut: word.len() > 16 }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.octets.get(..usize::from(self.length)).unwrap_or_default();
        write!(f, "{}", octets.escape_ascii())?;
        f.write_str(if self.is_cut { "…" } else { "" })
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
