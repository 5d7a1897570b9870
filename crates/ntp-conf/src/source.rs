//! A server or pool to be written into a file: checked, so that it cannot become anything else there.

use std::fmt;
use std::net::IpAddr;

use crate::lexer::{chrony_words, ntp_words};
use crate::option::{read_value, Shape};
use crate::{Association, AssociationOption, Dialect, Keyword, Kind, Value};

/// Longest host name, in octets (RFC 1035 §2.3.4, without the final dot).
const MAX_NAME: usize = 253;

/// Why a server cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSource {
    /// The name holds a character that host names and addresses do not have, or begins with one they do not begin with.
    #[error("{name:?} is not a host name or address")]
    Name {
        /// The name.
        name: String,
    },
    /// The name is empty or longer than 253 octets.
    #[error("a host name has 1 to 253 octets, not {length}")]
    Length {
        /// Octets it has.
        length: usize,
    },
    /// ntpd takes addresses in 127.127/16 for reference clocks.
    #[error("{name} is a reference clock to ntpd")]
    ReferenceClock {
        /// The name.
        name: String,
    },
    /// No daemon knows such an option.
    #[error("unknown option {option:?}")]
    UnknownOption {
        /// The word.
        option: String,
    },
    /// The daemon of the file does not know the option, or not this value.
    #[error("{dialect} has no option `{option}`")]
    Option {
        /// The option with its value.
        option: String,
        /// The file's language.
        dialect: Dialect,
    },
}

/// A server, pool or peer to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    kind: Kind,
    name: String,
    options: Vec<AssociationOption>,
}

impl Source {
    /// One server.
    ///
    /// # Errors
    /// [`InvalidSource`] when `name` is neither a host name nor an address.
    pub fn server(name: &str) -> Result<Self, InvalidSource> {
        Self::new(Kind::Server, name)
    }

    /// A pool.
    ///
    /// # Errors
    /// As [`server`](Self::server).
    pub fn pool(name: &str) -> Result<Self, InvalidSource> {
        Self::new(Kind::Pool, name)
    }

    /// Of any kind.
    ///
    /// # Errors
    /// As [`server`](Self::server).
    pub fn new(kind: Kind, name: &str) -> Result<Self, InvalidSource> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(InvalidSource::Length { length: name.len() });
        }
        let is_host = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet));
        let is_scoped = name.split_once('%').is_some_and(|(address, zone)| {
            address.parse::<std::net::Ipv6Addr>().is_ok()
                && !zone.is_empty()
                && zone.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
        });
        if !(is_host || is_scoped || name.parse::<IpAddr>().is_ok()) || name.starts_with('-') {
            return Err(InvalidSource::Name { name: name.to_string() });
        }
        if name.starts_with("127.127.") {
            return Err(InvalidSource::ReferenceClock { name: name.to_string() });
        }
        Ok(Self { kind, name: name.to_string(), options: Vec::new() })
    }

    /// With a burst at the start.
    #[must_use]
    pub fn iburst(self) -> Self {
        self.with(Keyword::Iburst, Value::None)
    }

    /// With an option; whether the file's daemon knows it is seen when it is written.
    #[must_use]
    pub fn with(mut self, keyword: Keyword, value: Value) -> Self {
        self.options.push(AssociationOption { keyword, value });
        self
    }

    /// With the options of another line.
    #[must_use]
    pub fn with_options_of(mut self, association: &Association) -> Self {
        self.options.extend_from_slice(association.options());
        self
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name or address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its options in their order.
    #[must_use]
    pub fn options(&self) -> &[AssociationOption] {
        &self.options
    }

    /// Whether it authenticates with a symmetric key.
    pub(crate) fn has_key(&self) -> bool {
        self.options.iter().any(|option| option.keyword == Keyword::Key)
    }

    /// Whether a line already says it: the same kind and name; its options are its own.
    pub(crate) fn is(&self, association: &Association) -> bool {
        association.is_accepted()
            && association.kind() == self.kind
            && association.host().trim_end_matches('.').eq_ignore_ascii_case(self.name.trim_end_matches('.'))
    }

    /// Whether a daemon takes every option as it is meant.
    pub(crate) fn check(&self, dialect: Dialect) -> Result<(), InvalidSource> {
        self.options.iter().try_for_each(|option| {
            let error = InvalidSource::Option { option: option.to_string(), dialect };
            if is_read_as_written(option, dialect) {
                Ok(())
            } else {
                Err(error)
            }
        })
    }
}

/// Whether a daemon reads an option, written down, as just that option.
pub(crate) fn is_read_as_written(option: &AssociationOption, dialect: Dialect) -> bool {
    let Some(shape) = option.keyword.shape(dialect) else { return false };
    let text = option.to_string();
    // A line's end within a string would end it, and ntpd drops what is not ASCII.
    if !text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()) {
        return false;
    }
    let words = match dialect {
        Dialect::Chrony => chrony_words(text.as_bytes()),
        Dialect::Ntp | Dialect::Ntpsec => ntp_words(text.as_bytes()),
    };
    match (shape, words.as_slice()) {
        (Shape::Flag, [_]) => option.value == Value::None,
        (Shape::Flag, _) => false,
        (_, [_, value]) => read_value(dialect, shape, Some(value)) == Ok((option.value.clone(), None)),
        _ => false,
    }
}

/// The line without its end.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        self.options.iter().try_for_each(|option| write!(f, " {option}"))
    }
}
