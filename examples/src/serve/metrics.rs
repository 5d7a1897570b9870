//! Counters for Prometheus, over HTTP.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::shared::Shared;

/// A client that has not asked after so long is let go.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest request, in octets.
const LONGEST: usize = 4096;
/// How often the stop sign is looked at.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers one client after the other until serving ends.
pub(super) fn serve(listener: &TcpListener, shared: &Shared) {
    while !shared.stop.is_asked() {
        match listener.accept() {
            // A client that goes away in the middle harms nobody.
            Ok((client, _)) => drop(answer(client, shared)),
            Err(_) => thread::sleep(LOOK),
        }
    }
}

fn answer(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    read_request(&mut client)?;
    let body = text(shared).map_err(io::Error::other)?;
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Reads up to the empty line that ends a request: what is left unread would cut the answer off. Whatever is asked, there is
/// only one.
fn read_request(client: &mut TcpStream) -> io::Result<()> {
    let (mut request, mut length) = ([0; LONGEST], 0);
    while let Some(rest) = request.get_mut(length..).filter(|rest| !rest.is_empty()) {
        let read = client.read(rest)?;
        length += read;
        let asked = request.get(..length).unwrap_or_default();
        if read == 0 || asked.ends_with(b"\r\n\r\n") || asked.ends_with(b"\n\n") {
            break;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The counters in the text format of OpenMetrics.
fn text(shared: &Shared) -> Result<String, std::fmt::Error> {
    let (counters, sent) = shared.totals();
    let mut registry = Registry::with_prefix("ntp_server");
    let outcomes = Family::<OutcomeLabel, Counter>::default();
    let mut help = String::from("Datagrams by what became of them");
    for (outcome, meaning, count) in counters.outcomes() {
        outcomes.get_or_create(&OutcomeLabel { outcome }).inc_by(count);
        write!(help, "; {outcome}: {}", meaning.trim_end_matches('.'))?;
    }
    registry.register("datagrams", help, outcomes);
    let plain = [
        ("received", "Datagrams received", counters.received),
        ("signed", "Answers and kisses with a MAC", counters.signed),
        ("sent", "Answers handed to the kernel", sent.sent),
        ("refused", "Answers the kernel refused", sent.refused),
        ("blocked", "Answers without room in the socket", sent.blocked),
    ];
    for (name, help, count) in plain {
        registry.register(name, help, ConstCounter::new(count));
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
