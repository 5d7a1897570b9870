//! The constants of RFC 5905, and where its text, its skeleton and the daemons disagree, which is taken and why.

use core::time::Duration;

use ntp_types::{Frequency, NtpDuration};

/// PHI: how fast an error bound grows without measurement, 15 ppm. (Skeleton and text agree.)
pub const FREQUENCY_TOLERANCE: Frequency = Frequency::from_ppm(15);

/// STEPT: offsets beyond it are steps, 128 ms. The text prints 125 (of nothing), the skeleton and every daemon .128.
pub const STEP_THRESHOLD: NtpDuration = NtpDuration::from_nanos(128_000_000);

/// WATCH: stepout threshold, 900 s in text and skeleton (later daemons shortened it to 300 s).
pub const STEPOUT: Duration = Duration::from_secs(900);

/// PANICT: panic threshold, 1000 s.
pub const PANIC_THRESHOLD: NtpDuration = NtpDuration::from_seconds(1_000);

/// MAXFREQ: frequency tolerance of the local clock, 500 ppm.
pub const MAXIMUM_FREQUENCY: Frequency = Frequency::from_ppm(500);

/// MAXDIST: distance threshold, 1 s (ntpd's default is 1.5 s).
pub const MAXIMUM_DISTANCE: NtpDuration = NtpDuration::SECOND;

/// CMIN: sources that must agree, 1.
pub const MINIMUM_SOURCES: u32 = 1;
