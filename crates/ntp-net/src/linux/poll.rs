//! Waiting for several descriptors at once.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use super::sys;
use crate::Wake;

/// A set of descriptors to wait for with poll(2). It borrows nothing: keep the descriptors open while it names them.
///
/// Build it once, or [`clear`](Self::clear) and fill it each round: the memory stays.
#[derive(Debug, Default)]
pub struct Poller {
    descriptors: Vec<libc::pollfd>,
}

impl Poller {
    /// Nothing to wait for.
    #[must_use]
    pub const fn new() -> Self {
        Self { descriptors: Vec::new() }
    }

    /// Forgets every descriptor.
    pub fn clear(&mut self) {
        self.descriptors.clear();
    }

    /// Waits for `source` to become readable; returns its place. Its error queue is always waited for.
    pub fn add(&mut self, source: &impl AsFd) -> usize {
        self.descriptors.push(libc::pollfd { fd: source.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 });
        self.descriptors.len() - 1
    }

    /// Waits for room to send as well, for the descriptor at `place`.
    pub fn want_write(&mut self, place: usize, on: bool) {
        if let Some(descriptor) = self.descriptors.get_mut(place) {
            descriptor.events = if on { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
        }
    }

    /// Waits until something happens, at most `timeout` (rounded up to a millisecond), or for ever.
    ///
    /// # Errors
    /// What poll(2) says, but for a signal, which is [`Wake::Interrupted`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Wake> {
        let milliseconds =
            timeout.map_or(-1, |timeout| i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        match sys::poll(&mut self.descriptors, milliseconds) {
            Ok(0) => Ok(Wake::TimedOut),
            Ok(ready) => Ok(Wake::Ready(ready)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                // The kernel did not write its answers.
                self.descriptors.iter_mut().for_each(|descriptor| descriptor.revents = 0);
                Ok(Wake::Interrupted)
            }
            Err(error) => Err(error),
        }
    }

    fn has(&self, place: usize, events: i16) -> bool {
        self.descriptors.get(place).is_some_and(|descriptor| descriptor.revents & events != 0)
    }

    /// Whether the last wait found something to receive at `place`, or an end or error that reading will tell.
    #[must_use]
    pub fn is_readable(&self, place: usize) -> bool {
        self.has(place, libc::POLLIN | libc::POLLHUP | libc::POLLNVAL)
    }

    /// Whether the last wait found room to send at `place`.
    #[must_use]
    pub fn is_writable(&self, place: usize) -> bool {
        self.has(place, libc::POLLOUT)
    }

    /// Whether the last wait found something in the error queue at `place`.
    #[must_use]
    pub fn has_event(&self, place: usize) -> bool {
        self.has(place, libc::POLLERR)
    }
}
