//! The NTP server without its sockets and clocks: a request in, an answer or a reason to stay silent out.
//!
//! | type | what it is |
//! |---|---|
//! | [`Server`] | the responder: what it says of its clock, and what it counts |
//! | [`ServerClock`] | what the clock can truthfully say of itself, its error bound growing as it stands |
//! | [`Outcome`], [`DropReason`] | what became of a datagram |
//! | [`Counters`] | how many of each |
//! | [`AccessRules`], [`Prefix`], [`Access`] | who may ask: the longest prefix decides; 10⁵ rules cost 60 instructions more than two |
//! | [`RateLimit`] | how often, in a table of fixed size that no number of sources exhausts |
//! | [`TransmitToken`] | interleaved answers (RFC 9769): tell the server when an answer truly left |
//! | [`Monitor`] | mode 6 reading for this machine: `ntpq -c rv -p` |
//! | [`LeapSmear`] | a leap second spread over hours |
//!
//! A whole server, with a socket and rules, is `examples/serve.rs`: one loop.
//!
//! Versions 1 to 4 are answered in kind, clients (mode 3) in mode 4, symmetric peers (mode 1) in mode 2. No answer is ever
//! longer than its request, and a server whose clock is not synchronised says so. A request signed with a key of the server's
//! ([`Server::with_keys`]) gets an answer signed with the same; one signed with another key, or not truly, a crypto-NAK, and
//! one with NTS fields the kiss NTSN: an unsigned answer would be worth nothing to either.
//!
//! ```
//! use ntp_server::{Outcome, Server, ServerClock};
//! use ntp_types::{Instant, NtpTimestamp, Precision, Stratum};
//!
//! let mut server = Server::new(ServerClock::local(Stratum::from_bits(10), Precision::from_log2(-24)));
//! let mut request = [0; 48];
//! request[0] = 0x23; // version 4, client
//! request[40..].copy_from_slice(b"a nonce!");
//!
//! let (received, transmitted) = (NtpTimestamp::new(3_900_000_000, 0), NtpTimestamp::new(3_900_000_000, 5));
//! let mut answer = [0; 48];
//! let source = "192.0.2.7:40000".parse()?;
//! let outcome = server.respond(&request, source, received, transmitted, Instant::ZERO, &mut answer);
//! assert_eq!(outcome, Outcome::Response { length: 48 });
//! assert_eq!(answer[0], 0x24); // leap none, version 4, server
//! assert_eq!(answer[1], 10);
//! assert_eq!(&answer[24..32], b"a nonce!");
//! assert_eq!(server.counters().answered, 1);
//! # Ok::<(), core::net::AddrParseError>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod access;
mod address;
mod clock;
mod counters;
mod interleave;
mod limit;
mod monitor;
mod outcome;
mod prefix;
mod report;
mod server;
mod smear;
mod trie;

pub use access::{Access, AccessRules};
pub use clock::ServerClock;
pub use counters::Counters;
pub use interleave::TransmitToken;
pub use limit::RateLimit;
pub use monitor::{Monitor, NotAnswered};
pub use outcome::{DropReason, Outcome};
pub use prefix::{Prefix, PrefixError};
pub use report::{PeerReport, SystemReport};
pub use server::{Server, MAX_REQUEST};
pub use smear::{LeapSmear, SmearShape, Smeared};
