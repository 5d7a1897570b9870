//! The constants of RFC 5905: where its text (figures 6 and 27), its skeleton (appendix A) and the daemons disagree, which
//! one is taken and why.
//!
//! | name | here | text | skeleton | ntpd | taken because |
//! |---|---|---|---|---|---|
//! | MINDISP | 0.005 s | 0.005 | 0.01 | 0.001 | the text is normative |
//! | MAXDISP | 16 s | 16 | 16 | 16 | all agree |
//! | MAXDIST | 1 s | 1 | 1 | 1.5 | text and skeleton agree |
//! | PHI | 15 ppm | 15e-6 | 15e-6 | 15e-6 | all agree |
//! | NSTAGE | 8 | 8 | 8 | 8 | all agree |
//! | NMIN | 3 | 3 | 3 | 3 | all agree |
//! | CMIN | 1 | 1 | 1 | 1 | all agree |
//! | SGATE | 3 | – | 3 | 3 | the only value |
//! | STEPT | 0.128 s | .125 | .128 | .128 | the figure misprints it ("125"), everyone runs .128 |
//! | WATCH | 900 s | 900 | 900 | 300 | text and skeleton agree |
//! | PANICT | 1000 s | 1000 | 1000 | 1000 | all agree |
//! | PLL | 16 | 16 | 65536 | 16 | 65536 is the square of the scaled gain of another unit: with it the loop is inert |
//! | FLL | 18 | – | MAXPOLL + 1 | – | the RFC's only value |
//! | AVG | 8 | 8 | 4 | 8 | the text is normative |
//! | ALLAN | 1500 s | – | 1500 | 2048 | the RFC's only value |
//! | LIMIT | 30 | 30 | 30 | 30 | all agree |
//! | PGATE | 4 | 4 | 4 | 4 | all agree |
//! | MAXFREQ | 500 ppm | 500 | 500 | 500 | all agree |

use core::time::Duration;

use ntp_types::{Frequency, NtpDuration};

/// PHI: how fast an error bound grows without measurement, 15 ppm.
pub const FREQUENCY_TOLERANCE: Frequency = Frequency::TOLERANCE;

/// MINDISP: least dispersion, 5 ms.
pub const MINIMUM_DISPERSION: NtpDuration = NtpDuration::from_nanos(5_000_000);

/// MAXDISP: dispersion of what is not known at all, 16 s.
pub const MAXIMUM_DISPERSION: NtpDuration = NtpDuration::from_seconds(16);

/// MAXDIST: root distance beyond which a source is not fit, 1 s.
pub const MAXIMUM_DISTANCE: NtpDuration = NtpDuration::SECOND;

/// NSTAGE: samples the clock filter holds.
pub const FILTER_STAGES: usize = 8;

/// SGATE: an offset that jumps by more jitters than this is a popcorn spike.
pub const SPIKE_GATE: f64 = 3.0;

/// CMIN: sources that must agree.
pub const MINIMUM_SOURCES: u32 = 1;

/// NMIN: the cluster algorithm keeps at least so many survivors.
pub const MINIMUM_SURVIVORS: usize = 3;

/// STEPT: offsets beyond it are steps, 128 ms.
pub const STEP_THRESHOLD: NtpDuration = NtpDuration::from_nanos(128_000_000);

/// WATCH: how long an offset beyond the step threshold must last, 900 s.
pub const STEPOUT: Duration = Duration::from_secs(900);

/// PANICT: offsets beyond it are refused, 1000 s.
pub const PANIC_THRESHOLD: NtpDuration = NtpDuration::from_seconds(1_000);

/// MAXFREQ: largest frequency correction, 500 ppm.
pub const MAXIMUM_FREQUENCY: Frequency = Frequency::from_ppm(500);

/// PLL: the phase is corrected by 1 / (PLL · poll interval) of the rest each second.
pub const PLL_GAIN: f64 = 16.0;

/// FLL: the FLL's averaging shrinks from FLL − poll exponent to AVG.
pub const FLL_GAIN: f64 = 18.0;

/// AVG: averaging constant of jitter, wander and FLL, in updates.
pub const AVERAGING: f64 = 8.0;

/// ALLAN: the Allan intercept in seconds, where frequency measurement begins to beat phase tracking.
pub const ALLAN_INTERCEPT: f64 = 1_500.0;

/// LIMIT: hysteresis of the poll adjustment.
pub const POLL_LIMIT: i32 = 30;

/// PGATE: offsets below so many jitters let the poll interval grow.
pub const POLL_GATE: f64 = 4.0;

/// HUFFPUFF: one slot of the huff-n'-puff filter, 900 s (ntpd; not in the RFC).
pub const HUFFPUFF_SLOT: Duration = Duration::from_secs(900);
