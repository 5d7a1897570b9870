//! Setting the clock back when the process that slews it ends without being able to.
//!
//! The default [`SlewPolicy`](crate::SlewPolicy) needs none of this: what is faster than 10 ppm is the kernel's own slew, at
//! 500 µs/s, which ends by itself. A faster slew is a change of rate, and the kernel would keep it for ever. Three nets:
//!
//! 1. Dropping the [`SystemClock`](crate::SystemClock) takes it back: returning from `main`, unwinding from a panic.
//! 2. [`restore_on_signals`]: the signals that would end the process, `abort` among them.
//! 3. [`start_guard`]: a child that does nothing but wait. When the process is gone, SIGKILL and the out-of-memory killer
//!    included, it takes the rate back within a millisecond and exits.
//!
//! What remains is a kill of both at the same instant (a whole control group or container): the clock then runs off by
//! [`SystemClock::residue`](crate::SystemClock::residue), at most [`SlewPolicy::max_rate`](crate::SlewPolicy::max_rate), until
//! the next start. A power cut leaves nothing: the rate is the kernel's, not the hardware's.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

#[cfg(target_os = "linux")]
use crate::linux as platform;
#[cfg(not(target_os = "linux"))]
use crate::other as platform;
use crate::{ClockError, Operation};

/// The pipe to the guard.
static GUARD: Mutex<Option<File>> = Mutex::new(None);

/// From now on a deadly signal sets the clock back before it ends the process. Signals that have a handler already are left
/// to it: install your own before, because one installed later may call this one, which ends the process.
///
/// # Errors
/// [`ClockError`] when the system refuses.
pub fn restore_on_signals() -> Result<(), ClockError> {
    platform::restore_on_signals().map_err(|errno| ClockError::system(Operation::Rescue, errno))
}

/// Starts the guard, a child process with the privileges of this moment: call it before they are dropped. A second call does
/// nothing while the first one's guard lives; after that it starts another, which knows of the slew under way.
///
/// # Errors
/// [`ClockError::NoGuard`] when the guard would not outlive this process; else [`ClockError`] when no pipe or process can be made.
pub fn start_guard() -> Result<(), ClockError> {
    if std::process::id() == 1 {
        return Err(ClockError::NoGuard);
    }
    let Ok(mut guard) = GUARD.lock() else { return Ok(()) };
    if !guard.as_ref().is_some_and(platform::has_reader) {
        *guard = Some(platform::spawn_guard().map_err(|errno| ClockError::system(Operation::Rescue, errno))?);
    }
    Ok(())
}

/// Whether a guard stands by now: false before one is started, and as soon as it is gone, whoever ended it.
///
/// To be asked now and then by a process that slews fast: without its guard it had better not
/// ([`SlewPolicy::guarded`](crate::SlewPolicy::guarded)).
#[must_use]
pub fn is_guarded() -> bool {
    GUARD.lock().is_ok_and(|guard| guard.as_ref().is_some_and(platform::has_reader))
}

/// A slew by rate begins: this is how to end it.
pub(crate) fn arm(freq: i64, tick: i64) {
    platform::arm(freq, tick);
    tell([1, freq, tick]);
}

/// It has ended.
pub(crate) fn disarm() {
    platform::disarm();
    tell([0; 3]);
}

fn tell(words: [i64; 3]) {
    let Ok(mut guard) = GUARD.lock() else { return };
    if let Some(pipe) = guard.as_mut() {
        let mut message = [0; 24];
        for (place, octet) in message.iter_mut().zip(words.iter().flat_map(|word| word.to_ne_bytes())) {
            *place = octet;
        }
        // A guard that is gone cannot be told; the other nets hold, and `is_guarded` says so.
        if pipe.write_all(&message).is_err() {
            *guard = None;
        }
    }
}
