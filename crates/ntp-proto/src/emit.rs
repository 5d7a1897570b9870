//! Writing packets: header, extension fields, then a MAC, a crypto-NAK or nothing.
//!
//! What a reader could misread cannot be written: fields are padded to 4 octets and to the least length their place
//! allows, length words count the padding, and a MAC has a length that its version knows.

use crate::error::{EmitError, Field, Needed};
use crate::extension::{ExtensionField, ExtensionType};
use crate::header::{Header, HEADER_LENGTH};
use crate::packet::judge_lead;
use crate::trailer::{self, FIELD_HEAD, FIELD_MIN, KEY_ID, LAST_FIELD_MIN, MAC_MAX};
use crate::Version;

/// The longest field: the greatest multiple of 4 its length word can say.
const FIELD_MAX: usize = 65_532;

/// Writes one packet into the caller's buffer, part after part.
///
/// ```
/// use ntp_proto::{ExtensionType, Header, PacketWriter};
///
/// let mut buffer = [0; 128];
/// let length = PacketWriter::new(&mut buffer, &Header::default())?
///     .field(ExtensionType::from_bits(0xF323), b"five!")?
///     .finish()?;
/// // The last field of a packet without a MAC has 28 octets or more (RFC 7822).
/// assert_eq!(length, 48 + 28);
/// # Ok::<(), ntp_proto::EmitError>(())
/// ```
#[derive(Debug)]
#[must_use = "a packet is whole only after `finish`, `mac` or `crypto_nak`"]
pub struct PacketWriter<'b> {
    buffer: &'b mut [u8],
    length: usize,
    /// Octets of the last field, 0 while there is none.
    last: usize,
    /// Octets the whole packet may have: in an answer those of the request.
    limit: usize,
    version: Version,
}

impl<'b> PacketWriter<'b> {
    /// Begins with the header.
    ///
    /// # Errors
    /// [`EmitError::NotTime`] for a version other than 1 to 4 and for modes 6 and 7; [`EmitError::Buffer`].
    #[inline(always)]
    pub fn new(buffer: &'b mut [u8], header: &Header) -> Result<Self, EmitError> {
        let version = judge_lead(header.lead)
            .map_err(|_| EmitError::NotTime { version: header.version(), mode: header.mode() })?;
        header.emit(buffer)?;
        Ok(Self { buffer, length: HEADER_LENGTH, last: 0, limit: usize::MAX, version })
    }

    /// Begins an answer with its 48 octets; it may not grow beyond `limit`.
    #[inline(always)]
    pub(crate) fn answer(
        buffer: &'b mut [u8],
        header: &[u8; HEADER_LENGTH],
        version: Version,
        limit: usize,
    ) -> Result<Self, EmitError> {
        let had = buffer.len();
        match buffer.first_chunk_mut() {
            Some(front) => *front = *header,
            None => return Err(EmitError::Buffer { field: Field::Header, needed: HEADER_LENGTH, had }),
        }
        Ok(Self { buffer, length: HEADER_LENGTH, last: 0, limit, version })
    }

    /// Adds an extension field, its value padded with zeros to a multiple of 4 octets and to 16 with its head.
    ///
    /// # Errors
    /// [`EmitError::NoExtensions`] before version 4, [`EmitError::ValueTooLong`] beyond 65 528 octets,
    /// [`EmitError::Buffer`], [`EmitError::LongerThanRequest`].
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // at most FIELD_MAX
    pub fn field(mut self, kind: ExtensionType, value: &[u8]) -> Result<Self, EmitError> {
        if !self.version.has_extensions() {
            return Err(EmitError::NoExtensions { version: self.version });
        }
        let most = FIELD_MAX - FIELD_HEAD;
        if value.len() > most {
            return Err(EmitError::ValueTooLong { had: value.len(), most });
        }
        let length = (value.len() + FIELD_HEAD).next_multiple_of(4).max(FIELD_MIN);
        let place = self.take(Field::Extension, length)?;
        let Some((head, body)) = place.split_first_chunk_mut::<FIELD_HEAD>() else { return Ok(self) };
        let ([t0, t1], [l0, l1]) = (kind.to_bits().to_be_bytes(), (length as u16).to_be_bytes());
        *head = [t0, t1, l0, l1];
        if value.len() < FIELD_MIN - FIELD_HEAD {
            body.fill(0);
        } else if let Some(end) = body.last_chunk_mut::<4>() {
            *end = [0; 4]; // the padding, at most three octets; the value comes over the rest
        }
        if let Some(body) = body.get_mut(..value.len()) {
            body.copy_from_slice(value);
        }
        self.last = length;
        Ok(self)
    }

    /// Adds a field that was parsed, as it was.
    #[inline(always)]
    pub(crate) fn echo(mut self, field: &ExtensionField<'_>) -> Result<Self, EmitError> {
        let place = self.take(Field::Extension, field.length())?;
        let Some((head, body)) = place.split_first_chunk_mut::<FIELD_HEAD>() else { return Ok(self) };
        let length = u16::try_from(field.length()).unwrap_or_default(); // was read from such a word
        let ([t0, t1], [l0, l1]) = (field.kind.to_bits().to_be_bytes(), length.to_be_bytes());
        *head = [t0, t1, l0, l1];
        body.copy_from_slice(field.value);
        self.last = field.length();
        Ok(self)
    }

    /// The octets so far: what a MAC covers.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// Ends the packet without a MAC and returns its length. The last field is lengthened to 28 octets if it is shorter.
    ///
    /// # Errors
    /// [`EmitError::Buffer`], [`EmitError::LongerThanRequest`].
    #[inline(always)]
    pub fn finish(mut self) -> Result<usize, EmitError> {
        self.lengthen_last(LAST_FIELD_MIN)?;
        Ok(self.length)
    }

    /// Ends the packet with a MAC and returns its length.
    ///
    /// # Errors
    /// [`EmitError::MacLength`] for a digest that could not be read again: in version 4 other than 16 or 20 octets;
    /// [`EmitError::Buffer`], [`EmitError::LongerThanRequest`].
    #[inline(always)]
    pub fn mac(mut self, key_id: u32, digest: &[u8]) -> Result<usize, EmitError> {
        let length = digest.len().saturating_add(KEY_ID);
        let (is_known, needed) = if self.version.has_extensions() {
            (matches!(length, 20 | MAC_MAX), Needed::MacLength)
        } else {
            (trailer::is_legacy_mac(length), Needed::LegacyMacLength)
        };
        if !is_known {
            return Err(EmitError::MacLength { had: length, needed });
        }
        let place = self.take(Field::Mac, length)?;
        if let Some((head, body)) = place.split_first_chunk_mut::<KEY_ID>() {
            *head = key_id.to_be_bytes();
            body.copy_from_slice(digest);
        }
        Ok(self.length)
    }

    /// Ends the packet with the MAC of a key and returns its length.
    ///
    /// # Errors
    /// [`EmitError::Buffer`], [`EmitError::LongerThanRequest`].
    #[cfg(all(feature = "alloc", feature = "mac"))]
    pub fn sign(self, key: &crate::mac::SharedKey) -> Result<usize, EmitError> {
        let digest = key.key().packet_digest(self.version, self.as_bytes());
        self.mac(key.id().get(), digest.as_bytes())
    }

    /// Ends the packet with a crypto-NAK (RFC 5905 §9.2) and returns its length.
    ///
    /// # Errors
    /// [`EmitError::Buffer`], [`EmitError::LongerThanRequest`].
    pub fn crypto_nak(mut self) -> Result<usize, EmitError> {
        // Behind a shorter field its four octets would be read as part of a MAC.
        self.lengthen_last(LAST_FIELD_MIN - KEY_ID)?;
        self.take(Field::Mac, KEY_ID)?.fill(0);
        Ok(self.length)
    }

    /// The next `needed` octets of the buffer.
    #[inline(always)]
    fn take(&mut self, field: Field, needed: usize) -> Result<&mut [u8], EmitError> {
        let length = self.length.saturating_add(needed);
        if length > self.limit {
            return Err(EmitError::LongerThanRequest { field, needed: length, had: self.limit });
        }
        let had = self.buffer.len().saturating_sub(self.length);
        let place = self.buffer.get_mut(self.length..length).ok_or(EmitError::Buffer { field, needed, had })?;
        self.length = length;
        Ok(place)
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // 24 or 28
    fn lengthen_last(&mut self, least: usize) -> Result<(), EmitError> {
        if self.last == 0 || self.last >= least {
            return Ok(());
        }
        let start = self.length.saturating_sub(self.last);
        self.take(Field::Extension, least - self.last)?.fill(0);
        if let Some([_, _, high, low]) = self.buffer.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
            [*high, *low] = (least as u16).to_be_bytes();
        }
        self.last = least;
        Ok(())
    }
}

/// Appends octets to a `BufMut` that has room for them.
#[cfg(feature = "bytes")]
pub(crate) fn put(buffer: &mut impl bytes::BufMut, field: Field, octets: &[u8]) -> Result<usize, EmitError> {
    let (needed, had) = (octets.len(), buffer.remaining_mut());
    if had < needed {
        return Err(EmitError::Buffer { field, needed, had });
    }
    buffer.put_slice(octets);
    Ok(needed)
}
