//! The books and the effects of steering, the same for the kernel's clock and for a PTP device.

mod books;
mod calls;
mod command;
mod range;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, NtpDuration, NtpTimestamp, UnixTime};

use crate::kernel::{modes, ClockId, Kernel, Timex};
use crate::sample::{midpoint, monotonic, read_at};
use crate::slew::SlewPolicy;
use crate::steer::books::Slew;
use crate::{ClockError, Operation, Reading};

pub(crate) use crate::steer::range::Range;

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
    /// Whether the monotonic clock is slewed together with the clock (a simulator's may be); `None` until a slew has told.
    is_monotonic_slewed: Option<bool>,
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
            is_monotonic_slewed: None,
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

    /// Sets the clock to `time`, with no slew under way any more.
    pub(crate) fn set(&mut self, time: UnixTime) -> Result<(), ClockError> {
        self.kernel.clock_settime(self.clock, time).map_err(|errno| ClockError::system(Operation::Set, errno))?;
        self.slew = None;
        Ok(())
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match &self.slew {
            Some(Slew::Own(own)) => own.next(),
            Some(Slew::Rate(slew)) => Some(self.tells_at(slew).map_or(slew.end, |at| at.min(slew.end))),
            None => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        if !self.next_timeout().is_some_and(|end| now >= end) {
            return Ok(None);
        }
        match &mut self.slew {
            Some(Slew::Own(own)) => {
                // Nothing to do but to say what the kernel does.
                let (at, untold) = own.advance(now);
                Ok(Some(Applied { stepped: untold, ..self.booked(at) }))
            }
            Some(Slew::Rate(slew)) if now < slew.end => {
                let slew = *slew;
                self.look(slew)
            }
            _ => self.end_slew().map(Some),
        }
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
            let words = self.range.words(self.frequency())?;
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
        let before = Reading { time: before.time, at };
        let excess = if step == NtpDuration::ZERO { self.settle(before) } else { self.settle_stepped(before) };
        self.frequency = Some(self.range.rate_of(&timex));
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
}

/// A clock must not be left running away.
impl<K: Kernel> Drop for Steered<K> {
    fn drop(&mut self) {
        // Nobody is left to hear of a refusal; `release` is there for who wants to.
        let _ = self.release();
    }
}

fn step_of(timex: &Timex) -> NtpDuration {
    NtpDuration::from_nanos(timex.seconds.saturating_mul(1_000_000_000).saturating_add(timex.fraction))
}
