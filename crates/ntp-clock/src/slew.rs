//! How an offset is spread: which of the two ways, how fast, how long. Pure.
//!
//! The kernel can slew by itself (`ADJ_OFFSET_SINGLESHOT`): whole microseconds at up to 500 µs/s, and it ends whatever
//! becomes of the process. Everything else is a change of rate that somebody must take back.

use core::time::Duration;

use ntp_types::{Frequency, Instant, NtpDuration};

/// The kernel's own slew removes at most this in a second. Source: `MAX_TICKADJ`.
const SELF_ENDING_MICROS_PER_SECOND: i64 = 500;

/// The same as a rate.
const SELF_ENDING_RATE: Frequency = Frequency::from_ppm(500);

/// Bounds for the slews of a [`SystemClock`](crate::SystemClock).
///
/// Three ways, by what would remain if the process were killed in the middle:
///
/// | slew | way | after SIGKILL |
/// |---|---|---|
/// | at most `harmless_rate` | frequency: exact and even | that rate: 10 ppm are 36 ms in an hour |
/// | done in time at 500 µs/s, or no faster one allowed | the kernel's own, which ends by itself; whole microseconds, and on an idle machine some tens of them more or less | nothing |
/// | faster | tick and frequency, up to `max_rate` | its rate, unless a [guard](crate::rescue) stands by |
///
/// The default never takes the third way. [`guarded`](Self::guarded) is for processes with a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct SlewPolicy {
    /// The fastest slew; 100 000 ppm at the most. Below 500 ppm the kernel's own is out of the question.
    pub max_rate: Frequency,
    /// Up to here a slew goes by frequency even where the kernel's own would do.
    pub harmless_rate: Frequency,
    /// Whether the kernel's own slew is used at all.
    pub self_ending: bool,
}

impl Default for SlewPolicy {
    /// 500 ppm, 10 ppm, yes: whatever becomes of the process, the clock does not run away.
    fn default() -> Self {
        Self { max_rate: SELF_ENDING_RATE, harmless_rate: Frequency::from_ppm(10), self_ending: true }
    }
}

/// How one slew will be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// There is nothing to slew.
    None,
    /// By the kernel, from the next second on.
    SelfEnding { micros: i64 },
    /// By a rate.
    Rate(Frequency),
}

impl SlewPolicy {
    /// For a process that a [guard](crate::rescue::start_guard) watches: up to 83 333 ppm, and by frequency up to 100 ppm, because
    /// that is even, where the kernel's own slew runs at 500 ppm for whatever little it is given.
    #[must_use]
    pub fn guarded() -> Self {
        Self { max_rate: Frequency::from_ppm(83_333), harmless_rate: Frequency::from_ppm(100), self_ending: true }
    }

    /// How long a slew must be allowed to take for the kernel to do it by itself: 500 µs/s, and two seconds to begin and end.
    #[must_use]
    pub fn self_ending_duration(offset: NtpDuration) -> Duration {
        let micros = round_div(offset.to_nanos(), 1_000).unsigned_abs();
        Duration::from_secs(micros.div_ceil(SELF_ENDING_MICROS_PER_SECOND.unsigned_abs()).saturating_add(2))
    }

    /// The rate limit, never above what the kernel's ticks can do.
    pub(crate) fn limit(&self) -> Frequency {
        self.max_rate.abs().clamp_abs(Frequency::from_ppm(100_000))
    }

    pub(crate) fn plan(&self, offset: NtpDuration, duration: Duration) -> Plan {
        let wanted = rate_for(offset, duration);
        if wanted == Frequency::ZERO {
            return Plan::None;
        }
        let limit = self.limit();
        if self.self_ending && limit >= SELF_ENDING_RATE && wanted.abs() > self.harmless_rate.abs() {
            let micros = round_div(offset.to_nanos(), 1_000);
            let seconds = micros.unsigned_abs().div_ceil(SELF_ENDING_MICROS_PER_SECOND.unsigned_abs());
            // It starts with the next second of the clock, and had better be over when the next command is likely to come.
            let is_in_time = Duration::from_secs(seconds.saturating_add(2)) <= duration;
            if micros != 0 && (is_in_time || limit == SELF_ENDING_RATE) {
                return Plan::SelfEnding { micros };
            }
        }
        Plan::Rate(wanted.clamp_abs(limit))
    }
}

/// The rate that adds `offset` within `duration`, to the nearest; as fast as the type goes when the duration is zero.
pub(crate) fn rate_for(offset: NtpDuration, duration: Duration) -> Frequency {
    let nanos = i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX).clamp(1, i128::from(i64::MAX));
    // offset is in 2⁻³² s, a frequency in 2⁻⁶⁰: at most 2⁶³ · 2²⁸ · 2³⁰ on the way.
    let scaled = (i128::from(offset.to_bits()) << 28) * 1_000_000_000;
    let half = if scaled < 0 { -nanos / 2 } else { nanos / 2 };
    let bits = (scaled + half) / nanos;
    Frequency::from_bits(i64::try_from(bits).unwrap_or(if bits < 0 { -i64::MAX } else { i64::MAX }))
}

/// How long `seconds` of a clock that runs at `rate` last.
fn lasting(seconds: u64, rate: Frequency) -> Duration {
    let nanos = (i128::from(seconds) * 1_000_000_000) << 60;
    let per_second = (1_i128 << 60) + i128::from(rate.to_bits());
    Duration::from_nanos(nanos.checked_div(per_second).and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(u64::MAX))
}

/// What the kernel's own slew of `micros` is made of, beside `frequency`: its full rate and how long, the rest and how long.
///
/// Each second's share is spread over a second of the clock it is making faster, which is that much shorter.
fn shares(micros: i64, frequency: Frequency) -> [(Frequency, Duration); 2] {
    let seconds = micros.unsigned_abs() / SELF_ENDING_MICROS_PER_SECOND.unsigned_abs();
    // A microsecond in a second is one ppm.
    let rest = Frequency::from_ppm(i32::try_from(micros % SELF_ENDING_MICROS_PER_SECOND).unwrap_or(0));
    let full = if micros < 0 { -SELF_ENDING_RATE } else { SELF_ENDING_RATE };
    let slower = lasting(u64::from(rest != Frequency::ZERO), frequency + rest);
    [(full, lasting(seconds, frequency + full)), (rest, slower)]
}

/// What the kernel's own slew really adds when it is given `micros` beside `frequency`.
fn self_ending_gain(micros: i64, frequency: Frequency) -> NtpDuration {
    let [(full, long), (rest, second)] = shares(micros, frequency);
    full.over(long) + rest.over(second)
}

/// The kernel's own slew, piece by piece: it waits for the clock's next second, runs at 500 µs/s, and ends with a slower second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnSlew {
    /// What the kernel was given, and the clock's frequency beside it.
    micros: i64,
    frequency: Frequency,
    /// When each piece ends, and the rate within it; empty ones end where they begin.
    pieces: [(Instant, Frequency); 3],
    /// The piece that was told last.
    told: usize,
    /// When it began, and what was booked before it.
    since: Instant,
    before: NtpDuration,
}

impl OwnSlew {
    /// Given to the kernel at `at`, beside `frequency`, with `wait` to go to the clock's next second.
    pub(crate) fn new(micros: i64, frequency: Frequency, at: Instant, wait: Duration) -> Self {
        let [(full, long), (rest, second)] = shares(micros, frequency);
        let begin = at + wait;
        let slower = begin + long;
        let pieces = [(begin, Frequency::ZERO), (slower, full), (slower + second, rest)];
        Self { micros, frequency, pieces, told: 0, since: at, before: NtpDuration::ZERO }
    }

    /// What it adds in all when the kernel says that `left` of it were not begun.
    pub(crate) fn gain(&self, left: i64) -> NtpDuration {
        self_ending_gain(self.micros.saturating_sub(left), self.frequency)
    }

    /// The rate in force, and until when, as it was told last.
    pub(crate) fn told(&self) -> (Frequency, Instant) {
        self.pieces.get(self.told).map_or((Frequency::ZERO, self.since), |&(end, rate)| (rate, end))
    }

    /// When the next piece is to be told; `None` when this is the last.
    pub(crate) fn next(&self) -> Option<Instant> {
        let &(end, _) = self.pieces.get(self.told)?;
        self.pieces.iter().skip(self.told + 1).any(|&(later, _)| later > end).then_some(end)
    }

    /// Goes on to the piece in force at `now`. Returns when it began, and what pieces gained that were never told.
    pub(crate) fn advance(&mut self, now: Instant) -> (Instant, NtpDuration) {
        let mut untold = NtpDuration::ZERO;
        let mut is_first = true;
        while let Some(end) = self.next().filter(|&end| end <= now) {
            let gain = self.told().0.over(end.since(self.since));
            if !is_first {
                untold += gain;
            }
            is_first = false;
            self.before += gain;
            self.since = end;
            self.told += 1;
        }
        (self.since, untold)
    }

    /// What has been booked of it by `now`.
    pub(crate) fn booked(&self, now: Instant) -> NtpDuration {
        let (rate, end) = self.told();
        self.before + rate.over(now.min(end).since(self.since))
    }
}

/// How long `rate` needs for `offset`, to the nearest nanosecond; zero when it never gets there.
pub(crate) fn duration_for(offset: NtpDuration, rate: Frequency) -> Duration {
    let rate = i128::from(rate.to_bits());
    let scaled = (i128::from(offset.to_bits()) << 28) * 1_000_000_000;
    if rate == 0 || (scaled < 0) != (rate < 0) {
        return Duration::ZERO;
    }
    let nanos = (scaled + rate / 2) / rate;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// `value / divisor` for a positive divisor, to the nearest.
const fn round_div(value: i64, divisor: i64) -> i64 {
    let half = if value < 0 { -(divisor / 2) } else { divisor / 2 };
    value.saturating_add(half) / divisor
}
