//! The calls of [`Host`](crate::kernel::Host) on Linux, safe.

mod sys;

pub(crate) use sys::{
    arm, clock_adjtime, clock_gettime, clock_settime, disarm, ptp_capabilities, restore_on_signals, set_time_zone,
    spawn_guard, ticks_per_second,
};
