//! The joint estimate of all members: offset, frequency, and a bias of each source, in one bank of filters.
//!
//! A source's offset is x + bᵢ: its asymmetry, its server's error. x and the mean of the biases cannot be told apart by
//! data; the biases' prior, a part κ of each delay, and the gauge below hold the level.

use super::bank::{heavy, is_lost, normalize, weights, Estimate, Mixture, Walk, LEAST_VARIANCE, MEMBERS};
use super::observation::Observation;

/// Likelihoods are forgotten by this factor per sample.
const FORGETTING: f64 = 0.995;
/// No single sample speaks for one member of the bank against another by more than this, in nats: what one source alone
/// finds surprising is its own, not our oscillator's. Without it one drifting server of three opened the whole bank.
const SWAYS: f64 = 3.0;
/// What the witnesses find of the wander, on average, counts so many times. Where they disagree among themselves the joint
/// estimate alone takes that for wander and runs after every sample: behind two of five servers that run away together the
/// frequency erred by three times as much.
const HEARD: f64 = 1.5;
/// Samples before weights start to move.
const WEIGHTLESS: u32 = 4;
/// A bias walks by this part of the path's spread per √hour, …
const WALK_SPREAD: f64 = 0.05;
const HOUR: f64 = 3_600.0;
/// … but by no more than √2 of its prior deviation per √day.
const WALK_PRIOR: f64 = 2.0;
const DAY: f64 = 86_400.0;
/// Variance of an offset nobody knows: 1 s².
const DIFFUSE: f64 = 1.0;
/// Part of a sum's terms that its rounding may leave.
const ROUNDING: f64 = 1e-13;
/// Beyond this deviation or bias in seconds, or this frequency, it is no estimate any more.
const LOST: (f64, f64) = (1e3, 0.01);
/// Variance of an offset that is held: (0.1 ms)².
const HELD: f64 = 1e-8;

/// What the joint estimate needs to know of a member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Member {
    /// Its witness's estimate, with the deviations it is credited with.
    pub(crate) offset: f64,
    pub(crate) deviation: f64,
    pub(crate) frequency: f64,
    pub(crate) frequency_deviation: f64,
    /// Deviation of its bias: κ times its delay.
    pub(crate) bias_deviation: f64,
    /// Typical excess delay of its path.
    pub(crate) spread: f64,
    /// Log weights of its witness's bank.
    pub(crate) ln_weights: [f64; MEMBERS],
}

/// The frequency that the members' witnesses found, on average by what each knows, and its variance.
pub(crate) fn common_frequency<const N: usize>(members: &[Option<Member>; N]) -> (f64, f64) {
    let known = || members.iter().flatten();
    let precision = |m: &Member| 1.0 / (m.frequency_deviation * m.frequency_deviation).max(LEAST_VARIANCE);
    let total: f64 = known().map(precision).sum::<f64>().max(f64::MIN_POSITIVE);
    (known().map(|m| precision(m) * m.frequency).sum::<f64>() / total, 1.0 / total)
}

/// One filter of the bank: mean and covariance of (x, f, b₁ … b_N). Sources that are not members have zeros.
#[derive(Debug, Clone, Copy)]
struct Filter<const N: usize> {
    core: Estimate,
    /// How many of the biases there is something to know of: behind them are zeros only.
    used: usize,
    bias: [f64; N],
    /// Covariances of x and f with the biases, and of the biases: symmetric to the bit.
    x_bias: [f64; N],
    f_bias: [f64; N],
    biases: [[f64; N]; N],
}

impl<const N: usize> Filter<N> {
    const fn zero(core: Estimate) -> Self {
        Self { core, used: 0, bias: [0.0; N], x_bias: [0.0; N], f_bias: [0.0; N], biases: [[0.0; N]; N] }
    }

    fn predict(&mut self, walk: &Walk, bias_walks: &[f64; N]) {
        self.core = self.core.predicted(walk);
        for (x, f) in self.x_bias.iter_mut().zip(&self.f_bias) {
            *x += walk.elapsed * f;
        }
        for (i, (row, bias_walk)) in self.biases.iter_mut().zip(bias_walks).take(self.used).enumerate() {
            if let Some(variance) = row.get_mut(i) {
                *variance += bias_walk * walk.elapsed;
            }
        }
    }

    /// Mean and variance of what source `i` measures.
    fn measured(&self, i: usize) -> (f64, f64) {
        let at = |values: &[f64; N]| values.get(i).copied().unwrap_or_default();
        let variance = self.core.xx + 2.0 * at(&self.x_bias) + self.biases.get(i).map_or(0.0, at);
        // What is left of large numbers that cancel is rounding.
        let rounding = ROUNDING * (self.core.xx + self.biases.get(i).map_or(0.0, at));
        (self.core.offset + at(&self.bias), variance.max(rounding).max(LEAST_VARIANCE))
    }

    /// What the sources measure on average, by their shares.
    fn average(&self, shares: &[f64; N]) -> Estimate {
        let sum = |values: &[f64; N]| values.iter().zip(shares).map(|(v, s)| v * s).sum::<f64>();
        // The columns, which can be summed together, are the rows.
        let mut sums = [0.0; N];
        for (column, share) in self.biases.iter().zip(shares).take(self.used) {
            for (sum, value) in sums.iter_mut().zip(column) {
                *sum += value * share;
            }
        }
        Estimate {
            offset: self.core.offset + sum(&self.bias),
            xx: (self.core.xx + 2.0 * sum(&self.x_bias) + sum(&sums)).max(LEAST_VARIANCE),
            xf: self.core.xf + sum(&self.f_bias),
            ..self.core
        }
    }

    /// What source `i` measures moves by `shift` and gets variance `left`; all else follows by regression.
    fn absorb(&mut self, i: usize, variance: f64, shift: f64, left: f64) {
        let at = |values: &[f64; N]| values.get(i).copied().unwrap_or_default();
        let gain_x = (self.core.xx + at(&self.x_bias)) / variance;
        let gain_f = (self.core.xf + at(&self.f_bias)) / variance;
        // A column is a row.
        let mut gain = self.x_bias;
        for (gain, own) in gain.iter_mut().zip(self.biases.get(i).unwrap_or(&[0.0; N])) {
            *gain = (*gain + own) / variance;
        }
        let less = variance - left;
        self.core.offset += gain_x * shift;
        self.core.frequency += gain_f * shift;
        self.core.xx = (self.core.xx - gain_x * gain_x * less).max(LEAST_VARIANCE);
        self.core.xf -= gain_x * gain_f * less;
        self.core.ff = (self.core.ff - gain_f * gain_f * less).max(LEAST_VARIANCE);
        for (bias, gain_j) in self.bias.iter_mut().zip(&gain) {
            *bias += gain_j * shift;
        }
        for (values, gain_i) in [(&mut self.x_bias, gain_x), (&mut self.f_bias, gain_f)] {
            for (value, gain_j) in values.iter_mut().zip(&gain) {
                *value -= gain_i * gain_j * less;
            }
        }
        subtract_products(self.biases.get_mut(..self.used).unwrap_or_default(), &gain, less);
        self.core = self.core.bounded();
    }

    /// The bias of source `i` becomes independent, with this mean and variance.
    fn free(&mut self, i: usize, mean: f64, variance: f64) {
        self.used = self.used.max(i + 1);
        for row in &mut self.biases {
            if let Some(value) = row.get_mut(i) {
                *value = 0.0;
            }
        }
        if let Some(row) = self.biases.get_mut(i) {
            *row = [0.0; N];
            if let Some(own) = row.get_mut(i) {
                *own = variance;
            }
        }
        for (values, value) in [(&mut self.x_bias, 0.0), (&mut self.f_bias, 0.0), (&mut self.bias, mean)] {
            if let Some(slot) = values.get_mut(i) {
                *slot = value;
            }
        }
    }
}

/// The bank of joint filters.
#[derive(Debug, Clone)]
pub(crate) struct Joint<const N: usize> {
    filters: [Filter<N>; MEMBERS],
    /// What the samples found here say of the filters, and what the witnesses' banks say.
    ln_own: [f64; MEMBERS],
    ln_heard: [f64; MEMBERS],
    samples: u32,
    walks: [f64; N],
    /// All of them as one, where that is worked out: until one of them moves.
    merged: Option<Mixture>,
}

impl<const N: usize> Joint<N> {
    /// Built from the members' witnesses: x diffuse, one update per member, so that what a former member did is gone.
    ///
    /// `old` are the biases known before, kept where given.
    pub(crate) fn build(members: &[Option<Member>; N], old: &[f64; N]) -> Self {
        let (frequency, variance) = common_frequency(members);
        let middle = members.iter().flatten().next().map_or(0.0, |m| m.offset);
        let core = Estimate { offset: middle, frequency, xx: DIFFUSE, xf: 0.0, ff: variance.max(LEAST_VARIANCE) };
        let mut filter = Filter::zero(core);
        let mut walks = [0.0; N];
        for (i, member) in members.iter().enumerate() {
            let Some(member) = member else { continue };
            let bias = old.get(i).copied().unwrap_or_default();
            filter.free(i, bias, member.bias_deviation * member.bias_deviation);
            if let Some(walk) = walks.get_mut(i) {
                *walk = walk_of(member);
            }
        }
        for (i, member) in members.iter().enumerate() {
            let Some(member) = member else { continue };
            let (mean, variance) = filter.measured(i);
            let noise = (member.deviation * member.deviation).max(LEAST_VARIANCE);
            let shift = (member.offset - mean) * variance / (variance + noise);
            filter.absorb(i, variance, shift, variance * noise / (variance + noise));
        }
        let mut joint = Self {
            filters: [filter; MEMBERS],
            ln_own: [0.0; MEMBERS],
            ln_heard: [0.0; MEMBERS],
            samples: 0,
            walks,
            merged: None,
        };
        joint.hear(members);
        joint
    }

    /// Without a majority: the level is held where it is given, every source gets the bias that this leaves it, and only
    /// the frequency, on which all may agree, is learnt from them.
    pub(crate) fn undecided(members: &[Option<Member>; N], level: f64, doubt: f64) -> Self {
        let mut joint = Self::build(members, &[0.0; N]);
        for filter in &mut joint.filters {
            let core = filter.core;
            *filter = Filter::zero(Estimate { offset: level, xx: HELD, xf: 0.0, ..core });
            for (i, member) in members.iter().enumerate() {
                if let Some(member) = member {
                    filter.free(i, member.offset - level, doubt * doubt);
                }
            }
        }
        joint
    }

    /// One more member, its bias unknown.
    pub(crate) fn join(&mut self, i: usize, member: &Member) {
        self.merged = None;
        for filter in &mut self.filters {
            filter.free(i, 0.0, member.bias_deviation * member.bias_deviation);
        }
        if let Some(walk) = self.walks.get_mut(i) {
            *walk = walk_of(member);
        }
    }

    /// One more source whose offset means nothing: what it changes by does.
    pub(crate) fn track(&mut self, i: usize, source: &Member) {
        self.merged = None;
        let noise = (source.deviation * source.deviation).max(LEAST_VARIANCE);
        for filter in &mut self.filters {
            filter.free(i, source.offset - filter.core.offset, DIFFUSE);
            let (_, variance) = filter.measured(i);
            filter.absorb(i, variance, 0.0, variance * noise / (variance + noise));
        }
        if let Some(walk) = self.walks.get_mut(i) {
            *walk = walk_of(source);
        }
    }

    /// One member less: its bias says nothing any more.
    pub(crate) fn dismiss(&mut self, i: usize) {
        self.merged = None;
        for filter in &mut self.filters {
            filter.free(i, 0.0, 0.0);
        }
        if let Some(walk) = self.walks.get_mut(i) {
            *walk = 0.0;
        }
    }

    /// Goes `elapsed` seconds on.
    pub(crate) fn predict(&mut self, elapsed: f64) {
        self.merged = None;
        for (filter, walk) in self.filters.iter_mut().zip(&Walk::each(elapsed)) {
            filter.predict(walk, &self.walks);
        }
    }

    /// Mean and variance of what source `i` measures now.
    pub(crate) fn measured(&self, i: usize) -> (f64, f64) {
        let weights = self.weights();
        let each = self.each(|filter| filter.measured(i));
        let mean = each.iter().zip(weights).map(|(m, w)| w * m.0).sum::<f64>();
        let variance = each.iter().zip(weights).map(|(m, w)| w * (m.1 + (m.0 - mean) * (m.0 - mean))).sum();
        (mean, variance)
    }

    /// Takes in a sample of member `i` taken now.
    pub(crate) fn update(&mut self, i: usize, observation: &Observation) {
        self.merged = None;
        self.samples = self.samples.saturating_add(1);
        let measured = self.each(|filter| filter.measured(i));
        let posteriors = observation.likelihood().posteriors(&measured);
        for (filter, (posterior, (_, variance))) in self.filters.iter_mut().zip(posteriors.iter().zip(measured)) {
            filter.absorb(i, variance, posterior.shift, posterior.variance.max(LEAST_VARIANCE));
        }
        let evidence = posteriors.map(|posterior| posterior.ln_likelihood);
        if self.samples > WEIGHTLESS {
            let best = evidence.into_iter().fold(f64::NEG_INFINITY, f64::max);
            for (ln_own, evidence) in self.ln_own.iter_mut().zip(evidence) {
                *ln_own = FORGETTING * *ln_own + evidence.max(best - SWAYS);
            }
        }
        normalize(&mut self.ln_own);
        if self.ln_own.iter().any(|&ln_own| is_lost(ln_own)) {
            let best = self.best();
            for (filter, &ln_own) in self.filters.iter_mut().zip(&self.ln_own) {
                if is_lost(ln_own) {
                    *filter = best;
                }
            }
        }
    }

    /// What the members' witnesses say of the wander now.
    pub(crate) fn hear(&mut self, members: &[Option<Member>; N]) {
        let mut sums = [0.0; MEMBERS];
        for member in members.iter().flatten() {
            for (sum, ln_weight) in sums.iter_mut().zip(&member.ln_weights) {
                *sum += ln_weight;
            }
        }
        #[allow(clippy::cast_precision_loss)] // a count of sources
        let count = members.iter().flatten().count().max(1) as f64;
        self.ln_heard = sums.map(|sum| sum / count);
        self.merged = None;
    }

    fn weights(&self) -> [f64; MEMBERS] {
        weights(&self.ln_weights())
    }

    fn ln_weights(&self) -> [f64; MEMBERS] {
        let mut ln_weights = self.ln_own;
        for (ln_weight, ln_heard) in ln_weights.iter_mut().zip(&self.ln_heard) {
            *ln_weight += HEARD * ln_heard;
        }
        normalize(&mut ln_weights);
        ln_weights
    }

    /// The heaviest filter.
    fn best(&self) -> Filter<N> {
        let ln_weights = self.ln_weights();
        let heaviest = self.filters.iter().zip(&ln_weights).max_by(|a, b| a.1.total_cmp(b.1));
        heaviest.map_or(Filter::zero(Estimate::default()), |(filter, _)| *filter)
    }

    /// Moves the level by this part of the way to where the biases, weighted by their priors, have mean zero.
    ///
    /// Joining or losing a source so never makes a jump, only a slow walk.
    pub(crate) fn gauge(&mut self, members: &[Option<Member>; N], part: f64) {
        let weight = |m: &Member| 1.0 / (m.bias_deviation * m.bias_deviation).max(LEAST_VARIANCE);
        let total: f64 = members.iter().flatten().map(weight).sum();
        if total <= 0.0 {
            return;
        }
        // Those that are tracked measure what they did, too.
        let [first, ..] = &self.filters;
        let has_bias = |i: usize| first.biases.get(i).and_then(|row| row.get(i)).is_some_and(|&own| own > 0.0);
        let parts: [f64; N] = core::array::from_fn(|i| if has_bias(i) { part } else { 0.0 });
        for filter in &mut self.filters {
            let each = members.iter().zip(&filter.bias);
            let mean = each.filter_map(|(m, bias)| m.map(|m| weight(&m) * bias)).sum::<f64>() / total;
            filter.core.offset += part * mean;
            for (bias, part) in filter.bias.iter_mut().zip(&parts) {
                *bias -= part * mean;
            }
        }
        self.merged = None;
        self.merged = Some(self.merged());
    }

    /// The biases.
    pub(crate) fn biases(&self) -> [f64; N] {
        let weights = self.weights();
        let mut biases = [0.0; N];
        for (filter, weight) in self.filters.iter().zip(weights) {
            for (sum, bias) in biases.iter_mut().zip(&filter.bias) {
                *sum += weight * bias;
            }
        }
        biases
    }

    /// Offset and frequency `elapsed` seconds on, by the filters that carry weight: the others run after every sample of a far
    /// and noisy source, however little it tells beside a near and quiet one.
    pub(crate) fn estimate(&self, elapsed: f64) -> Estimate {
        self.merged().after(elapsed)
    }

    fn merged(&self) -> Mixture {
        self.merged.unwrap_or_else(|| Mixture::heavy(&self.each(|filter| filter.core), &self.weights()))
    }

    /// The same for planning: of what the members measure on average, because the level's uncertainty does not grow.
    pub(crate) fn plan(&self, members: &[Option<Member>; N], elapsed: f64) -> Mixture {
        let weight = |m: &Option<Member>| m.map_or(0.0, |m| 1.0 / (m.deviation * m.deviation).max(LEAST_VARIANCE));
        let total: f64 = members.iter().map(weight).sum::<f64>().max(f64::MIN_POSITIVE);
        let shares: [f64; N] = core::array::from_fn(|i| members.get(i).map_or(0.0, weight) / total);
        let weights = heavy(&self.weights());
        let mut measured = [Estimate::default(); MEMBERS];
        for ((measured, filter), _) in measured.iter_mut().zip(&self.filters).zip(weights).filter(|each| each.1 > 0.0) {
            *measured = filter.average(&shares);
        }
        Mixture::new(&measured, &weights).moved(elapsed)
    }

    fn each<T: Copy + Default>(&self, pick: impl Fn(&Filter<N>) -> T) -> [T; MEMBERS] {
        let mut each = [T::default(); MEMBERS];
        for (slot, filter) in each.iter_mut().zip(&self.filters) {
            *slot = pick(filter);
        }
        each
    }

    /// Whether it is an estimate still: what hostile samples made of it is built anew from the witnesses.
    pub(crate) fn is_sound(&self) -> bool {
        let estimate = self.estimate(0.0);
        // No early end: so a compiler can look at several at a time.
        let are_kept = |values: &[f64; N]| values.iter().fold(true, |kept, value| kept & (libm::fabs(*value) < LOST.0));
        let biases = self.filters.iter().all(|filter| are_kept(&filter.bias) & are_kept(&filter.x_bias));
        biases && estimate.xx < LOST.0 * LOST.0 && libm::fabs(estimate.frequency) < LOST.1
    }
}

/// Apart, so that a compiler knows row and gain not to overlap, and takes several at a time.
#[inline(never)]
fn subtract_products<const N: usize>(covariance: &mut [[f64; N]], gain: &[f64; N], less: f64) {
    for (j, (row, gain_j)) in covariance.iter_mut().zip(gain).enumerate() {
        for (value, gain_k) in row.iter_mut().zip(gain) {
            *value -= gain_j * gain_k * less;
        }
        if let Some(own) = row.get_mut(j) {
            *own = own.max(0.0);
        }
    }
}

/// Variance a bias gains per second.
fn walk_of(member: &Member) -> f64 {
    let by_spread = WALK_SPREAD * member.spread;
    let by_prior = WALK_PRIOR * member.bias_deviation * member.bias_deviation / DAY;
    (by_spread * by_spread / HOUR).min(by_prior)
}
