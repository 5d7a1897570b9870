//! Rackspace's internal NTP servers by region, and how this machine's clock stands to them.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use ntp_client::QueryConfig;
use ntp_examples::address::Host;
use ntp_examples::json::seconds;
use ntp_examples::measure::{measure, Measured};
use ntp_examples::output::{finish, Report};
use ntp_examples::text::{fit, magnitude, signed};
use rackspace_ntp::{Region, Server, UtcOffset, RACKSPACE};
use serde_json::{json, Value};

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
    let mut lines = Vec::new();
    if !arguments.json {
        let columns = answers.as_ref().map_or("timezone", |_| "   offset  ± bound    delay st");
        lines.push(format!("region  host                      {columns}\n"));
    }
    for server in servers {
        lines.push(if arguments.json {
            format!("{}\n", object(server, answers.as_ref()))
        } else {
            let zone = || server.timezone.to_string();
            let columns = answers.as_ref().map_or_else(zone, |answers| answers.columns(server.host));
            format!("{:<7} {:<25} {columns}\n", server.region, server.host)
        });
    }
    let has_answer = |answers: Answers| answers.measured.outcome.servers.iter().any(|server| server.best.is_some());
    Ok(Report { text: lines.concat(), is_success: answers.is_none_or(has_answer) })
}

fn regions(arguments: &Arguments) -> Result<Vec<Region>, String> {
    if !arguments.suggest {
        let all = arguments.regions.is_empty();
        return Ok(if all { Region::ALL.to_vec() } else { arguments.regions.clone() });
    }
    let offset = machine_offset().ok_or("this machine's timezone cannot be read")?;
    if offset == UtcOffset::UTC {
        eprintln!("ntp-regions: this machine runs on universal time, which says little about its place");
    }
    Ok(Region::suggest(offset).collect())
}

/// The machine's local time against UTC now.
fn machine_offset() -> Option<UtcOffset> {
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    let minutes = zone.to_offset(jiff::Timestamp::now()).seconds() / 60;
    UtcOffset::from_minutes(i16::try_from(minutes).ok()?)
}

/// What the hosts said.
struct Answers {
    /// Every host with its address, or why it has none.
    hosts: Vec<(String, Result<SocketAddr, String>)>,
    measured: Measured,
}

impl Answers {
    fn ask(servers: &[&Server<'_>]) -> Result<Self, String> {
        let resolve = |server: &&Server<'_>| {
            let addresses = Host::new(server.host).resolve().map_err(|error| format!("not resolved: {error}"));
            let first = addresses.and_then(|found| found.first().copied().ok_or_else(|| "no address".to_string()));
            (server.host.to_string(), first)
        };
        let hosts: Vec<_> = servers.iter().map(resolve).collect();
        let addresses: Vec<_> = hosts.iter().filter_map(|(_, address)| address.as_ref().ok().copied()).collect();
        let measured = measure(&addresses, QueryConfig::default()).map_err(|error| error.to_string())?;
        Ok(Self { hosts, measured })
    }

    /// What a host's address said, or why it said nothing.
    fn of(&self, host: &str) -> Result<&ntp_discipline::Sample, String> {
        let found = self.hosts.iter().find(|(named, _)| named == host).map(|(_, address)| address.clone());
        let address = found.unwrap_or_else(|| Err("not asked".into()))?;
        let server = self.measured.outcome.servers.iter().find(|server| server.address == address);
        let server = server.ok_or("not asked")?;
        server.best.as_ref().ok_or_else(|| self.measured.why_not(server))
    }

    fn columns(&self, host: &str) -> String {
        match self.of(host) {
            Ok(sample) => format!(
                "{:>9} {:>8} {:>8} {:>2}",
                signed(sample.offset),
                magnitude(sample.root_distance()),
                magnitude(sample.delay),
                sample.server.stratum
            ),
            Err(why) => fit(&why, 45),
        }
    }
}

fn object(server: &Server<'_>, answers: Option<&Answers>) -> Value {
    let mut object = json!({
        "type": "server",
        "provider": RACKSPACE.name,
        "region": server.region,
        "host": server.host,
        "timezone": server.timezone.abbreviation,
        "utc_offset_minutes": server.timezone.offset.minutes(),
    });
    let more = answers.map(|answers| match answers.of(server.host) {
        Ok(sample) => json!({
            "offset": seconds(sample.offset),
            "bound": seconds(sample.root_distance()),
            "delay": seconds(sample.delay),
            "stratum": sample.server.stratum.to_bits(),
        }),
        Err(why) => json!({ "error": why }),
    });
    if let (Value::Object(object), Some(Value::Object(more))) = (&mut object, more) {
        object.extend(more);
    }
    object
}
