//! What the kernel is told of the machine's clock beside rate and steps: how far it can be trusted, and the leap second to
//! come.
//!
//! Whoever asks the kernel then knows, and while the clock is synchronised the kernel keeps the hardware clock right by
//! itself, every eleven minutes.

use std::time::Duration;

use ntp_clock::Adjustment;
use ntp_discipline::leap::{LeapAction, LeapArm};
use ntp_discipline::{Status, SystemEstimate};
use ntp_types::{Instant, LeapIndicator, UnixTime};

/// Meanwhile the kernel's maximum error grows by itself, by 500 ppm.
const EVERY: Duration = Duration::from_secs(64);
/// From here on the kernel takes a clock for unsynchronised.
const MAX_ERROR: Duration = Duration::from_secs(16);

/// What the kernel was told last.
#[derive(Debug, Default)]
pub struct KernelBooks {
    leap: LeapArm,
    told: Option<(Status, Instant)>,
}

impl KernelBooks {
    /// The clock was stepped, whereupon the kernel forgets.
    pub fn handle_step(&mut self) {
        self.told = None;
    }

    /// What to tell the kernel, when the clock shows `time` and `estimate` is known of it; and what there is to say of a leap
    /// second.
    pub fn handle_estimate(
        &mut self,
        estimate: &SystemEstimate,
        time: UnixTime,
        now: Instant,
    ) -> (Option<Adjustment>, Option<LeapAction>) {
        let action = self.leap.handle_warning(estimate.leap, time);
        let is_known = self.told.is_some_and(|(status, at)| status == estimate.status && now.since(at) < EVERY);
        if is_known && action.is_none() {
            return (None, None);
        }
        self.told = Some((estimate.status, now));
        let bound = estimate.bound.to_std().unwrap_or(MAX_ERROR);
        let armed = self.leap.armed().map_or(LeapIndicator::NoWarning, |(leap, _)| leap);
        let adjustment = Adjustment::new()
            .max_error(bound)
            .estimated_error(estimate.jitter.to_std().unwrap_or(MAX_ERROR))
            .leap(armed)
            .synchronized(estimate.status != Status::Unsynchronized && bound < MAX_ERROR)
            .clamped();
        (Some(adjustment), action)
    }
}

#[cfg(test)]
mod tests {
    use ntp_clock::StatusFlags;
    use ntp_types::NtpDuration;

    use super::*;

    fn estimate(status: Status, leap: LeapIndicator) -> SystemEstimate {
        let mut estimate = SystemEstimate::default();
        (estimate.status, estimate.leap, estimate.bound) = (status, leap, NtpDuration::from_nanos(2_000_000));
        estimate
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn flags(adjustment: Option<Adjustment>) -> StatusFlags {
        StatusFlags::from_bits(adjustment.unwrap().build().unwrap().status)
    }

    #[test]
    fn the_kernel_is_told_of_changes_and_now_and_then() {
        let mut books = KernelBooks::default();
        let noon: UnixTime = "2026-11-28T12:00:00Z".parse().unwrap();
        let synchronized = estimate(Status::Synchronized, LeapIndicator::NoWarning);
        let unknown = estimate(Status::Unsynchronized, LeapIndicator::Unsynchronized);
        assert!(flags(books.handle_estimate(&unknown, noon, at(0)).0).contains(StatusFlags::UNSYNCHRONIZED));
        let (told, _) = books.handle_estimate(&synchronized, noon, at(1));
        assert_eq!(told.unwrap().build().unwrap().maxerror, 2_000);
        assert_eq!(flags(told), StatusFlags::NONE);
        assert_eq!(books.handle_estimate(&synchronized, noon, at(2)), (None, None));
        assert!(books.handle_estimate(&synchronized, noon, at(66)).0.is_some());
        books.handle_step();
        assert!(books.handle_estimate(&synchronized, noon, at(67)).0.is_some());
        let mut wide = synchronized;
        wide.bound = NtpDuration::MAX;
        books.handle_step();
        assert!(flags(books.handle_estimate(&wide, noon, at(68)).0).contains(StatusFlags::UNSYNCHRONIZED));
    }

    #[test]
    fn a_leap_second_is_armed_once_and_cleared_when_it_is_over() {
        let mut books = KernelBooks::default();
        let warned = estimate(Status::Synchronized, LeapIndicator::InsertSecond);
        let day_before: UnixTime = "2026-12-30T23:00:00Z".parse().unwrap();
        let (told, action) = books.handle_estimate(&warned, day_before, at(0));
        assert_eq!((flags(told), action), (StatusFlags::NONE, None), "not the last day");
        let (told, action) = books.handle_estimate(&warned, "2026-12-31T00:00:00Z".parse().unwrap(), at(3_600));
        assert_eq!(flags(told), StatusFlags::INSERT);
        assert!(matches!(action, Some(LeapAction::Arm { leap: LeapIndicator::InsertSecond, .. })));
        let (told, action) = books.handle_estimate(&warned, "2026-12-31T00:01:40Z".parse().unwrap(), at(3_700));
        assert_eq!((flags(told), action), (StatusFlags::INSERT, None), "said again, armed once");
        let (told, action) = books.handle_estimate(&warned, "2027-01-01T00:00:00Z".parse().unwrap(), at(90_001));
        assert_eq!(flags(told), StatusFlags::NONE);
        assert_eq!(action, Some(LeapAction::Passed { leap: LeapIndicator::InsertSecond }));
    }
}
