//! From root, or somebody with capabilities, to somebody who may do nothing.

use std::io;

use nix::unistd::{geteuid, setgid, setgroups, setuid, User};
use rustix::thread::{set_capabilities, CapabilitySet, CapabilitySets};

/// Becomes `name`, with its group and no other, if this is root; everybody else stays who they are. Nobody keeps a
/// capability: those that a service manager gives with a user have done their work too. For the calling thread and those
/// that it starts from now on.
///
/// # Errors
/// When there is no such user, or the kernel refuses.
pub(super) fn drop_to(name: &str) -> io::Result<()> {
    if geteuid().is_root() {
        become_user(name)?;
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

fn become_user(name: &str) -> io::Result<()> {
    let user = User::from_name(name)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name}")))?;
    // Groups first: afterwards there is no right to.
    setgroups(&[])?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    Ok(())
}
