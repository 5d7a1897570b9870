//! The calls of [`Host`](crate::kernel::Host) on Linux, safe.

mod sys;

pub(crate) use sys::{clock_adjtime, clock_gettime, clock_settime, ptp_capabilities, set_time_zone, ticks_per_second};
