//! When one server is asked next: poll interval, volleys, back-off, kisses (RFC 5905 §13, RFC 8633 §3).
//!
//! Apart from the protocol, so that its few numbers can be tested alone: it sees only "sent", "answered", "told to slow
//! down" and the time.

use core::time::Duration;

use ntp_types::{Instant, Poll};

use crate::{Reach, SourceConfig};

/// Requests without an answer after which the interval doubles once more.
///
/// The interval then is about an eighth of the time the server has been silent, and so is what recovery costs.
const UNANSWERED_PER_DOUBLING: u32 = 8;
/// Back-off of a server polled more often than this goes up to it: 64 s.
const BACKOFF_CEILING: Poll = Poll::DEFAULT_MIN;
/// What a `RATE` kiss's own poll field can ask for at once: 1024 s. The field is the server's, its bound is ours.
const KISS_POLL_CEILING: Poll = Poll::DEFAULT_MAX;
/// A nominal interval is varied by up to this part of itself, so that clients do not march in step.
const SPREAD_DIVISOR: u64 = 64;
/// Every interval is longer than its exponent says by this part, 1.8 %: the load that other clients put on servers.
const STRETCH_DIVISOR: u32 = 56;
/// Good replies in a row after which a server that sent `RATE` is asked twice as often again. Each time that was too early they
/// become twice as many: whoever limits for good sends ever fewer kisses, and who was short of breath is asked as before.
const PATIENCE: u32 = 2;
/// Good replies during which the discipline may ask for shorter intervals than the operator's, when `iburst` is on: it
/// learns the frequency within the first minutes by them.
const WARM_UP: u8 = 12;
/// What an even spacing of the sources may move one request by.
const NUDGE_DIVISOR: u64 = 16;

/// The schedule of one association.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    min_poll: Poll,
    max_poll: Poll,
    iburst: bool,
    burst: bool,
    burst_good: u8,
    burst_interval: Duration,
    /// What the discipline wants.
    poll: Poll,
    /// What the server wants at the least, raised by `RATE`.
    floor: Poll,
    /// Good replies it takes until that is lowered, none before the first `RATE`; those since it was raised or lowered; and
    /// whether it was lowered since it was raised.
    patience: u32,
    kept: u32,
    is_lowered: bool,
    reach: Reach,
    unanswered: u32,
    volley: Option<Volley>,
    /// Requests saved since the last volley by longer intervals than were asked for, in parts of 1/[`STRETCH_DIVISOR`].
    saved: u32,
    /// Good replies left of the start.
    warm_up: u8,
    /// When the last request was due: the next one is counted from there.
    anchor: Option<Instant>,
    due: Option<Instant>,
    /// Not later than this, whatever the interval: a volley wished for, or a request thrown away.
    soon: Option<Instant>,
    /// The beat left since the discipline wanted a shorter interval.
    left: Option<Beat>,
    /// This source's place among its companions: index, count.
    place: (u32, u32),
    random: u64,
}

/// An interval, when the next request fell by it, and whether one was sent since instead.
#[derive(Debug, Clone, Copy)]
struct Beat {
    poll: Poll,
    due: Instant,
    is_sent: bool,
}

#[derive(Debug, Clone, Copy)]
struct Volley {
    good_left: u8,
    requests_left: u8,
}

impl Schedule {
    pub(crate) fn new(config: &SourceConfig, first: Instant, seed: u64) -> Self {
        let mut schedule = Self {
            min_poll: config.min_poll,
            max_poll: config.max_poll,
            iburst: config.iburst,
            burst: config.burst,
            burst_good: config.burst_good.max(1),
            burst_interval: config.burst_interval,
            poll: config.min_poll,
            floor: Poll::MIN,
            patience: 0,
            kept: 0,
            is_lowered: false,
            reach: Reach::default(),
            unanswered: 0,
            volley: None,
            saved: 0,
            warm_up: if config.iburst { WARM_UP } else { 0 },
            anchor: None,
            due: Some(first),
            soon: None,
            left: None,
            place: (0, 1),
            random: seed,
        };
        if config.iburst {
            schedule.start_volley();
        }
        schedule
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    pub(crate) fn unanswered(&self) -> u32 {
        self.unanswered
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.due.is_none()
    }

    /// The poll exponent in effect: the discipline's, within the operator's bounds, not below what the server asked for,
    /// lengthened while the server is silent.
    pub(crate) fn poll(&self) -> Poll {
        self.lengthened().0
    }

    /// The poll exponent in effect, and by how much silence has lengthened it.
    fn lengthened(&self) -> (Poll, u32) {
        let least = if self.warm_up > 0 { self.poll.min(self.min_poll) } else { self.min_poll };
        let asked = self.poll.clamp(least, self.max_poll).max(self.floor).min(Poll::MAX);
        let doublings = i8::try_from(self.unanswered / UNANSWERED_PER_DOUBLING).unwrap_or(i8::MAX);
        let ceiling = self.max_poll.max(BACKOFF_CEILING).max(asked).min(Poll::MAX);
        let poll = Poll::from_log2(asked.log2().saturating_add(doublings)).min(ceiling);
        (poll, poll.log2().saturating_sub(asked.log2()).unsigned_abs().into())
    }

    /// A request goes out. `lost` says that the one before it got no answer.
    ///
    /// Returns whether it begins a poll of its own, that is, is not a further one of a volley.
    pub(crate) fn handle_sent(&mut self, now: Instant, lost: bool) -> bool {
        if lost {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        self.soon = None;
        let lengthening = (STRETCH_DIVISOR + 1).checked_shl(self.lengthened().1).unwrap_or(u32::MAX);
        self.saved = self.saved.saturating_add(lengthening.saturating_sub(STRETCH_DIVISOR));
        self.reach.shift();
        if self.volley.is_none() && self.burst && self.reach.is_reachable() {
            self.start_volley();
        }
        let begins = self.volley.map_or(true, |volley| volley.requests_left == self.volley_requests());
        self.volley = self.volley.and_then(|volley| {
            let requests_left = volley.requests_left.saturating_sub(1);
            (requests_left > 0).then_some(Volley { requests_left, ..volley })
        });
        // Late by less than half of what comes next: the beat is kept. Later: it starts again from now, and nothing is
        // made up for.
        let due = self.due.unwrap_or(now);
        self.anchor = Some(if now.since(due) < self.beat() / 2 { due } else { now });
        // A second one: the interval has become another.
        self.left = self.left.filter(|left| !left.is_sent).map(|left| Beat { is_sent: true, ..left });
        self.draw();
        self.settle();
        begins
    }

    /// A reply came that belongs to our request; `usable` when it brought time.
    pub(crate) fn handle_answer(&mut self, usable: bool) {
        self.unanswered = 0;
        if usable {
            let was_reachable = self.reach.is_reachable();
            self.reach.mark();
            self.warm_up = self.warm_up.saturating_sub(1);
            self.relent();
            let has_saved = self.has_saved_a_volley();
            match &mut self.volley {
                Some(volley) => {
                    volley.good_left = volley.good_left.saturating_sub(1);
                    if volley.good_left == 0 {
                        self.volley = None;
                    }
                }
                None if self.iburst && !was_reachable && has_saved && self.patience == 0 => self.start_volley(),
                None => {}
            }
        }
        self.settle();
    }

    /// One more good reply: after some the server may be asked more often again.
    fn relent(&mut self) {
        if self.floor == Poll::MIN {
            return;
        }
        self.kept = self.kept.saturating_add(1);
        if self.kept >= self.patience {
            let floor = self.floor.shorter();
            self.floor = if floor > self.min_poll { floor } else { Poll::MIN };
            (self.kept, self.is_lowered) = (0, true);
        }
    }

    /// The server asks for fewer requests and names an interval.
    pub(crate) fn handle_slow_down(&mut self, asked: Poll) {
        let patience = self.patience.max(PATIENCE);
        self.patience = if self.is_lowered { patience.saturating_mul(2) } else { patience };
        (self.kept, self.is_lowered) = (0, false);
        self.unanswered = 0;
        self.volley = None;
        self.warm_up = 0;
        self.floor = self.poll().longer().max(asked.min(KISS_POLL_CEILING)).min(Poll::MAX);
        self.settle();
    }

    /// The server asks for no request at all.
    pub(crate) fn stop(&mut self) {
        self.volley = None;
        self.due = None;
    }

    /// The discipline wants another interval.
    ///
    /// One that goes back to what it was after a single request returns to the beat it left: what was asked early is not
    /// asked again.
    pub(crate) fn set_poll(&mut self, poll: Poll) {
        if self.poll == poll {
            return;
        }
        match self.left.take() {
            None if poll < self.poll && self.volley.is_none() => {
                self.left = self.due.map(|due| Beat { poll: self.poll, due, is_sent: false });
            }
            Some(left) if left.is_sent && left.poll == poll => self.anchor = Some(left.due),
            _ => {}
        }
        self.poll = poll;
        self.settle();
    }

    /// Its place among the sources polled, which spaces them evenly.
    pub(crate) fn set_place(&mut self, index: u32, count: u32) {
        self.place = (index, count.max(1));
    }

    /// The request in flight was thrown away by ourselves: it says nothing of the server, and is asked again soon.
    pub(crate) fn handle_discarded(&mut self, now: Instant) {
        self.reach.unshift();
        self.soon = Some(now + self.burst_interval.min(self.poll().interval()));
        self.settle();
    }

    /// Everything is to be measured anew from `due` on; a request in flight may have been thrown away by ourselves.
    pub(crate) fn handle_discontinuity(&mut self, due: Instant, is_discarded: bool) {
        if self.is_stopped() {
            return;
        }
        if is_discarded {
            self.reach.unshift();
        }
        // Silence may have been ours.
        self.unanswered = 0;
        self.volley = None;
        if self.iburst && self.patience == 0 {
            self.start_volley();
        }
        (self.anchor, self.due, self.soon, self.left) = (None, Some(due), None, None);
    }

    /// A volley from now on, at the operator's wish.
    pub(crate) fn burst(&mut self, now: Instant) {
        if !self.is_stopped() {
            self.start_volley();
            self.soon = Some(now);
            self.settle();
        }
    }

    /// Whether the requests that a volley can cost at the most have been saved: after a silence there is one for nothing,
    /// or none.
    fn has_saved_a_volley(&self) -> bool {
        self.saved >= STRETCH_DIVISOR.saturating_mul(self.volley_requests().into())
    }

    fn volley_requests(&self) -> u8 {
        self.burst_good.saturating_mul(2)
    }

    fn start_volley(&mut self) {
        self.saved = 0;
        self.volley = Some(Volley { good_left: self.burst_good, requests_left: self.volley_requests() });
    }

    /// The time between two requests as things stand.
    fn beat(&self) -> Duration {
        let interval = self.poll().interval();
        if self.volley.is_some() {
            interval.min(self.burst_interval)
        } else {
            interval
        }
    }

    /// Where the next request falls, from the last one's place and everything known now.
    fn settle(&mut self) {
        let Some(due) = self.due else { return };
        let next = match self.anchor {
            None => due,
            Some(anchor) if self.volley.is_some() => anchor + self.beat(),
            Some(anchor) => self.spaced(anchor),
        };
        self.due = Some(self.soon.map_or(next, |soon| soon.min(next)));
    }

    /// One interval after `anchor`, varied a little, and moved a little towards this source's place among the others.
    fn spaced(&self, anchor: Instant) -> Instant {
        let interval = self.poll().interval();
        let interval = interval + interval / STRETCH_DIVISOR;
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let spread = nanos / SPREAD_DIVISOR;
        let early = if spread == 0 { 0 } else { self.random % (2 * spread) };
        let nominal = anchor + (interval + Duration::from_nanos(early)).saturating_sub(Duration::from_nanos(spread));
        self.nudged(nominal, nanos)
    }

    /// `nominal` moved a little towards this source's place in the interval.
    fn nudged(&self, nominal: Instant, interval: u64) -> Instant {
        let (index, count) = self.place;
        if count < 2 || interval < 1_000_000_000 {
            return nominal;
        }
        let target = interval / u64::from(count) * u64::from(index);
        let ahead = (target + interval - nominal.as_nanos() % interval) % interval;
        let limit = interval / NUDGE_DIVISOR;
        if ahead <= interval / 2 {
            nominal + Duration::from_nanos(ahead.min(limit))
        } else {
            nominal.saturating_sub(Duration::from_nanos((interval - ahead).min(limit)))
        }
    }

    /// The next random number (SplitMix64).
    fn draw(&mut self) {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.random = z ^ (z >> 31);
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Asks so often at a shorter interval; when the next request falls thereafter, in seconds from the last before.
    fn next_after(early: u32) -> f64 {
        let config =
            SourceConfig { min_poll: Poll::from_log2(6), max_poll: Poll::from_log2(10), ..SourceConfig::default() };
        let start = Instant::from_nanos(5_000_000_000);
        let mut schedule = Schedule::new(&config, start, 1);
        schedule.set_poll(Poll::from_log2(10));
        let _ = schedule.handle_sent(start, false);
        schedule.set_poll(Poll::from_log2(6));
        for _ in 0..early {
            let due = schedule.due().unwrap_or(start);
            let _ = schedule.handle_sent(due, false);
        }
        schedule.set_poll(Poll::from_log2(10));
        schedule.due().map_or(0.0, |due| due.since(start).as_secs_f64())
    }

    #[test]
    fn one_request_that_came_early_is_not_asked_again() {
        let (beat, spread) = (1_024.0 * 57.0 / 56.0, 1_024.0 / 64.0 + 2.0);
        assert!((next_after(0) - beat).abs() < spread, "{}", next_after(0));
        assert!((next_after(1) - 2.0 * beat).abs() < 2.0 * spread, "{}", next_after(1));
        assert!((next_after(2) - 130.0 - beat).abs() < spread + 4.0, "{}", next_after(2));
    }

    /// The seconds of all requests to a server that answers `RATE` as long as `is_too_much` says so of the time and the interval.
    fn asked(hours: u64, is_too_much: impl Fn(f64, Poll) -> bool) -> (Vec<f64>, usize) {
        let config =
            SourceConfig { min_poll: Poll::from_log2(6), max_poll: Poll::from_log2(6), ..SourceConfig::default() };
        let mut schedule = Schedule::new(&config, Instant::ZERO, 1);
        let (mut times, mut kisses) = (Vec::new(), 0);
        while let Some(due) = schedule.due().filter(|due| due.as_nanos() < hours * 3_600_000_000_000) {
            let time = due.since(Instant::ZERO).as_secs_f64();
            times.push(time);
            let poll = schedule.poll();
            let _ = schedule.handle_sent(due, false);
            if is_too_much(time, poll) {
                kisses += 1;
                schedule.handle_slow_down(poll);
            } else {
                schedule.handle_answer(true);
            }
        }
        (times, kisses)
    }

    #[test]
    fn a_server_that_was_short_of_breath_is_asked_as_before() {
        let (times, kisses) = asked(10, |time, _| time > 3_600.0 && time < 7_200.0);
        assert!((5..=7).contains(&kisses), "{kisses}");
        let last: Vec<_> = times.iter().rev().take(10).collect();
        assert!((last[0] - last[9]) / 9.0 < 70.0, "{last:?}");
    }

    #[test]
    fn one_that_limits_for_good_sends_ever_fewer_kisses() {
        let [day, month] = [24, 720].map(|hours| asked(hours, |_, poll| poll < Poll::from_log2(8)).1);
        assert!(day < 12 && month < day + 6, "{day} {month}");
    }
}
