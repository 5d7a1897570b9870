//! The regions' hosts: what they say when they are asked, and how they are shown.

use std::net::SocketAddr;

use ntp_client::QueryConfig;
use ntp_discipline::Sample;
use rackspace_ntp::{Server, RACKSPACE};
use serde_json::{json, Value};

use crate::address::Host;
use crate::json::seconds;
use crate::measure::{measure, Measured};
use crate::text::{fit, magnitude, signed};

/// What the hosts said.
#[derive(Debug)]
pub struct Answers {
    /// Every host with its address, or why it has none.
    hosts: Vec<(String, Result<SocketAddr, String>)>,
    measured: Measured,
}

impl Answers {
    /// Asks each once.
    ///
    /// # Errors
    /// They could not be asked at all.
    pub fn ask(servers: &[&Server<'_>]) -> Result<Self, String> {
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
    fn of(&self, host: &str) -> Result<&Sample, String> {
        let found = self.hosts.iter().find(|(named, _)| named == host).map(|(_, address)| address.clone());
        let address = found.unwrap_or_else(|| Err("not asked".into()))?;
        let server = self.measured.outcome.servers.iter().find(|server| server.address == address);
        let server = server.ok_or("not asked")?;
        server.best.as_ref().ok_or_else(|| self.measured.why_not(server))
    }

    /// Whether any host gave its time.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.measured.outcome.servers.iter().any(|server| server.best.is_some())
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

/// The table, with what the hosts said where they were asked.
#[must_use]
pub fn lines(servers: &[&Server<'_>], answers: Option<&Answers>) -> String {
    let columns = answers.map_or("timezone", |_| "   offset  ± bound    delay st");
    let head = format!("region  host                      {columns}\n");
    let line = |server: &&Server<'_>| {
        let columns = answers.map_or_else(|| server.timezone.to_string(), |answers| answers.columns(server.host));
        format!("{:<7} {:<25} {columns}\n", server.region, server.host)
    };
    [head].into_iter().chain(servers.iter().map(line)).collect()
}

/// The same as one JSON object in a line for each host.
#[must_use]
pub fn objects(servers: &[&Server<'_>], answers: Option<&Answers>) -> String {
    servers.iter().map(|server| format!("{}\n", object(server, answers))).collect()
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
