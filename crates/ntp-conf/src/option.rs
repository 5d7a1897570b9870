//! The options of `server`, `pool` and `peer` lines: which words each daemon knows, and what must follow them.

use std::fmt;
use std::str::FromStr;

use crate::lexer::Word;
use crate::Dialect;

/// What must follow an option's word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Nothing.
    Flag,
    /// A whole number between two bounds, both included.
    Integer(i64, i64),
    /// A whole number in hexadecimal, one of these.
    Hexadecimal(&'static [i64]),
    /// A number.
    Number,
    /// Any word.
    Text,
}

const NTP: &[Dialect] = &[Dialect::Ntp];
const NTPSEC: &[Dialect] = &[Dialect::Ntpsec];
const NTPS: &[Dialect] = &[Dialect::Ntp, Dialect::Ntpsec];
const CHRONY: &[Dialect] = &[Dialect::Chrony];
const ALL: &[Dialect] = &[Dialect::Ntp, Dialect::Ntpsec, Dialect::Chrony];
const NTPSEC_CHRONY: &[Dialect] = &[Dialect::Ntpsec, Dialect::Chrony];
const NTP_CHRONY: &[Dialect] = &[Dialect::Ntp, Dialect::Chrony];

/// Bounds of C's `int` and `uint32_t`, which the daemons read into.
const INT: i64 = i32::MAX as i64;
const UINT: i64 = u32::MAX as i64;

macro_rules! keywords {
    ($($(#[$doc:meta])* $name:ident = $word:literal, [$($dialects:ident: $shape:expr),+];)*) => {
        /// The word of an option.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Keyword {
            $($(#[$doc])* $name,)*
        }

        impl Keyword {
            /// Every word of every dialect.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// How it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// What must follow it in a dialect; `None` when the daemon does not know the word.
            pub(crate) fn shape(self, dialect: Dialect) -> Option<Shape> {
                use Shape::{Flag, Hexadecimal, Integer, Number, Text};
                match self {
                    $(Self::$name => {
                        $(if $dialects.contains(&dialect) {
                            return Some($shape);
                        })+
                        None
                    })*
                }
            }
        }
    };
}

keywords! {
    /// Eight packets instead of one while the server answers.
    Burst = "burst", [ALL: Flag];
    /// A burst while the server does not answer yet.
    Iburst = "iburst", [ALL: Flag];
    /// Chosen over others that are as good.
    Prefer = "prefer", [ALL: Flag];
    /// Watched, never chosen.
    NoSelect = "noselect", [ALL: Flag];
    /// Always taken as a truechimer.
    True = "true", [NTPS: Flag];
    /// Interleaved mode.
    Interleaved = "xleave", [NTP_CHRONY: Flag];
    /// Autokey authentication.
    Autokey = "autokey", [NTP: Flag];
    /// May be dropped for a better one.
    Preempt = "preempt", [NTP: Flag];
    /// Network time security.
    Nts = "nts", [NTPSEC_CHRONY: Flag];
    /// The NTS certificate is not verified.
    NoVerify = "noval", [NTPSEC: Flag];
    /// Not asked until it is told that the network is there.
    Offline = "offline", [CHRONY: Flag];
    /// Taken as offline when a packet cannot be sent.
    AutoOffline = "auto_offline", [CHRONY: Flag];
    /// Stratum and reference id are copied.
    Copy = "copy", [CHRONY: Flag];
    /// Taken as right against any majority that is not.
    Trust = "trust", [CHRONY: Flag];
    /// The clock is steered only while one of these can be chosen.
    Require = "require", [CHRONY: Flag];
    /// Its IPv4 addresses only.
    Ipv4 = "ipv4", [CHRONY: Flag];
    /// Its IPv6 addresses only.
    Ipv6 = "ipv6", [CHRONY: Flag];
    /// Shortest poll interval, log2 seconds.
    MinPoll = "minpoll", [NTPS: Integer(i64::MIN, i64::MAX), CHRONY: Integer(-INT - 1, INT)];
    /// Longest poll interval, log2 seconds.
    MaxPoll = "maxpoll", [NTPS: Integer(i64::MIN, i64::MAX), CHRONY: Integer(-INT - 1, INT)];
    /// Number of the symmetric key.
    Key = "key", [NTP: Integer(0, 65_535), NTPSEC: Integer(0, 65_534), CHRONY: Integer(1, UINT - 1)];
    /// Protocol version of the requests.
    Version = "version", [NTPS: Integer(0, 254), CHRONY: Integer(1, 4)];
    /// Number for a reference clock's driver.
    Mode = "mode", [NTPS: Integer(i64::MIN, i64::MAX)];
    /// Hops of a multicast packet.
    TimeToLive = "ttl", [NTP: Integer(0, 7)];
    /// Seconds added to the measured offset.
    Bias = "bias", [NTPSEC: Number];
    /// Group of an Autokey identity scheme.
    Identity = "ident", [NTP: Text];
    /// File or directory of root certificates.
    CertificateAuthority = "ca", [NTPSEC: Text];
    /// File of a client certificate.
    Certificate = "cert", [NTPSEC: Text];
    /// Algorithm of NTS packets.
    Aead = "aead", [NTPSEC: Text];
    /// UDP port.
    Port = "port", [CHRONY: Integer(0, 65_535)];
    /// TCP port of NTS key establishment.
    NtsPort = "ntsport", [CHRONY: Integer(0, 65_535)];
    /// Set of trusted certificates.
    CertificateSet = "certset", [CHRONY: Integer(0, UINT)];
    /// How many servers of a pool are used.
    MaxSources = "maxsources", [CHRONY: Integer(1, INT)];
    /// Most samples kept.
    MaxSamples = "maxsamples", [CHRONY: Integer(0, INT)];
    /// Fewest samples kept.
    MinSamples = "minsamples", [CHRONY: Integer(0, INT)];
    /// Unanswered polls after which a source is replaced.
    MaxUnreach = "maxunreach", [CHRONY: Integer(0, INT)];
    /// Least stratum that is believed.
    MinStratum = "minstratum", [CHRONY: Integer(0, 16)];
    /// Samples that the poll interval is chosen for.
    PollTarget = "polltarget", [CHRONY: Integer(1, INT)];
    /// Poll interval (log2 seconds) from which on a packet goes ahead of each request.
    Presend = "presend", [CHRONY: Integer(-32, 32)];
    /// Samples reduced to one by a median filter.
    Filter = "filter", [CHRONY: Integer(0, INT)];
    /// Experimental extension field.
    ExtensionField = "extfield", [CHRONY: Hexadecimal(&[0xf323, 0xf324])];
    /// Seconds added to the measured offset.
    Offset = "offset", [CHRONY: Number];
    /// Asymmetry of the path's jitter, −0.5 to 0.5.
    Asymmetry = "asymmetry", [CHRONY: Number];
    /// Longest round trip, seconds.
    MaxDelay = "maxdelay", [CHRONY: Number];
    /// Longest round trip as a multiple of the shortest.
    MaxDelayRatio = "maxdelayratio", [CHRONY: Number];
    /// Longest increase of the round trip as a multiple of the offset's deviation.
    MaxDelayDeviationRatio = "maxdelaydevratio", [CHRONY: Number];
    /// Longest round trip as a quantile.
    MaxDelayQuantile = "maxdelayquant", [CHRONY: Number];
    /// Round trip known beforehand, seconds.
    MinDelay = "mindelay", [CHRONY: Number];
}

impl Keyword {
    /// The keyword a word spells in a dialect; ntpd wants small letters, chronyd takes any.
    pub(crate) fn of_word(dialect: Dialect, word: &str) -> Option<(Self, Shape)> {
        let spells = |keyword: &&Self| match dialect {
            Dialect::Chrony => keyword.as_str().eq_ignore_ascii_case(word),
            Dialect::Ntp | Dialect::Ntpsec => keyword.as_str() == word,
        };
        Self::ALL.iter().filter(spells).find_map(|&keyword| keyword.shape(dialect).map(|shape| (keyword, shape)))
    }

    /// Whether a dialect knows it.
    #[must_use]
    pub fn is_known_to(self, dialect: Dialect) -> bool {
        self.shape(dialect).is_some()
    }
}

/// The word.
impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word as a file has it, any case; not a keyword of any dialect otherwise.
impl FromStr for Keyword {
    type Err = crate::InvalidSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|keyword| keyword.as_str().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| crate::InvalidSource::UnknownOption { option: text.to_string() })
    }
}

/// What follows an option's word.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing.
    None,
    /// A whole number; an extension field's type stands in hexadecimal.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
}

/// One option of an association's line.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AssociationOption {
    /// Its word.
    pub keyword: Keyword,
    /// What follows it.
    pub value: Value,
}

/// Quoted where ntpd would take the word for something else.
impl fmt::Display for AssociationOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keyword.fmt(f)?;
        match &self.value {
            Value::None => Ok(()),
            Value::Integer(value) if self.keyword == Keyword::ExtensionField => write!(f, " {value:X}"),
            Value::Integer(value) => write!(f, " {value}"),
            Value::Number(value) => write!(f, " {value}"),
            Value::Text(value) if is_plain(value) => write!(f, " {value}"),
            Value::Text(value) => write!(f, " \"{value}\""),
        }
    }
}

/// Whether ntpd takes a word for a string without quotes: a path or a name, but no keyword and no number.
fn is_plain(text: &str) -> bool {
    let is_path = text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"/._-".contains(&octet));
    let is_keyword = Keyword::ALL.iter().any(|keyword| keyword.as_str() == text);
    is_path && !text.is_empty() && !is_keyword && !is_ntp_number(text)
}

/// Why a word cannot be an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueError {
    /// ntpd's grammar does not allow it: the whole line is lost.
    Grammar,
    /// The grammar allows it, its range does not.
    Range,
}

/// Reads an option's value as a dialect does. Beside it comes what the daemon takes as the next word: chronyd reads a
/// number to its end, wherever that is, and what is stuck to it is the next option.
pub(crate) fn read_value(
    dialect: Dialect,
    shape: Shape,
    word: Option<&Word>,
) -> Result<(Value, Option<Word>), ValueError> {
    let word = word.ok_or(ValueError::Grammar)?;
    if shape == Shape::Text {
        // A word that is a keyword or a number is no string to ntpd's grammar.
        let is_string =
            word.is_string || word.as_bare().is_some_and(|text| !is_keyword(dialect, text) && !is_ntp_number(text));
        return if is_string { Ok((Value::Text(word.to_text()), None)) } else { Err(ValueError::Grammar) };
    }
    let text = word.as_bare().ok_or(ValueError::Grammar)?;
    let length = match dialect {
        Dialect::Chrony => number_length(shape, text),
        Dialect::Ntp | Dialect::Ntpsec if shape == Shape::Number => {
            if is_ntp_number(text) {
                text.len()
            } else {
                0
            }
        }
        Dialect::Ntp | Dialect::Ntpsec => {
            if is_ntp_integer(text) {
                text.len()
            } else {
                0
            }
        }
    };
    let (number, left) =
        text.split_at_checked(length).filter(|(number, _)| !number.is_empty()).ok_or(ValueError::Grammar)?;
    let value = match shape {
        Shape::Number => Value::Number(number.parse().map_err(|_| ValueError::Grammar)?),
        Shape::Hexadecimal(allowed) => {
            let digits = number.trim_start_matches("0x").trim_start_matches("0X");
            let value = i64::from_str_radix(digits, 16).map_err(|_| ValueError::Range)?;
            if !allowed.contains(&value) {
                return Err(ValueError::Range);
            }
            Value::Integer(value)
        }
        Shape::Integer(least, most) => {
            let value: i64 = number.parse().map_err(|_| ValueError::Range)?;
            if value < least || value > most {
                return Err(ValueError::Range);
            }
            Value::Integer(value)
        }
        Shape::Flag | Shape::Text => return Err(ValueError::Grammar),
    };
    let left = (!left.is_empty()).then(|| Word { text: left.as_bytes().to_vec(), is_string: false, is_special: false });
    Ok((value, left))
}

/// Whole numbers of ntpd's lexer: digits with a minus sign at most.
fn is_ntp_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit())
}

/// Numbers of ntpd's grammar: whole ones, or with a decimal point and perhaps an exponent.
fn is_ntp_number(text: &str) -> bool {
    is_ntp_integer(text) || (text.contains('.') && number_length(Shape::Number, text) == text.len())
}

/// Whether ntpd's lexer takes a bare word for a keyword that can stand behind a server's address.
fn is_keyword(dialect: Dialect, text: &str) -> bool {
    Keyword::of_word(dialect, text).is_some()
}

/// How many octets of `text` C's `sscanf` takes for a number of this shape. Its hexadecimal floats, infinities and NaN
/// are left out: no configuration has a use for them.
///
/// On octets, because nom's `recognize` miscounts a `str` whose last parser takes all that is left.
fn number_length(shape: Shape, text: &str) -> usize {
    use nom::bytes::complete::tag_no_case;
    use nom::character::complete::{char, digit0, digit1, hex_digit1, one_of};
    use nom::combinator::{opt, recognize, verify};
    use nom::{IResult, Parser};

    fn length(result: IResult<&[u8], &[u8]>) -> usize {
        result.map_or(0, |(_, number)| number.len())
    }
    let text = text.as_bytes();
    match shape {
        Shape::Integer(..) => length(recognize((opt(one_of("+-")), digit1)).parse(text)),
        Shape::Hexadecimal(_) => length(recognize((opt(tag_no_case("0x")), hex_digit1)).parse(text)),
        Shape::Number => {
            let fraction = recognize((digit0, opt((char('.'), digit0))));
            let mantissa = verify(fraction, |digits: &[u8]| digits.iter().any(u8::is_ascii_digit));
            let exponent = (one_of("eE"), opt(one_of("+-")), digit1);
            length(recognize((opt(one_of("+-")), mantissa, opt(exponent))).parse(text))
        }
        Shape::Flag | Shape::Text => 0,
    }
}
