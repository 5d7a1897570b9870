//! The socket on systems without a hand-made one: `std`, stamps by user space, no packet info.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::{BindError, Datagram, Event, Granted, Options, SendReport, Stamp, TransmitId, Wake};

/// A UDP socket that never blocks by itself.
#[derive(Debug)]
pub struct Socket {
    inner: UdpSocket,
}

impl Socket {
    /// Opens a socket on `address`; port 0 takes any.
    ///
    /// # Errors
    /// [`BindError`]. Options are not available here and no error, but for the interface.
    pub fn bind(address: SocketAddr, options: &Options) -> Result<Self, BindError> {
        if let Some(device) = &options.device {
            let source = io::ErrorKind::Unsupported.into();
            return Err(BindError::Device { address, device: device.clone(), source });
        }
        let inner = UdpSocket::bind(address).map_err(|source| BindError::Bind { address, source })?;
        inner.set_nonblocking(true).map_err(|source| BindError::Open { address, source })?;
        Ok(Self { inner })
    }

    /// What the kernel gave of the options: nothing beyond plain UDP.
    #[must_use]
    pub const fn granted(&self) -> &Granted {
        &Granted::NONE
    }

    /// The address the socket is bound to.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Takes the next datagram into `buffer`. One that fills the buffer counts as cut: `std` does not tell.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let (len, source) = self.inner.recv_from(buffer)?;
        Ok(Datagram {
            len,
            source,
            local: None,
            interface: None,
            stamp: Stamp::user_now(),
            hardware: None,
            truncated: len == buffer.len(),
        })
    }

    /// Waits for a datagram, at most `timeout` or for ever; `None` when the time is up.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_within(&self, buffer: &mut [u8], timeout: Option<Duration>) -> io::Result<Option<Datagram>> {
        let mut poller = Poller::new();
        poller.add(self);
        loop {
            match self.receive(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received.map(Some),
            }
            if poller.wait(timeout)? == Wake::TimedOut {
                return Ok(None);
            }
        }
    }

    /// Sends `payload` to `to`; the local address is the system's choice.
    ///
    /// # Errors
    /// What the system says about this datagram.
    pub fn send_to(&self, payload: &[u8], to: SocketAddr, _from: Option<IpAddr>) -> io::Result<()> {
        self.inner.send_to(payload, to).map(drop)
    }

    /// Sends like [`send_to`](Self::send_to); there are no transmit stamps.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn send_stamped(&self, payload: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<Option<TransmitId>> {
        self.send_to(payload, to, from).map(|()| None)
    }

    /// There is no error queue.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`], always.
    pub fn next_event(&self, _buffer: &mut [u8]) -> io::Result<Event> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Socket {
    /// Takes what is waiting, as much as the batch holds; returns how many.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nothing.
    pub fn receive_batch(&self, batch: &mut Batch) -> io::Result<usize> {
        batch.clear();
        while let Some(slot) = batch.slots.get_mut(batch.received) {
            match self.receive(&mut slot.payload) {
                Ok(datagram) => slot.datagram = Some(datagram),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && batch.received > 0 => break,
                Err(error) => return Err(error),
            }
            batch.received += 1;
        }
        Ok(batch.received)
    }

    /// Sends the replies. One that the system refuses loses only itself.
    pub fn send_batch(&self, batch: &mut Batch) -> SendReport {
        let mut report = SendReport::default();
        for (index, len) in batch.replies.drain(..) {
            let Some(Slot { datagram: Some(datagram), payload }) = batch.slots.get(index) else { continue };
            match self.send_to(payload.get(..len).unwrap_or(payload), datagram.source, datagram.local) {
                Ok(()) => report.sent += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => report.blocked += 1,
                Err(error) => {
                    report.refused += 1;
                    report.error = error.raw_os_error();
                }
            }
        }
        report
    }
}

#[derive(Debug, Clone)]
struct Slot {
    payload: Vec<u8>,
    datagram: Option<Datagram>,
}

/// Memory for a batch of datagrams and the replies to them, allocated once.
#[derive(Debug)]
pub struct Batch {
    slots: Vec<Slot>,
    received: usize,
    /// How many of them were looked at.
    looked_at: usize,
    /// Slot and length of each reply, in the order of sending.
    replies: Vec<(usize, usize)>,
}

impl Batch {
    /// Room for `count` datagrams (1 to 1024) of up to `octets` octets.
    #[must_use]
    pub fn new(count: usize, octets: usize) -> Self {
        let count = count.clamp(1, 1024);
        let slots = vec![Slot { payload: vec![0; octets], datagram: None }; count];
        Self { slots, received: 0, looked_at: 0, replies: Vec::with_capacity(count) }
    }

    /// Datagrams received by the last [`Socket::receive_batch`].
    #[must_use]
    pub const fn received(&self) -> usize {
        self.received
    }

    /// Of these, those that have not yet been looked at.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.received - self.looked_at
    }

    /// Who sent the waiting datagrams, in order.
    pub fn sources(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let waiting = self.slots.iter().take(self.received).skip(self.looked_at);
        waiting.filter_map(|slot| slot.datagram.map(|datagram| datagram.source))
    }

    /// Replies that wait to be sent.
    #[must_use]
    pub fn replies(&self) -> usize {
        self.replies.len()
    }

    /// Goes over the waiting datagrams in order; see the Linux one.
    pub fn respond(&mut self, answer: impl FnMut(&Datagram, &mut [u8]) -> Option<usize>) {
        self.respond_to(self.waiting(), answer);
    }

    /// Does the same for the next `count` datagrams only; see the Linux one.
    pub fn respond_to(&mut self, count: usize, mut answer: impl FnMut(&Datagram, &mut [u8]) -> Option<usize>) {
        self.replies.clear();
        let first = self.looked_at;
        self.looked_at += count.min(self.waiting());
        for (index, slot) in self.slots.iter_mut().enumerate().take(self.looked_at).skip(first) {
            if let Some(len) = slot.datagram.and_then(|datagram| answer(&datagram, &mut slot.payload)) {
                self.replies.push((index, len));
            }
        }
    }

    /// Adds a datagram of its own to what will be sent; see the Linux one.
    pub fn push(
        &mut self,
        _socket: &Socket,
        to: SocketAddr,
        _from: Option<IpAddr>,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let index = self.replies.len();
        let Some(slot) = self.slots.get_mut(index) else { return false };
        let len = write(&mut slot.payload);
        slot.datagram = Some(Datagram {
            len,
            source: to,
            local: None,
            interface: None,
            stamp: Stamp::user_now(),
            hardware: None,
            truncated: false,
        });
        self.replies.push((index, len));
        true
    }

    /// Forgets what was received and what was to be sent.
    pub fn clear(&mut self) {
        self.received = 0;
        self.looked_at = 0;
        self.replies.clear();
    }

    /// Goes over the waiting datagrams in order, without answering.
    pub fn for_each(&mut self, mut look: impl FnMut(&Datagram, &[u8])) {
        self.respond(|datagram, buffer| {
            look(datagram, buffer.get(..datagram.len).unwrap_or(buffer));
            None
        });
    }

    /// Goes over the replies in the order in which they will be sent.
    pub fn replies_mut(&mut self, mut change: impl FnMut(usize, &mut [u8])) {
        for (position, &(index, _)) in self.replies.iter().enumerate() {
            if let Some(slot) = self.slots.get_mut(index) {
                change(position, &mut slot.payload);
            }
        }
    }

    /// There are no transmit stamps.
    pub fn stamp(&mut self, _position: usize) {}

    /// None.
    #[must_use]
    pub const fn stamps(&self) -> &[(usize, TransmitId)] {
        &[]
    }
}

/// A set of sockets to wait for, looked at once in a while.
#[derive(Debug, Default)]
pub struct Poller {
    sockets: Vec<(Option<UdpSocket>, bool)>,
}

/// How often the sockets are looked at.
const LOOK: Duration = Duration::from_millis(1);

impl Poller {
    /// Nothing to wait for.
    #[must_use]
    pub const fn new() -> Self {
        Self { sockets: Vec::new() }
    }

    /// Forgets every socket.
    pub fn clear(&mut self) {
        self.sockets.clear();
    }

    /// Waits for `source` to become readable; returns its place.
    pub fn add(&mut self, source: &Socket) -> usize {
        self.sockets.push((source.inner.try_clone().ok(), false));
        self.sockets.len() - 1
    }

    /// UDP has room to send, as good as always.
    pub fn want_write(&mut self, _place: usize, _on: bool) {}

    /// Waits until a datagram is there, at most `timeout`, or for ever.
    ///
    /// # Errors
    /// None here.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Wake> {
        // One that is further off than the clock goes is none.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            for (socket, is_readable) in &mut self.sockets {
                *is_readable = socket.as_ref().is_some_and(|socket| match socket.peek_from(&mut [0]) {
                    Ok(_) => true,
                    Err(error) => error.kind() != io::ErrorKind::WouldBlock,
                });
            }
            let ready = self.sockets.iter().filter(|(_, is_readable)| *is_readable).count();
            if ready > 0 {
                return Ok(Wake::Ready(ready));
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Wake::TimedOut);
            }
            std::thread::sleep(left.map_or(LOOK, |left| left.min(LOOK)));
        }
    }

    /// Whether the last wait found something to receive at `place`.
    #[must_use]
    pub fn is_readable(&self, place: usize) -> bool {
        self.sockets.get(place).is_some_and(|(_, is_readable)| *is_readable)
    }

    /// Whether there is room to send at `place`: as good as always.
    #[must_use]
    pub fn is_writable(&self, place: usize) -> bool {
        place < self.sockets.len()
    }

    /// There is no error queue.
    #[must_use]
    pub fn has_event(&self, _place: usize) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_answered_in_place() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (server, client) =
            (Socket::bind(any, &Options::new()).unwrap(), Socket::bind(any, &Options::new()).unwrap());
        let mut batch = Batch::new(4, 16);
        assert_eq!(server.receive_batch(&mut batch).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for payload in [b"one", b"two", b"six"] {
            client.send_to(payload, server.local_addr().unwrap(), None).unwrap();
        }
        assert_eq!((server.receive_batch(&mut batch).unwrap(), batch.received()), (3, 3));
        assert_eq!(batch.sources().collect::<Vec<_>>(), [client.local_addr().unwrap(); 3]);
        batch.respond(|datagram, buffer| (buffer[0] != b't').then_some(datagram.len));
        batch.replies_mut(|position, buffer| buffer[0] = b'0' + u8::try_from(position).unwrap());
        batch.stamp(0);
        assert_eq!((batch.replies(), batch.stamps()), (2, &[][..]));
        assert_eq!(server.send_batch(&mut batch), SendReport { sent: 2, ..SendReport::default() });
        batch.clear();
        assert!(batch.push(&server, client.local_addr().unwrap(), None, |buffer| {
            buffer[..3].copy_from_slice(b"2wo");
            3
        }));
        assert_eq!(server.send_batch(&mut batch).sent, 1);
        batch.for_each(|_, _| {});
        let mut buffer = [0; 8];
        for expected in [b"0ne", b"1ix", b"2wo"] {
            let datagram = client.receive_within(&mut buffer, Some(Duration::from_secs(1))).unwrap().unwrap();
            assert_eq!(&buffer[..datagram.len], expected);
        }
    }

    #[test]
    fn a_datagram_passes_and_says_that_user_space_stamped_it() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (server, client) =
            (Socket::bind(any, &Options::new()).unwrap(), Socket::bind(any, &Options::new()).unwrap());
        let mut buffer = [0; 8];
        assert!(server.receive_within(&mut buffer, Some(Duration::from_millis(2))).unwrap().is_none());
        assert_eq!(client.send_stamped(b"time", server.local_addr().unwrap(), None).unwrap(), None);
        let datagram = server.receive_within(&mut buffer, Some(Duration::from_secs(1))).unwrap().unwrap();
        assert_eq!((datagram.len, datagram.stamp.kind), (4, crate::StampKind::User));
        assert_eq!(server.granted(), &Granted::NONE);
        assert_eq!(server.next_event(&mut []).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut poller = Poller::new();
        let place = poller.add(&server);
        client.send_to(b"again", server.local_addr().unwrap(), None).unwrap();
        assert_eq!(poller.wait(None).unwrap(), Wake::Ready(1));
        poller.want_write(place, true);
        assert!(poller.is_readable(place) && poller.is_writable(place) && !poller.has_event(place));
        poller.clear();
        assert!(!poller.is_readable(place));
        let device = Socket::bind(any, &Options::new().device("lo"));
        assert!(matches!(device, Err(BindError::Device { .. })));
    }
}
