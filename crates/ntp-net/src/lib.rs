//! UDP for NTP: every datagram with the moment it arrived, the address that was asked, and no allocation on the way.
//!
//! | type | what it is |
//! |---|---|
//! | [`Socket`] | one UDP socket, IPv4, IPv6 or both; never blocks by itself |
//! | [`Options`], [`Granted`] | what is asked of the kernel, and what it gave: a refused option is a softer mode, not an end |
//! | [`Datagram`] | length, source, local address, interface, [`Stamp`], and whether it was cut short |
//! | [`Stamp`], [`StampKind`] | a moment and who read it: the kernel, or user space after waking up |
//! | [`Event`] | what the error queue holds: a transmit stamp with its packet's [`TransmitId`], or an ICMP error |
//! | [`Batch`], [`SendReport`] | many datagrams with one system call, answered in place, without allocation |
//! | [`SendLead`], [`Turn`] | how to send replies, and when each of them leaves, learnt from transmit stamps |
//! | [`Poller`], [`Wake`] | poll(2) over several descriptors with a timeout; a signal is an answer, not an error |
//!
//! On Linux receive stamps come from `SO_TIMESTAMPING`, where that is refused from `SO_TIMESTAMPNS`, and from user space
//! last. Elsewhere the crate works over `std` and every stamp says [`StampKind::User`].
//!
//! ```
//! use ntp_net::{Options, Socket};
//! use std::time::Duration;
//!
//! let server = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::new())?;
//! let client = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::new())?;
//! client.send_to(b"what time is it", server.local_addr()?, None)?;
//!
//! let mut buffer = [0; 512];
//! let datagram = server.receive_within(&mut buffer, Some(Duration::from_secs(1)))?.expect("it came");
//! assert_eq!(&buffer[..datagram.len], b"what time is it");
//! assert_eq!(datagram.source, client.local_addr()?);
//! // The answer leaves from the address that was asked, and the stamp says where it was taken.
//! server.send_to(b"now", datagram.source, datagram.local)?;
//! println!("asked at {} ({})", datagram.stamp.time, datagram.stamp.kind);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A client's loop over it is `examples/follow.rs` of `ntp-client`, a server's `examples/serve.rs` of `ntp-server`.
//!
//! The feature `tokio` adds `AsyncSocket`, the same socket under tokio.
//!
//! All unsafe code stands in `src/linux/sys.rs`; the walk over control messages is a pure function over octets.

#![deny(unsafe_code)]

mod datagram;
mod lead;
mod options;
mod stamp;

#[cfg(all(target_os = "linux", feature = "tokio"))]
mod asynchronous;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", allow(unreachable_pub))] // public elsewhere; here its tests alone see it
mod portable;

#[cfg(all(target_os = "linux", feature = "tokio"))]
pub use asynchronous::AsyncSocket;
pub use datagram::{Datagram, Event, Reach, SendReport, TransmitId, Transmitted, Unreachable};
pub use lead::{SendLead, Turn};
#[cfg(target_os = "linux")]
pub use linux::{Batch, Poller, Socket};
pub use options::{Granted, Options};
#[cfg(not(target_os = "linux"))]
pub use portable::{Batch, Poller, Socket};
pub use stamp::{Stamp, StampKind};

use std::io;
use std::net::SocketAddr;

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The kernel gives no socket of that family.
    #[error("cannot open a socket for {address}: {source}")]
    Open {
        /// The address it was for.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The address is taken, foreign, or its port is reserved for the privileged.
    #[error("cannot bind {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The socket could not be tied to the interface. To go on without would open it to every network.
    #[error("cannot bind {address} to the interface {device:?}: {source}")]
    Device {
        /// The address.
        address: SocketAddr,
        /// The interface's name.
        device: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// So many descriptors have something to say.
    Ready(usize),
    /// The time is up.
    TimedOut,
    /// A signal came; look at what it set, then wait again.
    Interrupted,
}
