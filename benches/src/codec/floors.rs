//! What nobody can go below: a copy of 48 octets, and the same work written out by hand with `from_be_bytes`.

use super::{kept, kept_octets};

super::contest_functions! { "floor":
    floor_copy "copy 48 octets" ["header"] copy();
    floor_header "header to struct" ["header"] |octets: &[u8]| octets.first_chunk().map(read);
    floor_view "parse, view" ["header", "mac", "fields", "nts"] |octets| view(octets);
    floor_struct "parse, struct" ["header", "mac", "fields", "nts"] whole;
    floor_read "parse and read all" ["header", "mac", "fields", "nts"] read_all;
    floor_refuse "refuse" ["short", "overrun"] |octets| view(octets);
    floor_emit "emit header" ["header"] emit_header();
    floor_emit_fields "emit 3 fields and MAC" ["fields"] emit_fields();
    floor_respond "respond" ["header"] respond();
}

struct Header {
    lead: u8,
    stratum: u8,
    poll: i8,
    precision: i8,
    root_delay: u32,
    root_dispersion: u32,
    reference_id: [u8; 4],
    reference: u64,
    origin: u64,
    receive: u64,
    transmit: u64,
}

fn copy() -> impl FnMut(&[u8]) -> bool {
    let buffer = kept_octets(&[0_u8; 64]);
    move |octets| match (buffer.first_chunk_mut::<48>(), octets.first_chunk::<48>()) {
        (Some(to), Some(from)) => {
            *to = *from;
            true
        }
        _ => false,
    }
}

#[inline(always)]
fn word(octets: &[u8; 48], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[inline(always)]
fn long(octets: &[u8; 48], at: usize) -> u64 {
    u64::from(word(octets, at)) << 32 | u64::from(word(octets, at + 4))
}

#[inline(always)]
fn read(octets: &[u8; 48]) -> Header {
    Header {
        lead: octets[0],
        stratum: octets[1],
        poll: octets[2] as i8,
        precision: octets[3] as i8,
        root_delay: word(octets, 4),
        root_dispersion: word(octets, 8),
        reference_id: [octets[12], octets[13], octets[14], octets[15]],
        reference: long(octets, 16),
        origin: long(octets, 24),
        receive: long(octets, 32),
        transmit: long(octets, 40),
    }
}

/// Header, fields, MAC; versions 1 to 4, the trailer rule of RFC 7822.
#[inline(always)]
fn view(octets: &[u8]) -> Option<(&[u8; 48], &[u8], &[u8])> {
    let (header, tail) = octets.split_first_chunk::<48>()?;
    let version = header[0] >> 3 & 7;
    if !(1..=4).contains(&version) || header[0] & 7 > 5 {
        return None;
    }
    let mut at = 0;
    if version == 4 {
        while tail.len() - at > 24 {
            let length = usize::from(u16::from_be_bytes([tail[at + 2], tail[at + 3]]));
            if length < 16 || length % 4 != 0 || length > tail.len() - at {
                return None;
            }
            at += length;
        }
    }
    let (fields, mac) = tail.split_at_checked(at)?;
    matches!(mac.len(), 0 | 4 | 20 | 24).then_some((header, fields, mac))
}

#[inline(always)]
fn whole(octets: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    view(octets).map(|(header, fields, mac)| (read(header), fields, mac))
}

#[inline(always)]
fn read_all(octets: &[u8]) -> u64 {
    let Some((header, mut fields, mac)) = whole(octets) else { return 0 };
    let mut sum = u64::from(header.lead >> 6)
        .wrapping_add(u64::from(header.lead >> 3 & 7))
        .wrapping_add(u64::from(header.lead & 7))
        .wrapping_add(u64::from(header.stratum))
        .wrapping_add(header.poll as u64)
        .wrapping_add(header.precision as u64)
        .wrapping_add(u64::from(header.root_delay))
        .wrapping_add(u64::from(header.root_dispersion))
        .wrapping_add(u64::from(u32::from_ne_bytes(header.reference_id)))
        .wrapping_add(header.reference)
        .wrapping_add(header.origin)
        .wrapping_add(header.receive)
        .wrapping_add(header.transmit);
    while let Some((&[k0, k1, l0, l1], _)) = fields.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let Some((field, rest)) = fields.split_at_checked(length) else { break };
        let Some(value) = field.get(4..) else { break };
        sum = sum.wrapping_add(u64::from(u16::from_be_bytes([k0, k1]))).wrapping_add(super::place(value));
        fields = rest;
    }
    if let Some((key_id, digest)) = mac.split_first_chunk::<4>() {
        sum = sum.wrapping_add(u64::from(u32::from_be_bytes(*key_id))).wrapping_add(super::place(digest));
    }
    sum
}

fn sample() -> Header {
    read(&super::header().to_bytes())
}

#[inline(always)]
fn write(header: &Header, octets: &mut [u8; 48]) {
    octets[0] = header.lead;
    octets[1] = header.stratum;
    octets[2] = header.poll as u8;
    octets[3] = header.precision as u8;
    octets[4..8].copy_from_slice(&header.root_delay.to_be_bytes());
    octets[8..12].copy_from_slice(&header.root_dispersion.to_be_bytes());
    octets[12..16].copy_from_slice(&header.reference_id);
    octets[16..24].copy_from_slice(&header.reference.to_be_bytes());
    octets[24..32].copy_from_slice(&header.origin.to_be_bytes());
    octets[32..40].copy_from_slice(&header.receive.to_be_bytes());
    octets[40..48].copy_from_slice(&header.transmit.to_be_bytes());
}

fn emit_header() -> impl FnMut(&[u8]) -> bool {
    let (header, buffer) = (kept(sample()), kept_octets(&[0; 64]));
    move |_| match buffer.first_chunk_mut() {
        Some(front) => {
            write(header, front);
            true
        }
        None => false,
    }
}

#[inline(always)]
fn put<'b>(buffer: &'b mut [u8], kind: u16, value: &[u8]) -> Option<&'b mut [u8]> {
    let length = (value.len() + 4).next_multiple_of(4).max(16);
    let (place, rest) = buffer.split_at_mut_checked(length)?;
    let (head, body) = place.split_first_chunk_mut::<4>()?;
    let ([k0, k1], [l0, l1]) = (kind.to_be_bytes(), u16::try_from(length).ok()?.to_be_bytes());
    *head = [k0, k1, l0, l1];
    *body.last_chunk_mut::<4>()? = [0; 4];
    body.get_mut(..value.len())?.copy_from_slice(value);
    Some(rest)
}

fn emit_fields() -> impl FnMut(&[u8]) -> Option<usize> {
    let (header, buffer) = (kept(sample()), kept_octets(&[0; 256]));
    let (first, second, third, digest) =
        (kept_octets(&[0x11; 32]), kept_octets(&[0x22; 24]), kept_octets(&[0x33; 36]), kept_octets(&[0xBB; 16]));
    move |_| {
        let (front, rest) = buffer.split_first_chunk_mut()?;
        write(header, front);
        let rest = put(rest, 0x0104, first)?;
        let rest = put(rest, 0xF323, second)?;
        let rest = put(rest, 0x2005, third)?;
        let (mac, rest) = rest.split_at_mut_checked(20)?;
        mac[..4].copy_from_slice(&1_u32.to_be_bytes());
        mac[4..].copy_from_slice(digest);
        Some(rest.len())
    }
}

/// The template patched, for a request of exactly 48 octets.
fn respond() -> impl FnMut(&[u8]) -> Option<[u8; 48]> {
    let template = kept([0_u8; 48]);
    let mut now = *kept(3_900_000_000_u64 << 32);
    move |octets| {
        now += 1;
        let request: &[u8; 48] = octets.try_into().ok()?;
        if request[0] & 7 != 3 {
            return None;
        }
        let mut answer = *<&[u8; 48]>::try_from(&template[..]).ok()?;
        answer[0] |= request[0] & 0x38 | 4;
        answer[2] = request[2];
        answer[24..32].copy_from_slice(&request[40..48]);
        answer[32..40].copy_from_slice(&now.to_be_bytes());
        answer[40..48].copy_from_slice(&(now + 9).to_be_bytes());
        Some(answer)
    }
}
