//! Many datagrams with one system call, answered in place.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::PoisonError;

use super::control::{self, Ancillary, Writer};
use super::name::{Family, Name};
use super::sys::Messages;
use super::{is_icmp, Socket, PENDING_ERRORS};
use crate::{Datagram, SendReport, Stamp, StampKind, TransmitId};

/// Memory for a batch of datagrams and the replies to them, allocated once.
///
/// A round is [`Socket::receive_batch`], [`respond`](Self::respond), perhaps
/// [`replies_mut`](Self::replies_mut), and [`Socket::send_batch`], or several of the latter with some replies each
/// ([`respond_to`](Self::respond_to)); nothing in it allocates or copies a payload.
///
/// ```
/// use ntp_net::{Batch, Options, Socket};
///
/// let echo = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::new())?;
/// let client = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::new())?;
/// client.send_to(b"one", echo.local_addr()?, None)?;
/// client.send_to(b"two", echo.local_addr()?, None)?;
///
/// let mut batch = Batch::new(64, 512);
/// assert_eq!(echo.receive_batch(&mut batch)?, 2);
/// batch.respond(|datagram, _buffer| Some(datagram.len));
/// assert_eq!(echo.send_batch(&mut batch).sent, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Batch {
    messages: Messages,
    family: Family,
    /// Datagrams of the last receive.
    received: usize,
    /// How many of them were looked at.
    looked_at: usize,
    /// Headers the kernel has written to since their lengths were set.
    touched: usize,
    /// The slot of each reply, in the order of sending.
    replies: Vec<u16>,
    /// The replies to be stamped, in order.
    stamped: Vec<u16>,
    /// Those that were sent, with the number under which the stamp will come.
    stamps: Vec<(usize, TransmitId)>,
    /// Where each message of replies that go together ends.
    joined: Vec<usize>,
}

/// The most datagrams that the kernel cuts a message into, in any version that does.
const MOST_SEGMENTS: usize = 64;
/// The most octets of such a message: what UDP over IPv4 carries.
const MOST_OCTETS: usize = 65_507;

impl Batch {
    /// Room for `count` datagrams (1 to 1024) of up to `octets` octets.
    #[must_use]
    pub fn new(count: usize, octets: usize) -> Self {
        let messages = Messages::new(count, octets);
        let count = messages.count();
        Self {
            messages,
            family: Family::V4,
            received: 0,
            looked_at: 0,
            touched: count,
            replies: Vec::with_capacity(count),
            stamped: Vec::with_capacity(count),
            stamps: Vec::with_capacity(count),
            joined: Vec::with_capacity(count),
        }
    }

    /// Datagrams received by the last [`Socket::receive_batch`].
    #[must_use]
    pub const fn received(&self) -> usize {
        self.received
    }

    /// Of these, those that [`respond`](Self::respond) and [`respond_to`](Self::respond_to) have not yet come to.
    #[must_use]
    #[inline]
    pub const fn waiting(&self) -> usize {
        self.received - self.looked_at
    }

    /// Who sent the waiting datagrams, in order: for what can be made ready before they are looked at.
    #[inline]
    pub fn sources(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        (self.looked_at..self.received).filter_map(|index| self.messages.name(index).address())
    }

    /// Replies that wait to be sent.
    #[must_use]
    pub fn replies(&self) -> usize {
        self.replies.len()
    }

    /// Goes over the waiting datagrams in order. `answer` gets each with all of its slot's memory, the datagram in
    /// front, and leaves the reply there: its length, or `None` for silence. A reply goes to the sender, from the
    /// local address that was asked.
    #[inline]
    pub fn respond(&mut self, answer: impl FnMut(&Datagram, &mut [u8]) -> Option<usize>) {
        self.respond_to(self.waiting(), answer);
    }

    /// Does the same for the next `count` datagrams only, so that the replies to them can be sent before the others are
    /// looked at. Replies that were not sent before are forgotten.
    #[inline]
    pub fn respond_to(&mut self, count: usize, mut answer: impl FnMut(&Datagram, &mut [u8]) -> Option<usize>) {
        self.replies.clear();
        self.stamped.clear();
        // Where the kernel did not stamp, one reading serves all of them.
        let mut awake = None;
        let first = self.looked_at;
        self.looked_at += count.min(self.waiting());
        for index in first..self.looked_at {
            let Some(source) = self.messages.name(index).address() else { continue };
            let datagram = self.datagram(index, source, &mut awake);
            let Some(len) = answer(&datagram, self.messages.payload_mut(index)) else { continue };
            let control_len = match datagram.local {
                Some(local) => {
                    let mut writer = Writer::new(self.messages.control_out(index));
                    writer.source(local, datagram.interface, self.family);
                    writer.len()
                }
                None => 0,
            };
            self.messages.reply(self.replies.len(), index, len, control_len);
            #[allow(clippy::cast_possible_truncation)] // at most 1024
            self.replies.push(index as u16);
        }
    }

    #[inline(always)]
    fn datagram(&self, index: usize, source: SocketAddr, awake: &mut Option<Stamp>) -> Datagram {
        let received = self.messages.received(index);
        let found = Ancillary::read(self.messages.control(index, received.control_len));
        Datagram {
            len: received.len,
            source,
            local: found.local,
            interface: found.interface,
            stamp: match found.kernel {
                Some(time) => Stamp { time, kind: StampKind::Kernel },
                None => *awake.get_or_insert_with(Stamp::user_now),
            },
            hardware: found.hardware,
            truncated: received.flags & libc::MSG_TRUNC != 0,
        }
    }

    /// Adds a datagram of its own to what will be sent: to `to`, from the local address `from` if given. `write` gets
    /// a slot's memory and returns the length. False when the batch is full, or `to` is not of the socket's family.
    ///
    /// It takes the place of a received datagram: begin with [`clear`](Self::clear).
    pub fn push(
        &mut self,
        socket: &Socket,
        to: SocketAddr,
        from: Option<IpAddr>,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let index = self.replies.len();
        let Some(name) = Name::new(to, socket.family).filter(|_| index < self.messages.count()) else { return false };
        self.family = socket.family;
        self.messages.set_name(index, name);
        let len = write(self.messages.payload_mut(index));
        let mut writer = Writer::new(self.messages.control_out(index));
        if let Some(from) = from {
            writer.source(from, None, socket.family);
        }
        let control_len = writer.len();
        self.messages.reply(index, index, len, control_len);
        #[allow(clippy::cast_possible_truncation)] // at most 1024
        self.replies.push(index as u16);
        self.touched = self.touched.max(index + 1);
        true
    }

    /// Forgets what was received and what was to be sent.
    pub fn clear(&mut self) {
        self.received = 0;
        self.looked_at = 0;
        self.replies.clear();
        self.stamped.clear();
    }

    /// Goes over the waiting datagrams in order, without answering.
    pub fn for_each(&mut self, mut look: impl FnMut(&Datagram, &[u8])) {
        self.respond(|datagram, buffer| {
            look(datagram, buffer.get(..datagram.len).unwrap_or(buffer));
            None
        });
    }

    /// Goes over the replies in the order in which they will be sent, with all of each slot's memory: for what must be
    /// written last, like a transmit timestamp.
    #[inline]
    pub fn replies_mut(&mut self, mut change: impl FnMut(usize, &mut [u8])) {
        for (position, &index) in self.replies.iter().enumerate() {
            change(position, self.messages.payload_mut(index.into()));
        }
    }

    /// Asks for a transmit stamp of the reply in `position`; [`stamps`](Self::stamps) will name it. Positions must come
    /// in ascending order; another is passed over.
    pub fn stamp(&mut self, position: usize) {
        let is_next = self.stamped.last().map_or(true, |&last| usize::from(last) < position);
        if is_next && position < self.replies.len() {
            #[allow(clippy::cast_possible_truncation)] // at most 1024
            self.stamped.push(position as u16);
        }
    }

    /// The replies of the last [`Socket::send_batch`] that were sent and will be stamped: position, and the id that the
    /// stamp will bear.
    #[must_use]
    pub fn stamps(&self) -> &[(usize, TransmitId)] {
        &self.stamps
    }

    /// Joins neighbours that go to the same place; false when there are none.
    fn join(&mut self) -> bool {
        let total = self.replies.len();
        self.joined.clear();
        if !(1..total).any(|position| self.is_alike(position)) {
            return false;
        }
        let mut from = 0;
        while let Some(index) = self.replies.get(from).map(|&index| usize::from(index)) {
            let (len, mut control_len) = self.messages.out_lens(from);
            let most = total.min(from + MOST_SEGMENTS.min(MOST_OCTETS / len.max(1)));
            let to = (from + 1..most).find(|&position| !self.is_alike(position)).unwrap_or(most.max(from + 1));
            if let (true, Ok(octets)) = (to > from + 1, u16::try_from(len)) {
                let mut writer = Writer::behind(self.messages.control_out(index), control_len);
                writer.segments(octets);
                control_len = writer.len();
            }
            self.messages.join(self.joined.len(), index, from, to, control_len);
            self.joined.push(to);
            from = to;
        }
        true
    }

    /// Whether the reply in `position` goes where the one before it goes, from the same address, and is as long.
    fn is_alike(&self, position: usize) -> bool {
        let place = |position: usize| self.replies.get(position).map(|&index| usize::from(index));
        let (Some(one), Some(other)) = (position.checked_sub(1).and_then(place), place(position)) else { return false };
        // Strangers are told apart by the first look.
        if self.messages.name(one).octets != self.messages.name(other).octets {
            return false;
        }
        let (len, control_len) = self.messages.out_lens(position);
        self.messages.out_lens(position - 1) == (len, control_len)
            && (1..=MOST_OCTETS).contains(&len)
            && self.messages.source_octets(one, control_len) == self.messages.source_octets(other, control_len)
    }

    /// Asks for the stamps from `place` on; where they are numbered, the kernel is told our count.
    fn write_stamps(&mut self, place: usize, flags: u32, is_numbered: bool) {
        for place in place..self.stamps.len() {
            if let Some(&(position, id)) = self.stamps.get(place) {
                self.write_stamp(position, flags, is_numbered.then_some(id));
            }
        }
    }

    /// Writes the stamp's control messages behind the source address.
    fn write_stamp(&mut self, position: usize, flags: u32, number: Option<TransmitId>) {
        let Some(index) = self.replies.get(position).map(|&index| usize::from(index)) else { return };
        let (len, control_len) = self.messages.out_lens(position);
        let control = self.messages.control_out(index);
        let plain = control::source_len(&control.0, control_len);
        let mut writer = Writer::behind(control, plain);
        writer.stamp(flags, number.map(TransmitId::to_bits));
        let control_len = writer.len();
        self.messages.reply(position, index, len, control_len);
    }
}

impl Socket {
    /// Takes what is waiting, as much as the batch holds; returns how many.
    ///
    /// On a socket with [`Options::wait`](crate::Options::wait) it waits for the first.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nothing, [`io::ErrorKind::Interrupted`] when a signal came.
    pub fn receive_batch(&self, batch: &mut Batch) -> io::Result<usize> {
        batch.replies.clear();
        batch.received = 0;
        batch.looked_at = 0;
        batch.family = self.family;
        let touched = std::mem::replace(&mut batch.touched, 0);
        let result =
            self.passing_over_errors(|descriptor| batch.messages.receive(descriptor, touched, libc::MSG_WAITFORONE));
        let received = match result {
            Ok(received) => received,
            Err(error) => {
                // What a failed call left in the headers is not known.
                batch.touched = batch.messages.count();
                return Err(error);
            }
        };
        batch.received = received;
        batch.touched = received;
        Ok(received)
    }

    /// Sends the replies. One that the kernel refuses (source port 0, no route, a firewall) loses only itself.
    pub fn send_batch(&self, batch: &mut Batch) -> SendReport {
        let total = batch.replies.len();
        batch.stamps.clear();
        if batch.stamped.is_empty() || self.transmit_flags == 0 {
            // Whatever joined cannot go is sent one by one, which tells what is the matter with each.
            let joined = if self.granted.segments { self.send_joined(batch) } else { 0 };
            let mut report = self.send_from(batch, joined, total, |_, _, _| false);
            report.sent += joined;
            return report;
        }
        // Held over the call, so that our count and the kernel's keep the same order.
        let mut state = self.transmit.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stamped = std::mem::take(&mut batch.stamped);
        for &position in &stamped {
            let id = TransmitId(state.next);
            state.next = state.next.wrapping_add(1);
            batch.stamps.push((position.into(), id));
        }
        batch.write_stamps(0, self.transmit_flags, state.numbered);
        let mut is_counted = true;
        let mut tried = None;
        let report = self.send_from(batch, 0, total, |batch, at, error| {
            let Some(first) = batch.stamps.iter().position(|&(position, _)| position == at) else { return false };
            if state.numbered && error == Some(libc::EINVAL) {
                // Either this reply or the number is refused: without the number it shows which.
                state.numbered = false;
                state.base = batch.stamps.get(first).map_or(0, |&(_, id)| id.0);
                batch.write_stamps(first, self.transmit_flags, false);
                tried = Some(at);
                return true;
            }
            batch.stamps.remove(first);
            if tried == Some(at) {
                // It was the reply.
                state.numbered = true;
                let _ = self.restart_count();
                batch.write_stamps(first, self.transmit_flags, true);
            }
            is_counted = false;
            false
        });
        let sent = total - report.blocked;
        is_counted &= report.blocked == 0;
        batch.stamps.retain(|&(position, _)| position < sent);
        if !state.numbered && !is_counted {
            // Kernels differ in whether a refused datagram counts: begin again from zero.
            batch.stamps.clear();
            state.base = state.next;
            let _ = self.restart_count();
        }
        stamped.clear();
        batch.stamped = stamped;
        report
    }

    /// Sends the replies of which some go together; how many went before the first that was refused.
    fn send_joined(&self, batch: &mut Batch) -> usize {
        if !batch.join() {
            return 0;
        }
        let sent = batch.messages.send_joined(self.as_fd(), batch.joined.len()).unwrap_or(0);
        sent.checked_sub(1).and_then(|last| batch.joined.get(last)).copied().unwrap_or(0)
    }

    /// Sends the replies `from..to`, going on behind each that is refused. `retry` is told of each that is refused, and may mend it.
    fn send_from(
        &self,
        batch: &mut Batch,
        mut from: usize,
        to: usize,
        mut retry: impl FnMut(&mut Batch, usize, Option<i32>) -> bool,
    ) -> SendReport {
        let mut report = SendReport::default();
        let mut pending = if self.granted.errors { PENDING_ERRORS } else { 0 };
        while from < to {
            match batch.messages.send(self.as_fd(), from, to) {
                Ok(0) => break,
                Ok(sent) => {
                    from += sent;
                    report.sent += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if pending > 0 && is_icmp(&error) => pending -= 1,
                Err(error) if retry(batch, from, error.raw_os_error()) => {}
                Err(error) => {
                    report.refused += 1;
                    report.error = error.raw_os_error();
                    from += 1;
                }
            }
        }
        report.blocked = to - from;
        report
    }
}
