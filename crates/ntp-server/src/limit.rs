//! Rate limits in a fixed amount of memory that no number of sources can exhaust.
//!
//! Each address prefix has a token bucket, kept as one number: the moment at which the bucket will be full again (the
//! generic cell rate algorithm). A full bucket says nothing that an absent one does not, so when a set is crowded the
//! entry closest to full makes room: a flood of new sources displaces those who hardly ask, and never who asks too much.
//!
//! An entry has 8 octets and a set of eight is one cache line: a look costs one line, whatever the number of clients.
//! A table for 10⁶ clients at half load has 16 MiB. The hash is keyed, so that nobody can choose who shares a set.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use ntp_types::Instant;

use crate::address::Address;

/// How much is answered.
///
/// It is kept by each [`Server`](crate::Server) for itself: workers share no table, so that none waits for another. Where the
/// kernel spreads clients over workers by address and port (`SO_REUSEPORT`), a client that keeps its port stays with one
/// worker and has this limit; one that changes its port can have it once from each worker. Divide by their number where that
/// matters. The same holds for [`Server::with_ceiling`](crate::Server::with_ceiling).
///
/// Memory is eight octets a source, whatever happens: 16 MiB for a table with room for 2²¹, in which 10⁶ clients are at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // a value to be written out by its user
pub struct RateLimit {
    /// The mean interval at which a source may ask: 16 µs to 1 hour.
    pub interval: Duration,
    /// How many requests it may send at once; at least 1, and `interval` × `burst` is cut to 4 hours.
    pub burst: u32,
    /// IPv4 addresses that agree in so many bits are one source.
    pub v4_prefix: u8,
    /// IPv6 addresses that agree in so many bits are one source.
    pub v6_prefix: u8,
    /// Of the requests over the limit, one in 2ⁿ is answered all the same, so that a client whose address others use
    /// as theirs is not starved; `None` for none.
    pub leak: Option<u8>,
    /// Of the others, one in 2ⁿ gets a kiss-o'-death with the code RATE; `None` for none.
    pub kiss: Option<u8>,
    /// Sources the table has room for; rounded up to a power of two.
    pub sources: usize,
}

impl Default for RateLimit {
    /// One request in two seconds, eight at once; by single IPv4 address and IPv6 /64; leak 1 of 16, kiss 1 of 4;
    /// 2¹⁶ sources in 512 KiB.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            burst: 8,
            v4_prefix: 32,
            v6_prefix: 64,
            leak: Some(4),
            kiss: Some(2),
            sources: 1 << 16,
        }
    }
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Allowance {
    /// Answer it.
    Within,
    /// Over the limit; answer it all the same.
    Leaked,
    /// Over the limit; say so.
    Kiss,
    /// Over the limit; say nothing.
    Over,
}

/// Entries of a set: as many as a cache line holds.
const WAYS: usize = 8;
/// Time is counted in units of 2¹⁴ ns (16 µs), in 32 bits: 19 hours.
const UNIT_LOG2: u32 = 14;
/// Four hours in units: 14 400 s of 61 035 units each.
const MAX_SPAN: u32 = 14_400 * 61_035;

/// The buckets that share a cache line; tags and numbers apart, so that they are compared in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(align(64))]
struct Set {
    /// The part of each hash that did not choose the set; 0 in a place that was never used.
    tags: [u32; WAYS],
    /// When each bucket is full again, in units modulo 2³².
    full_at: [u32; WAYS],
}

impl Set {
    /// The place of `tag` and what its bucket lacks, if it is where the tag would have it, as nearly always, or new and that
    /// place is free: a full bucket says nothing that an absent one does not.
    #[inline(always)]
    fn find_at_home(&self, tag: u32, missing: Missing) -> Option<(usize, u32)> {
        let home = home(tag);
        let lacks = missing.of(*self.full_at.get(home)?);
        // All at once: eight octets that are one number.
        let is_elsewhere = || u64::from_ne_bytes(self.tags.map(|other| u8::from(other == tag))) != 0;
        if *self.tags.get(home)? == tag || lacks == 0 && !is_elsewhere() {
            Some((home, lacks))
        } else {
            None
        }
    }

    /// The place of a tag that is not at home and what its bucket lacks. Who is new takes the place of the bucket that is closest
    /// to full.
    fn find_elsewhere(&self, tag: u32, missing: Missing) -> (usize, u32) {
        let lacks = self.full_at.map(|full_at| missing.of(full_at));
        let all = self.tags.iter().zip(lacks).enumerate();
        match all.clone().find(|(_, (&other, _))| other == tag) {
            Some((way, (_, lacks))) => (way, lacks),
            None => all.min_by_key(|&(_, (_, lacks))| lacks).map_or((0, 0), |(way, _)| (way, 0)),
        }
    }
}

/// What is still missing in a bucket.
#[derive(Clone, Copy)]
struct Missing {
    now: u32,
    most: u32,
}

impl Missing {
    /// Nothing in a bucket that is full, or so old that its number has wrapped.
    #[inline(always)]
    const fn of(self, full_at: u32) -> u32 {
        let ahead = full_at.wrapping_sub(self.now);
        if ahead <= self.most {
            ahead
        } else {
            0
        }
    }
}

/// Where in its set a tag would be.
#[inline(always)]
const fn home(tag: u32) -> usize {
    // The lowest bit is always set, those above it are as good as any.
    (tag >> 1) as usize % WAYS
}

/// The token buckets of all sources.
#[derive(Debug, Clone)]
pub(crate) struct RateTable {
    sets: Vec<Set>,
    /// Units of time that one request costs.
    cost: u32,
    /// Units of time that a bucket may lack and still give.
    room: u32,
    v4_mask: u32,
    v6_mask: u128,
    leak: Option<u8>,
    kiss: Option<u8>,
    key: HashKey,
    dice: u64,
}

/// Keys of the hash: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashKey(u64, u64);

impl HashKey {
    pub(crate) const fn new(bits: u128) -> Self {
        #[allow(clippy::cast_possible_truncation)] // its two halves
        let (low, high) = (bits as u64, (bits >> 64) as u64);
        // Spread, so that a weak key given by hand is not a weak factor below.
        Self(fold(low ^ SPREAD.0, SPREAD.1), fold(high ^ SPREAD.1, SPREAD.0))
    }

    /// A keyed hash of few bits by one folded multiplication; it shares nothing with that of many.
    #[inline]
    pub(crate) const fn hash_short(self, bits: u32) -> u64 {
        fold(bits as u64 ^ self.1, self.0)
    }

    /// A keyed hash of an address by two folded multiplications.
    #[inline]
    pub(crate) const fn hash(self, bits: u128) -> u64 {
        #[allow(clippy::cast_possible_truncation)] // its two halves
        let (low, high) = (bits as u64, (bits >> 64) as u64);
        fold(fold(low ^ self.0, high ^ self.1) ^ self.1, SPREAD.0 ^ self.0)
    }
}

/// Odd numbers without pattern: the fractions of the golden ratio and of √2.
const SPREAD: (u64, u64) = (0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909);

#[allow(clippy::cast_possible_truncation)] // folding the halves onto each other is the purpose
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

impl RateTable {
    pub(crate) fn new(limit: &RateLimit, key: HashKey) -> Self {
        let units = |duration: Duration| u32::try_from(duration.as_nanos() >> UNIT_LOG2).unwrap_or(MAX_SPAN);
        let cost = units(limit.interval).clamp(1, MAX_SPAN / 4);
        let sets = (limit.sources.clamp(WAYS, 1 << 30) / WAYS).next_power_of_two();
        Self {
            sets: vec![Set::default(); sets],
            cost,
            room: cost.saturating_mul(limit.burst.saturating_sub(1)).min(MAX_SPAN),
            v4_mask: u32::MAX.checked_shl(32_u32.saturating_sub(limit.v4_prefix.into())).unwrap_or(0),
            v6_mask: u128::MAX.checked_shl(128_u32.saturating_sub(limit.v6_prefix.into())).unwrap_or(0),
            leak: limit.leak,
            kiss: limit.kiss,
            key,
            dice: key.hash(1),
        }
    }

    /// Octets of memory.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(self.sets.as_slice())
    }

    /// The hash that chooses an address's bucket, the same for a whole prefix.
    #[inline]
    pub(crate) fn bucket_v4(&self, address: Ipv4Addr) -> u64 {
        self.key.hash_short(u32::from(address) & self.v4_mask)
    }

    /// The same.
    #[inline]
    pub(crate) fn bucket_v6(&self, address: Ipv6Addr) -> u64 {
        self.key.hash(u128::from(address) & self.v6_mask)
    }

    /// Where the set lies that a hash chooses: by its low bits.
    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        #[allow(clippy::cast_possible_truncation)] // a power of two of sets, that there is room for
        let place = hash as usize & (self.sets.len() - 1);
        place
    }

    /// Something of the line of memory by which `source` will be judged.
    #[inline]
    pub(crate) fn peek(&self, source: impl Address) -> u32 {
        self.sets.get(self.place(source.bucket(self))).map_or(0, |set| set.tags[0])
    }

    /// Whether `source` may be answered at `now`, and takes a token if so.
    pub(crate) fn take(&mut self, source: impl Address, now: Instant) -> Allowance {
        if self.take_where(source, now, |set, tag, missing| {
            Some(set.find_at_home(tag, missing).unwrap_or_else(|| set.find_elsewhere(tag, missing)))
        }) {
            Allowance::Within
        } else {
            self.over()
        }
    }

    /// Takes a token if `source` may be answered at `now` and is found at the first look. False, and nothing done, otherwise.
    #[inline(always)]
    pub(crate) fn take_at_once(&mut self, source: impl Address, now: Instant) -> bool {
        self.take_where(source, now, Set::find_at_home)
    }

    #[inline(always)]
    fn take_where(
        &mut self,
        source: impl Address,
        now: Instant,
        find: impl FnOnce(&Set, u32, Missing) -> Option<(usize, u32)>,
    ) -> bool {
        let hash = source.bucket(self);
        let (cost, room) = (self.cost, self.room);
        let place = self.place(hash);
        #[allow(clippy::cast_possible_truncation)] // the high bits are the tag
        let tag = (hash >> 32) as u32 | 1;
        #[allow(clippy::cast_possible_truncation)] // modulo 2³² on purpose: only spans count
        let now = (now.as_nanos() >> UNIT_LOG2) as u32;
        let Some(set) = self.sets.get_mut(place) else { return true };
        let Some((way, lacks)) = find(set, tag, Missing { now, most: room + cost }) else { return false };
        if lacks > room {
            return false;
        }
        if let (Some(tag_place), Some(full_at)) = (set.tags.get_mut(way), set.full_at.get_mut(way)) {
            *tag_place = tag;
            *full_at = now.wrapping_add(lacks + cost);
        }
        true
    }

    #[cold]
    fn over(&mut self) -> Allowance {
        self.dice = self.dice.wrapping_add(SPREAD.0);
        let roll = self.key.hash(self.dice.into());
        let one_in = |log2: Option<u8>, roll: u64| log2.is_some_and(|log2| roll & !(u64::MAX << log2.min(31)) == 0);
        if one_in(self.leak, roll) {
            Allowance::Leaked
        } else if one_in(self.kiss, roll >> 32) {
            Allowance::Kiss
        } else {
            Allowance::Over
        }
    }
}

/// A ceiling over everything that is sent, in answers per second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ceiling {
    /// Nanoseconds that one answer costs.
    cost: u64,
    /// Nanoseconds that may be lacking.
    room: u64,
    full_at: u64,
}

impl Ceiling {
    /// `rate` answers per second, and so many at once as fall into `1/8` s.
    pub(crate) fn new(rate: u32) -> Self {
        Self { cost: 1_000_000_000 / u64::from(rate.max(1)), room: 125_000_000, full_at: 0 }
    }

    /// Whether one more answer is within it.
    #[inline]
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.full_at.saturating_sub(now.as_nanos()) <= self.room
    }

    /// Counts one more answer.
    #[inline]
    pub(crate) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now.as_nanos()).saturating_add(self.cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::net::IpAddr;

    const KEY: HashKey = HashKey::new(0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn strict(interval: u64, burst: u32) -> RateLimit {
        let interval = Duration::from_millis(interval);
        RateLimit { interval, burst, leak: None, kiss: None, ..RateLimit::default() }
    }

    #[test]
    fn a_burst_and_then_one_in_each_interval() {
        let mut table = RateTable::new(&strict(1000, 4), KEY);
        let source = IpAddr::from([192, 0, 2, 1]);
        let mut within = |millis| table.take(source, at(millis)) == Allowance::Within;
        let burst: Vec<_> = (0..6).map(|_| within(10_000)).collect();
        assert_eq!(burst, [true, true, true, true, false, false]);
        assert!(!within(10_900) && within(11_001) && !within(11_002));
        // Ten seconds for 100 requests each second: ten answers.
        assert_eq!((0..1000).filter(|turn| within(12_005 + turn * 10)).count(), 10);
        // After rest the burst is there again, and no more.
        assert_eq!((0..9).filter(|_| within(100_000)).count(), 4);
    }

    #[test]
    fn addresses_of_one_prefix_are_one_source() {
        let mut table = RateTable::new(&RateLimit { v4_prefix: 24, ..strict(1000, 1) }, KEY);
        let mut take = |text: &str| table.take(text.parse::<IpAddr>().unwrap(), at(0));
        assert_eq!(take("192.0.2.1"), Allowance::Within);
        assert_eq!(take("192.0.2.99"), Allowance::Over);
        assert_eq!(take("192.0.3.1"), Allowance::Within);
        assert_eq!(take("2001:db8::1"), Allowance::Within);
        assert_eq!(take("2001:db8::ffff:1"), Allowance::Over);
        assert_eq!(take("2001:db8:0:1::1"), Allowance::Within);
    }

    #[test]
    fn some_leak_and_some_are_told() {
        let limit = RateLimit { leak: Some(4), kiss: Some(2), ..strict(3_600_000, 1) };
        let mut table = RateTable::new(&limit, KEY);
        let mut counts = HashMap::new();
        for _ in 0..64_000 {
            *counts.entry(table.take(IpAddr::from([192, 0, 2, 1]), at(0))).or_insert(0) += 1;
        }
        assert_eq!(counts[&Allowance::Within], 1);
        // 1/16 leak, 1/4 of the rest are told: 4000 and 15000, six sigma each.
        assert!((3_640..4_360).contains(&counts[&Allowance::Leaked]), "{counts:?}");
        assert!((14_360..15_640).contains(&counts[&Allowance::Kiss]), "{counts:?}");
    }

    #[test]
    fn a_flood_of_strangers_neither_frees_the_greedy_nor_starves_the_modest() {
        let limit = RateLimit { sources: 1 << 10, ..strict(1000, 4) };
        let mut table = RateTable::new(&limit, KEY);
        let (greedy, modest) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let (mut greedy_got, mut modest_got, mut stranger) = (0, 0, 0_u32);
        for milli in 0..20_000 {
            greedy_got += u32::from(table.take(greedy, at(milli)) == Allowance::Within);
            if milli % 2_000 == 0 {
                modest_got += u32::from(table.take(modest, at(milli)) == Allowance::Within);
            }
            // Fifty new addresses in each millisecond: a thousand times the table in these 20 s.
            for _ in 0..50 {
                stranger += 1;
                table.take(IpAddr::from((0xac10_0000_u32 + stranger).to_be_bytes()), at(milli));
            }
        }
        assert_eq!(modest_got, 10);
        assert!((23..=25).contains(&greedy_got), "{greedy_got}");
    }

    #[test]
    fn memory_is_what_was_promised() {
        let table = RateTable::new(&RateLimit { sources: 2_000_000, ..RateLimit::default() }, KEY);
        assert_eq!(table.memory(), 16 << 20);
        assert_eq!(size_of::<Set>(), 64);
    }

    #[test]
    fn the_ceiling_holds_over_any_second() {
        let mut ceiling = Ceiling::new(1000);
        let moments = (0..100_000_u64).map(|turn| Instant::from_nanos(turn * 100_000));
        let taken = moments.filter(|&now| ceiling.has_room(now).then(|| ceiling.take(now)).is_some()).count();
        assert!((10_000..=10_130).contains(&taken), "{taken} in ten seconds");
    }

    proptest! {
        /// Against exact token buckets in a map, whatever the pattern of arrivals.
        #[test]
        fn it_agrees_with_token_buckets(
            interval in 1..5_000_u64,
            burst in 1..20_u32,
            steps in prop::collection::vec((0..4_u8, 0..3_000_u64), 1..300),
        ) {
            let mut table = RateTable::new(&strict(interval, burst), KEY);
            let mut buckets: HashMap<u8, (f64, u64)> = HashMap::new();
            let mut now = 50_000;
            for (source, wait) in steps {
                now += wait;
                let (tokens, seen) = buckets.entry(source).or_insert((burst.into(), now));
                #[allow(clippy::cast_precision_loss)]
                let refilled = (*tokens + (now - *seen) as f64 / interval as f64).min(burst.into());
                let got = table.take(IpAddr::from([10, 0, 0, source]), at(now)) == Allowance::Within;
                // Where the exact bucket stands at the edge, units of 16 µs decide.
                let edge = (refilled - 1.0).abs() < 0.02 * f64::from(burst);
                if !edge {
                    prop_assert_eq!(got, refilled >= 1.0, "{} tokens", refilled);
                }
                *tokens = refilled - f64::from(u8::from(got));
                *seen = now;
            }
        }
    }
}
