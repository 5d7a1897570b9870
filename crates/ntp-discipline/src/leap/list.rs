//! Reader of `leap-seconds.list`, the table of leap seconds that IERS publishes and tzdata installs.
//!
//! Text: `#$` last update, `#@` expiry, `#h` SHA-1 of the numbers, data lines `NTP-seconds TAI−UTC # date`, other `#` lines are
//! comments. Seconds count from 1900 and do not wrap.

use ntp_types::{LeapIndicator, UnixTime};

/// Seconds from 1900-01-01 to 1970-01-01.
const UNIX_EPOCH: i64 = 2_208_988_800;

/// Entries a table can hold: 28 were published in fifty years.
pub const MAXIMUM_ENTRIES: usize = 64;

/// From `from` on, TAI is ahead of UTC by `tai_offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeapSecond {
    /// First instant of the new offset: the leap second lies just before.
    pub from: UnixTime,
    /// TAI − UTC in seconds from then on.
    pub tai_offset: i32,
}

/// A table of leap seconds: entries in order of time, offsets changing by one second each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeapList {
    entries: [LeapSecond; MAXIMUM_ENTRIES],
    len: usize,
    updated: Option<UnixTime>,
    expires: UnixTime,
    hash: Option<[u32; 5]>,
}

/// A text is not a table of leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeapListError {
    /// A number is missing or not one.
    #[error("line {line}: expected {expected}")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// An entry does not follow the one before: later in time, one second more or less.
    #[error("line {line}: entry is not later than the one before, or its offset not one second away")]
    Order {
        /// Line, counted from 1.
        line: usize,
    },
    /// More entries than the table holds.
    #[error("line {line}: more than {MAXIMUM_ENTRIES} entries")]
    TooMany {
        /// Line, counted from 1.
        line: usize,
    },
    /// No data line.
    #[error("no leap seconds")]
    Empty,
    /// No expiry: the table could be of any age.
    #[error("no expiry (#@)")]
    NoExpiry,
    /// The hash line is missing or does not match.
    #[error("the numbers do not match their hash")]
    Hash,
}

impl LeapList {
    /// Read a table. The hash is kept, not verified: that takes the feature `sha1`.
    ///
    /// # Errors
    /// [`LeapListError`] names the first line that is wrong.
    ///
    /// # Example
    /// ```
    /// use ntp_discipline::leap::LeapList;
    /// use ntp_types::LeapIndicator;
    ///
    /// let text = "#$\t3676924800\n#@\t3707596800\n3644697600\t36\t# 1 Jul 2015\n3692217600\t37\t# 1 Jan 2017\n";
    /// let list = LeapList::parse(text)?;
    /// let now = "2016-12-05T00:00:00Z".parse().unwrap();
    /// assert_eq!(list.warning(now), Some(LeapIndicator::InsertSecond));
    /// assert_eq!(list.tai_offset(now), Some(36));
    /// # Ok::<(), ntp_discipline::leap::LeapListError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, LeapListError> {
        let nothing = LeapSecond { from: UnixTime::EPOCH, tai_offset: 0 };
        let mut list =
            Self { entries: [nothing; MAXIMUM_ENTRIES], len: 0, updated: None, expires: UnixTime::EPOCH, hash: None };
        let mut expires = None;
        for (line, content) in (1..).zip(lines(text)) {
            match Line::of(content) {
                Line::Comment => {}
                Line::Updated(rest) => list.updated = Some(time(rest, line)?),
                Line::Expires(rest) => expires = Some(time(rest, line)?),
                Line::Hash(rest) => list.hash = Some(hash(rest, line)?),
                Line::Entry(seconds, offset) => {
                    let from = time(seconds, line)?;
                    let offset = offset.and_then(|offset| offset.parse().ok());
                    let tai_offset = offset.ok_or(LeapListError::Syntax { line, expected: "an offset in seconds" })?;
                    list.push(LeapSecond { from, tai_offset }, line)?;
                }
            }
        }
        if list.len == 0 {
            return Err(LeapListError::Empty);
        }
        list.expires = expires.ok_or(LeapListError::NoExpiry)?;
        Ok(list)
    }

    /// Read a table and verify its hash.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and [`LeapListError::Hash`] when the hash is missing or another.
    #[cfg(feature = "sha1")]
    pub fn parse_verified(text: &str) -> Result<Self, LeapListError> {
        use sha1::{Digest, Sha1};

        let list = Self::parse(text)?;
        let mut digest = Sha1::new();
        hashed(text, |digits| digest.update(digits.as_bytes()));
        let mut words = [0; 5];
        for (word, octets) in words.iter_mut().zip(digest.finalize().chunks_exact(4)) {
            *word = octets.iter().fold(0, |word, &octet| word << 8 | u32::from(octet));
        }
        if list.hash == Some(words) {
            Ok(list)
        } else {
            Err(LeapListError::Hash)
        }
    }

    fn push(&mut self, entry: LeapSecond, line: usize) -> Result<(), LeapListError> {
        if let Some(last) = self.entries().last() {
            let is_one = last.tai_offset.abs_diff(entry.tai_offset) == 1;
            if entry.from <= last.from || !is_one {
                return Err(LeapListError::Order { line });
            }
        }
        let place = self.entries.get_mut(self.len).ok_or(LeapListError::TooMany { line })?;
        *place = entry;
        self.len += 1;
        Ok(())
    }

    /// The entries, in order of time; the first is the offset at the start, not a leap second.
    #[must_use]
    pub fn entries(&self) -> &[LeapSecond] {
        self.entries.get(..self.len).unwrap_or(&[])
    }

    /// When the table was last changed.
    #[must_use]
    pub const fn updated(&self) -> Option<UnixTime> {
        self.updated
    }

    /// Until when it is known that there is no other leap second.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// The SHA-1 the file gives for its numbers.
    #[must_use]
    pub const fn hash(&self) -> Option<[u32; 5]> {
        self.hash
    }

    /// Whether `now` lies beyond the expiry: the table then still knows the past, but not that nothing comes.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        now >= self.expires
    }

    /// The leap warning of the month of `now`; `None` when the table has expired and names no leap second for it.
    #[must_use]
    pub fn warning(&self, now: UnixTime) -> Option<LeapIndicator> {
        let end = super::month_end(now)?;
        let mut pairs = self.entries().iter().zip(self.entries().iter().skip(1));
        match pairs.find(|(_, next)| next.from == end) {
            Some((before, next)) if next.tai_offset > before.tai_offset => Some(LeapIndicator::InsertSecond),
            Some(_) => Some(LeapIndicator::DeleteSecond),
            None if self.is_expired(now) => None,
            None => Some(LeapIndicator::NoWarning),
        }
    }

    /// TAI − UTC at `now`; `None` before the first entry.
    #[must_use]
    pub fn tai_offset(&self, now: UnixTime) -> Option<i32> {
        self.entries().iter().rev().find(|entry| entry.from <= now).map(|entry| entry.tai_offset)
    }

    /// The POSIX second of a TAI second (both since 1970-01-01), and whether it is an inserted one, 23:59:60.
    ///
    /// The inserted second has the POSIX number of the one before it. `None` before the first entry.
    #[must_use]
    pub fn utc_of(&self, tai: i64) -> Option<(i64, bool)> {
        let begins = |entry: &LeapSecond| entry.from.seconds().saturating_add(i64::from(entry.tai_offset));
        let entries = self.entries();
        let place = entries.iter().rposition(|entry| begins(entry) <= tai)?;
        let utc = tai.saturating_sub(i64::from(entries.get(place)?.tai_offset));
        match entries.get(place + 1) {
            // Past the last second of its offset: the inserted second.
            Some(next) if utc >= next.from.seconds() => Some((next.from.seconds().saturating_sub(1), true)),
            _ => Some((utc, false)),
        }
    }
}

/// Split at a set of one: core's search for a single character has a path to a panic.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n'])
}

/// What a line is.
enum Line<'a> {
    Comment,
    Updated(&'a str),
    Expires(&'a str),
    Hash(&'a str),
    Entry(&'a str, Option<&'a str>),
}

impl<'a> Line<'a> {
    fn of(content: &'a str) -> Self {
        if let Some(rest) = content.strip_prefix("#$") {
            return Self::Updated(rest.trim());
        }
        if let Some(rest) = content.strip_prefix("#@") {
            return Self::Expires(rest.trim());
        }
        if let Some(rest) = content.strip_prefix("#h") {
            return Self::Hash(rest.trim());
        }
        let data = content.split(['#']).next().unwrap_or("");
        let mut words = data.split_ascii_whitespace();
        words.next().map_or(Self::Comment, |seconds| Self::Entry(seconds, words.next()))
    }
}

/// The digits that are hashed, in order: of `#$`, of `#@`, of each entry's two numbers.
#[cfg(feature = "sha1")]
fn hashed(text: &str, mut sink: impl FnMut(&str)) {
    let lines = || lines(text).map(Line::of);
    lines().for_each(|line| {
        if let Line::Updated(digits) = line {
            sink(digits)
        }
    });
    lines().for_each(|line| {
        if let Line::Expires(digits) = line {
            sink(digits)
        }
    });
    for line in lines() {
        if let Line::Entry(seconds, offset) = line {
            sink(seconds);
            sink(offset.unwrap_or(""));
        }
    }
}

/// NTP seconds, unwrapped.
fn time(text: &str, line: usize) -> Result<UnixTime, LeapListError> {
    let seconds: Option<i64> = text.parse().ok().filter(|&seconds| seconds >= 0);
    seconds
        .map(|seconds| UnixTime::from_seconds(seconds - UNIX_EPOCH))
        .ok_or(LeapListError::Syntax { line, expected: "a time in seconds since 1900" })
}

/// Five words, which some editions print without leading zeros.
fn hash(text: &str, line: usize) -> Result<[u32; 5], LeapListError> {
    let error = LeapListError::Syntax { line, expected: "five hexadecimal words" };
    let mut words = [0; 5];
    let mut texts = text.split_ascii_whitespace();
    for word in &mut words {
        let text = texts.next().ok_or(error)?;
        *word = u32::from_str_radix(text, 16).map_err(|_| error)?;
    }
    if texts.next().is_some() {
        return Err(error);
    }
    Ok(words)
}
