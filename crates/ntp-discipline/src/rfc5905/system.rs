//! The system process (RFC 5905 §11.2): from the sources' samples to survivors and a system peer.

use core::time::Duration;

use ntp_types::{Instant, LeapIndicator, NtpDuration, Stratum};

use super::cluster::{cluster, Truechimer};
use super::combine::{combine, Combined};
use super::selection::{intersect, Candidate, Edge};
use super::source::Source;
use crate::leap;
use crate::policy::SmearGuard;
use crate::verdict::Verdict;

/// Candidates weighed at once. Fit sources beyond them, in the order of their slots, are [`Verdict::Excess`].
pub(super) const CANDIDATES: usize = 64;

/// What a source must keep to be a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Largest root distance of a fit one: MAXDIST + Φ · 2^τ.
    pub(super) distance: NtpDuration,
    pub(super) smear: SmearGuard,
    /// How long after its newest sample a source still counts as one that answers.
    pub(super) waiting: Duration,
}

/// What selection found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selected {
    /// Fit sources.
    pub(super) candidates: u32,
    /// Sources that answer and are not judged yet.
    pub(super) pending: u32,
    /// Sources that answer and whose filters are not full.
    pub(super) filling: u32,
    /// Sources that agree.
    pub(super) truechimers: u32,
    /// Sources combined.
    pub(super) survivors: u32,
    /// The system peer and the common opinion, if a majority agrees.
    pub(super) opinion: Option<(usize, Combined)>,
    /// Majority vote of the truechimers.
    pub(super) leap: LeapIndicator,
}

/// Select, cluster and combine at `now`, and write every source's verdict.
///
/// `slewed` is what the clock has been slewed by until now; `previous` the system peer so far, kept among equals.
pub(super) fn select(
    sources: &mut [Source],
    limits: Limits,
    slewed: NtpDuration,
    previous: Option<usize>,
    now: Instant,
) -> Selected {
    let wanted = smear_wanted(sources, limits, now);
    let mut indices = [0_usize; CANDIDATES];
    let mut candidates = [Candidate { offset: NtpDuration::ZERO, root_distance: NtpDuration::ZERO }; CANDIDATES];
    let (mut count, mut pending, mut filling) = (0, 0, 0);
    for (index, source) in sources.iter_mut().enumerate() {
        source.verdict = fitness(source, limits.distance, now);
        let answers = source.last.is_some_and(|last| now.since(last) < limits.waiting);
        if answers && matches!(source.verdict, Verdict::Pending | Verdict::Falseticker) {
            pending += u32::from(source.verdict == Verdict::Pending);
            filling += u32::from(!source.filter().is_full());
        }
        if source.verdict != Verdict::Falseticker {
            continue;
        }
        if source.is_smeared() != wanted {
            source.verdict = Verdict::Smeared;
            continue;
        }
        let (Some(used), Some(root_distance)) = (source.used(), source.root_distance(now)) else { continue };
        match (candidates.get_mut(count), indices.get_mut(count)) {
            (Some(candidate), Some(place)) => {
                *candidate = Candidate { offset: used.offset - slewed, root_distance };
                *place = index;
                count += 1;
            }
            _ => source.verdict = Verdict::Excess,
        }
    }
    let candidates = candidates.get(..count).unwrap_or(&[]);
    let mut truechimers = [Truechimer::default(); CANDIDATES];
    let mut agreeing = 0;
    if let Some(found) = intersect(candidates, &mut [Edge::default(); 3 * CANDIDATES]) {
        for (candidate, &index) in candidates.iter().zip(&indices) {
            let (Some(source), Some(place)) = (sources.get(index), truechimers.get_mut(agreeing)) else { break };
            let (Some(used), Some(options)) = (source.used(), source.options) else { continue };
            if found.contains(candidate) {
                *place = Truechimer {
                    index,
                    offset: candidate.offset,
                    jitter: used.jitter,
                    root_distance: candidate.root_distance,
                    stratum: source.server.stratum,
                    prefer: options.prefer,
                };
                agreeing += 1;
            }
        }
    }
    let truechimers = truechimers.get_mut(..agreeing).unwrap_or(&mut []);
    let selected = judge(sources, truechimers, previous);
    Selected { candidates: u32::try_from(count).unwrap_or(u32::MAX), pending, filling, ..selected }
}

/// Cluster and combine the truechimers; the numbers of candidates are left at zero.
fn judge(sources: &mut [Source], truechimers: &mut [Truechimer], previous: Option<usize>) -> Selected {
    let voters = truechimers.iter().filter_map(|one| sources.get(one.index)).map(|source| source.server.leap);
    let leap = leap::vote(voters);
    let surviving = cluster(truechimers);
    for (rank, one) in truechimers.iter().enumerate() {
        if let Some(source) = sources.get_mut(one.index) {
            source.verdict = if rank < surviving { Verdict::Candidate } else { Verdict::Outlier };
        }
    }
    let agreeing = truechimers.len();
    let survivors = truechimers.get_mut(..surviving).unwrap_or(&mut []);
    let peer = system_peer(survivors, previous);
    if let Some(front) = survivors.get_mut(..=peer) {
        front.rotate_right(1);
    }
    let opinion = survivors.first().map(|peer| peer.index).zip(combine(survivors));
    if let Some(source) = opinion.and_then(|(index, _)| sources.get_mut(index)) {
        source.verdict = Verdict::SystemPeer;
    }
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Selected {
        candidates: 0,
        pending: 0,
        filling: 0,
        truechimers: number(agreeing),
        survivors: number(surviving),
        opinion,
        leap,
    }
}

/// The rank of the system peer: a preferred survivor, else the previous one if of the same stratum as the first (no
/// clock hopping), else the first.
fn system_peer(survivors: &[Truechimer], previous: Option<usize>) -> usize {
    let stratum = survivors.first().map_or(Stratum::UNSYNCHRONIZED, |first| first.stratum);
    let preferred = survivors.iter().position(|one| one.prefer);
    let kept = || survivors.iter().position(|one| Some(one.index) == previous && one.stratum == stratum);
    preferred.or_else(kept).unwrap_or(0)
}

/// Why a source cannot be a candidate; [`Verdict::Falseticker`], until proven otherwise, of one that can.
///
/// The RFC's loop test is the caller's: only it knows its own addresses. The test's other half, that a server must not
/// follow our own system peer, is left out: behind one good server a site would have no other.
///
/// Source: RFC 5905 §11.2, A.5.5.3 (`accept`).
fn fitness(source: &Source, allowed: NtpDuration, now: Instant) -> Verdict {
    let Some(options) = source.options else { return Verdict::Vacant };
    let Some(distance) = source.root_distance(now) else {
        return if source.is_unreachable() { Verdict::Unreachable } else { Verdict::Pending };
    };
    if options.no_select {
        Verdict::NoSelect
    } else if source.is_unreachable() {
        Verdict::Unreachable
    } else if !source.server.leap.is_synchronized() || !source.server.stratum.is_synchronized() {
        Verdict::Unsynchronized
    } else if distance <= allowed {
        Verdict::Falseticker
    } else if !source.filter().is_full() && source.is_near(allowed) {
        Verdict::Pending
    } else {
        Verdict::Distant
    }
}

/// Whether candidates must be smearing servers.
fn smear_wanted(sources: &[Source], limits: Limits, now: Instant) -> bool {
    match limits.smear {
        SmearGuard::Unsmeared => false,
        SmearGuard::Smeared => true,
        SmearGuard::Majority => {
            let fit = sources.iter().filter(|source| fitness(source, limits.distance, now) == Verdict::Falseticker);
            let (smeared, others) = fit.fold((0_u32, 0_u32), |(smeared, others), source| {
                if source.is_smeared() {
                    (smeared + 1, others)
                } else {
                    (smeared, others + 1)
                }
            });
            smeared > others
        }
    }
}
