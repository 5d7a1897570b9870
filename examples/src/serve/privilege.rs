//! From root to somebody who may do nothing.

use std::io;

use nix::unistd::{geteuid, setgid, setgroups, setuid, User};

/// Becomes `name`, with its group and no other, if this is root; leaves everybody else as they are.
///
/// # Errors
/// When there is no such user, or the kernel refuses.
pub(super) fn drop_to(name: &str) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let user = User::from_name(name)?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such user"))?;
    // Groups first: afterwards there is no right to.
    setgroups(&[])?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    Ok(())
}
