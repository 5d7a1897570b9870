//! Commands carried out: a step, a slew, the end of one.

use core::time::Duration;

use ntp_types::{Applied, Frequency, Instant, NtpDuration};

use crate::kernel::Kernel;
use crate::sample::monotonic;
use crate::slew::{duration_for, OwnSlew, Plan, SlewPolicy};
use crate::steer::books::{RateSlew, Slew};
use crate::steer::{Range, Steered};
use crate::{Adjustment, ClockError, Operation, Reading};

impl<K: Kernel> Steered<K> {
    pub(super) fn apply_step(&mut self, offset: NtpDuration, frequency: Frequency) -> Result<Applied, ClockError> {
        let step = NtpDuration::from_nanos(offset.to_nanos());
        if let Range::Device { .. } = self.range {
            return self.apply_device_step(step, frequency);
        }
        let has_own = matches!(self.slew, Some(Slew::Own(_)));
        let (frequency, now) = self.set_rate(frequency, Some(step))?;
        if has_own {
            // A kernel has dropped it by now; what stands in for one may not have.
            let _ = self.self_ending(Operation::SelfEndingSlew, 0);
        }
        let excess = self.settle_stepped(Reading { time: now.time - step, at: now.at });
        self.frequency = Some(frequency);
        Ok(Applied { stepped: step + excess, ..self.booked(now.at) })
    }

    /// A device takes one thing at a time: the step first, which alone may fail with nothing changed.
    fn apply_device_step(&mut self, step: NtpDuration, frequency: Frequency) -> Result<Applied, ClockError> {
        self.range.words(frequency)?;
        let mut timex = Adjustment::new().step(step).build()?;
        let before = self.read()?;
        self.adjtime(Operation::Step, &mut timex)?;
        let now = self.moment(before, Some(step));
        if let Some(Slew::Rate(slew)) = &mut self.slew {
            slew.start.time += step;
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

    pub(super) fn apply_slew(
        &mut self,
        offset: NtpDuration,
        duration: Duration,
        frequency: Frequency,
    ) -> Result<Applied, ClockError> {
        match self.planned(offset, duration, frequency) {
            Plan::None => self.slew_by_kernel(0, frequency),
            Plan::SelfEnding { micros } => self.slew_by_kernel(micros, frequency),
            Plan::Rate(rate) => self.slew_by_rate(offset, rate, frequency),
        }
    }

    fn slew_by_kernel(&mut self, micros: i64, frequency: Frequency) -> Result<Applied, ClockError> {
        let (frequency, now) = self.set_rate(frequency, None)?;
        let mut stepped = self.settle(now);
        self.frequency = Some(frequency);
        // Refused: what was under way goes on, and nothing was added to it.
        if let Ok(excess) = self.replace_self_ending(micros, now.at) {
            stepped += excess;
            let own = || Slew::Own(OwnSlew::new(micros, frequency, now.at, to_next_second(now)));
            self.slew = (micros != 0).then(own);
        }
        Ok(Applied { stepped, ..self.booked(now.at) })
    }

    fn slew_by_rate(
        &mut self,
        offset: NtpDuration,
        rate: Frequency,
        frequency: Frequency,
    ) -> Result<Applied, ClockError> {
        let alone = self.range.words(frequency)?;
        // The kernel's own slew is stopped first: refused later, it would run on beside this one.
        let stopped = if let Some(Slew::Own(_)) = self.slew {
            let now = monotonic(&self.kernel)?;
            let stepped = self.replace_self_ending(0, now)?;
            Some(Applied { stepped, ..self.booked(now) })
        } else {
            None
        };
        self.arm(&alone);
        let (total, now) = match self.set_rate(frequency + rate, None) {
            Ok(done) => done,
            Err(error) => {
                self.rearm();
                return stopped.ok_or(error);
            }
        };
        let stepped = self.settle(now) + stopped.map_or(NtpDuration::ZERO, |stopped| stopped.stepped);
        // The frequency as the kernel rounds it alone; the rest of what it gave is the slew's.
        let alone_rate = self.range.rate_of(&alone);
        self.frequency = Some(alone_rate);
        self.arm(&alone);
        let given = total - alone_rate;
        let rate = if self.is_monotonic_slewed == Some(true) { self.effective(given) } else { given };
        let end = now.at + duration_for(offset, rate);
        self.slew = Some(Slew::Rate(RateSlew { rate, start: now, end }));
        Ok(Applied { stepped, ..self.booked(now.at) })
    }

    pub(super) fn end_slew(&mut self) -> Result<Applied, ClockError> {
        let (frequency, now) = self.set_rate(self.frequency(), None)?;
        let excess = self.settle(now);
        self.frequency = Some(frequency);
        Ok(Applied { stepped: excess, ..self.booked(now.at) })
    }

    /// The policy's plan, within what the clock can do beside `frequency`.
    fn planned(&self, offset: NtpDuration, duration: Duration, frequency: Frequency) -> Plan {
        let policy = match self.range {
            Range::Kernel { .. } => self.policy,
            Range::Device { .. } => SlewPolicy { self_ending: false, ..self.policy },
        };
        match policy.plan(offset, duration) {
            Plan::Rate(rate) => Plan::Rate((frequency + rate).clamp_abs(self.range.limit()) - frequency),
            plan => plan,
        }
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
        Ok(own.gain(left) - own.booked(now))
    }
}

/// How long the clock's second still lasts.
fn to_next_second(now: Reading) -> Duration {
    let into_second = (u64::from(now.time.fraction()) * 1_000_000_000) >> 32;
    Duration::from_nanos(1_000_000_000 - into_second)
}
