//! The socket on Linux.

mod batch;
mod control;
mod name;
mod open;
mod poll;
mod sys;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use self::batch::Batch;
use self::control::{Ancillary, Control, ExtendedError, Writer, RECEIVE_LEN, SEND_LEN};
use self::name::{Family, Name};
pub use self::poll::Poller;
use crate::{
    BindError, Datagram, Event, Granted, Options, Reach, Stamp, StampKind, TransmitId, Transmitted, Unreachable, Wake,
};

/// A UDP socket that never blocks by itself.
///
/// All methods take `&self`: a socket may be shared between threads, though one socket for each worker
/// ([`Options::reuse_port`]) shares nothing.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    family: Family,
    granted: Granted,
    /// `SOF_TIMESTAMPING_TX_*` to ask for with each stamped datagram.
    transmit_flags: u32,
    /// `SOF_TIMESTAMPING_*` set on the socket.
    socket_flags: u32,
    transmit: Mutex<TransmitState>,
}

/// How transmit stamps are told apart.
#[derive(Debug)]
struct TransmitState {
    next: u32,
    /// The kernel takes our number with the datagram; where it does not (before 6.13), it counts by itself.
    numbered: bool,
    /// What to add to the kernel's own count.
    base: u32,
}

/// How often an ICMP error left over from an earlier datagram is passed over before giving up.
const PENDING_ERRORS: usize = 8;

impl Socket {
    /// Opens a socket on `address`; port 0 takes any.
    ///
    /// # Errors
    /// [`BindError`]. Options that are refused are no error, see [`granted`](Self::granted).
    pub fn bind(address: SocketAddr, options: &Options) -> Result<Self, BindError> {
        open::bind(address, options)
    }

    /// What the kernel gave of the options.
    #[must_use]
    pub const fn granted(&self) -> &Granted {
        &self.granted
    }

    /// The address the socket is bound to.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_name(self.as_fd())?.address().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Octets of the receive buffer, as the kernel counts them (with its own bookkeeping).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        let octets = sys::option(self.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF)?;
        usize::try_from(octets).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Takes the next datagram into `buffer`. One longer than the buffer is cut and says so.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none. ICMP errors are not reported here but by
    /// [`next_event`](Self::next_event).
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut name = Name::EMPTY;
        let mut control = Control([0; RECEIVE_LEN]);
        let received =
            self.passing_over_errors(|descriptor| sys::receive(descriptor, buffer, &mut name, &mut control.0, 0))?;
        let found = Ancillary::read(control.0.get(..received.control_len).unwrap_or(&[]));
        Ok(Datagram {
            len: received.len,
            source: name.address().ok_or(io::ErrorKind::InvalidData)?,
            local: found.local,
            interface: found.interface,
            stamp: match found.kernel {
                Some(time) => Stamp { time, kind: StampKind::Kernel },
                None => Stamp::user_now(),
            },
            hardware: found.hardware,
            truncated: received.flags & libc::MSG_TRUNC != 0,
        })
    }

    /// Waits for a datagram, at most `timeout` or for ever; `None` when the time is up.
    ///
    /// # Errors
    /// As [`receive`](Self::receive), and [`io::ErrorKind::Interrupted`] when a signal came.
    pub fn receive_within(&self, buffer: &mut [u8], timeout: Option<Duration>) -> io::Result<Option<Datagram>> {
        // One that is further off than the clock goes is none.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut poller = Poller::new();
        let place = poller.add(self);
        loop {
            match self.receive(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received.map(Some),
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            match poller.wait(left)? {
                Wake::TimedOut => return Ok(None),
                Wake::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
                // An unread error queue keeps poll awake: what is in it is for whoever asks, and nobody does here.
                Wake::Ready(_) if poller.has_event(place) => while self.next_event(&mut []).is_ok() {},
                Wake::Ready(_) => {}
            }
        }
    }

    /// Sends `payload` to `to`, from the local address `from` if given: the [`Datagram::local`] of what is answered.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room; otherwise the kernel refuses this datagram (no route,
    /// port 0, forbidden), and this one only.
    pub fn send_to(&self, payload: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        self.send_with(payload, to, from, |_| {})
    }

    /// Sends with control messages that `write` adds to the source address.
    fn send_with(
        &self,
        payload: &[u8],
        to: SocketAddr,
        from: Option<IpAddr>,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> io::Result<()> {
        let name = Name::new(to, self.family).ok_or(io::ErrorKind::InvalidInput)?;
        let mut control = Control([0; SEND_LEN]);
        let mut writer = Writer::new(&mut control);
        if let Some(from) = from {
            writer.source(from, None, self.family);
        }
        write(&mut writer);
        let len = writer.len();
        let control = control.0.get(..len).unwrap_or(&[]);
        self.passing_over_errors(|descriptor| sys::send(descriptor, payload, &name, control)).map(drop)
    }

    /// Sends like [`send_to`](Self::send_to) and asks for a transmit stamp, which comes later as
    /// [`Event::Transmitted`] with the id returned here; `None` where stamps are not granted.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn send_stamped(&self, payload: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<Option<TransmitId>> {
        if self.transmit_flags == 0 {
            return self.send_to(payload, to, from).map(|()| None);
        }
        // Held over the call, so that our count and the kernel's keep the same order.
        let mut state = self.transmit.lock().unwrap_or_else(PoisonError::into_inner);
        let send = |number| self.send_with(payload, to, from, |control| control.stamp(self.transmit_flags, number));
        if state.numbered {
            match send(Some(state.next)) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    // Either this datagram or the number is refused: without the number it shows which.
                    send(None)?;
                    state.numbered = false;
                    state.base = state.next;
                }
                sent => sent?,
            }
        } else if let Err(error) = send(None) {
            // Kernels differ in whether a refused datagram counts: begin again from zero.
            self.restart_count()?;
            state.base = state.next;
            return Err(error);
        }
        let id = TransmitId(state.next);
        state.next = state.next.wrapping_add(1);
        Ok(Some(id))
    }

    fn restart_count(&self) -> io::Result<()> {
        for flags in [self.socket_flags & !libc::SOF_TIMESTAMPING_OPT_ID, self.socket_flags] {
            sys::set_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &flags.to_ne_bytes())?;
        }
        Ok(())
    }

    /// Takes the next transmit stamp or ICMP error; for the latter the beginning of the lost payload comes into
    /// `buffer`. Worth calling when [`Poller::has_event`] says so.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn next_event(&self, buffer: &mut [u8]) -> io::Result<Event> {
        loop {
            let mut name = Name::EMPTY;
            let mut control = Control([0; RECEIVE_LEN]);
            let received = sys::receive(self.as_fd(), buffer, &mut name, &mut control.0, libc::MSG_ERRQUEUE)?;
            let found = Ancillary::read(control.0.get(..received.control_len).unwrap_or(&[]));
            let Some(error) = found.error else { continue };
            if error.origin != libc::SO_EE_ORIGIN_TIMESTAMPING {
                let Some(destination) = name.address() else { continue };
                let reach = reach(&error);
                let len = received.len.min(buffer.len());
                return Ok(Event::Unreachable(Unreachable { destination, reporter: error.offender, reach, len }));
            }
            let Some(stamp) = found.transmitted() else { continue };
            let state = self.transmit.lock().unwrap_or_else(PoisonError::into_inner);
            let id = if state.numbered { error.data } else { error.data.wrapping_add(state.base) };
            return Ok(Event::Transmitted(Transmitted { id: TransmitId(id), stamp }));
        }
    }

    /// Runs a call again while it only reports an ICMP error about an earlier datagram (udp(7)).
    fn passing_over_errors<T>(&self, mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
        let mut result = call(self.as_fd());
        if !self.granted.errors {
            return result;
        }
        for _ in 0..PENDING_ERRORS {
            match result {
                Err(error) if is_icmp(&error) => result = call(self.as_fd()),
                result => return result,
            }
        }
        result
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// The errors into which the kernel translates ICMP messages.
fn is_icmp(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EPROTO
                | libc::EACCES
                | libc::EMSGSIZE
                | libc::EOPNOTSUPP
        )
    )
}

/// What an extended error means: the kernel's error number tells most, ICMP's own type the rest.
fn reach(error: &ExtendedError) -> Reach {
    const ICMP_TIME_EXCEEDED: u8 = 11;
    const ICMP_UNREACHABLE: u8 = 3;
    const ICMP_PROHIBITED: [u8; 3] = [9, 10, 13];
    const ICMP6_TIME_EXCEEDED: u8 = 3;
    let is_v4 = error.origin == libc::SO_EE_ORIGIN_ICMP;
    let is_v6 = error.origin == libc::SO_EE_ORIGIN_ICMP6;
    if is_v4 && error.kind == ICMP_TIME_EXCEEDED || is_v6 && error.kind == ICMP6_TIME_EXCEEDED {
        return Reach::HopLimit;
    }
    if is_v4 && error.kind == ICMP_UNREACHABLE && ICMP_PROHIBITED.contains(&error.code) {
        return Reach::Prohibited;
    }
    match error.errno {
        libc::ECONNREFUSED => Reach::PortUnreachable,
        libc::EHOSTUNREACH | libc::EHOSTDOWN => Reach::HostUnreachable,
        libc::ENETUNREACH => Reach::NetworkUnreachable,
        libc::EACCES => Reach::Prohibited,
        libc::EMSGSIZE => Reach::TooBig { mtu: error.info },
        other => Reach::Other(other),
    }
}
