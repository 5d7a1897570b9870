//! One source and its witness: an estimate fed by its own samples only, so that nothing another source says moves it.

use ntp_types::{Instant, NtpDuration, Poll, Reference};

use crate::engine::SourceOptions;
use crate::sample::{Sample, ServerState};

use super::bank::{Estimate, Mixture};
use super::observation::Observation;
use super::path::Path;
use super::planner::Planner;
use super::replay::{Earlier, Replay};
use super::witness::Witness;

/// Variance of the frequency before anything is known, (75 ppm)², and when it may have jumped, (100 ppm)².
pub(crate) const UNKNOWN_FREQUENCY: f64 = 5.6e-9;
pub(crate) const JUMPED_FREQUENCY: f64 = 1e-8;
/// Samples further from the estimate than the interval, this many deviations and a typical excess do not belong to it. Two
/// of them in a row start the witness anew.
const GROSS: f64 = 3.0;
/// Samples before one can be gross.
const SETTLED: u32 = 4;

/// One slot of the engine's sources.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    pub(crate) options: Option<SourceOptions>,
    pub(crate) server: ServerState,
    pub(crate) path: Path,
    pub(crate) witness: Witness,
    /// The instant the witness stands at.
    pub(crate) at: Instant,
    /// What carries weight of it there.
    heavy: Mixture,
    pub(crate) planner: Planner,
    pub(crate) reach: u8,
    /// Requests since the last sample.
    pub(crate) unanswered: u8,
    /// Samples since it was opened.
    pub(crate) samples: u32,
    pub(crate) last: Option<Sample>,
    replay: Replay,
    /// The last sample, if it did not belong to the estimate.
    gross: Option<Earlier>,
    /// When a sample was last absorbed, and how far off the one lay that was not, in seconds.
    pub(crate) absorbed: Option<Instant>,
    pub(crate) doubt: f64,
    /// Samples in a row at which selection left it out while it was a member.
    pub(crate) outvoted: u8,
    /// Samples in a row that did not fit the joint estimate.
    pub(crate) misfits: u8,
}

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Taken {
    /// Absorbed by the witness.
    Absorbed(Observation),
    /// It does not belong to what the witness knows.
    Gross,
    /// So did those before: the witness starts anew from it.
    Restarted(Observation),
}

impl Default for Source {
    fn default() -> Self {
        Self {
            options: None,
            server: ServerState::default(),
            path: Path::new(),
            witness: Witness::new(),
            at: Instant::ZERO,
            heavy: Mixture::default(),
            planner: Planner::new(Poll::DEFAULT_MIN),
            reach: 0,
            unanswered: 0,
            samples: 0,
            last: None,
            replay: Replay::new((0.0, UNKNOWN_FREQUENCY)),
            gross: None,
            absorbed: None,
            doubt: 0.0,
            outvoted: 0,
            misfits: 0,
        }
    }
}

impl Source {
    pub(crate) fn open(options: SourceOptions) -> Self {
        Self { options: Some(options), planner: Planner::new(options.min_poll), ..Self::default() }
    }

    /// Open, and not barred by configuration.
    pub(crate) fn is_selectable(&self) -> bool {
        self.options.is_some_and(|options| !options.no_select)
    }

    /// Whether the server says that it is synchronised.
    pub(crate) fn is_synchronized(&self) -> bool {
        self.server.leap.is_synchronized() && self.server.stratum.is_synchronized()
    }

    /// Whether the server smears leap seconds: by configuration, else by its reference id.
    pub(crate) fn is_smeared(&self) -> bool {
        let told = self.options.and_then(|options| options.smeared);
        told.unwrap_or_else(|| matches!(self.server.reference_id.describe(self.server.stratum), Reference::Smear(_)))
    }

    /// Shortest and longest poll.
    pub(crate) fn polls(&self) -> (Poll, Poll) {
        let options = self.options.unwrap_or_default();
        (options.min_poll, options.max_poll)
    }

    /// Takes in a sample whose offset from the raw clock is `offset` and whose delay by the raw clock is `delay`.
    ///
    /// `frequency` is what is known of the raw clock's frequency from elsewhere, with its variance.
    pub(crate) fn take(&mut self, sample: &Sample, offset: f64, delay: f64, frequency: (f64, f64)) -> Taken {
        let taken = self.weigh(sample, offset, delay, frequency);
        self.heavy = self.witness.heavy();
        taken
    }

    fn weigh(&mut self, sample: &Sample, offset: f64, delay: f64, frequency: (f64, f64)) -> Taken {
        let at = sample.at();
        self.server = sample.server;
        self.last = Some(*sample);
        self.unanswered = 0;
        self.samples = self.samples.saturating_add(1);
        self.path.push(delay);
        let earlier = Earlier { at, offset, delay };
        let again =
            self.witness.samples() == 0 || !self.replay.is_complete(self.witness.samples()) && self.replay.is_due();
        if !again {
            self.witness.predict(at.since(self.at).as_secs_f64());
            self.at = self.at.max(at);
        }
        let estimate = self.estimate(at);
        let observation = self.witness.assess(offset, delay, &self.path);
        let before = self.gross.take();
        let is_settled = self.witness.samples() >= SETTLED;
        if is_settled && is_gross(&observation, &estimate, self.witness.widest(), before.is_some()) {
            if self.witness.recognises(&observation) {
                self.settle(sample.received);
                return Taken::Restarted(observation);
            }
            let Some(before) = before else {
                self.gross = Some(earlier);
                self.doubt = libm::fabs(offset - estimate.offset);
                return Taken::Gross;
            };
            self.settle(sample.received);
            // Whether it was time or its rate that jumped the two will tell.
            self.replay = Replay::new((estimate.frequency, JUMPED_FREQUENCY));
            self.replay.push(before);
            self.witness.forget();
            self.start_again(earlier);
            return Taken::Restarted(observation);
        }
        self.settle(sample.received);
        if self.witness.samples() == 0 {
            self.replay = Replay::new(frequency);
        }
        if again {
            self.start_again(earlier);
        } else {
            self.replay.push(earlier);
            if self.replay.is_complete(self.witness.samples()) {
                self.path.scatters(0.0);
            }
            self.path.follow(offset - self.witness.offset());
            self.witness.update(offset, delay, &self.path);
        }
        if self.path.has_changed() {
            self.witness.rebase(&self.path);
            self.path.scatters(0.0);
            self.replay.close();
        }
        Taken::Absorbed(observation)
    }

    /// Forgets what was measured of the clock; what is known of the path stays.
    pub(crate) fn start_over(&mut self) {
        let Some(options) = self.options else { return };
        let mut planner = self.planner;
        planner.hurry(options.min_poll);
        let Self { server, path, reach, .. } = *self;
        *self = Self { server, path, planner, reach, ..Self::open(options) };
    }

    fn settle(&mut self, at: Instant) {
        (self.absorbed, self.doubt) = (Some(at), 0.0);
    }

    /// Filters all samples so far once more, each by what is known of the path now.
    fn start_again(&mut self, newest: Earlier) {
        self.replay.push(newest);
        let replay = self.replay;
        self.path.scatters(replay.scatter());
        let lean = replay.lean(self.path.base(), self.path.spread());
        let known = replay.frequency_beside(self.witness.estimate(0.0).frequency);
        for (number, sample) in replay.samples().enumerate() {
            if number == 0 {
                let observation = self.witness.assess(sample.offset, sample.delay, &self.path);
                let start = first(&observation, sample.delay, known);
                self.witness.restart(start, lean, &self.path);
            } else {
                self.witness.predict(sample.at.since(self.at).as_secs_f64());
            }
            self.at = sample.at;
            self.path.follow(sample.offset - self.witness.offset());
            self.witness.update(sample.offset, sample.delay, &self.path);
        }
    }

    /// Whether what its first samples are worth is still being learnt.
    pub(crate) fn is_young(&self) -> bool {
        !self.replay.is_complete(self.witness.samples())
    }

    /// The witness's estimate at `now`.
    pub(crate) fn estimate(&self, now: Instant) -> Estimate {
        self.witness.estimate(now.since(self.at).as_secs_f64())
    }

    /// What carries weight of the witness, at `now`: for planning.
    pub(crate) fn plan(&self, now: Instant) -> Mixture {
        self.heavy.moved(now.since(self.at).as_secs_f64())
    }

    /// Half the path's delay and the server's own root distance: how far its time can be from true time.
    pub(crate) fn distance(&self) -> f64 {
        0.5 * self.path.base() + self.last.map_or(NtpDuration::MAX, |sample| sample.server_distance()).to_seconds_f64()
    }
}

/// Where a witness starts: at the first sample, as uncertain as half its delay.
fn first(observation: &Observation, delay: f64, frequency: (f64, f64)) -> Estimate {
    let spread = delay.max(0.0) + observation.half_width;
    Estimate {
        offset: observation.offset,
        frequency: frequency.0,
        xx: spread * spread / 12.0,
        xf: 0.0,
        ff: frequency.1,
    }
}

/// `again` after one that was: then less will do.
fn is_gross(observation: &Observation, estimate: &Estimate, widest: f64, again: bool) -> bool {
    let deviation = libm::sqrt(estimate.xx.max(widest) + observation.softness * observation.softness);
    let margin = GROSS * deviation + if again { 0.0 } else { observation.spread };
    libm::fabs(observation.offset - estimate.offset) > observation.half_width + margin
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use ntp_types::{NtpTimestamp, Precision, RoundTrip};

    use super::*;

    const UNSET: NtpTimestamp = NtpTimestamp::from_bits(0);
    const NO_TRIP: RoundTrip = RoundTrip { t1: UNSET, t2: UNSET, t3: UNSET, t4: UNSET };

    /// Four samples of a clock that is 400 ppm slow, each queued for so long, and the estimate's error after each.
    fn errors(queued: [f64; 4]) -> [f64; 4] {
        let mut source = Source::open(SourceOptions::default());
        let mut second = 0;
        queued.map(|queued| {
            let sent = Instant::from_nanos(second * 1_000_000_000);
            let received = sent + Duration::from_millis(1);
            let sample = Sample::new(NO_TRIP, Precision::default(), ServerState::default(), sent, received);
            let truth = 400e-6 * sample.at().since(Instant::ZERO).as_secs_f64();
            source.take(&sample, truth + 0.1 * queued, 1e-3 + queued, (0.0, UNKNOWN_FREQUENCY));
            second += 2;
            (source.estimate(sample.at()).offset - truth).abs()
        })
    }

    #[test]
    fn a_clock_that_is_400_ppm_slow_is_right_after_four_samples() {
        let [.., error] = errors([1.0e-5, 1.1e-4, 2.4e-4, 5e-5]);
        assert!(error < 1e-4, "{error}");
    }

    #[test]
    fn a_clock_that_is_far_off_is_not_drawn_to_where_most_are() {
        let mut source = Source::open(SourceOptions::default());
        for (second, up, down) in
            [(0, 3, 1), (2, 1, 4), (4, 5, 2), (6, 0, 2), (10, 2, 1), (18, 1, 3), (34, 4, 1), (66, 2, 4)]
        {
            let at = Instant::from_nanos(second * 1_000_000_000);
            let truth = 300e-6 * at.since(Instant::ZERO).as_secs_f64();
            let (up, down) = (2e-3 * f64::from(up), 2e-3 * f64::from(down));
            let sample = Sample::new(NO_TRIP, Precision::default(), ServerState::default(), at, at);
            source.take(&sample, truth + 0.5 * (up - down), 0.02 + up + down, (0.0, UNKNOWN_FREQUENCY));
        }
        let found = source.estimate(source.at).frequency;
        assert!((found - 300e-6).abs() < 50e-6, "{found}");
    }

    #[test]
    fn samples_of_a_path_before_are_not_judged_by_the_one_after() {
        let mut source = Source::open(SourceOptions::default());
        let queue = |step: u64, turn: u64| 1e-4 * ((turn * step % 10) as f64);
        for turn in 0..30 {
            let sent = Instant::from_nanos(turn * 1_024_000_000_000);
            let received = sent + Duration::from_millis(40);
            let sample = Sample::new(NO_TRIP, Precision::default(), ServerState::default(), sent, received);
            let (up, down, longer) = (queue(7, turn), queue(3, turn), if turn < 15 { 0.0 } else { 0.03 });
            source.take(&sample, 0.5 * (up - down), 0.04 + longer + up + down, (0.0, 1e-18));
            let estimate = source.estimate(sample.at());
            assert!(estimate.offset.abs() < 2e-4, "{turn}: {estimate:?}");
        }
    }

    #[test]
    fn behind_a_quiet_path_it_is_after_three() {
        let [.., error, _] = errors([1.0e-7, 6e-7, 3e-7, 1e-7]);
        assert!(error < 1e-5, "{error}");
    }
}
