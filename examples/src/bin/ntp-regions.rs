//! Rackspace's internal NTP servers by region, and how this machine's clock stands to them.

use std::process::ExitCode;

use clap::Parser;
use ntp_examples::output::remark;
use ntp_examples::output::{finish, Report};
use ntp_examples::regions::{lines, objects, Answers};
use rackspace_ntp::{Region, Server, UtcOffset, RACKSPACE};

/// Show Rackspace's internal NTP servers by region, or ask each for its time.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-regions",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-regions               the table
  ntp-regions DFW LON       two regions of it
  ntp-regions --query       every host asked: how far is this clock off?
  ntp-regions --suggest     the regions that fit this machine's timezone

The hosts answer inside Rackspace's networks. A positive offset means that this
machine's clock is behind; nothing is changed.

Exit status: 0 if done and, with --query, at least one host answered, 1 if
not, 2 for wrong arguments."
)]
struct Arguments {
    /// Regions to show; all without one
    #[arg(value_name = "REGION")]
    regions: Vec<Region>,
    /// Only the regions that fit this machine's local time
    #[arg(long, conflicts_with = "regions")]
    suggest: bool,
    /// Ask each host how far this machine's clock is off
    #[arg(long)]
    query: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    finish("ntp-regions", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<Report, String> {
    let regions = regions(arguments)?;
    let is_shown = |server: &&Server<'_>| regions.iter().any(|region| region.code() == server.region);
    let servers: Vec<&Server<'_>> = RACKSPACE.servers.iter().filter(is_shown).collect();
    let answers = if arguments.query { Some(Answers::ask(&servers)?) } else { None };
    let show = if arguments.json { objects } else { lines };
    let text = show(&servers, answers.as_ref());
    Ok(Report { text, is_success: answers.is_none_or(|answers| answers.has_any()) })
}

fn regions(arguments: &Arguments) -> Result<Vec<Region>, String> {
    if !arguments.suggest {
        let all = arguments.regions.is_empty();
        return Ok(if all { Region::ALL.to_vec() } else { arguments.regions.clone() });
    }
    let offset = machine_offset().ok_or("this machine's timezone cannot be read")?;
    if offset == UtcOffset::UTC {
        remark(format_args!("ntp-regions: this machine runs on universal time, which says little about its place"));
    }
    Ok(Region::suggest(offset).collect())
}

/// The machine's local time against UTC now.
fn machine_offset() -> Option<UtcOffset> {
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    let minutes = zone.to_offset(jiff::Timestamp::now()).seconds() / 60;
    UtcOffset::from_minutes(i16::try_from(minutes).ok()?)
}
