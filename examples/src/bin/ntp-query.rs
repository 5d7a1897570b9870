//! Asks servers once how far this machine's clock is off; changes nothing.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ntp_client::QueryConfig;
use ntp_discipline::Sample;
use ntp_examples::address::{self, Host};
use ntp_examples::json::seconds;
use ntp_examples::keys::{KeyFile, NoKey};
use ntp_examples::measure::{measure, Measured};
use ntp_examples::text::{fit, magnitude, signed};
use ntp_proto::mac::SharedKey;
use ntp_proto::Version;
use rackspace_ntp::Region;
use serde_json::{json, Value};

/// Ask NTP servers how far this machine's clock is off. Nothing is changed.
///
/// Several servers vote: the answer is that of the majority. A positive offset means that this machine's clock is behind.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-query",
    version,
    arg_required_else_help = true,
    max_term_width = 80,
    after_help = "\
Letters: * and + agree and count, - agrees but is scattered, x is false.

Exit status: 0 if a majority of those who answered agrees, 1 if not, 2 for
wrong arguments."
)]
struct Arguments {
    /// Servers to ask
    #[arg(value_name = "HOST[:PORT]")]
    hosts: Vec<Host>,
    /// Rackspace's own servers of a region: DFW, ORD, IAD, LON, HKG or SYD
    #[arg(long, value_name = "REGION")]
    region: Vec<Region>,
    /// Samples of each server, 2 s apart; the one with the least delay counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    samples: u8,
    /// How long to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = ntp_examples::text::duration)]
    timeout: Duration,
    /// A file of symmetric keys (ntp.keys or chrony.keys)
    #[arg(long, value_name = "FILE", requires = "key")]
    keys: Option<PathBuf>,
    /// Sign the requests with this key, and believe no answer without
    #[arg(long, value_name = "ID", requires = "keys")]
    key: Option<NonZeroU32>,
    /// NTP version of the requests
    #[arg(long, value_name = "1-4", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    ntp_version: u8,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// A server as the user named it.
struct Named {
    host: Host,
    address: SocketAddr,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let named = resolve(&arguments);
    if named.is_empty() {
        return ExitCode::FAILURE;
    }
    let key = match key(&arguments) {
        Ok(key) => key,
        Err(error) => {
            eprintln!("ntp-query: {error}");
            return ExitCode::FAILURE;
        }
    };
    let config = QueryConfig {
        samples: arguments.samples,
        timeout: arguments.timeout,
        version: Version::from_bits(arguments.ntp_version),
        key,
        ..QueryConfig::default()
    };
    let addresses: Vec<_> = named.iter().map(|named| named.address).collect();
    let measured = match measure(&addresses, config) {
        Ok(measured) => measured,
        Err(error) => {
            eprintln!("ntp-query: {error}");
            return ExitCode::FAILURE;
        }
    };
    for line in if arguments.json { objects(&named, &measured) } else { lines(&named, &measured) } {
        println!("{line}");
    }
    if measured.outcome.combined.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The key to sign with, if one is asked for.
fn key(arguments: &Arguments) -> Result<Option<SharedKey>, NoKey> {
    let (Some(path), Some(id)) = (&arguments.keys, arguments.key) else { return Ok(None) };
    let keys = KeyFile::read(path, None)?;
    for complaint in keys.complaints() {
        eprintln!("ntp-query: {complaint}");
    }
    keys.key(id).map(Some)
}

/// The first address of every name; those without are complained about and left out.
fn resolve(arguments: &Arguments) -> Vec<Named> {
    let regions = arguments.region.iter().flat_map(|region| region.hosts()).map(Host::new);
    let hosts = arguments.hosts.iter().cloned().chain(regions);
    hosts
        .filter_map(|host| match host.resolve() {
            Ok(addresses) => addresses.first().map(|address| Named { host, address: *address }),
            Err(error) => {
                eprintln!("ntp-query: {host} cannot be resolved: {error}");
                None
            }
        })
        .collect()
}

fn name(named: &[Named], address: SocketAddr) -> String {
    let found = named.iter().find(|named| named.address == address);
    found.map_or_else(|| address::show(address), |named| named.host.to_string())
}

fn lines(named: &[Named], measured: &Measured) -> Vec<String> {
    let mut lines = vec![columns("", "server", "st", "reference", "leap", "offset", "± bound", "delay")];
    for server in &measured.outcome.servers {
        let name = name(named, server.address);
        let letter = server.verdict.letter().to_string();
        lines.push(match &server.best {
            Some(sample) => {
                let said = &sample.server;
                columns(
                    &letter,
                    &name,
                    &said.stratum.to_string(),
                    &said.reference_id.display(said.stratum).to_string(),
                    &said.leap.to_string(),
                    &signed(sample.offset),
                    &magnitude(sample.root_distance()),
                    &magnitude(sample.delay),
                )
            }
            None => fit(&format!("  {name}  {}", measured.why_not(server)), 80),
        });
    }
    lines.push(String::new());
    let answered = measured.outcome.servers.iter().filter(|server| server.best.is_some()).count();
    lines.push(match measured.outcome.combined {
        Some(combined) => {
            let side = if combined.offset.is_negative() { "ahead" } else { "behind" };
            let (offset, bound) = (magnitude(combined.offset), magnitude(combined.bound));
            format!("This clock is {offset} {side}, ± {bound}: {} of {answered} agree.", combined.agreeing)
        }
        None if answered == 0 => "No server gave its time.".into(),
        None => format!("No majority of the {answered} servers agrees."),
    });
    lines
}

#[allow(clippy::too_many_arguments)] // one for each column
fn columns(
    letter: &str,
    server: &str,
    stratum: &str,
    reference: &str,
    leap: &str,
    offset: &str,
    bound: &str,
    delay: &str,
) -> String {
    let (server, reference, leap) = (fit(server, 23), fit(reference, 15), fit(leap, 6));
    format!("{letter:<1} {server:<23} {stratum:>2} {reference:<15} {leap:<6} {offset:>9} {bound:>8} {delay:>8}")
}

fn objects(named: &[Named], measured: &Measured) -> Vec<String> {
    let servers = measured.outcome.servers.iter().map(|server| {
        let mut object = json!({
            "type": "server",
            "host": name(named, server.address),
            "address": server.address.to_string(),
            "verdict": server.verdict.to_string(),
            "answers": server.counters.accepted,
        });
        let more = server.best.as_ref().map_or_else(|| json!({ "error": measured.why_not(server) }), sample);
        if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
            object.extend(more);
        }
        object
    });
    let combined = measured.outcome.combined.map(|combined| {
        json!({
            "type": "combined",
            "offset": seconds(combined.offset),
            "bound": seconds(combined.bound),
            "agreeing": combined.agreeing,
        })
    });
    servers.chain(combined).map(|object| object.to_string()).collect()
}

fn sample(sample: &Sample) -> Value {
    let said = &sample.server;
    json!({
        "offset": seconds(sample.offset),
        "bound": seconds(sample.root_distance()),
        "delay": seconds(sample.delay),
        "dispersion": seconds(sample.dispersion),
        "stratum": said.stratum.to_bits(),
        "reference": said.reference_id.display(said.stratum).to_string(),
        "reference_id": said.reference_id.to_string(),
        "leap": said.leap.to_string(),
        "precision": said.precision.log2(),
        "root_delay": seconds(said.root_delay.to_duration()),
        "root_dispersion": seconds(said.root_dispersion.to_duration()),
    })
}
