//! What the engine says of its sources and of the clock.

use ntp_types::{Instant, LeapIndicator, NtpDuration, Stratum};

use super::constants::FREQUENCY_TOLERANCE;
use super::engine::Engine;
use super::source::Source;
use crate::engine::{SourceEstimate, Status, SystemEstimate};

/// Polls without an update after which the clock counts as in holdover: twice as many as the filter can hold one back.
const FRESH_POLLS: u32 = 16;

impl Engine {
    pub(super) fn describe_source(&self, sources: &[Source], index: usize, now: Instant) -> SourceEstimate {
        let Some(source) = sources.get(index) else { return SourceEstimate::default() };
        let Some(options) = source.options else { return SourceEstimate::default() };
        let mut estimate = SourceEstimate {
            verdict: source.verdict(),
            samples: u32::try_from(source.filter().samples()).unwrap_or(u32::MAX),
            last: source.last,
            poll: self.advice(&options),
            root_distance: NtpDuration::MAX,
            bound: NtpDuration::MAX,
            ..SourceEstimate::default()
        };
        if let (Some(used), Some(root_distance)) = (source.used(), source.root_distance(now)) {
            let aged = FREQUENCY_TOLERANCE.over(now.since(used.at));
            estimate.offset = used.offset - self.ledger.slewed(now);
            estimate.delay = used.delay;
            estimate.jitter = used.jitter;
            estimate.bound = used.dispersion + aged + used.delay.half();
            estimate.root_distance = root_distance;
        }
        estimate
    }

    pub(super) fn describe_system(&self, now: Instant) -> SystemEstimate {
        let mut loop_now = self.discipline;
        if let Some(plan) = &self.plan {
            loop_now.paid(self.ledger.slewed(now) - plan.settled);
        }
        let unsynchronized = SystemEstimate {
            status: Status::Unsynchronized,
            leap: LeapIndicator::Unsynchronized,
            stratum: Stratum::UNSYNCHRONIZED,
            offset: loop_now.residual(),
            frequency: self.discipline.frequency(),
            bound: NtpDuration::MAX,
            root_dispersion: NtpDuration::MAX,
            jitter: self.discipline.jitter(),
            wander: self.discipline.wander(),
            system_peer: self.peer,
            survivors: self.survivors,
            updated: self.variables.map(|variables| variables.updated),
            poll: self.discipline.poll(),
            ..SystemEstimate::default()
        };
        let Some(variables) = &self.variables else { return unsynchronized };
        let aged = FREQUENCY_TOLERANCE.over(now.since(variables.updated));
        let root_dispersion = variables.root_dispersion + aged;
        let distance = variables.root_delay.half() + root_dispersion;
        let known = SystemEstimate {
            bound: distance + loop_now.residual().abs(),
            root_delay: variables.root_delay,
            root_dispersion,
            jitter: variables.jitter,
            peer_reference: variables.reference,
            ..unsynchronized
        };
        match self.status(distance, variables.updated, now) {
            Status::Unsynchronized => known,
            status => SystemEstimate { status, leap: self.leap, stratum: variables.stratum, ..known },
        }
    }

    fn status(&self, distance: NtpDuration, updated: Instant, now: Instant) -> Status {
        let policy = self.governor.policy();
        let age = now.since(updated);
        let fresh = self.discipline.poll().interval().saturating_mul(FRESH_POLLS);
        if age > policy.maximum_holdover || distance > policy.maximum_distance {
            Status::Unsynchronized
        } else if self.peer.is_none() || age > fresh {
            Status::Holdover
        } else {
            Status::Synchronized
        }
    }
}
