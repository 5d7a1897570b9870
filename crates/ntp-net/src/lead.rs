//! When a reply will really leave, learnt from transmit stamps.
//!
//! A server must write its transmit timestamp before it sends. Between the clock reading and the wire lie the work on the
//! replies, the system call, and every reply in front. What that takes is learnt here as medians of the last few, so that
//! the timestamp can be taken ahead. Pure arithmetic: the caller reads the clock.
//!
//! Three things make it differ. Sending from a rest takes several times as long as in a rush, so each pace is learnt apart.
//! And a reply that is stamped leaves later than one that is not, because the stamp itself is work: by how much shows in how
//! long the calls take with and without. And some replies need work of their own once they have their timestamp.

use ntp_types::{NtpDuration, NtpTimestamp};

/// How long after a reading of the clock the replies of one system call leave.
///
/// A reply cannot leave before the reading, so a timestamp taken ahead lies in the future of its reply by less than
/// [`MOST`](Self::MOST), whatever happens: let the root dispersion say so.
///
/// ```
/// use ntp_net::SendLead;
/// use ntp_types::{NtpDuration, NtpTimestamp};
///
/// let nanos = NtpDuration::from_nanos;
/// let mut lead = SendLead::new();
/// let mut clock = NtpTimestamp::new(3_900_000_000, 0);
/// for _ in 0..200 {
///     clock = clock + nanos(20_000);
///     let turn = lead.turn(1, clock);
///     // The truth: a reply leaves after 800 ns, 2 µs after its reading sending is over; a stamp costs 500 ns more.
///     if turn.wants_stamp() {
///         lead.learn_stamp(&turn, nanos(1_300), nanos(2_500));
///     } else if turn.wants_duration() {
///         lead.learn_duration(&turn, 1, nanos(2_000));
///     }
/// }
/// let turn = lead.turn(1, clock + nanos(20_000));
/// assert!((lead.at(&turn, 0) - nanos(800)).abs() < nanos(100));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendLead {
    paces: [Pace; PACES],
    /// What each further reply of a call takes. The lowest counts: long calls are rare but where something else has held the
    /// thread up, and may well do so again; what is taken too short eight times over is still early, and not late.
    each: Median,
    /// What the extra work on some replies takes, from before it to after.
    work: Median,
    /// The last turn's reading.
    last: NtpTimestamp,
    /// Replies since the last turn that was learnt from.
    unlearnt: usize,
}

/// Sending so long after the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// From the reading to the stamp.
    left: Median,
    /// From the reading to the end of a call that sent one reply with a stamp.
    stamped: Median,
    /// The same without a stamp.
    plain: Median,
    /// Whether the next to learn from is to be stamped.
    is_stamp_next: bool,
}

/// One system call that sends: how many replies, and what is to be learnt from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    length: usize,
    pace: usize,
    learns: Learns,
    /// When the first leaves, in units of 2⁻³² s after the reading.
    first: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learns {
    Stamp,
    Duration,
    Nothing,
}

impl Turn {
    /// How many datagrams to answer and send with this call.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Whether to have the first reply stamped, and tell [`SendLead::learn_stamp`].
    #[must_use]
    pub const fn wants_stamp(&self) -> bool {
        matches!(self.learns, Learns::Stamp)
    }

    /// Whether to tell [`SendLead::learn_duration`].
    #[must_use]
    pub const fn wants_duration(&self) -> bool {
        matches!(self.learns, Learns::Duration)
    }
}

/// So many or fewer are sent one by one, each with a reading of its own: an interruption between a reading and the last of its
/// replies makes all of them late, and with so few there is time.
const ALONE: usize = 4;
/// More go in calls of so many: hardly dearer than one call for all, and foretold within [`SendLead::MOST`].
const TOGETHER: usize = 8;
/// The rests that are told apart: below 2⁻¹⁴ s (61 µs), 2⁻¹², … and above 2⁻⁶ s (16 ms).
const PACES: usize = 6;
const FIRST_REST_LOG2: u32 = 32 - 14;
/// From this pace on (244 µs) there is time to learn from every call.
const LEISURE: usize = 2;
/// In a rush one call is learnt from in so many replies: it costs about as much as one reply.
const RARE: usize = 256;

/// Of what a stamp costs, one part in so many comes after it was taken, when it is handed back: a seventh to a fifth on
/// loopback. Thought too little, T3 is early; thought too much, it lies in the future.
const AFTER: u32 = 6;

impl Default for SendLead {
    fn default() -> Self {
        Self::new()
    }
}

impl SendLead {
    /// The furthest that is looked ahead, 2⁻¹⁶ s (15 µs): the least that a root dispersion can say. A reply that will take longer
    /// gets a timestamp that is early, as all of them do where nobody looks ahead.
    pub const MOST: NtpDuration = NtpDuration::from_bits(1 << 16);

    /// Nothing learnt: everything leaves at once.
    #[must_use]
    pub const fn new() -> Self {
        let pace = Pace { left: Median::NEW, stamped: Median::NEW, plain: Median::NEW, is_stamp_next: true };
        Self { paces: [pace; PACES], each: Median::NEW, work: Median::NEW, last: NtpTimestamp::UNSET, unlearnt: 0 }
    }

    /// How to send next, when `waiting` datagrams are to be answered and the clock shows `reading`.
    #[inline]
    pub fn turn(&mut self, waiting: usize, reading: NtpTimestamp) -> Turn {
        let pace = pace_of(reading.since(self.last));
        self.last = reading;
        let mut length = if waiting <= ALONE { 1 } else { waiting.min(TOGETHER) };
        self.unlearnt = self.unlearnt.saturating_add(length);
        let mut learns = Learns::Nothing;
        if let Some(learner) = self.paces.get_mut(pace) {
            if pace >= LEISURE || self.unlearnt >= RARE || !learner.knows() {
                self.unlearnt = 0;
                learns = if learner.is_stamp_next { Learns::Stamp } else { Learns::Duration };
                learner.is_stamp_next = !learner.is_stamp_next;
                // One alone tells of the pace; many together, once that is known, of each.
                if learns == Learns::Stamp || !learner.knows() {
                    length = 1;
                }
            }
        }
        Turn { length, pace, learns, first: self.first(pace, learns == Learns::Stamp) }
    }

    /// When the first reply leaves. Before a pace is known, as at the next quicker that is: rather early than late.
    #[inline]
    fn first(&self, pace: usize, is_stamped: bool) -> u32 {
        let paces = self.paces.iter().enumerate().take(pace + 1).rev();
        paces.map(|(rest, pace)| pace.first(rest, is_stamped)).find(|&first| first > 0).unwrap_or(0)
    }

    /// How long after the reading the reply in `position` (from 0) of the turn leaves: from zero to [`MOST`](Self::MOST).
    #[must_use]
    #[inline]
    pub fn at(&self, turn: &Turn, position: usize) -> NtpDuration {
        // A position beyond 2³¹ is none of a batch.
        let position = i64::from(i32::try_from(position).unwrap_or(i32::MAX));
        NtpDuration::from_bits(i64::from(turn.first) + i64::from(self.each.lowest) * position).min(Self::MOST)
    }

    /// How long the extra work on a reply takes that has some: a MAC, which is made of the transmit timestamp and so comes after
    /// it. The quickest of the last few counts, for the same reason as after a rest. From zero to [`MOST`](Self::MOST).
    #[must_use]
    pub fn work(&self) -> NtpDuration {
        NtpDuration::from_bits(i64::from(self.work.lowest)).min(Self::MOST)
    }

    /// The extra work on a reply took so long. What it took is to be added to the turn's reading, for the replies behind it
    /// and for what is learnt from the turn.
    pub fn learn_work(&mut self, took: NtpDuration) {
        self.work.add(units(took));
    }

    /// Sending a turn's `replies` was over `duration` after the reading.
    pub fn learn_duration(&mut self, turn: &Turn, replies: usize, duration: NtpDuration) {
        let (Some(pace), Learns::Duration) = (self.paces.get_mut(turn.pace), turn.learns) else { return };
        match u32::try_from(replies) {
            Ok(1) => pace.plain.add(units(duration)),
            Ok(replies @ 2..) => self.each.add(units(duration).saturating_sub(turn.first) / replies),
            _ => {}
        }
    }

    /// A turn's only reply left `left` after the reading, and sending it was over `duration` after the reading.
    pub fn learn_stamp(&mut self, turn: &Turn, left: NtpDuration, duration: NtpDuration) {
        if let (Some(pace), Learns::Stamp) = (self.paces.get_mut(turn.pace), turn.learns) {
            pace.left.add(units(left));
            pace.stamped.add(units(duration));
        }
    }
}

impl Pace {
    fn knows(&self) -> bool {
        self.left.is_full() && self.plain.is_full()
    }

    /// From the reading to the stamp. After a rest sending takes now this long, now that, and the quickest counts: a reply
    /// that seems to have arrived before it left is worse than one that is some microseconds old.
    #[inline]
    const fn left(&self, rest: usize) -> u32 {
        if rest >= LEISURE {
            self.left.lowest
        } else {
            self.left.value
        }
    }

    /// From the reading to the leaving of the first reply.
    #[inline]
    fn first(&self, rest: usize, is_stamped: bool) -> u32 {
        let left = self.left(rest);
        if is_stamped {
            return left;
        }
        if self.plain.value == 0 {
            return 0;
        }
        let cost = self.stamped.value.saturating_sub(self.plain.value);
        left.saturating_sub(cost - cost / AFTER)
    }
}

#[inline]
fn pace_of(rest: NtpDuration) -> usize {
    // Two binary digits a pace.
    let above = (64 - rest.to_bits().max(0).leading_zeros()).saturating_sub(FIRST_REST_LOG2);
    usize::try_from(above.div_ceil(2)).unwrap_or(PACES).min(PACES - 1)
}

/// In units of 2⁻³² s: a second at most.
fn units(duration: NtpDuration) -> u32 {
    u32::try_from(duration.to_bits().max(0)).unwrap_or(u32::MAX)
}

/// Samples a median is taken of: nearly half of them may be foul, and eight tell of a change.
const SAMPLES: usize = 15;
/// Below so many nothing is said: the first may have been taken while the thread was not running.
const ENOUGH: usize = 5;

/// A median above twice the lowest and this (1 µs) is of calls that were held up: a pace that only interruptions bring about.
const LEEWAY: u32 = 4_295;

/// The median of the last few samples, bounded by the lowest, in units of 2⁻³² s; zero until there are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Median {
    samples: [u32; SAMPLES],
    /// How many there are.
    count: usize,
    /// Where the next goes.
    next: usize,
    value: u32,
    lowest: u32,
}

impl Median {
    const NEW: Self = Self { samples: [0; SAMPLES], count: 0, next: 0, value: 0, lowest: 0 };

    const fn is_full(&self) -> bool {
        self.count == SAMPLES
    }

    fn add(&mut self, sample: u32) {
        if let Some(place) = self.samples.get_mut(self.next) {
            *place = sample;
        }
        self.next = (self.next + 1) % SAMPLES;
        self.count = (self.count + 1).min(SAMPLES);
        let mut sorted = self.samples;
        let Some(sorted) = sorted.get_mut(..self.count).filter(|sorted| sorted.len() >= ENOUGH) else { return };
        sorted.sort_unstable();
        self.lowest = sorted.first().copied().unwrap_or(0);
        let median = sorted.get((sorted.len() - 1) / 2).copied().unwrap_or(0);
        self.value = median.min(self.lowest.saturating_mul(2).saturating_add(LEEWAY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(value: i64) -> NtpDuration {
        NtpDuration::from_nanos(value)
    }

    /// A machine whose calls take so long, and a server on it.
    struct Machine {
        lead: SendLead,
        clock: NtpTimestamp,
        /// Nanoseconds until the first reply leaves, for each further one, from the last to the end of the call.
        truth: (i64, i64, i64),
        /// Nanoseconds that a stamp costs before it is taken and after.
        stamp: (i64, i64),
    }

    impl Machine {
        fn new(truth: (i64, i64, i64)) -> Self {
            Self { lead: SendLead::new(), clock: NtpTimestamp::new(3_900_000_000, 0), truth, stamp: (350, 70) }
        }

        /// Answers `waiting` datagrams `rest` after the last, each call late by `pause`; the error of each T3 (truth minus T3).
        fn serve(&mut self, mut waiting: usize, rest: i64, mut pause: impl FnMut() -> i64) -> Vec<i64> {
            self.clock += nanos(rest);
            let mut errors = Vec::new();
            while waiting > 0 {
                let turn = self.lead.turn(waiting, self.clock);
                let (first, each, tail) = self.truth;
                let late = pause() + if turn.wants_stamp() { self.stamp.0 } else { 0 };
                for position in 0..turn.length() {
                    let left = first + late + each * i64::try_from(position).unwrap();
                    errors.push(left - self.lead.at(&turn, position).to_nanos());
                }
                let left = nanos(first + late);
                let mut duration = left + nanos(each * i64::try_from(turn.length() - 1).unwrap() + tail);
                if turn.wants_stamp() {
                    duration += nanos(self.stamp.1);
                    self.lead.learn_stamp(&turn, left, duration);
                } else if turn.wants_duration() {
                    self.lead.learn_duration(&turn, turn.length(), duration);
                }
                self.clock += duration;
                waiting -= turn.length();
            }
            errors
        }
    }

    #[test]
    fn one_reply_is_foretold_after_some_dozen() {
        let mut machine = Machine::new((4_000, 0, 1_000));
        assert_eq!(machine.serve(1, 20_000, || 0), [4_350]);
        for _ in 0..30 {
            machine.serve(1, 20_000, || 0);
        }
        assert!(machine.serve(1, 20_000, || 0)[0].abs() <= 2);
    }

    #[test]
    fn few_go_one_by_one_and_many_in_calls_of_eight() {
        let mut machine = Machine::new((800, 700, 500));
        for _ in 0..400 {
            machine.serve(64, 20_000, || 0);
        }
        let reading = machine.clock;
        let mut lengths = |waiting| machine.lead.turn(waiting, reading).length();
        assert_eq!([lengths(1), lengths(4), lengths(5), lengths(8), lengths(64)], [1, 1, 5, 8, 8]);
    }

    #[test]
    fn every_position_of_a_call_is_foretold_and_none_late() {
        let mut machine = Machine::new((800, 1_900, 500));
        for _ in 0..400 {
            machine.serve(64, 20_000, || 0);
        }
        for error in machine.serve(64, 20_000, || 0) {
            assert!((-5..=1_900).contains(&error), "{error} ns");
        }
    }

    #[test]
    fn what_a_stamp_costs_afterwards_makes_a_timestamp_early_and_never_late() {
        let mut machine = Machine::new((2_000, 0, 1_000));
        machine.stamp = (0, 400);
        for _ in 0..100 {
            machine.serve(1, 20_000, || 0);
        }
        let errors: Vec<i64> = (0..300).flat_map(|_| machine.serve(1, 20_000, || 0)).collect();
        assert!(errors.iter().all(|error| (0..=402).contains(error)), "{errors:?}");
    }

    #[test]
    fn sending_from_a_rest_does_not_spoil_sending_in_a_rush() {
        let mut machine = Machine::new((800, 0, 500));
        for turn in 0..600 {
            machine.truth.0 = if turn % 3 == 0 { 6_000 } else { 800 };
            machine.serve(1, if turn % 3 == 0 { 2_000_000 } else { 20_000 }, || 0);
        }
        machine.truth.0 = 6_000;
        assert!(machine.serve(1, 2_000_000, || 0)[0].abs() <= 2);
        machine.truth.0 = 800;
        assert!(machine.serve(1, 20_000, || 0)[0].abs() <= 2);
    }

    #[test]
    fn interruptions_are_not_believed_not_even_at_the_start() {
        let mut machine = Machine::new((3_000, 2_000, 500));
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((state >> 33) % below).unwrap()
        };
        machine.serve(1, 20_000, || 20_000_000);
        for turn in 0..2_000 {
            let waiting = if turn % 2 == 0 { 1 } else { 50 };
            // One call in ten is interrupted, for up to 4 ms.
            machine.serve(waiting, 20_000, || random(200) + if random(10) == 0 { random(4_000_000) } else { 0 });
            if turn > 100 {
                let mut lead = machine.lead;
                let turn = lead.turn(1, machine.clock);
                let expected = if turn.wants_stamp() { 3_450 } else { 3_100 };
                assert!((lead.at(&turn, 0) - nanos(expected)).abs() < nanos(300), "{}", lead.at(&turn, 0));
            }
        }
    }

    /// Rests that are none: each long one was an interruption, and another goes on.
    #[test]
    fn a_pace_of_interruptions_only_does_not_lead_into_the_future() {
        let mut machine = Machine::new((1_500, 0, 500));
        for turn in 0..200_i64 {
            let late = if turn % 3 == 0 { 0 } else { 40_000 + turn * 1_000 };
            machine.serve(1, 2_000_000, || late);
        }
        let errors = machine.serve(1, 2_000_000, || 0);
        assert!(errors.iter().all(|error| *error > -3_000), "{errors:?}");
    }

    #[test]
    fn a_lasting_change_is_followed() {
        let mut machine = Machine::new((2_000, 0, 500));
        for target in [2_000, 9_000, 1_000] {
            machine.truth.0 = target;
            for _ in 0..RARE * 32 {
                machine.serve(1, 20_000, || 0);
            }
            let error = machine.serve(1, 20_000, || 0)[0];
            assert!(error.abs() <= 2, "{error} at {target} ns");
        }
    }

    #[test]
    fn in_a_rush_samples_become_rare_and_at_leisure_every_call_is_one() {
        let mut lead = SendLead::new();
        let mut clock = NtpTimestamp::new(1, 0);
        let mut samples = |rest, calls: usize| {
            let mut learnt = [0, 0];
            for _ in 0..calls {
                clock += nanos(rest);
                let turn = lead.turn(1, clock);
                if turn.wants_stamp() {
                    learnt[0] += 1;
                    lead.learn_stamp(&turn, nanos(1_000), nanos(2_000));
                } else if turn.wants_duration() {
                    learnt[1] += 1;
                    lead.learn_duration(&turn, 1, nanos(1_500));
                }
            }
            learnt
        };
        // The first of all comes from a rest.
        assert_eq!(samples(20_000, 1), [1, 0]);
        assert_eq!(samples(20_000, 30), [15, 15]);
        assert_eq!(samples(20_000, 25_600), [50, 50]);
        assert_eq!(samples(1_000_000, 100), [50, 50]);
    }

    #[test]
    fn paces_are_told_apart_by_powers_of_four() {
        let rests = [-5, 0, 61_000, 62_000, 244_000, 245_000, 1_000_000, 4_000_000, 16_000_000, 3_600_000_000_000];
        let paces: Vec<_> = rests.iter().map(|&rest| pace_of(nanos(rest))).collect();
        assert_eq!(paces, [0, 0, 0, 1, 1, 2, 3, 4, 5, 5]);
    }

    #[test]
    fn extra_work_is_foretold_by_the_quickest_and_never_late() {
        let mut lead = SendLead::new();
        assert_eq!(lead.work(), NtpDuration::ZERO);
        for turn in 0..40 {
            lead.learn_work(nanos(if turn % 3 == 0 { 900 } else { 600 + turn }));
        }
        // Of the last 15.
        assert!((lead.work() - nanos(625)).abs() < nanos(2), "{}", lead.work());
        lead.learn_work(nanos(-5));
        assert_eq!(lead.work(), NtpDuration::ZERO);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_negative_or_more_than_is_said(
            samples in prop::collection::vec((0..100_usize, any::<u64>(), any::<i64>(), any::<i64>()), 0..200),
            position: usize,
        ) {
            let mut lead = SendLead::new();
            for (waiting, reading, left, duration) in samples {
                let turn = lead.turn(waiting, NtpTimestamp::from_bits(reading));
                lead.learn_stamp(&turn, NtpDuration::from_bits(left), NtpDuration::from_bits(duration));
                lead.learn_duration(&turn, waiting, NtpDuration::from_bits(duration));
                prop_assert!((NtpDuration::ZERO..=SendLead::MOST).contains(&lead.at(&turn, position)));
                lead.learn_work(NtpDuration::from_bits(left));
                prop_assert!((NtpDuration::ZERO..=SendLead::MOST).contains(&lead.work()));
            }
        }
    }
}
