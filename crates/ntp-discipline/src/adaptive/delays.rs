//! The delays of one path: its base, its typical excess, and whether the path has become another one.

use crate::total::sort;

/// Delays remembered. 128 → 512 brought a fifth at a fixed poll of 64 s; more did no harm.
pub(crate) const WINDOW: usize = 1024;
/// What shows that a path has become longer.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// So many of the last delays …
    count: usize,
    /// … whose smallest stands above the old base by so many times what lies between it and their median, …
    clear: f32,
    /// … and by so many typical excesses of the older ones, …
    excess: f32,
    /// … of which there must be so many, …
    older: usize,
    /// … while the offsets scatter by less than this part of it.
    scatter: f64,
}

/// Of queues that have grown 8 delays stand 12-fold clear once in 20 000 times, and 16 fourfold once in 100 000: a fourfold rise
/// of 8, which takes a night of congestion for a longer path as often as not, will not do. So many delays as the last of them
/// needs show a change whatever came before, be it only bursts, or another path. But of packets that were queued that long the
/// offsets are anywhere within half the rise: the mean of 8 is within a fifth of that once in 1000 times. So 8 that stand
/// threefold clear will do where the offsets hardly move.
const CHANGES: [Change; 4] = [
    Change { count: 8, clear: 12.0, excess: 4.0, older: 4, scatter: f64::INFINITY },
    Change { count: 8, clear: 3.0, excess: 2.0, older: 8, scatter: 0.1 },
    Change { count: 16, clear: 4.0, excess: 4.0, older: 17, scatter: f64::INFINITY },
    Change { count: 32, clear: 3.0, excess: 0.0, older: 1, scatter: f64::INFINITY },
];
const MOST_RECENT: usize = 32;
/// So many delays that all lie below the older ones, of which there must be so many, by so many of their typical excesses
/// show a shorter path: what was seen before says nothing of it.
const FALL: usize = 4;
const BEFORE_FALL: usize = 8;
const FALL_EXCESS: f32 = 4.0;
const LEAST_FALL: f32 = 1e-6;
/// Least typical excess: below it timestamps, not queues, make the noise.
const LEAST_SPREAD: f64 = 1e-7;
/// Median of two gamma queues of shape 3 each, in units of what lies between their quartiles.
const QUARTILES: f64 = 1.77;
/// Least excess of the smallest delay seen over the base where queues are never empty, in units of spread.
const LEAST_FILL: f64 = 0.25;
/// Typical excess assumed while at most two delays are known.
const UNKNOWN_SPREAD: f64 = 1e-3;

/// The last delays of a path, in order of arrival and in order of size.
///
/// Kept as f32: a delay of 100 ms to 7 ns. The base is taken from the exact delays apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delays {
    /// Ring by arrival; `next` is the oldest once it is full.
    arrived: [f32; WINDOW],
    sorted: [f32; WINDOW],
    len: usize,
    next: usize,
    spread: f64,
    /// The first few of a shorter path, which stand clear below all others.
    fallen: usize,
}

impl Delays {
    pub(crate) const fn new() -> Self {
        Self { arrived: [0.0; WINDOW], sorted: [0.0; WINDOW], len: 0, next: 0, spread: UNKNOWN_SPREAD, fallen: 0 }
    }

    /// How many are known.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many are of the path that the smallest one came by.
    pub(crate) const fn of_this_path(&self) -> usize {
        if self.fallen > 0 {
            self.fallen
        } else {
            self.len
        }
    }

    /// Adds one; the oldest gives way when the window is full.
    pub(crate) fn push(&mut self, delay: f64) {
        #[allow(clippy::cast_possible_truncation)] // rounds to nearest; stated above
        let delay = delay as f32;
        if self.len == WINDOW {
            let oldest = self.arrived.get(self.next).copied().unwrap_or_default();
            let place = self.place(oldest);
            if let Some(tail @ [_, ..]) = self.sorted.get_mut(place..self.len) {
                tail.copy_within(1.., 0);
            }
            self.len -= 1;
        }
        let place = self.place(delay);
        if let Some(tail @ [_, ..]) = self.sorted.get_mut(place..=self.len) {
            tail.copy_within(..tail.len() - 1, 1);
            if let Some(slot) = tail.first_mut() {
                *slot = delay;
            }
        }
        if let Some(slot) = self.arrived.get_mut(self.next) {
            *slot = delay;
        }
        self.next = (self.next + 1) % WINDOW;
        self.len += 1;
        (self.spread, self.fallen) = self.measured();
    }

    /// The smallest delay known: the path's base as far as it has been seen.
    pub(crate) fn base(&self) -> f64 {
        f64::from(self.sorted.first().copied().unwrap_or_default())
    }

    /// Typical excess over the base: that of the median.
    pub(crate) const fn spread(&self) -> f64 {
        self.spread
    }

    /// The spread, and how many have fallen.
    fn measured(&self) -> (f64, usize) {
        if self.len <= 2 {
            return (UNKNOWN_SPREAD, 0);
        }
        let median = self.median();
        // The first few of a shorter path say nothing of the queues yet.
        let stands_clear = |low: &[f32]| match *low {
            [low, next] => {
                f64::from(next - low) > f64::from(FALL_EXCESS) * (median - f64::from(next)).max(LEAST_SPREAD)
            }
            _ => false,
        };
        let lowest = self.sorted.get(..FALL).filter(|_| self.len >= BEFORE_FALL + FALL).unwrap_or_default();
        let fallen = lowest.windows(2).position(stands_clear).map_or(0, |last| last + 1);
        ((median - self.ranked(fallen)).max(LEAST_SPREAD), fallen)
    }

    /// The base of a path whose queues are never empty, by the quartiles; below all that was seen.
    pub(crate) fn filled_base(&self) -> f64 {
        let between_quartiles = self.ranked(3 * self.len / 4) - self.ranked(self.len / 4);
        (self.median() - QUARTILES * between_quartiles).min(self.base() - LEAST_FILL * self.spread())
    }

    fn median(&self) -> f64 {
        0.5 * (self.ranked((self.len - 1) / 2) + self.ranked(self.len / 2))
    }

    /// The delay of that rank, from 0.
    fn ranked(&self, rank: usize) -> f64 {
        f64::from(self.sorted.get(rank).copied().unwrap_or_default())
    }

    /// How many of the last delays stand clear of all older ones, and the rise of the base, in seconds.
    ///
    /// `scatter` is the mean deviation of the last offsets from what was expected.
    pub(crate) fn rise(&self, scatter: f64) -> Option<(usize, f64)> {
        let recent = self.recent();
        CHANGES.into_iter().find_map(|change| {
            let rise = self.rise_of(recent, change).filter(|rise| scatter < change.scatter * rise)?;
            Some((change.count, rise))
        })
    }

    fn rise_of(&self, mut recent: [f32; MOST_RECENT], change: Change) -> Option<f64> {
        let Change { count, clear, excess, older, .. } = change;
        if self.len < older + count {
            return None;
        }
        let recent = recent.get_mut(..count)?;
        sort(recent, |a, b| a.total_cmp(b).is_lt());
        let (low, middle) = (recent.first().copied()?, recent.get(count / 2).copied()?);
        // The recent ones stand above nearly all others, so the older ones are the front of the sorted order.
        let older = self.len - count;
        let oldest_base = self.sorted.first().copied()?;
        let older_median = self.sorted.get(older / 2).copied()?;
        let rise = low - oldest_base;
        let is_clear = rise > excess * (older_median - oldest_base) && rise > clear * (middle - low);
        is_clear.then_some(f64::from(rise))
    }

    /// How many of the last delays stand clear below all older ones.
    pub(crate) fn fall(&self) -> Option<usize> {
        let older = self.len.checked_sub(FALL).filter(|&older| older >= BEFORE_FALL)?;
        let highest = self.recent().into_iter().take(FALL).fold(f32::NEG_INFINITY, f32::max);
        let (older_base, older_median) = (self.sorted.get(FALL)?, self.sorted.get(FALL + older / 2)?);
        // Where they are the lowest, the others begin behind them.
        let is_clear = older_base - highest > FALL_EXCESS * (older_median - older_base).max(LEAST_FALL);
        is_clear.then_some(FALL)
    }

    /// Forgets all but so many of the last: the path has changed.
    pub(crate) fn keep_recent(&mut self, count: usize) {
        let recent = self.recent();
        let kept = self.len.min(count);
        (self.len, self.next) = (0, 0);
        for &delay in recent.iter().take(kept).rev() {
            self.push(f64::from(delay));
        }
    }

    /// The last delays, the newest first.
    fn recent(&self) -> [f32; MOST_RECENT] {
        let at = |back| self.arrived.get((self.next + WINDOW - 1 - back) % WINDOW).copied().unwrap_or_default();
        core::array::from_fn(at)
    }

    /// Where `delay` stands, or would stand, in the sorted order.
    fn place(&self, delay: f32) -> usize {
        self.sorted.get(..self.len).unwrap_or_default().partition_point(|&known| known < delay)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Base and spread against a plain list, also when the window is full and the oldest gives way.
        #[test]
        fn order_statistics_agree_with_a_sorted_list(delays in prop::collection::vec(0.0..1.0_f64, 3..2_500)) {
            let mut window = Delays::new();
            for &delay in &delays {
                window.push(delay);
            }
            #[allow(clippy::cast_possible_truncation)] // as the window keeps them
            let mut sorted: Vec<f32> = delays.iter().rev().take(WINDOW).map(|&delay| delay as f32).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            let n = sorted.len();
            let median = 0.5 * (f64::from(sorted[(n - 1) / 2]) + f64::from(sorted[n / 2]));
            prop_assert_eq!(window.len(), n);
            prop_assert_eq!(window.base(), f64::from(sorted[0]));
            prop_assert_eq!(window.spread(), (median - f64::from(sorted[0])).max(LEAST_SPREAD));
        }
    }

    #[test]
    fn a_longer_path_is_told_from_congestion() {
        let mut window = Delays::new();
        let noise = |i: u32| f64::from(i * 7 % 10) * 1e-4;
        (0..100).for_each(|i| window.push(0.04 + noise(i)));
        assert_eq!(window.rise(f64::MAX), None);
        (0..7).for_each(|i| window.push(0.07 + noise(i)));
        assert_eq!(window.rise(f64::MAX), None, "seven are too few");
        window.push(0.07);
        let (count, rise) = window.rise(f64::MAX).unwrap();
        assert!(count == 8 && (rise - 0.03).abs() < 1e-6, "{count} {rise}");
        window.keep_recent(8);
        assert_eq!(window.len(), 8);
        assert!((window.base() - 0.07).abs() < 1e-6);

        // Congestion spreads its delays: no change of path.
        let mut window = Delays::new();
        (0..100).for_each(|i| window.push(0.04 + noise(i)));
        (0..20).for_each(|i| window.push(0.045 + noise(i) * 50.0));
        assert_eq!(window.rise(f64::MAX), None);

        // So does congestion that leaves the base free for eight delays, which are no closer together for that.
        let mut window = Delays::new();
        (0..100).for_each(|i| window.push(0.04 + noise(i)));
        [13.3, 35.6, 15.5, 13.3, 14.3, 16.0, 24.5, 16.9].into_iter().for_each(|ms| window.push(0.04 + 1e-3 * ms));
        assert_eq!(window.rise(f64::MAX), None);
    }

    #[test]
    fn offsets_that_hardly_move_show_a_longer_path_behind_long_queues() {
        let mut window = Delays::new();
        let noise = |i: u32| f64::from(i * 7 % 10) * 3e-4;
        (0..10).for_each(|i| window.push(0.15 + noise(i)));
        (0..8).for_each(|i| window.push(0.16 + noise(i)));
        assert_eq!(window.rise(1.1e-3), None);
        assert_eq!(window.rise(0.9e-3).map(|(count, _)| count), Some(8));
    }

    #[test]
    fn a_path_between_two_longer_ones_is_told_from_both() {
        let mut window = Delays::new();
        let noise = |i: u32| f64::from(i * 7 % 10) * 1e-5;
        (0..70).for_each(|i| window.push(9e-3 + noise(i)));
        (0..3).for_each(|i| window.push(2e-4 + noise(i)));
        assert_eq!(window.fall(), None, "three are too few");
        window.push(2e-4);
        assert_eq!(window.fall(), Some(FALL));
        window.keep_recent(FALL);
        (0..2).for_each(|i| window.push(2e-4 + noise(i)));
        (0..8).for_each(|i| window.push(4e-3 + noise(i)));
        assert_eq!(window.rise(f64::MAX).map(|(count, _)| count), Some(8));
    }

    #[test]
    fn a_longer_path_is_told_in_time_where_there_were_bursts() {
        let mut window = Delays::new();
        let bursts = |i: u32| if i % 5 == 0 { 0.09 } else { f64::from(i * 7 % 10) * 5e-3 };
        (0..200).for_each(|i| window.push(0.4 + bursts(i)));
        (0..31).for_each(|i| window.push(0.52 + bursts(i)));
        assert_eq!(window.rise(f64::MAX), None);
        window.push(0.52);
        assert_eq!(window.rise(f64::MAX).map(|(count, _)| count), Some(32));
    }
}
