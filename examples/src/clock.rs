//! The clock an agent disciplines: one that exists only as numbers, or the machine's.

use std::time::Duration;

use ntp_clock::{ClockError, ReadClock, Reading, SoftwareClock, SteerClock};
use ntp_types::{Applied, ClockCommand, Instant, NtpDuration, NtpTimestamp};

use crate::machine::MachineClock;

/// Either clock.
#[derive(Debug)]
pub enum AgentClock {
    /// Over the machine's clock, which is only read.
    Software(SoftwareClock),
    /// The machine's clock itself.
    System(MachineClock),
}

impl AgentClock {
    /// What this clock showed when the machine's clock, by which sockets stamp, showed `stamp`.
    #[must_use]
    pub fn time_of(&self, stamp: NtpTimestamp) -> NtpTimestamp {
        match self {
            Self::Software(clock) => clock.time_of(stamp),
            Self::System(_) => stamp,
        }
    }

    /// How far it is ahead of the machine's clock; `None` where it is that.
    #[must_use]
    pub fn ahead(&self) -> Option<NtpDuration> {
        match self {
            Self::Software(clock) => clock.offset_from_base().ok(),
            Self::System(_) => None,
        }
    }
}

impl ReadClock for AgentClock {
    fn read(&self) -> Result<Reading, ClockError> {
        match self {
            Self::Software(clock) => clock.read(),
            Self::System(clock) => clock.read(),
        }
    }

    fn suspended(&self) -> Option<Duration> {
        match self {
            Self::Software(clock) => clock.suspended(),
            Self::System(clock) => clock.suspended(),
        }
    }
}

impl SteerClock for AgentClock {
    fn apply(&mut self, command: &ClockCommand) -> Result<Applied, ClockError> {
        match self {
            Self::Software(clock) => clock.apply(command),
            Self::System(clock) => clock.apply(command),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Software(clock) => clock.next_timeout(),
            Self::System(clock) => clock.next_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        match self {
            Self::Software(clock) => clock.handle_timeout(now),
            Self::System(clock) => clock.handle_timeout(now),
        }
    }
}
