//! The clock an agent disciplines: one that exists only as numbers, or the machine's.

use std::time::Duration;

use ntp_clock::{rescue, ClockError, ReadClock, Reading, SlewPolicy, SoftwareClock, SteerClock, SystemClock};
use ntp_types::{Applied, ClockCommand, Instant, NtpDuration, NtpTimestamp};

/// Either clock.
#[derive(Debug)]
pub enum AgentClock {
    /// Over the machine's clock, which is only read.
    Software(SoftwareClock),
    /// The machine's clock itself.
    System(SystemClock),
}

impl AgentClock {
    /// The machine's clock, watched: however this process ends, no slew outlives it. Handlers of signals come first.
    #[must_use]
    pub fn machine() -> Self {
        // Neither net is worth failing for: without them the clock still sets itself back when it is dropped.
        let _ = rescue::restore_on_signals();
        // What is preloaded between a program and the system need not stand a second process; nor does a simulated clock
        // run away.
        let is_safe = is_preloaded() || rescue::start_guard().is_ok();
        let policy = if is_safe { SlewPolicy::guarded() } else { SlewPolicy::default() };
        Self::System(SystemClock::new().with_policy(policy))
    }

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

/// Whether something stands between this program and the system, which may know only the calls that everybody makes.
fn is_preloaded() -> bool {
    std::env::var_os("LD_PRELOAD").is_some()
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
            _ if is_preloaded() => None,
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
