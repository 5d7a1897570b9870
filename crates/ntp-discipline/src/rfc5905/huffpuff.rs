//! The huff-n'-puff filter: offsets corrected for congestion in one direction.
//!
//! Not in RFC 5905 but in every ntpd (`tinker huffpuff`). Where a link is slow one way only, a sample that waited longer
//! than the least seen for hours owes half of the excess to its offset. The sign is not known; the correction that
//! makes the offset smaller is taken. Different from ntpd it never goes past zero, where it would invent an offset.

use ntp_types::{Instant, NtpDuration};

use super::constants::HUFFPUFF_SLOT;

/// Slots of 900 s: two hours, ntpd's usual setting.
const SLOTS: usize = 8;

/// The least delay of the last two hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HuffPuff {
    /// Least delay of each slot, newest first.
    slots: [Option<NtpDuration>; SLOTS],
    started: Option<Instant>,
}

impl HuffPuff {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: [None; SLOTS], started: None }
    }

    /// Take note of a delay measured at `now`.
    pub fn handle_delay(&mut self, delay: NtpDuration, now: Instant) {
        let started = *self.started.get_or_insert(now);
        let passed = now.since(started).as_nanos() / HUFFPUFF_SLOT.as_nanos();
        if passed > 0 {
            for _ in 0..passed.min(SLOTS as u128) {
                self.slots.rotate_right(1);
                if let Some(newest) = self.slots.first_mut() {
                    *newest = None;
                }
            }
            let whole = HUFFPUFF_SLOT.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX));
            self.started = Some(started + whole);
        }
        if let Some(newest) = self.slots.first_mut() {
            *newest = Some(newest.map_or(delay, |least| least.min(delay)));
        }
    }

    /// The least delay known.
    #[must_use]
    pub fn least(&self) -> Option<NtpDuration> {
        self.slots.iter().flatten().min().copied()
    }

    /// The offset of a sample that took `delay`, half of its excess delay taken off its magnitude.
    #[must_use]
    pub fn correct(&self, offset: NtpDuration, delay: NtpDuration) -> NtpDuration {
        let Some(least) = self.least() else { return offset };
        let owed = (delay - least).half().max(NtpDuration::ZERO);
        let left = (offset.abs() - owed).max(NtpDuration::ZERO);
        if offset.is_negative() {
            -left
        } else {
            left
        }
    }
}

impl Default for HuffPuff {
    fn default() -> Self {
        Self::new()
    }
}
