//! The machine's clocks: what they say, and how they are set right.
//!
//! | type | clock | read | step | steer |
//! |---|---|---|---|---|
//! | [`SystemClock`] | the kernel's `CLOCK_REALTIME` | [`SystemClock::status`]: everything in one unprivileged call | ✓ | ✓, slews that end |
//! | [`Realtime`] | the same, only read | ✓ | | |
//! | [`PhcClock`] | a PTP hardware clock, `/dev/ptp0` | ✓ | ✓ | ✓ |
//! | [`SoftwareClock`] | exact integer maths over another clock; touches nothing | ✓ | ✓ | ✓ |
//! | [`ManualClock`] | stands until it is moved, for tests | ✓ | | |
//! | [`DriftFile`], [`LastTime`] | what is kept while the machine is off | | | |
//! | [`rtc`] | the battery clock, `/etc/adjtime`, boot and shutdown | | | |
//!
//! Three small traits by capability: [`ReadClock`], [`StepClock`], [`SteerClock`]; [`Sleep`] says that the machine has
//! slept. A steered clock takes a [`ClockCommand`](ntp_types::ClockCommand) and gives back
//! [`Applied`](ntp_types::Applied): what was really done, as the kernel rounded it. An [`Adjustment`] compiles to exactly
//! one `timex`, without a system call, and refuses what the kernel would silently clamp. Every system call goes through the
//! [`kernel`] table, so that each failure can be brought about in a test.
//!
//! ```
//! use ntp_clock::{ManualClock, SoftwareClock, SteerClock};
//! use ntp_types::{ClockCommand, Frequency, NtpDuration, NtpTimestamp};
//! use std::time::Duration;
//!
//! // A clock that starts 0.35 s ahead and runs 50 ppm fast, over a base that only tests move.
//! let base = ManualClock::new(NtpTimestamp::new(3_900_000_000, 0));
//! let mut clock = SoftwareClock::new(base)
//!     .with_offset(NtpDuration::from_nanos(350_000_000))
//!     .with_frequency_error(Frequency::from_ppm(50));
//!
//! // Take out the offset in ten seconds, and the frequency for good.
//! let applied = clock.apply(&ClockCommand::Slew {
//!     offset: NtpDuration::from_nanos(-350_000_000),
//!     duration: Duration::from_secs(10),
//!     frequency: Frequency::from_ppm(-50),
//! })?;
//! assert_eq!(applied.slew_rate.to_string(), "-35000.000 ppm");
//! clock.base_mut().advance(Duration::from_secs(3600));
//! assert!(clock.offset_from_base()?.abs() < NtpDuration::from_nanos(2));
//! # Ok::<(), ntp_clock::ClockError>(())
//! ```
//!
//! Without privilege, what the kernel thinks of its clock:
//!
//! ```no_run
//! let status = ntp_clock::SystemClock::new().status()?;
//! println!("{} ± {:?}, {}", status.time, status.max_error.unsigned_abs(), status.leap);
//! # Ok::<(), ntp_clock::ClockError>(())
//! ```
//!
//! Who says by how much is `ntp-discipline`; the loop around both is `examples/follow.rs` of `ntp-client`.
//!
//! Linux by hand on `libc`; elsewhere everything compiles, reading works through `std`, and the rest returns
//! [`ClockError::Unsupported`]. Unsafe code stands in `src/linux/sys.rs` alone.

#![deny(unsafe_code)]

mod adjustment;
mod drift;
mod error;
pub mod kernel;
mod last_time;
#[cfg(target_os = "linux")]
mod linux;
mod manual;
#[cfg(any(test, not(target_os = "linux")))]
mod other;
#[cfg(unix)]
mod phc;
mod reading;
pub mod rescue;
pub mod rtc;
mod sample;
mod slew;
mod software;
mod status;
mod steer;
mod system;

pub use adjustment::Adjustment;
pub use drift::{DriftError, DriftFile};
pub use error::{ClockError, Errno, FileError, Operation, OutOfRange};
pub use last_time::{restored, LastTime, NotATime};
pub use manual::ManualClock;
#[cfg(unix)]
pub use phc::PhcClock;
pub use reading::{ReadClock, Reading, Sleep, SteerClock, StepClock};
pub use slew::SlewPolicy;
pub use software::SoftwareClock;
pub use status::{ClockStatus, LeapState, PpsStatus, StatusFlags};
pub use system::{Adjusted, Realtime, SystemClock};
