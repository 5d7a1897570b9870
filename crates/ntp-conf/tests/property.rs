//! Every byte not edited stays: on arbitrary bytes, and on text that looks like a configuration.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests

use ntp_conf::{Dialect, Document, Keyword, Kind, Line, Replaced, SetSources, Source, Value};
use proptest::prelude::*;

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::Ntp), Just(Dialect::Ntpsec), Just(Dialect::Chrony)]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "server", "pool", "peer", "Server", "restrict", "default", "ignore", "include", "sourcedir", "fudge", "refclock",
            "iburst", "minpoll", "maxpoll", "key", "nts", "-4", "-6", "127.127.1.0", "192.0.2.1", "a.example", "b.example",
            "4", "-3", "1.5", "#", "!", "%", ";", "=", "\"", "\"a b\"", "#ntp-conf#", "mask", "255.0.0.0", "10.0.0.0",
        ]).prop_map(String::from),
        1 => "[ -~]{0,6}",
        1 => any::<String>(),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let separator = prop::sample::select(vec![" ", "  ", "\t", "", "\r", "\u{b}"]);
    let end = prop::sample::select(vec!["\n", "\n", "\r\n", "\n\n", ""]);
    let line = (prop::collection::vec((separator, word()), 0..6), end).prop_map(|(words, end)| {
        words.into_iter().map(|(separator, word)| format!("{separator}{word}")).collect::<String>() + end
    });
    let lines = prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes());
    prop_oneof![4 => lines, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn sources() -> impl Strategy<Value = Vec<Source>> {
    let name =
        prop::sample::select(vec!["a.example", "B.example", "c.example", "192.0.2.1", "2001:db8::1", "d.example."]);
    let kind = prop::sample::select(vec![Kind::Server, Kind::Pool]);
    let source = (kind, name, any::<bool>(), prop::option::of(0_i64..17)).prop_map(|(kind, name, iburst, minpoll)| {
        let source = Source::new(kind, name).unwrap();
        let source = if iburst { source.iburst() } else { source };
        minpoll.into_iter().fold(source, |source, minpoll| source.with(Keyword::MinPoll, Value::Integer(minpoll)))
    });
    prop::collection::vec(source, 0..4)
}

fn settings() -> impl Strategy<Value = SetSources> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(delete, keep_options, peers)| SetSources {
        replaced: if delete { Replaced::Delete } else { Replaced::Comment },
        keep_options,
        peers,
    })
}

/// The lines an edit must leave: all but the servers and pools (and peers, when asked).
fn others(document: &Document, peers: bool) -> Vec<&[u8]> {
    let is_other = |line: &&Line| match line.association().map(|association| association.kind()) {
        Some(Kind::Server | Kind::Pool) => false,
        Some(Kind::Peer) => !peers,
        _ => true,
    };
    document.lines().iter().filter(is_other).map(Line::bytes).collect()
}

/// Whether `part` is `whole` with lines left out; the last may have got the end it lacked.
fn is_subsequence(part: &[&[u8]], whole: &[&[u8]]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|line| {
        whole.any(|other| {
            other == line
                || (!line.ends_with(b"\n")
                    && other
                        .strip_suffix(b"\n")
                        .is_some_and(|other| other == *line || other.strip_suffix(b"\r") == Some(line)))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_read_is_written(dialect in dialect(), text in text()) {
        prop_assert_eq!(Document::parse(dialect, &text).to_bytes(), text);
    }

    /// A line means the same alone as in its file.
    #[test]
    fn lines_stand_alone(dialect in dialect(), text in text()) {
        let document = Document::parse(dialect, &text);
        for line in document.lines() {
            let alone = Document::parse(dialect, line.bytes());
            prop_assert_eq!(alone.lines(), std::slice::from_ref(line));
        }
    }

    #[test]
    fn setting_touches_only_its_lines(
        dialect in dialect(), text in text(), wanted in sources(), settings in settings(),
    ) {
        let before = Document::parse(dialect, &text);
        let mut document = before.clone();
        let changes = document.set_sources(&wanted, &settings).unwrap();
        prop_assert_eq!(changes.is_empty(), document.to_bytes() == text);

        // What was written reads as it was meant.
        let written = document.to_bytes();
        let after = Document::parse(dialect, &written);
        prop_assert_eq!(&after, &document);
        prop_assert!(is_subsequence(&others(&before, settings.peers), &others(&after, settings.peers)));
        for source in &wanted {
            let said = |found: &&ntp_conf::Association| {
                found.kind() == source.kind()
                    && found.host().trim_end_matches('.').eq_ignore_ascii_case(source.name().trim_end_matches('.'))
                    && found.is_accepted()
            };
            prop_assert!(after.associations().any(|found| said(&found)), "{source} is not in {}", String::from_utf8_lossy(&written));
        }
        for found in after.associations().filter(|found| matches!(found.kind(), Kind::Server | Kind::Pool)) {
            prop_assert!(wanted.iter().any(|source| {
                source.name().trim_end_matches('.').eq_ignore_ascii_case(found.host().trim_end_matches('.'))
            }), "{found} is still there");
        }

        // The second run changes no byte.
        let again = document.set_sources(&wanted, &settings).unwrap();
        prop_assert!(again.is_empty(), "{again:?}");
        prop_assert_eq!(document.to_bytes(), written);
    }

    #[test]
    fn adding_keeps_every_line(dialect in dialect(), text in text(), wanted in sources()) {
        let before = Document::parse(dialect, &text);
        let mut document = before.clone();
        let changes = document.add_sources(&wanted).unwrap();
        prop_assert_eq!(changes.is_empty(), document.to_bytes() == text);
        prop_assert_eq!(document.lines().len(), before.lines().len() + changes.added.len());
        let is: Vec<_> = document.lines().iter().map(Line::bytes).collect();
        let was: Vec<_> = before.lines().iter().map(Line::bytes).collect();
        prop_assert!(is_subsequence(&was, &is));
        prop_assert!(document.add_sources(&wanted).unwrap().is_empty());
    }

    #[test]
    fn removing_takes_only_what_is_unwanted(dialect in dialect(), text in text(), delete: bool) {
        let before = Document::parse(dialect, &text);
        let mut document = before.clone();
        let replaced = if delete { Replaced::Delete } else { Replaced::Comment };
        let is_unwanted = |found: &ntp_conf::Association| found.address() == "a.example";
        let changes = document.remove_sources(replaced, is_unwanted);
        prop_assert_eq!(changes.removed.len(), before.associations().filter(|found| is_unwanted(found)).count());
        prop_assert!(!document.associations().any(is_unwanted));
        let rest = |document: &Document| {
            let lines = document.lines().iter().filter(|line| line.association().is_some());
            lines.filter(|line| line.association().is_some_and(|found| !is_unwanted(found))).map(|line| line.bytes().to_vec()).collect::<Vec<_>>()
        };
        prop_assert_eq!(rest(&document), rest(&before));
        prop_assert!(document.remove_sources(replaced, is_unwanted).is_empty());
    }

    /// What is written as a source is read back as one line of just that, whatever the name.
    #[test]
    fn no_name_becomes_anything_else(dialect in dialect(), name in prop_oneof![any::<String>(), "[-a-z0-9.:%#\" ;_]{1,12}"]) {
        let Ok(source) = Source::server(&name) else { return Ok(()) };
        let mut document = Document::parse(dialect, b"");
        let _ = document.add_sources(&[source]).unwrap();
        let after = Document::parse(dialect, &document.to_bytes());
        prop_assert_eq!(after.lines().len(), 1);
        let found = after.associations().next().unwrap();
        prop_assert_eq!(found.address(), &name);
        prop_assert!(found.problem().is_none() && found.options().is_empty() && found.family().is_none());
    }
}
