//! What can go wrong at a clock: the operation, the system's reason, and what helps.

use core::fmt;
use std::path::PathBuf;

use atomic_file::AtomicError;

/// What was being done when the system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Reading a clock (`clock_gettime`).
    Read,
    /// Setting a clock to a time (`clock_settime`).
    Set,
    /// Reading the kernel's clock status (`clock_adjtime` without modes).
    Status,
    /// Stepping a clock (`clock_adjtime`, `ADJ_SETOFFSET`).
    Step,
    /// Setting a clock's rate (`clock_adjtime`, `ADJ_FREQUENCY` and `ADJ_TICK`).
    Steer,
    /// Taking the clock over from whatever steered it before (`clock_adjtime`).
    TakeOver,
    /// Starting the kernel's own slew (`clock_adjtime`, `ADJ_OFFSET_SINGLESHOT`).
    SelfEndingSlew,
    /// Changing the kernel's clock parameters (`clock_adjtime`, anything else).
    Adjust,
    /// Telling the kernel the time zone (`settimeofday`).
    TimeZone,
    /// Setting up what restores the clock after the process (`sigaction`, `fork`).
    Rescue,
    /// Opening a device.
    Open,
    /// Reading a PTP clock's capabilities (`PTP_CLOCK_GETCAPS`).
    PtpCapabilities,
    /// Reading the hardware clock (`RTC_RD_TIME`).
    RtcRead,
    /// Setting the hardware clock (`RTC_SET_TIME`).
    RtcSet,
    /// Switching the hardware clock's update interrupt (`RTC_UIE_ON`, `RTC_UIE_OFF`).
    RtcUpdateInterrupt,
    /// Waiting for the hardware clock's next second (`poll`, `read`).
    RtcWait,
    /// Reading a parameter of the hardware clock (`RTC_PARAM_GET`).
    RtcParameter,
    /// Setting a parameter of the hardware clock (`RTC_PARAM_SET`).
    RtcSetParameter,
    /// Reading or clearing the hardware clock's battery state (`RTC_VL_READ`, `RTC_VL_CLR`).
    RtcVoltage,
}

impl Operation {
    const fn words(self) -> &'static str {
        match self {
            Self::Read => "reading the clock",
            Self::Set => "setting the clock",
            Self::Status => "reading the kernel's clock status",
            Self::Step => "stepping the clock",
            Self::Steer => "setting the clock's rate",
            Self::TakeOver => "taking the clock over",
            Self::SelfEndingSlew => "slewing the clock",
            Self::Adjust => "changing the kernel's clock parameters",
            Self::TimeZone => "telling the kernel the time zone",
            Self::Rescue => "setting up the clock's rescue",
            Self::Open => "opening the device",
            Self::PtpCapabilities => "reading the PTP clock's capabilities",
            Self::RtcRead => "reading the hardware clock",
            Self::RtcSet => "setting the hardware clock",
            Self::RtcUpdateInterrupt => "switching the hardware clock's update interrupt",
            Self::RtcWait => "waiting for the hardware clock's next second",
            Self::RtcParameter => "reading a parameter of the hardware clock",
            Self::RtcSetParameter => "setting a parameter of the hardware clock",
            Self::RtcVoltage => "reading the hardware clock's battery state",
        }
    }

    /// Whether the operation changes the machine's clock, for which the kernel wants `CAP_SYS_TIME`.
    const fn needs_privilege(self) -> bool {
        !matches!(
            self,
            Self::Read
                | Self::Status
                | Self::Rescue
                | Self::Open
                | Self::PtpCapabilities
                | Self::RtcRead
                | Self::RtcWait
                | Self::RtcParameter
                | Self::RtcVoltage
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The system's number for a failure; every value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident),* $(,)?) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Self = Self(libc::$name);)*

            /// The symbolic name, where it is one that clock calls return.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $(libc::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos!(
    EPERM, ENOENT, EINTR, EIO, ENXIO, EBADF, EAGAIN, ENOMEM, EACCES, EFAULT, EBUSY, ENODEV, EINVAL, ENFILE, EMFILE,
    ENOTTY, EROFS, ERANGE, ENOSYS, EOVERFLOW, EOPNOTSUPP, ETIMEDOUT,
);

/// `Operation not permitted (EPERM)`.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        let words = text.split(" (os error").next().unwrap_or_default();
        match self.name() {
            Some(name) => write!(f, "{words} ({name})"),
            None => write!(f, "{words} (errno {})", self.0),
        }
    }
}

/// A value was asked for that the kernel would refuse, or silently clamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{quantity} {asked} {unit} is not between {min} and {max} {unit}")]
pub struct OutOfRange {
    /// Which quantity.
    pub quantity: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What was asked for.
    pub asked: i64,
    /// The least that is allowed.
    pub min: i64,
    /// The most that is allowed.
    pub max: i64,
}

/// A clock could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// The system refused.
    #[error("{operation}: {errno}{}", hint_text(*operation, *errno))]
    System {
        /// What was being done.
        operation: Operation,
        /// The system's reason.
        errno: Errno,
    },
    /// A value lies outside what the clock can do; nothing was changed.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The kernel takes "synchronised" back at the next second unless it is told a maximum error with it.
    #[error("declaring the clock synchronised needs a maximum error below 16 s beside it")]
    NoMaxError,
    /// Killed, the first process of a PID namespace takes every other one with it, and who was to set the clock back. Source:
    /// pid_namespaces(7).
    #[error("the first process of a container cannot leave a guard behind; started by another one it can")]
    NoGuard,
    /// This platform has no way to do it.
    #[error("{operation} is not supported on this platform")]
    Unsupported {
        /// What was being done.
        operation: Operation,
    },
}

impl ClockError {
    /// The error of an operation that failed with `errno`.
    #[must_use]
    pub const fn system(operation: Operation, errno: Errno) -> Self {
        if cfg!(not(target_os = "linux")) && errno.0 == libc::ENOSYS {
            return Self::Unsupported { operation };
        }
        Self::System { operation, errno }
    }

    /// The system's number, when it was the system that refused.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::System { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// What helps, where that is known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::System { operation, errno } => hint(*operation, *errno),
            _ => None,
        }
    }

    /// Whether a privilege is what is missing.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EACCES))
    }
}

/// A file that keeps something about a clock could not be read, understood or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError<E> {
    /// Its date could not be read or set.
    #[error("{}: {error}", path.display())]
    Date {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// It holds something else than it should.
    #[error("{}: {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: E,
    },
    /// It could not be read whole or replaced.
    #[error(transparent)]
    File(AtomicError),
}

impl<E> From<AtomicError> for FileError<E> {
    fn from(error: AtomicError) -> Self {
        Self::File(error)
    }
}

const fn hint(operation: Operation, errno: Errno) -> Option<&'static str> {
    match errno.0 {
        libc::EPERM | libc::EACCES if operation.needs_privilege() => {
            Some("it needs the capability CAP_SYS_TIME (root outside a container); for a device, write permission")
        }
        libc::EACCES if matches!(operation, Operation::Open) => Some("it needs permission on the device file"),
        libc::EBUSY if matches!(operation, Operation::Open) => Some("another program has the device open"),
        libc::EINVAL if matches!(operation, Operation::RtcRead) => Some("the hardware clock has lost its time"),
        libc::ENOSYS => Some("a sandbox may be blocking the system call"),
        _ => None,
    }
}

fn hint_text(operation: Operation, errno: Errno) -> String {
    hint(operation, errno).map_or_else(String::new, |text| format!("; {text}"))
}
