//! Fuzz harnesses as functions. Each takes octets and panics where something is wrong; each has an oracle: a slow and
//! plain second implementation, a round trip through the **emitted** octets, or a property that must hold.
//!
//! The targets of cargo-fuzz call them, and `cargo test -p ntp-fuzz` replays the committed seeds and every captured packet
//! through them on a stable compiler. See README.md for the commands.

#![allow(clippy::missing_panics_doc)] // panicking is how a harness reports
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // likewise

mod client;
mod clock_files;
mod control;
mod decode;
#[cfg(feature = "peers")]
pub mod differential;
mod discipline;
mod exchange;
mod keys;
mod leap_list;
mod message;
mod ntp_conf;
mod reference;
mod region;
mod respond;
mod round_trip;
mod sysctl_conf;
mod trailer;

pub use client::client;
pub use clock_files::clock_files;
pub use control::control;
pub use decode::decode;
#[cfg(feature = "peers")]
pub use differential::differential;
pub use discipline::discipline;
pub use exchange::exchange;
pub use keys::keys;
pub use leap_list::leap_list;
pub use message::message;
pub use ntp_conf::ntp_conf;
pub use region::region;
pub use respond::respond;
pub use round_trip::round_trip;
pub use sysctl_conf::sysctl_conf;
pub use trailer::trailer;

/// A harness: any octets in, a panic where something is wrong.
pub type Harness = fn(&[u8]);

/// Every harness by the name of its target and its folder of seeds.
pub const HARNESSES: &[(&str, Harness)] = &[
    ("decode", decode),
    ("round_trip", round_trip),
    ("trailer", trailer),
    ("exchange", exchange),
    ("control", control),
    ("keys", keys),
    ("message", message),
    ("ntp_conf", ntp_conf),
    ("clock_files", clock_files),
    ("sysctl_conf", sysctl_conf),
    ("region", region),
    ("discipline", discipline),
    ("leap_list", leap_list),
    ("client", client),
    ("respond", respond),
    #[cfg(feature = "peers")]
    ("differential", |data| {
        let _ = differential(data);
    }),
];

/// Nothing that an engine holds is "not a number", however deep inside; a reading would show it as zero. Writing all of it
/// down takes longer than a run, so inputs of one length in eight pay for the others.
fn assert_numbers(data: &[u8], held: &impl std::fmt::Debug) {
    if data.len() & 7 == 0 {
        let held = format!("{held:?}");
        assert!(!held.contains("NaN"), "{held}");
    }
}
