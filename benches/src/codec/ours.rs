//! `ntp-proto`.

use super::{kept, kept_octets};
use ntp_proto::{
    AnswerTemplate, ExtensionField, ExtensionType, Header, Mac, Packet, PacketWriter, ParseError, Part, PlainRequest,
    Reader, Request, ServerVariables,
};
use ntp_types::NtpTimestamp;

super::contest_functions! { "ours":
    ours_header "header to struct" ["header" <= 30] |octets: &[u8]| octets.first_chunk().map(Header::from_bytes);
    ours_view "parse, view" ["header" <= 40, "mac", "fields" <= 92, "nts"] |octets| Packet::parse(octets);
    ours_struct "parse, struct" ["header" <= 60, "mac", "fields", "nts"] parse_struct;
    ours_read "parse and read all" ["header", "mac", "fields", "nts"] read_packet;
    ours_lazy "parse and read all, one pass" ["header" <= 62, "mac", "fields" <= 147, "nts"] read_lazily;
    ours_refuse "refuse" ["short" <= 12, "overrun"] |octets| Packet::parse(octets);
    ours_emit "emit header" ["header" <= 30] emit_header();
    ours_emit_fields "emit 3 fields and MAC" ["fields" <= 225] emit_fields();
    ours_respond "respond" ["header" <= 44] respond();
    ours_respond_in_place "respond in place" ["header"] respond_in_place();
    ours_respond_nts "respond NTS NAK" ["nts" <= 195] respond_nts();
}

/// The header decoded, beside the view of what follows it.
#[inline(always)]
fn parse_struct(octets: &[u8]) -> Result<(Header, Packet<'_>), ParseError> {
    Packet::parse(octets).map(|packet| (packet.header(), packet))
}

#[inline(always)]
fn read_packet(octets: &[u8]) -> u64 {
    let Ok(packet) = Packet::parse(octets) else { return 0 };
    let mut sum = read_header(&packet.header());
    for field in packet.extensions() {
        sum = sum.wrapping_add(read_field(&field));
    }
    sum.wrapping_add(packet.mac().as_ref().map_or(0, read_mac))
}

#[inline(always)]
fn read_lazily(octets: &[u8]) -> u64 {
    let Ok(reader) = Reader::new(octets) else { return 0 };
    let mut sum = read_header(&reader.header());
    for part in reader {
        sum = sum.wrapping_add(match part {
            Ok(Part::Field(field)) => read_field(&field),
            Ok(Part::Mac(mac)) => read_mac(&mac),
            Ok(_) => 1,
            Err(_) => return 0,
        });
    }
    sum
}

#[inline(always)]
fn read_header(header: &Header) -> u64 {
    u64::from(header.leap().to_bits())
        .wrapping_add(header.version().to_bits().into())
        .wrapping_add(header.mode().to_bits().into())
        .wrapping_add(header.stratum.to_bits().into())
        .wrapping_add(header.poll.log2() as u64)
        .wrapping_add(header.precision.log2() as u64)
        .wrapping_add(header.root_delay.to_bits().into())
        .wrapping_add(header.root_dispersion.to_bits().into())
        .wrapping_add(u32::from_ne_bytes(header.reference_id.to_bytes()).into())
        .wrapping_add(header.reference_timestamp.to_bits())
        .wrapping_add(header.origin_timestamp.to_bits())
        .wrapping_add(header.receive_timestamp.to_bits())
        .wrapping_add(header.transmit_timestamp.to_bits())
}

#[inline(always)]
fn read_field(field: &ExtensionField<'_>) -> u64 {
    u64::from(field.kind.to_bits()).wrapping_add(super::place(field.value))
}

#[inline(always)]
fn read_mac(mac: &Mac<'_>) -> u64 {
    u64::from(mac.key_id).wrapping_add(super::place(mac.digest))
}

/// The header is at hand as a struct.
fn emit_header() -> impl FnMut(&[u8]) -> bool {
    let (header, buffer) = (kept(super::header()), kept_octets(&[0; 64]));
    move |_| header.emit(buffer).is_ok()
}

/// The header as a struct, the values as slices.
fn emit_fields() -> impl FnMut(&[u8]) -> Option<usize> {
    let (header, buffer) = (kept(super::header()), kept_octets(&[0; 256]));
    let (first, second, third, digest) =
        (kept_octets(&[0x11; 32]), kept_octets(&[0x22; 24]), kept_octets(&[0x33; 36]), kept_octets(&[0xBB; 16]));
    move |_| {
        PacketWriter::new(buffer, header)
            .ok()?
            .field(ExtensionType::from_bits(0x0104), first)
            .ok()?
            .field(ExtensionType::from_bits(0xF323), second)
            .ok()?
            .field(ExtensionType::from_bits(0x2005), third)
            .ok()?
            .mac(1, digest)
            .ok()
    }
}

/// From the request's octets to the answer's.
fn respond() -> impl FnMut(&[u8]) -> Option<[u8; 48]> {
    let template = kept(AnswerTemplate::new(&ServerVariables::default()));
    let mut now = *kept(3_900_000_000_u64 << 32);
    move |octets| {
        now += 1;
        let request = Request::parse(octets).ok()?;
        Some(template.answer(&request, NtpTimestamp::from_bits(now), NtpTimestamp::from_bits(now + 9)))
    }
}

/// The request's octets become the answer's where they lie; they are put there anew each turn, which is counted too.
fn respond_in_place() -> impl FnMut(&[u8]) -> bool {
    let (template, buffer) = (kept(AnswerTemplate::new(&ServerVariables::default())), kept([0; 48]));
    let mut now = *kept(3_900_000_000_u64 << 32);
    move |octets| {
        now += 1;
        let Ok(datagram) = octets.try_into() else { return false };
        *buffer = datagram;
        let Some(request) = PlainRequest::of(buffer) else { return false };
        template.answer_in_place(request, NtpTimestamp::from_bits(now), NtpTimestamp::from_bits(now + 9));
        true
    }
}

/// From the request's octets to the negative acknowledgement, which echoes its unique identifier.
fn respond_nts() -> impl FnMut(&[u8]) -> Option<usize> {
    let (template, buffer) = (kept(AnswerTemplate::new(&ServerVariables::default())), kept_octets(&[0; 256]));
    move |octets| {
        // A server that reads fields has the whole parser at hand, not behind a call.
        let request = Request::of(Packet::parse(octets).ok()?).ok()?;
        template.nts_nak(&request, buffer).ok()
    }
}
