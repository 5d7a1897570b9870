//! Asks servers once how far this machine's clock is off; changes nothing.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ntp_client::QueryConfig;
use ntp_examples::address::Host;
use ntp_examples::keys::{KeyFile, NoKey};
use ntp_examples::measure::measure;
use ntp_examples::output::{finish, remark, Report};
use ntp_examples::query::{lines, objects, Named};
use ntp_proto::mac::SharedKey;
use ntp_proto::Version;
use rackspace_ntp::Region;

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

fn main() -> ExitCode {
    finish("ntp-query", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<Report, String> {
    let named = resolve(arguments);
    if named.is_empty() {
        return Ok(Report { text: String::new(), is_success: false });
    }
    let key = key(arguments).map_err(|error| error.to_string())?;
    let config = QueryConfig {
        samples: arguments.samples,
        timeout: arguments.timeout,
        version: Version::from_bits(arguments.ntp_version),
        key,
        ..QueryConfig::default()
    };
    let addresses: Vec<_> = named.iter().map(|named| named.address).collect();
    let measured = measure(&addresses, config).map_err(|error| error.to_string())?;
    let lines = if arguments.json { objects(&named, &measured) } else { lines(&named, &measured) };
    let text = lines.into_iter().map(|line| line + "\n").collect();
    Ok(Report { text, is_success: measured.outcome.combined.is_some() })
}

/// The key to sign with, if one is asked for.
fn key(arguments: &Arguments) -> Result<Option<SharedKey>, NoKey> {
    let (Some(path), Some(id)) = (&arguments.keys, arguments.key) else { return Ok(None) };
    let keys = KeyFile::read(path, None)?;
    for complaint in keys.complaints() {
        remark(format_args!("ntp-query: {complaint}"));
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
                remark(format_args!("ntp-query: {host} cannot be resolved: {error}"));
                None
            }
        })
        .collect()
}
