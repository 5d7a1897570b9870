//! Outcasts that run as the members do: what their offset is says nothing, what it changes by says how our clock runs.
//!
//! One that starts to run away is not told by its rate at once, but by where it gets to: it is held against where it stood when it
//! was out for a while, and has a part in the estimate once it would have been seen to leave.

use ntp_types::Instant;

use super::fusion::{Fused, Fusion};
use super::joint::common_frequency;
use super::source::{Source, Taken};
use super::voters::{as_member, MARGIN};

/// Samples in a row of an outcast until one is what later ones are held against.
const SETTLED: u8 = 8;
/// It may be so many deviations from where it stood, and its rate from the members'.
const WIDTH: f64 = 2.5;
/// How well its rate is to be known, and the mean of it since it stood there: in deviations of the members'.
const KNOWN: f64 = 3.0;
const STAYED: f64 = 1.0;

/// What is known of a source that is no member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcast {
    stood: Option<Stand>,
    /// Whether it has a part in the estimate.
    pub(super) is_tracked: bool,
}

/// How far a source is from the estimate at some time.
#[derive(Debug, Clone, Copy)]
struct Stand {
    at: Instant,
    apart: f64,
    deviation: f64,
}

impl Outcast {
    /// Nothing.
    pub(super) const NONE: Self = Self { stood: None, is_tracked: false };
}

impl<const N: usize> Fusion<N> {
    /// Takes an outcast's sample into the joint estimate, its bias unknown, while it runs as the members do.
    pub(super) fn track(&mut self, sources: &[Source], index: usize, taken: &Taken, now: Instant) -> Fused {
        let runs_along = self.runs_along(sources, index, now);
        let (Taken::Absorbed(observation), Some(source), true) = (taken, sources.get(index), runs_along) else {
            self.lose_track(index);
            return Fused::No;
        };
        let Some(outcast) = self.outcasts.get_mut(index) else { return Fused::No };
        if outcast.is_tracked {
            if self.take(index, observation, source.at, false) {
                return Fused::Yes;
            }
            self.lose_track(index);
        } else if let Some(joint) = &mut self.joint {
            outcast.is_tracked = true;
            joint.predict(now.since(self.at).as_secs_f64());
            self.at = self.at.max(now);
            joint.track(index, &as_member(source, self.asymmetry, true, now));
        }
        Fused::No
    }

    /// It has no part in the estimate any more.
    pub(super) fn lose_track(&mut self, index: usize) {
        let Some(outcast) = self.outcasts.get_mut(index).filter(|outcast| outcast.is_tracked) else { return };
        outcast.is_tracked = false;
        if let Some(joint) = &mut self.joint {
            joint.dismiss(index);
        }
    }

    /// Whether a source has been out for long enough to be seen to run as the members' witnesses do, and does.
    fn runs_along(&mut self, sources: &[Source], index: usize, now: Instant) -> bool {
        let (Some(source), Some(outcast)) = (sources.get(index), self.outcasts.get_mut(index)) else { return false };
        if source.outvoted < SETTLED || source.witness.samples() < u32::from(SETTLED) || source.is_young() {
            outcast.stood = None;
            return false;
        }
        let Some(estimate) = self.estimate(sources, now) else { return false };
        let members = self.as_members(sources, true, now);
        if members.iter().all(Option::is_none) {
            return false;
        }
        let own = as_member(source, self.asymmetry, true, now);
        let deviation = libm::hypot(own.deviation, MARGIN * libm::sqrt(estimate.xx));
        let stands = Stand { at: now, apart: own.offset - estimate.offset, deviation };
        let Some(outcast) = self.outcasts.get_mut(index) else { return false };
        let stood = *outcast.stood.get_or_insert(stands);

        let (rate, variance) = common_frequency(&members);
        let known = libm::sqrt(variance);
        let left = libm::hypot(stands.deviation, stood.deviation);
        let is_known = own.frequency_deviation <= KNOWN * known
            && left <= STAYED * known * stands.at.since(stood.at).as_secs_f64();
        is_known
            && libm::fabs(own.frequency - rate) <= WIDTH * libm::hypot(own.frequency_deviation, known)
            && libm::fabs(stands.apart - stood.apart) <= WIDTH * left
    }
}
