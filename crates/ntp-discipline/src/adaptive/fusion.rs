//! From witnesses to one estimate: who is a member, and what the members say together.
//!
//! A lone source needs no selection: its witness is the estimate. With several, the members that the votes leave feed one
//! joint estimate. A member that is out-voted twice in a row is expelled and the joint estimate built anew from the
//! witnesses left, so that what the liar did to it is forgotten. Of those that are out, samples tell the rate at most.

use ntp_types::Instant;

use crate::policy::Policy;
use crate::rfc5905::constants::FREQUENCY_TOLERANCE;
use crate::total::{sort, within};

use super::bank::{Estimate, Mixture};
use super::engine::known_frequency;
use super::joint::Joint;
use super::observation::Observation;
use super::outcast::Outcast;
use super::select::{keep, select, size, Asymmetry, Selection};
use super::setup::PATIENCE;
use super::source::{Source, Taken};
use super::steering::Pace;
use super::voters::{as_member, lone};

/// Polls over which slews are gentle when an expelled member's part is undone: as many as the longest slew takes.
const UNDOING: u32 = 3;
/// Samples of a witness before a source that was not among the first may join.
const JOINS_FROM: u32 = 8;
/// Votes lost in a row until a member is expelled; samples in a row that do not fit until one counts as astray. One will
/// do, because more than half of the members must be.
const EXPELLED: u8 = 2;
const ASTRAY: u8 = 1;
/// A sample further from the joint estimate than its interval and this many deviations is not fused.
const MISFIT: f64 = 5.0;
/// The level follows the biases' mean over this time, in seconds and in polls.
const GAUGE_SECONDS: f64 = 3_600.0;
const GAUGE_POLLS: f64 = 16.0;
/// Biases are carried over a rebuilding within this many of their prior deviations.
const BIAS_KEPT: f64 = 2.0;

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fused {
    /// It moved the estimate, or the estimate was built anew: steer.
    Yes,
    /// Most members went astray at once: the estimate was built anew for a clock that jumped, or its frequency.
    Astray,
    /// It did not.
    No,
    /// No majority among so many live sources.
    NoMajority(u32),
}

/// Membership and the joint estimate.
#[derive(Debug, Clone)]
pub(super) struct Fusion<const N: usize> {
    pub(super) joint: Option<Joint<N>>,
    /// The instant the joint estimate stands at.
    pub(super) at: Instant,
    /// The source whose witness is the estimate while there is no joint one.
    pub(super) leader: Option<usize>,
    pub(super) members: [bool; N],
    /// What is known of the others.
    pub(super) outcasts: [Outcast; N],
    /// What the last votes found.
    pub(super) selection: Selection<N>,
    pub(super) asymmetry: Asymmetry,
    /// The biases as they were when the clock lost its offset: asymmetry does not change with it.
    biases: [f64; N],
    first_sample: Option<Instant>,
    /// When each member last had a part in the estimate.
    fused: [Instant; N],
    /// Until when the slews are gentle that undo what an expelled member did.
    undoing: Instant,
    /// No majority was ever reached: the joint estimate holds the level and learns the frequency.
    pub(super) undecided: bool,
}

impl<const N: usize> Fusion<N> {
    pub(super) const fn new() -> Self {
        Self {
            joint: None,
            at: Instant::ZERO,
            leader: None,
            members: [false; N],
            outcasts: [Outcast::NONE; N],
            selection: Selection { possible: [false; N], agreeing: [false; N], majority: false },
            asymmetry: Asymmetry::new(),
            biases: [0.0; N],
            first_sample: None,
            fused: [Instant::ZERO; N],
            undoing: Instant::ZERO,
            undecided: false,
        }
    }

    /// As before the first sample, but for what is known of the paths.
    pub(super) fn start_over(&mut self) {
        *self = Self { asymmetry: self.asymmetry, biases: self.biases(), ..Self::new() };
    }

    fn biases(&self) -> [f64; N] {
        self.joint.as_ref().map_or(self.biases, Joint::biases)
    }

    /// The system's estimate at `now`.
    pub(super) fn estimate(&self, sources: &[Source], now: Instant) -> Option<Estimate> {
        match &self.joint {
            Some(joint) => Some(joint.estimate(now.since(self.at).as_secs_f64())),
            None => self.led(sources).map(|source| source.estimate(now)),
        }
    }

    /// The same for planning.
    pub(super) fn plan(&self, sources: &[Source], now: Instant) -> Option<Mixture> {
        match &self.joint {
            Some(joint) => Some(joint.plan(&self.as_members(sources, true, now), now.since(self.at).as_secs_f64())),
            None => self.led(sources).map(|source| source.plan(now)),
        }
    }

    /// How quickly to slew at `now` once the system has started.
    pub(super) fn pace(&self, now: Instant) -> Pace {
        if now < self.undoing {
            Pace::Gentle
        } else {
            Pace::Balanced { several: self.standing_behind() > 1 }
        }
    }

    /// The frequency of the raw clock, with its variance.
    pub(super) fn frequency(&self) -> Option<(f64, f64)> {
        self.joint.as_ref().map(|joint| known_frequency(&joint.estimate(0.0)))
    }

    /// Samples behind the estimate.
    pub(super) fn samples(&self, sources: &[Source]) -> u32 {
        let most = self.member_indices().filter_map(|i| sources.get(i)).map(|source| source.samples);
        most.max().unwrap_or_default()
    }

    /// How many sources stand behind the estimate.
    #[allow(clippy::cast_possible_truncation)] // at most N
    pub(super) fn standing_behind(&self) -> u32 {
        size(&self.members) as u32
    }

    /// What a sample of a source is worth: the typical excess delay of its path. One that is no member is worth no more than the
    /// best of them.
    pub(super) fn spread(&self, sources: &[Source], index: usize) -> f64 {
        let own = sources.get(index).map_or(0.0, |source| source.path.spread());
        let spreads = self.member_indices().filter_map(|i| sources.get(i)).map(|source| source.path.spread());
        spreads.reduce(f64::min).map_or(own, |best| own.max(best))
    }

    pub(super) fn member_indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.members.iter().enumerate().filter(|(_, &is)| is).map(|(i, _)| i)
    }

    /// How far from true time the members can be together, in seconds: of the nearest f + 1 of them the furthest, its bias
    /// included and what the clock may have drifted since it was last heard, where f may lie. At least one is right.
    pub(super) fn distance(&self, sources: &[Source], now: Instant) -> f64 {
        let biases = self.biases();
        let mut distances = [f64::INFINITY; N];
        for (i, slot) in distances.iter_mut().enumerate().filter(|(i, _)| self.is_member(*i)) {
            let Some(source) = sources.get(i) else { continue };
            let bias = biases.get(i).copied().unwrap_or_default();
            // A frequency that changed unseen is what RFC 5905's tolerance is for.
            let heard = if self.joint.is_some() { self.fused.get(i).copied() } else { source.absorbed };
            let drift = FREQUENCY_TOLERANCE.over(now.since(heard.unwrap_or(Instant::ZERO)));
            let own = source.distance() + source.path.unseen() + source.doubt;
            *slot = own + libm::fabs(bias) + drift.to_seconds_f64();
        }
        sort(&mut distances, |a, b| a.total_cmp(b).is_lt());
        let count = size(&self.members);
        let liars = count.saturating_sub(1) / 2;
        distances.get(liars).copied().unwrap_or(f64::INFINITY)
    }

    /// Whether a majority stands, or once stood, behind the estimate.
    pub(super) const fn is_decided(&self) -> bool {
        !self.undecided
    }

    /// Whether a source steers the clock.
    pub(super) fn is_member(&self, index: usize) -> bool {
        self.members.get(index).copied().unwrap_or(false)
    }

    /// A source goes, or is measured from the beginning.
    pub(super) fn leave(&mut self, sources: &[Source], index: usize) {
        let was = self.members.get(index).copied().unwrap_or(false);
        if let Some(member) = self.members.get_mut(index) {
            *member = false;
        }
        if self.leader == Some(index) {
            self.leader = None;
        }
        self.lose_track(index);
        if was && self.joint.is_some() && self.standing_behind() > 0 {
            let last = sources.iter().map(|source| source.at).max().unwrap_or(self.at);
            self.build(sources, last, true);
        }
    }

    /// After source `index` has taken in a sample; the clock itself stands at `clock`.
    pub(super) fn handle_sample(
        &mut self,
        sources: &mut [Source],
        index: usize,
        taken: &Taken,
        policy: &Policy,
        clock: f64,
        now: Instant,
    ) -> Fused {
        let first = *self.first_sample.get_or_insert(now);
        if index >= N {
            return Fused::No;
        }
        if lone::<N>(sources) == Some(index) {
            return self.follow(index, taken);
        }
        let candidates = self.candidates(sources, policy, now);
        self.selection = select(&candidates, self.witnessed(sources, now), self.asymmetry);
        self.asymmetry.learn(&candidates, &self.selection.possible);
        let live = candidates.iter().filter(|candidate| candidate.live).count();
        if self.joint.is_none() || self.undecided {
            let waited = now.since(first).as_secs_f64();
            return self.set_up(sources, index, taken, &candidates, policy, (waited, clock, now));
        }
        if !self.selection.majority {
            return no_majority(live);
        }
        let rebuilt = self.vote(sources, index, now);
        let fused = if self.is_member(index) {
            self.fuse(sources, index, taken, now)
        } else {
            self.track(sources, index, taken, now)
        };
        match fused {
            Fused::No if rebuilt => Fused::Yes,
            fused => fused,
        }
    }

    /// A lone source leads.
    fn follow(&mut self, index: usize, taken: &Taken) -> Fused {
        self.lose_track(index);
        self.joint = None;
        self.leader = Some(index);
        self.members = core::array::from_fn(|i| i == index);
        self.selection = Selection { possible: self.members, agreeing: self.members, majority: true };
        if *taken == Taken::Gross {
            Fused::No
        } else {
            Fused::Yes
        }
    }

    /// Whether a member has just begun to say something else than the others.
    pub(super) fn is_surprised(&self, sources: &[Source], index: usize) -> bool {
        let is_member = self.members.get(index).copied().unwrap_or(false) && self.standing_behind() > 1;
        is_member && sources.get(index).is_some_and(|source| source.misfits == 1 || source.outvoted == 1)
    }

    /// What the votes mean for the source whose sample it was; whether the joint estimate was built anew.
    fn vote(&mut self, sources: &mut [Source], index: usize, now: Instant) -> bool {
        let agrees = self.selection.agreeing.get(index).copied().unwrap_or(false);
        let is_member = self.is_member(index);
        let Some(source) = sources.get_mut(index) else { return false };
        if agrees {
            source.outvoted = 0;
            let since_the_first = self.first_sample.map_or(0.0, |first| now.since(first).as_secs_f64());
            if !is_member && (source.witness.samples() >= JOINS_FROM || since_the_first < PATIENCE) {
                source.misfits = 0;
                let member = as_member(source, self.asymmetry, true, now);
                self.lose_track(index);
                if let (Some(joint), Some(slot)) = (&mut self.joint, self.members.get_mut(index)) {
                    joint.join(index, &member);
                    *slot = true;
                }
            }
            return false;
        }
        source.outvoted = source.outvoted.saturating_add(1);
        let others = self.standing_behind() > 1;
        if !is_member || source.outvoted < EXPELLED || !others {
            return false;
        }
        if let Some(slot) = self.members.get_mut(index) {
            *slot = false;
        }
        let (was_refused, poll) = (source.misfits > 0, source.planner.planned().interval());
        let trusted = |i: usize| sources.get(i).is_some_and(|source| source.outvoted == 0);
        let alone = self.member_indices().all(trusted);
        if let Some(joint) = self.joint.as_mut().filter(|_| was_refused && alone) {
            // Nothing of it was fused since it went astray: there is nothing to forget.
            joint.dismiss(index);
            return false;
        }
        // Nor have others that were outvoted a part in what is built anew: several may have begun to lie together.
        if self.member_indices().any(trusted) {
            self.members = keep(&self.members, trusted);
        }
        self.undoing = now + poll.saturating_mul(UNDOING);
        self.build(sources, now, true);
        true
    }

    /// Takes a member's sample into the joint estimate.
    fn fuse(&mut self, sources: &mut [Source], index: usize, taken: &Taken, now: Instant) -> Fused {
        if !self.selection.agreeing.get(index).copied().unwrap_or(false) {
            return Fused::No;
        }
        let Some(source) = sources.get(index) else { return Fused::No };
        let (at, alone) = (source.at, self.standing_behind() < 2);
        let fits = match taken {
            // Young witnesses judge all their samples anew with each; what is made of the witnesses has that too.
            Taken::Absorbed(_) if source.is_young() => {
                self.joint = None;
                self.build(sources, now, true);
                true
            }
            Taken::Absorbed(observation) => self.take(index, observation, at, alone),
            Taken::Gross | Taken::Restarted(_) => false,
        };
        if let Some(source) = sources.get_mut(index) {
            source.misfits = if fits { 0 } else { source.misfits.saturating_add(1) };
        }
        if let Some(fused) = self.fused.get_mut(index).filter(|_| fits) {
            *fused = now;
        }
        self.settle(sources, index, at, now);
        if fits {
            return Fused::Yes;
        }
        let astray = self.member_indices().filter(|&i| sources.get(i).is_some_and(|source| source.misfits >= ASTRAY));
        if 2 * astray.count() <= size(&self.members) {
            return Fused::No;
        }
        // Most members at once: it was our own clock that jumped, or its frequency.
        self.build(sources, now, false);
        for source in sources.iter_mut() {
            source.misfits = 0;
        }
        Fused::Astray
    }

    pub(super) fn take(&mut self, index: usize, observation: &Observation, at: Instant, alone: bool) -> bool {
        let Some(joint) = self.joint.as_mut().filter(|joint| joint.is_sound()) else { return false };
        joint.predict(at.since(self.at).as_secs_f64());
        // A sample from before the last one of another source is moved to where the estimate stands.
        let late = self.at.since(at).as_secs_f64();
        self.at = self.at.max(at);
        let mut observation = *observation;
        if late > 0.0 {
            observation.offset += late * joint.estimate(0.0).frequency;
        }
        let (mean, variance) = joint.measured(index);
        let deviation = libm::sqrt(variance + observation.softness * observation.softness);
        if !alone && libm::fabs(observation.offset - mean) > observation.half_width + MISFIT * deviation {
            return false;
        }
        joint.update(index, &observation);
        true
    }

    /// Moves the level, and builds the bank anew should a number have been lost.
    fn settle(&mut self, sources: &[Source], index: usize, at: Instant, now: Instant) {
        let members = self.as_members(sources, true, now);
        let poll = sources.get(index).map_or(0.0, |source| source.planner.planned().interval().as_secs_f64());
        let Some(joint) = &mut self.joint else { return };
        let time = GAUGE_SECONDS.max(GAUGE_POLLS * poll);
        // Every member's sample moves it by its share of the poll interval.
        #[allow(clippy::cast_precision_loss)] // a count of sources
        let share = poll / members.iter().flatten().count().max(1) as f64;
        joint.hear(&members);
        joint.gauge(&members, 1.0 - libm::exp(-share / time));
        if !joint.is_sound() {
            self.build(sources, at, true);
        }
    }

    /// Builds the joint estimate from the members' witnesses at `now`; biases are kept, within bounds unless it was our own
    /// clock that moved.
    pub(super) fn build(&mut self, sources: &[Source], now: Instant, is_steady: bool) {
        let members = self.as_members(sources, is_steady, now);
        let mut biases = self.biases();
        for (bias, member) in biases.iter_mut().zip(&members) {
            let most = member.map_or(0.0, |m| if is_steady { BIAS_KEPT * m.bias_deviation } else { f64::MAX });
            *bias = within(*bias, -most, most);
        }
        self.at = now;
        for (fused, source) in self.fused.iter_mut().zip(sources) {
            *fused = source.absorbed.unwrap_or(*fused);
        }
        let mut joint = Joint::build(&members, &biases);
        let is_tracked = |i: usize| self.outcasts.get(i).is_some_and(|outcast| outcast.is_tracked);
        for (i, source) in sources.iter().enumerate().filter(|&(i, _)| is_tracked(i)) {
            joint.track(i, &as_member(source, self.asymmetry, is_steady, now));
        }
        self.joint = Some(joint);
    }

    fn led<'s>(&self, sources: &'s [Source]) -> Option<&'s Source> {
        sources.get(self.leader?).filter(|source| source.samples > 0)
    }
}

#[allow(clippy::cast_possible_truncation)] // at most N
fn no_majority(live: usize) -> Fused {
    Fused::NoMajority(live as u32)
}
