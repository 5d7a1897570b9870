//! `sysctl.conf` without loss: its lines, what `sysctl -p` takes from them, and setting one key.
//!
//! The reading is procps's: the first `.` or `/` of a key decides how both are read, one `-` before it forgives failure,
//! an assignment wins over an earlier one, and over a pattern wherever that stands.

use crate::pattern::{fits, fits_path};

/// A file's lines, each with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    bytes: Vec<u8>,
    setting: Option<Setting>,
}

/// A line that sets something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The path below `/proc/sys`: `xen/independent_wallclock`. It may be a pattern.
    pub path: String,
    /// The value, blanks round it taken away; none in a line that keeps patterns off a path (`-net.ipv4.conf.eth0`).
    pub value: Option<String>,
    /// Whether failing to set it is forgiven (a `-` before the key).
    pub ignores_failure: bool,
}

/// What setting a key did to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // all there is
pub enum Edit {
    /// The file says it already.
    Unchanged,
    /// The last line that set it was changed, and earlier ones became comments.
    Changed,
    /// No line set it: one was added.
    Added,
}

impl Sysctl {
    /// Reads a file. Every input is one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let line = |bytes: &[u8]| Line { bytes: bytes.to_vec(), setting: Setting::of_line(bytes) };
        Self { lines: bytes.split_inclusive(|&octet| octet == b'\n').map(line).collect() }
    }

    /// The file: what was parsed, byte for byte, but for the edits.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.bytes.iter()).copied().collect()
    }

    /// Its settings in their order.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.lines.iter().filter_map(|line| line.setting.as_ref())
    }

    /// The value that the file gives a key, in any of its spellings; `None` when it gives none.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let path = key_path(key);
        let named = self.settings().filter(|setting| setting.path == path);
        if let Some(value) = named.filter_map(|setting| setting.value.as_deref()).last() {
            return Some(value);
        }
        // Patterns give way to a line that keeps them off, which may be a pattern itself.
        let is_kept_off = self.settings().any(|setting| setting.keeps_off(&path));
        if is_kept_off {
            return None;
        }
        self.settings()
            .filter(|setting| setting.is_pattern_for(&path))
            .filter_map(|setting| setting.value.as_deref())
            .last()
    }

    /// Makes the file give `key` this value, changing as few lines as will do: none when it does already, else the
    /// value of the last line that sets the key, or else a line at the end, below `comment`. Earlier lines that set
    /// it become comments. Each line keeps its own end.
    #[allow(clippy::must_use_candidate)] // the edit is the point
    pub fn set(&mut self, key: &str, value: &str, comment: &str) -> Edit {
        let path = key_path(key);
        let sets_it =
            |line: &Line| line.setting.as_ref().is_some_and(|setting| setting.path == path && setting.value.is_some());
        let Some(last) = self.lines.iter().rposition(sets_it) else {
            self.add(key, value, comment);
            return Edit::Added;
        };
        if self.value(key) == Some(value) {
            return Edit::Unchanged;
        }
        for (index, line) in self.lines.iter_mut().enumerate().filter(|(_, line)| sets_it(line)) {
            let bytes =
                if index == last { with_value(&line.bytes, value) } else { [b"#", line.bytes.as_slice()].concat() };
            *line = Line { setting: Setting::of_line(&bytes), bytes };
        }
        Edit::Changed
    }

    /// Adds a line, below its comment if that stands in the file already, else with it at the end.
    fn add(&mut self, key: &str, value: &str, comment: &str) {
        let end = self
            .lines
            .iter()
            .rev()
            .map(|line| end_of(&line.bytes))
            .find(|end| !end.is_empty())
            .unwrap_or(b"\n")
            .to_vec();
        let line = |text: &str| {
            let bytes = [text.as_bytes(), &end].concat();
            Line { setting: Setting::of_line(&bytes), bytes }
        };
        let is_comment = |line: &Line| line.bytes.strip_suffix(end_of(&line.bytes)) == Some(comment.as_bytes());
        let place = self.lines.iter().rposition(is_comment);
        let mut new = vec![line(&format!("{key}={value}"))];
        if place.is_none() {
            new.insert(0, line(comment));
        }
        let place = place.map_or(self.lines.len(), |place| place + 1);
        if let Some(before) = place.checked_sub(1).and_then(|before| self.lines.get_mut(before)) {
            if end_of(&before.bytes).is_empty() {
                before.bytes.extend_from_slice(&end);
                before.setting = Setting::of_line(&before.bytes);
            }
        }
        self.lines.splice(place..place, new);
    }
}

impl Setting {
    /// What procps takes from a line; a NUL ends it.
    fn of_line(line: &[u8]) -> Option<Self> {
        let line = line.split(|&octet| octet == 0).next().unwrap_or_default();
        let line = trim_start(line);
        if line.len() < 2 || line.starts_with(b"#") || line.starts_with(b";") {
            return None;
        }
        let (key, value) = match line.iter().position(|&octet| octet == b'=') {
            Some(place) => {
                let (key, value) = line.split_at(place);
                (key, Some(trim(value.get(1..).unwrap_or_default())))
            }
            None => (line, None),
        };
        let (key, ignores_failure) = key.strip_prefix(b"-").map_or((key, false), |key| (key, true));
        if value.is_none() && !ignores_failure {
            return None; // neither a setting nor an exception
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let key = text(trim_end(key));
        // procps strips a second sign when it makes the path.
        let path = key_path(key.strip_prefix('-').unwrap_or(&key));
        Some(Self { path, value: value.map(text), ignores_failure })
    }

    /// Whether it is a pattern that sets this path.
    fn is_pattern_for(&self, path: &str) -> bool {
        self.value.is_some() && self.path.contains(['*', '?', '[']) && fits_path(&self.path, path)
    }

    /// Whether it keeps patterns off this path: named so, or by a pattern whose `*` goes beyond `/`.
    fn keeps_off(&self, path: &str) -> bool {
        self.value.is_none() && (self.path == path || fits(&self.path, path))
    }
}

/// The path of a key below `/proc/sys`: if its first separator is a dot, dots and slashes change places. Then as the
/// kernel walks it: empty parts and `.` lead nowhere; a slash at the end stays, because no file has one.
fn key_path(key: &str) -> String {
    let begins_dotted =
        key.find(['.', '/']).and_then(|place| key.get(place..)).is_some_and(|rest| rest.starts_with('.'));
    let swapped = |letter| match letter {
        '.' if begins_dotted => '/',
        '/' if begins_dotted => '.',
        other => other,
    };
    let path: String = key.chars().map(swapped).collect();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    parts.join("/") + end
}

/// A line with another value; everything round it stays.
fn with_value(line: &[u8], value: &str) -> Vec<u8> {
    let Some(place) = line.iter().position(|&octet| octet == b'=') else { return line.to_vec() };
    let (key, rest) = line.split_at(place + 1);
    let blank = rest.len() - trim_start(rest).len();
    let (before, after) = if trim(rest).is_empty() {
        // Nothing but blanks and the line's end: the value goes before the end.
        let end = end_of(rest);
        (rest.strip_suffix(end).unwrap_or(rest), end)
    } else {
        let end = trim_end(rest).len();
        (rest.get(..blank).unwrap_or_default(), rest.get(end..).unwrap_or_default())
    };
    [key, before, value.as_bytes(), after].concat()
}

/// LF, CR LF or nothing.
fn end_of(line: &[u8]) -> &[u8] {
    let length = line.strip_suffix(b"\n").map_or(line.len(), |line| line.strip_suffix(b"\r").unwrap_or(line).len());
    line.get(length..).unwrap_or_default()
}

/// `isspace` of the C locale.
fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn trim_start(text: &[u8]) -> &[u8] {
    text.get(text.iter().position(|&octet| !is_space(octet)).unwrap_or(text.len())..).unwrap_or_default()
}

fn trim_end(text: &[u8]) -> &[u8] {
    text.get(..text.iter().rposition(|&octet| !is_space(octet)).map_or(0, |last| last + 1)).unwrap_or_default()
}

fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}
