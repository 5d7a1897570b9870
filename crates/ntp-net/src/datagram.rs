//! What a socket hands up beside the octets.

use std::net::{IpAddr, SocketAddr};

use ntp_types::NtpTimestamp;

use crate::Stamp;

/// A datagram that was received; its octets lie in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// Octets in the buffer.
    pub len: usize,
    /// Who sent it. An IPv4 address that reached a dual socket is shown as IPv4.
    pub source: SocketAddr,
    /// The local address that was asked; hand it to [`Socket::send_to`](crate::Socket::send_to) to answer from there.
    /// `None` without packet info, and for an IPv6 group, from which nothing can be sent. For one under IPv4, or a
    /// broadcast, it is the address to answer from.
    pub local: Option<IpAddr>,
    /// Index of the interface it came in by; `None` without packet info.
    pub interface: Option<u32>,
    /// When it arrived, by the system clock: read by the kernel or, failing that, by user space.
    pub stamp: Stamp,
    /// When it arrived, by the interface's own clock, where hardware stamps were asked for and are given.
    pub hardware: Option<NtpTimestamp>,
    /// It was longer than the buffer, and what did not fit is lost.
    pub truncated: bool,
}

/// Names one sent datagram, so that its transmit stamp can be told apart. Wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TransmitId(pub(crate) u32);

impl TransmitId {
    /// The number, as the kernel counts.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }
}

/// What the error queue held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A datagram left.
    Transmitted(Transmitted),
    /// A datagram could not be delivered.
    Unreachable(Unreachable),
}

/// When a datagram left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmitted {
    /// Which: what [`Socket::send_stamped`](crate::Socket::send_stamped) returned for it.
    pub id: TransmitId,
    /// When the kernel handed it to the interface, or when the interface sent it by its own clock; see
    /// [`Stamp::kind`].
    pub stamp: Stamp,
}

/// An ICMP error, or the kernel's own refusal, about a datagram sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable {
    /// Where the datagram was going.
    pub destination: SocketAddr,
    /// Who says so, if it was somebody else than this machine.
    pub reporter: Option<IpAddr>,
    /// What is the matter.
    pub reach: Reach,
    /// Octets of the lost datagram's payload that lie in the caller's buffer: enough to tell which it was.
    pub len: usize,
}

/// How far a lost datagram got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// The host is there, nobody listens on the port.
    PortUnreachable,
    /// The host does not answer.
    HostUnreachable,
    /// No route.
    NetworkUnreachable,
    /// A firewall or a rule on the way forbids it.
    Prohibited,
    /// It is larger than the path carries.
    TooBig {
        /// What the path carries, in octets.
        mtu: u32,
    },
    /// The hop limit was used up.
    HopLimit,
    /// Something else; the system's error number.
    Other(i32),
}

/// What became of a batch of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "replies may have been refused"]
pub struct SendReport {
    /// Sent.
    pub sent: usize,
    /// Refused by the kernel, each for itself.
    pub refused: usize,
    /// Not sent because there was no more room.
    pub blocked: usize,
    /// The system's error number of the last that was refused.
    pub error: Option<i32>,
}
