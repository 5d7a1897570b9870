//! What a server and its sources are shown as: status words and variables (RFC 9327 §3, RFC 1305's names).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::{Ipv4Addr, SocketAddr};

use ntp_proto::control::{ClockSource, PeerEvent, PeerStatus, Selection, SystemEvent, SystemStatus};
use ntp_proto::ServerVariables;
use ntp_types::{Frequency, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, Stratum};

/// One variable: name and value as they are written.
pub(crate) type Variable = (&'static str, String);

/// What the system says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // values to be written out by whoever shows them
pub struct SystemReport {
    /// The program and its version.
    pub version: String,
    /// What it says in every answer.
    pub variables: ServerVariables,
    /// What its clock shows.
    pub clock: NtpTimestamp,
    /// The association it follows; 0 for none.
    pub peer: u16,
    /// Its poll interval.
    pub poll: Poll,
    /// How far it believes its clock to be off.
    pub offset: NtpDuration,
    /// Its frequency correction.
    pub frequency: Frequency,
    /// How much its samples vary.
    pub jitter: NtpDuration,
    /// How much its frequency varies.
    pub wander: Frequency,
}

impl Default for SystemReport {
    /// An unsynchronised system of which nothing is known.
    fn default() -> Self {
        Self {
            version: String::from("ntp-server"),
            variables: ServerVariables::default(),
            clock: NtpTimestamp::UNSET,
            peer: 0,
            poll: Poll::from_log2(6),
            offset: NtpDuration::ZERO,
            frequency: Frequency::ZERO,
            jitter: NtpDuration::ZERO,
            wander: Frequency::ZERO,
        }
    }
}

/// What is known of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // as above
pub struct PeerReport {
    /// Its association, not 0.
    pub id: u16,
    /// Its address.
    pub source: SocketAddr,
    /// Ours towards it.
    pub local: SocketAddr,
    /// What the selection made of it.
    pub selection: Selection,
    /// Its leap warning.
    pub leap: LeapIndicator,
    /// Its stratum.
    pub stratum: Stratum,
    /// Its precision.
    pub precision: Precision,
    /// Its root delay.
    pub root_delay: NtpShort,
    /// Its root dispersion.
    pub root_dispersion: NtpShort,
    /// Its reference id.
    pub reference_id: ReferenceId,
    /// When its clock was last corrected.
    pub reference_time: NtpTimestamp,
    /// When its last answer came.
    pub received: NtpTimestamp,
    /// Which of the last eight requests were answered, the last in the lowest bit.
    pub reach: u8,
    /// Requests in a row without an answer.
    pub unreached: u32,
    /// Our poll interval towards it.
    pub poll: Poll,
    /// Its clock minus ours.
    pub offset: NtpDuration,
    /// Round trip.
    pub delay: NtpDuration,
    /// Error bound of the offset.
    pub dispersion: NtpDuration,
    /// How much the offset varies.
    pub jitter: NtpDuration,
}

impl SystemReport {
    pub(crate) fn status(&self) -> u16 {
        let variables = &self.variables;
        let source = match (variables.stratum.is_synchronized(), self.peer) {
            (false, _) => ClockSource::Unspecified,
            (true, 0) => ClockSource::Local,
            (true, _) => ClockSource::Ntp,
        };
        let event =
            if variables.stratum.is_synchronized() { SystemEvent::Synchronized } else { SystemEvent::NoSystemPeer };
        SystemStatus { leap: variables.leap, source, event_count: 1, event }.to_bits()
    }

    pub(crate) fn variables(&self) -> Vec<Variable> {
        let variables = &self.variables;
        Vec::from([
            ("version", quoted(&self.version)),
            ("leap", text(variables.leap.to_bits())),
            ("stratum", text(variables.stratum.to_bits())),
            ("precision", text(variables.precision.log2())),
            ("rootdelay", millis(variables.root_delay.to_duration())),
            ("rootdisp", millis(variables.root_dispersion.to_duration())),
            ("refid", reference(variables.reference_id, variables.stratum)),
            ("reftime", timestamp(variables.reference_timestamp)),
            ("clock", timestamp(self.clock)),
            ("peer", text(self.peer)),
            ("tc", text(self.poll.log2())),
            ("offset", millis(self.offset)),
            ("frequency", ppm(self.frequency)),
            ("sys_jitter", millis(self.jitter)),
            ("clk_jitter", millis(self.jitter)),
            ("clk_wander", ppm(self.wander)),
        ])
    }
}

impl PeerReport {
    pub(crate) fn status(&self) -> u16 {
        PeerStatus {
            is_configured: true,
            is_authentication_enabled: false,
            is_authentic: false,
            is_reachable: self.reach != 0,
            is_broadcast: false,
            selection: self.selection,
            event_count: 1,
            event: if self.reach == 0 { PeerEvent::Unreachable } else { PeerEvent::Reachable },
        }
        .to_bits()
    }

    pub(crate) fn variables(&self) -> Vec<Variable> {
        // ntpd knows no interval below a second, and neither do some of those who ask.
        let poll = text(self.poll.log2().max(0));
        Vec::from([
            ("srcadr", text(self.source.ip())),
            ("srcport", text(self.source.port())),
            ("dstadr", text(self.local.ip())),
            ("dstport", text(self.local.port())),
            ("leap", text(self.leap.to_bits())),
            ("stratum", text(self.stratum.to_bits())),
            ("precision", text(self.precision.log2())),
            ("rootdelay", millis(self.root_delay.to_duration())),
            ("rootdisp", millis(self.root_dispersion.to_duration())),
            ("refid", reference(self.reference_id, self.stratum)),
            ("reftime", timestamp(self.reference_time)),
            ("rec", timestamp(self.received)),
            ("reach", format_hex(self.reach)),
            ("unreach", text(self.unreached)),
            ("hmode", text(3)),
            ("pmode", text(4)),
            ("hpoll", poll.clone()),
            ("ppoll", poll),
            ("flash", text(0)),
            ("keyid", text(0)),
            ("offset", millis(self.offset)),
            ("delay", millis(self.delay)),
            ("dispersion", millis(self.dispersion)),
            ("jitter", millis(self.jitter)),
        ])
    }
}

fn text(value: impl core::fmt::Display) -> String {
    let mut text = String::new();
    let _ = write!(text, "{value}");
    text
}

/// In quotes, without what would end them.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    text.extend(value.chars().filter(|&character| character != '"' && !character.is_control()));
    text.push('"');
    text
}

/// An address from stratum 2 on, four letters otherwise, as ntpd writes it; `INIT` while there is none.
fn reference(id: ReferenceId, stratum: Stratum) -> String {
    match id.to_bytes() {
        octets if (2..16).contains(&stratum.to_bits()) => text(Ipv4Addr::from(octets)),
        [0, 0, 0, 0] => String::from("INIT"),
        octets => {
            let letter = |octet: u8| if octet.is_ascii_graphic() { char::from(octet) } else { '.' };
            octets.into_iter().take_while(|&octet| octet != 0).map(letter).collect()
        }
    }
}

fn format_hex(value: u8) -> String {
    let mut text = String::new();
    let _ = write!(text, "{value:#04x}");
    text
}

/// Milliseconds with six decimals.
fn millis(duration: NtpDuration) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:.6}", duration.to_seconds_f64() * 1e3);
    text
}

/// Parts per million with three decimals.
fn ppm(frequency: Frequency) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:.3}", frequency.to_ppm_f64());
    text
}

fn timestamp(time: NtpTimestamp) -> String {
    let mut text = String::new();
    let _ = write!(text, "0x{time}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_written_as_ntpd_does() {
        for (octets, stratum, written) in [
            ([127, 127, 1, 1], 3, "127.127.1.1"),
            (*b"GPS\0", 1, "GPS"),
            (*b"PPS2", 1, "PPS2"),
            (*b"a\n\xff ", 1, "a..."),
            ([0; 4], 16, "INIT"),
            ([0; 4], 2, "0.0.0.0"),
        ] {
            assert_eq!(reference(ReferenceId::from_bytes(octets), Stratum::from_bits(stratum)), written);
        }
    }
}
