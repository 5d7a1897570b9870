//! What is asked of the kernel for a socket, and what it gave.

use std::time::Duration;

use crate::StampKind;

/// What to ask of the kernel. Whatever it refuses is missing from [`Granted`] and is no error, but for the interface.
///
/// By default: kernel receive stamps, packet info, ICMP errors, and for an IPv6 wildcard IPv4 as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(crate) receive_stamps: bool,
    pub(crate) hardware_stamps: bool,
    pub(crate) transmit_stamps: bool,
    pub(crate) packet_info: bool,
    pub(crate) errors: bool,
    pub(crate) reuse_port: bool,
    pub(crate) only_v6: bool,
    pub(crate) device: Option<String>,
    pub(crate) dscp: Option<u8>,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) whole: bool,
    pub(crate) segments: bool,
    pub(crate) receive_buffer: Option<usize>,
    pub(crate) send_buffer: Option<usize>,
    pub(crate) wait: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            receive_stamps: true,
            hardware_stamps: false,
            transmit_stamps: false,
            packet_info: true,
            errors: true,
            reuse_port: false,
            only_v6: false,
            device: None,
            dscp: None,
            hop_limit: None,
            whole: false,
            segments: false,
            receive_buffer: None,
            send_buffer: None,
            wait: None,
        }
    }

    /// Receive stamps by the kernel; on by default.
    #[must_use]
    pub fn receive_stamps(mut self, on: bool) -> Self {
        self.receive_stamps = on;
        self
    }

    /// Stamps by the network interface beside those by the kernel, for receiving and, where asked for, for sending.
    ///
    /// The interface itself must have been told to stamp (`hwstamp_ctl`, privileged); this only asks to see them.
    #[must_use]
    pub fn hardware_stamps(mut self, on: bool) -> Self {
        self.hardware_stamps = on;
        self
    }

    /// Transmit stamps for what [`Socket::send_stamped`](crate::Socket::send_stamped) sends.
    #[must_use]
    pub fn transmit_stamps(mut self, on: bool) -> Self {
        self.transmit_stamps = on;
        self
    }

    /// Which local address was asked, and by which interface; on by default.
    #[must_use]
    pub fn packet_info(mut self, on: bool) -> Self {
        self.packet_info = on;
        self
    }

    /// ICMP errors as values; on by default. A server that answers strangers does better without.
    #[must_use]
    pub fn errors(mut self, on: bool) -> Self {
        self.errors = on;
        self
    }

    /// Several sockets on one address, among which the kernel spreads the sources: one for each worker.
    #[must_use]
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// An IPv6 wildcard leaves IPv4 to others.
    #[must_use]
    pub fn only_v6(mut self, on: bool) -> Self {
        self.only_v6 = on;
        self
    }

    /// Only the interface of that name. Refusal is an error: see [`BindError::Device`](crate::BindError::Device).
    #[must_use]
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.device = Some(name.into());
        self
    }

    /// The differentiated services code point of what is sent, 0 to 63 (46 is expedited forwarding); more is cut off.
    #[must_use]
    pub fn dscp(mut self, code_point: u8) -> Self {
        self.dscp = Some(code_point & 0x3f);
        self
    }

    /// TTL or hop limit of what is sent.
    #[must_use]
    pub fn hop_limit(mut self, hops: u8) -> Self {
        self.hop_limit = Some(hops);
        self
    }

    /// What is sent over IPv4 goes whole or not at all (Don't Fragment), whatever is said of the path: for a server, whose
    /// answers are no longer than their requests, so that nobody can forge the news that a path has become narrow. It also
    /// saves finding an identification for each datagram.
    #[must_use]
    pub fn whole(mut self, on: bool) -> Self {
        self.whole = on;
        self
    }

    /// Replies of one call that go to the same place one after the other, from the same address and all as long, are handed
    /// over as one and cut up again where they leave (`UDP_SEGMENT`). Somebody who asks faster than he is answered costs about
    /// half then. They leave at one moment; those that are to be stamped go by themselves.
    #[must_use]
    pub fn segments(mut self, on: bool) -> Self {
        self.segments = on;
        self
    }

    /// Octets of the receive buffer; the kernel has a limit of its own and doubles what it grants.
    #[must_use]
    pub fn receive_buffer(mut self, octets: usize) -> Self {
        self.receive_buffer = Some(octets);
        self
    }

    /// Octets of the send buffer, as above.
    #[must_use]
    pub fn send_buffer(mut self, octets: usize) -> Self {
        self.send_buffer = Some(octets);
        self
    }

    /// Receiving waits for a datagram, at most so long: for a thread that serves this socket alone, and needs one system
    /// call less for it. By default nothing waits; sending never does, because what it holds back tells an old time.
    #[must_use]
    pub fn wait(mut self, at_most: Duration) -> Self {
        self.wait = Some(at_most);
        self
    }
}

/// What the kernel gave of what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Granted {
    /// Who can be expected to stamp what is received. Each datagram says for itself who did.
    pub receive_stamps: StampKind,
    /// Transmit stamps will come through the error queue.
    pub transmit_stamps: bool,
    /// Datagrams carry the local address and the interface.
    pub packet_info: bool,
    /// ICMP errors will come through the error queue.
    pub errors: bool,
    /// Other sockets may share the address.
    pub reuse_port: bool,
    /// IPv4 reaches this IPv6 socket.
    pub dual: bool,
    /// The code point is set.
    pub dscp: bool,
    /// The hop limit is set.
    pub hop_limit: bool,
    /// Nothing is fragmented over IPv4.
    pub whole: bool,
    /// Replies to the same place are handed over as one.
    pub segments: bool,
}

impl Granted {
    /// Nothing beyond plain UDP.
    pub(crate) const NONE: Self = Self {
        receive_stamps: StampKind::User,
        transmit_stamps: false,
        packet_info: false,
        errors: false,
        reuse_port: false,
        dual: false,
        dscp: false,
        hop_limit: false,
        whole: false,
        segments: false,
    };
}
