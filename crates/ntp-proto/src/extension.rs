//! Extension fields (RFC 5905 §7.5, RFC 7822) and the registry of their types (RFC 9748).

use core::fmt;
use core::str::FromStr;

use ntp_types::ParseCodeError;

use crate::trailer;

/// The type of an extension field. Every value is kept; those the registry knows have a name.
///
/// Source: IANA "NTP Extension Field Types" as of RFC 9748.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionType(u16);

/// One extension field: type and value, the value with its padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // the wire's layout is final
pub struct ExtensionField<'a> {
    /// What it is.
    pub kind: ExtensionType,
    /// The octets after type and length, padding included; the packet does not say where the padding begins.
    pub value: &'a [u8],
}

impl ExtensionField<'_> {
    /// The field's length word: value, type and length itself.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.value.len() + trailer::FIELD_HEAD
    }
}

/// The extension fields of a packet, in order. The walk was checked when the packet was parsed: this only yields.
#[derive(Debug, Clone, Copy)]
#[must_use = "iterators are lazy"]
pub struct Extensions<'a> {
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// Over octets that the trailer rule has walked.
    #[inline(always)]
    pub(crate) const fn new(fields: &'a [u8]) -> Self {
        Self { rest: fields }
    }

    /// The fields not yet yielded, as the octets they are.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = ExtensionField<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<ExtensionField<'a>> {
        let (rest, field) = trailer::field(self.rest).ok()?;
        self.rest = rest;
        Some(field)
    }
}

impl core::iter::FusedIterator for Extensions<'_> {}

macro_rules! extension_types {
    ($($(#[$doc:meta])* $name:ident = $bits:literal, $text:literal;)*) => {
        impl ExtensionType {
            $($(#[$doc])* pub const $name: Self = Self($bits);)*

            /// Every type that has a name of its own.
            pub const NAMED: &'static [Self] = &[$(Self::$name),*];

            /// Its name, as `Display` shows it; `None` for a type without one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($bits => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

extension_types! {
    /// Crypto-NAK (RFC 5905 §9.2 as RFC 9748 lists it).
    CRYPTO_NAK = 0x0000, "crypto-nak";
    /// Unique Identifier (RFC 8915 §5.3).
    UNIQUE_IDENTIFIER = 0x0104, "unique-identifier";
    /// Network Correction (a draft; chrony).
    NETWORK_CORRECTION = 0x010A, "network-correction";
    /// NTS Cookie (RFC 8915 §5.4); in a packet of Autokey its autokey request (RFC 5906).
    NTS_COOKIE = 0x0204, "nts-cookie";
    /// NTS Cookie Placeholder (RFC 8915 §5.5).
    NTS_COOKIE_PLACEHOLDER = 0x0304, "nts-cookie-placeholder";
    /// NTS Authenticator and Encrypted Extension Fields (RFC 8915 §5.6).
    NTS_AUTHENTICATOR = 0x0404, "nts-authenticator";
    /// UDP Checksum Complement (RFC 7821).
    CHECKSUM_COMPLEMENT = 0x2005, "checksum-complement";
    /// Autokey no-operation request (RFC 5906).
    AUTOKEY_NO_OPERATION_REQUEST = 0x0200, "autokey-no-operation-request";
    /// Autokey association request.
    AUTOKEY_ASSOCIATION_REQUEST = 0x0201, "autokey-association-request";
    /// Autokey certificate request.
    AUTOKEY_CERTIFICATE_REQUEST = 0x0202, "autokey-certificate-request";
    /// Autokey cookie request.
    AUTOKEY_COOKIE_REQUEST = 0x0203, "autokey-cookie-request";
    /// Autokey leap seconds request.
    AUTOKEY_LEAPSECONDS_REQUEST = 0x0205, "autokey-leapseconds-request";
    /// Autokey sign request.
    AUTOKEY_SIGN_REQUEST = 0x0206, "autokey-sign-request";
    /// Autokey IFF identity request.
    AUTOKEY_IFF_REQUEST = 0x0207, "autokey-iff-request";
    /// Autokey GQ identity request.
    AUTOKEY_GQ_REQUEST = 0x0208, "autokey-gq-request";
    /// Autokey MV identity request.
    AUTOKEY_MV_REQUEST = 0x0209, "autokey-mv-request";
    /// Autokey no-operation response.
    AUTOKEY_NO_OPERATION_RESPONSE = 0x8200, "autokey-no-operation-response";
    /// Autokey association response.
    AUTOKEY_ASSOCIATION_RESPONSE = 0x8201, "autokey-association-response";
    /// Autokey certificate response.
    AUTOKEY_CERTIFICATE_RESPONSE = 0x8202, "autokey-certificate-response";
    /// Autokey cookie response.
    AUTOKEY_COOKIE_RESPONSE = 0x8203, "autokey-cookie-response";
    /// Autokey autokey response.
    AUTOKEY_AUTOKEY_RESPONSE = 0x8204, "autokey-autokey-response";
    /// Autokey leap seconds response.
    AUTOKEY_LEAPSECONDS_RESPONSE = 0x8205, "autokey-leapseconds-response";
    /// Autokey sign response.
    AUTOKEY_SIGN_RESPONSE = 0x8206, "autokey-sign-response";
    /// Autokey IFF identity response.
    AUTOKEY_IFF_RESPONSE = 0x8207, "autokey-iff-response";
    /// Autokey GQ identity response.
    AUTOKEY_GQ_RESPONSE = 0x8208, "autokey-gq-response";
    /// Autokey MV identity response.
    AUTOKEY_MV_RESPONSE = 0x8209, "autokey-mv-response";
    /// Autokey no-operation error.
    AUTOKEY_NO_OPERATION_ERROR = 0xC200, "autokey-no-operation-error";
    /// Autokey association error.
    AUTOKEY_ASSOCIATION_ERROR = 0xC201, "autokey-association-error";
    /// Autokey certificate error.
    AUTOKEY_CERTIFICATE_ERROR = 0xC202, "autokey-certificate-error";
    /// Autokey cookie error.
    AUTOKEY_COOKIE_ERROR = 0xC203, "autokey-cookie-error";
    /// Autokey autokey error.
    AUTOKEY_AUTOKEY_ERROR = 0xC204, "autokey-autokey-error";
    /// Autokey leap seconds error.
    AUTOKEY_LEAPSECONDS_ERROR = 0xC205, "autokey-leapseconds-error";
    /// Autokey sign error.
    AUTOKEY_SIGN_ERROR = 0xC206, "autokey-sign-error";
    /// Autokey IFF identity error.
    AUTOKEY_IFF_ERROR = 0xC207, "autokey-iff-error";
    /// Autokey GQ identity error.
    AUTOKEY_GQ_ERROR = 0xC208, "autokey-gq-error";
    /// Autokey MV identity error.
    AUTOKEY_MV_ERROR = 0xC209, "autokey-mv-error";
}

/// What the registry says about a range of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtensionRange {
    /// A type with a meaning of its own.
    Assigned,
    /// Reserved for historic reasons: Autokey's codes with their octets swapped, as early software sent them.
    Historic,
    /// For experiments, never to be assigned: `F000` to `FFFF`.
    Experimental,
    /// Not assigned.
    Unassigned,
}

impl ExtensionType {
    /// From the type word.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The type word.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// What the registry says about it.
    #[must_use]
    pub const fn range(self) -> ExtensionRange {
        match self.0 {
            0xF000..=0xFFFF => ExtensionRange::Experimental,
            _ if self.name().is_some() => ExtensionRange::Assigned,
            // 0002, 0102, 0302 to 0902, and the same from 8002 and C002; 0202, 8202 and C202 have names.
            bits if bits & 0xFF == 2 && bits >> 8 & 0x3F <= 9 && bits >> 14 != 1 => ExtensionRange::Historic,
            _ => ExtensionRange::Unassigned,
        }
    }

    /// Whether it belongs to Autokey (RFC 5906): request, response or error.
    #[must_use]
    pub const fn is_autokey(self) -> bool {
        matches!(self.0, 0x0200..=0x0203 | 0x0205..=0x0209 | 0x8200..=0x8209 | 0xC200..=0xC209)
    }
}

impl fmt::Debug for ExtensionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtensionType({self})")
    }
}

/// The name, or the word in hexadecimal: `unique-identifier`, `0xf323`.
impl fmt::Display for ExtensionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

/// The name, or the word in hexadecimal after `0x`.
impl FromStr for ExtensionType {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        let error = ParseCodeError { expected: "extension field type (a name, or 0x and four hex digits)" };
        if let Some(digits) = text.strip_prefix("0x") {
            let is_word = (1..=4).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
            return if is_word { u16::from_str_radix(digits, 16).map(Self).map_err(|_| error) } else { Err(error) };
        }
        Self::NAMED.iter().copied().find(|kind| kind.name() == Some(text)).ok_or(error)
    }
}
