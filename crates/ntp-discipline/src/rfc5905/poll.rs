//! The poll adjustment (RFC 5905 §13, A.5.5.6): poll seldom while the offset hides in the jitter.
//!
//! The text counts by 2 and 1, the skeleton and every ntpd by 2τ and τ; the latter is taken. Below a poll interval of
//! 2 s, which the RFC does not know, τ counts as 1, else the count would stand still or run backwards.

use ntp_types::Poll;

use super::constants::{POLL_GATE, POLL_LIMIT};
use crate::total::bounded;

/// The poll exponent with its hysteresis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollAdjust {
    poll: Poll,
    count: i32,
}

impl PollAdjust {
    /// Starts at `poll`.
    #[must_use]
    pub const fn new(poll: Poll) -> Self {
        Self { poll, count: 0 }
    }

    /// The poll exponent τ.
    #[must_use]
    pub const fn poll(&self) -> Poll {
        self.poll
    }

    /// The hysteresis counter, −LIMIT to LIMIT.
    #[must_use]
    pub const fn count(&self) -> i32 {
        self.count
    }

    /// Weigh an update's offset against the clock's jitter, both in seconds, and adjust within `min..=max`.
    pub fn update(&mut self, offset: f64, jitter: f64, min: Poll, max: Poll) {
        let step = i32::from(self.poll.log2()).max(1);
        if libm::fabs(offset) < POLL_GATE * jitter {
            self.count += step;
            if self.count > POLL_LIMIT {
                self.count = POLL_LIMIT;
                if self.poll < max {
                    *self = Self::new(self.poll.longer());
                }
            }
        } else {
            self.count -= 2 * step;
            if self.count < -POLL_LIMIT {
                self.count = -POLL_LIMIT;
                if self.poll > min {
                    *self = Self::new(self.poll.shorter());
                }
            }
        }
        self.bound(min, max);
    }

    /// Keep the exponent within `min..=max`.
    pub fn bound(&mut self, min: Poll, max: Poll) {
        let bounded = bounded(self.poll, min, max);
        if bounded != self.poll {
            *self = Self::new(bounded);
        }
    }

    /// After a step: the shortest interval, a fresh count.
    pub fn reset(&mut self, min: Poll) {
        *self = Self::new(min);
    }
}
