//! What the engine says of its sources and of the clock.

use ntp_types::{Frequency, Instant, LeapIndicator, NtpDuration, Stratum};

use crate::engine::{SourceEstimate, Status, SystemEstimate};
use crate::rfc5905::constants::FREQUENCY_TOLERANCE;
use crate::sample::ServerState;
use crate::verdict::Verdict;

use super::engine::Engine;
use super::source::Source;
use super::voters::smeared;

/// Deviations in a bound.
const BOUND: f64 = 3.0;

impl<const N: usize> Engine<N> {
    pub(super) fn describe_source(&self, sources: &[Source], index: usize, now: Instant) -> SourceEstimate {
        let mut described = SourceEstimate::default();
        let Some(source) = sources.get(index).filter(|source| source.options.is_some()) else { return described };
        described.verdict = self.verdict(sources, index, source, now);
        described.poll = source.planner.poll();
        described.samples = source.samples;
        let Some(last) = source.last else { return described };
        let estimate = source.estimate(now);
        let statistical = BOUND * libm::sqrt(estimate.xx);
        described.offset = NtpDuration::from_seconds_f64(estimate.offset) - self.corrected(now);
        described.delay = NtpDuration::from_seconds_f64(source.path.base());
        described.jitter = NtpDuration::from_seconds_f64(source.path.spread());
        described.bound = NtpDuration::from_seconds_f64(statistical + 0.5 * source.path.base());
        described.root_distance = NtpDuration::from_seconds_f64(statistical + source.distance());
        described.frequency = Some(Frequency::from_ratio(estimate.frequency));
        described.last = Some(last.received);
        described
    }

    fn verdict(&self, sources: &[Source], index: usize, source: &Source, now: Instant) -> Verdict {
        let policy = self.governor.policy();
        let options = source.options.unwrap_or_default();
        let is = |set: &[bool; N]| set.get(index).copied().unwrap_or(false);
        if source.reach == 0 && source.last.is_some() {
            Verdict::Unreachable
        } else if source.server == ServerState::default() {
            // It has said nothing yet.
            Verdict::Pending
        } else if !source.is_synchronized() {
            Verdict::Unsynchronized
        } else if options.no_select {
            Verdict::NoSelect
        } else if source.samples == 0 {
            Verdict::Pending
        } else if NtpDuration::from_seconds_f64(source.distance()) > policy.maximum_distance {
            Verdict::Distant
        } else if source.is_smeared() != smeared::<N>(sources, policy) {
            Verdict::Smeared
        } else if index >= N {
            Verdict::Excess
        } else if self.fusion.is_member(index) {
            if self.system_peer(sources) == Some(index) {
                Verdict::SystemPeer
            } else {
                Verdict::Candidate
            }
        } else if !source.has_vote(now) {
            Verdict::Pending
        } else if is(&self.fusion.selection.agreeing) {
            Verdict::Backup
        } else {
            Verdict::Falseticker
        }
    }

    /// The member with the least root distance, a preferred one first.
    fn system_peer(&self, sources: &[Source]) -> Option<usize> {
        let rank = |index: &usize| {
            let source = sources.get(*index);
            let preferred = source.is_some_and(|source| source.options.is_some_and(|options| options.prefer));
            (!preferred, source.map_or(f64::MAX, Source::distance))
        };
        let members = self.fusion.member_indices();
        members.min_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        })
    }

    pub(super) fn describe_system(&self, sources: &[Source], now: Instant) -> SystemEstimate {
        let mut described = SystemEstimate {
            leap: LeapIndicator::Unsynchronized,
            stratum: Stratum::UNSYNCHRONIZED,
            frequency: self.ledger.frequency(),
            updated: self.updated,
            bound: NtpDuration::MAX,
            root_dispersion: NtpDuration::MAX,
            ..SystemEstimate::default()
        };
        let (Some(estimate), Some(updated)) = (self.fusion.estimate(sources, now), self.updated) else {
            return described;
        };
        let Some((index, peer)) = self.system_peer(sources).and_then(|i| Some((i, sources.get(i)?))) else {
            return described;
        };
        let seconds = NtpDuration::from_seconds_f64;
        described.offset = seconds(estimate.offset) - self.corrected(now);
        let members = || self.fusion.member_indices().filter_map(|i| sources.get(i));
        let newest = members().filter_map(|source| source.absorbed).max();
        // A frequency that changed unseen since the last sample is what RFC 5905's tolerance is for.
        let drift = FREQUENCY_TOLERANCE.over(now.since(newest.unwrap_or(updated))).to_seconds_f64();
        let doubt = BOUND * libm::sqrt(estimate.xx);
        described.root_delay = peer.server.root_delay.to_duration() + seconds(peer.path.base());
        described.root_dispersion =
            peer.server.root_dispersion.to_duration() + described.offset.abs() + seconds(doubt + drift);
        described.bound = described.offset.abs() + seconds(doubt + self.fusion.distance(sources, now));
        described.jitter = seconds(peer.path.spread());
        described.wander = Frequency::from_ratio(libm::sqrt(estimate.ff));
        described.system_peer = Some(index);
        described.peer_reference = peer.server.reference_id;
        described.survivors = self.fusion.standing_behind();
        described.poll = peer.planner.poll();
        let policy = self.governor.policy();
        let silent = members().all(|source| source.is_silent(now));
        let lasting = self.fusion.is_decided()
            && now.since(updated) <= policy.maximum_holdover
            && described.bound <= policy.maximum_distance;
        described.status = match (lasting, silent || !self.fusion.selection.majority) {
            (false, _) => return SystemEstimate { status: Status::Unsynchronized, ..described },
            (true, true) => Status::Holdover,
            (true, false) => Status::Synchronized,
        };
        described.stratum = peer.server.stratum.next();
        described.leap = self.leap(sources);
        described
    }

    /// The warning of more than half of the members.
    fn leap(&self, sources: &[Source]) -> LeapIndicator {
        let members = || self.fusion.member_indices().filter_map(|i| sources.get(i));
        let count = members().count();
        [LeapIndicator::InsertSecond, LeapIndicator::DeleteSecond]
            .into_iter()
            .find(|&leap| 2 * members().filter(|source| source.server.leap == leap).count() > count)
            .unwrap_or(LeapIndicator::NoWarning)
    }
}
