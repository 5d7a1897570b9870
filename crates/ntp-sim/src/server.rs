//! A time server of the simulation: where it is, and how it is wrong.

use crate::network::{Path, When};

/// One way in which a server is wrong. Times in seconds since the start, amounts in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Wrong by a constant while it holds.
    Offset(When, f64),
    /// Runs away at this rate (s/s) from a moment on.
    Drift {
        /// When it starts.
        from: f64,
        /// How fast.
        rate: f64,
    },
    /// Does not answer.
    Silent(When),
    /// Says that it is unsynchronised.
    Unsynchronized(When),
    /// Answers with this kiss code.
    Kiss(When, [u8; 4]),
    /// Smears a leap second: from `at` on its time falls behind by one second over `over` seconds.
    Smear {
        /// Start of the smear.
        at: f64,
        /// Length of the smear.
        over: f64,
    },
}

/// A server and the two ways to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// From the client to the server.
    pub up: Path,
    /// From the server to the client.
    pub down: Path,
    /// How it is wrong.
    pub faults: Vec<Fault>,
    /// Its stratum.
    pub stratum: u8,
    /// Root delay it claims, in seconds.
    pub root_delay: f64,
    /// Root dispersion it claims, in seconds.
    pub root_dispersion: f64,
    /// The time it takes to answer, in seconds.
    pub processing: f64,
}

impl Server {
    /// A perfect primary server behind these two ways.
    #[must_use]
    pub const fn new(up: Path, down: Path) -> Self {
        Self { up, down, faults: Vec::new(), stratum: 1, root_delay: 0.0, root_dispersion: 0.0, processing: 0.0 }
    }

    /// A perfect primary server `delay` seconds away each way, with exponential queues of this mean.
    #[must_use]
    pub fn exponential(delay: f64, mean: f64) -> Self {
        Self::new(Path::exponential(delay, mean), Path::exponential(delay, mean))
    }

    /// Wrong by this much, always.
    #[must_use]
    pub fn wrong_by(self, offset: f64) -> Self {
        self.fault(Fault::Offset(When::since(0.0), offset))
    }

    /// With a fault.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The same, with both ways changed.
    #[must_use]
    pub fn both_ways(mut self, change: impl Fn(Path) -> Path) -> Self {
        self.up = change(self.up);
        self.down = change(self.down);
        self
    }

    /// The server's clock minus true time at `now`.
    #[must_use]
    pub fn error(&self, now: f64) -> f64 {
        self.faults
            .iter()
            .map(|fault| match *fault {
                Fault::Offset(when, offset) if when.holds(now) => offset,
                Fault::Drift { from, rate } => rate * (now - from).max(0.0),
                Fault::Smear { at, over } => -((now - at) / over).clamp(0.0, 1.0),
                _ => 0.0,
            })
            .sum()
    }

    /// How fast the server's clock runs ahead of true time at `now`, in seconds per second; it takes no notice of jumps.
    #[must_use]
    pub fn frequency_error(&self, now: f64) -> f64 {
        self.faults
            .iter()
            .map(|fault| match *fault {
                Fault::Drift { from, rate } if now >= from => rate,
                Fault::Smear { at, over } if (at..at + over).contains(&now) => -1.0 / over,
                _ => 0.0,
            })
            .sum()
    }

    /// The kiss it answers with at `now`, if any.
    #[must_use]
    pub fn kiss(&self, now: f64) -> Option<[u8; 4]> {
        self.faults.iter().find_map(|fault| match *fault {
            Fault::Kiss(when, code) if when.holds(now) => Some(code),
            _ => None,
        })
    }

    /// Whether it says at `now` that it is not synchronised.
    #[must_use]
    pub fn is_unsynchronized(&self, now: f64) -> bool {
        self.faults.iter().any(|fault| matches!(*fault, Fault::Unsynchronized(when) if when.holds(now)))
    }

    /// Whether it answers at `now`.
    #[must_use]
    pub fn answers(&self, now: f64) -> bool {
        !self.faults.iter().any(|fault| matches!(*fault, Fault::Silent(when) if when.holds(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_add_up() {
        let server = Server::exponential(0.01, 1e-3)
            .wrong_by(0.1)
            .fault(Fault::Drift { from: 100.0, rate: 1e-3 })
            .fault(Fault::Silent(When::between(10.0, 20.0)));
        assert!((server.error(200.0) - 0.2).abs() < 1e-12);
        assert_eq!((server.frequency_error(50.0), server.frequency_error(200.0)), (0.0, 1e-3));
        assert!(server.answers(5.0) && !server.answers(15.0));
    }

    #[test]
    fn a_smear_takes_its_second_little_by_little() {
        let server = Server::exponential(0.01, 1e-3).fault(Fault::Smear { at: 1_000.0, over: 86_400.0 });
        let errors = [0.0, 1_000.0, 44_200.0, 87_400.0, 1e6].map(|now| server.error(now));
        assert_eq!(errors, [0.0, 0.0, -0.5, -1.0, -1.0]);
    }
}
