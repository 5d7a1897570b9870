//! `HOST[:PORT]` as people write it, and what it resolves to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::str::FromStr;

/// NTP's port.
pub const NTP_PORT: u16 = 123;

/// A host by name or number, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// A host on NTP's port.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), port: NTP_PORT }
    }

    /// Its name or number, without the port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is an address already.
    #[must_use]
    pub fn is_number(&self) -> bool {
        is_address(&self.name)
    }

    /// Its addresses. A number is taken as it stands, without asking anybody; the zone of a link-local one may be the name of
    /// an interface, which libc looks up.
    ///
    /// # Errors
    /// What the resolver says; also when it says nothing.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        if let Some((address, Ok(zone))) = scoped(&self.name).map(|(address, zone)| (address, zone.parse())) {
            return Ok(vec![SocketAddrV6::new(address, self.port, 0, zone).into()]);
        }
        let addresses: Vec<_> = (self.name.as_str(), self.port).to_socket_addrs()?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.name.contains(':')) {
            (NTP_PORT, _) => f.write_str(&self.name),
            (port, true) => write!(f, "[{}]:{port}", self.name),
            (port, false) => write!(f, "{}:{port}", self.name),
        }
    }
}

/// `host`, `host:port`, `192.0.2.1:port`, `2001:db8::1`, `fe80::1%eth0`, `[2001:db8::1]:port`.
impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, "")) => (name, None),
            Some((name, port)) => (name, Some(port.strip_prefix(':').unwrap_or("missing"))),
            None if is_address(text) => (text, None),
            None => match text.rsplit_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = match port.map(str::parse) {
            None => NTP_PORT,
            Some(Ok(port)) if port != 0 => port,
            Some(_) => return Err(format!("{text:?} does not end in a port between 1 and 65535")),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || !(is_address(name) || name.chars().all(is_name)) {
            return Err(format!("{text:?} is not a host name or address"));
        }
        Ok(Self { name: name.into(), port })
    }
}

/// The parts of a link-local address with the interface it is meant on: `fe80::1%eth0`.
fn scoped(text: &str) -> Option<(Ipv6Addr, &str)> {
    let (address, zone) = text.split_once('%')?;
    let is_zone = |c: char| c.is_ascii_graphic() && !matches!(c, '%' | '/' | '[' | ']');
    let is_whole = !zone.is_empty() && zone.chars().all(is_zone);
    Some((address.parse().ok().filter(|_| is_whole)?, zone))
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || scoped(text).is_some()
}

/// A server as a table shows it: NTP's own port is not worth the room.
#[must_use]
pub fn show(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(scoped) if scoped.port() == NTP_PORT && scoped.scope_id() != 0 => {
            format!("{}%{}", scoped.ip(), scoped.scope_id())
        }
        _ if address.port() == NTP_PORT => address.ip().to_string(),
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_people_write_them() {
        for (text, name, port) in [
            ("time.example", "time.example", 123),
            ("time.example:1123", "time.example", 1123),
            ("192.0.2.1", "192.0.2.1", 123),
            ("192.0.2.1:99", "192.0.2.1", 99),
            ("2001:db8::1", "2001:db8::1", 123),
            ("[2001:db8::1]", "2001:db8::1", 123),
            ("[2001:db8::1]:99", "2001:db8::1", 99),
            ("fe80::1%eth0", "fe80::1%eth0", 123),
            ("[fe80::1%3]:99", "fe80::1%3", 99),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.name.as_str(), host.port), (name, port), "{text}");
            assert_eq!(host.to_string().parse::<Host>(), Ok(host));
        }
        for wrong in [
            "",
            ":123",
            "a:0",
            "a:b",
            "a:70000",
            "two words",
            "[::1",
            "[::1]99",
            "[::1]:",
            "a/b",
            "fe80::1%",
            "192.0.2.1%1",
        ] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong:?}");
        }
        assert_eq!("127.0.0.1:7".parse::<Host>().unwrap().resolve().unwrap(), ["127.0.0.1:7".parse().unwrap()]);
    }

    #[test]
    fn link_local_addresses_keep_their_zone() {
        let host: Host = "fe80::1%3".parse().unwrap();
        let [address] = host.resolve().unwrap()[..] else { panic!("one address") };
        assert!(host.is_number());
        assert_eq!((address, show(address)), ("[fe80::1%3]:123".parse().unwrap(), "fe80::1%3".into()));
    }
}
