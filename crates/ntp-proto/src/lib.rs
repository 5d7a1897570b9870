//! NTP packets: lossless parse and emit, the client's exchange and the server's answer as values.
//!
//! | you want to | take |
//! |---|---|
//! | read a packet | [`Packet::parse`] (strict), [`Packet::parse_lenient`] (captures), [`Reader`] (one lazy pass) |
//! | know what a datagram is | [`PacketKind::of`] |
//! | write a packet | [`Header::to_bytes`], [`Header::emit`], [`PacketWriter`] for extension fields and a MAC |
//! | ask a server | [`ClientRequest`] → [`Pending`] → [`Reply`] or a named [`Reject`] |
//! | answer a client | [`Request`] and [`AnswerTemplate`] |
//! | authenticate | [`Mac`], modules [`mac`] and [`keys`] |
//! | talk to ntpd's monitor | modules [`control`] (mode 6) and [`private`] (mode 7) |
//!
//! Everything is a plain value: no clock, socket, random number or allocation in here. What is parsed is borrowed from
//! the datagram and emitted again octet for octet. Offsets are **server minus client: positive means our clock is
//! behind**.
//!
//! This is **not** the `ntp-proto` of crates.io, which belongs to ntpd-rs and keeps its packets private: add it by path
//! or git.
//!
//! Features only add: `bytes` (default: emit into `bytes::BufMut`), `alloc`, `std`, and the MACs `md5`, `sha1`, `sha2`, `cmac`.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "std", test))]
extern crate std;

pub mod control;
pub mod keys;
pub mod mac;
pub mod private;
