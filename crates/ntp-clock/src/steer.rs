//! The books and the effects of steering, the same for the kernel's clock and for a PTP device.

use core::time::Duration;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, NtpDuration, NtpTimestamp};

use crate::adjustment::ppb;
use crate::kernel::{modes, ClockId, Kernel, Timex};
use crate::sample::{midpoint, monotonic, read_at};
use crate::slew::{duration_for, self_ending_gain, OwnSlew, Plan, SlewPolicy};
use crate::status::{total_rate, StatusFlags};
use crate::{Adjustment, ClockError, Operation, OutOfRange, Reading};

/// How a clock's rate is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// ±500 ppm by frequency, ±10 % by the tick; a step fits into the same call.
    Kernel { nominal_tick: i64 },
    /// By frequency alone, up to what the device says; a step is a call of its own.
    Device { max_ppb: i64 },
}

/// A steered clock: what it was told, and what is under way.
#[derive(Debug)]
pub(crate) struct Steered<K: Kernel> {
    pub(crate) kernel: K,
    pub(crate) policy: SlewPolicy,
    clock: ClockId,
    range: Range,
    /// The frequency in force beside a slew; `None` before the first command.
    frequency: Option<Frequency>,
    slew: Option<Slew>,
    /// Found out when a slew ended: the monotonic clock is slewed together with the clock (a simulator's may be).
    is_monotonic_slewed: bool,
}

/// A slew under way.
#[derive(Debug, Clone, Copy)]
enum Slew {
    /// By the kernel itself.
    Own(OwnSlew),
    /// By the clock's rate, to be taken back.
    Rate(RateSlew),
}

/// A slew by rate, as booked.
#[derive(Debug, Clone, Copy)]
struct RateSlew {
    rate: Frequency,
    start: Reading,
    end: Instant,
}

impl<K: Kernel> Steered<K> {
    pub(crate) fn new(kernel: K, clock: ClockId, range: Range) -> Self {
        Self {
            kernel,
            policy: SlewPolicy::default(),
            clock,
            range,
            frequency: None,
            slew: None,
            is_monotonic_slewed: false,
        }
    }

    pub(crate) fn read(&self) -> Result<Reading, ClockError> {
        let (time, at) = read_at(&self.kernel, self.clock)?;
        Ok(Reading { time: NtpTimestamp::from_unix(time), at })
    }

    pub(crate) fn frequency(&self) -> Frequency {
        self.frequency.unwrap_or_default()
    }

    pub(crate) fn adjtime(&self, operation: Operation, timex: &mut Timex) -> Result<i32, ClockError> {
        self.kernel.clock_adjtime(self.clock, timex).map_err(|errno| ClockError::system(operation, errno))
    }

    pub(crate) fn apply(&mut self, command: &ClockCommand) -> Result<Applied, ClockError> {
        match *command {
            ClockCommand::Hold => {
                if self.frequency.is_none() {
                    self.frequency = Some(self.rate_in_force()?.0);
                }
                Ok(self.booked(monotonic(&self.kernel)?))
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

    pub(crate) fn step(&mut self, offset: NtpDuration) -> Result<Applied, ClockError> {
        self.take_over()?;
        self.apply_step(offset, self.frequency())
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match &self.slew {
            Some(Slew::Own(own)) => own.next(),
            Some(Slew::Rate(slew)) => Some(slew.end),
            None => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        if !self.next_timeout().is_some_and(|end| now >= end) {
            return Ok(None);
        }
        if let Some(Slew::Own(own)) = &mut self.slew {
            // Nothing to do but to say what the kernel does.
            let (at, untold) = own.advance(now);
            return Ok(Some(Applied { stepped: untold, ..self.booked(at) }));
        }
        self.end_slew().map(Some)
    }

    pub(crate) fn residue(&self) -> Frequency {
        match &self.slew {
            Some(Slew::Rate(slew)) => slew.rate,
            _ => Frequency::ZERO,
        }
    }

    pub(crate) fn release(&mut self) -> Result<Option<Applied>, ClockError> {
        if self.is_slewing_by_rate() {
            self.end_slew().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Carries out what an adjustment was built into; gives back the kernel's state, its structure, and the books.
    pub(crate) fn adjust(&mut self, mut timex: Timex) -> Result<(i32, Timex, Applied), ClockError> {
        let steers = timex.modes & (modes::FREQUENCY | modes::TICK | modes::SETOFFSET) != 0;
        let step = if timex.modes & modes::SETOFFSET != 0 { step_of(&timex) } else { NtpDuration::ZERO };
        if steers && self.is_slewing_by_rate() {
            // What the adjustment leaves alone goes back to what it was without the slew.
            let words = self.words(self.frequency())?;
            if timex.modes & modes::FREQUENCY == 0 {
                timex.freq = words.freq;
            }
            if timex.modes & modes::TICK == 0 {
                timex.tick = words.tick;
            }
            timex.modes |= words.modes;
        }
        let operation = if step == NtpDuration::ZERO { Operation::Adjust } else { Operation::Step };
        let before = self.read()?;
        let mut state = self.adjtime(operation, &mut timex)?;
        let at = midpoint(before.at, monotonic(&self.kernel).unwrap_or(before.at));
        if !steers {
            return Ok((state, timex, self.booked(at)));
        }
        let excess = self.settle(Reading { time: before.time, at });
        self.frequency = Some(self.rate_of(&timex));
        if step != NtpDuration::ZERO {
            if let Some((later_state, later)) = self.rearm_leap(&timex) {
                timex = later;
                state = later_state;
            }
        }
        Ok((state, timex, Applied { at, stepped: step + excess, ..self.booked(at) }))
    }

    fn is_slewing_by_rate(&self) -> bool {
        matches!(self.slew, Some(Slew::Rate(_)))
    }

    /// The structure that sets a rate: the frequency alone as far as it goes, else as much as possible by the tick.
    fn words(&self, rate: Frequency) -> Result<Timex, ClockError> {
        let scaled = rate.to_scaled_ppm();
        let out_of_range = |max: i64| OutOfRange { quantity: "rate", unit: "ppb", asked: ppb(rate), min: -max, max };
        let base = Timex { modes: modes::FREQUENCY | modes::NANO, freq: scaled, ..Timex::default() };
        match self.range {
            Range::Device { max_ppb } if ppb(rate).abs() > max_ppb => Err(out_of_range(max_ppb).into()),
            Range::Device { .. } => Ok(base),
            Range::Kernel { nominal_tick } => {
                let per_tick = ((1_000_000_i64 << 16) / nominal_tick.max(1)).max(1);
                let is_small = scaled.abs() <= 500 << 16;
                let ticks = if is_small { 0 } else { (scaled + scaled.signum() * per_tick / 2) / per_tick };
                if ticks.abs() > nominal_tick / 10 {
                    return Err(out_of_range(100_000_000).into());
                }
                let (freq, tick) = (scaled - ticks * per_tick, nominal_tick + ticks);
                Ok(Timex { modes: base.modes | modes::TICK, freq, tick, ..base })
            }
        }
    }

    /// The rate that a structure the kernel gave back stands for.
    fn rate_of(&self, timex: &Timex) -> Frequency {
        match self.range {
            Range::Kernel { nominal_tick } => total_rate(timex.freq, timex.tick, nominal_tick),
            Range::Device { .. } => Frequency::from_scaled_ppm(timex.freq),
        }
    }

    fn rate_in_force(&self) -> Result<(Frequency, StatusFlags), ClockError> {
        let mut timex = Timex::default();
        self.adjtime(Operation::Status, &mut timex)?;
        Ok((self.rate_of(&timex), StatusFlags::from_bits(timex.status)))
    }

    /// The fastest the clock can run off its frequency.
    fn limit(&self) -> Frequency {
        match self.range {
            Range::Kernel { .. } => Frequency::from_ppm(100_000),
            Range::Device { max_ppb } => Frequency::from_scaled_ppm((max_ppb << 16) / 1_000),
        }
    }

    /// Before the first command: no slew of somebody else's, no loop of the kernel's own.
    fn take_over(&mut self) -> Result<(), ClockError> {
        if self.frequency.is_some() {
            return Ok(());
        }
        let (rate, flags) = self.rate_in_force()?;
        if let Range::Kernel { .. } = self.range {
            self.self_ending(Operation::TakeOver, 0)?;
            let loops = StatusFlags::PLL
                .with(StatusFlags::FLL)
                .with(StatusFlags::FREQUENCY_HOLD)
                .with(StatusFlags::PPS_FREQUENCY)
                .with(StatusFlags::PPS_TIME);
            let free = flags.without(loops);
            if free != flags {
                let status = free.to_bits() & StatusFlags::WRITABLE.to_bits();
                let mut timex = Timex { modes: modes::STATUS | modes::NANO, status, ..Timex::default() };
                self.adjtime(Operation::TakeOver, &mut timex)?;
            }
        }
        self.frequency = Some(rate);
        Ok(())
    }

    /// Gives the kernel an offset to slew by itself; returns what was left of the one before.
    fn self_ending(&self, operation: Operation, micros: i64) -> Result<i64, ClockError> {
        let mut timex = Timex { modes: modes::OFFSET_SINGLESHOT, offset: micros, ..Timex::default() };
        self.adjtime(operation, &mut timex)?;
        Ok(timex.offset)
    }

    /// Sets the rate, and steps in the same call where asked; returns the rate the kernel made of it and the moment.
    fn set_rate(&self, rate: Frequency, step: Option<NtpDuration>) -> Result<(Frequency, Reading), ClockError> {
        let mut timex = self.words(rate)?;
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
        let (rate, moment) = (self.rate_of(&timex), self.moment(before, step));
        if step.is_some() {
            self.rearm_leap(&timex);
        }
        Ok((rate, moment))
    }

    /// At a step the kernel forgets when an armed leap second is due, stays armed and lets it pass by. Leaving its loop's mode
    /// resets the leap machine, so that the flag arms it anew: in and out again, with all flags as they were.
    fn rearm_leap(&self, after_step: &Timex) -> Option<(i32, Timex)> {
        let flags = StatusFlags::from_bits(after_step.status);
        let is_armed = flags.contains(StatusFlags::INSERT) || flags.contains(StatusFlags::DELETE);
        if !is_armed || matches!(self.range, Range::Device { .. }) {
            return None;
        }
        let write = |flags: StatusFlags| {
            let status = flags.to_bits() & StatusFlags::WRITABLE.to_bits();
            let mut timex = Timex { modes: modes::STATUS | modes::NANO, status, ..Timex::default() };
            self.adjtime(Operation::Adjust, &mut timex).ok().map(|state| (state, timex))
        };
        write(flags.with(StatusFlags::PLL))?;
        write(flags.without(StatusFlags::PLL))
    }

    /// When a call that began at `before` took effect, and the clock's time then, `step` included.
    fn moment(&self, before: Reading, step: Option<NtpDuration>) -> Reading {
        // Done is done: a reading that fails now must not make it look refused.
        let at = midpoint(before.at, monotonic(&self.kernel).unwrap_or(before.at));
        let time = before.time + NtpDuration::from_std(at.since(before.at)) + step.unwrap_or_default();
        Reading { time, at }
    }

    /// The state as it is booked from `at` on.
    fn booked(&self, at: Instant) -> Applied {
        let (slew_rate, end) = match &self.slew {
            Some(Slew::Own(own)) => own.told(),
            Some(Slew::Rate(slew)) => (slew.rate, slew.end),
            None => (Frequency::ZERO, at),
        };
        let slew_rate = if end > at { slew_rate } else { Frequency::ZERO };
        let slew_end = if slew_rate == Frequency::ZERO { at } else { end };
        Applied { at, stepped: NtpDuration::ZERO, frequency: self.frequency(), slew_rate, slew_end }
    }

    /// Closes the books on a slew by rate that stopped at `now`: what it delivered beyond what was booked.
    fn settle(&mut self, now: Reading) -> NtpDuration {
        let Some(Slew::Rate(slew)) = self.slew else {
            return NtpDuration::ZERO;
        };
        self.slew = None;
        self.disarm();
        let elapsed = now.at.since(slew.start.at);
        let booked = slew.rate.over(now.at.min(slew.end).since(slew.start.at));
        let delivered = slew.rate.over(elapsed);
        if self.is_monotonic_slewed || !follows(slew, now, elapsed, delivered) {
            return delivered - booked;
        }
        self.is_monotonic_slewed = true;
        self.effective(slew.rate).over(elapsed) - booked
    }

    /// A rate against a monotonic clock that is slewed by it too.
    fn effective(&self, rate: Frequency) -> Frequency {
        let whole = (1_i128 << 60) + i128::from((self.frequency() + rate).to_bits());
        let bits = (i128::from(rate.to_bits()) << 60) / whole.max(1);
        Frequency::from_bits(i64::try_from(bits).unwrap_or_default())
    }

    fn end_slew(&mut self) -> Result<Applied, ClockError> {
        let (frequency, now) = self.set_rate(self.frequency(), None)?;
        let excess = self.settle(now);
        self.frequency = Some(frequency);
        Ok(Applied { stepped: excess, ..self.booked(now.at) })
    }

    /// The kernel's own slew is stopped or replaced: what it delivered beyond what was booked.
    fn replace_self_ending(&mut self, micros: i64, now: Instant) -> Result<NtpDuration, ClockError> {
        let Some(Slew::Own(own)) = self.slew else {
            if micros != 0 {
                self.self_ending(Operation::SelfEndingSlew, micros)?;
            }
            return Ok(NtpDuration::ZERO);
        };
        let left = self.self_ending(Operation::SelfEndingSlew, micros)?;
        self.slew = None;
        // A second that has begun is delivered to its end, whatever comes now.
        Ok(self_ending_gain(own.micros.saturating_sub(left)) - own.booked(now))
    }

    fn apply_step(&mut self, offset: NtpDuration, frequency: Frequency) -> Result<Applied, ClockError> {
        let step = NtpDuration::from_nanos(offset.to_nanos());
        if let Range::Device { .. } = self.range {
            return self.apply_device_step(step, frequency);
        }
        let (frequency, now) = self.set_rate(frequency, Some(step))?;
        let mut stepped = step + self.settle(Reading { time: now.time - step, at: now.at });
        self.frequency = Some(frequency);
        // Refused, it would go on: it stays booked as it is.
        if let Ok(excess) = self.replace_self_ending(0, now.at) {
            stepped += excess;
        }
        Ok(Applied { stepped, ..self.booked(now.at) })
    }

    /// A device takes one thing at a time: the step first, which alone may fail with nothing changed.
    fn apply_device_step(&mut self, step: NtpDuration, frequency: Frequency) -> Result<Applied, ClockError> {
        self.words(frequency)?;
        let mut timex = Adjustment::new().step(step).build()?;
        let before = self.read()?;
        self.adjtime(Operation::Step, &mut timex)?;
        let now = self.moment(before, Some(step));
        if let Some(Slew::Rate(slew)) = &mut self.slew {
            slew.start.time = slew.start.time + step;
        }
        match self.set_rate(frequency, None) {
            Ok((frequency, now)) => {
                let excess = self.settle(now);
                self.frequency = Some(frequency);
                Ok(Applied { stepped: step + excess, ..self.booked(now.at) })
            }
            // Refused: stepped it is, and runs on as it did.
            Err(_) => Ok(Applied { stepped: step, ..self.booked(now.at) }),
        }
    }

    fn apply_slew(
        &mut self,
        offset: NtpDuration,
        duration: Duration,
        frequency: Frequency,
    ) -> Result<Applied, ClockError> {
        let plan = self.planned(offset, duration, frequency);
        let slewing = if let Plan::Rate(rate) = plan { rate } else { Frequency::ZERO };
        let alone = self.words(frequency)?;
        if slewing != Frequency::ZERO {
            self.arm(&alone);
        }
        let (total, now) = match self.set_rate(frequency + slewing, None) {
            Ok(done) => done,
            Err(error) => {
                self.rearm();
                return Err(error);
            }
        };
        let mut stepped = self.settle(now);
        // The frequency as the kernel rounds it alone; the rest of what it gave is the slew's.
        let alone_rate = self.rate_of(&alone);
        self.frequency = Some(if slewing == Frequency::ZERO { total } else { alone_rate });
        let micros = if let Plan::SelfEnding { micros } = plan { micros } else { 0 };
        match self.replace_self_ending(micros, now.at) {
            Ok(excess) => stepped += excess,
            // Refused: what was under way goes on, and nothing was added to it.
            Err(_) if slewing == Frequency::ZERO => return Ok(Applied { stepped, ..self.booked(now.at) }),
            Err(_) => {}
        }
        self.slew = match plan {
            Plan::None => None,
            Plan::SelfEnding { micros } => Some(Slew::Own(OwnSlew::new(micros, now.at, to_next_second(now)))),
            Plan::Rate(_) => {
                self.arm(&alone);
                let given = total - alone_rate;
                let rate = if self.is_monotonic_slewed { self.effective(given) } else { given };
                let end = now.at + duration_for(offset, rate);
                Some(Slew::Rate(RateSlew { rate, start: now, end }))
            }
        };
        Ok(Applied { stepped, ..self.booked(now.at) })
    }

    /// The policy's plan, within what the clock can do beside `frequency`.
    fn planned(&self, offset: NtpDuration, duration: Duration, frequency: Frequency) -> Plan {
        let policy = match self.range {
            Range::Kernel { .. } => self.policy,
            Range::Device { .. } => SlewPolicy { self_ending: false, ..self.policy },
        };
        match policy.plan(offset, duration) {
            Plan::Rate(rate) => Plan::Rate((frequency + rate).clamp_abs(self.limit()) - frequency),
            plan => plan,
        }
    }

    /// Whoever watches over the kernel's clock learns how to set it back.
    fn arm(&self, restore: &Timex) {
        if let Range::Kernel { .. } = self.range {
            self.kernel.slew_begins(restore);
        }
    }

    fn disarm(&self) {
        if let Range::Kernel { .. } = self.range {
            self.kernel.slew_ended();
        }
    }

    /// After a refused command: whoever watches over the slew is told how things stand.
    fn rearm(&self) {
        if !self.is_slewing_by_rate() {
            self.disarm();
        } else if let Ok(words) = self.words(self.frequency()) {
            self.arm(&words);
        }
    }
}

/// A clock must not be left running away.
impl<K: Kernel> Drop for Steered<K> {
    fn drop(&mut self) {
        // Nobody is left to hear of a refusal; `release` is there for who wants to.
        let _ = self.release();
    }
}

/// Whether the monotonic clock took part in the slew: then the two clocks hardly drifted apart.
///
/// Only a fast and long slew tells, one that neither an oscillator's error nor the noise of reading can imitate.
fn follows(slew: RateSlew, now: Reading, elapsed: Duration, delivered: NtpDuration) -> bool {
    const FAST: Frequency = Frequency::from_ppm(4_000);
    const LONG: NtpDuration = NtpDuration::from_nanos(1_000_000);
    let apart = now.time.since(slew.start.time) - NtpDuration::from_std(elapsed);
    slew.rate.abs() >= FAST && delivered.abs() >= LONG && apart.abs() < delivered.abs().half().half()
}

/// How long the clock's second still lasts.
fn to_next_second(now: Reading) -> Duration {
    let into_second = (u64::from(now.time.fraction()) * 1_000_000_000) >> 32;
    Duration::from_nanos(1_000_000_000 - into_second)
}

fn step_of(timex: &Timex) -> NtpDuration {
    NtpDuration::from_nanos(timex.seconds.saturating_mul(1_000_000_000).saturating_add(timex.fraction))
}
