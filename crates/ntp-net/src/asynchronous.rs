//! The socket under tokio: the same calls, waiting by `await`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use crate::{Batch, Datagram, Event, SendReport, Socket, TransmitId};

/// A [`Socket`] in a tokio runtime.
///
/// ```
/// use ntp_net::{AsyncSocket, Options, Socket};
///
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let any = "127.0.0.1:0".parse().unwrap();
/// let server = AsyncSocket::new(Socket::bind(any, &Options::new())?)?;
/// let client = AsyncSocket::new(Socket::bind(any, &Options::new())?)?;
/// client.send_to(b"what time is it", server.socket().local_addr()?, None).await?;
/// let mut buffer = [0; 512];
/// let datagram = server.receive(&mut buffer).await?;
/// println!("asked at {} ({})", datagram.stamp.time, datagram.stamp.kind);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AsyncSocket(AsyncFd<Socket>);

impl AsyncSocket {
    /// Registers the socket with the runtime. It must be one that does not wait by itself.
    ///
    /// # Errors
    /// What the runtime says.
    ///
    /// # Panics
    /// Outside a runtime.
    #[allow(deprecated)] // its successor is unsafe, asking that the descriptor live as long as its owner: it does here
    pub fn new(socket: Socket) -> io::Result<Self> {
        AsyncFd::with_interest(socket, Interest::READABLE | Interest::WRITABLE | Interest::ERROR).map(Self)
    }

    /// The socket, for everything that does not wait.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        self.0.get_ref()
    }

    /// As [`Socket::receive`], when there is a datagram.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        self.0.async_io(Interest::READABLE, |socket| socket.receive(buffer)).await
    }

    /// As [`Socket::send_to`], when there is room.
    ///
    /// # Errors
    /// What the kernel says of this datagram.
    pub async fn send_to(&self, payload: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        self.0.async_io(Interest::WRITABLE, |socket| socket.send_to(payload, to, from)).await
    }

    /// As [`Socket::send_stamped`], when there is room.
    ///
    /// # Errors
    /// What the kernel says of this datagram.
    pub async fn send_stamped(
        &self,
        payload: &[u8],
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<Option<TransmitId>> {
        self.0.async_io(Interest::WRITABLE, |socket| socket.send_stamped(payload, to, from)).await
    }

    /// As [`Socket::next_event`], when there is something in the error queue.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn next_event(&self, buffer: &mut [u8]) -> io::Result<Event> {
        self.0.async_io(Interest::ERROR, |socket| socket.next_event(buffer)).await
    }

    /// As [`Socket::receive_batch`], when there is a datagram.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn receive_batch(&self, batch: &mut Batch) -> io::Result<usize> {
        self.0.async_io(Interest::READABLE, |socket| socket.receive_batch(batch)).await
    }

    /// As [`Socket::send_batch`]; what there is no room for is not waited for.
    pub fn send_batch(&self, batch: &mut Batch) -> SendReport {
        self.0.get_ref().send_batch(batch)
    }
}

impl AsFd for AsyncSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

impl AsRawFd for AsyncSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.get_ref().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Reach, StampKind};
    use std::time::Duration;

    #[test]
    fn datagrams_stamps_and_errors_are_awaited() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let work = runtime.block_on(async {
            let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
            let bound = |options| AsyncSocket::new(Socket::bind(any, &options).unwrap()).unwrap();
            let (server, client) = (bound(Options::new()), bound(Options::new().transmit_stamps(true)));
            let closed = Socket::bind(any, &Options::new()).unwrap().local_addr().unwrap();
            let to = server.socket().local_addr().unwrap();
            let mut buffer = [0; 64];
            let work = async {
                let id = client.send_stamped(b"time", to, None).await.unwrap();
                let datagram = server.receive(&mut buffer).await.unwrap();
                server.send_to(b"now", datagram.source, datagram.local).await.unwrap();
                assert_eq!(client.receive(&mut buffer).await.unwrap().len, 3);
                let Event::Transmitted(left) = client.next_event(&mut []).await.unwrap() else { panic!("no stamp") };
                assert_eq!((Some(left.id), left.stamp.kind), (id, StampKind::Kernel));
                client.send_to(b"anybody", closed, None).await.unwrap();
                let Event::Unreachable(lost) = client.next_event(&mut buffer).await.unwrap() else {
                    panic!("no error")
                };
                assert_eq!((lost.destination, lost.reach), (closed, Reach::PortUnreachable));
                client.send_to(b"one", to, None).await.unwrap();
                let mut batch = Batch::new(4, 16);
                assert_eq!(server.receive_batch(&mut batch).await.unwrap(), 1);
                batch.respond(|datagram, _| Some(datagram.len));
                assert_eq!(server.send_batch(&mut batch).sent, 1);
            };
            tokio::time::timeout(Duration::from_secs(10), work).await
        });
        work.expect("nothing hangs");
    }
}
