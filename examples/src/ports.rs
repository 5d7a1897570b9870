//! A socket for each source, on a port of the kernel's choice that changes with every poll (RFC 9109).

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use ntp_client::Request;
use ntp_net::{BindError, Datagram, Event, Options, Poller, Socket, TransmitId};
use ntp_types::NtpTimestamp;

/// Longer than any answer to what we ask.
const DATAGRAM: usize = 1_024;
/// What is taken from one socket before the others have their turn.
const PER_TURN: usize = 64;

/// The sockets of a client, by the name it gives to each source.
#[derive(Debug)]
pub struct Ports<Id> {
    options: Options,
    open: BTreeMap<Id, Port>,
}

#[derive(Debug)]
struct Port {
    socket: Socket,
    place: usize,
    /// The last request: the kernel's name for it, and ours.
    sent: Option<(TransmitId, u32)>,
}

/// Something a socket had to say.
#[derive(Debug)]
pub enum Heard<'a, Id> {
    /// A datagram.
    Datagram(Datagram, &'a [u8]),
    /// When a request of ours left, by the machine's clock.
    Left(Id, u32, NtpTimestamp),
    /// A request of ours could not be delivered.
    Unreachable(SocketAddr),
}

impl<Id> Default for Ports<Id> {
    fn default() -> Self {
        // A client needs to know neither which of its addresses was answered nor by which interface.
        let options = Options::new().transmit_stamps(true).packet_info(false);
        Self { options, open: BTreeMap::new() }
    }
}

impl<Id: Ord + Copy> Ports<Id> {
    /// Sends a request, from a new port where that is advised.
    ///
    /// # Errors
    /// What the kernel says of this socket or this datagram.
    pub fn send(&mut self, source: Id, request: &Request) -> Result<(), SendError> {
        if request.fresh_port || !self.open.contains_key(&source) {
            let local: SocketAddr = match request.to {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = Socket::bind(local, &self.options)?;
            self.open.insert(source, Port { socket, place: usize::MAX, sent: None });
        }
        if let Some(port) = self.open.get_mut(&source) {
            let id = port.socket.send_stamped(request.bytes(), request.to, None)?;
            port.sent = id.map(|id| (id, request.sequence));
        }
        Ok(())
    }

    /// Closes the sockets of sources that are gone.
    pub fn retain(&mut self, is_held: impl Fn(Id) -> bool) {
        self.open.retain(|source, _| is_held(*source));
    }

    /// Waits for all of them.
    pub fn register(&mut self, poller: &mut Poller) {
        for port in self.open.values_mut() {
            port.place = poller.add(&port.socket);
        }
    }

    /// Hands on what the last wait found: first when requests left, then what came in.
    pub fn receive(&mut self, poller: &Poller, mut hear: impl FnMut(Heard<'_, Id>)) {
        let mut buffer = [0; DATAGRAM];
        for (source, port) in &self.open {
            if poller.has_event(port.place) {
                for _ in 0..PER_TURN {
                    match port.socket.next_event(&mut buffer) {
                        Ok(Event::Transmitted(left)) => match port.sent {
                            Some((id, sequence)) if id == left.id => {
                                hear(Heard::Left(*source, sequence, left.stamp.time));
                            }
                            _ => {}
                        },
                        Ok(Event::Unreachable(lost)) => hear(Heard::Unreachable(lost.destination)),
                        Ok(_) => {}
                        Err(_) => break,
                    }
                }
            }
            // One each: what more there is keeps the next wait short.
            if poller.is_readable(port.place) {
                let Ok(datagram) = port.socket.receive(&mut buffer) else { continue };
                let octets = buffer.get(..datagram.len).unwrap_or_default();
                if !datagram.truncated {
                    hear(Heard::Datagram(datagram, octets));
                }
            }
        }
    }
}

/// A request could not be sent.
#[derive(Debug)]
pub enum SendError {
    /// No socket.
    Bind(BindError),
    /// The socket would not take it.
    Send(io::Error),
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

impl From<BindError> for SendError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        Self::Send(error)
    }
}
