//! The system calls, each behind a safe function. All unsafe code of the crate stands here.
//!
//! Every call takes its memory as slices or as a type that owns it, so lengths cannot disagree with pointers.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

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

/// `sendmsg` to a name with control messages, either of which may be empty of content but not absent of memory.
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
    check_len(unsafe { libc::sendmsg(descriptor.as_raw_fd(), &message, libc::MSG_NOSIGNAL) })
}

/// `poll`; a negative timeout waits for ever.
pub(super) fn poll(descriptors: &mut [libc::pollfd], milliseconds: i32) -> io::Result<usize> {
    let count = libc::nfds_t::try_from(descriptors.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `descriptors` is writable for `count` entries; a descriptor closed meanwhile is reported, not followed.
    let ready = check(unsafe { libc::poll(descriptors.as_mut_ptr(), count, milliseconds) })?;
    Ok(usize::try_from(ready).unwrap_or(0))
}
