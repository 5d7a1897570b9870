//! What follows the header: extension fields, then nothing, a MAC or a crypto-NAK. The one place that decides it.
//!
//! Version 4 (RFC 5905 §7.5 as RFC 7822 and erratum 3627 have it): while more than 24 octets are left they begin with a
//! field, whose length word counts the whole field, is a multiple of 4, at least 16 and no more than what is left. What
//! is left then is nothing, a crypto-NAK (4 octets, key id zero) or a MAC (20 or 24 octets); anything else is an error.
//! From this follows that a last field without a MAC has 28 octets or more, and that 20 octets which also look like a
//! field are a MAC.
//!
//! Versions 1 to 3 have no fields: what follows is a MAC of RFC 1305 (12 octets), one as version 3 carries it today (20
//! and 24; 32, 36, 52 and 68 for the longer digests of chrony), MS-SNTP's extended authenticator (72), or a crypto-NAK.
//!
//! The lenient rule begins where the strict one ends: it finds the likeliest reading of what captures hold and says
//! which doubts remain.

use nom::bytes::complete::take;
use nom::error::{ErrorKind, ParseError as NomError};
use nom::IResult;

use core::fmt;

use crate::error::{Field, Needed, ParseError};
use crate::extension::{ExtensionField, ExtensionType};
use crate::header::HEADER_LENGTH;
use crate::Version;

/// Octets of a field's type and length.
pub(crate) const FIELD_HEAD: usize = 4;
/// The shortest field (RFC 7822 §7.5.1).
pub(crate) const FIELD_MIN: usize = 16;
/// The shortest last field without a MAC after it (RFC 7822 §7.5.1.4).
pub(crate) const LAST_FIELD_MIN: usize = 28;
/// The longest MAC of version 4: key id and 20 octets of digest (RFC 7822 §7.5.1.4).
pub(crate) const MAC_MAX: usize = 24;
/// Octets of a key id, and of a whole crypto-NAK.
pub(crate) const KEY_ID: usize = 4;

/// Message authentication code: a key id and a digest, as they stand in the packet. Nothing is said about its truth.
///
/// Source: RFC 5905 §7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // the wire's layout is final
pub struct Mac<'a> {
    /// Which of the shared keys.
    pub key_id: u32,
    /// The digest: 16 or 20 octets in version 4.
    pub digest: &'a [u8],
}

/// A doubt that remains about a packet read leniently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ambiguity {
    /// 20 or 24 octets that also have the form of an extension field, read as the MAC that RFC 7822 says they are.
    MacOrField,
    /// A field shorter than 16 octets, or a last one shorter than 28 without a MAC: Autokey sent such, RFC 7822 forbids them.
    ShortField,
    /// Four octets that are not zero: a key id without digest, or a crypto-NAK gone wrong.
    KeyIdWithoutDigest,
    /// A MAC of a length its version does not have.
    MacLength,
    /// The version's layout is not known; what follows the header was not read.
    UnknownVersion,
    /// Octets at the end that are neither field nor MAC; see [`Packet::trailing`](crate::Packet::trailing).
    Unread,
}

impl Ambiguity {
    const ALL: [Self; 6] = [
        Self::MacOrField,
        Self::ShortField,
        Self::KeyIdWithoutDigest,
        Self::MacLength,
        Self::UnknownVersion,
        Self::Unread,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::MacOrField => "MAC that has the form of an extension field",
            Self::ShortField => "extension field shorter than RFC 7822 allows",
            Self::KeyIdWithoutDigest => "key id without digest",
            Self::MacLength => "MAC of a length its version does not have",
            Self::UnknownVersion => "version of unknown layout",
            Self::Unread => "trailing octets that are neither field nor MAC",
        })
    }
}

/// All doubts about one packet; none after a strict parse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ambiguities(u8);

impl Ambiguities {
    /// No doubt.
    pub const NONE: Self = Self(0);

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `ambiguity` is among them.
    #[must_use]
    #[inline]
    pub const fn contains(self, ambiguity: Ambiguity) -> bool {
        self.0 & ambiguity.bit() != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Ambiguity> {
        Ambiguity::ALL.into_iter().filter(move |&ambiguity| self.contains(ambiguity))
    }

    fn add(&mut self, ambiguity: Ambiguity) {
        self.0 |= ambiguity.bit();
    }
}

impl fmt::Debug for Ambiguities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Each of them, separated by commas; `none`.
impl fmt::Display for Ambiguities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (index, ambiguity) in self.iter().enumerate() {
            write!(f, "{}{ambiguity}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Where the fields end, in octets from the end of the header. Strict.
///
/// # Errors
/// [`ParseError`] at the first octet that does not fit the rule of the version.
#[inline(always)]
pub(crate) fn split(version: Version, tail: &[u8]) -> Result<usize, ParseError> {
    if tail.is_empty() {
        return Ok(0);
    }
    if !version.has_extensions() {
        return legacy(tail).map(|()| 0);
    }
    let mut rest = tail;
    while rest.len() > MAC_MAX {
        match skip_field(rest) {
            Ok((after, ())) => rest = after,
            Err(_) => return Err(field_error(tail, rest)),
        }
    }
    judge_mac(tail, rest).map(|()| length_before(tail, rest))
}

/// Octets of `tail` before `rest`, its end. That it is its end, the compiler need not know: the difference wraps.
#[inline(always)]
const fn length_before(tail: &[u8], rest: &[u8]) -> usize {
    tail.len().wrapping_sub(rest.len())
}

/// Where the fields end, and what remains doubtful. Never refuses.
pub(crate) fn split_lenient(version: Version, tail: &[u8]) -> (usize, Ambiguities) {
    let mut doubts = Ambiguities::NONE;
    if !version.is_known() {
        doubts.add(Ambiguity::UnknownVersion);
        if !tail.is_empty() {
            doubts.add(Ambiguity::Unread);
        }
        return (0, doubts);
    }
    let mut rest = tail;
    if version.has_extensions() {
        while let Some(after) = skip_field_lenient(rest, &mut doubts) {
            rest = after;
        }
    }
    doubt_mac(version, rest, &mut doubts);
    (length_before(tail, rest), doubts)
}

/// Where the fields end if none is shorter than RFC 7822 has them, and what remains doubtful then. Version 4; never refuses.
pub(crate) fn split_without_short(tail: &[u8]) -> (usize, Ambiguities) {
    let mut doubts = Ambiguities::NONE;
    let mut rest = tail;
    while rest.len() > MAC_MAX {
        match skip_field(rest) {
            Ok((after, ())) => rest = after,
            Err(_) => break,
        }
    }
    doubt_mac(Version::V4, rest, &mut doubts);
    (tail.len().wrapping_sub(rest.len()), doubts)
}

/// Whether what is left after the fields can be what it is read as.
#[inline(always)]
pub(crate) fn judge_mac(tail: &[u8], rest: &[u8]) -> Result<(), ParseError> {
    match rest.len() {
        0 | 20 | 24 => Ok(()),
        KEY_ID if is_crypto_nak(rest) => Ok(()),
        _ => Err(mac_error(tail, rest, Needed::MacLength)),
    }
}

/// What follows the header of versions 1 to 3.
#[inline(always)]
pub(crate) fn legacy(tail: &[u8]) -> Result<(), ParseError> {
    match tail.len() {
        0 => Ok(()),
        KEY_ID if is_crypto_nak(tail) => Ok(()),
        length if is_legacy_mac(length) => Ok(()),
        _ => Err(mac_error(tail, tail, Needed::LegacyMacLength)),
    }
}

/// RFC 1305; MD5 and CMAC; SHA-1; SHA3-224 and the SHA-256, SHA-384 and SHA-512 families of chrony; MS-SNTP extended.
pub(crate) const fn is_legacy_mac(length: usize) -> bool {
    matches!(length, 12 | 20 | 24 | 32 | 36 | 52 | 68 | 72)
}

/// Four octets of zero.
#[inline(always)]
pub(crate) fn is_crypto_nak(rest: &[u8]) -> bool {
    rest == [0; KEY_ID]
}

/// Key id and digest of what follows the fields.
#[inline(always)]
pub(crate) fn mac(rest: &[u8]) -> Option<Mac<'_>> {
    let (key_id, digest) = rest.split_first_chunk()?;
    Some(Mac { key_id: u32::from_be_bytes(*key_id), digest })
}

/// The next field, its length judged.
#[inline(always)]
pub(crate) fn checked_field(input: &[u8]) -> IResult<&[u8], ExtensionField<'_>, Fault> {
    let (_, [kind @ .., high, low]) = array::<FIELD_HEAD>(input)?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if !is_field_length(length) {
        return Err(nom::Err::Error(Fault));
    }
    // Taken whole: the length test above also proves the head inside, so no other is left.
    let (rest, whole) = octets(length)(input)?;
    let value = whole.get(FIELD_HEAD..).unwrap_or_default();
    Ok((rest, ExtensionField { kind: ExtensionType::from_bits(u16::from_be_bytes(*kind)), value }))
}

/// The next field of a run that was walked before.
#[inline(always)]
pub(crate) fn field(input: &[u8]) -> IResult<&[u8], ExtensionField<'_>, Fault> {
    let (rest, [kind @ .., high, low]) = array::<FIELD_HEAD>(input)?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (rest, value) = octets(length.checked_sub(FIELD_HEAD).ok_or(nom::Err::Error(Fault))?)(rest)?;
    Ok((rest, ExtensionField { kind: ExtensionType::from_bits(u16::from_be_bytes(*kind)), value }))
}

/// Past the next field, without forming it.
#[inline(always)]
fn skip_field(input: &[u8]) -> IResult<&[u8], (), Fault> {
    let (_, [_, _, high, low]) = array::<FIELD_HEAD>(input)?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if !is_field_length(length) {
        return Err(nom::Err::Error(Fault));
    }
    let (rest, _) = octets(length)(input)?;
    Ok((rest, ()))
}

#[inline(always)]
const fn is_field_length(length: usize) -> bool {
    length >= FIELD_MIN && length % 4 == 0
}

/// Past the next field if one is likely there.
fn skip_field_lenient<'a>(rest: &'a [u8], doubts: &mut Ambiguities) -> Option<&'a [u8]> {
    let length = length_word(rest)?;
    if length < FIELD_HEAD || length % 4 != 0 || length > rest.len() {
        return None;
    }
    // What has a MAC's length is one.
    if matches!(rest.len(), 20 | 24) {
        return None;
    }
    if length < FIELD_MIN || rest.len() <= MAC_MAX {
        doubts.add(Ambiguity::ShortField);
    }
    rest.get(length..)
}

/// What to say about the octets after the last field.
fn doubt_mac(version: Version, rest: &[u8], doubts: &mut Ambiguities) {
    let is_usual = match rest.len() {
        0 => return,
        KEY_ID => {
            if !is_crypto_nak(rest) {
                doubts.add(Ambiguity::KeyIdWithoutDigest);
            }
            return;
        }
        length if length % 4 != 0 => return doubts.add(Ambiguity::Unread),
        20 | 24 => true,
        length => !version.has_extensions() && is_legacy_mac(length),
    };
    if length_word(rest).is_some_and(|length| length == rest.len()) {
        doubts.add(Ambiguity::MacOrField);
    }
    if is_usual {
        return;
    }
    // The longest digest known is 64 octets; what is longer is not a MAC of any kind.
    doubts.add(if rest.len() <= 72 { Ambiguity::MacLength } else { Ambiguity::Unread });
}

fn length_word(rest: &[u8]) -> Option<usize> {
    let [_, _, high, low] = *rest.first_chunk()?;
    Some(usize::from(u16::from_be_bytes([high, low])))
}

#[cold]
#[inline(never)]
pub(crate) fn field_error(tail: &[u8], rest: &[u8]) -> ParseError {
    let offset = HEADER_LENGTH + tail.len().saturating_sub(rest.len());
    let length = length_word(rest).unwrap_or(0);
    if is_field_length(length) {
        let needed = Needed::Octets(u32::try_from(length).unwrap_or(u32::MAX));
        ParseError { field: Field::Extension, offset, needed, had: rest.len() }
    } else {
        ParseError { field: Field::ExtensionLength, offset: offset + 2, needed: Needed::FieldLength, had: length }
    }
}

#[cold]
#[inline(never)]
fn mac_error(tail: &[u8], rest: &[u8], needed: Needed) -> ParseError {
    let offset = HEADER_LENGTH + tail.len().saturating_sub(rest.len());
    match *rest {
        [a, b, c, d] => {
            let had = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            ParseError { field: Field::KeyId, offset, needed: Needed::Zero, had }
        }
        _ => ParseError { field: Field::Mac, offset, needed, had: rest.len() },
    }
}

/// nom's side of an error: that there is one. What it is, the error path finds out again, so the good path carries nothing.
#[derive(Debug)]
pub(crate) struct Fault;

impl NomError<&[u8]> for Fault {
    #[inline(always)]
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self
    }

    #[inline(always)]
    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// nom's `take` for a count that is not constant, where `take` leaves a path to a panic behind.
#[inline(always)]
fn octets<'a>(count: usize) -> impl Fn(&'a [u8]) -> IResult<&'a [u8], &'a [u8], Fault> {
    move |input| match input.split_at_checked(count) {
        Some((taken, rest)) => Ok((rest, taken)),
        None => Err(nom::Err::Error(Fault)),
    }
}

/// The next `N` octets: the only test of a length, after which every place in them is constant.
#[inline(always)]
pub(crate) fn array<const N: usize>(input: &[u8]) -> IResult<&[u8], &[u8; N], Fault> {
    let (rest, octets) = take(N)(input)?;
    match octets.first_chunk() {
        Some(array) => Ok((rest, array)),
        None => Err(nom::Err::Error(Fault)),
    }
}
