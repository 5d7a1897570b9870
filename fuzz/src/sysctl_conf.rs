//! `sysctl.conf`: every octet kept, the value as a plain second reading finds it, and setting one key.

use xen_wallclock::{Edit, Sysctl, KEY};

const PATH: &str = "xen/independent_wallclock";

/// The file.
pub fn sysctl_conf(data: &[u8]) {
    let before = Sysctl::parse(data);
    assert_eq!(before.to_bytes(), data);
    let value = plain_value(data);
    assert_eq!(before.value(KEY), value.as_deref(), "{:?}", String::from_utf8_lossy(data));
    assert_eq!(before.value("xen/independent_wallclock"), value.as_deref());

    let mut conf = before.clone();
    let edit = conf.set(KEY, "1", "#comment");
    let written = conf.to_bytes();
    assert_eq!(edit == Edit::Unchanged, written == data);
    assert_eq!(plain_value(&written).as_deref(), Some("1"));
    let mut again = Sysctl::parse(&written);
    assert_eq!(again, conf, "written and read again");
    assert_eq!(again.set(KEY, "1", "#comment"), Edit::Unchanged);
    assert_eq!(again.to_bytes(), written, "the second run changed something");
    // Other settings stand as they stood; `=` or `-` alone is one only with a line's end.
    let others = |conf: &Sysctl| -> Vec<_> {
        conf.settings().filter(|setting| !["", PATH].contains(&setting.path.as_str())).cloned().collect()
    };
    assert_eq!(others(&before), others(&conf));
}

/// What `sysctl -p` writes last, by going through the lines as it does.
fn plain_value(data: &[u8]) -> Option<String> {
    let space = |letter: char| matches!(letter, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}');
    let (mut named, mut matched, mut is_kept_off) = (None, None, false);
    for line in data.split_inclusive(|&octet| octet == b'\n') {
        let line = String::from_utf8_lossy(line.split(|&octet| octet == 0).next().unwrap()).into_owned();
        let line = line.trim_start_matches(space);
        if line.len() < 2 || line.starts_with(['#', ';']) {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) => {
                let key = key.strip_prefix('-').unwrap_or(key).trim_end_matches(space);
                let path = path_of(key.strip_prefix('-').unwrap_or(key));
                let value = Some(value.trim_matches(space).to_string());
                if path == PATH {
                    named = value;
                } else if path.contains(['*', '?', '[']) && fits(path.as_bytes(), PATH.as_bytes(), true) {
                    matched = value;
                }
            }
            None => {
                let Some(key) = line.strip_prefix('-') else { continue };
                let key = key.trim_end_matches(space);
                is_kept_off |= fits(path_of(key.strip_prefix('-').unwrap_or(key)).as_bytes(), PATH.as_bytes(), false);
            }
        }
    }
    named.or(matched.filter(|_| !is_kept_off))
}

/// A key as a path, part by part.
fn path_of(key: &str) -> String {
    let dotted = match (key.find('.'), key.find('/')) {
        (Some(dot), Some(slash)) => dot < slash,
        (dot, _) => dot.is_some(),
    };
    let mut parts = vec![String::new()];
    for letter in key.chars() {
        let ends_part = if dotted { letter == '.' } else { letter == '/' };
        if ends_part {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(if dotted && letter == '/' { '.' } else { letter });
        }
    }
    let ends_open = parts.len() > 1 && parts.last().unwrap().is_empty();
    parts.retain(|part| !part.is_empty() && part != ".");
    if ends_open && !parts.is_empty() {
        parts.push(String::new());
    }
    parts.join("/")
}

/// Whether a pattern of `*`, `?` and `[…]` fits, by trying everything. An unclosed bracket fits nothing.
fn fits(pattern: &[u8], text: &[u8], stops_at_slash: bool) -> bool {
    if !brackets_close(pattern) {
        return pattern == text && !stops_at_slash;
    }
    let may = |octet: u8| !(stops_at_slash && octet == b'/');
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => {
            fits(rest, text, stops_at_slash)
                || text.split_first().is_some_and(|(&octet, text)| may(octet) && fits(pattern, text, stops_at_slash))
        }
        [b'?', rest @ ..] => {
            text.split_first().is_some_and(|(&octet, text)| may(octet) && fits(rest, text, stops_at_slash))
        }
        [b'[', rest @ ..] => {
            let Some((&octet, text)) = text.split_first() else { return false };
            let (is_negated, set) = match rest {
                [b'!', set @ ..] => (true, set),
                set => (false, set),
            };
            // A bracket right at the start is one of the set.
            let end = set.iter().skip(1).position(|&octet| octet == b']').unwrap() + 1;
            let (set, rest) = (&set[..end], &set[end + 1..]);
            may(octet) && in_set(set, octet) != is_negated && fits(rest, text, stops_at_slash)
        }
        [literal, rest @ ..] => {
            text.split_first().is_some_and(|(octet, text)| octet == literal && fits(rest, text, stops_at_slash))
        }
    }
}

fn brackets_close(pattern: &[u8]) -> bool {
    let Some(open) = pattern.iter().position(|&octet| octet == b'[') else { return true };
    let set = &pattern[open + 1..];
    let set = set.strip_prefix(b"!").unwrap_or(set);
    match set.iter().skip(1).position(|&octet| octet == b']') {
        Some(end) => brackets_close(&set[end + 2..]),
        None => false,
    }
}

fn in_set(set: &[u8], octet: u8) -> bool {
    match set {
        [first, b'-', last, rest @ ..] => (*first..=*last).contains(&octet) || in_set(rest, octet),
        [one, rest @ ..] => *one == octet || in_set(rest, octet),
        [] => false,
    }
}
