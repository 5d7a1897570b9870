//! A clock that only its owner moves: the base of deterministic tests.

use core::time::Duration;

use ntp_types::{Instant, NtpDuration, NtpTimestamp};

use crate::{ClockError, ReadClock, Reading};

/// A clock that stands until [`advance`](Self::advance) moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManualClock {
    now: Reading,
    suspended: Duration,
}

impl ManualClock {
    /// Stands at `time`, at the start of the monotonic scale.
    #[must_use]
    pub const fn new(time: NtpTimestamp) -> Self {
        Self { now: Reading { time, at: Instant::ZERO }, suspended: Duration::ZERO }
    }

    /// Lets `elapsed` pass, on the clock as on the monotonic scale.
    pub fn advance(&mut self, elapsed: Duration) {
        self.now = Reading { time: self.now.time + NtpDuration::from_std(elapsed), at: self.now.at + elapsed };
    }

    /// Sleeps: the clock goes on, the monotonic scale does not.
    pub fn suspend(&mut self, slept: Duration) {
        self.now.time += NtpDuration::from_std(slept);
        self.suspended += slept;
    }

    /// Sets the clock, without letting time pass.
    pub fn set(&mut self, time: NtpTimestamp) {
        self.now.time = time;
    }
}

impl ReadClock for ManualClock {
    fn read(&self) -> Result<Reading, ClockError> {
        Ok(self.now)
    }

    fn suspended(&self) -> Option<Duration> {
        Some(self.suspended)
    }
}
