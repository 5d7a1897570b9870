//! A configuration file as its lines.

use crate::{lexer, Association, Content, Dialect, Include, Line, Restrict};

/// A configuration file: its lines, each with its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    dialect: Dialect,
    pub(crate) lines: Vec<Line>,
}

impl Document {
    /// Reads a file. Every input is a document; what a daemon would refuse stands in the lines.
    #[must_use]
    pub fn parse(dialect: Dialect, bytes: &[u8]) -> Self {
        let lines = lexer::lines(bytes).into_iter().map(|line| Line::parse(dialect, line)).collect();
        Self { dialect, lines }
    }

    /// The file: what was parsed, byte for byte, but for the edits.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(Line::bytes).copied().collect()
    }

    /// Its language.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The associations in their order, those with a problem too; reference clocks are none.
    pub fn associations(&self) -> impl Iterator<Item = &Association> {
        self.lines.iter().filter_map(Line::association)
    }

    /// The other files it reads, in their order.
    pub fn includes(&self) -> impl Iterator<Item = &Include> {
        self.lines.iter().filter_map(|line| match line.content() {
            Content::Include(include) => Some(include),
            _ => None,
        })
    }

    /// How many sources must be good before the clock is set; the last line that says so counts, 1 without one.
    #[must_use]
    pub fn minimum(&self) -> u32 {
        let minimum = |line: &Line| match line.content() {
            Content::Minimum(number) => Some(*number),
            _ => None,
        };
        self.lines.iter().rev().find_map(minimum).unwrap_or(1)
    }

    /// The access rules (ntpd).
    pub fn restricts(&self) -> impl Iterator<Item = &Restrict> {
        self.lines.iter().filter_map(|line| match line.content() {
            Content::Restrict(restrict) => Some(restrict),
            _ => None,
        })
    }
}
