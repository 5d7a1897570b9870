//! A provider's table of NTP servers: a plain value, so that anybody can write another.

use crate::{Timezone, UtcOffset};

/// One line of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // users write their own tables
pub struct Server<'a> {
    /// The region's code. Regions are told apart without regard to ASCII case.
    pub region: &'a str,
    /// Name or address of the server.
    pub host: &'a str,
    /// The region's timezone.
    pub timezone: Timezone<'a>,
}

/// A provider's servers by region.
///
/// ```
/// use rackspace_ntp::{Provider, Server, Timezone, UtcOffset};
///
/// let cet = Timezone { abbreviation: "CET", offset: UtcOffset::from_minutes(60).unwrap() };
/// let servers = [
///     Server { region: "fra", host: "ntp1.fra.example.net", timezone: cet },
///     Server { region: "fra", host: "ntp2.fra.example.net", timezone: cet },
/// ];
/// let ours = Provider { name: "Example", checked: "2026-01-31", servers: &servers };
/// assert!(ours.hosts("FRA").eq(["ntp1.fra.example.net", "ntp2.fra.example.net"]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // users write their own tables
pub struct Provider<'a> {
    /// Who runs the servers.
    pub name: &'a str,
    /// The day the table was last compared with what the provider publishes: `YYYY-MM-DD`.
    pub checked: &'a str,
    /// The servers in the provider's order.
    pub servers: &'a [Server<'a>],
}

impl<'a> Provider<'a> {
    /// The regions' codes, each once, where it first stands in the table.
    pub fn regions(&self) -> impl Iterator<Item = &'a str> + 'a {
        let servers = self.servers;
        servers.iter().enumerate().filter_map(move |(index, server)| {
            let is_first = !servers.iter().take(index).any(|other| other.region.eq_ignore_ascii_case(server.region));
            is_first.then_some(server.region)
        })
    }

    /// The hosts of a region, named in any case; none when the table does not know it.
    pub fn hosts<'r>(&self, region: &'r str) -> impl Iterator<Item = &'a str> + 'r
    where
        'a: 'r,
    {
        let named = self.servers.iter().filter(move |server| server.region.eq_ignore_ascii_case(region));
        named.map(|server| server.host)
    }

    /// The regions a machine with this local time most likely stands in. Only a suggestion: a machine that runs on UTC,
    /// as most servers do, says nothing about its place.
    ///
    /// A region fits when its offset is the machine's, or the machine's less an hour of daylight saving; if none fits,
    /// the nearest does.
    pub fn suggest(&self, offset: UtcOffset) -> impl Iterator<Item = &'a str> + 'a {
        let servers = self.servers;
        let distance = move |region: &str| {
            let zone = servers.iter().find(|server| server.region.eq_ignore_ascii_case(region));
            zone.map_or(u16::MAX, |server| zone_distance(offset, server.timezone.offset))
        };
        let nearest = self.regions().map(distance).min();
        self.regions().filter(move |region| Some(distance(region)) == nearest)
    }
}

/// Minutes between a machine's local time and a zone's standard or daylight saving time, whichever is nearer.
fn zone_distance(machine: UtcOffset, zone: UtcOffset) -> u16 {
    let daylight = UtcOffset::from_minutes(zone.minutes() + 60).unwrap_or(zone);
    machine.distance(zone).min(machine.distance(daylight))
}
