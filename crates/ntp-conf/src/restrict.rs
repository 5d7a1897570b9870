//! `restrict` lines of ntpd, as far as they decide whether a server's answers are heard.

use std::fmt;
use std::net::IpAddr;

use crate::lexer::Word;
use crate::{Family, Kind};

/// Whom a `restrict` line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestrictTarget {
    /// Everybody, or everybody of one address family.
    Default(Option<Family>),
    /// Servers that a pool or a manycast client finds.
    Source,
    /// An address, with the mask's length.
    Network(IpAddr, u8),
    /// A name, which ntpd resolves when it starts.
    Name(String),
}

/// A `restrict` line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restrict {
    /// Whom it is about.
    pub target: RestrictTarget,
    /// Its flags in their order.
    pub flags: Vec<String>,
}

/// As it stands in the file, but for the mask, which is shown by its length.
impl fmt::Display for RestrictTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(None) => f.write_str("default"),
            Self::Default(Some(Family::Ipv4)) => f.write_str("-4 default"),
            Self::Default(Some(Family::Ipv6)) => f.write_str("-6 default"),
            Self::Source => f.write_str("source"),
            Self::Network(address, length) => write!(f, "{address}/{length}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Restrict {
    /// From the words after `restrict`; `None` when no target can be read.
    pub(crate) fn from_words(words: &[Word]) -> Option<Self> {
        let mut words = words.iter().map(Word::to_text).peekable();
        let family = match words.peek().map(String::as_str) {
            Some("-4") => Some(Family::Ipv4),
            Some("-6") => Some(Family::Ipv6),
            _ => None,
        };
        if family.is_some() {
            words.next();
        }
        let name = words.next()?;
        let mut mask = None;
        if words.peek().is_some_and(|word| word == "mask") {
            words.next();
            mask = words.next();
        }
        let target = match name.as_str() {
            "default" => RestrictTarget::Default(family),
            "source" => RestrictTarget::Source,
            _ => network(&name, mask.as_deref()).unwrap_or(RestrictTarget::Name(name)),
        };
        Some(Self { target, flags: words.collect() })
    }

    /// The flag by which answers of a server of this kind are not heard: `ignore`, `noserve` (all packets but queries),
    /// `notrust` (all packets without a MAC).
    fn blocking_flag(&self, has_key: bool) -> Option<&str> {
        self.flags.iter().map(String::as_str).find(|flag| match *flag {
            "ignore" | "noserve" => true,
            "notrust" => !has_key,
            _ => false,
        })
    }

    /// How closely it fits an address: the mask's length, 129 for a name, 0 for everybody.
    fn fits(&self, host: &str, kind: Kind) -> Option<u8> {
        let address: Option<IpAddr> = host.parse().ok();
        match (&self.target, address) {
            (RestrictTarget::Default(None), _) => Some(0),
            (RestrictTarget::Default(Some(Family::Ipv4)), address) => {
                address.map_or(true, |address| address.is_ipv4()).then_some(0)
            }
            (RestrictTarget::Default(Some(Family::Ipv6)), address) => {
                address.map_or(true, |address| address.is_ipv6()).then_some(0)
            }
            // ntpd makes a rule of its own for every server it resolves or finds, out of this line.
            (RestrictTarget::Source, _) => (kind == Kind::Pool).then_some(129),
            (RestrictTarget::Network(network, length), Some(address)) => {
                (prefix(address, *length)? == prefix(*network, *length)?).then_some(*length)
            }
            (RestrictTarget::Network(..), None) => None,
            (RestrictTarget::Name(name), _) => name.eq_ignore_ascii_case(host).then_some(129),
        }
    }
}

/// The flag by which the rules of a file keep a server's answers from being heard, if one does.
///
/// The closest rules decide; among equally close ones the flags add up, as ntpd's list does.
pub(crate) fn blocked_by<'a>(
    rules: &[&'a Restrict],
    host: &str,
    kind: Kind,
    has_key: bool,
) -> Option<(&'a Restrict, &'a str)> {
    let closest = rules.iter().filter_map(|rule| rule.fits(host, kind)).max()?;
    let mut deciding = rules.iter().filter(|rule| rule.fits(host, kind) == Some(closest));
    deciding.find_map(|rule| rule.blocking_flag(has_key).map(|flag| (*rule, flag)))
}

fn network(name: &str, mask: Option<&str>) -> Option<RestrictTarget> {
    let address: IpAddr = name.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = match mask {
        None => whole,
        Some(mask) => match (mask.parse().ok()?, address) {
            (IpAddr::V4(mask), IpAddr::V4(_)) => u32::from(mask).leading_ones(),
            (IpAddr::V6(mask), IpAddr::V6(_)) => u128::from(mask).leading_ones(),
            _ => return None,
        },
    };
    Some(RestrictTarget::Network(address, u8::try_from(length).ok()?))
}

/// The first `length` bits of an address, the family told apart by the width.
fn prefix(address: IpAddr, length: u8) -> Option<(bool, u128)> {
    let (is_ipv4, bits, width) = match address {
        IpAddr::V4(address) => (true, u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (false, u128::from(address), 128),
    };
    let dropped = u32::from(u8::checked_sub(width, length).unwrap_or(0));
    Some((is_ipv4, bits.checked_shr(dropped).unwrap_or(0)))
}
