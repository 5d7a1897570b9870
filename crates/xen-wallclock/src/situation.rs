//! The decision: which guest this is, who owns its wall clock, whether NTP can work.

use std::fmt;

use crate::Facts;

/// Bit of the hypervisor's features that dom0 sees (XENFEAT_dom0).
const FEATURE_DOM0: u64 = 1 << 11;

/// How the kernel runs under Xen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::upper_case_acronyms)] // the field's words
#[non_exhaustive]
pub enum Mode {
    /// Paravirtualised: the kernel knows that it has no hardware.
    PV,
    /// In a virtual machine with emulated hardware.
    HVM,
    /// In a virtual machine without.
    PVH,
}

/// Which domain this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // there is no third
pub enum Domain {
    /// The one that rules the host; its clock steps set Xen's own wall clock.
    Dom0,
    /// A guest.
    DomU,
}

/// Under what this kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // there is no third
pub enum Guest {
    /// Not under Xen.
    NotXen,
    /// Under Xen.
    Xen {
        /// How; older kernels do not say.
        mode: Option<Mode>,
        /// As which domain.
        domain: Domain,
    },
}

/// Whose the wall clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // the decision's whole range
pub enum WallClock {
    /// Not under Xen: the kernel's own, and this crate's question does not arise.
    NotXen,
    /// The guest's: its kernel has no such switch, because it is always independent.
    AlwaysGuest,
    /// The guest's: the switch is on.
    Guest,
    /// The hypervisor's: the switch is off, and whatever sets the clock is undone.
    Hypervisor,
    /// Unknown: the switch says neither 0 nor 1, or cannot be read.
    Unknown,
}

/// The decision over a machine's [`Facts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Situation {
    /// Under what the kernel runs.
    pub guest: Guest,
    /// Whose the wall clock is.
    pub wall_clock: WallClock,
}

impl Situation {
    /// Decides.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let is_switch_unreadable = facts.unreadable.iter().any(|path| path.ends_with(crate::SWITCH));
        // The switch exists in kernels made for Xen only: it is a proof by itself.
        let is_xen = facts.switch.is_some() || is_switch_unreadable || says_xen(facts);
        if !is_xen {
            return Self { guest: Guest::NotXen, wall_clock: WallClock::NotXen };
        }
        let wall_clock = match facts.switch.as_deref().map(str::trim) {
            Some("1") => WallClock::Guest,
            Some("0") => WallClock::Hypervisor,
            Some(_) => WallClock::Unknown,
            None if is_switch_unreadable => WallClock::Unknown,
            None => WallClock::AlwaysGuest,
        };
        Self { guest: Guest::Xen { mode: mode(facts), domain: domain(facts) }, wall_clock }
    }

    /// Whether an NTP client on this machine can set its clock and have it stay set.
    #[must_use]
    pub const fn can_synchronize(self) -> bool {
        !matches!(self.wall_clock, WallClock::Hypervisor | WallClock::Unknown)
    }

    /// Whether the switch is there to be used.
    #[must_use]
    pub const fn has_switch(self) -> bool {
        matches!(self.wall_clock, WallClock::Guest | WallClock::Hypervisor | WallClock::Unknown)
    }
}

fn trimmed(text: Option<&String>) -> &str {
    text.map_or("", |text| text.trim_end_matches('\0').trim())
}

fn says_xen(facts: &Facts) -> bool {
    trimmed(facts.hypervisor.as_ref()) == "xen"
        || facts.capabilities.is_some()
        || trimmed(facts.device_tree.as_ref()).starts_with("xen,")
        || trimmed(facts.vendor.as_ref()) == "Xen"
        || trimmed(facts.available_clocksources.as_ref()).split_ascii_whitespace().any(|name| name == "xen")
}

fn mode(facts: &Facts) -> Option<Mode> {
    match trimmed(facts.guest_type.as_ref()) {
        "PV" => Some(Mode::PV),
        "HVM" => Some(Mode::HVM),
        "PVH" => Some(Mode::PVH),
        // Kernels with the switch ran paravirtualised or not at all.
        _ if facts.switch.is_some() => Some(Mode::PV),
        _ if trimmed(facts.vendor.as_ref()) == "Xen" => Some(Mode::HVM),
        _ => None,
    }
}

fn domain(facts: &Facts) -> Domain {
    let features = u64::from_str_radix(trimmed(facts.features.as_ref()), 16).unwrap_or(0);
    let uuid = trimmed(facts.uuid.as_ref());
    let has_no_uuid = !uuid.is_empty() && uuid.bytes().all(|octet| matches!(octet, b'0' | b'-'));
    let has_control = trimmed(facts.capabilities.as_ref()).split_ascii_whitespace().any(|word| word == "control_d");
    if features & FEATURE_DOM0 != 0 || has_no_uuid || has_control {
        Domain::Dom0
    } else {
        Domain::DomU
    }
}

/// `not a Xen guest`, `Xen dom0, PV`, `Xen domU`.
impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotXen => f.write_str("not a Xen guest"),
            Self::Xen { mode, domain } => {
                f.write_str(match domain {
                    Domain::Dom0 => "Xen dom0",
                    Domain::DomU => "Xen domU",
                })?;
                f.write_str(match mode {
                    Some(Mode::PV) => ", PV",
                    Some(Mode::HVM) => ", HVM",
                    Some(Mode::PVH) => ", PVH",
                    None => "",
                })
            }
        }
    }
}

/// A sentence.
impl fmt::Display for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotXen => "the kernel owns its wall clock: it does not run under Xen",
            Self::AlwaysGuest => "the guest owns its wall clock: its kernel is always independent of Xen's",
            Self::Guest => "the guest owns its wall clock: independent_wallclock is 1",
            Self::Hypervisor => "Xen owns the wall clock: independent_wallclock is 0, NTP cannot set it",
            Self::Unknown => "it cannot be told who owns the wall clock: independent_wallclock is neither 0 nor 1",
        })
    }
}
