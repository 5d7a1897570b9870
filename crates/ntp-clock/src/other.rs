//! The calls of [`Host`](crate::kernel::Host) where this crate knows no system calls: the clock is read through `std`,
//! everything else says that it is not supported.

use core::time::Duration;
use std::fs::File;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use ntp_types::UnixTime;

use crate::kernel::{ClockId, PtpCapabilities, Timex};
use crate::rtc::RtcTime;
use crate::Errno;

pub(crate) fn clock_gettime(clock: ClockId) -> Result<UnixTime, Errno> {
    static START: OnceLock<Instant> = OnceLock::new();
    match clock {
        ClockId::Realtime => Ok(SystemTime::now().into()),
        ClockId::MonotonicRaw | ClockId::Monotonic => {
            let elapsed = START.get_or_init(Instant::now).elapsed();
            i128::try_from(elapsed.as_nanos()).ok().and_then(UnixTime::from_nanos).ok_or(Errno::EOVERFLOW)
        }
        ClockId::Boottime | ClockId::Descriptor(_) => Err(Errno::ENOSYS),
    }
}

pub(crate) fn clock_settime(_: ClockId, _: UnixTime) -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

pub(crate) fn clock_adjtime(_: ClockId, _: &mut Timex) -> Result<i32, Errno> {
    Err(Errno::ENOSYS)
}

pub(crate) fn set_time_zone(_: i32) -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

pub(crate) fn ptp_capabilities(_: i32) -> Result<PtpCapabilities, Errno> {
    Err(Errno::ENOSYS)
}

pub(crate) fn utc_offset(_: UnixTime) -> Result<i32, Errno> {
    Err(Errno::ENOSYS)
}

pub(crate) fn device_number(_: &File) -> Option<String> {
    None
}

macro_rules! unsupported {
    ($($name:ident($($argument:ty),*) -> $result:ty;)*) => {
        $(pub(crate) fn $name(_: &File $(, _: $argument)*) -> Result<$result, Errno> {
            Err(Errno::ENOSYS)
        })*
    };
}

unsupported! {
    rtc_read_time() -> RtcTime;
    rtc_set_time(&RtcTime) -> ();
    rtc_update_interrupt(bool) -> ();
    rtc_wait(Duration) -> bool;
    rtc_parameter(u64) -> u64;
    rtc_set_parameter(u64, u64) -> ();
    rtc_voltage() -> u32;
    rtc_clear_voltage() -> ();
}

pub(crate) fn arm(_: i64, _: i64) {}

pub(crate) fn disarm() {}

pub(crate) fn restore_on_signals() -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

pub(crate) fn spawn_guard() -> Result<File, Errno> {
    Err(Errno::ENOSYS)
}

pub(crate) fn has_reader(_: &File) -> bool {
    false
}

pub(crate) const fn ticks_per_second() -> i64 {
    100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_through_std_and_refuses_the_rest() {
        let before = clock_gettime(ClockId::MonotonicRaw).unwrap();
        assert!(clock_gettime(ClockId::Realtime).unwrap().seconds() > 1_600_000_000);
        assert!(clock_gettime(ClockId::MonotonicRaw).unwrap() >= before);
        assert_eq!(clock_gettime(ClockId::Descriptor(3)), Err(Errno::ENOSYS));
        assert_eq!(clock_settime(ClockId::Realtime, UnixTime::EPOCH), Err(Errno::ENOSYS));
        assert_eq!(clock_adjtime(ClockId::Realtime, &mut Timex::default()), Err(Errno::ENOSYS));
        assert_eq!(set_time_zone(0), Err(Errno::ENOSYS));
        assert_eq!(ptp_capabilities(3), Err(Errno::ENOSYS));
        assert_eq!(ticks_per_second(), 100);
        assert_eq!(utc_offset(UnixTime::EPOCH), Err(Errno::ENOSYS));
        let file = File::open(".").unwrap();
        assert_eq!(device_number(&file), None);
        assert_eq!(rtc_read_time(&file), Err(Errno::ENOSYS));
        assert_eq!(rtc_set_time(&file, &RtcTime::default()), Err(Errno::ENOSYS));
        assert_eq!(rtc_update_interrupt(&file, true), Err(Errno::ENOSYS));
        assert_eq!(rtc_wait(&file, Duration::ZERO), Err(Errno::ENOSYS));
        assert_eq!(rtc_parameter(&file, 0), Err(Errno::ENOSYS));
        assert_eq!(rtc_set_parameter(&file, 0, 0), Err(Errno::ENOSYS));
        assert_eq!(rtc_voltage(&file), Err(Errno::ENOSYS));
        assert_eq!(rtc_clear_voltage(&file), Err(Errno::ENOSYS));
        arm(0, 10_000);
        disarm();
        assert_eq!(restore_on_signals(), Err(Errno::ENOSYS));
        assert_eq!(spawn_guard().err(), Some(Errno::ENOSYS));
        assert!(!has_reader(&file));
    }
}
