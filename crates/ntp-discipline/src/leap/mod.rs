//! Leap seconds: who is believed, when a clock is armed, and what the minute with 61 or 59 seconds looks like.
//!
//! NTP and POSIX count no leap seconds: in an inserted one their count repeats, at a deleted one it jumps. A warning says
//! that the current *month* ends with one; clocks are armed only on its last day, because a kernel told earlier would act
//! at the end of the wrong day.

mod list;

pub use list::{LeapList, LeapListError, LeapSecond, MAXIMUM_ENTRIES};

use ntp_types::{CivilTime, LeapIndicator, UnixTime};

const SECONDS_PER_DAY: i64 = 86_400;

/// What more than half of the voters say; no warning without such a majority.
///
/// [`LeapIndicator::Unsynchronized`] is a vote for no warning.
///
/// # Example
/// ```
/// use ntp_discipline::leap::vote;
/// use ntp_types::LeapIndicator::{InsertSecond, NoWarning};
///
/// assert_eq!(vote([InsertSecond, NoWarning, InsertSecond]), InsertSecond);
/// assert_eq!(vote([InsertSecond, NoWarning]), NoWarning);
/// ```
#[must_use]
pub fn vote(voters: impl IntoIterator<Item = LeapIndicator>) -> LeapIndicator {
    let (mut all, mut insert, mut delete) = (0_u32, 0_u32, 0_u32);
    for voter in voters {
        all += 1;
        match voter {
            LeapIndicator::InsertSecond => insert += 1,
            LeapIndicator::DeleteSecond => delete += 1,
            LeapIndicator::NoWarning | LeapIndicator::Unsynchronized => {}
        }
    }
    if insert > all / 2 {
        LeapIndicator::InsertSecond
    } else if delete > all / 2 {
        LeapIndicator::DeleteSecond
    } else {
        LeapIndicator::NoWarning
    }
}

/// The first instant of the month after `now`: where a leap second announced now comes just before.
///
/// `None` beyond the years of 32 bits.
#[must_use]
pub fn month_end(now: UnixTime) -> Option<UnixTime> {
    let civil = now.to_civil()?;
    let (year, month) = if civil.month == 12 { (civil.year.checked_add(1)?, 1) } else { (civil.year, civil.month + 1) };
    CivilTime { year, month, day: 1, hour: 0, minute: 0, second: 0 }.to_unix().ok()
}

/// Seconds of the minute that begins at `start`, when a leap second `leap` comes just before `end`.
#[must_use]
pub fn seconds_in_minute(start: UnixTime, leap: LeapIndicator, end: UnixTime) -> u8 {
    let is_last = start.seconds().checked_add(60) == Some(end.seconds());
    match leap {
        LeapIndicator::InsertSecond if is_last => 61,
        LeapIndicator::DeleteSecond if is_last => 59,
        _ => 60,
    }
}

/// What to do about a leap second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a clock that is not told does not leap"]
pub enum LeapAction {
    /// Tell the clock that a leap second comes just before `end`.
    Arm {
        /// Which kind.
        leap: LeapIndicator,
        /// First instant of the next month.
        end: UnixTime,
    },
    /// Tell the clock that none comes: the majority took it back.
    Disarm,
    /// The leap second is over; tell the engine ([`crate::Engine::handle_leap`]).
    Passed {
        /// Which kind.
        leap: LeapIndicator,
    },
}

/// Arms a clock once for a leap second that a majority announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeapArm {
    armed: Option<(LeapIndicator, UnixTime)>,
}

impl LeapArm {
    /// Nothing armed.
    #[must_use]
    pub const fn new() -> Self {
        Self { armed: None }
    }

    /// What the clock has been armed for: the kind, and the first instant after it.
    #[must_use]
    pub const fn armed(&self) -> Option<(LeapIndicator, UnixTime)> {
        self.armed
    }

    /// The system's leap warning as it stands at `now`, by our own clock. To be called now and then, and at the month's end.
    ///
    /// A warning lingering after the leap second does nothing before the last day of the *next* month.
    ///
    /// # Example
    /// ```
    /// use ntp_discipline::leap::{LeapAction, LeapArm};
    /// use ntp_types::LeapIndicator::InsertSecond;
    ///
    /// let mut arm = LeapArm::new();
    /// let end = "2017-01-01T00:00:00Z".parse()?;
    /// assert_eq!(arm.handle_warning(InsertSecond, "2016-12-30T12:00:00Z".parse()?), None); // not the last day
    /// let armed = arm.handle_warning(InsertSecond, "2016-12-31T12:00:00Z".parse()?);
    /// assert_eq!(armed, Some(LeapAction::Arm { leap: InsertSecond, end }));
    /// assert_eq!(arm.handle_warning(InsertSecond, "2016-12-31T12:00:01Z".parse()?), None); // once
    /// let passed = arm.handle_warning(InsertSecond, end);
    /// assert_eq!(passed, Some(LeapAction::Passed { leap: InsertSecond }));
    /// # Ok::<(), ntp_types::ParseTimeError>(())
    /// ```
    pub fn handle_warning(&mut self, warning: LeapIndicator, now: UnixTime) -> Option<LeapAction> {
        if let Some((leap, end)) = self.armed {
            if now >= end {
                self.armed = None;
                return Some(LeapAction::Passed { leap });
            }
        }
        let end = month_end(now)?;
        let is_last_day = end.seconds() - now.seconds() <= SECONDS_PER_DAY;
        let is_leap = matches!(warning, LeapIndicator::InsertSecond | LeapIndicator::DeleteSecond);
        let wanted = (is_leap && is_last_day).then_some((warning, end));
        if wanted == self.armed {
            return None;
        }
        self.armed = wanted;
        Some(wanted.map_or(LeapAction::Disarm, |(leap, end)| LeapAction::Arm { leap, end }))
    }
}
