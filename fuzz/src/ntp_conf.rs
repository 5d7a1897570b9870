//! `ntp.conf` and `chrony.conf`: every octet kept, words cut as a plain second lexer cuts them, edits that touch only their
//! lines and are read as they were meant, and a second run that changes nothing.

use ntp_conf::{Association, Dialect, Document, Kind, Line, Replaced, SetSources, Source};

/// The first octet chooses language and edit, the rest is the file.
pub fn ntp_conf(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else { return };
    let dialect = [Dialect::Ntp, Dialect::Ntpsec, Dialect::Chrony][usize::from(choice % 3)];
    let document = Document::parse(dialect, text);
    assert_eq!(document.to_bytes(), text);
    for line in document.lines() {
        check_line(dialect, line);
    }
    let settings = SetSources {
        replaced: if choice & 0x10 == 0 { Replaced::Comment } else { Replaced::Delete },
        keep_options: choice & 0x20 != 0,
        peers: choice & 0x40 != 0,
    };
    let wanted = [Source::server("a.example").unwrap().iburst(), Source::pool("B.example").unwrap()];
    let wanted = &wanted[usize::from(choice & 0x80 != 0)..];
    edit(&document, wanted, &settings);
}

/// A line's association holds the words of the plain lexer.
fn check_line(dialect: Dialect, line: &Line) {
    let text = line.bytes().strip_suffix(b"\n").map_or(line.bytes(), |text| text.strip_suffix(b"\r").unwrap_or(text));
    let words = if dialect == Dialect::Chrony { chrony_words(text) } else { ntp_words(text) };
    let Some(association) = line.association() else { return };
    let mut words = words.into_iter();
    let same_kind = |word: &str| {
        if dialect == Dialect::Chrony {
            word.eq_ignore_ascii_case(association.kind().as_str())
        } else {
            word == association.kind().as_str()
        }
    };
    assert!(words.next().is_some_and(|word| same_kind(&word)));
    if association.address().is_empty() {
        assert!(!association.is_accepted());
        return;
    }
    // A flag for the family may stand before the address.
    let address = words.by_ref().find(|word| word == association.address());
    assert!(address.is_some(), "{association}");
    // The options stand behind it in their order; chronyd lets them stick to the number before.
    let rest: Vec<String> = words.collect();
    let mut rest = rest.iter();
    for option in association.options() {
        let keyword = option.keyword.as_str();
        let is_it = |word: &&String| {
            if dialect == Dialect::Chrony {
                word.to_ascii_lowercase().ends_with(keyword)
            } else {
                word.as_str() == keyword
            }
        };
        assert!(rest.clone().any(|word| is_it(&word)), "{keyword} in {association}");
        if dialect != Dialect::Chrony {
            assert!(rest.any(|word| is_it(&word)), "{keyword} in {association}");
        }
    }
    let (shortest, longest) = association.poll_range();
    assert!(shortest <= longest && (-7..=24).contains(&shortest) && (-7..=24).contains(&longest));
}

fn edit(before: &Document, wanted: &[Source], settings: &SetSources) {
    let mut document = before.clone();
    let changes = document.set_sources(wanted, settings).unwrap();
    let written = document.to_bytes();
    assert_eq!(changes.is_empty(), written == before.to_bytes());
    assert_eq!(Document::parse(document.dialect(), &written), document, "written and read again");
    for source in wanted {
        assert!(document.associations().any(|found| says(found, source)), "{source} is missing");
    }
    for found in document.associations().filter(|found| is_replaced(found, settings)) {
        assert!(wanted.iter().any(|source| says(found, source)), "{found} is still there");
    }
    // Other lines stand as they stood, but for the end that the last may have got.
    let others = |document: &Document| -> Vec<Vec<u8>> {
        let lines = document
            .lines()
            .iter()
            .filter(|line| !line.association().is_some_and(|found| is_replaced(found, settings)));
        lines.map(|line| line.bytes().trim_ascii_end().to_vec()).collect()
    };
    let now = others(&document);
    let mut now = now.iter();
    assert!(others(before).iter().all(|line| now.any(|other| other == line)), "a line is lost");
    assert!(document.set_sources(wanted, settings).unwrap().is_empty());
    assert_eq!(document.to_bytes(), written, "the second run changed something");
}

fn says(found: &Association, source: &Source) -> bool {
    let trimmed = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    found.is_accepted() && found.kind() == source.kind() && trimmed(found.host()) == trimmed(source.name())
}

fn is_replaced(found: &Association, settings: &SetSources) -> bool {
    matches!(found.kind(), Kind::Server | Kind::Pool) || (found.kind() == Kind::Peer && settings.peers)
}

fn is_space(octet: u8) -> bool {
    b" \t\r\x0b\x0c".contains(&octet)
}

/// chronyd's words, octet by octet.
fn chrony_words(line: &[u8]) -> Vec<String> {
    let mut words: Vec<Vec<u8>> = vec![Vec::new()];
    for &octet in line {
        if words.len() == 1 && words[0].is_empty() && b"!;#%".contains(&octet) {
            return Vec::new();
        }
        if !is_space(octet) {
            words.last_mut().unwrap().push(octet);
        } else if !words.last().unwrap().is_empty() {
            words.push(Vec::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// ntpd's words, octet by octet.
fn ntp_words(line: &[u8]) -> Vec<String> {
    const SPECIAL: &[u8] = b"{}(),;|=";
    let wanting = [
        "server",
        "pool",
        "peer",
        "broadcast",
        "manycastclient",
        "unpeer",
        "unconfig",
        "includefile",
        "ident",
        "aead",
        "=",
    ];
    let mut words: Vec<String> = Vec::new();
    let mut octets = line.iter().copied().filter(u8::is_ascii).peekable();
    let mut wants_string = false;
    let mut was_quoted = false;
    loop {
        while octets.next_if(|&octet| is_space(octet)).is_some() {}
        let Some(&first) = octets.peek() else { return words };
        let mut word = String::new();
        if !wants_string && SPECIAL.contains(&first) {
            word.push(char::from(first));
            octets.next();
            was_quoted = false;
        } else {
            while let Some(octet) = octets.next_if(|&octet| {
                !is_space(octet) && octet != b'"' && octet != b'#' && (wants_string || !SPECIAL.contains(&octet))
            }) {
                word.push(char::from(octet));
            }
            match octets.peek() {
                Some(b'#') => while octets.next().is_some() {},
                Some(b'"') => {
                    octets.next();
                    was_quoted = true;
                    for octet in octets.by_ref() {
                        if octet == b'"' {
                            break;
                        }
                        word.push(char::from(octet));
                    }
                }
                _ => {}
            }
            if word.is_empty() {
                continue;
            }
        }
        let is_string = wants_string || was_quoted;
        if !(is_string && (word.starts_with("-4") || word.starts_with("-6"))) {
            wants_string = !is_string && wanting.contains(&word.as_str());
        }
        was_quoted = false;
        words.push(word);
    }
}
