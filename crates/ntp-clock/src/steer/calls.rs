//! The calls that steering is made of.

use ntp_types::{Frequency, NtpDuration};

use crate::kernel::{modes, Kernel, Timex};
use crate::sample::{midpoint, monotonic};
use crate::status::StatusFlags;
use crate::steer::{Range, Steered};
use crate::{Adjustment, ClockError, Operation, Reading};

impl<K: Kernel> Steered<K> {
    /// Before the first command: no slew of somebody else's, no loop of the kernel's own.
    pub(super) fn take_over(&mut self) -> Result<(), ClockError> {
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

    pub(super) fn rate_in_force(&self) -> Result<(Frequency, StatusFlags), ClockError> {
        let mut timex = Timex::default();
        self.adjtime(Operation::Status, &mut timex)?;
        Ok((self.range.rate_of(&timex), StatusFlags::from_bits(timex.status)))
    }

    /// Gives the kernel an offset to slew by itself; returns what was left of the one before.
    pub(super) fn self_ending(&self, operation: Operation, micros: i64) -> Result<i64, ClockError> {
        let mut timex = Timex { modes: modes::OFFSET_SINGLESHOT, offset: micros, ..Timex::default() };
        self.adjtime(operation, &mut timex)?;
        Ok(timex.offset)
    }

    /// Sets the rate, and steps in the same call where asked; returns the rate the kernel made of it and the moment.
    pub(super) fn set_rate(
        &self,
        rate: Frequency,
        step: Option<NtpDuration>,
    ) -> Result<(Frequency, Reading), ClockError> {
        let mut timex = self.range.words(rate)?;
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
        let (rate, moment) = (self.range.rate_of(&timex), self.moment(before, step));
        if step.is_some() {
            self.rearm_leap(&timex);
        }
        Ok((rate, moment))
    }

    /// At a step the kernel forgets when an armed leap second is due, stays armed and lets it pass by. Leaving its loop's mode
    /// resets the leap machine, so that the flag arms it anew: in and out again, with all flags as they were.
    pub(super) fn rearm_leap(&self, after_step: &Timex) -> Option<(i32, Timex)> {
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
    pub(super) fn moment(&self, before: Reading, step: Option<NtpDuration>) -> Reading {
        // Done is done: a reading that fails now must not make it look refused.
        let at = midpoint(before.at, monotonic(&self.kernel).unwrap_or(before.at));
        let time = before.time + NtpDuration::from_std(at.since(before.at)) + step.unwrap_or_default();
        Reading { time, at }
    }

    /// Whoever watches over the kernel's clock learns how to set it back.
    pub(super) fn arm(&self, restore: &Timex) {
        if let Range::Kernel { .. } = self.range {
            self.kernel.slew_begins(restore);
        }
    }

    pub(super) fn disarm(&self) {
        if let Range::Kernel { .. } = self.range {
            self.kernel.slew_ended();
        }
    }

    /// After a refused command: whoever watches over the slew is told how things stand.
    pub(super) fn rearm(&self) {
        if !self.is_slewing_by_rate() {
            self.disarm();
        } else if let Ok(words) = self.range.words(self.frequency()) {
            self.arm(&words);
        }
    }
}
