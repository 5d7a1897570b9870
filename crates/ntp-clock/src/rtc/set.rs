//! Setting at the moment that makes the next second begin when it should, and looking whether it did.

use core::time::Duration;

use ntp_types::{NtpDuration, UnixTime};

use crate::kernel::{ClockId, Kernel};
use crate::rtc::zone::moved;
use crate::rtc::{Edge, Rtc, RtcDevice, RtcError, RtcTime};
use crate::{ClockError, Operation};

/// How to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct SetOptions {
    /// How far into a second that second is written, so that the chip lets the next begin in time. `None`: by the driver, 0.5 s
    /// for `rtc_cmos` and where the driver is not known, 0 for others; a verified attempt that shows it wrong is repeated with
    /// what it showed.
    pub delay: Option<Duration>,
    /// Whether to look at the next edge. Takes up to a second; some more where the first attempt was not good, ten at most.
    pub verify: bool,
    /// What counts as good.
    pub tolerance: Duration,
}

impl Default for SetOptions {
    /// By the driver, verified, 20 ms.
    fn default() -> Self {
        Self { delay: None, verify: true, tolerance: Duration::from_millis(20) }
    }
}

/// What setting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct SetOutcome {
    /// The second that was written, in the scale the chip keeps.
    pub written: UnixTime,
    /// When, by the system clock.
    pub at: UnixTime,
    /// How often it was written.
    pub attempts: u32,
    /// How far the clock is ahead of what it should show, measured at its edge; `None` when that was not looked at.
    pub error: Option<NtpDuration>,
    /// The chip goes on with its own beat when it is set: the error, half a second at most, cannot be written away, only
    /// remembered.
    pub keeps_phase: bool,
}

/// The MC146818's divider is reset when it is set, and lets the next second begin half a second later.
///
/// Not with AMD's and Hygon's, whose register A has another meaning for that bit: since 5.18 Linux leaves it alone there
/// (`apply_amd_register_a_behavior`). Nothing else in Linux touches the divider but setting: alarms, interrupts and suspending go
/// to registers B and C, `/dev/nvram` begins behind both, and the driver's start writes register A as it is. So the beat stays.
const CMOS_DELAY: Duration = Duration::from_millis(500);
/// Later than this after the moment, times the number of attempts, it is not written but waited for the next one.
const LATE: Duration = Duration::from_millis(5);
/// Below this the moment is waited for without sleeping.
const SPIN: Duration = Duration::from_millis(10);
const MAX_ATTEMPTS: u32 = 10;
const EDGE_LIMIT: Duration = Duration::from_secs(3);
/// Two edges as close as this, in nanoseconds, were not noticed late by chance.
const AGREE: i128 = 2_000_000;
const SECOND: i128 = 1_000_000_000;

impl<D: RtcDevice, K: Kernel> Rtc<D, K> {
    /// Sets the clock ahead of the system clock by `ahead_nanos`: its time zone where it keeps local time, and what the
    /// system clock is known to be wrong by.
    ///
    /// # Errors
    /// [`RtcError`] when the device refuses, cannot hold the date, or the machine never hits the moment.
    pub fn set(&self, ahead_nanos: i128, options: &SetOptions) -> Result<SetOutcome, RtcError> {
        let usual = i128::from(options.delay.unwrap_or_else(|| self.usual_delay()).subsec_nanos());
        let mut outcome = self.write_at_moment(ahead_nanos, usual)?;
        let Some(first) = self.verify(&mut outcome, ahead_nanos, options) else { return Ok(outcome) };
        // So as the chip was seen to take it: either it works, or the beat proves to be the chip's own.
        let seen = delay_of(&outcome, &first);
        let mut outcome = self.write_again(&outcome, ahead_nanos, seen)?;
        let Some(second) = self.verify(&mut outcome, ahead_nanos, options) else { return Ok(outcome) };
        outcome.keeps_phase = has_same_phase(&first, &second, options.tolerance.saturating_mul(2));
        if outcome.error.is_some_and(|error| error.unsigned_abs() <= CMOS_DELAY) {
            return Ok(outcome);
        }
        // The nearest second to such a beat is the one that is written half-way between two of the system's.
        let keeps_phase = outcome.keeps_phase;
        let mut outcome = self.write_again(&outcome, ahead_nanos, if keeps_phase { SECOND / 2 } else { usual })?;
        outcome.keeps_phase = self.verify(&mut outcome, ahead_nanos, options).is_some() && keeps_phase;
        Ok(outcome)
    }

    fn write_again(&self, before: &SetOutcome, ahead_nanos: i128, delay: i128) -> Result<SetOutcome, RtcError> {
        let outcome = self.write_at_moment(ahead_nanos, delay)?;
        Ok(SetOutcome { attempts: before.attempts + outcome.attempts, ..outcome })
    }

    /// Notes how far it is off; gives back the edge where that is too far, and nothing where it is good or cannot be told.
    fn verify(&self, outcome: &mut SetOutcome, ahead_nanos: i128, options: &SetOptions) -> Option<Edge> {
        if !options.verify {
            return None;
        }
        let edge = self.edge_after_setting(ahead_nanos)?;
        outcome.error = Some(error_of(&edge, ahead_nanos));
        Some(edge).filter(|_| !is_within(outcome.error, options.tolerance))
    }

    /// The best of up to three edges, until one is good beyond doubt or two agree. `None` when the clock does not say.
    fn edge_after_setting(&self, ahead_nanos: i128) -> Option<Edge> {
        let mut best: Option<Edge> = None;
        for _ in 0..3 {
            let Ok(edge) = self.read_at_edge(EDGE_LIMIT) else { break };
            let before = best;
            // Noticed late, the hardware clock looks behind: never ahead.
            if best.map_or(true, |best| edge.ahead_nanos() > best.ahead_nanos()) {
                best = Some(edge);
            }
            let agree = |before: Edge| (edge.ahead_nanos() - before.ahead_nanos()).abs() < AGREE;
            if error_of(&edge, ahead_nanos).abs() < NtpDuration::from_nanos(5_000_000) || before.is_some_and(agree) {
                break;
            }
        }
        best
    }

    /// Writes a second `delay` nanoseconds after it began.
    fn write_at_moment(&self, ahead_nanos: i128, delay: i128) -> Result<SetOutcome, RtcError> {
        let mut late = Duration::ZERO;
        for attempt in 1..=MAX_ATTEMPTS {
            let now = self.wanted_time(ahead_nanos)?;
            // The second W is written at W + delay, so that W + 1 begins at W + 1.
            let wait = (delay - now.to_nanos()).rem_euclid(SECOND);
            let second = UnixTime::from_seconds(moved(now, wait - delay).seconds());
            let moment = moved(second, delay);
            let time = RtcTime::from_unix(second)?;
            let limit = LATE.saturating_mul(attempt);
            late = self.wait_until(moment, ahead_nanos)?;
            if late > limit {
                continue;
            }
            let at = self.system_time()?;
            self.device.set_time(&time).map_err(|errno| RtcError::system(Operation::RtcSet, errno))?;
            let done = self.wanted_time(ahead_nanos)?.to_nanos() - moment.to_nanos();
            late = Duration::from_nanos(u64::try_from(done).unwrap_or(0));
            if late <= limit.saturating_mul(2) || attempt == MAX_ATTEMPTS {
                return Ok(SetOutcome { written: second, at, attempts: attempt, error: None, keeps_phase: false });
            }
        }
        Err(RtcError::TooBusy { attempts: MAX_ATTEMPTS, late })
    }

    fn usual_delay(&self) -> Duration {
        match self.driver() {
            Some("rtc_cmos") | None => CMOS_DELAY,
            Some(_) => Duration::ZERO,
        }
    }

    fn system_time(&self) -> Result<UnixTime, RtcError> {
        Ok(self.kernel.clock_gettime(ClockId::Realtime).map_err(|errno| ClockError::system(Operation::Read, errno))?)
    }

    /// What the hardware clock should show now.
    fn wanted_time(&self, ahead_nanos: i128) -> Result<UnixTime, RtcError> {
        Ok(moved(self.system_time()?, ahead_nanos))
    }

    /// Sleeps until shortly before `moment`, then watches the clock; returns how late it is.
    fn wait_until(&self, moment: UnixTime, ahead_nanos: i128) -> Result<Duration, RtcError> {
        loop {
            let left = moment.to_nanos() - self.wanted_time(ahead_nanos)?.to_nanos();
            if left <= 0 {
                return Ok(Duration::from_nanos(u64::try_from(-left).unwrap_or(u64::MAX)));
            }
            // A second at most, whatever becomes of the clock meanwhile.
            let left = Duration::from_nanos(u64::try_from(left.min(SECOND)).unwrap_or(0));
            if left > SPIN {
                // Half of it at a time: a machine's timer may run late in proportion.
                self.kernel.sleep(left / 2);
            }
        }
    }
}

/// How far the clock is ahead of what it should show.
fn error_of(edge: &Edge, ahead_nanos: i128) -> NtpDuration {
    let nanos = edge.ahead_nanos() - ahead_nanos;
    NtpDuration::from_nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

fn is_within(error: Option<NtpDuration>, tolerance: Duration) -> bool {
    error.is_some_and(|error| error.unsigned_abs() <= tolerance)
}

/// How far into a second it is to be written by a chip that let the next one begin at `edge`, in nanoseconds.
fn delay_of(set: &SetOutcome, edge: &Edge) -> i128 {
    let counted = edge.rtc.to_nanos() - set.written.to_nanos();
    counted - (edge.system.to_nanos() - set.at.to_nanos())
}

/// Whether two edges lie at the same place in the system clock's second.
fn has_same_phase(first: &Edge, second: &Edge, tolerance: Duration) -> bool {
    let apart = (second.system.to_nanos() - first.system.to_nanos()).rem_euclid(SECOND);
    let apart = apart.min(SECOND - apart);
    u128::try_from(apart).is_ok_and(|apart| apart <= tolerance.as_nanos())
}
