//! NTP packets: lossless parse and emit, the client's exchange and the server's answer as values.
//!
//! | you want to | take |
//! |---|---|
//! | read a packet | [`Packet::parse`] (strict), [`Packet::parse_lenient`] (captures), [`Reader`] (one lazy pass) |
//! | know what a datagram is | [`PacketKind::of`]; read whatever it is: [`Message`] |
//! | write a packet | [`Header::to_bytes`], [`Header::emit`], [`PacketWriter`] for extension fields and a MAC |
//! | ask a server | [`ClientRequest`] → [`Pending`] → [`Reply`] or a named [`Reject`] |
//! | answer a client | [`Request`] and [`AnswerTemplate`] |
//! | authenticate | [`Mac`], modules [`mac`] and [`keys`] |
//! | talk to ntpd's monitor | module [`control`] (mode 6) |
//! | recognise the rest | modules [`private`] (mode 7), [`v5`] and [`over_ptp`] (drafts) |
//!
//! Everything is a plain value: no clock, socket, random number or allocation in here. What is parsed is borrowed from
//! the datagram and emitted again octet for octet. Offsets are **server minus client: positive means our clock is
//! behind**.
//!
//! ```
//! use ntp_proto::{AnswerTemplate, ClientRequest, Request, ServerVariables};
//! use ntp_types::{LeapIndicator, NtpDuration, NtpTimestamp, Precision, Stratum};
//!
//! // A client asks; the nonce is 64 random bits of the caller's.
//! let server = "192.0.2.1:123".parse()?;
//! let (request, pending) = ClientRequest::new(NtpTimestamp::from_bits(0x1122_3344_5566_7788)).start(server);
//!
//! // A server whose clock is half a second ahead answers.
//! let at = |millis: i64| NtpTimestamp::new(3_900_000_000, 0) + NtpDuration::from_nanos(millis * 1_000_000);
//! let variables =
//!     ServerVariables { leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerVariables::default() };
//! let answer = AnswerTemplate::new(&variables).answer(&Request::parse(&request)?, at(510), at(510));
//!
//! // The client takes nothing but the answer to what it asked.
//! let reply = pending.accept(&answer, server, at(0), at(20))?;
//! assert_eq!(reply.exchange.offset().human().to_string(), "+500.0 ms");
//! assert_eq!(reply.exchange.delay().human().to_string(), "+20.00 ms");
//! assert_eq!(reply.exchange.root_distance(Precision::from_log2(-24)).human().to_string(), "+10.00 ms");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! When to ask, whom to believe and what to make of it is in `ntp-client`; whom to answer and how often, in `ntp-server`.
//!
//! This is **not** the `ntp-proto` of crates.io, which belongs to ntpd-rs and keeps its packets private: add it by path
//! or git.
//!
//! Features only add: `bytes` (default: emit into `bytes::BufMut`), `alloc` (with a MAC: keys shared under an id), `std`,
//! and the MACs `md5`, `sha1`, `sha2`, `sha3`, `cmac`.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(all(feature = "alloc", feature = "mac"))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod control;
pub mod keys;
pub mod mac;
pub mod over_ptp;
pub mod private;
pub mod v5;

mod emit;
mod error;
mod exchange;
mod extension;
mod header;
#[cfg(feature = "mac")]
mod key;
mod message;
mod mode;
mod packet;
mod reader;
mod reject;
mod respond;
#[cfg(all(feature = "alloc", feature = "mac"))]
mod shared_key;
mod trailer;
mod truncated;
mod version;

pub use emit::PacketWriter;
pub use error::{EmitError, Field, Needed, ParseError};
pub use exchange::{ClientRequest, Exchange, Pending, Reply, UnsupportedVersion};
pub use extension::{ExtensionField, ExtensionRange, ExtensionType, Extensions};
pub use header::{Header, Lead, HEADER_LENGTH};
pub use message::{Message, MessageError};
pub use mode::Mode;
pub use packet::{Packet, PacketKind};
pub use reader::{Part, Reader};
pub use reject::{Reject, Rejected, MAX_DISPERSION};
pub use respond::{AnswerTemplate, NotARequest, PlainRequest, Request, ServerVariables};
pub use trailer::{Ambiguities, Ambiguity, Mac};
pub use truncated::Truncated;
pub use version::Version;
