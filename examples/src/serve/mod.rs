//! `ntp-serve`: sockets, workers, what they share, and how it ends.

mod arguments;
mod from_agent;
mod metrics;
mod privilege;
mod shared;
mod smear;
mod worker;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use ntp_net::{BindError, Options, SendLead, Socket};
use ntp_proto::mac::KeyRing;
use ntp_server::{Counters, Server, ServerClock};
use ntp_types::{Precision, Stratum};

use crate::keys::{KeyFile, NoKey};
use crate::stop::Stop;

pub use self::arguments::{Arguments, Prefixes, RateArgument};
use self::from_agent::Lines;
use self::shared::{Sent, Shared};
use self::smear::Smears;
use self::worker::{Worker, LOOK_UP};
use crate::output::{remark, warn};

/// The precision claimed: a reading of the clock takes some tens of nanoseconds.
pub(crate) const PRECISION: Precision = Precision::from_log2(-24);
/// Octets of socket buffers: room for the requests of a busy moment.
const BUFFER: usize = 4 << 20;
/// Answers remembered for interleaved clients, for each worker: 16 octets each.
const REMEMBERED: usize = 1 << 16;

/// Why serving ended or did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A socket could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The keys could not be read.
    #[error(transparent)]
    Keys(#[from] NoKey),
    /// Only signed requests were to be answered, and no key to sign them with was found.
    #[error("no usable key in {}: with --require-key nobody would be answered", .0.display())]
    Keyless(PathBuf),
    /// Something else the system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> ServeError {
    let what = what.into();
    |source| ServeError::System { what, source }
}

/// What was done in all.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    counters: Counters,
    sent: Sent,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {}, answers sent {}", self.counters.received, self.sent.sent)?;
        if self.counters.signed > 0 {
            write!(f, ", signed {}", self.counters.signed)?;
        }
        if self.sent.refused > 0 {
            write!(f, ", refused by the kernel {}", self.sent.refused)?;
        }
        if self.sent.blocked > 0 {
            write!(f, ", without room to send {}", self.sent.blocked)?;
        }
        for (name, _, count) in self.counters.outcomes().into_iter().filter(|&(_, _, count)| count > 0) {
            write!(f, "\n  {name:<14} {count}")?;
        }
        Ok(())
    }
}

/// Serves until a signal ends it.
///
/// # Errors
/// [`ServeError`].
pub fn run(arguments: &Arguments) -> Result<Summary, ServeError> {
    let stop = Stop::on_signals().map_err(failed("cannot listen to signals"))?;
    let sockets = open(arguments)?;
    let metrics = arguments.metrics.map(show_metrics).transpose()?;
    let from_agent = arguments.from_agent.as_deref().map(hear).transpose()?;
    let mut smears = smears(arguments)?;
    let keys = arguments.keys.as_deref().map(|path| read_keys(path, arguments.require_key)).transpose()?;
    privilege::drop_to(&arguments.user).map_err(failed("cannot drop privileges"))?;

    let clock = match arguments.stratum {
        Some(stratum) => ServerClock::local(Stratum::from_bits(stratum), PRECISION),
        None => ServerClock::unsynchronized(PRECISION),
    };
    let servers = respond_with(arguments, clock, keys.as_ref(), sockets.len())?;
    let shared = Arc::new(Shared::new(sockets.len(), clock, stop));
    for socket in &sockets {
        let address = socket.local_addr().map_err(failed("cannot tell the address"))?;
        remark(format_args!("serving on {address}, receive stamps by the {}", socket.granted().receive_stamps));
    }
    if let Some(lines) = from_agent {
        from_agent::follow(lines, &shared);
    }
    thread::scope(|scope| {
        let workers: Vec<_> = servers
            .into_iter()
            .zip(&sockets)
            .enumerate()
            .map(|(index, (server, socket))| {
                let shared = &shared;
                scope.spawn(move || Worker::new(shared, index, socket, server).run())
            })
            .collect();
        if let Some(listener) = metrics {
            let shared = &shared;
            scope.spawn(move || metrics::serve(&listener, shared));
        }
        watch(&workers, &shared, smears.as_mut());
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result.map_err(failed("a worker ended")),
            Err(_) => Err(failed("a worker ended")(io::Error::other("it panicked"))),
        })
    })?;
    let (counters, sent) = shared.totals();
    Ok(Summary { counters, sent })
}

/// Waits for the end: the signals' or, early, a worker's. Keeps the smear up to date.
fn watch<T>(workers: &[thread::ScopedJoinHandle<'_, T>], shared: &Shared, mut smears: Option<&mut Smears>) {
    while !shared.stop.is_asked() {
        if workers.iter().any(thread::ScopedJoinHandle::is_finished) {
            shared.stop.ask();
        }
        if let Some(smears) = &mut smears {
            shared.set_smear(smears.at(SystemTime::now().into(), shared.take_announced()));
        }
        thread::park_timeout(Duration::from_millis(100));
    }
}

/// What there is to know of leap seconds, if they are to be spread.
fn smears(arguments: &Arguments) -> Result<Option<Smears>, ServeError> {
    let Some(hours) = arguments.smear else { return Ok(None) };
    let list = match (&arguments.leap_seconds, &arguments.from_agent) {
        (Some(path), _) => Some(path.as_path()),
        (None, Some(_)) => None,
        (None, None) => Some(Path::new(smear::LIST)),
    };
    let list = list.map(|path| smear::read(path, SystemTime::now().into())).transpose();
    let list = list.map_err(failed("cannot read the leap seconds"))?;
    Ok(Some(Smears::new(Duration::from_secs(u64::from(hours) * 3600), list)))
}

/// One socket for each worker of each address.
fn open(arguments: &Arguments) -> Result<Vec<Socket>, ServeError> {
    let mut sockets = Vec::new();
    for &address in &arguments.listen {
        let options = Options::new()
            .errors(false)
            .transmit_stamps(true)
            // A socket on one address answers from there anyway.
            .packet_info(address.ip().is_unspecified())
            .reuse_port(arguments.workers > 1)
            .whole(true)
            .segments(true)
            .receive_buffer(BUFFER)
            .send_buffer(BUFFER)
            .wait(LOOK_UP);
        let mut bound = address;
        for _ in 0..arguments.workers {
            let socket = bind(bound, &options)?;
            // Port 0 is chosen once, and the other workers follow.
            bound = socket.local_addr().map_err(failed("cannot tell the address"))?;
            sockets.push(socket);
        }
    }
    Ok(sockets)
}

/// A socket; where there is no IPv6, its wildcard means all of IPv4.
fn bind(address: SocketAddr, options: &Options) -> Result<Socket, BindError> {
    match Socket::bind(address, options) {
        Err(BindError::Open { .. }) if address.is_ipv6() && address.ip().is_unspecified() => {
            Socket::bind(SocketAddr::from(([0, 0, 0, 0], address.port())), options)
        }
        bound => bound,
    }
}

fn show_metrics(address: SocketAddr) -> Result<TcpListener, ServeError> {
    metrics::listen(address).map_err(failed(format!("cannot show metrics at {address}")))
}

fn hear(path: &Path) -> Result<Lines, ServeError> {
    from_agent::open(path).map_err(failed(format!("cannot read the agent's lines from {}", path.display())))
}

fn read_keys(path: &Path, is_required: bool) -> Result<Arc<KeyRing>, ServeError> {
    let keys = KeyFile::read(path, None)?;
    warn("ntp-serve", keys.complaints());
    let ring = keys.into_ring();
    if is_required && ring.is_empty() {
        return Err(ServeError::Keyless(path.into()));
    }
    Ok(Arc::new(ring))
}

/// The workers' responders.
fn respond_with(
    arguments: &Arguments,
    clock: ServerClock,
    keys: Option<&Arc<KeyRing>>,
    workers: usize,
) -> Result<Vec<Server>, ServeError> {
    let rules = arguments.rules();
    let mut servers = Vec::with_capacity(workers);
    for _ in 0..workers {
        let mut server = Server::new(clock).with_lead(SendLead::MOST);
        if let Some(rules) = &rules {
            server = server.with_access(Arc::clone(rules));
        }
        if let Some(keys) = keys {
            // Signing is foretold beside sending.
            server = server.with_keys(Arc::clone(keys)).with_lead(SendLead::MOST + SendLead::MOST);
        }
        if let Some(RateArgument(limit)) = &arguments.rate_limit {
            server = server.with_rate_limit(limit, random()?);
        }
        if let Some(rate) = arguments.ceiling {
            server = server.with_ceiling(rate);
        }
        if arguments.interleaved {
            server = server.with_interleaving(REMEMBERED, random()?);
        }
        servers.push(server);
    }
    Ok(servers)
}

fn random() -> Result<u128, ServeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| failed("no random numbers")(error.into()))?;
    Ok(u128::from_ne_bytes(bytes))
}
