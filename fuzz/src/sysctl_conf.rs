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

/// Whether a pattern fits, by a table: which places of the pattern can stand before which octet of the text.
fn fits(pattern: &[u8], text: &[u8], stops_at_slash: bool) -> bool {
    let may = |octet: u8| !(stops_at_slash && octet == b'/');
    let mut places = vec![false; pattern.len() + 1];
    places[0] = true;
    let pass_stars = |places: &mut Vec<bool>| {
        for place in 0..pattern.len() {
            if places[place] && pattern[place] == b'*' {
                places[place + 1] = true;
            }
        }
    };
    // A path is taken part by part: a set cannot reach beyond its part.
    let part_end = |place: usize| match pattern[place..].iter().position(|&octet| octet == b'/') {
        Some(length) if stops_at_slash => place + length,
        _ => pattern.len(),
    };
    pass_stars(&mut places);
    for &octet in text {
        let mut next = vec![false; pattern.len() + 1];
        for place in (0..pattern.len()).filter(|&place| places[place]) {
            match pattern[place] {
                b'*' if may(octet) => next[place] = true,
                b'*' => {}
                b'?' if may(octet) => next[place + 1] = true,
                b'?' => {}
                b'[' => match set(&pattern[place + 1..part_end(place)]) {
                    Some((set, length)) if may(octet) && set(octet) => next[place + 1 + length] = true,
                    Some(_) => {}
                    None => next[place + 1] = octet == b'[' || next[place + 1],
                },
                b'\\' if place + 1 < part_end(place) => next[place + 2] |= pattern[place + 1] == octet,
                literal => next[place + 1] |= literal == octet,
            }
        }
        places = next;
        pass_stars(&mut places);
    }
    places[pattern.len()]
}

/// A set behind its bracket: whether it holds an octet, and its length with the closing bracket.
fn set(pattern: &[u8]) -> Option<(impl Fn(u8) -> bool + '_, usize)> {
    let is_negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let set = &pattern[usize::from(is_negated)..];
    let end = (1..set.len()).find(|&place| set[place] == b']')?;
    let holds = move |octet: u8| {
        let (mut place, mut is_found) = (0, false);
        while place < end {
            let is_range = place + 2 < end && set[place + 1] == b'-';
            let last = if is_range { set[place + 2] } else { set[place] };
            is_found |= set[place] <= octet && octet <= last;
            place += if is_range { 3 } else { 1 };
        }
        is_found != is_negated
    };
    Some((holds, usize::from(is_negated) + end + 1))
}
