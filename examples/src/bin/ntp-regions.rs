//! Rackspace's internal NTP servers by region.

use std::process::ExitCode;

use clap::Parser;
use rackspace_ntp::{Region, UtcOffset, RACKSPACE};
use serde_json::json;

/// Show Rackspace's internal NTP servers by region.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-regions",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-regions               the table
  ntp-regions DFW LON       two regions of it
  ntp-regions --suggest     the regions that fit this machine's timezone"
)]
struct Arguments {
    /// Regions to show; all without one
    #[arg(value_name = "REGION")]
    regions: Vec<Region>,
    /// Only the regions that fit this machine's local time; a machine that runs on UTC says nothing about its place
    #[arg(long, conflicts_with = "regions")]
    suggest: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let regions: Vec<Region> = if arguments.suggest {
        let Some(offset) = machine_offset() else {
            eprintln!("ntp-regions: this machine's timezone cannot be read");
            return ExitCode::FAILURE;
        };
        if offset == UtcOffset::UTC {
            eprintln!("ntp-regions: this machine runs on universal time, which says little about its place");
        }
        Region::suggest(offset).collect()
    } else if arguments.regions.is_empty() {
        Region::ALL.to_vec()
    } else {
        arguments.regions
    };
    if !arguments.json {
        println!("region  host                      timezone");
    }
    for server in RACKSPACE.servers.iter().filter(|server| regions.iter().any(|region| region.code() == server.region))
    {
        if arguments.json {
            let object = json!({
                "type": "server",
                "provider": RACKSPACE.name,
                "region": server.region,
                "host": server.host,
                "timezone": server.timezone.abbreviation,
                "utc_offset_minutes": server.timezone.offset.minutes(),
            });
            println!("{object}");
        } else {
            println!("{:<7} {:<25} {}", server.region, server.host, server.timezone);
        }
    }
    ExitCode::SUCCESS
}

/// The machine's local time against UTC now.
fn machine_offset() -> Option<UtcOffset> {
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    let minutes = zone.to_offset(jiff::Timestamp::now()).seconds() / 60;
    UtcOffset::from_minutes(i16::try_from(minutes).ok()?)
}
