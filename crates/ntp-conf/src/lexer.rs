//! A line's words, as ntpd's and chronyd's own lexers cut them.
//!
//! Both see a line without its end. What a daemon's lexer does with a word depends on the word before it (ntpd) or not at
//! all (chronyd), so the words of a line are found without knowing what they mean.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::{char, one_of};
use nom::combinator::{eof, opt, recognize, rest, value, verify};
use nom::multi::many0;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// One word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Its text, quotes taken away.
    pub(crate) text: Vec<u8>,
    /// Whether ntpd takes it as a string whatever it spells: it was quoted, or follows a word that wants a string.
    pub(crate) is_string: bool,
    /// Whether it is one of ntpd's special characters, standing for itself.
    pub(crate) is_special: bool,
}

impl Word {
    /// The text for people; octets that are not UTF-8 are replaced.
    pub(crate) fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// The text if the daemon may take it as a keyword or number.
    pub(crate) fn as_bare(&self) -> Option<&str> {
        if self.is_string || self.is_special {
            None
        } else {
            std::str::from_utf8(&self.text).ok()
        }
    }
}

/// `isspace` of the C locale, the line's end left out.
fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// Characters that ntpd takes as words of their own.
fn is_special(octet: u8) -> bool {
    b"{}(),;|=".contains(&octet)
}

/// Splits a file into lines, each with its end; the last may have none. Together they are the file.
pub(crate) fn lines(input: &[u8]) -> Vec<&[u8]> {
    let line = verify(
        recognize((take_till(|octet| octet == b'\n'), opt(char('\n')))),
        |line: &[u8]| !line.is_empty(), // at the end of the file
    );
    all(many0(line).parse(input))
}

/// A line without its end, and its end: nothing, LF or CR LF.
///
/// Both daemons take a CR for blank space, so that a line that ends in CR LF means what it means without the CR.
pub(crate) fn split_end(line: &[u8]) -> (&[u8], &[u8]) {
    let length = line.strip_suffix(b"\n").map_or(line.len(), |line| line.strip_suffix(b"\r").unwrap_or(line).len());
    line.split_at(length)
}

/// The words of a line of chrony's: separated by blank space, nothing is quoted; a line whose first visible character is
/// one of `!;#%` has none.
pub(crate) fn chrony_words(line: &[u8]) -> Vec<Word> {
    let word = delimited(take_while(is_space), take_while1(|octet| !is_space(octet)), take_while(is_space));
    let comment = value(Vec::new(), (take_while(is_space), one_of("!;#%"), rest));
    let words = many0(word).map(|words| words.into_iter().map(plain).collect());
    all(alt((comment, words)).parse(line))
}

fn plain(text: &[u8]) -> Word {
    Word { text: text.into(), is_string: false, is_special: false }
}

/// Words of ntpd after which the next is a string, special characters and all. Only those that this crate reads on.
const BEFORE_STRING: &[&[u8]] = &[
    b"server",
    b"pool",
    b"peer",
    b"broadcast",
    b"manycastclient",
    b"unpeer",
    b"unconfig",
    b"includefile",
    b"keys",
    b"ident",
    b"aead",
    b"=",
];

/// The words of a line of ntpd's. It drops octets that are not ASCII, wherever they stand.
pub(crate) fn ntp_words(line: &[u8]) -> Vec<Word> {
    let line: Vec<u8> = line.iter().copied().filter(u8::is_ascii).collect();
    let mut left = line.as_slice();
    let mut words = Vec::new();
    let mut wants_string = false;
    while let Ok((rest, Some(word))) = ntp_word(wants_string, left) {
        left = rest;
        let is_family = word.is_string && (word.text.starts_with(b"-4") || word.text.starts_with(b"-6"));
        if !is_family {
            wants_string = !word.is_string && BEFORE_STRING.contains(&word.text.as_slice());
        }
        words.push(word);
    }
    words
}

/// One word of ntpd's, if there is another on the line.
fn ntp_word(wants_string: bool, input: &[u8]) -> IResult<&[u8], Option<Word>> {
    let blank = value(None, (take_while(is_space), eof));
    let comment = value(None, (take_while(is_space), char('#'), rest));
    let special = preceded(take_while(is_space), recognize(one_of("{}(),;|=")))
        .map(|text: &[u8]| Some(Word { text: text.into(), is_string: false, is_special: true }));
    let special = verify(special, move |_| !wants_string);
    alt((blank, comment, special, move |input| lexeme(wants_string, input))).parse(input)
}

/// A word that is not special: up to blank space, a quotation to its closing mark or the line's end, or a comment, which
/// may begin within a word. An empty quotation is no word, but makes the next one a string.
fn lexeme(wants_string: bool, input: &[u8]) -> IResult<&[u8], Option<Word>> {
    let ends_bare =
        move |octet| is_space(octet) || octet == b'"' || octet == b'#' || (!wants_string && is_special(octet));
    let quoted = delimited(char('"'), take_till(|octet| octet == b'"'), opt(char('"')));
    let bare = take_till(ends_bare);
    let empty = value((), (take_while(is_space), tag("\"\"")));
    let (input, empty) = many0(empty).parse(input)?;
    let comment = opt(recognize((char('#'), rest)));
    let mut word = terminated((preceded(take_while(is_space), bare), opt(quoted)), comment);
    let (input, (bare, quoted)) = word.parse(input)?;
    let is_string = wants_string || quoted.is_some() || !empty.is_empty();
    let text = [bare, quoted.unwrap_or_default()].concat();
    if text.is_empty() {
        return if input.is_empty() { Ok((input, None)) } else { ntp_word(wants_string, input) };
    }
    Ok((input, Some(Word { text, is_string, is_special: false })))
}

/// The result of a parser that accepts every input.
fn all<T: Default>(result: IResult<&[u8], T>) -> T {
    result.map(|(_, found)| found).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ntp(line: &str) -> String {
        let shown = |word: &Word| {
            let mark = if word.is_special {
                "'"
            } else if word.is_string {
                "\""
            } else {
                ""
            };
            format!("{mark}{}{mark}", word.to_text())
        };
        ntp_words(line.as_bytes()).iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ntpd_cuts_words() {
        for (line, words) in [
            ("", ""),
            (" \t\r ", ""),
            ("# a comment", ""),
            ("  #a", ""),
            ("server a.example iburst", "server \"a.example\" iburst"),
            ("server a#b iburst", "server \"a\""),
            ("server \"a b\" iburst", "server \"a b\" iburst"),
            ("server foo\"bar baz\"qux iburst", "server \"foobar baz\" qux iburst"),
            ("server \"open to the end iburst", "server \"open to the end iburst\""),
            ("server a \"iburst\"", "server \"a\" \"iburst\""),
            ("server \"\" b iburst", "server \"b\" iburst"),
            ("server a \"\" iburst", "server \"a\" \"iburst\""),
            ("server -4 a;b iburst", "server \"-4\" \"a;b\" iburst"),
            ("server a minpoll=4", "server \"a\" minpoll '=' \"4\""),
            ("keys /etc/ntp.keys;1", "keys \"/etc/ntp.keys;1\""),
            ("trustedkey 1 (3 ... 5)", "trustedkey 1 '(' 3 ... 5 ')'"),
            ("server a key 3;x", "server \"a\" key 3 ';' x"),
            ("server a \"b\"#c", "server \"a\" \"b\""),
            ("restrict default{a}", "restrict default '{' a '}'"),
            ("server a prefer\u{e9}", "server \"a\" prefer"),
        ] {
            assert_eq!(ntp(line), words, "{line}");
        }
    }

    #[test]
    fn chronyd_cuts_words() {
        let words = |line: &str| chrony_words(line.as_bytes()).iter().map(Word::to_text).collect::<Vec<_>>().join("|");
        assert_eq!(words("  server\ta.example  iburst \r"), "server|a.example|iburst");
        assert_eq!(words("server \"a b\" # no comment"), "server|\"a|b\"|#|no|comment");
        for comment in ["# a", " ! a", "\t;a", "%", "", "  "] {
            assert_eq!(words(comment), "", "{comment}");
        }
    }

    #[test]
    fn lines_are_the_file() {
        for (text, count) in [("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2), ("\n\n", 2), ("\r\n\r", 2)] {
            let found = lines(text.as_bytes());
            assert_eq!(found.len(), count, "{text:?}");
            assert_eq!(found.concat(), text.as_bytes());
        }
        assert_eq!(split_end(b"a\r\n"), (&b"a"[..], &b"\r\n"[..]));
        assert_eq!(split_end(b"a\r"), (&b"a\r"[..], &b""[..]));
    }
}
