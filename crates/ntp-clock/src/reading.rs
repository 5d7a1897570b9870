//! What a clock can do, one small trait for each capability.

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

/// A clock that can be read.
pub trait ReadClock {
    /// The time now.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses, which an ordinary system clock never does.
    fn read(&self) -> Result<Reading, ClockError>;
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
    /// due. The result's `at` may lie a little before `now`: at the moment at which the clock itself changed its rate.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses to end it; [`next_timeout`](Self::next_timeout) then asks to try again.
    fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        let _ = now;
        Ok(None)
    }
}
