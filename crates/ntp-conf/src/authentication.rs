//! Lines about symmetric keys: where they are, and which of them count.

use std::ops::RangeInclusive;

use crate::lexer::Word;
use crate::Dialect;

/// A line about symmetric keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// The file that holds them: `keys` (ntpd), `keyfile` (chrony). Its path as it stands there.
    KeyFile(String),
    /// Those of them that ntpd trusts: `trustedkey`. chrony trusts all.
    Trusted(Vec<RangeInclusive<u32>>),
}

impl Authentication {
    /// From a line's words; `None` when it is about something else, or the daemon does not take it.
    pub(crate) fn from_words(dialect: Dialect, keyword: &str, rest: &[Word]) -> Option<Self> {
        match (dialect, keyword, rest) {
            (Dialect::Chrony, "keyfile", [path]) | (Dialect::Ntp | Dialect::Ntpsec, "keys", [path]) => {
                Some(Self::KeyFile(path.to_text()))
            }
            (Dialect::Ntp | Dialect::Ntpsec, "trustedkey", [_, ..]) => trusted(rest).map(Self::Trusted),
            _ => None,
        }
    }
}

/// `1 2 (4 ... 7)`.
fn trusted(mut words: &[Word]) -> Option<Vec<RangeInclusive<u32>>> {
    let number = |word: &Word| word.as_bare()?.parse::<u32>().ok();
    let mut ranges = Vec::new();
    while let [first, rest @ ..] = words {
        words = match rest {
            [least, dots, most, close, rest @ ..] if first.is_special => {
                let is_range = first.text == b"(" && dots.as_bare() == Some("...") && close.text == b")";
                ranges.push(number(least).filter(|_| is_range)?..=number(most)?);
                rest
            }
            _ => {
                let key = number(first)?;
                ranges.push(key..=key);
                rest
            }
        };
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use crate::{Authentication, Content, Dialect, Document};

    fn read(dialect: Dialect, line: &str) -> Option<Authentication> {
        match Document::parse(dialect, line.as_bytes()).lines().first()?.content() {
            Content::Authentication(authentication) => Some(authentication.clone()),
            _ => None,
        }
    }

    #[test]
    fn each_daemon_has_its_own_words() {
        let path = |path: &str| Some(Authentication::KeyFile(path.into()));
        assert_eq!(read(Dialect::Ntp, "keys /etc/ntp.keys # ours"), path("/etc/ntp.keys"));
        assert_eq!(read(Dialect::Ntpsec, "keys \"/etc/my keys\""), path("/etc/my keys"));
        assert_eq!(read(Dialect::Chrony, "KeyFile /etc/chrony.keys"), path("/etc/chrony.keys"));
        for (dialect, line) in [
            (Dialect::Ntp, "keyfile /etc/chrony.keys"),
            (Dialect::Chrony, "keys /etc/ntp.keys"),
            (Dialect::Chrony, "keyfile /etc/my keys"),
            (Dialect::Chrony, "keyfile"),
            (Dialect::Ntp, "keys"),
            (Dialect::Chrony, "trustedkey 1"),
            (Dialect::Ntp, "trustedkey"),
        ] {
            assert_eq!(read(dialect, line), None, "{line}");
        }
    }

    #[test]
    fn trusted_keys_are_numbers_and_ranges() {
        let read = |line| match read(Dialect::Ntp, line) {
            Some(Authentication::Trusted(ranges)) => ranges,
            _ => Vec::new(),
        };
        assert_eq!(read("trustedkey 1 42 65535"), [1..=1, 42..=42, 65_535..=65_535]);
        assert_eq!(read("trustedkey 3 (5 ... 8) 4"), [3..=3, 5..=8, 4..=4]);
        for wrong in ["trustedkey one", "trustedkey (1 ... ", "trustedkey (1 2 3)", "trustedkey -1", "trustedkey \"1\""]
        {
            assert_eq!(read(wrong), [], "{wrong}");
        }
    }
}
