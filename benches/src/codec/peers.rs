//! Other people's codecs, each asked through its own public interface for the same thing.
//!
//! Not like for like, so read with care: `rusty_time-core` and `ntp_usg-proto` know no MAC and judge no trailer, `ntp`
//! reads the header only and refuses most reference ids, `ntp-parser` takes an extension field's length for that of its value
//! and so reads other fields than there are, ntpd-rs allocates its fields and has no public packet interface.

use super::{kept, kept_octets, place};

use std::io::Cursor;

use peer_ntp as ntp;
use peer_ntp_parser as ntp_parser;
use peer_ntp_usg as usg;
use peer_ntpd_rs as ntpd_rs;
use peer_rusty_time::ntp as rusty;

use usg::protocol::{FromBytes, ToBytes};

mod of_rusty_time {
    use super::*;
    super::super::contest_functions! { "rusty_time-core":
        rusty_header "header to struct" ["header"] |octets: &[u8]| rusty::NtpPacket::parse(octets);
        rusty_view "parse, view" ["fields", "nts"] rusty_walk;
        rusty_struct "parse, struct" ["header", "mac", "fields", "nts"] rusty_struct_of;
        rusty_read "parse and read all, one pass" ["header", "mac", "fields", "nts"] rusty_read_all;
        rusty_refuse "refuse" ["short"] |octets: &[u8]| rusty::NtpPacket::parse(octets);
        rusty_emit "emit header" ["header"] rusty_emitter();
        rusty_respond "respond" ["header"] rusty_responder();
    }
}

mod of_ntp_parser {
    use super::*;
    super::super::contest_functions! { "ntp-parser":
        parser_struct "parse, struct" ["header", "mac", "fields", "nts"] |octets: &[u8]| ntp_parser::parse_ntp(octets).is_ok();
        parser_refuse "refuse" ["short"] |octets: &[u8]| ntp_parser::parse_ntp(octets).is_ok();
    }
}

mod of_ntpd_rs {
    use super::*;
    super::super::contest_functions! { "ntpd-rs":
        ntpd_struct "parse, struct" ["header", "mac", "fields", "nts"] |octets: &[u8]| ntpd_rs::NtpPacket::deserialize(octets, &ntpd_rs::NoCipher).is_ok();
        ntpd_refuse "refuse" ["short", "overrun"] |octets: &[u8]| ntpd_rs::NtpPacket::deserialize(octets, &ntpd_rs::NoCipher).is_ok();
        ntpd_emit "emit header" ["header"] ntpd_emitter();
        ntpd_respond "respond" ["header"] ntpd_responder();
        ntpd_respond_nts "respond NTS NAK" ["nts"] ntpd_nts_responder();
    }
}

mod of_ntp {
    use super::*;
    super::super::contest_functions! { "ntp":
        ntp_struct "parse, struct" ["header"] |octets: &[u8]| ntp::packet::Packet::try_from(octets).is_ok();
        ntp_refuse "refuse" ["short"] |octets: &[u8]| ntp::packet::Packet::try_from(octets).is_ok();
    }
}

mod of_usg {
    use super::*;
    super::super::contest_functions! { "ntp_usg-proto":
        usg_header "header to struct" ["header"] |octets: &[u8]| usg::protocol::Packet::from_bytes(octets);
        usg_struct "parse, struct" ["header", "fields", "nts"] usg_walk;
        usg_refuse "refuse" ["short", "overrun"] usg_walk;
        usg_emit "emit header" ["header"] usg_emitter();
    }
}

pub(super) fn contests() -> Vec<super::Contest> {
    [
        of_rusty_time::contests(),
        of_ntp_parser::contests(),
        of_ntpd_rs::contests(),
        of_ntp::contests(),
        of_usg::contests(),
    ]
    .concat()
}

#[inline(always)]
fn rusty_walk(octets: &[u8]) -> Option<usize> {
    rusty::NtpPacket::parse(octets).ok()?;
    Some(rusty::extension_fields(octets).count())
}

#[inline(always)]
fn rusty_struct_of(octets: &[u8]) -> Option<(rusty::NtpPacket, usize)> {
    Some((rusty::NtpPacket::parse(octets).ok()?, rusty::extension_fields(octets).count()))
}

#[inline(always)]
fn rusty_read_all(octets: &[u8]) -> u64 {
    let Ok(packet) = rusty::NtpPacket::parse(octets) else { return 0 };
    let mut sum = (packet.leap as u64)
        .wrapping_add(packet.version.into())
        .wrapping_add(packet.mode as u64)
        .wrapping_add(packet.stratum.into())
        .wrapping_add(packet.poll as u64)
        .wrapping_add(packet.precision as u64)
        .wrapping_add(packet.root_delay.0.into())
        .wrapping_add(packet.root_dispersion.0.into())
        .wrapping_add(u32::from_ne_bytes(packet.reference_id).into())
        .wrapping_add(packet.reference_ts.0)
        .wrapping_add(packet.origin_ts.0)
        .wrapping_add(packet.receive_ts.0)
        .wrapping_add(packet.transmit_ts.0);
    for part in rusty::extension_fields(octets) {
        sum = sum.wrapping_add(match part {
            rusty::Trailer::Extension(field) => u64::from(field.field_type).wrapping_add(place(field.value)),
            rusty::Trailer::Opaque(rest) => place(rest),
        });
    }
    sum
}

fn rusty_emitter() -> impl FnMut(&[u8]) -> bool {
    let packet = kept(rusty::NtpPacket::parse(&super::header().to_bytes()).unwrap());
    let buffer = kept_octets(&[0; 64]);
    move |_| match buffer.first_chunk_mut() {
        Some(front) => {
            packet.write(front);
            true
        }
        None => false,
    }
}

fn rusty_responder() -> impl FnMut(&[u8]) -> Option<[u8; 48]> {
    let template = kept(rusty::NtpPacket::parse(&super::header().to_bytes()).unwrap());
    let mut now = *kept(3_900_000_000_u64 << 32);
    move |octets| {
        now += 1;
        let request = rusty::NtpPacket::parse(octets).ok()?;
        if request.mode != rusty::Mode::Client {
            return None;
        }
        let answer = rusty::NtpPacket {
            version: request.version,
            mode: rusty::Mode::Server,
            poll: request.poll,
            origin_ts: request.transmit_ts,
            receive_ts: rusty::NtpTimestamp(now),
            transmit_ts: rusty::NtpTimestamp(now + 9),
            ..*template
        };
        Some(answer.to_bytes())
    }
}

fn ntpd_emitter() -> impl FnMut(&[u8]) -> bool {
    let octets = kept_octets(&super::header().to_bytes());
    let packet = kept(ntpd_rs::NtpPacket::deserialize(octets, &ntpd_rs::NoCipher).unwrap().0);
    let buffer = kept_octets(&[0; 64]);
    move |_| packet.serialize(&mut Cursor::new(&mut *buffer), &ntpd_rs::NoCipher, None).is_ok()
}

/// A clock that stands still, so that none of the system's is counted.
#[derive(Clone)]
struct StoppedClock;

impl ntpd_rs::NtpClock for StoppedClock {
    type Error = std::io::Error;

    fn now(&self) -> Result<ntpd_rs::NtpTimestamp, Self::Error> {
        Ok(ntpd_rs::NtpTimestamp::from_seconds_nanos_since_ntp_era(3_900_000_000, 9))
    }
    fn set_frequency(&self, _: f64) -> Result<ntpd_rs::NtpTimestamp, Self::Error> {
        self.now()
    }
    fn get_frequency(&self) -> Result<f64, Self::Error> {
        Ok(0.0)
    }
    fn step_clock(&self, _: ntpd_rs::NtpDuration) -> Result<ntpd_rs::NtpTimestamp, Self::Error> {
        self.now()
    }
    fn disable_ntp_algorithm(&self) -> Result<(), Self::Error> {
        Ok(())
    }
    fn error_estimate_update(&self, _: ntpd_rs::NtpDuration, _: ntpd_rs::NtpDuration) -> Result<(), Self::Error> {
        Ok(())
    }
    fn status_update(&self, _: ntpd_rs::NtpLeapIndicator) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn ntpd_responder() -> impl FnMut(&[u8]) -> bool {
    let system = kept(ntpd_rs::SystemSnapshot::default());
    let received = ntpd_rs::NtpTimestamp::from_seconds_nanos_since_ntp_era(3_900_000_000, 1);
    let buffer = kept_octets(&[0; 64]);
    move |octets| {
        let Ok((packet, _)) = ntpd_rs::NtpPacket::deserialize(octets, &ntpd_rs::NoCipher) else { return false };
        let answer = ntpd_rs::NtpPacket::timestamp_response(system, packet, received, &StoppedClock);
        answer.serialize(&mut Cursor::new(&mut *buffer), &ntpd_rs::NoCipher, None).is_ok()
    }
}

fn ntpd_nts_responder() -> impl FnMut(&[u8]) -> bool {
    let buffer = kept_octets(&[0; 256]);
    move |octets| {
        // Without a key its parser gives the packet back inside the error.
        let Err(ntpd_rs::PacketParsingError::DecryptError(packet)) =
            ntpd_rs::NtpPacket::deserialize(octets, &ntpd_rs::NoCipher)
        else {
            return false;
        };
        let answer = ntpd_rs::NtpPacket::nts_nak_response(packet);
        answer.serialize(&mut Cursor::new(&mut *buffer), &ntpd_rs::NoCipher, None).is_ok()
    }
}

#[inline(always)]
fn usg_walk(octets: &[u8]) -> Option<(usg::protocol::Packet, usize)> {
    let (packet, length) = usg::protocol::Packet::from_bytes(octets).ok()?;
    Some((packet, usg::extension::iter_extension_fields(octets.get(length..)?).filter(Result::is_ok).count()))
}

fn usg_emitter() -> impl FnMut(&[u8]) -> bool {
    let packet = kept(usg::protocol::Packet::from_bytes(&super::header().to_bytes()).unwrap().0);
    let buffer = kept_octets(&[0; 64]);
    move |_| packet.to_bytes(buffer).is_ok()
}
