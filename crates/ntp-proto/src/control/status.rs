//! The status words of mode 6 (RFC 9327 §4): sixteen bits, every bit kept.

use core::fmt;

use ntp_types::LeapIndicator;

use super::code::{ClockEvent, ClockSource, PeerEvent, Selection, SystemEvent};

/// The status word of the system: leap, source, how many events since it was last read, the last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SystemStatus {
    /// The leap indicator.
    pub leap: LeapIndicator,
    /// What synchronises the system.
    pub source: ClockSource,
    /// Events since the word was last read; stays at 15.
    pub event_count: u8,
    /// The last event.
    pub event: SystemEvent,
}

/// The status word of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools)] // one per bit of the wire
pub struct PeerStatus {
    /// It was configured, not found.
    pub is_configured: bool,
    /// It is to be authenticated.
    pub is_authentication_enabled: bool,
    /// Its last packet was authentic.
    pub is_authentic: bool,
    /// It answers.
    pub is_reachable: bool,
    /// It is a broadcast association.
    pub is_broadcast: bool,
    /// What the selection made of it.
    pub selection: Selection,
    /// Events since the word was last read; stays at 15.
    pub event_count: u8,
    /// The last event.
    pub event: PeerEvent,
}

/// The status word of a reference clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockStatus {
    /// How the clock is.
    pub status: ClockEvent,
    /// The last event.
    pub event: ClockEvent,
}

impl SystemStatus {
    /// From the status word.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        let [high, low] = bits.to_be_bytes();
        Self {
            leap: LeapIndicator::from_bits(high >> 6),
            source: ClockSource::from_bits(high),
            event_count: low >> 4,
            event: SystemEvent::from_bits(low),
        }
    }

    /// The status word; an event count above 15 loses its upper bits.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        let high = self.leap.to_bits() << 6 | self.source.to_bits();
        u16::from_be_bytes([high, self.event_count << 4 | self.event.to_bits()])
    }
}

impl PeerStatus {
    const CONFIGURED: u8 = 0x80;
    const AUTHENTICATION_ENABLED: u8 = 0x40;
    const AUTHENTIC: u8 = 0x20;
    const REACHABLE: u8 = 0x10;
    const BROADCAST: u8 = 0x08;

    /// From the status word.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        let [high, low] = bits.to_be_bytes();
        Self {
            is_configured: high & Self::CONFIGURED != 0,
            is_authentication_enabled: high & Self::AUTHENTICATION_ENABLED != 0,
            is_authentic: high & Self::AUTHENTIC != 0,
            is_reachable: high & Self::REACHABLE != 0,
            is_broadcast: high & Self::BROADCAST != 0,
            selection: Selection::from_bits(high),
            event_count: low >> 4,
            event: PeerEvent::from_bits(low),
        }
    }

    /// The status word; an event count above 15 loses its upper bits.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        const fn flag(is_set: bool, bit: u8) -> u8 {
            if is_set {
                bit
            } else {
                0
            }
        }
        let high = flag(self.is_configured, Self::CONFIGURED)
            | flag(self.is_authentication_enabled, Self::AUTHENTICATION_ENABLED)
            | flag(self.is_authentic, Self::AUTHENTIC)
            | flag(self.is_reachable, Self::REACHABLE)
            | flag(self.is_broadcast, Self::BROADCAST)
            | self.selection.to_bits();
        u16::from_be_bytes([high, self.event_count << 4 | self.event.to_bits()])
    }
}

impl ClockStatus {
    /// From the status word.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        let [status, event] = bits.to_be_bytes();
        Self { status: ClockEvent::from_bits(status), event: ClockEvent::from_bits(event) }
    }

    /// The status word.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        u16::from_be_bytes([self.status.to_bits(), self.event.to_bits()])
    }
}

/// As `ntpq` shows it: `leap none, local, 1 event, freq_mode`.
impl fmt::Display for SystemStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leap, source, event_count, event } = self;
        write!(f, "leap {leap}, {source}, {event_count} event{}, {event}", plural(*event_count))
    }
}

/// As `ntpq` shows it: `conf, reach, sys.peer, 1 event, sys_peer`.
impl fmt::Display for PeerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.is_configured, "conf, "),
            (self.is_authentication_enabled, "authenb, "),
            (self.is_authentic, "auth, "),
            (self.is_reachable, "reach, "),
            (self.is_broadcast, "bcast, "),
        ];
        flags.iter().filter(|(is_set, _)| *is_set).try_for_each(|(_, word)| f.write_str(word))?;
        let Self { selection, event_count, event, .. } = self;
        write!(f, "{selection}, {event_count} event{}, {event}", plural(*event_count))
    }
}

/// `clk_unspec, last clk_noreply`.
impl fmt::Display for ClockStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, last {}", self.status, self.event)
    }
}

const fn plural(count: u8) -> &'static str {
    if count == 1 {
        ""
    } else {
        "s"
    }
}
