//! Which sources can be right together: three votes, each looking only at the witnesses.
//!
//! 1. Who can be right at all: intervals as wide as root distance.
//! 2. Who agrees to the accuracy that statistics and the learnt asymmetry of paths allow.
//! 3. Whose frequency agrees: a source that drifts away is told long before its offset leaves the others'.

use crate::total::{sort, within};

/// Hysteresis: members are judged within this many deviations, others within fewer.
const MEMBER_WIDTH: f64 = 2.75;
const OTHER_WIDTH: f64 = 2.5;
/// Deviations in an interval of the first vote, and in the clock's own when it is a witness.
const HARD_WIDTH: f64 = 3.0;
/// Added to every interval of the first vote and to every frequency's: stamps and rounding.
const HARD_SLACK: f64 = 1e-6;
const FREQUENCY_SLACK: f64 = 5e-9;
/// A source is tighter than another if its path can hide so many times less asymmetry.
const TIGHTER: f64 = 3.0;
/// The rest outweighs it from this excess of squared deviations on, of which no single source brings more than that.
const OUTWEIGHED: f64 = 9.0;
const SWAYS: f64 = 16.0;
/// Asymmetry κ, as a part of the delay: where it starts, and its bounds.
const ASYMMETRY_START: f64 = 0.01;
const ASYMMETRY: (f64, f64) = (0.001, 0.3);
/// It follows 1.5 times the median of what offsets differ beyond 1.5 deviations, …
const ASYMMETRY_SCALE: f64 = 1.5;
/// … quickly at first, then by 2 % per sample. A median, so that a minority cannot widen it.
const ASYMMETRY_GAIN: (f64, f64) = (5.0, 0.02);

/// One source as its witness sees it now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Candidate {
    /// Answers, and is fit to be selected.
    pub(crate) live: bool,
    /// Steers the clock at present.
    pub(crate) member: bool,
    /// Offset and its deviation, in seconds.
    pub(crate) offset: f64,
    pub(crate) deviation: f64,
    /// Frequency and its deviation.
    pub(crate) frequency: f64,
    pub(crate) frequency_deviation: f64,
    /// Base delay.
    pub(crate) delay: f64,
    /// Half the delay and the server's root distance.
    pub(crate) distance: f64,
}

/// The clock as one more witness, once a majority has stood behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Witnessed {
    pub(crate) offset: f64,
    pub(crate) deviation: f64,
    pub(crate) frequency: f64,
}

impl Witnessed {
    /// Those of a set whose intervals allow where the clock stands.
    fn agreeing<const N: usize>(self, intervals: &[(f64, f64); N], set: &[bool; N]) -> [bool; N] {
        overlapping(intervals, set, &around(self.offset, HARD_WIDTH * self.deviation))
    }
}

/// What the votes found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Selection<const N: usize> {
    /// Sources that can be right together.
    pub(crate) possible: [bool; N],
    /// Those of them that agree.
    pub(crate) agreeing: [bool; N],
    /// Whether a majority of the live sources stands behind it, or the clock itself does.
    pub(crate) majority: bool,
}

/// The asymmetry of paths as a part of their delay, learnt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Asymmetry {
    value: f64,
    learnt: f64,
}

impl Asymmetry {
    pub(crate) const fn new() -> Self {
        Self { value: ASYMMETRY_START, learnt: 0.0 }
    }

    /// The deviation it makes of a delay.
    pub(crate) fn of(self, delay: f64) -> f64 {
        // Stamping noise of 100 ns stands where there is no delay to speak of.
        self.value * delay + 1e-7
    }

    /// Learns from sources that can be right together.
    pub(crate) fn learn<const N: usize>(&mut self, candidates: &[Candidate; N], possible: &[bool; N]) {
        let Some(middle) = median::<N>(among(candidates, possible).map(|(_, c)| c.offset)) else { return };
        if size(possible) < 3 {
            return;
        }
        // The middle is one of them, and as uncertain as it is.
        let own = among(candidates, possible).find(|(_, c)| c.offset.total_cmp(&middle).is_eq());
        let own = own.map_or(0.0, |(_, c)| c.deviation);
        let differs = |c: &Candidate| {
            (libm::fabs(c.offset - middle) - 1.5 * libm::hypot(c.deviation, own)).max(0.0) / c.delay.max(1e-9)
        };
        let Some(typical) = median::<N>(among(candidates, possible).map(|(_, c)| differs(c))) else { return };
        let gain = (1.0 / (ASYMMETRY_GAIN.0 + self.learnt)).max(ASYMMETRY_GAIN.1);
        self.learnt += 1.0;
        let value = (1.0 - gain) * self.value + gain * ASYMMETRY_SCALE * typical;
        self.value = within(value, ASYMMETRY.0, ASYMMETRY.1);
    }
}

/// Holds the three votes.
pub(crate) fn select<const N: usize>(
    candidates: &[Candidate; N],
    clock: Option<Witnessed>,
    asymmetry: Asymmetry,
) -> Selection<N> {
    let live = candidates.map(|c| c.live);
    let count = size(&live);
    let near = clock.map(|clock| clock.offset);
    let none = Selection { possible: [false; N], agreeing: [false; N], majority: false };
    if count == 0 {
        return none;
    }

    let hard = candidates.map(|c| around(c.offset, c.distance + HARD_WIDTH * c.deviation + HARD_SLACK));
    let (depth, mut possible) = deepest(&hard, &live, near);
    let mut majority = 2 * depth > count;
    if !majority {
        // Once a majority stood behind the clock, the clock is one more witness.
        let Some(clock) = clock else { return Selection { possible, ..none } };
        possible = clock.agreeing(&hard, &live);
        let consistent = size(&possible);
        majority = 2 * (consistent + 1) > count + 1 && consistent > 0;
        if !majority {
            return Selection { possible, ..none };
        }
    }

    let fine = candidates.map(|c| around(c.offset, width(&c) * deviation(&c, asymmetry)));
    let agree = |possible: &[bool; N]| agreeing_offsets(candidates, possible, &fine, count, clock, asymmetry);
    let mut agreeing = agree(&possible);
    if agreeing.is_none() {
        // Who is near and wrong may leave out one that is near and right. Then the far ones tell, if with those that they agree
        // with they are more than half of all, members that are silent now included.
        let silent = candidates.iter().filter(|c| c.member && !c.live).count();
        let is_most = |agreeing: &[bool; N]| 2 * size(agreeing) > count + silent;
        let mut others = majorities(&hard, &live).filter(|other| *other != possible);
        if let Some((other, agree)) = others.find_map(|other| Some((other, agree(&other).filter(is_most)?))) {
            (possible, agreeing) = (other, Some(agree));
        }
    }
    // Where no majority agrees, those that agree with the clock, if it is a witness.
    let agreeing = agreeing.unwrap_or_else(|| clock.map_or(possible, |clock| clock.agreeing(&fine, &possible)));
    let agreeing = agreeing_frequencies(candidates, agreeing, count, clock);
    Selection { possible, agreeing, majority }
}

/// The second vote; nothing where no majority agrees.
fn agreeing_offsets<const N: usize>(
    candidates: &[Candidate; N],
    possible: &[bool; N],
    fine: &[(f64, f64); N],
    count: usize,
    clock: Option<Witnessed>,
    asymmetry: Asymmetry,
) -> Option<[bool; N]> {
    // One that does not agree with the steered clock may not bridge between those that do and those that were expelled.
    let voters = keep(possible, |i| {
        let agrees = |c: &Candidate, clock: Witnessed| {
            libm::fabs(c.offset - clock.offset) <= OTHER_WIDTH * libm::hypot(deviation(c, asymmetry), clock.deviation)
        };
        candidates.get(i).is_some_and(|c| c.member || clock.map_or(true, |clock| agrees(c, clock)))
    });
    let near = clock.map(|clock| clock.offset);
    // Where they are no majority by themselves, all have a voice again: else a clock that followed liars would keep them.
    for voters in [&voters, possible] {
        let (depth, agreeing) = deepest(fine, voters, near);
        if 2 * depth > count || count == 1 {
            let with = tighter(candidates, possible, fine, &agreeing, asymmetry);
            return with.filter(|with| 2 * size(with) > count).or(Some(agreeing));
        }
    }
    None
}

/// What a source may differ by without being wrong, one deviation.
fn deviation(candidate: &Candidate, asymmetry: Asymmetry) -> f64 {
    libm::hypot(candidate.deviation, asymmetry.of(candidate.delay))
}

/// Where the source whose delay leaves its path the least asymmetry is not among those that agree: those that can agree with
/// it. Who differs from it by no more than a longer path explains need be no liar.
///
/// It is one against the tightest of the others; the rest decides by how much better it can be explained without it.
fn tighter<const N: usize>(
    candidates: &[Candidate; N],
    possible: &[bool; N],
    fine: &[(f64, f64); N],
    agreeing: &[bool; N],
    asymmetry: Asymmetry,
) -> Option<[bool; N]> {
    let ((index, tight), (rival, other)) = (nearest(candidates, possible)?, nearest(candidates, agreeing)?);
    if TIGHTER * asymmetry.of(tight.delay) > asymmetry.of(other.delay) {
        return None;
    }
    let against = |c: &Candidate| {
        let (from_tight, from_other) = (c.offset - tight.offset, c.offset - other.offset);
        let unknown = libm::hypot(libm::hypot(c.deviation, asymmetry.of(c.delay)), tight.deviation);
        within((from_tight * from_tight - from_other * from_other) / (unknown * unknown), -SWAYS, SWAYS)
    };
    let rest = among(candidates, possible).filter(|&(i, _)| i != index && i != rival);
    if rest.map(|(_, c)| against(c)).sum::<f64>() > OUTWEIGHED {
        return None;
    }
    let own = fine.get(index)?;
    let with = overlapping(fine, possible, own);
    let (_, with) = deepest(fine, &with, Some(tight.offset));
    with.get(index).copied().unwrap_or(false).then_some(with)
}

/// The third vote.
fn agreeing_frequencies<const N: usize>(
    candidates: &[Candidate; N],
    agreeing: [bool; N],
    count: usize,
    clock: Option<Witnessed>,
) -> [bool; N] {
    let voters = size(&agreeing);
    let pair = count == 2 && clock.is_some();
    if voters < 3 && !pair {
        return agreeing;
    }
    let intervals = candidates.map(|c| around(c.frequency, width(&c) * c.frequency_deviation + FREQUENCY_SLACK));
    let (depth, same) = deepest(&intervals, &agreeing, clock.map(|clock| clock.frequency));
    if 2 * depth > count || pair && depth == 1 {
        same
    } else {
        agreeing
    }
}

fn width(candidate: &Candidate) -> f64 {
    if candidate.member {
        MEMBER_WIDTH
    } else {
        OTHER_WIDTH
    }
}

fn around(middle: f64, half: f64) -> (f64, f64) {
    (middle - half, middle + half)
}

fn overlap(a: &(f64, f64), b: &(f64, f64)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// Those of a set whose intervals overlap with one.
fn overlapping<const N: usize>(intervals: &[(f64, f64); N], set: &[bool; N], with: &(f64, f64)) -> [bool; N] {
    keep(set, |i| intervals.get(i).is_some_and(|interval| overlap(interval, with)))
}

/// The sets of more than half of the voters whose intervals meet.
fn majorities<'a, const N: usize>(
    intervals: &'a [(f64, f64); N],
    voters: &'a [bool; N],
) -> impl Iterator<Item = [bool; N]> + 'a {
    let starts = intervals.iter().zip(voters).filter(|(_, &is)| is).map(|(interval, _)| interval.0);
    let sets = starts.map(|start| meeting(intervals, voters, start));
    sets.filter(|set| 2 * size(set) > size(voters))
}

/// Those of the voters whose intervals contain `at`.
fn meeting<const N: usize>(intervals: &[(f64, f64); N], voters: &[bool; N], at: f64) -> [bool; N] {
    keep(voters, |i| intervals.get(i).is_some_and(|&(low, high)| low <= at && at <= high))
}

/// How many a set has.
pub(crate) fn size<const N: usize>(set: &[bool; N]) -> usize {
    set.iter().filter(|&&is| is).count()
}

/// Those of a set that keep a rule.
pub(crate) fn keep<const N: usize>(set: &[bool; N], mut rule: impl FnMut(usize) -> bool) -> [bool; N] {
    let mut kept = *set;
    for (i, is) in kept.iter_mut().enumerate() {
        *is = *is && rule(i);
    }
    kept
}

fn among<'a, const N: usize>(
    candidates: &'a [Candidate; N],
    set: &'a [bool; N],
) -> impl Iterator<Item = (usize, &'a Candidate)> {
    candidates.iter().enumerate().zip(set).filter(|(_, &is)| is).map(|(candidate, _)| candidate)
}

/// The one with the least delay.
fn nearest<'a, const N: usize>(candidates: &'a [Candidate; N], set: &'a [bool; N]) -> Option<(usize, &'a Candidate)> {
    among(candidates, set).min_by(|(_, a), (_, b)| a.delay.total_cmp(&b.delay))
}

/// Marzullo's deepest overlap: how many of the voters' intervals meet, and which. Among equally deep ones the nearest
/// to `near`, else the narrowest.
fn deepest<const N: usize>(intervals: &[(f64, f64); N], voters: &[bool; N], near: Option<f64>) -> (usize, [bool; N]) {
    let those = || intervals.iter().zip(voters).filter(|(_, &is)| is).map(|(interval, _)| *interval);
    let last_start = those().map(|(start, _)| start).fold(f64::NEG_INFINITY, f64::max);
    let first_end = those().map(|(_, end)| end).fold(f64::INFINITY, f64::min);
    if last_start <= first_end {
        return (those().count(), *voters);
    }
    let mut best = (0, f64::INFINITY, [false; N]);
    for (start, _) in those() {
        // A deepest overlap begins where one of its intervals begins.
        let meets = meeting(intervals, voters, start);
        let depth = size(&meets);
        let end = intervals.iter().zip(&meets).filter(|(_, &is)| is).map(|(interval, _)| interval.1);
        let end = end.fold(f64::INFINITY, f64::min);
        let cost = near.map_or(end - start, |near| (start - near).max(near - end).max(0.0));
        if depth > best.0 || depth == best.0 && cost < best.1 {
            best = (depth, cost, meets);
        }
    }
    (best.0, best.2)
}

/// The middle one of at most `N` values; the lower of two.
fn median<const N: usize>(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted = [f64::INFINITY; N];
    let mut len = 0;
    for (slot, value) in sorted.iter_mut().zip(values) {
        *slot = value;
        len += 1;
    }
    sort(&mut sorted, |a, b| a.total_cmp(b).is_lt());
    sorted.get(..len)?.get(len.checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(offset: f64, deviation: f64, frequency: f64) -> Candidate {
        Candidate {
            live: true,
            member: false,
            offset,
            deviation,
            frequency,
            frequency_deviation: 1e-8,
            delay: 0.04,
            distance: 0.02,
        }
    }

    fn agreeing(candidates: [Candidate; 5], clock: Option<Witnessed>) -> [bool; 5] {
        let selection = select(&candidates, clock, Asymmetry::new());
        assert!(selection.majority);
        selection.agreeing
    }

    #[test]
    fn a_minority_is_out_voted_by_offset_and_by_frequency() {
        let good = candidate(0.0, 1e-4, 0.0);
        let far = candidate(0.1, 1e-4, 0.0);
        let subtle = candidate(5e-3, 1e-4, 0.0);
        let drifting = candidate(0.0, 1e-4, 1e-6);
        assert_eq!(agreeing([good, far, good, good, far], None), [true, false, true, true, false]);
        assert_eq!(agreeing([good, subtle, good, good, subtle], None), [true, false, true, true, false]);
        assert_eq!(agreeing([good, good, good, drifting, drifting], None), [true, true, true, false, false]);
    }

    #[test]
    fn two_that_disagree_are_no_majority_until_the_clock_speaks() {
        let two = [candidate(0.0, 1e-4, 0.0), candidate(0.1, 1e-4, 0.0)];
        assert!(!select(&two, None, Asymmetry::new()).majority);
        let clock = Witnessed { offset: 1e-5, deviation: 1e-4, frequency: 0.0 };
        let selection = select(&two, Some(clock), Asymmetry::new());
        assert!(selection.majority);
        assert_eq!(selection.agreeing, [true, false]);
    }

    /// One that is near and wrong lies within what far ones may be wrong by; one that is near and right is too near to meet it.
    #[test]
    fn far_ones_are_with_whom_they_agree() {
        let near = |offset, distance| Candidate { delay: distance, distance, ..candidate(offset, 1e-5, 0.0) };
        let far = Candidate { delay: 0.2, distance: 0.1, ..candidate(1e-3, 1e-3, 0.0) };
        let four = [near(0.0, 2.5e-2), near(-3e-2, 1e-3), far, far];
        let at_the_liar = Witnessed { offset: -3e-2, deviation: 1e-5, frequency: 0.0 };
        for clock in [None, Some(at_the_liar)] {
            let selection = select(&four, clock, Asymmetry::new());
            assert!(selection.majority);
            assert_eq!(selection.agreeing, [true, false, true, true], "{clock:?}");
        }
    }

    /// Two of four members are silent, so that three liars are most of who speaks.
    #[test]
    fn who_agrees_while_members_are_silent_is_no_majority() {
        let near = |offset, member| Candidate { delay: 4e-3, distance: 2e-3, member, ..candidate(offset, 1e-5, 0.0) };
        let silent = Candidate { live: false, ..near(0.0, true) };
        let far_liar = Candidate { delay: 0.06, distance: 0.03, ..candidate(-2e-2, 1e-5, 0.0) };
        let seven =
            [near(0.0, true), near(0.0, true), silent, silent, near(-2e-2, false), near(-2e-2, false), far_liar];
        let clock = Witnessed { offset: 0.0, deviation: 1e-5, frequency: 0.0 };
        let selection = select(&seven, Some(clock), Asymmetry::new());
        assert_eq!(selection.agreeing, [true, true, false, false, false, false, false]);
        let heard = seven.map(|c| Candidate { member: c.member && c.live, ..c });
        assert_eq!(
            select(&heard, Some(clock), Asymmetry::new()).agreeing,
            [false, false, false, false, true, true, true]
        );
    }

    #[test]
    fn asymmetry_is_a_median() {
        let mut asymmetry = Asymmetry::new();
        let alike = [
            candidate(0.0, 1e-6, 0.0),
            candidate(1e-6, 1e-6, 0.0),
            candidate(-1e-6, 1e-6, 0.0),
            candidate(9e-3, 1e-6, 0.0),
        ];
        for _ in 0..200 {
            asymmetry.learn(&alike, &[true; 4]);
        }
        assert!(asymmetry.of(1.0) < 2e-3, "{asymmetry:?}");
        let spread = [
            candidate(0.01, 1e-6, 0.0),
            candidate(-0.01, 1e-6, 0.0),
            candidate(4e-3, 1e-6, 0.0),
            candidate(-4e-3, 1e-6, 0.0),
        ];
        for _ in 0..200 {
            asymmetry.learn(&spread, &[true; 4]);
        }
        assert!(asymmetry.of(1.0) > 0.1, "{asymmetry:?}");
    }
}
