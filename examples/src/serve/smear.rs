//! Which leap second is spread: the next of a list, or the one the agent announces.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::output::remark;
use ntp_discipline::leap::{month_end, LeapList};
use ntp_server::{LeapSmear, SmearShape};
use ntp_types::{LeapIndicator, NtpTimestamp, UnixTime};

/// Where tzdata installs it.
pub(super) const LIST: &str = "/usr/share/zoneinfo/leap-seconds.list";

/// What is known of leap seconds, and over how long one is spread.
#[derive(Debug)]
pub(super) struct Smears {
    span: Duration,
    list: Option<LeapList>,
    announced: Option<Leap>,
}

/// A leap second just before `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leap {
    at: UnixTime,
    is_inserted: bool,
}

impl Smears {
    /// Spreads over `span` what is in the list, or without one what is announced.
    pub(super) fn new(span: Duration, list: Option<LeapList>) -> Self {
        Self { span, list, announced: None }
    }

    /// The smear that `now` lies in or before. `warning` is what was announced since the last time.
    pub(super) fn at(&mut self, now: UnixTime, warning: LeapIndicator) -> Option<LeapSmear> {
        let span = self.span;
        let is_over = |leap: &Leap| now.seconds() > leap.at.seconds() + i64::try_from(span.as_secs() / 2).unwrap_or(0);
        self.announced = self.announced.filter(|leap| !is_over(leap));
        // What is still announced after midnight is the one that has just been.
        if self.announced.is_none() && matches!(warning, LeapIndicator::InsertSecond | LeapIndicator::DeleteSecond) {
            let is_inserted = warning == LeapIndicator::InsertSecond;
            self.announced = month_end(now).map(|at| Leap { at, is_inserted });
        }
        let listed = self.list.as_ref().and_then(|list| leaps(list).find(|leap| !is_over(leap)));
        let leap = listed.or(self.announced)?;
        Some(LeapSmear::new(NtpTimestamp::from_unix(leap.at), leap.is_inserted, span, SmearShape::Linear))
    }
}

fn leaps(list: &LeapList) -> impl Iterator<Item = Leap> + '_ {
    let pairs = list.entries().iter().zip(list.entries().iter().skip(1));
    pairs.map(|(before, next)| Leap { at: next.from, is_inserted: next.tai_offset > before.tai_offset })
}

/// Reads a `leap-seconds.list`, and says on standard error if it is out of date.
///
/// # Errors
/// The file cannot be read, or is none.
pub(super) fn read(path: &Path, now: UnixTime) -> io::Result<LeapList> {
    let text = atomic_file::read(path).map_err(io::Error::other)?;
    let list = LeapList::parse(&String::from_utf8_lossy(&text)).map_err(io::Error::other)?;
    if list.is_expired(now) {
        remark(format_args!("ntp-serve: {} has expired: a leap second may come that it does not know", path.display()));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_server::Smeared;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(text: &str) -> UnixTime {
        text.parse().unwrap()
    }

    /// Hours from the middle of a smear, as the smear itself sees them; the offset at noon before is its beginning.
    fn begins(smear: Option<LeapSmear>, time: &str) -> bool {
        smear.is_some_and(|smear| match smear.offset(NtpTimestamp::from_unix(at(time))) {
            Smeared::By(offset) => offset.abs() < ntp_types::NtpDuration::from_nanos(1_000),
            _ => false,
        })
    }

    #[test]
    fn the_next_of_the_list_until_it_is_over() {
        let list = LeapList::parse("#@ 3991593600\n3644697600 36 # 1 Jul 2015\n3692217600 37 # 1 Jan 2017\n").unwrap();
        let mut smears = Smears::new(DAY, Some(list));
        let none = LeapIndicator::NoWarning;
        assert!(begins(smears.at(at("2016-08-01T00:00:00Z"), none), "2016-12-31T12:00:00Z"));
        assert!(begins(smears.at(at("2017-01-01T11:59:59Z"), none), "2016-12-31T12:00:00Z"));
        assert_eq!(smears.at(at("2017-01-01T12:00:01Z"), none), None);
    }

    #[test]
    fn the_announced_one_until_it_is_over_and_not_a_month_later() {
        let mut smears = Smears::new(DAY, None);
        let (none, insert) = (LeapIndicator::NoWarning, LeapIndicator::InsertSecond);
        assert_eq!(smears.at(at("2016-12-30T00:00:00Z"), none), None);
        for (now, warning) in [
            ("2016-12-30T00:00:01Z", insert),
            ("2016-12-31T23:59:59Z", none),
            ("2017-01-01T00:00:05Z", insert),
            ("2017-01-01T11:59:59Z", none),
        ] {
            assert!(begins(smears.at(at(now), warning), "2016-12-31T12:00:00Z"), "{now}");
        }
        assert_eq!(smears.at(at("2017-01-01T12:00:01Z"), none), None);
    }
}
