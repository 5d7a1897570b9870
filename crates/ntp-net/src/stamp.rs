//! The moment of a datagram and who read it.

use std::fmt;
use std::time::SystemTime;

use ntp_types::{NtpTimestamp, UnixTime};

/// Who took a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StampKind {
    /// The network interface, by **its own** clock (the PHC), which may be far from the system's.
    Hardware,
    /// The kernel, by the system clock, when the datagram passed it.
    Kernel,
    /// User space, by the system clock, after waking up: later than the truth by tens of microseconds and more.
    User,
}

/// A moment and who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The moment, by the clock that [`kind`](Self::kind) names.
    pub time: NtpTimestamp,
    /// Who read it.
    pub kind: StampKind,
}

impl Stamp {
    /// The system clock (`CLOCK_REALTIME`) as it stands: what user space can do.
    #[must_use]
    #[inline]
    pub fn user_now() -> Self {
        Self { time: system_time(), kind: StampKind::User }
    }
}

/// The system clock as it stands.
#[inline]
pub(crate) fn system_time() -> NtpTimestamp {
    let now = SystemTime::now();
    // A date after 1970 has the two numbers ready; before it the conversion goes the long way.
    let time = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| UnixTime::new(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos()));
    NtpTimestamp::from_unix(time.unwrap_or_else(|| now.into()))
}

/// `hardware`, `kernel` or `user`.
impl fmt::Display for StampKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hardware => "hardware",
            Self::Kernel => "kernel",
            Self::User => "user",
        })
    }
}
