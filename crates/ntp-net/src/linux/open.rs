//! Opening a socket: every option asked for, every refusal a softer mode.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::time::Duration;

use super::name::{Family, Name};
use super::{sys, Socket, TransmitState};
use crate::{BindError, Granted, Options, StampKind};

pub(super) fn bind(address: SocketAddr, options: &Options) -> Result<Socket, BindError> {
    let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
    let name = Name::new(address, family).unwrap_or(Name::EMPTY);
    let descriptor = sys::open(family).map_err(|source| BindError::Open { address, source })?;
    let asked = Asked { descriptor: descriptor.as_fd(), family };
    let mut granted = Granted::NONE;
    granted.dual = family == Family::V6
        && asked.flag(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, options.only_v6)
        && !options.only_v6
        && address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if let Some(device) = &options.device {
        asked.device(device).map_err(|source| BindError::Device { address, device: device.clone(), source })?;
    }
    granted.reuse_port = options.reuse_port && asked.flag(libc::SOL_SOCKET, libc::SO_REUSEPORT, true);
    asked.buffers(options);
    if let Some(at_most) = options.wait {
        asked.wait(at_most).map_err(|source| BindError::Open { address, source })?;
    }
    // Before the address: what arrives first is to be stamped already.
    let flags = asked.stamps(options, &mut granted);
    granted.packet_info = options.packet_info && asked.packet_info();
    granted.errors = options.errors && asked.errors();
    granted.dscp = options.dscp.is_some_and(|code_point| {
        let class = i32::from(code_point) << 2;
        asked.both((libc::IPPROTO_IP, libc::IP_TOS), (libc::IPPROTO_IPV6, libc::IPV6_TCLASS), class)
    });
    granted.hop_limit = options.hop_limit.is_some_and(|hops| {
        asked.both((libc::IPPROTO_IP, libc::IP_TTL), (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS), hops.into())
    });
    granted.whole = options.whole
        && (family == Family::V4 || granted.dual)
        && asked.number(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE);
    // That a socket may be told the length it has anyway shows whether the kernel knows of it.
    granted.segments = options.segments && asked.number(libc::IPPROTO_UDP, libc::UDP_SEGMENT, 0);
    sys::bind(descriptor.as_fd(), &name).map_err(|source| BindError::Bind { address, source })?;
    Ok(Socket {
        descriptor,
        family,
        granted,
        transmit_flags: flags.transmit,
        socket_flags: flags.socket,
        transmit: Mutex::new(TransmitState { next: 0, numbered: true, base: 0 }),
    })
}

/// `SOF_TIMESTAMPING_*` flags in force.
#[derive(Clone, Copy, Default)]
struct StampFlags {
    socket: u32,
    transmit: u32,
}

/// A socket that is being asked for options.
struct Asked<'a> {
    descriptor: BorrowedFd<'a>,
    family: Family,
}

impl Asked<'_> {
    fn number(&self, level: i32, name: i32, value: i32) -> bool {
        sys::set_option(self.descriptor, level, name, &value.to_ne_bytes()).is_ok()
    }

    fn flag(&self, level: i32, name: i32, on: bool) -> bool {
        self.number(level, name, on.into())
    }

    /// An option that each address family has its own of; an IPv6 socket that carries IPv4 as well has both.
    fn both(&self, v4: (i32, i32), v6: (i32, i32), value: i32) -> bool {
        let is_v4 = self.number(v4.0, v4.1, value);
        match self.family {
            Family::V4 => is_v4,
            Family::V6 => self.number(v6.0, v6.1, value) && is_v4,
        }
    }

    /// Errors of both families or of none: those that nobody expects would be taken for refusals.
    fn errors(&self) -> bool {
        let set = |on| self.both((libc::IPPROTO_IP, libc::IP_RECVERR), (libc::IPPROTO_IPV6, libc::IPV6_RECVERR), on);
        let is_granted = set(1);
        if !is_granted {
            set(0);
        }
        is_granted
    }

    fn packet_info(&self) -> bool {
        match self.family {
            Family::V4 => self.flag(libc::IPPROTO_IP, libc::IP_PKTINFO, true),
            // It tells of IPv4 too, by mapped addresses.
            Family::V6 => self.flag(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, true),
        }
    }

    /// Only the interface of that name. The kernel would cut a name that is too long, and take an empty one for none.
    fn device(&self, name: &str) -> io::Result<()> {
        if !(1..libc::IFNAMSIZ).contains(&name.len()) || name.contains('\0') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sys::set_option(self.descriptor, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes())
    }

    /// Buffer sizes: beyond the system's limit where privilege allows it, else up to the limit.
    fn buffers(&self, options: &Options) {
        let sizes = [
            (options.receive_buffer, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (options.send_buffer, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ];
        for (octets, force, plain) in sizes {
            let Some(octets) = octets else { continue };
            let octets = i32::try_from(octets).unwrap_or(i32::MAX);
            let _ = self.number(libc::SOL_SOCKET, force, octets) || self.number(libc::SOL_SOCKET, plain, octets);
        }
    }

    /// Lets receiving block, with a limit. The limit comes first: without it nothing would end a wait.
    fn wait(&self, at_most: Duration) -> io::Result<()> {
        let seconds = libc::c_long::try_from(at_most.as_secs()).unwrap_or(libc::c_long::MAX);
        // Zero would mean for ever.
        #[allow(clippy::unnecessary_fallible_conversions)] // c_long has 32 bits elsewhere
        let micros = libc::c_long::try_from(at_most.subsec_micros().max((seconds == 0).into())).unwrap_or(0);
        let value = [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat();
        sys::set_option(self.descriptor, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &value)?;
        sys::set_blocking(self.descriptor)
    }

    /// Asks for the richest stamps first and then for less.
    fn stamps(&self, options: &Options, granted: &mut Granted) -> StampFlags {
        let mut receive = 0;
        if options.receive_stamps {
            receive = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
        }
        let mut transmit = 0;
        let mut report = 0;
        if options.transmit_stamps {
            transmit = libc::SOF_TIMESTAMPING_TX_SOFTWARE;
            report = libc::SOF_TIMESTAMPING_SOFTWARE
                | libc::SOF_TIMESTAMPING_OPT_ID
                | libc::SOF_TIMESTAMPING_OPT_TSONLY
                | libc::SOF_TIMESTAMPING_OPT_CMSG;
        }
        if options.hardware_stamps {
            let receive_hardware = receive | libc::SOF_TIMESTAMPING_RX_HARDWARE | libc::SOF_TIMESTAMPING_RAW_HARDWARE;
            let (transmit_hardware, swhw) = if options.transmit_stamps {
                (transmit | libc::SOF_TIMESTAMPING_TX_HARDWARE, libc::SOF_TIMESTAMPING_OPT_TX_SWHW)
            } else {
                (0, 0)
            };
            if let Some(flags) = self.try_stamps(receive_hardware | report | swhw, transmit_hardware, granted) {
                return flags;
            }
        }
        let attempts = [(receive | report, transmit), (receive, 0)];
        for (socket, transmit) in attempts {
            if socket != 0 {
                if let Some(flags) = self.try_stamps(socket, transmit, granted) {
                    return flags;
                }
            }
        }
        if options.receive_stamps && self.flag(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, true) {
            granted.receive_stamps = StampKind::Kernel;
        }
        StampFlags::default()
    }

    fn try_stamps(&self, socket: u32, transmit: u32, granted: &mut Granted) -> Option<StampFlags> {
        sys::set_option(self.descriptor, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &socket.to_ne_bytes()).ok()?;
        if socket & libc::SOF_TIMESTAMPING_RX_SOFTWARE != 0 {
            granted.receive_stamps = StampKind::Kernel;
        }
        granted.transmit_stamps = transmit != 0;
        Some(StampFlags { socket, transmit })
    }
}
