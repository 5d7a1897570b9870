//! The algorithms of RFC 5905 (§10, §11, §13), stage by stage, each usable alone, and the engine they make.
//!
//! | stage | module | section |
//! |---|---|---|
//! | clock filter | [`filter`] | §10 |
//! | popcorn spike suppressor | [`popcorn`] | §10 |
//! | the sample that stands for a source, never an older one; root distance | [`peer`] | §10, A.5.2 |
//! | selection by intersection | [`selection`] | §11.2.1, erratum 6207 |
//! | cluster | [`cluster`](mod@cluster) | §11.2.2 |
//! | combine | [`combine`](mod@combine) | §11.2.3 |
//! | PLL/FLL loop, stepout, panic | [`clock_loop`] | §11.3 |
//! | poll adjustment | [`poll`] | §13 |
//! | huff-n'-puff | [`huffpuff`] | ntpd |
//! | all of them | [`Engine`] | §11 |
//!
//! One update, each stage by hand: four sources, of which the third is 400 ms off.
//!
//! ```
//! use ntp_discipline::rfc5905::clock_loop::{ClockLoop, LoopOptions, Outcome};
//! use ntp_discipline::rfc5905::cluster::{cluster, Truechimer};
//! use ntp_discipline::rfc5905::combine::combine;
//! use ntp_discipline::rfc5905::filter::Tuple;
//! use ntp_discipline::rfc5905::peer::Peer;
//! use ntp_discipline::rfc5905::selection::{intersect, Candidate, Edge};
//! use ntp_discipline::ServerState;
//! use ntp_types::{Instant, NtpDuration, Poll, Precision, Stratum};
//!
//! let millis = |n: i64| NtpDuration::from_nanos(n * 1_000_000);
//! let (precision, poll, now) = (Precision::default(), Poll::DEFAULT_MIN, Instant::from_nanos(8_000_000_000));
//! let server = ServerState { stratum: Stratum::PRIMARY, ..ServerState::default() };
//!
//! let mut peers = [Peer::new(); 4];
//! for (peer, offset) in peers.iter_mut().zip([3, 4, 400, 2]) {
//!     for second in 0..8 {
//!         let at = Instant::from_nanos(second * 1_000_000_000);
//!         let tuple = Tuple { offset: millis(offset), delay: millis(20), dispersion: millis(0), at: Some(at) };
//!         peer.push(tuple, at, precision, poll.interval());
//!     }
//! }
//! let candidates: Vec<Candidate> = peers
//!     .iter()
//!     .filter_map(|peer| {
//!         let (offset, root_distance) = (peer.used()?.offset, peer.root_distance(&server, now)?);
//!         Some(Candidate { offset, root_distance })
//!     })
//!     .collect();
//! let majority = intersect(&candidates, &mut [Edge::default(); 12]).expect("three of four agree");
//! let mut truechimers: Vec<Truechimer> = (candidates.iter().zip(&peers).enumerate())
//!     .filter(|(_, (candidate, _))| majority.contains(candidate))
//!     .filter_map(|(index, (candidate, peer))| {
//!         let (jitter, stratum) = (peer.used()?.jitter, server.stratum);
//!         let Candidate { offset, root_distance } = *candidate;
//!         Some(Truechimer { index, offset, jitter, root_distance, stratum, prefer: false })
//!     })
//!     .collect();
//! let survivors = cluster(&mut truechimers);
//! let system = combine(&truechimers[..survivors]).expect("a survivor");
//! assert_eq!((survivors, system.offset.human().to_string()), (3, "+3.000 ms".into()));
//!
//! let mut discipline = ClockLoop::new(LoopOptions::default(), poll);
//! assert_eq!(discipline.update(system.offset, now, (poll, Poll::DEFAULT_MAX)), Outcome::Slew);
//! assert_eq!(discipline.due(poll.interval()).human().to_string(), "+181.8 µs"); // over the next 64 s
//! ```

pub mod clock_loop;
pub mod cluster;
pub mod combine;
pub mod constants;
mod engine;
pub mod filter;
pub mod huffpuff;
pub mod peer;
pub mod poll;
pub mod popcorn;
mod readout;
pub mod selection;
mod source;
mod system;
mod variables;

pub use engine::{Engine, Options};
pub use source::Source;
