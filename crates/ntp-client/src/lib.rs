//! The NTP client without its sockets and clocks: one association, and the system process over many.
//!
//! [`System`] is a state machine in the shape of the whole family: bytes and times go in, decisions come out, and nothing
//! in here reads a clock, a random source or a socket. It holds one [`Association`] per server (when to ask, reachability,
//! bursts, back-off, kiss-o'-death, matching of replies) and hands every good exchange to the discipline's
//! [`Engine`](ntp_discipline::Engine), whose commands it returns.
//!
//! ```text
//! loop {
//!     while let Some(transmit) = system.poll_transmit(now, clock, random) { send(transmit.request) }
//!     wait for a datagram, but not beyond system.next_timeout();
//!     let _ = system.handle_datagram(octets, from, received, now); // what came, if anything; an error says why not
//!     system.handle_timeout(now);
//!     while let Some(command) = system.poll_command() { system.handle_applied(&apply(&command)) }
//! }
//! ```
//!
//! A whole agent, with sockets and a clock, is `examples/follow.rs`: that loop, a page long.
//!
//! [`Query`] asks several servers once and lets them vote, without a clock to discipline.
//!
//! | kind | methods of [`System`] |
//! |---|---|
//! | getters, `&self` | [`snapshot`](System::snapshot), [`standing`](System::standing), [`association`](System::association), [`next_timeout`](System::next_timeout) |
//! | events in | [`handle_datagram`](System::handle_datagram), [`handle_timeout`](System::handle_timeout), [`handle_applied`](System::handle_applied), [`handle_transmit_stamp`](System::handle_transmit_stamp), [`handle_unreachable`](System::handle_unreachable), [`handle_leap`](System::handle_leap), [`handle_suspended`](System::handle_suspended), [`handle_reading`](System::handle_reading) |
//! | commands of the application | [`add_source`](System::add_source), [`remove_source`](System::remove_source), [`add_pool`](System::add_pool), [`add_candidates`](System::add_candidates), [`burst`](System::burst), [`set_local_addresses`](System::set_local_addresses) |
//! | actions out | [`poll_transmit`](System::poll_transmit), [`poll_command`](System::poll_command), [`poll_event`](System::poll_event) |
//!
//! A whole client: a server that is half a second ahead, and a network in which everything takes ten milliseconds.
//!
//! ```
//! use core::time::Duration;
//! use ntp_client::{SourceConfig, System, SystemConfig};
//! use ntp_discipline::{adaptive, Policy};
//! use ntp_proto::{AnswerTemplate, Request, ServerVariables};
//! use ntp_types::{Applied, ClockCommand, Instant, LeapIndicator, NtpDuration, NtpTimestamp, Stratum};
//!
//! let mut system = System::new(adaptive::Engine::<8>::new(Policy::default())?, SystemConfig::default());
//! let mut now = Instant::ZERO;
//! let mut clock = NtpTimestamp::new(3_900_000_000, 0); // ours
//! system.add_source("192.0.2.1:123".parse()?, SourceConfig { iburst: true, ..SourceConfig::default() }, now)?;
//!
//! let variables =
//!     ServerVariables { leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerVariables::default() };
//! let (server, way) = (AnswerTemplate::new(&variables), Duration::from_millis(10));
//! let (mut ahead, mut nonce) = (NtpDuration::from_nanos(500_000_000), 0x1122_3344_5566_7788);
//! for _ in 0..4 {
//!     // What is due goes out; `nonce` has to be a fresh random number every time.
//!     nonce += 1;
//!     if let Some(transmit) = system.poll_transmit(now, clock, nonce) {
//!         let there = clock + NtpDuration::from_std(way) + ahead;
//!         let answer = server.answer(&Request::parse(transmit.request.bytes())?, there, there);
//!         (now, clock) = (now + way * 2, clock + NtpDuration::from_std(way * 2));
//!         // What came in, with its receive timestamp.
//!         system.handle_datagram(&answer, transmit.request.to, clock, now)?;
//!     }
//!     // What the discipline wants done to the clock, and what the clock did of it.
//!     if let Some(ClockCommand::Step { offset, frequency }) = system.poll_command() {
//!         (clock, ahead) = (clock + offset, ahead - offset);
//!         system.handle_applied(&Applied { at: now, stepped: offset, frequency, slew_end: now, ..Applied::default() });
//!     }
//!     // Nothing to do before this.
//!     let next = system.next_timeout().expect("a server to ask");
//!     (now, clock) = (next, clock + NtpDuration::from_std(next.since(now)));
//!     system.handle_timeout(now);
//! }
//! assert!(ahead.abs() < NtpDuration::from_nanos(1_000));
//! assert_eq!(system.snapshot(now).sources[0].reach.to_string(), "017");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What peers of ours get wrong and this does not: `DENY` and `RSTR` end the polling and `RATE` slows it down, but only
//! after the origin check, so that nobody who cannot read our packets can bring it about; an unreachable server is asked
//! ever less often, and what recovery costs is an eighth of the silence; one wrong datagram ends nothing; requests in
//! flight over a step are discarded; after a sleep, or when somebody else set our clock, it is unsynchronised until sources
//! have confirmed it, and they are asked at once; a server whose own source is this machine is not followed; no server delays another;
//! where a key is agreed on, nothing without its MAC is used or obeyed, a kiss or a crypto-NAK neither.
//!
//! | practice | here |
//! |---|---|
//! | enough sources, from pools (RFC 8633 §3.2, §3.6) | a [pool](PoolConfig) uses four at a time, replaces the silent, the false and the denying |
//! | smeared time is not mixed with other time (§3.7.1) | [`SmearGuard`](ntp_discipline::SmearGuard) |
//! | shared keys (§4.1) | [`SourceConfig::key`] |
//! | nothing about us on the wire (§5.1) | a request is version, mode and a nonce |
//! | a restart opens no door (§5.2) | of any size is only the first correction, and that only by a [`quorum`](ntp_discipline::Policy::quorum); [`known_lag`] |
//! | attacks are seen (§5.3) | [`Event`], [`Counters`], [`Ignored`] |
//! | kisses are obeyed, forged ones are not (§5.4) | `RATE` until requests went well, each time twice as many, `DENY` and `RSTR` for ever, after origin and MAC |
//! | no Autokey, no broadcast, no symmetric peers, no mode 6 or 7 (§3.4, §4.2, §5.5, §5.6) | there is no code for them |
//! | a random port (RFC 9109) | [`Request::fresh_port`] advises a new one for every poll |

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod association;
mod config;
mod event;
mod floor;
mod ignored;
mod pool;
mod query;
mod reach;
mod request;
mod schedule;
mod snapshot;
mod system;
mod watch;

pub use association::{reference_id_of, Answer, Association, Counters};
pub use config::{PoolConfig, SourceConfig, SystemConfig};
pub use event::Event;
pub use floor::known_lag;
pub use ignored::Ignored;
pub use pool::PoolId;
pub use query::{CombinedOutcome, Query, QueryConfig, QueryOutcome, ServerOutcome};
pub use reach::Reach;
pub use request::Request;
pub use snapshot::{ServerSaid, Snapshot, SourceSnapshot, Standing};
pub use system::{AddError, SourceId, System, Transmit};
