//! The hardware clock: the battery-backed one that counts while the machine is off.
//!
//! It counts whole seconds, so reading and setting it means watching for the moment at which a second begins:
//! [`Rtc::read_at_edge`] and [`Rtc::set`]. What hwclock keeps about it in `/etc/adjtime` is [`AdjTimeFile`]; the work at boot
//! and shutdown is in [`hctosys`], [`systohc`] and [`adjust`]; [`RtcTracker`] learns its rate.
//!
//! Setting lets a second begin when it should, to 20 ms, and looks whether it did. Not every chip allows that: on AMD and Hygon
//! processors a PC's clock keeps its beat, because Linux leaves the divider alone there (register A has another meaning for that
//! bit: `apply_amd_register_a_behavior` in 6.1's `rtc-mc146818-lib.c`), and nothing but setting ever touches it: alarms,
//! interrupts and suspending write registers B and C, `/dev/nvram` begins behind both, starting the driver writes register A as it
//! stands. What is left, half a second at most, is measured, told in [`SetOutcome`] and kept in `/etc/adjtime`, so that clock
//! and file together are right.
//!
//! | part | file | effects |
//! |---|---|---|
//! | date and time of the chip | [`RtcTime`] | none |
//! | the device's calls | [`RtcDevice`], [`DeviceFile`] | system calls |
//! | reading and setting at the edge | [`Rtc`] | through the device |
//! | reading without the device | [`SysfsRtc`] | reads files |
//! | whichever of the two works | [`look`] | reads |
//! | drift and time scale | [`AdjTime`], [`AdjTimeFile`] | none, but loading and saving |
//! | boot, shutdown, trimming | [`hctosys`], [`systohc`], [`adjust`] | through `Rtc` and the clock |
//! | offset and rate by regression | [`RtcTracker`] | none |
//!
//! ```no_run
//! use ntp_clock::rtc::Rtc;
//! use std::time::Duration;
//!
//! let rtc = Rtc::open()?;
//! let edge = rtc.read_at_edge(Duration::from_secs(3))?;
//! println!("{} at {} of the system clock", edge.rtc, edge.system);
//! # Ok::<(), ntp_clock::rtc::RtcError>(())
//! ```

mod adjtime;
mod boot;
mod device;
mod edge;
mod error;
pub(crate) mod ioctl;
mod look;
mod scan;
mod set;
mod sysfs;
mod time;
mod tracking;
mod zone;

pub use adjtime::{AdjTime, AdjTimeError, AdjTimeFile, DriftUpdate, TimeScale};
pub use boot::{adjust, hctosys, systohc, AdjustOutcome, BootOutcome, SaveOptions, SaveOutcome};
pub use device::{DeviceFile, Parameter, RtcDevice, Validity, VoltageFlags};
pub use edge::{Edge, EdgeMethod, Rtc};
pub use error::RtcError;
pub use ioctl::{request, Direction, Layout};
pub use look::{look, Look};
pub use set::{SetOptions, SetOutcome};
pub use sysfs::SysfsRtc;
pub use time::{RtcTime, RtcTimeError};
pub use tracking::{ParseRtcModelError, RtcModel, RtcTracker};
pub use zone::{local_to_utc, utc_to_local};
