//! How often to ask: quickly at the start, then as seldom as the estimate keeps.
//!
//! The interval grows while the variance added until the next poll is small beside what one sample brings and beside
//! what the estimate has anyway, and shrinks when it is not.

use ntp_types::Poll;

use crate::total::bounded;

/// Exponents of the first intervals, in log2 seconds: a burst, then a start of the frequency. 66 s in all.
const WARM_UP: [i8; 7] = [1, 1, 1, 2, 3, 4, 5];
/// Requests at each interval from the shortest on before it grows, lost ones too: as many packets as chrony needs until it
/// asks every 1024 s, but spread over the time, which tells more of the frequency and of the path.
const HELD: [u32; 4] = [4, 8, 5, 3];
/// Samples before the average of the present variance is kept, and its forgetting.
const AVERAGE_FROM: u32 = 12;
const AVERAGE_KEEP: f64 = 0.9;
/// A sample's own variance in units of spread²: that of the offset within a typical excess.
const SAMPLE_VARIANCE: f64 = 1.0 / 6.0;
/// Least variance of a sample: (0.1 µs)².
const LEAST_SAMPLE: f64 = 1e-14;
/// The interval grows while the growth stays below these multiples of a sample's variance and of the present one …
const GROW_SAMPLE: f64 = 6.0;
const GROW_PRESENT: f64 = 5.7;
/// … and shrinks above these.
const SHRINK_SAMPLE: f64 = 14.0;
const SHRINK_PRESENT: f64 = 9.5;

/// The poll interval of one source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planner {
    poll: Poll,
    samples: u32,
    /// Average of the variance just after a sample.
    present: f64,
    /// Requests at this interval.
    held: u32,
    /// The interval before the next request only.
    soon: Option<Poll>,
}

/// What the variance of the clock's offset grows by in so many seconds, in s².
pub(crate) type Growth<'a> = &'a dyn Fn(f64) -> f64;

impl Planner {
    pub(crate) const fn new(poll: Poll) -> Self {
        Self { poll, samples: 0, present: 0.0, held: 0, soon: None }
    }

    /// The interval now advised.
    pub(crate) fn poll(&self) -> Poll {
        self.soon.unwrap_or(self.poll)
    }

    /// The interval it is asked at for the while: what silence is measured by, whoever asked for a glance meanwhile.
    pub(crate) const fn planned(&self) -> Poll {
        self.poll
    }

    /// A request was sent.
    pub(crate) fn after_request(&mut self) {
        self.held = self.held.saturating_add(1);
        self.soon = None;
    }

    /// After a sample: the clock's variance grows by `growth` in so many seconds, that of the source's own estimate is `known`
    /// now, and `spread` its path's typical excess.
    pub(crate) fn after_sample(&mut self, growth: Growth<'_>, known: f64, spread: f64, min: Poll, max: Poll) {
        self.samples = self.samples.saturating_add(1);
        let index = usize::try_from(self.samples).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(&exponent) = WARM_UP.get(index) {
            self.poll = Poll::from_log2(exponent.min(min.log2()));
            self.held = 0;
            return;
        }
        if self.samples == AVERAGE_FROM {
            self.present = known;
        } else if self.samples > AVERAGE_FROM {
            self.present = AVERAGE_KEEP * self.present + (1.0 - AVERAGE_KEEP) * known;
        }
        let growth = |poll: Poll| growth(poll.interval().as_secs_f64());
        let sample = sample_variance(spread);
        let poll = bounded(self.poll, min, max);
        let (longer, same) = (growth(poll.longer()), growth(poll));
        let steps = usize::try_from(poll.log2() - min.log2()).unwrap_or_default();
        let held = HELD.get(steps).or(HELD.last()).copied().unwrap_or_default();
        let next = if self.held > held && longer < GROW_SAMPLE * sample && longer < GROW_PRESENT * self.present {
            poll.longer()
        } else if self.samples > AVERAGE_FROM && (same > SHRINK_SAMPLE * sample || same > SHRINK_PRESENT * self.present)
        {
            poll.shorter()
        } else {
            poll
        };
        let next = bounded(next, min, max);
        if next != self.poll {
            (self.poll, self.held) = (next, 0);
        }
    }

    /// Something unexpected was seen, perhaps at another source: ask once soon, then as before.
    pub(crate) fn glance(&mut self, min: Poll) {
        self.soon = Some(self.poll.min(min));
    }

    /// Something unexpected was seen: look again soon.
    pub(crate) fn hurry(&mut self, min: Poll) {
        self.poll = self.poll.min(min);
    }
}

/// Variance of a sample on a path of this typical excess.
pub(crate) fn sample_variance(spread: f64) -> f64 {
    (SAMPLE_VARIANCE * spread * spread).max(LEAST_SAMPLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples until the longest interval, of so many requests each.
    fn samples_until_longest(requests: u32) -> u32 {
        let (min, max) = (Poll::from_log2(6), Poll::from_log2(10));
        let mut planner = Planner::new(min);
        while planner.poll() < max && planner.samples < 100 {
            (0..requests).for_each(|_| planner.after_request());
            planner.after_sample(&|_| 0.0, 1e-10, 1e-3, min, max);
        }
        planner.samples
    }

    #[test]
    fn a_glance_hastens_one_request_and_plans_nothing() {
        let (min, max) = (Poll::from_log2(6), Poll::from_log2(10));
        let mut planner = Planner::new(max);
        planner.glance(min);
        assert_eq!((planner.poll(), planner.planned()), (min, max));
        planner.after_request();
        assert_eq!((planner.poll(), planner.planned()), (max, max));
    }

    #[test]
    fn lost_requests_count_as_those_answered() {
        assert_eq!(samples_until_longest(1), 8 + 5 + 9 + 6 + 4);
        // From where the present variance is known.
        assert_eq!(samples_until_longest(10), 12 + 3);
    }
}
