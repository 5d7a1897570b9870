//! What a clock can do, one small trait for each capability.

use core::time::Duration;

use ntp_types::{Applied, ClockCommand, Instant, NtpDuration, NtpTimestamp};

use crate::ClockError;

/// What a clock said, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The clock's time.
    pub time: NtpTimestamp,
    /// The monotonic moment of the reading (`CLOCK_MONOTONIC_RAW` for the clocks of a Linux machine).
    pub at: Instant,
}

impl Reading {
    /// The monotonic moment at which the clock showed `time`, shortly before this reading: that of a receive stamp.
    ///
    /// A time after the reading counts as the reading, one more than `longest` before it as `longest` before it: between
    /// the two the clock was set.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ntp_clock::Reading;
    /// use ntp_types::{Instant, NtpDuration, NtpTimestamp};
    ///
    /// let now = Reading { time: NtpTimestamp::new(3_900_000_000, 0), at: Instant::from_nanos(5_000_000_000) };
    /// let received = now.time - NtpDuration::from_nanos(40_000);
    /// assert_eq!(now.instant_of(received, Duration::from_secs(1)), Instant::from_nanos(4_999_960_000));
    /// ```
    #[must_use]
    pub fn instant_of(&self, time: NtpTimestamp, longest: Duration) -> Instant {
        let ago = self.time.since(time).to_std().unwrap_or_default();
        self.at.saturating_sub(ago.min(longest))
    }
}

/// A clock that can be read.
pub trait ReadClock {
    /// The time now.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses, which an ordinary system clock never does.
    fn read(&self) -> Result<Reading, ClockError>;

    /// How long the machine has slept since it was started, in all: time that [`Reading::at`] did not count; `None` where
    /// that is not known.
    #[must_use]
    fn suspended(&self) -> Option<Duration> {
        None
    }
}

/// A machine that slept for less has not slept.
const LEAST_SLEEP: Duration = Duration::from_millis(100);

/// Notices that the machine has slept.
///
/// ```
/// use std::time::Duration;
/// use ntp_clock::{ManualClock, Sleep};
/// use ntp_types::NtpTimestamp;
///
/// let mut clock = ManualClock::new(NtpTimestamp::new(3_900_000_000, 0));
/// let mut sleep = Sleep::default();
/// assert_eq!(sleep.since_last(&clock), None);
/// clock.suspend(Duration::from_secs(600));
/// assert_eq!(sleep.since_last(&clock), Some(Duration::from_secs(600)));
/// assert_eq!(sleep.since_last(&clock), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sleep {
    before: Option<Duration>,
}

impl Sleep {
    /// How long it has slept since the last call; `None` when it has not (at the first call nobody knows).
    #[must_use]
    pub fn since_last(&mut self, clock: &impl ReadClock) -> Option<Duration> {
        let now = clock.suspended()?;
        let slept = now.saturating_sub(*self.before.get_or_insert(now));
        self.before = self.before.max(Some(now));
        (slept >= LEAST_SLEEP).then_some(slept)
    }
}

/// A clock that can be set by adding to it.
pub trait StepClock {
    /// Adds `offset` to the clock at once; positive sets it forward.
    ///
    /// # Errors
    /// [`ClockError`] when it is refused; the clock is then as it was.
    fn step(&mut self, offset: NtpDuration) -> Result<Applied, ClockError>;
}

/// A clock that obeys a discipline's commands.
///
/// What each call returns adds up: until the next [`Applied`] the clock has gained
/// [`Applied::accumulated`], whatever was asked for. Where an earlier slew could not be ended in time, the next
/// `Applied` carries the excess in `stepped`.
pub trait SteerClock: ReadClock {
    /// Carries out one command; a slew under way is replaced.
    ///
    /// # Errors
    /// [`ClockError`] when it is refused. Nothing has changed then: the last [`Applied`] still holds.
    fn apply(&mut self, command: &ClockCommand) -> Result<Applied, ClockError>;

    /// When [`handle_timeout`](Self::handle_timeout) is to be called to end a slew, or to say how it goes on; `None` when
    /// nothing is under way that needs it.
    #[must_use]
    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Ends the slew that is due, or goes on to its next piece, and says what was really delivered; `None` when nothing was
    /// due. The result's `at` may lie before `now`: at the moment at which the clock itself changed its rate, or at a slew's start
    /// where that is found to have gone otherwise than was said; it supersedes what was booked from there on.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses to end it; [`next_timeout`](Self::next_timeout) then asks to try again.
    fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        let _ = now;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_instant_is_as_long_ago_as_its_time(ago in -(1_i64 << 60)..1 << 60, longest in 0..4_000_000_000_u64, at: u64) {
            let now = Reading { time: NtpTimestamp::new(3_900_000_000, 0), at: Instant::from_nanos(at) };
            let time = now.time - NtpDuration::from_nanos(ago);
            let expected = i128::from(at) - i128::from(ago).clamp(0, i128::from(longest));
            let found = now.instant_of(time, Duration::from_nanos(longest));
            prop_assert_eq!(i128::from(found.as_nanos()), expected.max(0));
        }
    }
}
