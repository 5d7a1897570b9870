//! The reference id, whose meaning depends on the stratum beside it (RFC 5905 §7.3, figure 12).

use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

use crate::{KissCode, NtpDuration, ParseCodeError, Stratum};

/// The four octets that name a server's own source. What they mean only the stratum tells: [`describe`](Self::describe).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct ReferenceId([u8; 4]);

/// What a reference id says at a given stratum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reference {
    /// All zero: nothing said.
    Unset,
    /// Stratum 0: a kiss code.
    Kiss(KissCode),
    /// Stratum 1: the reference clock's name, as octets padded with zeros (`GPS`, `PPS`, `DCF`).
    Clock([u8; 4]),
    /// 127.127.t.u: ntpd's reference clock driver `t`, unit `u`; type 1 is the undisciplined local clock.
    Driver {
        /// Driver type.
        driver: u8,
        /// Unit number.
        unit: u8,
    },
    /// 254.x.y.z: ntpd smears a leap second; the smear in seconds as 2.22 fixed point.
    Smear(NtpDuration),
    /// Stratum 2 and above: the source's IPv4 address, or the first four octets of the MD5 of its IPv6 address.
    /// The octets cannot tell which.
    AddressOrHash(Ipv4Addr),
}

impl ReferenceId {
    /// Nothing said.
    pub const UNSET: Self = Self([0; 4]);

    /// From the field's four octets.
    #[must_use]
    #[inline]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The field's four octets.
    #[must_use]
    #[inline]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    /// What it says beside `stratum`.
    #[must_use]
    pub const fn describe(self, stratum: Stratum) -> Reference {
        match (stratum.to_bits(), self.0) {
            (0, [0, 0, 0, 0]) => Reference::Unset,
            (0, bytes) => Reference::Kiss(KissCode::from_bytes(bytes)),
            (_, [0, 0, 0, 0]) => Reference::Unset,
            (1, bytes) => Reference::Clock(bytes),
            (_, [127, 127, driver, unit]) => Reference::Driver { driver, unit },
            (_, [254, a, b, c]) => {
                // 2.22 signed fixed point in 24 bits: sign-extend, then 22 → 32 fraction bits.
                let smear = i32::from_be_bytes([a, b, c, 0]) as i64 >> 8;
                Reference::Smear(NtpDuration::from_bits(smear << 10))
            }
            (_, [a, b, c, d]) => Reference::AddressOrHash(Ipv4Addr::new(a, b, c, d)),
        }
    }

    /// For people, beside `stratum`: `RATE`, `GPS`, `192.0.2.1`, `smear -0.250 s`.
    #[must_use]
    pub const fn display(self, stratum: Stratum) -> DisplayReference {
        DisplayReference(self, stratum)
    }
}

impl From<Ipv4Addr> for ReferenceId {
    fn from(address: Ipv4Addr) -> Self {
        Self(address.octets())
    }
}

impl fmt::Debug for ReferenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReferenceId({self})")
    }
}

/// Eight hexadecimal digits, which is all the octets alone can say.
impl fmt::Display for ReferenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// One to four printable ASCII characters (`GPS`), a dotted IPv4 address, or eight hexadecimal digits.
impl FromStr for ReferenceId {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(address.into());
        }
        if text.len() == 8 && text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            if let Ok(bits) = u32::from_str_radix(text, 16) {
                return Ok(Self(bits.to_be_bytes()));
            }
        }
        if (1..=4).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic()) {
            let mut bytes = [0; 4];
            for (place, octet) in bytes.iter_mut().zip(text.bytes()) {
                *place = octet;
            }
            return Ok(Self(bytes));
        }
        Err(ParseCodeError { expected: "reference id (one to four characters, an IPv4 address or eight hex digits)" })
    }
}

/// A reference id beside its stratum, shown for people; made by [`ReferenceId::display`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisplayReference(ReferenceId, Stratum);

impl fmt::Display for DisplayReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.describe(self.1) {
            Reference::Unset => f.write_str("-"),
            Reference::Kiss(code) => code.fmt(f),
            Reference::Clock(bytes) => write_ascii_or_hex(f, bytes),
            Reference::Driver { driver: 1, unit } => write!(f, "LOCAL({unit})"),
            Reference::Driver { driver, unit } => write!(f, "127.127.{driver}.{unit}"),
            Reference::Smear(offset) => write!(f, "smear {}", offset.human()),
            Reference::AddressOrHash(address) => address.fmt(f),
        }
    }
}

/// The octets as text when they are printable ASCII padded with zeros, else as hexadecimal.
pub(crate) fn write_ascii_or_hex(f: &mut fmt::Formatter<'_>, bytes: [u8; 4]) -> fmt::Result {
    let length = bytes.iter().position(|&octet| octet == 0).unwrap_or(4);
    let (text, padding) = bytes.split_at(length);
    let is_text = length > 0 && text.iter().all(u8::is_ascii_graphic) && padding.iter().all(|&octet| octet == 0);
    match core::str::from_utf8(text) {
        Ok(text) if is_text => f.write_str(text),
        _ => write!(f, "{:08x}", u32::from_be_bytes(bytes)),
    }
}
