//! A PTP hardware clock: the one in a network card, or a hypervisor's.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use ntp_types::{Applied, ClockCommand, Frequency, Instant, NtpDuration};

use crate::kernel::{ClockId, Host, Kernel, PtpCapabilities};
use crate::sample::suspended;
use crate::steer::{Range, Steered};
use crate::{ClockError, Errno, Operation, ReadClock, Reading, SlewPolicy, SteerClock, StepClock};

/// A PTP hardware clock behind `/dev/ptpN`, which it owns: dropping it closes the device.
///
/// Its range is the device's, not the kernel clock's ±500 ppm. Changing it needs write permission on the device, not
/// `CAP_SYS_TIME`. Mind the scale: most such clocks count TAI, and a reading here is what the device says.
#[derive(Debug)]
pub struct PhcClock<K: Kernel = Host> {
    steered: Steered<K>,
    capabilities: PtpCapabilities,
    // After `steered`: a slew is taken back before the device is closed.
    _device: Option<File>,
}

impl PhcClock {
    /// Opens the device, for steering where that is permitted, else only for reading.
    ///
    /// # Errors
    /// [`ClockError`] when it cannot be opened or is no PTP clock.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ClockError> {
        let path = path.as_ref();
        let device =
            OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path)).map_err(|error| {
                let errno = Errno(error.raw_os_error().unwrap_or(Errno::EIO.0));
                ClockError::system(Operation::Open, errno)
            })?;
        let mut clock = Self::with_kernel(Host, device.as_raw_fd())?;
        clock._device = Some(device);
        Ok(clock)
    }
}

impl<K: Kernel> PhcClock<K> {
    /// A clock behind another table of system calls, where its descriptor is `fd`.
    ///
    /// # Errors
    /// [`ClockError`] when it does not tell its capabilities.
    pub fn with_kernel(kernel: K, fd: i32) -> Result<Self, ClockError> {
        let capabilities =
            kernel.ptp_capabilities(fd).map_err(|errno| ClockError::system(Operation::PtpCapabilities, errno))?;
        let range = Range::Device { max_ppb: i64::from(capabilities.max_frequency_ppb.max(0)) };
        Ok(Self { steered: Steered::new(kernel, ClockId::Descriptor(fd), range), capabilities, _device: None })
    }

    /// With other bounds for slews; the device's own hold beside them.
    #[must_use]
    pub fn with_policy(mut self, policy: SlewPolicy) -> Self {
        self.steered.policy = policy;
        self
    }

    /// What the device can do.
    #[must_use]
    pub const fn capabilities(&self) -> PtpCapabilities {
        self.capabilities
    }

    /// The rate at which the clock would run away if this process vanished now: zero unless it is slewing.
    #[must_use]
    pub fn residue(&self) -> Frequency {
        self.steered.residue()
    }
}

impl<K: Kernel> ReadClock for PhcClock<K> {
    fn read(&self) -> Result<Reading, ClockError> {
        self.steered.read()
    }

    fn suspended(&self) -> Option<Duration> {
        suspended(&self.steered.kernel)
    }
}

impl<K: Kernel> StepClock for PhcClock<K> {
    fn step(&mut self, offset: NtpDuration) -> Result<Applied, ClockError> {
        self.steered.step(offset)
    }
}

impl<K: Kernel> SteerClock for PhcClock<K> {
    fn apply(&mut self, command: &ClockCommand) -> Result<Applied, ClockError> {
        self.steered.apply(command)
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.steered.next_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        self.steered.handle_timeout(now)
    }
}
