//! A whole server in one loop: `cargo run -p ntp-server --example serve -- 127.0.0.1:11123`.
//!
//! It serves the machine's clock at stratum 10, to loopback as often as it asks and to other private networks with a rate
//! limit, a batch for each system call and nothing allocated on the way.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use ntp_clock::{ReadClock, Realtime};
use ntp_net::{Batch, Options, Socket};
use ntp_server::{Access, AccessRules, Outcome, RateLimit, Server, ServerClock, MAX_REQUEST};
use ntp_types::{Precision, Stratum};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: serve ADDRESS:PORT")?.parse()?;
    let rules = [("127.0.0.0/8", Access::Trust), ("10.0.0.0/8", Access::Allow), ("fd00::/8", Access::Allow)];
    let rules = rules.into_iter().map(|(prefix, access)| Ok((prefix.parse()?, access)));
    let rules = rules.collect::<Result<Vec<_>, ntp_server::PrefixError>>()?;
    let key = u128::from(getrandom::u64()?) << 64 | u128::from(getrandom::u64()?);
    let mut server = Server::new(ServerClock::local(Stratum::from_bits(10), Precision::from_log2(-24)))
        .with_access(Arc::new(AccessRules::new(Access::Ignore, &rules)))
        .with_rate_limit(&RateLimit::default(), key);

    let clock = Realtime::new();
    let socket = Socket::bind(address, &Options::new().errors(false).wait(Duration::from_secs(1)))?;
    let mut batch = Batch::new(64, MAX_REQUEST);
    loop {
        match socket.receive_batch(&mut batch) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error.into()),
        }
        let now = clock.read()?;
        server.prefetch(batch.sources());
        batch.respond(|datagram, buffer| {
            let (source, received) = (datagram.source, datagram.stamp.time);
            let outcome = match datagram.truncated {
                true => server.handle_truncated(),
                false => server.respond_in_place(buffer, datagram.len, source, received, now.time, now.at),
            };
            match outcome {
                Outcome::Response { length } => Some(length),
                Outcome::Drop(reason) => {
                    println!("{source}: {reason}");
                    None
                }
            }
        });
        let report = socket.send_batch(&mut batch);
        println!("{} sent, {} answered since the start", report.sent, server.counters().answered);
    }
}
