//! Until a majority stands behind the estimate for the first time.

use ntp_types::{Instant, NtpDuration};

use super::fusion::{Fused, Fusion};
use super::joint::Joint;
use super::select::{size, Candidate};
use super::source::{Source, Taken};
use super::voters::smeared;
use crate::policy::Policy;
use crate::total::within;

/// How long the first set-up waits for every source that is not absent to have a vote, in seconds; who has one by then
/// counts as one of the first.
pub(super) const PATIENCE: f64 = 12.0;

impl<const N: usize> Fusion<N> {
    /// Until a majority stands behind the estimate for the first time.
    pub(super) fn set_up(
        &mut self,
        sources: &mut [Source],
        index: usize,
        taken: &Taken,
        candidates: &[Candidate; N],
        policy: &Policy,
        (waited, clock, now): (f64, f64, Instant),
    ) -> Fused {
        let live = candidates.iter().filter(|candidate| candidate.live).count();
        if self.joint.is_none() {
            // Those that smear otherwise than the ones to follow have no voice, however many they are.
            let smeared = smeared::<N>(sources, policy);
            let open = sources
                .iter()
                .take(N)
                .filter(|source| source.is_selectable() && (source.samples == 0 || source.is_smeared() == smeared));
            let count = |(awaited, answered), source: &Source| {
                (awaited + usize::from(!source.is_absent()), answered + usize::from(source.samples > 0))
            };
            let (awaited, answered) = open.fold((0, 0), count);
            // Whom more than half of all agree with, nobody who is late can out-vote.
            let agreeing = size(&self.selection.agreeing);
            let stands = self.selection.majority && 2 * agreeing > awaited;
            if live < awaited && !stands && (waited < PATIENCE || 2 * live <= answered) {
                return if self.leader == Some(index) { Fused::Yes } else { Fused::No };
            }
        }
        if self.selection.majority {
            self.undecided = false;
            self.members = self.selection.agreeing;
            self.joint = None;
            self.build(sources, now, true);
            return Fused::Yes;
        }
        let is_new = self.joint.is_none() || candidates.iter().zip(&self.members).any(|(c, &is)| c.live != is);
        if is_new {
            self.hold(sources, candidates, policy, (clock, now));
            return Fused::Yes;
        }
        match (taken, sources.get(index)) {
            (Taken::Absorbed(observation), Some(source)) if self.is_member(index) => {
                self.take(index, observation, source.at, true);
                Fused::Yes
            }
            _ => Fused::No,
        }
    }

    /// Without a majority: the clock goes to the middle of what any source allows, where it errs least should the worst of
    /// them be right. Where that is wider than any source may be, it stays where it is, or goes to the nearest edge: so it is
    /// at least not made worse if one of them is right.
    fn hold(&mut self, sources: &[Source], candidates: &[Candidate; N], policy: &Policy, (clock, now): (f64, Instant)) {
        let live = || candidates.iter().filter(|candidate| candidate.live);
        let lowest = live().map(|c| c.offset - c.distance).fold(f64::INFINITY, f64::min);
        let highest = live().map(|c| c.offset + c.distance).fold(f64::NEG_INFINITY, f64::max);
        if lowest > highest {
            return;
        }
        let half = 0.5 * (highest - lowest);
        let is_narrow = NtpDuration::from_seconds_f64(half) <= policy.maximum_distance;
        let level = if is_narrow { lowest + half } else { within(clock, lowest, highest) };
        self.undecided = true;
        self.members = candidates.map(|candidate| candidate.live);
        let members = self.as_members(sources, true, now);
        self.at = now;
        self.joint = Some(Joint::undecided(&members, level, 2.0 * half));
    }
}
