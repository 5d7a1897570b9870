//! Changing the servers of a file and nothing else.
//!
//! 1. Lines are told apart without loss; unknown ones stay byte for byte.
//! 2. Lines of servers and pools are selected, peers only when asked, reference clocks and comments never.
//! 3. New lines stand where the first replaced one stood; replaced lines become comments with a tag, or go.
//! 4. A server that is named already keeps its line as it is.
//! 5. Without any such line the new ones go to the end, after a line's end.
//! 6. `restrict` lines are not touched; what they would block is a warning, and fewer servers than the daemon waits for are.

use std::collections::BTreeSet;

use crate::lexer::split_end;
use crate::restrict::blocked_by;
use crate::source::is_read_as_written;
use crate::{
    Association, AssociationOption, Content, Dialect, Document, InvalidSource, Keyword, Kind, Line, ReferenceClock,
    Restrict, RestrictTarget, Source,
};

/// Goes before a line that was replaced.
const TAG: &[u8] = b"#ntp-conf# ";

/// What becomes of lines that are replaced or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Replaced {
    /// They become comments: `#ntp-conf# server …`. A line that stands there so already is not kept twice.
    #[default]
    Comment,
    /// They go.
    Delete,
}

/// How servers are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_structs)] // settings to be written down
pub struct SetSources {
    /// What becomes of the old lines.
    pub replaced: Replaced,
    /// New lines take the options of the first line they replace, those they do not have already.
    pub keep_options: bool,
    /// `peer` lines are replaced too.
    pub peers: bool,
}

/// What an edit did. Texts are lines without their ends.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
#[must_use = "it says what was changed and what to warn of"]
pub struct Changes {
    /// Lines that were there and are wanted.
    pub kept: Vec<String>,
    /// Lines that are new.
    pub added: Vec<String>,
    /// Lines that were replaced or removed.
    pub removed: Vec<String>,
    /// What keeps the result from working as it is meant.
    pub warnings: Vec<Warning>,
}

impl Changes {
    /// Whether the document is as it was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// What keeps a file from working as it is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A `restrict` line keeps a server's answers from being heard.
    #[error(
        "`restrict {target}` with `{flag}` blocks {source_name}: it needs a `restrict {source_name}` line of its own"
    )]
    Blocked {
        /// The server.
        source_name: String,
        /// Whom the rule is about.
        target: String,
        /// The flag that blocks.
        flag: String,
    },
    /// `nopeer` without a `restrict source` line keeps ntp from using the servers of a pool.
    #[error("`restrict default … nopeer` keeps pool {source_name} from being used: it needs a `restrict source` line")]
    PoolNotAllowed {
        /// The pool.
        source_name: String,
    },
    /// The daemon waits for more good servers than there are, and never sets the clock. Debian's `ntp.conf` for ntpsec asks for 3.
    #[error("`{setting} {needed}` keeps the clock from being set: this file names {named}, too few")]
    TooFew {
        /// The setting, as it is called there.
        setting: &'static str,
        /// How many it asks for.
        needed: u32,
        /// How many the file names.
        named: usize,
    },
}

impl Document {
    /// Makes `wanted` the servers of the file.
    ///
    /// # Errors
    /// [`InvalidSource::Option`] when the file's daemon does not know an option; the document is as it was.
    pub fn set_sources(&mut self, wanted: &[Source], settings: &SetSources) -> Result<Changes, InvalidSource> {
        let dialect = self.dialect();
        wanted.iter().try_for_each(|source| source.check(dialect))?;
        let is_old = |association: &Association| {
            is_candidate(association, settings.peers) && !wanted.iter().any(|source| source.is(association))
        };
        let template = self.associations().find(|&association| is_old(association)).cloned();
        let mut new = self.missing(wanted);
        if let Some(template) = template.filter(|_| settings.keep_options) {
            new = new.into_iter().map(|source| with_missing_options(source, &template, dialect)).collect();
        }
        let place = self.lines.iter().position(|line| line.association().is_some_and(&is_old));
        let mut changes = self.changes(wanted);
        if let Some(place) = place {
            changes.added = self.insert(place, &new);
        } else {
            changes.added = self.insert_after_last(&new);
        }
        changes.removed = self.retire(settings.replaced, |association| {
            is_old(association) && !new.iter().any(|source| source.is(association))
        });
        changes.warnings = self.warnings(wanted);
        Ok(changes)
    }

    /// Adds those of `wanted` that the file does not name, after its last server.
    ///
    /// # Errors
    /// As [`set_sources`](Self::set_sources).
    pub fn add_sources(&mut self, wanted: &[Source]) -> Result<Changes, InvalidSource> {
        let dialect = self.dialect();
        wanted.iter().try_for_each(|source| source.check(dialect))?;
        let new = self.missing(wanted);
        let mut changes = self.changes(wanted);
        changes.added = self.insert_after_last(&new);
        changes.warnings = self.warnings(wanted);
        Ok(changes)
    }

    /// Removes every association that `is_unwanted`, whatever its kind.
    pub fn remove_sources(&mut self, replaced: Replaced, is_unwanted: impl Fn(&Association) -> bool) -> Changes {
        let removed = self.retire(replaced, is_unwanted);
        Changes { removed, warnings: self.warnings(&[]), ..Changes::default() }
    }

    /// What keeps these servers from being used with the access rules of this file, and the clock from being set by so few.
    #[must_use]
    pub fn warnings(&self, sources: &[Source]) -> Vec<Warning> {
        let mut warnings = if self.dialect().is_ntp() { self.blocked(sources) } else { Vec::new() };
        warnings.extend(self.too_few());
        warnings
    }

    /// A pool, and whoever answers a broadcast, may be many.
    fn too_few(&self) -> Option<Warning> {
        let needed = self.minimum();
        let is_clock =
            |line: &&Line| matches!(line.content(), Content::ReferenceClock(ReferenceClock { is_fudge: false, .. }));
        let mut named = self.lines.iter().filter(is_clock).count();
        for found in self.associations().filter(|found| found.is_accepted()) {
            match found.kind() {
                Kind::Server | Kind::Peer => {
                    let is_used = !found.options().iter().any(|option| option.keyword == Keyword::NoSelect);
                    named += usize::from(is_used);
                }
                Kind::Pool | Kind::Broadcast | Kind::ManycastClient => return None,
            }
        }
        let is_short = needed > 1 && u32::try_from(named).is_ok_and(|named| named < needed);
        let setting = if self.dialect().is_ntp() { "tos minsane" } else { "minsources" };
        is_short.then_some(Warning::TooFew { setting, needed, named })
    }

    fn blocked(&self, sources: &[Source]) -> Vec<Warning> {
        let rules: Vec<&Restrict> = self.restricts().collect();
        let has_source_rule = rules.iter().any(|rule| rule.target == RestrictTarget::Source);
        let is_nopeer = rules.iter().any(|rule| {
            matches!(rule.target, RestrictTarget::Default(_)) && rule.flags.iter().any(|flag| flag == "nopeer")
        });
        let warning = |source: &Source| {
            let source_name = source.name().to_string();
            if let Some((rule, flag)) = blocked_by(&rules, source.name(), source.kind(), source.has_key()) {
                return Some(Warning::Blocked { source_name, target: rule.target.to_string(), flag: flag.into() });
            }
            let is_stopped = source.kind() == Kind::Pool && is_nopeer && !has_source_rule;
            (is_stopped && self.dialect() == Dialect::Ntp).then_some(Warning::PoolNotAllowed { source_name })
        };
        sources.iter().filter_map(warning).collect()
    }

    /// The wanted that no line says, each once.
    fn missing(&self, wanted: &[Source]) -> Vec<Source> {
        let mut new: Vec<Source> = Vec::new();
        for source in wanted {
            let is_new =
                |other: &Source| other.kind() != source.kind() || !other.name().eq_ignore_ascii_case(source.name());
            if !self.associations().any(|association| source.is(association)) && new.iter().all(is_new) {
                new.push(source.clone());
            }
        }
        new
    }

    fn changes(&self, wanted: &[Source]) -> Changes {
        let is_kept =
            |line: &&Line| line.association().is_some_and(|found| wanted.iter().any(|source| source.is(found)));
        Changes { kept: self.lines.iter().filter(is_kept).map(Line::text).collect(), ..Changes::default() }
    }

    /// Puts lines before the one at `place`; says what they are.
    fn insert(&mut self, place: usize, sources: &[Source]) -> Vec<String> {
        let dialect = self.dialect();
        let end = self.line_end(place).to_vec();
        let texts: Vec<String> = sources.iter().map(Source::to_string).collect();
        let lines: Vec<Line> =
            texts.iter().map(|text| Line::parse(dialect, &[text.as_bytes(), &end].concat())).collect();
        self.lines.splice(place..place, lines);
        texts
    }

    /// Puts lines after the last server, or at the end.
    fn insert_after_last(&mut self, sources: &[Source]) -> Vec<String> {
        if sources.is_empty() {
            return Vec::new();
        }
        let is_source = |line: &Line| line.association().is_some_and(|found| is_candidate(found, false));
        let place = self.lines.iter().rposition(is_source).map_or(self.lines.len(), |last| last + 1);
        let (dialect, end) = (self.dialect(), self.line_end(place).to_vec());
        if let Some(before) = place.checked_sub(1).and_then(|before| self.lines.get_mut(before)) {
            if before.end().is_empty() {
                *before = Line::parse(dialect, &[before.bytes(), &end].concat());
            }
        }
        self.insert(place, sources)
    }

    /// How a new line at `place` ends: as the line there does, or the one before, or the file's first.
    fn line_end(&self, place: usize) -> &[u8] {
        let at = |index: usize| self.lines.get(index).map(Line::end).filter(|end| !end.is_empty());
        at(place).or_else(|| at(place.checked_sub(1)?)).or_else(|| at(0)).unwrap_or(b"\n")
    }

    /// Comments out or deletes lines; says what they were.
    fn retire(&mut self, replaced: Replaced, is_unwanted: impl Fn(&Association) -> bool) -> Vec<String> {
        let dialect = self.dialect();
        let mut removed = Vec::new();
        let mut retired: BTreeSet<Vec<u8>> = self
            .lines
            .iter()
            .filter_map(|line| split_end(line.bytes()).0.strip_prefix(TAG).map(<[u8]>::to_vec))
            .collect();
        let mut lines = Vec::with_capacity(self.lines.len());
        for line in std::mem::take(&mut self.lines) {
            if !line.association().is_some_and(&is_unwanted) {
                lines.push(line);
                continue;
            }
            removed.push(line.text());
            let text = split_end(line.bytes()).0.to_vec();
            if replaced == Replaced::Comment && retired.insert(text) {
                lines.push(Line::parse(dialect, &[TAG, line.bytes()].concat()));
            }
        }
        self.lines = lines;
        removed
    }
}

/// Whether a line is one of those that are replaced.
fn is_candidate(association: &Association, peers: bool) -> bool {
    match association.kind() {
        Kind::Server | Kind::Pool => true,
        Kind::Peer => peers,
        Kind::Broadcast | Kind::ManycastClient => false,
    }
}

/// The options of `template` that `source` lacks are added to it; those that fit only a pool or one server are not.
fn with_missing_options(source: Source, template: &Association, dialect: Dialect) -> Source {
    let own = [Keyword::MaxSources, Keyword::Port, Keyword::Key, Keyword::Mode];
    let had: Vec<Keyword> = source.options().iter().map(|option| option.keyword).collect();
    let is_taken = |option: &&AssociationOption| {
        !own.contains(&option.keyword) && !had.contains(&option.keyword) && is_read_as_written(option, dialect)
    };
    template
        .options()
        .iter()
        .filter(is_taken)
        .fold(source, |source, option| source.with(option.keyword, option.value.clone()))
}
