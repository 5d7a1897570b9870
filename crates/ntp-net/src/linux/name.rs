//! Socket addresses in the kernel's form, as plain octets: nothing to reinterpret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for `sockaddr_in` and `sockaddr_in6`.
pub(super) const NAME_LEN: usize = 28;
const NAME_LEN_V4: u8 = 16;
const NAME_LEN_V6: u8 = 28;

/// The kind of addresses a socket was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// A socket address as the kernel reads and writes it.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Name {
    pub(super) octets: [u8; NAME_LEN],
    /// How many of them count.
    pub(super) len: u8,
}

impl Name {
    pub(super) const EMPTY: Self = Self { octets: [0; NAME_LEN], len: 0 };

    /// `address` for a socket of `family`; `None` for an IPv6 address on an IPv4 socket.
    pub(super) fn new(address: SocketAddr, family: Family) -> Option<Self> {
        match (address, family) {
            (SocketAddr::V4(v4), Family::V4) => Some(Self::v4(v4)),
            (SocketAddr::V4(v4), Family::V6) => {
                Some(Self::v6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)))
            }
            (SocketAddr::V6(v6), Family::V6) => Some(Self::v6(v6)),
            (SocketAddr::V6(v6), Family::V4) => {
                v6.ip().to_ipv4_mapped().map(|ip| Self::v4(SocketAddrV4::new(ip, v6.port())))
            }
        }
    }

    fn v4(address: SocketAddrV4) -> Self {
        let mut octets = [0; NAME_LEN];
        let [f0, f1] = family_octets(libc::AF_INET);
        let [p0, p1] = address.port().to_be_bytes();
        let [a0, a1, a2, a3] = address.ip().octets();
        if let Some(head) = octets.first_chunk_mut() {
            *head = [f0, f1, p0, p1, a0, a1, a2, a3];
        }
        Self { octets, len: NAME_LEN_V4 }
    }

    fn v6(address: SocketAddrV6) -> Self {
        let mut octets = [0; NAME_LEN];
        let fields: [&[u8]; 5] = [
            &family_octets(libc::AF_INET6),
            &address.port().to_be_bytes(),
            &address.flowinfo().to_be_bytes(),
            &address.ip().octets(),
            &address.scope_id().to_ne_bytes(),
        ];
        for (place, octet) in octets.iter_mut().zip(fields.into_iter().flatten()) {
            *place = *octet;
        }
        Self { octets, len: NAME_LEN_V6 }
    }

    /// The address, IPv4-mapped ones as IPv4; `None` when it is neither IPv4 nor IPv6.
    #[inline]
    pub(super) fn address(&self) -> Option<SocketAddr> {
        parse(&self.octets)
    }
}

fn family_octets(family: i32) -> [u8; 2] {
    u16::try_from(family).unwrap_or(0).to_ne_bytes()
}

/// A socket address from octets the kernel wrote; also one that stands behind an extended error.
#[inline]
pub(super) fn parse(octets: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = octets.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
            Some(SocketAddr::V4(SocketAddrV4::new(ip, port)))
        }
        libc::AF_INET6 => {
            let (flow, rest) = rest.split_first_chunk::<4>()?;
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*rest.first_chunk::<4>()?);
            let ip = Ipv6Addr::from(*ip);
            Some(match ip.to_ipv4_mapped() {
                Some(ip) => SocketAddr::V4(SocketAddrV4::new(ip, port)),
                None => SocketAddr::V6(SocketAddrV6::new(ip, port, u32::from_be_bytes(*flow), scope)),
            })
        }
        _ => None,
    }
}

/// An IPv6 address, or the IPv4 address mapped into it.
pub(super) fn unmapped(ip: Ipv6Addr) -> IpAddr {
    ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_address_survives_the_kernels_form(ip: [u8; 16], is_v4: bool, port: u16, flow: u32, scope: u32) {
            let address = if is_v4 {
                let [a, b, c, d, ..] = ip;
                SocketAddr::from(([a, b, c, d], port))
            } else {
                SocketAddr::V6(SocketAddrV6::new(ip.into(), port, flow, scope))
            };
            for family in [Family::V4, Family::V6] {
                match Name::new(address, family) {
                    Some(name) => prop_assert_eq!(name.address(), Some(address)),
                    None => prop_assert!(!is_v4 && family == Family::V4),
                }
            }
        }

        #[test]
        fn arbitrary_octets_are_an_address_or_none(octets: Vec<u8>) {
            let _ = parse(&octets);
        }
    }
}
