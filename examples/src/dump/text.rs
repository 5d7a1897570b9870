//! A datagram for a person to read: one line of what it is, then its parts, indented.

use std::fmt::Write;

use ntp_proto::control::{ClockStatus, ControlPacket, Opcode, PeerStatus, SystemStatus};
use ntp_proto::over_ptp::OverPtp;
use ntp_proto::private::PrivatePacket;
use ntp_proto::v5::V5Packet;
use ntp_proto::{Message, Packet};
use ntp_types::{NtpTimestamp, Precision, UnixTime};

use super::{hex, round_trip};

/// The most octets of a value that are shown.
const SHOWN: usize = 48;

/// A datagram's description, several lines; dates are those nearest to `pivot`.
#[must_use]
pub fn describe(datagram: &[u8], pivot: UnixTime) -> String {
    let message = match Message::parse(datagram) {
        Ok(message) => message,
        Err(error) => return format!("refused: {error}\n  octets {}\n", octets(datagram)),
    };
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = match &message {
        Message::Time(packet) => time(&mut text, packet, pivot),
        Message::Control(packet) => control(&mut text, packet),
        Message::Private(packet) => private(&mut text, packet),
        Message::V5(packet) => v5(&mut text, packet, pivot),
        Message::OverPtp(message) => over_ptp(&mut text, message, pivot),
        _ => writeln!(text, "message of {} octets", datagram.len()),
    };
    if !round_trip(&message) {
        text.push_str("  NOT THE SAME when written again: please report this packet\n");
    }
    text
}

fn time(text: &mut String, packet: &Packet<'_>, pivot: UnixTime) -> std::fmt::Result {
    let header = packet.header();
    let (version, mode) = (header.version(), header.mode());
    write!(text, "NTPv{version} {mode}, {} octets", packet.as_bytes().len())?;
    match packet.kiss() {
        Some(code) => writeln!(text, ", kiss-o'-death {code}")?,
        None => writeln!(text)?,
    }
    let reference = header.reference_id.display(header.stratum);
    writeln!(text, "  leap {}, stratum {}, reference {reference}", header.leap(), header.stratum)?;
    let precision = match header.precision {
        Precision::UNDISCLOSED => "undisclosed".to_owned(),
        precision => precision.to_duration().human().to_string(),
    };
    writeln!(
        text,
        "  poll {} ({:?}), precision {} ({}), root delay {} s, root dispersion {} s",
        header.poll,
        header.poll.interval(),
        header.precision,
        precision.trim_start_matches('+'),
        header.root_delay,
        header.root_dispersion
    )?;
    for (name, timestamp) in [
        ("reference", header.reference_timestamp),
        ("origin", header.origin_timestamp),
        ("receive", header.receive_timestamp),
        ("transmit", header.transmit_timestamp),
    ] {
        writeln!(text, "  {name:<9} {}", date(timestamp, pivot))?;
    }
    for field in packet.extensions() {
        writeln!(text, "  extension {} of {} octets: {}", field.kind, field.value.len(), octets(field.value))?;
    }
    if let Some(mac) = packet.mac() {
        writeln!(text, "  MAC with key {}, {} octets: {}", mac.key_id, mac.digest.len(), octets(mac.digest))?;
    }
    if packet.is_crypto_nak() {
        writeln!(text, "  crypto-NAK")?;
    }
    if !packet.trailing().is_empty() {
        writeln!(text, "  {} octets not read: {}", packet.trailing().len(), octets(packet.trailing()))?;
    }
    packet.ambiguities().iter().try_for_each(|doubt| writeln!(text, "  doubtful: {doubt}"))
}

fn date(timestamp: NtpTimestamp, pivot: UnixTime) -> String {
    match timestamp.to_unix(pivot) {
        Some(time) => format!("{timestamp} {time}"),
        None => "unset".to_owned(),
    }
}

fn control(text: &mut String, packet: &ControlPacket<'_>) -> std::fmt::Result {
    let header = packet.header();
    let kind = if header.is_response { "answer" } else { "request" };
    let more = if header.has_more { ", more follows" } else { "" };
    writeln!(
        text,
        "NTPv{} control {kind}, {}, sequence {}, association {}{more}",
        header.version, header.opcode, header.sequence, header.association
    )?;
    match header.error() {
        Some(code) => writeln!(text, "  refused: {code}")?,
        None if header.is_response => writeln!(text, "  status {:04x}: {}", header.status, status(packet))?,
        None => {}
    }
    if !packet.data().is_empty() || header.offset != 0 {
        writeln!(text, "  {} octets of data from octet {}", packet.data().len(), header.offset)?;
    }
    if header.opcode == Opcode::ReadStatus {
        for pair in packet.data().chunks_exact(4) {
            if let [a, b, c, d] = *pair {
                let status = PeerStatus::from_bits(u16::from_be_bytes([c, d]));
                writeln!(text, "  association {}: {status}", u16::from_be_bytes([a, b]))?;
            }
        }
    } else {
        data_lines(packet.data()).try_for_each(|line| writeln!(text, "    {line}"))?;
    }
    if let Some(authenticator) = packet.authenticator() {
        let digest = authenticator.digest;
        writeln!(text, "  MAC with key {}, {} octets: {}", authenticator.key_id, digest.len(), octets(digest))?;
    }
    Ok(())
}

/// The status word by what was asked: of the system, of an association, or of a clock.
fn status(packet: &ControlPacket<'_>) -> String {
    let header = packet.header();
    match (header.opcode, header.association) {
        (Opcode::ReadClock | Opcode::WriteClock, _) => ClockStatus::from_bits(header.status).to_string(),
        (_, 0) => SystemStatus::from_bits(header.status).to_string(),
        _ => PeerStatus::from_bits(header.status).to_string(),
    }
}

/// The data's lines, what is not printable escaped.
fn data_lines(data: &[u8]) -> impl Iterator<Item = String> + '_ {
    data.split(|&octet| octet == b'\n')
        .map(|line| line.trim_ascii().escape_ascii().to_string().replace("\\\"", "\""))
        .filter(|line| !line.is_empty())
}

fn private(text: &mut String, packet: &PrivatePacket<'_>) -> std::fmt::Result {
    let header = packet.header();
    let kind = if header.is_response { "answer" } else { "request" };
    writeln!(
        text,
        "NTPv{} private {kind}, implementation {}, request {} ({}), sequence {}{}{}",
        header.version,
        header.implementation,
        header.request_code,
        header.request_word().unwrap_or("unknown"),
        header.sequence,
        if header.has_more { ", more follows" } else { "" },
        if header.is_authenticated { ", authenticated" } else { "" },
    )?;
    writeln!(text, "  error {}, {} items of {} octets", header.error, header.item_count, header.item_size)?;
    if !packet.data().is_empty() {
        writeln!(text, "  data {}", octets(packet.data()))?;
    }
    Ok(())
}

fn v5(text: &mut String, packet: &V5Packet<'_>, pivot: UnixTime) -> std::fmt::Result {
    let header = packet.header();
    writeln!(text, "NTPv5 (draft) {}, {} octets", header.mode, packet.as_bytes().len())?;
    writeln!(
        text,
        "  leap {}, stratum {}, poll {}, precision {}, timescale {}, era {}, flags {:04x}",
        header.leap, header.stratum, header.poll, header.precision, header.timescale, header.era, header.flags
    )?;
    writeln!(text, "  server cookie {:016x}, client cookie {:016x}", header.server_cookie, header.client_cookie)?;
    writeln!(text, "  receive   {}", date(header.receive_timestamp, pivot))?;
    writeln!(text, "  transmit  {}", date(header.transmit_timestamp, pivot))?;
    for field in packet.extensions() {
        writeln!(text, "  extension {} of {} octets: {}", field.kind, field.value.len(), octets(field.value))?;
    }
    Ok(())
}

fn over_ptp(text: &mut String, message: &OverPtp<'_>, pivot: UnixTime) -> std::fmt::Result {
    writeln!(text, "NTP over PTP, {} octets", message.as_bytes().len())?;
    let inner = match Packet::parse_lenient(message.ntp()) {
        Ok(packet) => {
            let mut inner = String::new();
            time(&mut inner, &packet, pivot)?;
            inner
        }
        Err(error) => format!("refused: {error}"),
    };
    inner.lines().try_for_each(|line| writeln!(text, "  {line}"))
}

/// The first octets in hexadecimal.
fn octets(octets: &[u8]) -> String {
    match octets.get(..SHOWN) {
        Some(shown) if octets.len() > SHOWN => format!("{}… ({} in all)", hex(shown), octets.len()),
        _ => hex(octets),
    }
}
