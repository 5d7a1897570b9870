//! A request as octets, signed where a key is agreed on.

use core::fmt;
use core::net::SocketAddr;

use ntp_proto::mac::{SharedKey, MAX_DIGEST};
use ntp_proto::{ClientRequest, Pending, HEADER_LENGTH};

/// The longest request: a header and the longest MAC, a key id and a digest.
const LONGEST: usize = HEADER_LENGTH + 4 + MAX_DIGEST;

/// A request to send; made by [`Association::poll_transmit`](crate::Association::poll_transmit).
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use = "a request that is not sent counts as unanswered"]
pub struct Request {
    octets: [u8; LONGEST],
    length: usize,
    /// Where it goes.
    pub to: SocketAddr,
    /// Its number within the association, for
    /// [`handle_transmit_stamp`](crate::Association::handle_transmit_stamp).
    pub sequence: u32,
    /// Advice: send it from a new ephemeral port, because it begins a poll or the one before was lost (RFC 9109 §3).
    pub fresh_port: bool,
}

impl Request {
    /// Writes a request, with the MAC of `key` where there is one; and what waits for its reply.
    ///
    /// `None` would be of a digest that its version cannot carry, of which no algorithm has one.
    pub(crate) fn write(
        asked: ClientRequest,
        key: Option<&SharedKey>,
        to: SocketAddr,
        sequence: u32,
        fresh_port: bool,
    ) -> Option<(Self, Pending)> {
        let mut octets = [0; LONGEST];
        let (writer, pending) = asked.begin(&mut octets, to).ok()?;
        let length = match key {
            Some(key) => writer.sign(key),
            None => writer.finish(),
        };
        Some((Self { octets, length: length.ok()?, to, sequence, fresh_port }, pending))
    }

    /// What to send.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, sequence, fresh_port, .. } = self;
        f.debug_struct("Request")
            .field("bytes", &self.bytes())
            .field("to", to)
            .field("sequence", sequence)
            .field("fresh_port", fresh_port)
            .finish()
    }
}
