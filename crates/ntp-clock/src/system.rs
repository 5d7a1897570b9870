//! The kernel's clock: read by anybody, steered by those who may.

use core::time::Duration;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, NtpDuration, NtpTimestamp, UnixTime};

use crate::adjustment::ppb;
use crate::kernel::{modes, ClockId, Host, Kernel, Timex};
use crate::slew::{duration_for, rate_for, self_ending_gain, Plan, SlewPolicy};
use crate::status::{nominal_tick, total_rate, ClockStatus, StatusFlags};
use crate::{Adjustment, ClockError, Operation, OutOfRange, ReadClock, Reading, SteerClock, StepClock};

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
/// frequency that was commanded is then back in force.
#[derive(Debug)]
pub struct SystemClock<K: Kernel = Host> {
    kernel: K,
    policy: SlewPolicy,
    nominal_tick: i64,
    /// The frequency in force beside a slew; `None` before the first command.
    frequency: Option<Frequency>,
    slew: Option<Slew>,
    /// Found out when a slew ended: the monotonic clock is slewed together with the clock (a simulator's may be).
    is_monotonic_slewed: bool,
}

/// A slew under way.
#[derive(Debug, Clone, Copy)]
struct Slew {
    way: Way,
    /// As booked.
    rate: Frequency,
    start: Reading,
    end: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    /// By the kernel: the microseconds it was given.
    SelfEnding(i64),
    /// By tick and frequency: the rate to take back.
    Rate,
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
        Self {
            kernel,
            policy: SlewPolicy::default(),
            nominal_tick,
            frequency: None,
            slew: None,
            is_monotonic_slewed: false,
        }
    }

    /// With other bounds for slews.
    #[must_use]
    pub fn with_policy(mut self, policy: SlewPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The table of system calls.
    #[must_use]
    pub const fn kernel(&self) -> &K {
        &self.kernel
    }

    /// Everything the kernel knows of its clock, in one unprivileged call.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses.
    pub fn status(&self) -> Result<ClockStatus, ClockError> {
        let mut timex = Timex::default();
        let state = self.adjtime(Operation::Status, &mut timex)?;
        let time = match sampled_time(&timex) {
            Some(time) => time,
            None => self.time()?,
        };
        Ok(ClockStatus::new(state, &timex, self.kernel.ticks_per_second(), time))
    }

    /// The time with its date.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses.
    pub fn time(&self) -> Result<UnixTime, ClockError> {
        self.kernel.clock_gettime(ClockId::Realtime).map_err(|errno| ClockError::system(Operation::Read, errno))
    }

    /// Carries out one adjustment, in one call.
    ///
    /// One that sets frequency, tick or time ends a slew by rate that is under way.
    ///
    /// # Errors
    /// [`ClockError`] when a value is out of range or the system refuses; nothing has changed then.
    pub fn adjust(&mut self, adjustment: &Adjustment) -> Result<Adjusted, ClockError> {
        let mut timex = adjustment.for_ticks_per_second(self.kernel.ticks_per_second()).build()?;
        let steers = timex.modes & (modes::FREQUENCY | modes::TICK | modes::SETOFFSET) != 0;
        let step = if timex.modes & modes::SETOFFSET != 0 { step_of(&timex) } else { NtpDuration::ZERO };
        if steers && self.is_slewing_by_rate() {
            // What the adjustment leaves alone goes back to what it was without the slew.
            let (freq, tick) = self.words(self.frequency.unwrap_or_default())?;
            if timex.modes & modes::FREQUENCY == 0 {
                timex.freq = freq;
            }
            if timex.modes & modes::TICK == 0 {
                timex.tick = tick;
            }
            timex.modes |= modes::FREQUENCY | modes::TICK;
        }
        let operation = if step == NtpDuration::ZERO { Operation::Adjust } else { Operation::Step };
        let before_time = self.time()?;
        let before = self.read()?;
        let state = self.adjtime(operation, &mut timex)?;
        let at = midpoint(before.at, self.monotonic().unwrap_or(before.at));
        let time = sampled_time(&timex).unwrap_or(before_time);
        let status = ClockStatus::new(state, &timex, self.kernel.ticks_per_second(), time);
        if !steers {
            return Ok(Adjusted { applied: self.booked(at), status });
        }
        let excess = self.settle(Reading { time: before.time, at });
        self.frequency = Some(status.rate());
        let applied = Applied { at, stepped: step + excess, ..self.booked(at) };
        Ok(Adjusted { applied, status })
    }

    /// The rate at which the clock would run away if this process vanished now: zero unless a slew goes by rate.
    #[must_use]
    pub fn residue(&self) -> Frequency {
        match self.slew {
            Some(Slew { way: Way::Rate, rate, .. }) => rate,
            _ => Frequency::ZERO,
        }
    }

    /// Ends a slew by rate, as dropping the clock does, and says whether that worked.
    ///
    /// # Errors
    /// [`ClockError`] when the system refuses; the slew then goes on.
    pub fn release(&mut self) -> Result<Option<Applied>, ClockError> {
        if self.is_slewing_by_rate() {
            self.end_slew().map(Some)
        } else {
            Ok(None)
        }
    }

    fn is_slewing_by_rate(&self) -> bool {
        matches!(self.slew, Some(Slew { way: Way::Rate, .. }))
    }

    fn adjtime(&self, operation: Operation, timex: &mut Timex) -> Result<i32, ClockError> {
        self.kernel.clock_adjtime(ClockId::Realtime, timex).map_err(|errno| ClockError::system(operation, errno))
    }

    fn monotonic(&self) -> Result<Instant, ClockError> {
        monotonic(&self.kernel)
    }

    /// The kernel's two words for a rate: the frequency alone within ±500 ppm, else as much as possible by the tick.
    fn words(&self, rate: Frequency) -> Result<(i64, i64), ClockError> {
        let scaled = rate.to_scaled_ppm();
        let per_tick = (1_000_000_i64 << 16) / self.nominal_tick.max(1);
        let ticks =
            if scaled.abs() <= 500 << 16 { 0 } else { (scaled + scaled.signum() * per_tick / 2) / per_tick.max(1) };
        if ticks.abs() > self.nominal_tick / 10 {
            let asked = ppb(rate);
            let (min, max) = (-100_000_000, 100_000_000);
            return Err(OutOfRange { quantity: "rate", unit: "ppb", asked, min, max }.into());
        }
        Ok((scaled - ticks * per_tick, self.nominal_tick + ticks))
    }

    /// Before the first command: no slew of somebody else's, no loop of the kernel's own.
    fn take_over(&mut self) -> Result<(), ClockError> {
        if self.frequency.is_some() {
            return Ok(());
        }
        let status = self.status()?;
        self.self_ending(0)?;
        let loops = StatusFlags::PLL
            .with(StatusFlags::FLL)
            .with(StatusFlags::FREQUENCY_HOLD)
            .with(StatusFlags::PPS_FREQUENCY)
            .with(StatusFlags::PPS_TIME);
        if status.flags.without(loops) != status.flags {
            let flags = status.flags.without(loops);
            let mut timex = Timex {
                modes: modes::STATUS | modes::NANO,
                status: flags.to_bits() & StatusFlags::WRITABLE.to_bits(),
                ..Timex::default()
            };
            self.adjtime(Operation::Adjust, &mut timex)?;
        }
        self.frequency = Some(status.rate());
        Ok(())
    }

    /// Gives the kernel an offset to slew by itself; returns what was left of the one before.
    fn self_ending(&self, micros: i64) -> Result<i64, ClockError> {
        let mut timex = Timex { modes: modes::OFFSET_SINGLESHOT, offset: micros, ..Timex::default() };
        self.adjtime(Operation::SelfEndingSlew, &mut timex)?;
        Ok(timex.offset)
    }

    /// Sets the rate, after `step`, in one call; returns the rate the kernel made of it and the moment.
    fn set_rate(&self, rate: Frequency, step: Option<NtpDuration>) -> Result<(Frequency, Reading), ClockError> {
        let (freq, tick) = self.words(rate)?;
        let mut timex = Adjustment::new().tick(tick).for_ticks_per_second(self.kernel.ticks_per_second()).build()?;
        timex.modes |= modes::FREQUENCY;
        timex.freq = freq;
        let mut operation = Operation::Steer;
        if let Some(step) = step {
            let stepping = Adjustment::new().step(step).build()?;
            timex.modes |= stepping.modes;
            timex.seconds = stepping.seconds;
            timex.fraction = stepping.fraction;
            operation = Operation::Step;
        }
        let before = self.read()?;
        self.adjtime(operation, &mut timex)?;
        // Done is done: a reading that fails now must not make it look refused.
        let at = midpoint(before.at, self.monotonic().unwrap_or(before.at));
        let time = before.time + NtpDuration::from_std(at.since(before.at)) + step.unwrap_or_default();
        Ok((total_rate(timex.freq, timex.tick, self.nominal_tick), Reading { time, at }))
    }

    /// The state as it is booked from `at` on.
    fn booked(&self, at: Instant) -> Applied {
        let frequency = self.frequency.unwrap_or_default();
        match self.slew {
            Some(slew) if slew.end > at => {
                Applied { at, stepped: NtpDuration::ZERO, frequency, slew_rate: slew.rate, slew_end: slew.end }
            }
            _ => Applied { at, stepped: NtpDuration::ZERO, frequency, slew_rate: Frequency::ZERO, slew_end: at },
        }
    }

    /// Closes the books on a slew by rate that stopped at `now`: what it delivered beyond what was booked.
    fn settle(&mut self, now: Reading) -> NtpDuration {
        let Some(slew @ Slew { way: Way::Rate, .. }) = self.slew else {
            return NtpDuration::ZERO;
        };
        self.slew = None;
        let elapsed = now.at.since(slew.start.at);
        let booked = slew.rate.over(now.at.min(slew.end).since(slew.start.at));
        let delivered = slew.rate.over(elapsed);
        if self.is_monotonic_slewed || !self.follows(slew, now, elapsed, delivered) {
            return delivered - booked;
        }
        self.is_monotonic_slewed = true;
        self.effective(slew.rate).over(elapsed) - booked
    }

    /// Whether the monotonic clock took part in the slew: then the two clocks hardly drifted apart.
    ///
    /// Only a fast and long slew tells, one that neither an oscillator's error nor the noise of reading can imitate.
    fn follows(&self, slew: Slew, now: Reading, elapsed: Duration, delivered: NtpDuration) -> bool {
        const FAST: Frequency = Frequency::from_ppm(4_000);
        const LONG: NtpDuration = NtpDuration::from_nanos(1_000_000);
        let apart = now.time.since(slew.start.time) - NtpDuration::from_std(elapsed);
        slew.rate.abs() >= FAST && delivered.abs() >= LONG && apart.abs() < delivered.abs().half().half()
    }

    /// A rate against a monotonic clock that is slewed by it too.
    fn effective(&self, rate: Frequency) -> Frequency {
        let whole = (1_i128 << 60) + i128::from((self.frequency.unwrap_or_default() + rate).to_bits());
        let bits = (i128::from(rate.to_bits()) << 60) / whole.max(1);
        Frequency::from_bits(i64::try_from(bits).unwrap_or_default())
    }

    fn end_slew(&mut self) -> Result<Applied, ClockError> {
        let (frequency, now) = self.set_rate(self.frequency.unwrap_or_default(), None)?;
        let excess = self.settle(now);
        self.frequency = Some(frequency);
        Ok(Applied { stepped: excess, ..self.booked(now.at) })
    }

    /// The kernel's own slew is stopped or replaced: what it delivered beyond what was booked, `None` when there was none.
    fn replace_self_ending(&mut self, micros: i64, now: Instant) -> Result<NtpDuration, ClockError> {
        let Some(Slew { way: Way::SelfEnding(given), rate, start, end }) = self.slew else {
            if micros != 0 {
                self.self_ending(micros)?;
            }
            return Ok(NtpDuration::ZERO);
        };
        let left = self.self_ending(micros)?;
        self.slew = None;
        let booked = rate.over(now.min(end).since(start.at));
        Ok(self_ending_gain(given.saturating_sub(left)) - booked)
    }

    fn apply_step(&mut self, offset: NtpDuration, frequency: Frequency) -> Result<Applied, ClockError> {
        let step = NtpDuration::from_nanos(offset.to_nanos());
        let (frequency, now) = self.set_rate(frequency, Some(step))?;
        let before = Reading { time: now.time - step, at: now.at };
        let mut stepped = step + self.settle(before);
        self.frequency = Some(frequency);
        // Refused, it would go on: it stays booked as it is.
        if let Ok(excess) = self.replace_self_ending(0, now.at) {
            stepped += excess;
        }
        Ok(Applied { stepped, ..self.booked(now.at) })
    }

    fn apply_slew(
        &mut self,
        offset: NtpDuration,
        duration: Duration,
        frequency: Frequency,
    ) -> Result<Applied, ClockError> {
        let mut plan = self.policy.plan(offset, duration);
        if let Plan::Rate(rate) = &mut plan {
            // The two together stay within what the clock can do.
            let limit = Frequency::from_ppm(100_000);
            *rate = (frequency + *rate).clamp_abs(limit) - frequency;
        }
        let slewing = if let Plan::Rate(rate) = plan { rate } else { Frequency::ZERO };
        let (total, now) = self.set_rate(frequency + slewing, None)?;
        let mut stepped = self.settle(now);
        // The frequency as the kernel would round it alone; the rest of what it gave is the slew's.
        let alone = self.words(frequency).map_or(frequency, |(freq, tick)| total_rate(freq, tick, self.nominal_tick));
        self.frequency = Some(if slewing == Frequency::ZERO { total } else { alone });
        let micros = if let Plan::SelfEnding { micros, .. } = plan { micros } else { 0 };
        match self.replace_self_ending(micros, now.at) {
            Ok(excess) => stepped += excess,
            // Refused: what was under way goes on, and nothing was added to it.
            Err(_) => return Ok(Applied { stepped, ..self.booked(now.at) }),
        }
        self.slew = match plan {
            Plan::None => None,
            Plan::SelfEnding { micros, seconds } => Some(self_ending_slew(micros, seconds, now)),
            Plan::Rate(_) => {
                let given = total - alone;
                let rate = if self.is_monotonic_slewed { self.effective(given) } else { given };
                let lasts = duration_for(offset, rate);
                Some(Slew { way: Way::Rate, rate, start: now, end: now.at + lasts })
            }
        };
        Ok(Applied { stepped, ..self.booked(now.at) })
    }
}

impl<K: Kernel> ReadClock for SystemClock<K> {
    fn read(&self) -> Result<Reading, ClockError> {
        let (time, at) = read_at(&self.kernel, ClockId::Realtime)?;
        Ok(Reading { time: NtpTimestamp::from_unix(time), at })
    }
}

impl<K: Kernel> StepClock for SystemClock<K> {
    fn step(&mut self, offset: NtpDuration) -> Result<Applied, ClockError> {
        self.take_over()?;
        self.apply_step(offset, self.frequency.unwrap_or_default())
    }
}

impl<K: Kernel> SteerClock for SystemClock<K> {
    fn apply(&mut self, command: &ClockCommand) -> Result<Applied, ClockError> {
        match *command {
            ClockCommand::Hold => {
                if self.frequency.is_none() {
                    self.frequency = Some(self.status()?.rate());
                }
                Ok(self.booked(self.monotonic()?))
            }
            ClockCommand::Step { offset, frequency } => {
                self.take_over()?;
                self.apply_step(offset, frequency)
            }
            ClockCommand::Slew { offset, duration, frequency } => {
                self.take_over()?;
                self.apply_slew(offset, duration, frequency)
            }
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self.slew {
            Some(Slew { way: Way::Rate, end, .. }) => Some(end),
            _ => None,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        match self.next_timeout() {
            Some(end) if now >= end => self.end_slew().map(Some),
            _ => Ok(None),
        }
    }
}

/// A clock must not be left running away.
impl<K: Kernel> Drop for SystemClock<K> {
    fn drop(&mut self) {
        // Nobody is left to hear of a refusal; `release` is there for who wants to.
        let _ = self.release();
    }
}

/// The kernel's own slew begins at the clock's next second; booked evenly until it is over.
fn self_ending_slew(micros: i64, seconds: u64, now: Reading) -> Slew {
    let into_second = (u64::from(now.time.fraction()) * 1_000_000_000) >> 32;
    let wait = Duration::from_nanos(1_000_000_000 - into_second);
    let end = now.at + wait + Duration::from_secs(seconds);
    let rate = rate_for(self_ending_gain(micros), end.since(now.at));
    Slew { way: Way::SelfEnding(micros), rate, start: now, end }
}

/// The structure's own time, taken together with the rest; `None` where it is not filled in.
fn sampled_time(timex: &Timex) -> Option<UnixTime> {
    let is_nano = timex.status & StatusFlags::NANO.to_bits() != 0;
    let nanos = u32::try_from(timex.fraction.saturating_mul(if is_nano { 1 } else { 1_000 })).ok()?;
    UnixTime::new(timex.seconds, nanos).filter(|_| timex.seconds != 0)
}

fn step_of(timex: &Timex) -> NtpDuration {
    NtpDuration::from_nanos(timex.seconds.saturating_mul(1_000_000_000).saturating_add(timex.fraction))
}

fn midpoint(before: Instant, after: Instant) -> Instant {
    before + after.since(before) / 2
}

fn monotonic<K: Kernel>(kernel: &K) -> Result<Instant, ClockError> {
    let time =
        kernel.clock_gettime(ClockId::MonotonicRaw).map_err(|errno| ClockError::system(Operation::Read, errno))?;
    Ok(Instant::from_nanos(u64::try_from(time.to_nanos()).unwrap_or(0)))
}

/// Reads a clock between two readings of the monotonic one; the closest bracket of at most three.
pub(crate) fn read_at<K: Kernel>(kernel: &K, clock: ClockId) -> Result<(UnixTime, Instant), ClockError> {
    const CLOSE: Duration = Duration::from_micros(5);
    let mut best: Option<(Duration, UnixTime, Instant)> = None;
    for _ in 0..3 {
        let before = monotonic(kernel)?;
        let time = kernel.clock_gettime(clock).map_err(|errno| ClockError::system(Operation::Read, errno))?;
        let width = monotonic(kernel)?.since(before);
        if best.map_or(true, |(narrowest, ..)| width < narrowest) {
            best = Some((width, time, before + width / 2));
        }
        if width < CLOSE {
            break;
        }
    }
    // The loop ran at least once.
    best.map(|(_, time, at)| (time, at)).ok_or(ClockError::Unsupported { operation: Operation::Read })
}
