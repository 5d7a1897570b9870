//! Deterministic simulation of NTP: oscillators, clocks, networks, servers, and scenarios with figures.
//!
//! | module | what it is |
//! |---|---|
//! | [`scenario`] | a machine, a network, servers, and how long to watch |
//! | [`oscillator`] | what can be wrong with an oscillator |
//! | [`network`] | what can happen to a packet |
//! | [`server`] | how a server can be wrong |
//! | [`clock`] | the steered clock of the simulated machine |
//! | [`world`] | one run: events in the order of true time, a client under test |
//! | [`whole`] | the real client and the real servers over real packets: [`run`] |
//! | [`bare`] | an engine on a bare exchange of timestamps as that client, for trying engines |
//! | [`attack`] | who else sends packets |
//! | [`metrics`] | what a run is judged by |
//! | [`baseline`] | scenarios with the figures of other clients on them |
//! | [`more`] | further scenarios |
//! | [`table`] | all scenarios over several seeds, scored |
//!
//! | to have | say |
//! |---|---|
//! | an oscillator that is off, walks, flickers, warms up by day, jumps | causes of [`oscillator::Wander`], summed |
//! | queues: exponential, gamma, Pareto, correlated | [`network::Queue`], summed |
//! | loss, duplicates, packets that are overtaken | [`lossy`], [`duplicating`], [`reordering`] |
//! | ways that differ | [`Server::new`] of two paths |
//! | bursts of congestion, another route, an outage | [`Event`] and [`When`] it holds |
//! | servers that are wrong, run away, are silent, smear, kiss | [`server::Fault`] |
//! | a falseticker within its error bound, and several of one mind | [`wrong_by`] a little, and the same faults for each |
//! | floods, replays, forged kisses, who reads and forges | [`attack::Attack`] |
//! | who delays packets | [`Event::Longer`] on one of the ways |
//!
//! [`lossy`]: network::Path::lossy
//! [`duplicating`]: network::Path::duplicating
//! [`reordering`]: network::Path::reordering
//! [`Server::new`]: server::Server::new
//! [`wrong_by`]: server::Server::wrong_by
//! [`Event`]: network::Event
//! [`Event::Longer`]: network::Event::Longer
//! [`When`]: network::When
//!
//! Bare numbers are seconds of true time, frequencies seconds per second; errors are the clock's time minus the true one.
//!
//! A run depends on nothing but its scenario and its seed, to the last bit, on every target: randomness is the crate's
//! own, mathematics go through `libm`.
//!
//! ```
//! use ntp_sim::network::{Event, Path, When};
//! use ntp_sim::scenario::Scenario;
//! use ntp_sim::server::Server;
//!
//! let office = Scenario::new("office", "a good server, and one that is 20 ms off and away for an hour")
//!     .server(Server::exponential(0.010, 0.5e-3))
//!     .server(Server::new(Path::fixed(0.005), Path::exponential(0.005, 2e-3)))
//!     .server(Server::exponential(0.030, 1e-3).wrong_by(0.020).both_ways(|path| {
//!         path.lossy(0.05).event(When::between(2_000.0, 5_600.0), Event::Down)
//!     }))
//!     .watch(1_000, 8_000);
//! let (figures, _every_second) = ntp_sim::run(&office, 1);
//! assert!(figures.rms < 1e-3 && figures.violations == 0, "{figures:?}");
//! ```

#![forbid(unsafe_code)]

pub mod attack;
pub mod bare;
pub mod baseline;
pub mod clock;
pub mod metrics;
pub mod more;
pub mod network;
pub mod oscillator;
pub mod random;
pub mod scenario;
pub mod server;
mod several;
pub mod table;
pub mod whole;
pub mod world;

pub use whole::run;
