//! The kernel's clock: read by anybody, steered by those who may.

use core::time::Duration;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, NtpDuration, NtpTimestamp, UnixTime};

use crate::kernel::{ClockId, Host, Kernel};
use crate::sample::{read_at, sampled_time, status, suspended};
use crate::status::nominal_tick;
use crate::steer::{Range, Steered};
use crate::{Adjustment, ClockError, ClockStatus, Operation, ReadClock, Reading, SlewPolicy, SteerClock, StepClock};

/// `CLOCK_REALTIME`, only read: needs no privilege and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Realtime<K = Host> {
    kernel: K,
}

impl Realtime {
    /// The machine's.
    #[must_use]
    pub const fn new() -> Self {
        Self { kernel: Host }
    }
}

impl<K: Kernel> ReadClock for Realtime<K> {
    fn read(&self) -> Result<Reading, ClockError> {
        let (time, at) = read_at(&self.kernel, ClockId::Realtime)?;
        Ok(Reading { time: NtpTimestamp::from_unix(time), at })
    }

    fn suspended(&self) -> Option<Duration> {
        suspended(&self.kernel)
    }
}

/// What an [`Adjustment`] did: what filters need, and the kernel's clock as it stands after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "filters that are not told go wrong"]
#[allow(clippy::exhaustive_structs)]
pub struct Adjusted {
    /// As for a command.
    pub applied: Applied,
    /// The kernel's read-back.
    pub status: ClockStatus,
}

/// The kernel's clock, `CLOCK_REALTIME`.
///
/// Reading ([`read`](ReadClock::read), [`status`](Self::status)) is unprivileged. The first command takes the clock over: a
/// slew somebody left behind is cancelled, the kernel's own loop switched off. Slews follow the [`SlewPolicy`]; one that goes
/// by rate is ended by [`handle_timeout`](SteerClock::handle_timeout), by the next command or when the value is dropped, and the
/// frequency that was commanded is then back in force. [`rescue`](crate::rescue) covers the ways in which a process ends
/// without dropping anything.
#[derive(Debug)]
pub struct SystemClock<K: Kernel = Host> {
    steered: Steered<K>,
}

impl SystemClock {
    /// The machine's clock. Nothing is read or changed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_kernel(Host)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Kernel> SystemClock<K> {
    /// A clock behind another table of system calls.
    #[must_use]
    pub fn with_kernel(kernel: K) -> Self {
        let nominal_tick = nominal_tick(kernel.ticks_per_second());
        Self { steered: Steered::new(kernel, ClockId::Realtime, Range::Kernel { nominal_tick }) }
    }

    /// With other bounds for slews.
    #[must_use]
    pub fn with_policy(mut self, policy: SlewPolicy) -> Self {
        self.set_policy(policy);
        self
    }

    /// Other bounds for the slews that come.
    pub fn set_policy(&mut self, policy: SlewPolicy) {
        self.steered.policy = policy;
    }

    /// The table of system calls.
    #[must_use]
    pub const fn kernel(&self) -> &K {
        &self.steered.kernel
    }

    /// Everything the kernel knows of its clock, in one unprivileged call.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses.
    pub fn status(&self) -> Result<ClockStatus, ClockError> {
        status(&self.steered.kernel, ClockId::Realtime)
    }

    /// The time with its date.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses.
    pub fn time(&self) -> Result<UnixTime, ClockError> {
        self.steered.kernel.clock_gettime(ClockId::Realtime).map_err(|errno| ClockError::system(Operation::Read, errno))
    }

    /// Sets the clock so that it reads `time` at the monotonic moment `at`, however far that is; returns by how many nanoseconds
    /// it moved.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses; `EINVAL` for a time before 1970 or the machine's start, or after 2232.
    pub fn set(&mut self, time: UnixTime, at: Instant) -> Result<i128, ClockError> {
        let (now, moment) = read_at(&self.steered.kernel, ClockId::Realtime)?;
        let since = i128::from(moment.as_nanos()) - i128::from(at.as_nanos());
        let offset = time.to_nanos() + since - now.to_nanos();
        // An atomic step loses nothing between reading and setting; what is too far for it cannot be that exact anyway.
        let decades = 30 * 365 * 86_400 * 1_000_000_000_i128;
        if let (Ok(nanos), true) = (i64::try_from(offset), offset.abs() < decades) {
            let applied = self.step(NtpDuration::from_nanos(nanos))?;
            return Ok(i128::from(applied.stepped.to_nanos()));
        }
        self.steered.release()?;
        let (now, moment) = read_at(&self.steered.kernel, ClockId::Realtime)?;
        let since = i128::from(moment.as_nanos()) - i128::from(at.as_nanos());
        let target = UnixTime::from_nanos(time.to_nanos() + since).unwrap_or(time);
        self.steered.set(target)?;
        Ok(target.to_nanos() - now.to_nanos())
    }

    /// Carries out one adjustment, in one call.
    ///
    /// One that sets frequency, tick or time ends a slew by rate that is under way.
    ///
    /// # Errors
    /// [`ClockError`] when a value is out of range or the system refuses; nothing has changed then.
    pub fn adjust(&mut self, adjustment: &Adjustment) -> Result<Adjusted, ClockError> {
        let ticks = self.steered.kernel.ticks_per_second();
        let before = self.time()?;
        let (state, timex, applied) = self.steered.adjust(adjustment.for_ticks_per_second(ticks).build()?)?;
        let time = sampled_time(&timex).unwrap_or(before);
        Ok(Adjusted { applied, status: ClockStatus::new(state, &timex, ticks, time) })
    }

    /// The rate at which the clock would run away if this process vanished now: zero unless a slew goes by rate.
    #[must_use]
    pub fn residue(&self) -> Frequency {
        self.steered.residue()
    }

    /// Ends a slew by rate, as dropping the clock does, and says whether that worked.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses; the slew then goes on.
    pub fn release(&mut self) -> Result<Option<Applied>, ClockError> {
        self.steered.release()
    }
}

impl<K: Kernel> ReadClock for SystemClock<K> {
    fn read(&self) -> Result<Reading, ClockError> {
        self.steered.read()
    }

    fn suspended(&self) -> Option<Duration> {
        suspended(&self.steered.kernel)
    }
}

impl<K: Kernel> StepClock for SystemClock<K> {
    fn step(&mut self, offset: NtpDuration) -> Result<Applied, ClockError> {
        self.steered.step(offset)
    }
}

impl<K: Kernel> SteerClock for SystemClock<K> {
    fn apply(&mut self, command: &ClockCommand) -> Result<Applied, ClockError> {
        self.steered.apply(command)
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.steered.next_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        self.steered.handle_timeout(now)
    }
}
