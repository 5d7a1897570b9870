//! Who owns a Xen guest's wall clock, and giving it to the guest: now, and at every start.
//!
//! The Linux kernels that Xen guests once ran (`-xen`, before 3.0 in dom0 and 2.6.23 elsewhere) copied the hypervisor's
//! wall clock into the guest's, so that no NTP client could set it, unless `/proc/sys/xen/independent_wallclock` was 1.
//! Mainline kernels do not have that file and are always independent: with them there is nothing to do, and a line for
//! it in `sysctl.conf` makes `sysctl -p` fail.
//!
//! | step | what | effect |
//! |---|---|---|
//! | [`Facts::read`] | what `/proc` and `/sys` say, below any root | reads |
//! | [`Situation::of`] | which guest this is, who owns the clock, whether NTP can work | none: a pure decision |
//! | [`enable`] | `independent_wallclock` = 1, read back | writes one file of `/proc`, never creates it |
//! | [`Persistence::plan`] | the new `sysctl.conf`, to be shown | reads |
//! | [`Plan::apply`] | the same, written whole or not at all | replaces one file |
//! | [`find_region`] | where the machine stands, as cloud-init or xenstore name it | reads, asks |
//!
//! All of it, on this machine:
//!
//! ```no_run
//! use std::path::Path;
//! use xen_wallclock::{enable, Facts, Persistence, Situation, Target};
//!
//! let root = Path::new("/");
//! let situation = Situation::of(&Facts::read(root));
//! if situation.has_switch() {
//!     enable(root)?; // now
//!     Persistence { root, target: Target::Auto, force: false }.plan()?.apply()?; // and at every start
//! }
//! println!("{}", situation.wall_clock);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! And on none: facts are plain data, so that every guest can be made up.
//!
//! ```
//! use xen_wallclock::{Facts, Situation, Sysctl, WallClock, KEY};
//!
//! // A guest of Xen's old kernel: the switch is there and off.
//! let facts = Facts { switch: Some("0\n".into()), ..Facts::default() };
//! let situation = Situation::of(&facts);
//! assert_eq!(situation.wall_clock, WallClock::Hypervisor);
//! assert!(!situation.can_synchronize());
//!
//! let mut conf = Sysctl::parse(b"net.ipv4.ip_forward = 1\n");
//! conf.set(KEY, "1", "#Set independent wall clock time");
//! assert_eq!(
//!     conf.to_bytes(),
//!     b"net.ipv4.ip_forward = 1\n#Set independent wall clock time\nxen.independent_wallclock=1\n"
//! );
//! ```

#![forbid(unsafe_code)]

mod enable;
mod facts;
mod pattern;
mod persist;
mod region;
mod situation;
mod sysctl;

pub use enable::{enable, EnableError, Enabled};
pub use facts::Facts;
pub use persist::{PersistError, Persistence, Plan, Target, Warning};
pub use region::{find_region, region_of_instance_data, region_of_xenstore, RegionHint, XenstoreError};
pub use situation::{Domain, Guest, Mode, Situation, WallClock};
pub use sysctl::{Edit, Setting, Sysctl};

/// The setting, as the guide writes it.
pub const KEY: &str = "xen.independent_wallclock";

/// The switch below a root.
pub const SWITCH: &str = "proc/sys/xen/independent_wallclock";
