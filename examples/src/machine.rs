//! The machine's clock, steered as fast as is safe: with a guard beside it, or where nothing can run away.

use std::time::Duration;

use ntp_clock::{rescue, ClockError, ReadClock, Reading, SlewPolicy, SteerClock, SystemClock};
use ntp_net::Poller;
use ntp_types::{Applied, ClockCommand, Instant};

/// Long enough for a clock that only jumps from wait to wait to show it, on a busy machine too.
const A_MOMENT: Duration = Duration::from_millis(150);

/// How often it is looked for, where the machine itself paused meanwhile.
const LOOKS: usize = 4;

/// After so long a host that has not shown itself to be simulated is taken for a real one.
const BENEFIT_OF_DOUBT: Duration = Duration::from_secs(1);

/// The machine's clock, watched: however this process ends, no slew outlives it.
#[derive(Debug)]
pub struct MachineClock {
    clock: SystemClock,
    host: Host,
    /// Whether a guard was started, on which fast slews rely.
    is_guarded: bool,
}

/// What is behind the system calls.
#[derive(Debug, Clone, Copy)]
enum Host {
    /// A kernel.
    Real,
    /// Something preloaded that has a time of its own: it knows only the calls that everybody makes, and its clock cannot run
    /// away from anybody. A second process would not be part of it.
    Simulated,
    /// Something is preloaded: an allocator, perhaps. Both clocks as they stood at the start.
    Doubtful(Clocks),
}

/// The monotonic clock as the kernel writes it into a file, and as this program is told it.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    uptime: Duration,
    told: Instant,
}

impl MachineClock {
    /// Handlers of signals come first.
    ///
    /// # Errors
    /// The clock's.
    pub fn new() -> Result<Self, ClockError> {
        // Neither net is worth failing for: without them slews are slower, and the clock still sets itself back when it is dropped.
        let _ = rescue::restore_on_signals();
        let mut machine = Self { clock: SystemClock::new(), host: Host::Real, is_guarded: false };
        if std::env::var_os("LD_PRELOAD").is_none() {
            machine.stand_guard();
        } else if let Some(start) = Clocks::now(uptime, || machine.told())? {
            machine.host = Host::Doubtful(start);
            // Before anything is sent whose answer would have to wait. If it cannot wait, the first second will tell.
            for _ in 0..LOOKS {
                let _ = Poller::new().wait(Some(A_MOMENT));
                if machine.look()? {
                    break;
                }
            }
        }
        Ok(machine)
    }

    /// The clock itself.
    pub fn system(&mut self) -> &mut SystemClock {
        &mut self.clock
    }

    fn told(&self) -> Result<Instant, ClockError> {
        Ok(self.clock.read()?.at)
    }

    fn stand_guard(&mut self) {
        self.host = Host::Real;
        // Without one slews stay slow: in a container's first process there is none.
        self.is_guarded = rescue::start_guard().is_ok();
        if self.is_guarded {
            self.clock.set_policy(SlewPolicy::guarded());
        }
    }

    /// Puts another guard in the place of one that is gone; where none can be had, slews are slow from now on, and a fast one
    /// that is under way ends. What there is to say of it, and what was done to the clock.
    ///
    /// # Errors
    /// The clock's.
    pub fn replace_lost_guard(&mut self) -> Result<Option<(&'static str, Option<Applied>)>, ClockError> {
        if !self.is_guarded || rescue::is_guarded() {
            return Ok(None);
        }
        if rescue::start_guard().is_ok() {
            return Ok(Some(("the clock's guard was gone: another one stands", None)));
        }
        self.is_guarded = false;
        self.clock.set_policy(SlewPolicy::default());
        Ok(Some(("the clock's guard is gone: slews are slow from now on", self.clock.release()?)))
    }

    /// Looks again at what is behind the calls, while that is in doubt. False where nothing could be seen because the kernel's
    /// time went on alone, in a simulator's pause or in sleep: then it is looked for anew from here.
    fn look(&mut self) -> Result<bool, ClockError> {
        let Host::Doubtful(start) = self.host else { return Ok(true) };
        let (told, passed) = start.elapsed(|| self.told(), uptime)?;
        if passed.is_some_and(|passed| is_ahead(told, passed)) {
            self.host = Host::Simulated;
            self.clock.set_policy(SlewPolicy::guarded());
        } else if passed.is_some_and(|passed| is_ahead(passed, told)) {
            if let Some(start) = Clocks::now(uptime, || self.told())? {
                self.host = Host::Doubtful(start);
                return Ok(false);
            }
        } else if told >= BENEFIT_OF_DOUBT {
            self.stand_guard();
        }
        Ok(true)
    }
}

impl Clocks {
    /// Both at the start; none where the file cannot be read.
    ///
    /// The file comes first here and last in [`elapsed`](Self::elapsed): a pause between two looks only makes the kernel's time
    /// the longer one.
    fn now<E>(
        uptime: impl FnOnce() -> Option<Duration>,
        told: impl FnOnce() -> Result<Instant, E>,
    ) -> Result<Option<Self>, E> {
        let Some(uptime) = uptime() else { return Ok(None) };
        Ok(Some(Self { uptime, told: told()? }))
    }

    /// How long it has been since by what the program is told, and for the kernel where it says so.
    fn elapsed<E>(
        self,
        told: impl FnOnce() -> Result<Instant, E>,
        uptime: impl FnOnce() -> Option<Duration>,
    ) -> Result<(Duration, Option<Duration>), E> {
        let told = told()?.since(self.told);
        Ok((told, uptime().map(|uptime| uptime.saturating_sub(self.uptime))))
    }
}

/// Whether one clock went on by more than the other beyond doubt. No kernel lets what the program is told be the longer:
/// sleep only adds to its own.
fn is_ahead(one: Duration, other: Duration) -> bool {
    // The file counts in hundredths, and the raw clock is some hundred ppm off.
    one > other + Duration::from_millis(20) + other / 100
}

/// How long the machine runs, by the kernel's file. Source: proc_uptime(5).
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

impl ReadClock for MachineClock {
    fn read(&self) -> Result<Reading, ClockError> {
        self.clock.read()
    }

    fn suspended(&self) -> Option<Duration> {
        match self.host {
            Host::Real => self.clock.suspended(),
            Host::Simulated | Host::Doubtful(_) => None,
        }
    }
}

impl SteerClock for MachineClock {
    fn apply(&mut self, command: &ClockCommand) -> Result<Applied, ClockError> {
        self.look()?;
        self.clock.apply(command)
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.clock.next_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<Option<Applied>, ClockError> {
        self.clock.handle_timeout(now)
    }
}

#[cfg(test)]
mod tests {
    use super::{is_ahead, uptime, Clocks};
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    #[test]
    fn a_kernel_is_never_taken_for_a_simulator() {
        let Some(before) = uptime() else { return eprintln!("skipped: no /proc/uptime") };
        let start = Instant::now();
        std::thread::sleep(Duration::from_millis(300));
        let told = start.elapsed();
        assert!(!is_ahead(told, uptime().unwrap() - before), "{told:?}");
    }

    #[test]
    fn nor_is_one_that_lets_the_program_wait_between_two_looks() {
        for paused in 0..4 {
            let looks = Cell::new(0);
            let now = || {
                let look = looks.replace(looks.get() + 1);
                Duration::from_millis(if look >= paused { 1_200 } else { 1_000 })
            };
            let (told, uptime) = (|| Ok::<_, ()>(ntp_types::Instant::ZERO + now()), || Some(now()));
            let start = Clocks::now(uptime, told).unwrap().unwrap();
            let (told, passed) = start.elapsed(told, uptime).unwrap();
            assert!(!is_ahead(told, passed.unwrap()), "before look {paused}: {told:?} in {passed:?}");
        }
    }

    #[test]
    fn time_that_no_kernel_saw_gives_a_simulator_away() {
        assert!(is_ahead(Duration::from_secs(2), Duration::from_millis(10)));
        assert!(!is_ahead(Duration::from_millis(30), Duration::from_millis(20)));
        // A raw clock 500 ppm fast for a day, and one whose machine slept.
        assert!(!is_ahead(Duration::from_millis(86_443_200), Duration::from_secs(86_400)));
        assert!(!is_ahead(Duration::from_secs(10), Duration::from_secs(3_610)));
    }
}
