//! The system calls, each behind a safe function. All unsafe code of the crate stands here.
//!
//! Every call takes its memory as slices or as a type that owns it, so lengths cannot disagree with pointers.

#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use super::control::{Control, RECEIVE_LEN, SEND_LEN};
use super::name::{Family, Name, NAME_LEN};

/// What one `recvmsg` filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    pub(super) len: usize,
    pub(super) control_len: usize,
    pub(super) flags: i32,
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn check_len(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A UDP socket that does not block and does not survive `exec`.
///
/// The flags are set afterwards by `fcntl`: not every system (or simulator of one) takes them in the type.
pub(super) fn open(family: Family) -> io::Result<OwnedFd> {
    let domain = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    // SAFETY: no pointers.
    let raw = check(unsafe { libc::socket(domain, libc::SOCK_DGRAM, 0) })?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: no pointers; the descriptor is open.
    check(unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(raw, libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok(descriptor)
}

/// Takes back that calls on the descriptor do not block.
pub(super) fn set_blocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers; the descriptor is open.
    check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFL, 0) }).map(drop)
}

/// `setsockopt` with the value's octets.
pub(super) fn set_option(descriptor: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let len = libc::socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `value` is readable for `len` octets; the kernel keeps no pointer.
    check(unsafe { libc::setsockopt(descriptor.as_raw_fd(), level, name, value.as_ptr().cast(), len) }).map(drop)
}

/// `getsockopt` of a number.
pub(super) fn option(descriptor: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0_i32;
    let mut len: libc::socklen_t = 4;
    // SAFETY: `value` is writable for the `len` octets it has, and `len` for its own.
    check(unsafe {
        libc::getsockopt(descriptor.as_raw_fd(), level, name, ptr::from_mut(&mut value).cast(), &mut len)
    })?;
    Ok(value)
}

/// `bind`.
pub(super) fn bind(descriptor: BorrowedFd<'_>, name: &Name) -> io::Result<()> {
    // SAFETY: `octets` is readable for `len` octets (at most its size) and aligned for a sockaddr.
    check(unsafe { libc::bind(descriptor.as_raw_fd(), name.octets.as_ptr().cast(), name.len.into()) }).map(drop)
}

/// `getsockname`.
pub(super) fn local_name(descriptor: BorrowedFd<'_>) -> io::Result<Name> {
    let mut name = Name::EMPTY;
    #[allow(clippy::cast_possible_truncation)] // 28
    let mut len = NAME_LEN as libc::socklen_t;
    // SAFETY: `octets` is writable for `len` octets and aligned for a sockaddr; `len` is writable.
    check(unsafe { libc::getsockname(descriptor.as_raw_fd(), name.octets.as_mut_ptr().cast(), &mut len) })?;
    Ok(name)
}

/// `recvmsg`: payload, sender and control messages into the caller's memory.
pub(super) fn receive(
    descriptor: BorrowedFd<'_>,
    payload: &mut [u8],
    name: &mut Name,
    control: &mut [u8],
    flags: i32,
) -> io::Result<Received> {
    let mut vector = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    // SAFETY: all zero is a valid msghdr: null pointers with zero lengths.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = name.octets.as_mut_ptr().cast();
    #[allow(clippy::cast_possible_truncation)] // 28
    {
        message.msg_namelen = NAME_LEN as libc::socklen_t;
    }
    message.msg_iov = &mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len() as _;
    // SAFETY: name, payload and control are writable for the lengths given beside them and outlive the call.
    let len = check_len(unsafe { libc::recvmsg(descriptor.as_raw_fd(), &mut message, flags) })?;
    #[allow(clippy::unnecessary_cast)] // its width differs between libraries
    let control_len = message.msg_controllen as usize;
    Ok(Received { len, control_len, flags: message.msg_flags })
}

/// `sendmsg` to a name with control messages, either of which may be empty of content but not absent of memory. Never waits.
pub(super) fn send(descriptor: BorrowedFd<'_>, payload: &[u8], name: &Name, control: &[u8]) -> io::Result<usize> {
    let mut vector = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    // SAFETY: all zero is a valid msghdr: null pointers with zero lengths.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = name.octets.as_ptr().cast_mut().cast();
    message.msg_namelen = name.len.into();
    message.msg_iov = &mut vector;
    message.msg_iovlen = 1;
    if !control.is_empty() {
        message.msg_control = control.as_ptr().cast_mut().cast();
        message.msg_controllen = control.len() as _;
    }
    // SAFETY: sendmsg only reads; name, payload and control are readable for the lengths given and outlive the call.
    check_len(unsafe { libc::sendmsg(descriptor.as_raw_fd(), &message, libc::MSG_DONTWAIT) })
}

/// `poll`; a negative timeout waits for ever.
pub(super) fn poll(descriptors: &mut [libc::pollfd], milliseconds: i32) -> io::Result<usize> {
    let count = libc::nfds_t::try_from(descriptors.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `descriptors` is writable for `count` entries; a descriptor closed meanwhile is reported, not followed.
    let ready = check(unsafe { libc::poll(descriptors.as_mut_ptr(), count, milliseconds) })?;
    Ok(usize::try_from(ready).unwrap_or(0))
}

/// One datagram's place in a batch: who sent it, what the kernel says of it, and what goes with the reply.
#[derive(Debug)]
struct Slot {
    name: Name,
    control_in: Control<RECEIVE_LEN>,
    control_out: Control<SEND_LEN>,
    vector_in: libc::iovec,
}

/// The memory of a batch: payloads, names, control messages and the headers that point at them.
///
/// The allocations live as long as this value and never move. Everything, pointers inside the headers
/// included, is derived from the raw pointers below, so that no reference made for a moment invalidates a header.
#[derive(Debug)]
pub(super) struct Messages {
    slots: NonNull<[Slot]>,
    /// Slot `i` has the `octets` octets from `i * octets`.
    payload: NonNull<[u8]>,
    headers_in: NonNull<[libc::mmsghdr]>,
    headers_out: NonNull<[libc::mmsghdr]>,
    /// What `headers_out` point at, side by side in the order of sending.
    vectors_out: NonNull<[libc::iovec]>,
    /// Headers of which each stands for one or more of those.
    headers_joined: NonNull<[libc::mmsghdr]>,
    octets: usize,
}

// SAFETY: the pointers own what they point at, and none of it is tied to a thread.
unsafe impl Send for Messages {}

fn leaked<T>(items: Vec<T>) -> NonNull<[T]> {
    NonNull::from(Box::leak(items.into_boxed_slice()))
}

impl Messages {
    /// Memory for `count` datagrams of up to `octets` octets each.
    pub(super) fn new(count: usize, octets: usize) -> Self {
        let count = count.clamp(1, 1024); // UIO_MAXIOV: the kernel takes no more at once
        let empty_vector = || libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let slot = |_| Slot {
            name: Name::EMPTY,
            control_in: Control([0; RECEIVE_LEN]),
            control_out: Control([0; SEND_LEN]),
            vector_in: empty_vector(),
        };
        // SAFETY: all zero is a valid mmsghdr: null pointers with zero lengths.
        let header = |_| unsafe { zeroed::<libc::mmsghdr>() };
        let messages = Self {
            slots: leaked((0..count).map(slot).collect()),
            payload: leaked(vec![0; count * octets]),
            headers_in: leaked((0..count).map(header).collect()),
            headers_out: leaked((0..count).map(header).collect()),
            vectors_out: leaked((0..count).map(|_| empty_vector()).collect()),
            headers_joined: leaked((0..count).map(header).collect()),
            octets,
        };
        for index in 0..count {
            messages.aim_in(index);
        }
        messages
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    fn slot(&self, index: usize) -> *mut Slot {
        element(self.slots, index)
    }

    fn payload_of(&self, index: usize) -> *mut u8 {
        assert!(index < self.slots.len());
        // SAFETY: inside the allocation, which has `octets` octets for each slot.
        unsafe { self.payload.as_ptr().cast::<u8>().add(index * self.octets) }
    }

    fn header_in(&self, index: usize) -> *mut libc::mmsghdr {
        element(self.headers_in, index)
    }

    fn header_out(&self, index: usize) -> *mut libc::mmsghdr {
        element(self.headers_out, index)
    }

    fn vector_out(&self, index: usize) -> *mut libc::iovec {
        element(self.vectors_out, index)
    }

    fn header_joined(&self, index: usize) -> *mut libc::mmsghdr {
        element(self.headers_joined, index)
    }

    /// Points a receiving header at its slot.
    fn aim_in(&self, index: usize) {
        let (slot, payload, header) = (self.slot(index), self.payload_of(index), self.header_in(index));
        // SAFETY: all three lie in our allocations and no reference to them exists now.
        unsafe {
            (*slot).vector_in = libc::iovec { iov_base: payload.cast(), iov_len: self.octets };
            let header = &mut (*header).msg_hdr;
            header.msg_name = ptr::addr_of_mut!((*slot).name.octets).cast();
            header.msg_iov = ptr::addr_of_mut!((*slot).vector_in);
            header.msg_iovlen = 1;
            header.msg_control = ptr::addr_of_mut!((*slot).control_in).cast();
        }
    }

    /// `recvmmsg`: fills the slots from the first on; returns how many.
    pub(super) fn receive(&mut self, descriptor: BorrowedFd<'_>, last: usize, flags: i32) -> io::Result<usize> {
        // The kernel shortened the lengths of what it filled the last time.
        for index in 0..last.min(self.count()) {
            // SAFETY: no other reference to the header exists.
            let header = unsafe { &mut (*self.header_in(index)).msg_hdr };
            #[allow(clippy::cast_possible_truncation)] // 28
            {
                header.msg_namelen = NAME_LEN as libc::socklen_t;
            }
            header.msg_controllen = RECEIVE_LEN as _;
        }
        #[allow(clippy::cast_possible_truncation)] // at most 1024
        let count = self.count() as u32;
        // SAFETY: `count` headers, whose names, vectors and control buffers are writable for the lengths in them and
        // live as long as `self`; no timeout.
        let received = check(unsafe {
            libc::recvmmsg(descriptor.as_raw_fd(), self.headers_in.as_ptr().cast(), count, flags as _, ptr::null_mut())
        })?;
        Ok(usize::try_from(received).unwrap_or(0))
    }

    /// What the kernel said of the datagram in slot `index`.
    #[inline]
    pub(super) fn received(&self, index: usize) -> Received {
        // SAFETY: the header is ours, and nobody holds it exclusively while `self` is borrowed.
        let header = unsafe { &*self.header_in(index) };
        #[allow(clippy::unnecessary_cast)] // its width differs between libraries
        let control_len = header.msg_hdr.msg_controllen as usize;
        let len = usize::try_from(header.msg_len).unwrap_or(0).min(self.octets);
        Received { len, control_len, flags: header.msg_hdr.msg_flags }
    }

    /// The sender's name in slot `index`.
    #[inline]
    pub(super) fn name(&self, index: usize) -> &Name {
        // SAFETY: ours; the kernel writes only while `self` is borrowed exclusively.
        unsafe { &(*self.slot(index)).name }
    }

    /// Sets the name in slot `index`: where a datagram of our own goes.
    pub(super) fn set_name(&mut self, index: usize, name: Name) {
        let (slot, header) = (self.slot(index), self.header_in(index));
        // SAFETY: ours, and `self` is borrowed exclusively.
        unsafe {
            (*slot).name = name;
            (*header).msg_hdr.msg_namelen = name.len.into();
        }
    }

    /// The control messages received in slot `index`.
    #[inline]
    pub(super) fn control(&self, index: usize, len: usize) -> &[u8] {
        // SAFETY: as above.
        let control = unsafe { &(*self.slot(index)).control_in };
        control.0.get(..len).unwrap_or(&[])
    }

    /// The first `len` octets of the control messages to go out from slot `index`.
    pub(super) fn source_octets(&self, index: usize, len: usize) -> &[u8] {
        // SAFETY: as above.
        let control = unsafe { &(*self.slot(index)).control_out };
        control.0.get(..len).unwrap_or(&[])
    }

    /// The control messages to go out from slot `index`.
    #[inline]
    pub(super) fn control_out(&mut self, index: usize) -> &mut Control<SEND_LEN> {
        // SAFETY: ours, and `self` is borrowed exclusively for as long as the reference lives.
        unsafe { &mut (*self.slot(index)).control_out }
    }

    /// The payload of slot `index`, all of it.
    #[inline]
    pub(super) fn payload_mut(&mut self, index: usize) -> &mut [u8] {
        let payload = self.payload_of(index);
        // SAFETY: `octets` octets from there belong to this slot, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(payload, self.octets) }
    }

    /// Makes slot `index` the reply in `position`: its first `len` octets, back to who sent it, with so much control.
    #[inline]
    pub(super) fn reply(&mut self, position: usize, index: usize, len: usize, control_len: usize) {
        let (slot, payload, name_len) = (self.slot(index), self.payload_of(index), self.name_len(index));
        let (header, vector) = (self.header_out(position), self.vector_out(position));
        // SAFETY: all four lie in our allocations and no reference to them exists now; the lengths are cut to what
        // is there.
        unsafe {
            *vector = libc::iovec { iov_base: payload.cast(), iov_len: len.min(self.octets) };
            let header = &mut (*header).msg_hdr;
            header.msg_name = ptr::addr_of_mut!((*slot).name.octets).cast();
            header.msg_namelen = name_len;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control =
                if control_len == 0 { ptr::null_mut() } else { ptr::addr_of_mut!((*slot).control_out).cast() };
            header.msg_controllen = control_len.min(SEND_LEN) as _;
        }
    }

    /// Octets of the reply in `position` and of its control messages.
    pub(super) fn out_lens(&self, position: usize) -> (usize, usize) {
        // SAFETY: the header is ours, and nobody holds it exclusively while `self` is borrowed.
        let header = unsafe { &(*self.header_out(position)).msg_hdr };
        // SAFETY: null before the first reply, and else it points into a slot of ours.
        let len = unsafe { header.msg_iov.as_ref() }.map_or(0, |vector| vector.iov_len);
        #[allow(clippy::unnecessary_cast)] // its width differs between libraries
        let control_len = header.msg_controllen as usize;
        (len, control_len)
    }

    /// Octets of the sender's name in slot `index`, as the kernel left them.
    fn name_len(&self, index: usize) -> libc::socklen_t {
        // SAFETY: as in `received`.
        let len = unsafe { (*self.header_in(index)).msg_hdr.msg_namelen };
        #[allow(clippy::cast_possible_truncation)] // 28
        len.min(NAME_LEN as libc::socklen_t)
    }

    /// Makes header `place` of the joined ones stand for the replies in positions `from..to`, all of which go where the first,
    /// in slot `index`, goes: with its name, and so many octets of its control messages.
    pub(super) fn join(&mut self, place: usize, index: usize, from: usize, to: usize, control_len: usize) {
        let count = to.min(self.count()).saturating_sub(from);
        let (slot, first, joined) = (self.slot(index), self.header_out(from), self.header_joined(place));
        // SAFETY: all lie in our allocations and no reference to them exists now; `count` vectors stand side by side from that
        // of the first on.
        unsafe {
            *joined = *first;
            let header = &mut (*joined).msg_hdr;
            header.msg_iovlen = count as _;
            header.msg_control =
                if control_len == 0 { ptr::null_mut() } else { ptr::addr_of_mut!((*slot).control_out).cast() };
            header.msg_controllen = control_len.min(SEND_LEN) as _;
        }
    }

    /// `sendmmsg` of the first `count` joined headers; how many went out before the first that was refused.
    pub(super) fn send_joined(&mut self, descriptor: BorrowedFd<'_>, count: usize) -> io::Result<usize> {
        let count = u32::try_from(count.min(self.count())).unwrap_or(0);
        let flags = libc::MSG_DONTWAIT as _;
        // SAFETY: `count` headers, written by `join` from those that `reply` wrote: see `send`.
        let sent = check(unsafe { libc::sendmmsg(descriptor.as_raw_fd(), self.header_joined(0), count, flags) })?;
        Ok(usize::try_from(sent).unwrap_or(0))
    }

    /// `sendmmsg` of the replies in positions `from..to`; how many went out before the first that was refused. Never waits.
    pub(super) fn send(&mut self, descriptor: BorrowedFd<'_>, from: usize, to: usize) -> io::Result<usize> {
        let to = to.min(self.count());
        let Some(count) = to.checked_sub(from).and_then(|count| u32::try_from(count).ok()).filter(|&count| count > 0)
        else {
            return Ok(0);
        };
        // SAFETY: `count` headers from `from` on, written by `reply`, whose names, vectors and control buffers are
        // readable for the lengths in them and live as long as `self`.
        let sent = check(unsafe {
            libc::sendmmsg(descriptor.as_raw_fd(), self.header_out(from), count, libc::MSG_DONTWAIT as _)
        })?;
        Ok(usize::try_from(sent).unwrap_or(0))
    }
}

/// One element of an allocation of ours.
#[inline]
fn element<T>(all: NonNull<[T]>, index: usize) -> *mut T {
    assert!(index < all.len());
    // SAFETY: every such pointer is to a live allocation of `len` elements, and the index lies inside, just checked.
    unsafe { all.as_ptr().cast::<T>().add(index) }
}

impl Drop for Messages {
    fn drop(&mut self) {
        // SAFETY: each came from `Box::leak`, is freed once, and nothing points at it after this.
        unsafe {
            drop(Box::from_raw(self.slots.as_ptr()));
            drop(Box::from_raw(self.payload.as_ptr()));
            drop(Box::from_raw(self.headers_in.as_ptr()));
            drop(Box::from_raw(self.headers_out.as_ptr()));
            drop(Box::from_raw(self.vectors_out.as_ptr()));
            drop(Box::from_raw(self.headers_joined.as_ptr()));
        }
    }
}
