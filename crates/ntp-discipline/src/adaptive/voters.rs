//! Which sources have a vote, and what selection and the joint estimate see of them.

use ntp_types::{Instant, NtpDuration};

use crate::policy::{Policy, SmearGuard};

use super::fusion::Fusion;
use super::joint::Member;
use super::select::{Asymmetry, Candidate, Witnessed};
use super::source::Source;

/// What a witness's deviations are multiplied with: mixture and non-Gaussian margin.
pub(super) const MARGIN: f64 = 1.3;
/// Samples before a witness has a vote.
const VOTES_FROM: u32 = 3;
/// A source is silent after so many polls and seconds without a sample, …
const SILENT_POLLS: f64 = 3.5;
const SILENT_SECONDS: f64 = 20.0;
/// … and absent after so many requests, as many as samples make a vote, none of which was ever answered.
const ABSENT: u8 = 3;

impl<const N: usize> Fusion<N> {
    /// The members as the joint estimate sees them at `now`; `is_steady` says that our own clock has made no jump.
    pub(super) fn as_members(&self, sources: &[Source], is_steady: bool, now: Instant) -> [Option<Member>; N] {
        core::array::from_fn(|i| {
            let is = self.members.get(i).copied().unwrap_or(false);
            sources
                .get(i)
                .filter(|source| is && source.samples > 0)
                .map(|source| as_member(source, self.asymmetry, is_steady, now))
        })
    }

    /// All sources as selection sees them at `now`: by those of their filters that carry weight. The others, extrapolated
    /// between two polls, would make of a near source one as vague as any, that agrees with whoever lies.
    pub(super) fn candidates(&self, sources: &[Source], policy: &Policy, now: Instant) -> [Candidate; N] {
        let smeared = smeared::<N>(sources, policy);
        core::array::from_fn(|i| {
            let Some(source) = sources.get(i).filter(|source| source.samples > 0) else { return Candidate::default() };
            let estimate = source.plan(now).now;
            let near = NtpDuration::from_seconds_f64(source.distance()) <= policy.maximum_distance;
            Candidate {
                live: source.has_vote(now) && near && source.is_smeared() == smeared,
                member: self.members.get(i).copied().unwrap_or(false),
                offset: estimate.offset,
                deviation: MARGIN * libm::sqrt(estimate.xx),
                frequency: estimate.frequency,
                frequency_deviation: MARGIN * libm::sqrt(estimate.ff),
                delay: source.path.base(),
                distance: source.distance(),
            }
        })
    }

    /// How many of the members that stand behind the estimate are still heard.
    #[allow(clippy::cast_possible_truncation)] // at most N
    pub(super) fn heard(&self, sources: &[Source], now: Instant) -> u32 {
        self.member_indices().filter_map(|i| sources.get(i)).filter(|source| !source.is_silent(now)).count() as u32
    }

    /// The clock as one more witness, unless nobody ever stood behind it.
    pub(super) fn witnessed(&self, sources: &[Source], now: Instant) -> Option<Witnessed> {
        let estimate = self.estimate(sources, now).filter(|_| !self.undecided)?;
        Some(Witnessed { offset: estimate.offset, deviation: libm::sqrt(estimate.xx), frequency: estimate.frequency })
    }
}

/// The only source there is to follow.
pub(super) fn lone<const N: usize>(sources: &[Source]) -> Option<usize> {
    let mut open = sources.iter().take(N).enumerate().filter(|(_, source)| source.is_selectable());
    let first = open.next()?.0;
    open.next().is_none().then_some(first)
}

/// Whether smearing servers are the ones to follow: of those that can be.
pub(super) fn smeared<const N: usize>(sources: &[Source], policy: &Policy) -> bool {
    match policy.smear {
        SmearGuard::Unsmeared => false,
        SmearGuard::Smeared => true,
        SmearGuard::Majority => {
            let fit = sources.iter().take(N).filter(|source| source.is_selectable() && source.samples > 0);
            let (smeared, all) = fit.fold((0, 0), |(s, a), source| (s + usize::from(source.is_smeared()), a + 1));
            2 * smeared > all
        }
    }
}

/// A source as the joint estimate sees it: by those of its filters that carry weight while it answers and our clock is
/// steady.
pub(super) fn as_member(source: &Source, asymmetry: Asymmetry, is_steady: bool, now: Instant) -> Member {
    let estimate = if is_steady && !source.is_silent(now) { source.plan(now).now } else { source.estimate(now) };
    Member {
        offset: estimate.offset,
        deviation: MARGIN * libm::sqrt(estimate.xx),
        frequency: estimate.frequency,
        frequency_deviation: MARGIN * libm::sqrt(estimate.ff),
        bias_deviation: asymmetry.of(source.path.base()),
        spread: source.path.spread(),
        ln_weights: *source.witness.ln_weights(),
    }
}

impl Source {
    /// Whether its witness has a vote: samples enough, and the newest not too old.
    pub(super) fn has_vote(&self, now: Instant) -> bool {
        self.is_selectable() && self.is_synchronized() && self.witness.samples() >= VOTES_FROM && !self.is_silent(now)
    }

    /// Whether it was asked often enough to be given up, and never answered.
    pub(super) fn is_absent(&self) -> bool {
        self.samples == 0 && self.unanswered >= ABSENT
    }

    /// Whether its newest sample is older than a few polls.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        let limit = SILENT_POLLS * self.planner.planned().interval().as_secs_f64() + SILENT_SECONDS;
        self.last.map_or(true, |sample| now.since(sample.received).as_secs_f64() > limit)
    }
}
