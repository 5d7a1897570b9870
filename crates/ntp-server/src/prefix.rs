//! Address prefixes.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An address prefix: every address that begins with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The first bits; the others are zero.
    address: IpAddr,
    length: u8,
}

/// A text or a pair is not a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// It does not begin with an address.
    #[error("not an IPv4 or IPv6 address with an optional prefix length, like 192.0.2.0/24")]
    Form,
    /// An address does not have so many bits.
    #[error("prefix length {length} is above {max}")]
    Length {
        /// The length.
        length: u32,
        /// Bits of such an address.
        max: u8,
    },
}

impl Prefix {
    /// The first `length` bits of `address`; its other bits do not matter. IPv4-mapped IPv6 becomes IPv4.
    ///
    /// # Errors
    /// [`PrefixError::Length`].
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let (address, length) = match address {
            IpAddr::V6(v6) if length >= 96 => match v6.to_ipv4_mapped() {
                Some(v4) => (IpAddr::V4(v4), length - 96),
                None => (address, length),
            },
            _ => (address, length),
        };
        let max = if address.is_ipv4() { 32 } else { 128 };
        if length > max {
            return Err(PrefixError::Length { length: length.into(), max });
        }
        Ok(Self { address: masked(address, length), length })
    }

    /// The lowest address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits are fixed.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` begins with it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.length) == self.address
    }
}

/// The first `length` bits of an address.
pub(crate) fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

impl From<IpAddr> for Prefix {
    /// That address alone.
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }
}

/// `192.0.2.0/24`
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// `192.0.2.0/24`, `2001:db8::/32`, or an address alone.
impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Form)?;
        let Some(length) = length else { return Ok(address.into()) };
        if !length.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(PrefixError::Form);
        }
        let length: u32 = length.parse().map_err(|_| PrefixError::Form)?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let short = u8::try_from(length).map_err(|_| PrefixError::Length { length, max })?;
        Self::new(address, short)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    /// Addresses close to each other, so that prefixes nest and overlap.
    pub(crate) fn address() -> impl Strategy<Value = IpAddr> {
        let octet = || prop_oneof![Just(0_u8), Just(1), Just(0x80), Just(0xff), any::<u8>()];
        prop_oneof![
            prop::array::uniform4(octet()).prop_map(IpAddr::from),
            prop::array::uniform16(octet()).prop_map(IpAddr::from),
        ]
    }

    pub(crate) fn prefix() -> impl Strategy<Value = Prefix> {
        (address(), 0..=128_u8).prop_map(|(address, length)| {
            Prefix::new(address, if address.is_ipv4() { length % 33 } else { length }).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_prefix_survives_its_text(prefix in prefix()) {
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        }
    }

    #[test]
    fn what_is_no_prefix_says_why() {
        for text in ["", "10", "10.0.0.0/", "10.0.0.0/+8", "host/8", "10.0.0.0/8/8", "::1/ 3"] {
            assert_eq!(text.parse::<Prefix>(), Err(PrefixError::Form), "{text:?}");
        }
        let too_long = |length, max| Err(PrefixError::Length { length, max });
        assert_eq!("10.0.0.0/33".parse::<Prefix>(), too_long(33, 32));
        assert_eq!("10.0.0.0/300".parse::<Prefix>(), too_long(300, 32));
        assert_eq!("::/129".parse::<Prefix>(), too_long(129, 128));
    }
}
