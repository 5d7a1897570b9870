//! The NTP client without its sockets and clocks: one association, and the system process over many.
//!
//! [`System`] is a state machine in the shape of the whole family: bytes and times go in, decisions come out, and nothing
//! in here reads a clock, a random source or a socket. It holds one [`Association`] per server (when to ask, reachability,
//! bursts, back-off, kiss-o'-death, matching of replies) and hands every good exchange to the discipline's
//! [`Engine`](ntp_discipline::Engine), whose commands it returns.
//!
//! [`Query`] asks several servers once and lets them vote, without a clock to discipline.
//!
//! | kind | methods of [`System`] |
//! |---|---|
//! | getters, `&self` | [`snapshot`](System::snapshot), [`standing`](System::standing), [`association`](System::association), [`next_timeout`](System::next_timeout) |
//! | events in | [`handle_datagram`](System::handle_datagram), [`handle_timeout`](System::handle_timeout), [`handle_applied`](System::handle_applied), [`handle_transmit_stamp`](System::handle_transmit_stamp), [`handle_unreachable`](System::handle_unreachable), [`handle_leap`](System::handle_leap) |
//! | commands of the application | [`add_source`](System::add_source), [`remove_source`](System::remove_source), [`add_pool`](System::add_pool), [`add_candidates`](System::add_candidates), [`burst`](System::burst), [`set_local_addresses`](System::set_local_addresses) |
//! | actions out | [`poll_transmit`](System::poll_transmit), [`poll_command`](System::poll_command), [`poll_event`](System::poll_event) |
//!
//! The loop around it, in one thread:
//!
//! ```text
//! loop {
//!     // Whatever is due goes out, each request with a fresh random nonce.
//!     while let Some(transmit) = system.poll_transmit(now, clock.read(), random_u64()) {
//!         socket.send_to(transmit.request.bytes(), transmit.request.to);
//!     }
//!     // A datagram, or system.next_timeout().
//!     if let Some((bytes, from, stamp)) = wait(system.next_timeout()) {
//!         let _ = system.handle_datagram(bytes, from, stamp, now);
//!     }
//!     system.handle_timeout(now);
//!     // What the discipline wants, and what the clock did of it.
//!     while let Some(command) = system.poll_command() {
//!         system.handle_applied(&clock.apply(&command)?);
//!     }
//! }
//! ```
//!
//! What peers of ours get wrong and this does not: `DENY` and `RSTR` end the polling and `RATE` slows it down, but only
//! after the origin check, so that nobody who cannot read our packets can bring it about; an unreachable server is asked
//! ever less often, and what recovery costs is an eighth of the silence; one wrong datagram ends nothing; requests in
//! flight over a step are discarded; a server whose own source is this machine is not followed; no server delays another. Practices of RFC 8633 and RFC 9109 (nonce, advice of a new
//! port for every poll, nothing about us on the wire) are the default.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod association;
mod config;
mod event;
mod floor;
mod pool;
mod query;
mod reach;
mod schedule;
mod snapshot;
mod system;

pub use association::{reference_id_of, Answer, Association, Counters, Ignored, Request};
pub use config::{PoolConfig, SourceConfig, SystemConfig};
pub use event::Event;
pub use floor::known_lag;
pub use pool::PoolId;
pub use query::{CombinedOutcome, Query, QueryConfig, QueryOutcome, ServerOutcome};
pub use reach::Reach;
pub use snapshot::{ServerSaid, Snapshot, SourceSnapshot, Standing};
pub use system::{AddError, SourceId, System, Transmit};
