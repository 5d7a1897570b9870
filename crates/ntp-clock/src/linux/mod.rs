//! The calls of [`Host`](crate::kernel::Host) on Linux, safe.

mod sys;

use std::fs::File;
use std::os::unix::fs::MetadataExt;

pub(crate) use sys::{
    arm, clock_adjtime, clock_gettime, clock_settime, disarm, has_reader, ptp_capabilities, restore_on_signals,
    rtc_clear_voltage, rtc_parameter, rtc_read_time, rtc_set_parameter, rtc_set_time, rtc_update_interrupt,
    rtc_voltage, rtc_wait, set_time_zone, spawn_guard, ticks_per_second, utc_offset,
};

/// The numbers of a device, as sysfs has them: `major:minor`.
pub(crate) fn device_number(file: &File) -> Option<String> {
    let number = file.metadata().ok()?.rdev();
    Some(format!("{}:{}", libc::major(number), libc::minor(number)))
}
