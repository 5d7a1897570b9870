//! A leap second spread over hours: what is served runs a little slow or fast until the second is gone.
//!
//! All servers that a client uses must do the same, or none of them: the client cannot see it but for the reference id
//! 254.x.y.z, which holds the offset at the moment (RFC 8633 §3.7.1).

use core::time::Duration;

use ntp_types::{NtpDuration, NtpTimestamp, ReferenceId};

/// How the offset grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SmearShape {
    /// At one rate from beginning to end, as the large public smearing servers do over 24 hours.
    #[default]
    Linear,
    /// Slowly at first and at the end, along half a cosine.
    Cosine,
}

/// What a smear does to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smeared {
    /// Nothing: it lies before or behind.
    Outside,
    /// This is added.
    By(NtpDuration),
    /// UTC shows it twice, and which is meant cannot be told: better no answer.
    Ambiguous,
}

/// One leap second to be smeared, around the moment at which it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeapSmear {
    leap: NtpTimestamp,
    is_inserted: bool,
    span: NtpDuration,
    shape: SmearShape,
}

impl LeapSmear {
    /// The leap second before `leap` (the midnight in UTC that follows it), spread over `span`, half before and half after.
    ///
    /// An inserted one (all so far) makes what is served run slow, a deleted one fast. `span` is cut to 1 s … 14 days.
    #[must_use]
    pub fn new(leap: NtpTimestamp, is_inserted: bool, span: Duration, shape: SmearShape) -> Self {
        let span = span.clamp(Duration::from_secs(1), Duration::from_secs(14 * 86_400));
        Self { leap, is_inserted, span: span.into(), shape }
    }

    /// What to add to a timestamp of UTC to get what is served.
    ///
    /// For an inserted second the offset runs from 0 down to −½ s at the leap; there UTC itself goes back by a second, and
    /// the offset runs from +½ s down to 0. The second that UTC shows twice has no answer.
    #[must_use]
    pub fn offset(&self, time: NtpTimestamp) -> Smeared {
        let from_leap = time.since(self.leap);
        let half = self.span.half();
        if from_leap < -half || from_leap > half {
            return Smeared::Outside;
        }
        let is_after = !from_leap.is_negative();
        if self.is_inserted && !is_after && from_leap >= -NtpDuration::SECOND {
            return Smeared::Ambiguous;
        }
        let share = (from_leap + half).to_seconds_f64() / self.span.to_seconds_f64();
        let done = match self.shape {
            SmearShape::Linear => share,
            SmearShape::Cosine => (1.0 - libm::cos(core::f64::consts::PI * share)) / 2.0,
        };
        let slowed = if is_after { 1.0 - done } else { -done };
        Smeared::By(NtpDuration::from_seconds_f64(if self.is_inserted { slowed } else { -slowed }))
    }
}

/// The reference id that tells of a smear: 254, and the offset in seconds as a signed number of 2⁻²² s.
#[must_use]
#[allow(clippy::cast_possible_truncation)] // cut to 24 bits: half a second needs 22
pub(crate) fn smear_reference(offset: NtpDuration) -> ReferenceId {
    let scaled = (offset.to_bits() >> 10) as i32;
    let [_, high, middle, low] = scaled.to_be_bytes();
    ReferenceId::from_bytes([254, high, middle, low])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_types::{Reference, Stratum};

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: f64) -> NtpTimestamp {
        NtpTimestamp::new(3_900_000_000, 0) + NtpDuration::from_seconds_f64(seconds)
    }

    #[test]
    fn what_is_served_never_jumps() {
        for shape in [SmearShape::Linear, SmearShape::Cosine] {
            for is_inserted in [true, false] {
                let smear = LeapSmear::new(at(0.0), is_inserted, DAY, shape);
                let (leap_at, change) = if is_inserted { (0, -1.0) } else { (-1, 1.0) };
                let mut last: Option<(f64, NtpTimestamp)> = None;
                let mut silent = 0;
                for second in -44_000..44_000 {
                    let real = f64::from(second);
                    let utc = at(if second >= leap_at { real + change } else { real });
                    let served = match smear.offset(utc) {
                        Smeared::Outside => utc,
                        Smeared::By(offset) => utc + offset,
                        Smeared::Ambiguous => {
                            silent += 1;
                            continue;
                        }
                    };
                    if let Some((before, then)) = last {
                        let passed = served.since(then).to_seconds_f64() - (real - before);
                        assert!(passed.abs() < 40e-6 * (real - before), "{shape:?} {real}: {passed}");
                    }
                    last = Some((real, served));
                }
                assert!(silent <= 2, "{silent} seconds without an answer");
            }
        }
    }

    #[test]
    fn half_a_second_on_either_side_of_the_leap_and_nothing_outside() {
        let smear = LeapSmear::new(at(0.0), true, DAY, SmearShape::Linear);
        let by = |seconds| Smeared::By(NtpDuration::from_seconds_f64(seconds));
        assert_eq!(smear.offset(at(-43_201.0)), Smeared::Outside);
        assert_eq!(smear.offset(at(-43_200.0)), by(0.0));
        assert_eq!(smear.offset(at(-21_600.0)), by(-0.25));
        assert_eq!(smear.offset(at(-0.5)), Smeared::Ambiguous);
        assert_eq!(smear.offset(at(0.0)), by(0.5));
        assert_eq!(smear.offset(at(43_200.0)), by(0.0));
        assert_eq!(smear.offset(at(43_201.0)), Smeared::Outside);
    }

    #[test]
    fn the_reference_id_holds_the_offset() {
        for seconds in [0.25, -0.25, 0.5, -0.000_01] {
            let offset = NtpDuration::from_seconds_f64(seconds);
            let Reference::Smear(read) = smear_reference(offset).describe(Stratum::from_bits(3)) else {
                panic!("not a smear");
            };
            assert!((read - offset).abs() < NtpDuration::from_nanos(300), "{seconds}: {read}");
        }
    }
}
