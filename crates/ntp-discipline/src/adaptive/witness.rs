//! A witness: what one source alone says, under several assumed base delays of its path.
//!
//! The smallest delay seen lies above the base by as much as the luckiest packet was queued, which few packets tell. Yet a
//! base that is assumed too high or too low is found out: intervals too narrow contradict one another, and intervals too
//! wide are seldom filled. So every assumed base keeps a bank and queues of its own and is weighed by how well it
//! predicts offset and delay; the grid of bases narrows as they are told apart. Not to know the base need cost next to
//! nothing: a filter of particles that is exact but for their number errs by at most 6 % more with 84 samples when the base
//! is unknown than when it is given, also where one way queues 25 times as long as the other.
//!
//! Where queues are never empty no packet comes near the base, and the fastest ones are not the exact ones that the others
//! take them for. So one hypothesis more assumes that, with a base by the delays' quartiles. It is weighed like the rest.

use crate::total::within;

use super::bank::{Bank, Estimate, Mixture, Walk, MEMBERS};
use super::elementary::exp;
use super::jump::Challenger;
use super::observation::Observation;
use super::path::Path;
use super::queues::Queues;

/// Bases assumed at a time.
const BASES: usize = 8;
const NUMBERS: [f64; BASES] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
const COUNT: f64 = 8.0;
/// A sample that took this many typical excesses longer came by a longer way.
const DETOUR: f64 = 4.0;
/// One hypothesis for each, and one that queues are never empty.
const HYPOTHESES: usize = BASES + 1;
/// The bases first reach this many times what may not have been seen of the base below the smallest delay, …
const REACH: f64 = 3.0;
/// … may be moved down to this many times it, …
const LOWEST: f64 = 4.0;
/// … and reach at least this many times it when a smaller delay comes.
const REACH_AGAIN: f64 = 1.5;
/// Bases that reach this many times as far were laid when nothing was known of the path.
const UNLIKE: f64 = 16.0;
/// Softness of the intervals' edges, in units of the distance between bases, for what lies between two.
const SOFTNESS: f64 = 0.15;
/// Timestamping noise: part of every width, in seconds.
const STAMP_NOISE: f64 = 1e-8;
/// Log weights are forgotten by this factor per sample, and none falls further behind the best (in nats).
const MEMORY: f64 = 0.998;
const FLOOR: f64 = 12.0;
/// How much of a delay's own probability counts: queues are not quite exponential. All of it lost a third where bursts
/// of congestion come and go.
const DELAY_EVIDENCE: f64 = 0.5;
/// The grid is widened at an end that holds more than this, and narrowed when all but twice that much less lies …
const AT_THE_END: f64 = 0.03;
const NEGLIGIBLE: f64 = 0.002;
/// … within so many bases; but neighbours get no closer than this, in units of spread and in seconds.
const NARROWED_FROM: usize = 5;
const CLOSEST: f64 = 0.002;
const CLOSEST_SECONDS: f64 = 4e-9;

/// One assumed base.
#[derive(Debug, Clone, Copy)]
struct Hypothesis {
    base: f64,
    /// Whether queues are assumed never to be empty.
    filled: bool,
    bank: Bank,
    queues: Queues,
    /// Relative to the best base.
    ln_weight: f64,
}

/// The witness.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Witness {
    /// In order of their bases, which lie `spacing` apart; then the one of queues that are never empty.
    each: [Hypothesis; HYPOTHESES],
    /// Their weights, which sum to one.
    weights: [f64; HYPOTHESES],
    spacing: f64,
    /// All of them together, and as one.
    merged: Bank,
    believed: Mixture,
    /// Seconds since the last sample.
    elapsed: f64,
    challenger: Option<Challenger>,
}

impl Witness {
    pub(crate) fn new() -> Self {
        let bank = Bank::new(Estimate::default());
        let none = Hypothesis { base: 0.0, filled: false, bank, queues: Queues::new(), ln_weight: 0.0 };
        let mut each = [none; HYPOTHESES];
        if let Some(last) = each.last_mut() {
            last.filled = true;
        }
        let (weights, believed) = (weights(&each), bank.mixture());
        Self { each, weights, spacing: 0.0, merged: bank, believed, elapsed: 0.0, challenger: None }
    }

    /// To be fed the same samples once more, from `start` on: where the bases lie is kept, and how the queues lean but for
    /// what `lean` says of it.
    pub(crate) fn restart(&mut self, start: Estimate, lean: Option<f64>, path: &Path) {
        // A path whose first delays turn out to be alike is known better than it was assumed to be.
        if self.spacing <= 0.0 || self.ends().0 < path.base() - UNLIKE * path.unseen() {
            self.spread_out(path);
        }
        (self.merged, self.elapsed, self.challenger) = (Bank::new(start), 0.0, None);
        self.believed = self.merged.mixture();
        for hypothesis in &mut self.each {
            hypothesis.bank = self.merged;
            hypothesis.queues.relearn(lean, path.spread());
            hypothesis.ln_weight = 0.0;
        }
        self.weights = weights(&self.each);
    }

    /// As if nothing had been absorbed.
    pub(crate) fn forget(&mut self) {
        self.merged.forget();
    }

    /// The path has become another one: its base is unknown.
    pub(crate) fn rebase(&mut self, path: &Path) {
        for hypothesis in &mut self.each {
            hypothesis.bank = self.merged;
        }
        self.challenger = None;
        self.spread_out(path);
    }

    /// Samples absorbed.
    pub(crate) const fn samples(&self) -> u32 {
        self.merged.samples()
    }

    /// Goes `elapsed` seconds on.
    pub(crate) fn predict(&mut self, elapsed: f64) {
        self.elapsed += elapsed;
        let walks = Walk::each(elapsed);
        self.merged.predict(&walks);
        self.believed = self.believed.moved(elapsed);
        if let Some(challenger) = &mut self.challenger {
            challenger.predict(&walks);
        }
        for hypothesis in &mut self.each {
            hypothesis.bank.predict(&walks);
        }
    }

    /// What an offset taken now is worth that came with this delay, by all that is known of the path.
    pub(crate) fn assess(&self, offset: f64, delay: f64, path: &Path) -> Observation {
        if self.spacing <= 0.0 {
            let mut somewhere = *self;
            somewhere.spread_out(path);
            return somewhere.assess(offset, delay, path);
        }
        let each = || self.each.iter().zip(self.weights);
        let believed = self.believed.now;
        let Some((heaviest, _)) = each().max_by(|a, b| a.1.total_cmp(&b.1)) else { return Observation::default() };
        if heaviest.filled {
            return heaviest.observe(offset, delay, self.softness(), &believed, path);
        }
        let grid = || each().filter(|(h, _)| !h.filled);
        let total: f64 = grid().map(|(_, w)| w).sum();
        let base = grid().map(|(h, w)| w * h.base).sum::<f64>() / total;
        let variance = grid().map(|(h, w)| w * (h.base - base) * (h.base - base)).sum::<f64>() / total;
        // Half of the base's error goes to the edges.
        let softness = self.softness() + 0.5 * libm::sqrt(variance);
        Hypothesis { base: base.min(path.base()), ..*heaviest }.observe(offset, delay, softness, &believed, path)
    }

    /// Takes in a sample taken now, its delay already being part of the path.
    pub(crate) fn update(&mut self, offset: f64, delay: f64, path: &Path) {
        self.stay_below(path);
        let (softness, believed) = (self.softness(), self.believed.now);
        let mut heaviest = (f64::NEG_INFINITY, Observation::default(), 0.0);
        for hypothesis in &mut self.each {
            if hypothesis.filled {
                hypothesis.base = path.filled_base();
            }
            let observation = hypothesis.observe(offset, delay, softness, &believed, path);
            let Hypothesis { bank, queues, ln_weight, .. } = hypothesis;
            let delay_evidence = DELAY_EVIDENCE * queues.ln_density(&observation);
            let ln_likelihood = bank.update(&observation);
            if *ln_weight > heaviest.0 {
                heaviest = (*ln_weight, observation, ln_likelihood);
            }
            *ln_weight = MEMORY * *ln_weight + ln_likelihood + delay_evidence;
            queues.learn(&observation, bank.offset());
        }
        // Relative to the best base, so that bases are told apart also while queues seem never to be empty.
        let best = self.each.iter().filter(|h| !h.filled).map(|h| h.ln_weight).fold(f64::NEG_INFINITY, f64::max);
        for hypothesis in &mut self.each {
            hypothesis.ln_weight = within(hypothesis.ln_weight - best, -FLOOR, FLOOR);
        }
        self.weights = weights(&self.each);
        self.refine(path);
        if !self.has_jumped(&heaviest.1, heaviest.2) {
            self.merged.merge(self.each.iter().map(|hypothesis| &hypothesis.bank).zip(self.weights));
            self.believed = self.merged.mixture();
        }
    }

    /// Whether a sample that seems not to belong here shows that the frequency has jumped.
    pub(crate) fn recognises(&mut self, observation: &Observation) -> bool {
        let mut unmoved = self.merged;
        let ln_likelihood = unmoved.update(observation);
        self.has_jumped(observation, ln_likelihood)
    }

    /// Whether the bank that lets the frequency have jumped explains what the others, that found the sample so likely, do
    /// not: then all become it. What there is of it does not know the sample yet.
    fn has_jumped(&mut self, observation: &Observation, ln_likelihood: f64) -> bool {
        let elapsed = core::mem::take(&mut self.elapsed);
        self.challenger = match self.challenger {
            Some(challenger) => challenger.after(observation, ln_likelihood),
            None => Challenger::of(&self.merged, elapsed, observation, ln_likelihood),
        };
        let Some(bank) = self.challenger.and_then(|challenger| challenger.won()) else { return false };
        (self.merged, self.challenger) = (bank, None);
        self.believed = bank.mixture();
        for hypothesis in &mut self.each {
            hypothesis.bank = bank;
        }
        true
    }

    /// Mean and covariance, `elapsed` seconds on.
    pub(crate) fn estimate(&self, elapsed: f64) -> Estimate {
        self.believed.after(elapsed)
    }

    /// The mean offset.
    pub(crate) const fn offset(&self) -> f64 {
        self.believed.now.offset
    }

    /// What carries weight.
    pub(crate) fn heavy(&self) -> Mixture {
        self.merged.heavy()
    }

    /// Log weights of the assumed wanders.
    pub(crate) const fn ln_weights(&self) -> &[f64; MEMBERS] {
        self.merged.ln_weights()
    }

    /// Variance of the offset should the frequency have made a jump.
    pub(crate) fn widest(&self) -> f64 {
        self.merged.widest()
    }

    fn softness(&self) -> f64 {
        SOFTNESS * self.spacing + STAMP_NOISE
    }

    /// Both ends of the grid, half a spacing outside the outermost bases.
    fn ends(&self) -> (f64, f64) {
        let [first, .., last, _] = &self.each;
        (first.base - 0.5 * self.spacing, last.base + 0.5 * self.spacing)
    }

    /// All bases alike, from the smallest delay down.
    fn spread_out(&mut self, path: &Path) {
        self.place(path.base() - REACH * path.unseen(), path.base());
        for hypothesis in &mut self.each {
            hypothesis.ln_weight = 0.0;
        }
        self.weights = weights(&self.each);
    }

    fn place(&mut self, low: f64, high: f64) {
        self.spacing = ((high - low) / COUNT).max(CLOSEST_SECONDS);
        for (hypothesis, number) in self.each.iter_mut().zip(NUMBERS) {
            hypothesis.base = high - self.spacing * (COUNT - 0.5 - number);
        }
    }

    /// No base can be above the smallest delay.
    fn stay_below(&mut self, path: &Path) {
        let (low, high) = self.ends();
        if path.base() < high {
            self.move_to(low.min(path.base() - REACH_AGAIN * path.unseen()), path.base());
        }
    }

    /// Widens the grid where it ends too soon, narrows it when the base is known better.
    fn refine(&mut self, path: &Path) {
        let (low, high) = self.ends();
        let [grid @ .., _]: [f64; HYPOTHESES] = self.weights;
        let total: f64 = grid.iter().sum();
        let grid = grid.map(|weight| weight / total);
        let [first, .., last] = grid;
        let lowest = path.base() - LOWEST * path.unseen();
        let half = 0.5 * (high - low);
        if first > AT_THE_END && low > lowest {
            return self.move_to((low - half).max(lowest), high);
        }
        if last > AT_THE_END && high < path.base() {
            return self.move_to(low, (high + half).min(path.base()));
        }
        let below = outside(grid.into_iter());
        let above = outside(grid.into_iter().rev());
        let least = (CLOSEST * path.spread()).max(CLOSEST_SECONDS);
        if BASES - below - above <= NARROWED_FROM && self.spacing > least {
            let cut = |bases: usize| NUMBERS.get(bases).map_or(0.0, |number| (number - 0.5).max(0.0) * self.spacing);
            self.move_to(low + cut(below), high - cut(above));
        }
    }

    /// The grid from `low` to `high`; each base gets what lies between its old neighbours.
    fn move_to(&mut self, low: f64, high: f64) {
        let old = *self;
        let [start, ..] = old.each;
        self.place(low, high);
        for hypothesis in self.each.iter_mut().take(BASES) {
            let place = within((hypothesis.base - start.base) / old.spacing, 0.0, COUNT - 1.0);
            let below = old.each.windows(2).zip(NUMBERS).take_while(|(_, number)| place >= *number).last();
            if let Some(([a, b], number)) = below {
                let part = (place - number).min(1.0);
                hypothesis.bank = Bank::between(&a.bank, &b.bank, part);
                hypothesis.queues = Queues::between(&a.queues, &b.queues, part);
                hypothesis.ln_weight = a.ln_weight + part * (b.ln_weight - a.ln_weight);
            }
        }
        self.weights = weights(&self.each);
    }
}

/// Of hypotheses by their log weights; they sum to one.
fn weights(each: &[Hypothesis; HYPOTHESES]) -> [f64; HYPOTHESES] {
    let mut weights = [0.0; HYPOTHESES];
    for (weight, hypothesis) in weights.iter_mut().zip(each) {
        *weight = exp(hypothesis.ln_weight);
    }
    let total: f64 = weights.iter().sum();
    // The best base has weight one, so the total is no less.
    weights.map(|weight| weight / total)
}

/// How many weights at the start sum to nothing that counts.
fn outside(weights: impl Iterator<Item = f64>) -> usize {
    let mut sum = 0.0;
    let negligible = weights.take_while(|weight| {
        sum += weight;
        sum <= NEGLIGIBLE
    });
    negligible.count()
}

impl Hypothesis {
    fn observe(&self, offset: f64, delay: f64, softness: f64, believed: &Estimate, path: &Path) -> Observation {
        let half_width = 0.5 * (delay - self.base).max(0.0) + STAMP_NOISE;
        let spread = path.spread();
        // What took so much longer came by a longer way, and says nothing of the queues.
        let filled = self.filled && half_width <= DETOUR * spread;
        let tilted = path.shows_queues() && !self.filled;
        let tilt = if tilted { self.queues.tilt(half_width, spread, offset, believed) } else { 0.0 };
        Observation { offset, half_width, softness, tilt, spread, filled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic variates in (0, 1).
    fn uniform(turn: u64) -> f64 {
        #[allow(clippy::cast_precision_loss)] // 32 bits
        let bits =
            (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xd134_2543_de82_ef95) >> 32) as f64;
        (bits + 0.5) / 4_294_967_296.0
    }

    /// A clock that is right, a path of 40 ms with exponential queues of mean `up` and `down`, `count` samples 64 s apart.
    fn fed(up: f64, down: f64, count: u64) -> (Witness, Path) {
        let exponential = |turn: u64| -libm::log(uniform(turn));
        fed_by(count, |turn| (up * exponential(2 * turn), down * exponential(2 * turn + 1)))
    }

    fn fed_by(count: u64, queues: impl Fn(u64) -> (f64, f64)) -> (Witness, Path) {
        let (mut witness, mut path) = (Witness::new(), Path::new());
        for turn in 0..count {
            let (e_up, e_down) = queues(turn);
            let (offset, delay) = (0.5 * (e_up - e_down), 0.04 + e_up + e_down);
            path.push(delay);
            if turn == 0 {
                witness.restart(Estimate { xx: 1e-4, ff: 1e-12, ..Estimate::default() }, None, &path);
            } else {
                witness.predict(64.0);
            }
            witness.update(offset, delay, &path);
        }
        (witness, path)
    }

    #[test]
    fn the_base_is_found_better_than_by_the_smallest_delay() {
        let (witness, path) = fed(1e-3, 1e-3, 60);
        let found = witness.assess(0.0, 0.042, &path);
        let excess = 2.0 * found.half_width;
        assert!((excess - 2e-3).abs() < 0.5 * (path.base() - 0.04), "{excess} {}", path.base());
    }

    #[test]
    fn queues_that_are_never_empty_are_told_from_those_that_are() {
        let is_filled = |(witness, path): &(Witness, Path)| witness.assess(0.0, 0.042, path).filled;
        // Of shape 3: the sum of three exponential ones.
        let gamma = |turn: u64| (0..3).map(|part| -1e-3 / 3.0 * libm::log(uniform(3 * turn + part))).sum::<f64>();
        let filled = fed_by(200, |turn| (gamma(2 * turn), gamma(2 * turn + 1)));
        assert!(is_filled(&filled) && !is_filled(&fed(1e-3, 1e-3, 200)));
        let (witness, path) = filled;
        let excess = 2.0 * witness.assess(0.0, 0.042, &path).half_width;
        assert!((excess - 2e-3).abs() < 0.5 * (path.base() - 0.04), "{excess} {}", path.base());
        let estimate = witness.estimate(0.0);
        assert!(estimate.offset.abs() < 3.0 * libm::sqrt(estimate.xx), "{estimate:?}");
    }

    #[test]
    fn one_sided_queues_tilt_and_do_not_pull_the_clock() {
        let (witness, _) = fed(5e-3, 1e-4, 100);
        let estimate = witness.estimate(0.0);
        assert!(estimate.offset.abs() < 1e-4, "{estimate:?}");
        assert!(estimate.offset.abs() < 4.0 * libm::sqrt(estimate.xx), "{estimate:?}");
    }

    #[test]
    fn a_shorter_path_moves_the_grid() {
        let (mut witness, mut path) = fed(1e-3, 1e-3, 40);
        for _ in 0..8 {
            path.push(0.021);
            witness.predict(64.0);
            witness.update(0.0, 0.021, &path);
            let (low, high) = witness.ends();
            assert!(low < high && high <= 0.021 + 1e-7, "{low} {high}");
        }
        assert!(witness.estimate(0.0).offset.abs() < 2e-4, "{:?}", witness.estimate(0.0));
    }

    #[test]
    fn the_first_samples_of_a_shorter_path_are_not_taken_for_exact() {
        let (mut witness, mut path) = fed(1e-3, 1e-3, 400);
        // In milliseconds, up and down.
        for (up, down) in [(1.3, 3.9), (0.9, 1.9), (0.8, 0.9), (0.1, 0.8)] {
            let (offset, delay) = (0.5e-3 * (up - down), 0.02 + 1e-3 * (up + down));
            path.push(delay);
            witness.predict(64.0);
            witness.update(offset, delay, &path);
            let estimate = witness.estimate(0.0);
            assert!(estimate.offset.abs() < 4.0 * libm::sqrt(estimate.xx), "{estimate:?}");
        }
    }
}
