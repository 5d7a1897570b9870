//! The books: what a slew was said to do, and what it did.

use ntp_types::{Applied, Frequency, Instant, NtpDuration};

use crate::kernel::Kernel;
use crate::slew::{duration_for, OwnSlew};
use crate::steer::Steered;
use crate::{ClockError, Reading};

/// A slew under way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slew {
    /// By the kernel itself.
    Own(OwnSlew),
    /// By the clock's rate, to be taken back.
    Rate(RateSlew),
}

/// A slew by rate, as booked.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateSlew {
    pub(super) rate: Frequency,
    pub(super) start: Reading,
    pub(super) end: Instant,
}

impl<K: Kernel> Steered<K> {
    /// The state as it is booked from `at` on.
    pub(super) fn booked(&self, at: Instant) -> Applied {
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
    pub(super) fn settle(&mut self, now: Reading) -> NtpDuration {
        let Some(Slew::Rate(slew)) = self.slew else {
            return NtpDuration::ZERO;
        };
        self.slew = None;
        self.disarm();
        let elapsed = now.at.since(slew.start.at);
        let booked = slew.rate.over(now.at.min(slew.end).since(slew.start.at));
        let rate = if self.shows_slewed(&slew, now) { self.effective(slew.rate) } else { slew.rate };
        rate.over(elapsed) - booked
    }

    /// When a slew will have told whether the monotonic clock takes part in it, where that is not known.
    pub(super) fn tells_at(&self, slew: &RateSlew) -> Option<Instant> {
        let is_telling = is_fast(slew) && self.is_monotonic_slewed.is_none();
        is_telling.then(|| slew.start.at + duration_for(LONG + LONG, slew.rate.abs()))
    }

    /// Finds out whether the monotonic clock takes part in a slew under way: samples are compared by what is booked of it long
    /// before it ends. If so, the books as they should have been from its start on.
    pub(super) fn look(&mut self, slew: RateSlew) -> Result<Option<Applied>, ClockError> {
        if !self.shows_slewed(&slew, self.read()?) {
            return Ok(None);
        }
        let rate = self.effective(slew.rate);
        let end = slew.start.at + duration_for(slew.rate.over(slew.end.since(slew.start.at)), rate);
        self.slew = Some(Slew::Rate(RateSlew { rate, end, ..slew }));
        Ok(Some(self.booked(slew.start.at)))
    }

    /// Whether it is this slew that shows, by `now`, that the monotonic clock takes part in slews.
    fn shows_slewed(&mut self, slew: &RateSlew, now: Reading) -> bool {
        if self.is_monotonic_slewed.is_none() {
            self.is_monotonic_slewed = follows(slew, now);
            return self.is_monotonic_slewed == Some(true);
        }
        false
    }

    /// Closes the books on any slew when the clock was stepped at `now`: the kernel drops its own then, the rest of the second that
    /// had begun with it included. Source: `ntp_clear`.
    pub(super) fn settle_stepped(&mut self, now: Reading) -> NtpDuration {
        let Some(Slew::Own(mut own)) = self.slew else { return self.settle(now) };
        self.slew = None;
        let booked = own.booked(now.at);
        own.advance(now.at);
        own.booked(now.at) - booked
    }

    /// A rate against a monotonic clock that is slewed by it too.
    pub(super) fn effective(&self, rate: Frequency) -> Frequency {
        let whole = (1_i128 << 60) + i128::from((self.frequency() + rate).to_bits());
        let bits = (i128::from(rate.to_bits()) << 60) / whole.max(1);
        Frequency::from_bits(i64::try_from(bits).unwrap_or_default())
    }
}

/// Only a slew as fast as this, and that has brought as much, tells whether the monotonic clock takes part in it: neither an
/// oscillator's error nor the noise of reading can imitate that.
const FAST: Frequency = Frequency::from_ppm(4_000);
const LONG: NtpDuration = NtpDuration::from_nanos(1_000_000);

/// Whether the monotonic clock took part in the slew until `now`: then the two clocks hardly drifted apart. `None` where it
/// cannot be told.
fn follows(slew: &RateSlew, now: Reading) -> Option<bool> {
    let elapsed = now.at.since(slew.start.at);
    let delivered = slew.rate.over(elapsed);
    let apart = now.time.since(slew.start.time) - NtpDuration::from_std(elapsed);
    let tells = is_fast(slew) && delivered.abs() >= LONG;
    tells.then(|| apart.abs() < delivered.abs().half().half())
}

fn is_fast(slew: &RateSlew) -> bool {
    slew.rate.abs() >= FAST
}
