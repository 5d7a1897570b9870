//! The loop around a one-shot query.

use std::io;
use std::net::SocketAddr;

use ntp_client::{Query, QueryConfig, QueryOutcome, ServerOutcome};
use ntp_clock::{ReadClock, Realtime};
use ntp_net::Poller;

use crate::agent::{Failure, LONGEST_WAIT};
use crate::ports::{Heard, Ports};

/// What came of asking some servers, and which of them could not even be asked.
#[derive(Debug)]
pub struct Measured {
    /// What came of it.
    pub outcome: QueryOutcome,
    /// Those to which nothing could be sent, and why.
    pub unsent: Vec<(SocketAddr, String)>,
}

impl Measured {
    /// Why a server gave no sample, for people.
    #[must_use]
    pub fn why_not(&self, server: &ServerOutcome) -> String {
        let unsent = self.unsent.iter().find(|(address, _)| *address == server.address);
        match (unsent, server.last_ignored) {
            (Some((_, error)), _) => format!("cannot be asked: {error}"),
            (None, Some(ignored)) => ignored.to_string(),
            (None, None) if server.counters.unreachable > 0 => {
                "no answer, and a router or the host says it is unreachable".into()
            }
            (None, None) => "no answer".into(),
        }
    }
}

/// Asks the servers and waits for the answers.
///
/// # Errors
/// [`Failure`] of the clock, of waiting or of the random source.
pub fn measure(servers: &[SocketAddr], config: QueryConfig) -> Result<Measured, Failure> {
    let clock = Realtime::new();
    let mut query = Query::new(servers.iter().copied(), config, clock.read()?.at);
    let mut ports: Ports<usize> = Ports::default();
    let mut poller = Poller::new();
    let mut unsent = Vec::new();
    loop {
        loop {
            let nonce = getrandom::u64().map_err(io::Error::from)?;
            let now = clock.read()?;
            let Some((server, request)) = query.poll_transmit(now.at, now.time, nonce) else { break };
            if let Err(error) = ports.send(server, &request) {
                query.handle_unreachable(request.to);
                if unsent.iter().all(|(known, _)| *known != request.to) {
                    unsent.push((request.to, error.to_string()));
                }
            }
        }
        let now = clock.read()?.at;
        if query.is_finished(now) {
            return Ok(Measured { outcome: query.outcome(), unsent });
        }
        poller.clear();
        ports.register(&mut poller);
        poller.wait(query.next_timeout().map(|at| at.since(now)))?;
        let now = clock.read()?;
        ports.receive(&poller, |heard| match heard {
            Heard::Left(server, sequence, stamp) => {
                query.handle_transmit_stamp(server, sequence, stamp);
            }
            Heard::Datagram(datagram, octets) => {
                let received = datagram.stamp.time;
                // What is not the answer is no reason to stop waiting for it.
                let at = now.instant_of(received, LONGEST_WAIT);
                let _ = query.handle_datagram(octets, datagram.source, received, at);
            }
            Heard::Unreachable(destination) => query.handle_unreachable(destination),
        });
    }
}
