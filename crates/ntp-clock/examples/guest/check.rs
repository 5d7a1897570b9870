//! Checks that count, and readings that can be compared.

use std::fmt::Display;

use ntp_clock::kernel::{ClockId, Host, Kernel, Timex};
use ntp_clock::Errno;
use ntp_types::{Instant, NtpDuration};

/// How many failed.
#[derive(Default)]
pub(crate) struct Checks {
    failed: i32,
    passed: i32,
}

impl Checks {
    /// Notes a check and what was seen.
    pub(crate) fn that(&mut self, name: &str, holds: bool, seen: impl Display) {
        println!("{} {name}: {seen}", if holds { "ok  " } else { "FAIL" });
        if holds {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Notes whether a span lies within `limit` of zero.
    pub(crate) fn near(&mut self, name: &str, error: NtpDuration, limit_nanos: i64) {
        self.that(name, error.abs() <= NtpDuration::from_nanos(limit_nanos), error.human());
    }

    /// The exit status.
    pub(crate) fn finish(&self) -> i32 {
        println!("{} checks passed, {} failed", self.passed, self.failed);
        self.failed.min(90)
    }
}

/// The two clocks at one moment, in nanoseconds: the closest of many brackets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) real: i128,
    pub(crate) raw: i128,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let bracket = || {
            let before = Host.clock_gettime(ClockId::MonotonicRaw).unwrap().to_nanos();
            let real = Host.clock_gettime(ClockId::Realtime).unwrap().to_nanos();
            let after = Host.clock_gettime(ClockId::MonotonicRaw).unwrap().to_nanos();
            (after - before, Self { real, raw: (before + after) / 2 })
        };
        (0..50).map(|_| bracket()).min_by_key(|(width, _)| *width).unwrap().1
    }

    /// What the clock has gained on the monotonic one since `earlier`.
    pub(crate) fn gained_since(self, earlier: Self) -> NtpDuration {
        let nanos = self.real - earlier.real - (self.raw - earlier.raw);
        NtpDuration::from_nanos(i64::try_from(nanos).unwrap())
    }

    pub(crate) fn instant(self) -> Instant {
        Instant::from_nanos(u64::try_from(self.raw).unwrap())
    }
}

/// A call past every guard of the library: how the traps themselves are shown.
pub(crate) fn raw(modes: u32, fill: impl FnOnce(&mut Timex)) -> Result<(i32, Timex), Errno> {
    let mut timex = Timex { modes, ..Timex::default() };
    fill(&mut timex);
    Host.clock_adjtime(ClockId::Realtime, &mut timex).map(|state| (state, timex))
}
