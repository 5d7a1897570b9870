//! What the workers share with the main thread. Each touches it twice a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant as SystemInstant;

use ntp_clock::kernel::{ClockId, Host, Kernel as _};
use ntp_server::{Counters, LeapSmear, Monitor, ServerClock};
use ntp_types::{Instant, LeapIndicator, NtpTimestamp};

use crate::stop::Stop;

/// What one side says and the other listens to.
#[derive(Debug)]
pub(super) struct Shared {
    /// Set by the signals that end the program.
    pub(super) stop: Stop,
    state: Mutex<State>,
    /// Counts up with each new clock and smear.
    generation: AtomicU64,
    counts: Vec<Mutex<(Counters, Sent)>>,
    started: SystemInstant,
}

/// How the clock stands.
#[derive(Debug)]
struct State {
    clock: ServerClock,
    /// What `ntpq` is shown, but for what the responder knows itself.
    monitor: Monitor,
    smear: Option<LeapSmear>,
    /// The leap second that came with the last clock, until somebody has looked at it.
    announced: LeapIndicator,
}

/// What became of the answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    /// Handed to the kernel.
    pub(super) sent: u64,
    /// Refused by it, each for itself.
    pub(super) refused: u64,
    /// Not sent because the socket was full.
    pub(super) blocked: u64,
}

/// What is inside is whole even if a thread panicked over it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// For `workers` threads that serve `clock` until `stop` is set.
    #[must_use]
    pub(super) fn new(workers: usize, clock: ServerClock, stop: Stop) -> Self {
        let announced = LeapIndicator::NoWarning;
        Self {
            stop,
            state: Mutex::new(State { clock, monitor: Monitor::default(), smear: None, announced }),
            generation: AtomicU64::new(0),
            counts: (0..workers).map(|_| Mutex::default()).collect(),
            started: SystemInstant::now(),
        }
    }

    /// The monotonic time base of the workers, which goes on while the machine sleeps where the system has such a clock: what is
    /// known of the time becomes older then as well.
    #[must_use]
    pub(super) fn now(&self) -> Instant {
        let nanos = match Host.clock_gettime(ClockId::Boottime) {
            Ok(time) => u64::try_from(time.to_nanos()).ok(),
            Err(_) => u64::try_from(self.started.elapsed().as_nanos()).ok(),
        };
        Instant::from_nanos(nanos.unwrap_or(u64::MAX))
    }

    /// The clock changed its mind about itself, and this is how it looks from near.
    pub(super) fn set_clock(&self, clock: ServerClock, monitor: Monitor) {
        let announced = clock.variables(self.now(), NtpTimestamp::UNSET).leap;
        let mut state = lock(&self.state);
        *state = State { clock, monitor, announced, ..*state };
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The leap second announced since this was asked the last time.
    pub(super) fn take_announced(&self) -> LeapIndicator {
        std::mem::replace(&mut lock(&self.state).announced, LeapIndicator::NoWarning)
    }

    /// This is the leap second to spread. Nothing happens if it was before.
    pub(super) fn set_smear(&self, smear: Option<LeapSmear>) {
        let mut state = lock(&self.state);
        if state.smear != smear {
            state.smear = smear;
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Clock and smear, if they have changed since the generation that a worker `knows`.
    pub(super) fn news(&self, knows: &mut u64) -> Option<(ServerClock, Option<LeapSmear>)> {
        let generation = self.generation.load(Ordering::Acquire);
        if generation == std::mem::replace(knows, generation) {
            return None;
        }
        let state = lock(&self.state);
        Some((state.clock, state.smear))
    }

    /// What `ntpq` is shown, but for what the responder knows itself.
    pub(super) fn monitor(&self) -> Monitor {
        lock(&self.state).monitor.clone()
    }

    /// The worker number `index` has come so far.
    pub(super) fn publish(&self, index: usize, counters: Counters, sent: Sent) {
        if let Some(place) = self.counts.get(index) {
            *lock(place) = (counters, sent);
        }
    }

    /// The counts of all workers together.
    #[must_use]
    pub(super) fn totals(&self) -> (Counters, Sent) {
        let mut totals = (Counters::default(), Sent::default());
        for worker in &self.counts {
            let (counters, sent) = *lock(worker);
            totals.0 += counters;
            totals.1.sent += sent.sent;
            totals.1.refused += sent.refused;
            totals.1.blocked += sent.blocked;
        }
        totals
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use ntp_server::ServerClock;
    use ntp_types::{Precision, Stratum};

    use super::*;

    #[test]
    fn time_goes_on_while_the_machine_sleeps() {
        let clock = ServerClock::local(Stratum::from_bits(5), Precision::from_log2(-24));
        let shared = Shared::new(1, clock, Stop::default());
        let since_boot = || u64::try_from(Host.clock_gettime(ClockId::Boottime).unwrap().to_nanos()).unwrap();
        let (before, now, after) = (since_boot(), shared.now().as_nanos(), since_boot());
        assert!((before..=after).contains(&now), "{before} {now} {after}");
    }
}
