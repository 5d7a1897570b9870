//! What asking servers once brought, for people and for programs.

use std::net::SocketAddr;

use ntp_discipline::Sample;
use serde_json::{json, Value};

use crate::address::{self, Host};
use crate::json::seconds;
use crate::measure::Measured;
use crate::text::{fit, magnitude, signed};

/// A server as it was asked for, and where it was asked.
#[derive(Debug)]
pub struct Named {
    /// As the user named it.
    pub host: Host,
    /// The address of it that was asked.
    pub address: SocketAddr,
}

/// A table, and what the servers agree on.
#[must_use]
pub fn lines(named: &[Named], measured: &Measured) -> Vec<String> {
    let mut lines = vec![columns(["", "server", "st", "reference", "leap", "offset", "± bound", "delay"])];
    for server in &measured.outcome.servers {
        let name = name(named, server.address);
        let letter = server.verdict.letter().to_string();
        lines.push(match &server.best {
            Some(sample) => {
                let said = &sample.server;
                columns([
                    &letter,
                    &name,
                    &said.stratum.to_string(),
                    &said.reference_id.display(said.stratum).to_string(),
                    &said.leap.to_string(),
                    &signed(sample.offset),
                    &magnitude(sample.root_distance()),
                    &magnitude(sample.delay),
                ])
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

fn columns([letter, server, stratum, reference, leap, offset, bound, delay]: [&str; 8]) -> String {
    let (server, reference, leap) = (fit(server, 23), fit(reference, 15), fit(leap, 6));
    format!("{letter:<1} {server:<23} {stratum:>2} {reference:<15} {leap:<6} {offset:>9} {bound:>8} {delay:>8}")
}

/// One JSON object for each server, and one for what they agree on.
#[must_use]
pub fn objects(named: &[Named], measured: &Measured) -> Vec<String> {
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

fn name(named: &[Named], address: SocketAddr) -> String {
    let found = named.iter().find(|named| named.address == address);
    found.map_or_else(|| address::show(address), |named| named.host.to_string())
}
