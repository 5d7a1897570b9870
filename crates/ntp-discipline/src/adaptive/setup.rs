//! Until a majority stands behind the estimate for the first time.

use ntp_types::Instant;

use super::fusion::{Fused, Fusion};
use super::joint::Joint;
use super::select::Candidate;
use super::source::{Source, Taken};
use crate::total::within;

/// How long the first set-up waits for every source to have a vote, in seconds.
const PATIENCE: f64 = 12.0;

impl<const N: usize> Fusion<N> {
    /// Until a majority stands behind the estimate for the first time.
    pub(super) fn set_up(
        &mut self,
        sources: &mut [Source],
        index: usize,
        taken: &Taken,
        candidates: &[Candidate; N],
        (waited, clock, now): (f64, f64, Instant),
    ) -> Fused {
        let live = candidates.iter().filter(|candidate| candidate.live).count();
        if self.joint.is_none() {
            let open = sources.iter().take(N).filter(|source| source.is_selectable());
            let (all, answered) = open.fold((0, 0), |(a, b), source| (a + 1, b + usize::from(source.samples > 0)));
            if live < all && (waited < PATIENCE || 2 * live <= answered) {
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
            self.hold(sources, candidates, clock, now);
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

    /// Without a majority: the clock stays where it is, or goes to the nearest edge of what any source allows. So it is
    /// never made worse if at least one of them is right.
    fn hold(&mut self, sources: &[Source], candidates: &[Candidate; N], clock: f64, now: Instant) {
        let live = || candidates.iter().filter(|candidate| candidate.live);
        let lowest = live().map(|c| c.offset - c.distance).fold(f64::INFINITY, f64::min);
        let highest = live().map(|c| c.offset + c.distance).fold(f64::NEG_INFINITY, f64::max);
        if lowest > highest {
            return;
        }
        self.undecided = true;
        self.members = candidates.map(|candidate| candidate.live);
        let members = self.as_members(sources, now);
        self.at = now;
        self.joint = Some(Joint::undecided(&members, within(clock, lowest, highest), highest - lowest));
    }
}
