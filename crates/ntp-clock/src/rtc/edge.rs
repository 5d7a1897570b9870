//! Reading at the moment at which a second begins.

use core::fmt;
use core::time::Duration;

use ntp_types::{Instant, UnixTime};

use crate::kernel::{ClockId, Host, Kernel};
use crate::rtc::{DeviceFile, Parameter, RtcDevice, RtcError, Validity, VoltageFlags};
use crate::sample::{monotonic, read_at};
use crate::{Errno, Operation};

/// How the beginning of a second was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EdgeMethod {
    /// The chip announced it by an interrupt.
    Interrupt,
    /// The time was read until it changed.
    BusyWait,
    /// `/sys/class/rtc` was read until it changed.
    Sysfs,
}

/// `interrupt`, `busy-wait`, `sysfs`.
impl fmt::Display for EdgeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "interrupt",
            Self::BusyWait => "busy-wait",
            Self::Sysfs => "sysfs",
        })
    }
}

/// A second of the hardware clock beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Edge {
    /// The second that began, in the scale the chip keeps.
    pub rtc: UnixTime,
    /// The system clock at that moment.
    pub system: UnixTime,
    /// The monotonic moment.
    pub at: Instant,
    /// How it was noticed.
    pub method: EdgeMethod,
}

impl Edge {
    /// How far the hardware clock is ahead of the system clock, in nanoseconds; the time zone of a chip in local time included.
    #[must_use]
    pub fn ahead_nanos(&self) -> i128 {
        self.rtc.to_nanos() - self.system.to_nanos()
    }
}

/// A hardware clock and the system's clocks beside it.
#[derive(Debug)]
pub struct Rtc<D = DeviceFile, K = Host> {
    pub(crate) device: D,
    pub(crate) kernel: K,
    driver: Option<String>,
}

/// A chip that does not announce its seconds must change its time within this. hwclock waits as long.
const BUSY_LIMIT: Duration = Duration::from_millis(1_500);

impl Rtc {
    /// The machine's hardware clock.
    ///
    /// # Errors
    /// As [`DeviceFile::open_default`].
    pub fn open() -> Result<Self, RtcError> {
        let device = DeviceFile::open_default()?;
        let driver = device.driver();
        Ok(Self { device, kernel: Host, driver })
    }

    /// The hardware clock behind a device file.
    ///
    /// # Errors
    /// As [`DeviceFile::open`].
    pub fn open_at(path: impl AsRef<std::path::Path>) -> Result<Self, RtcError> {
        let device = DeviceFile::open(path)?;
        let driver = device.driver();
        Ok(Self { device, kernel: Host, driver })
    }
}

impl<D: RtcDevice, K: Kernel> Rtc<D, K> {
    /// A hardware clock behind other tables of calls; `driver` is its name, `rtc_cmos` for a PC's.
    #[must_use]
    pub fn with_device(device: D, kernel: K, driver: Option<&str>) -> Self {
        Self { device, kernel, driver: driver.map(str::to_owned) }
    }

    /// The device.
    #[must_use]
    pub const fn device(&self) -> &D {
        &self.device
    }

    /// The driver's name, where it is known.
    #[must_use]
    pub fn driver(&self) -> Option<&str> {
        self.driver.as_deref()
    }

    /// The second it shows, in the scale it keeps; anything up to a second old.
    ///
    /// # Errors
    /// [`RtcError`] when the device refuses (`EINVAL`: the chip has lost its time) or shows no date.
    pub fn read(&self) -> Result<UnixTime, RtcError> {
        let time = self.device.read_time().map_err(|errno| RtcError::system(Operation::RtcRead, errno))?;
        Ok(time.to_unix()?)
    }

    /// Waits for the next second to begin: by the chip's interrupt, or by reading until the time changes.
    ///
    /// # Errors
    /// [`RtcError::NoTick`] when none begins within `limit`; else as [`read`](Self::read).
    pub fn read_at_edge(&self, limit: Duration) -> Result<Edge, RtcError> {
        match self.device.update_interrupt(true) {
            Ok(()) => {
                let edge = self.wait_for_interrupt(limit);
                // Left on, it would only wake nobody; the edge is what counts.
                let _ = self.device.update_interrupt(false);
                match edge? {
                    Some(edge) => Ok(edge),
                    // Announced and never delivered: such hardware exists.
                    None => self.busy_wait(limit),
                }
            }
            Err(Errno::ENOTTY | Errno::EINVAL | Errno::EIO | Errno::EOPNOTSUPP | Errno::EACCES | Errno::EBUSY) => {
                self.busy_wait(limit)
            }
            Err(errno) => Err(RtcError::system(Operation::RtcUpdateInterrupt, errno)),
        }
    }

    /// The best of `count` edges: being noticed late makes the system clock look ahead, never behind.
    ///
    /// # Errors
    /// As [`read_at_edge`](Self::read_at_edge).
    pub fn read_at_edges(&self, count: usize, limit: Duration) -> Result<Edge, RtcError> {
        let mut best = self.read_at_edge(limit)?;
        for _ in 1..count {
            let next = self.read_at_edge(limit)?;
            if next.ahead_nanos() > best.ahead_nanos() {
                best = next;
            }
        }
        Ok(best)
    }

    /// Whether its time can be believed.
    ///
    /// # Errors
    /// [`RtcError`] when the device fails in another way than by having no time.
    pub fn validity(&self) -> Result<Validity, RtcError> {
        let has_time = match self.read() {
            Ok(_) => true,
            Err(RtcError::Time(_)) => false,
            Err(error) if error.errno() == Some(Errno::EINVAL) => false,
            Err(error) => return Err(error),
        };
        let voltage = match self.device.voltage() {
            Ok(flags) => Some(VoltageFlags(flags)),
            Err(_) => None, // most drivers do not know
        };
        Ok(Validity { has_time, voltage })
    }

    /// A parameter of the driver; `None` where it has none.
    ///
    /// # Errors
    /// [`RtcError`] when the device fails in another way.
    pub fn parameter(&self, parameter: Parameter) -> Result<Option<u64>, RtcError> {
        match self.device.parameter(parameter.number()) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::ENOTTY | Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(RtcError::system(Operation::RtcParameter, errno)),
        }
    }

    /// Sets a parameter of the driver.
    ///
    /// # Errors
    /// [`RtcError`] when the device refuses.
    pub fn set_parameter(&self, parameter: Parameter, value: u64) -> Result<(), RtcError> {
        self.device
            .set_parameter(parameter.number(), value)
            .map_err(|errno| RtcError::system(Operation::RtcSetParameter, errno))
    }

    /// The correction of the chip's rate in parts per billion, where the driver has one.
    ///
    /// # Errors
    /// As [`parameter`](Self::parameter).
    #[allow(clippy::cast_possible_wrap)] // the kernel passes a signed number through an unsigned field
    pub fn correction_ppb(&self) -> Result<Option<i64>, RtcError> {
        Ok(self.parameter(Parameter::Correction)?.map(|value| value as i64))
    }

    /// Forgets what the chip remembers about its supply, once the time has been set.
    ///
    /// # Errors
    /// [`RtcError`] when the device refuses.
    pub fn clear_voltage(&self) -> Result<(), RtcError> {
        self.device.clear_voltage().map_err(|errno| RtcError::system(Operation::RtcVoltage, errno))
    }

    fn wait_for_interrupt(&self, limit: Duration) -> Result<Option<Edge>, RtcError> {
        let deadline = monotonic(&self.kernel)? + limit;
        // After it was switched on: a second that begins in between is announced, and told apart by not having changed.
        let before = self.read()?;
        loop {
            let left = deadline.since(monotonic(&self.kernel)?);
            match self.device.wait(left) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(Errno::EINTR | Errno::EAGAIN) if !left.is_zero() => continue,
                Err(errno) => return Err(RtcError::system(Operation::RtcWait, errno)),
            }
            let (system, at) = read_at(&self.kernel, ClockId::Realtime)?;
            let rtc = self.read()?;
            if rtc != before {
                return Ok(Some(Edge { rtc, system, at, method: EdgeMethod::Interrupt }));
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    fn busy_wait(&self, limit: Duration) -> Result<Edge, RtcError> {
        let limit = limit.min(BUSY_LIMIT);
        let deadline = monotonic(&self.kernel)? + limit;
        let before = self.read()?;
        loop {
            let rtc = self.read()?;
            let (system, at) = read_at(&self.kernel, ClockId::Realtime)?;
            if rtc != before {
                return Ok(Edge { rtc, system, at, method: EdgeMethod::BusyWait });
            }
            if at >= deadline {
                return Err(RtcError::NoTick { limit });
            }
        }
    }
}
