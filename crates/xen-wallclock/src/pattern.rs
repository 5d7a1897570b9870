//! Patterns of `*`, `?`, `[…]` and `\` as the shell and `fnmatch` know them, in time linear in pattern × text.

/// One element of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Element<'a> {
    /// `*`.
    Any,
    /// `?`.
    One,
    /// `[…]`: the octets between the brackets.
    Set { is_negated: bool, octets: &'a [u8] },
    /// An octet for itself.
    Octet(u8),
}

/// Whether `path` fits `pattern` part by part: nothing but a slash fits a slash.
pub(crate) fn fits_path(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if fits(pattern, part) => {}
            _ => return false,
        }
    }
}

/// Whether `text` fits `pattern` as a whole; a star goes beyond slashes.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let elements = elements(pattern.as_bytes());
    let text = text.as_bytes();
    let (mut element, mut octet) = (0, 0);
    // The last star, and up to where it is taken to reach: on a mismatch it reaches one further.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&found) = text.get(octet) {
        match elements.get(element) {
            Some(Element::Any) => {
                star = Some((element, octet));
                element += 1;
                continue;
            }
            Some(wanted) if wanted.is(found) => {
                element += 1;
                octet += 1;
                continue;
            }
            _ => {}
        }
        let Some((at, reach)) = star else { return false };
        star = Some((at, reach + 1));
        (element, octet) = (at + 1, reach + 1);
    }
    elements.get(element..).is_some_and(|rest| rest.iter().all(|element| *element == Element::Any))
}

impl Element<'_> {
    fn is(&self, octet: u8) -> bool {
        match self {
            Self::Any => false, // taken care of before
            Self::One => true,
            Self::Octet(own) => *own == octet,
            Self::Set { is_negated, octets } => holds(octets, octet) != *is_negated,
        }
    }
}

/// Whether a set holds an octet: by itself, or within a range.
fn holds(set: &[u8], octet: u8) -> bool {
    match set {
        [first, b'-', last, rest @ ..] => (*first..=*last).contains(&octet) || holds(rest, octet),
        [one, rest @ ..] => *one == octet || holds(rest, octet),
        [] => false,
    }
}

fn elements(mut pattern: &[u8]) -> Vec<Element<'_>> {
    let mut elements = Vec::new();
    while let Some((&first, rest)) = pattern.split_first() {
        let (element, rest) = match (first, rest) {
            (b'*', _) => (Element::Any, rest),
            (b'?', _) => (Element::One, rest),
            (b'[', _) => set(rest).unwrap_or((Element::Octet(b'['), rest)), // unclosed, it stands for itself
            (b'\\', [escaped, rest @ ..]) => (Element::Octet(*escaped), rest),
            _ => (Element::Octet(first), rest),
        };
        elements.push(element);
        pattern = rest;
    }
    elements
}

/// A set after its opening bracket, and what follows it. A closing bracket that comes first is one of the set.
fn set(pattern: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (is_negated, set) = match pattern {
        [b'!' | b'^', set @ ..] => (true, set),
        set => (false, set),
    };
    let end = set.iter().skip(1).position(|&octet| octet == b']')? + 1;
    Some((Element::Set { is_negated, octets: set.get(..end)? }, set.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "abbc"),
            ("a*b*c", "axbxbxc"),
            ("**", "a"),
            ("?", "a"),
            ("[a-c]x", "bx"),
            ("[]x]", "]"),
            ("[!a]", "b"),
            ("[^a]", "b"),
            ("[a-]", "-"),
            ("[", "["),
            ("a\\*", "a*"),
            ("*a*a*a*", "aaa"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("?", ""),
            ("a*c", "ab"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("a\\*", "ab"),
            ("*a*a*a*", "aab"),
            ("[a", "a"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
        assert!(fits("a*c", "a/c") && !fits_path("a*c", "a/c"));
        assert!(fits_path("*/b?", "a/bc") && !fits_path("*", "a/b") && !fits_path("*/*", "a"));
        // Without an end in sight for one that tries everything.
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)));
        assert!(!fits(&"*?a".repeat(100), &"b".repeat(1000)));
    }
}
