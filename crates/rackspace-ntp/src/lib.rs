//! Rackspace's internal NTP servers by region, as constant data: no dependencies, no allocation.
//!
//! [`RACKSPACE`] is the table of Rackspace's guide exactly, order included; [`Region`] is its first column as a type.
//! Another provider's table is another [`Provider`] value.
//!
//! | region | hosts | timezone as the guide prints it |
//! |---|---|---|
//! | DFW | time.dfw1.rackspace.com, time2.dfw1.rackspace.com | CST (UTC-06:00) |
//! | ORD | time.ord1.rackspace.com, time2.ord1.rackspace.com | CST (UTC-06:00) |
//! | IAD | time.iad1.rackspace.com, time2.iad1.rackspace.com | CST (UTC-06:00) |
//! | LON | time.lon1.rackspace.com, time2.lon1.rackspace.com | GMT (UTC+00:00) |
//! | HKG | time.hkg1.rackspace.com, time2.hkg1.rackspace.com | HKT (UTC+08:00) |
//! | SYD | time.syd1.rackspace.com, time2.syd1.rackspace.com | AET (UTC+10:00) |
//!
//! The timezones are the guide's: it prints CST for IAD, which lies in Virginia (EST). The hosts are internal: they
//! answer from inside Rackspace's networks.
//!
//! ```
//! use rackspace_ntp::{Region, UtcOffset, RACKSPACE};
//!
//! let region: Region = "dfw".parse()?;
//! assert_eq!(region.hosts(), ["time.dfw1.rackspace.com", "time2.dfw1.rackspace.com"]);
//! assert_eq!(region.timezone().to_string(), "CST (UTC-06:00)");
//! // All hosts of the table, in its order.
//! assert_eq!(RACKSPACE.servers.len(), 12);
//! // A machine in Sydney's summer.
//! let offset = UtcOffset::from_minutes(660).unwrap();
//! assert!(Region::suggest(offset).eq([Region::Syd]));
//! # Ok::<(), rackspace_ntp::UnknownRegion>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

mod provider;
mod region;
mod timezone;

pub use provider::{Provider, Server};
pub use region::{Region, UnknownRegion};
pub use timezone::{Timezone, UtcOffset};

/// The table of Rackspace's guide, in its order.
pub const RACKSPACE: Provider<'static> = Provider {
    name: "Rackspace",
    checked: "2026-11-23",
    servers: &[
        server("DFW", "time.dfw1.rackspace.com", CST),
        server("DFW", "time2.dfw1.rackspace.com", CST),
        server("ORD", "time.ord1.rackspace.com", CST),
        server("ORD", "time2.ord1.rackspace.com", CST),
        server("IAD", "time.iad1.rackspace.com", CST),
        server("IAD", "time2.iad1.rackspace.com", CST),
        server("LON", "time.lon1.rackspace.com", GMT),
        server("LON", "time2.lon1.rackspace.com", GMT),
        server("HKG", "time.hkg1.rackspace.com", HKT),
        server("HKG", "time2.hkg1.rackspace.com", HKT),
        server("SYD", "time.syd1.rackspace.com", AET),
        server("SYD", "time2.syd1.rackspace.com", AET),
    ],
};

const CST: Timezone<'static> = Timezone { abbreviation: "CST", offset: UtcOffset::from_hours(-6) };
const GMT: Timezone<'static> = Timezone { abbreviation: "GMT", offset: UtcOffset::from_hours(0) };
const HKT: Timezone<'static> = Timezone { abbreviation: "HKT", offset: UtcOffset::from_hours(8) };
const AET: Timezone<'static> = Timezone { abbreviation: "AET", offset: UtcOffset::from_hours(10) };

const fn server<'a>(region: &'a str, host: &'a str, timezone: Timezone<'a>) -> Server<'a> {
    Server { region, host, timezone }
}
