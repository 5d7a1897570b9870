//! A packet in one pass, part by part, for who reads each part once: no walk beforehand, no judgement of what lies ahead.

use crate::error::ParseError;
use crate::extension::ExtensionField;
use crate::header::{Header, Lead, HEADER_LENGTH};
use crate::packet::{front, judge_lead};
use crate::trailer::{self, Mac};

/// What one step of a [`Reader`] finds after the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part<'a> {
    /// An extension field.
    Field(ExtensionField<'a>),
    /// The MAC; the last part.
    Mac(Mac<'a>),
    /// A crypto-NAK; the last part.
    CryptoNak,
}

/// A packet read in one lazy pass: header first, then part by part; strict like [`Packet::parse`](crate::Packet::parse).
///
/// For who reads each part once and stops at the first fault. Octets after a fault were not looked at, so act on nothing
/// before the last part has come.
///
/// ```
/// # use ntp_proto::{Part, Reader};
/// let reader = Reader::new(&[0x23; 48])?;
/// let header = reader.header();
/// for part in reader {
///     if let Part::Field(field) = part? {
///         println!("{} of {} octets", field.kind, field.value.len());
///     }
/// }
/// # Ok::<(), ntp_proto::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    header: &'a [u8; HEADER_LENGTH],
    tail: &'a [u8],
    rest: &'a [u8],
    /// Octets beyond which what is left begins with a field.
    fields_beyond: usize,
}

impl<'a> Reader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`ParseError`] for fewer than 48 octets, a version other than 1 to 4, and modes 6 and 7.
    #[inline(always)]
    pub fn new(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (tail, header) = front(bytes)?;
        let version = judge_lead(Lead::from_bits(header[0]))?;
        let fields_beyond = if version.has_extensions() { trailer::MAC_MAX } else { usize::MAX };
        Ok(Self { header, tail, rest: tail, fields_beyond })
    }

    /// The header's fields, decoded.
    #[must_use]
    #[inline(always)]
    pub const fn header(&self) -> Header {
        Header::from_bytes(self.header)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Part<'a>, ParseError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest;
        if rest.is_empty() {
            return None;
        }
        if rest.len() > self.fields_beyond {
            return Some(match trailer::checked_field(rest) {
                Ok((after, field)) => {
                    self.rest = after;
                    Ok(Part::Field(field))
                }
                Err(_) => {
                    self.rest = &[];
                    Err(trailer::field_error(self.tail, rest))
                }
            });
        }
        self.rest = &[];
        if self.fields_beyond == usize::MAX {
            if let Err(error) = trailer::legacy(rest) {
                return Some(Err(error));
            }
        } else if let Err(error) = trailer::judge_mac(self.tail, rest) {
            return Some(Err(error));
        }
        let mac = trailer::mac(rest)?;
        Some(Ok(if mac.digest.is_empty() { Part::CryptoNak } else { Part::Mac(mac) }))
    }
}

impl core::iter::FusedIterator for Reader<'_> {}
