//! What a clock can be told: rates into the kernel's words and back.

use ntp_types::Frequency;

use crate::adjustment::ppb;
use crate::kernel::{modes, Timex};
use crate::status::total_rate;
use crate::{ClockError, OutOfRange};

/// How a clock's rate is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// ±500 ppm by frequency, ±10 % by the tick; a step fits into the same call.
    Kernel { nominal_tick: i64 },
    /// By frequency alone, up to what the device says; a step is a call of its own.
    Device { max_ppb: i64 },
}

impl Range {
    /// The structure that sets a rate: the frequency alone as far as it goes, else as much as possible by the tick.
    pub(super) fn words(self, rate: Frequency) -> Result<Timex, ClockError> {
        let scaled = rate.to_scaled_ppm();
        let out_of_range = |max: i64| OutOfRange { quantity: "rate", unit: "ppb", asked: ppb(rate), min: -max, max };
        let base = Timex { modes: modes::FREQUENCY | modes::NANO, freq: scaled, ..Timex::default() };
        match self {
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
    pub(super) fn rate_of(self, timex: &Timex) -> Frequency {
        match self {
            Range::Kernel { nominal_tick } => total_rate(timex.freq, timex.tick, nominal_tick),
            Range::Device { .. } => Frequency::from_scaled_ppm(timex.freq),
        }
    }

    /// The fastest the clock can run off its frequency.
    pub(super) fn limit(self) -> Frequency {
        match self {
            Range::Kernel { .. } => Frequency::from_ppm(100_000),
            Range::Device { max_ppb } => Frequency::from_scaled_ppm((max_ppb << 16) / 1_000),
        }
    }
}
