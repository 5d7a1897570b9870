//! Four servers of our own on loopback, one of them wrong: something to synchronise to without a network or privilege.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ntp_client::{Snapshot, SourceConfig};
use ntp_discipline::Verdict;
use ntp_net::{Event, Options, Poller, SendLead, Socket, Stamp, TransmitId, Turn};
use ntp_proto::ServerVariables;
use ntp_server::{Outcome, Server, ServerClock};
use ntp_types::{Frequency, Instant, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Poll, ReferenceId, Stratum};

/// Longer than any request.
const DATAGRAM: usize = 1_024;

/// How far the clock is ahead of true time at the start: 0.35 s behind.
pub const OFFSET: NtpDuration = NtpDuration::from_nanos(-350_000_000);
/// How fast it runs.
pub const FREQUENCY_ERROR: Frequency = Frequency::from_ppm(50);
/// The servers' clocks minus true time: the third is wrong.
pub const SERVER_ERRORS: [NtpDuration; 4] =
    [NtpDuration::ZERO, NtpDuration::ZERO, NtpDuration::from_nanos(80_000_000), NtpDuration::ZERO];
/// How far their stamps can be from the moment they are for.
const STAMP_ERROR: NtpDuration = NtpDuration::from_nanos(30_000);
/// How long it takes.
pub const DURATION: Duration = Duration::from_secs(20);
/// What the clock may be off by at the end.
pub const GOOD_ENOUGH: NtpDuration = NtpDuration::from_nanos(1_000_000);
/// Where its plot goes.
pub const PLOT: &str = "ntp-agent.svg";

/// How the servers are asked: often, for there is little time, and they are our own.
#[must_use]
pub fn source_config() -> SourceConfig {
    SourceConfig {
        min_poll: Poll::from_log2(-1),
        max_poll: Poll::from_log2(0),
        iburst: true,
        burst_interval: Duration::from_millis(250),
        ..SourceConfig::default()
    }
}

/// Whether the wrong server was found out.
#[must_use]
pub fn is_found_out(snapshot: &Snapshot) -> bool {
    let mut wrong = snapshot.sources.iter().zip(SERVER_ERRORS).filter(|(_, error)| *error != NtpDuration::ZERO);
    snapshot.sources.len() == SERVER_ERRORS.len()
        && wrong.all(|(source, _)| source.estimate.verdict == Verdict::Falseticker)
}

/// Servers that share the agent's thread and poll(2).
#[derive(Debug, Default)]
pub struct Servers {
    servers: Vec<DemoServer>,
}

#[derive(Debug)]
struct DemoServer {
    socket: Socket,
    place: usize,
    server: Server,
    /// Its clock minus the machine's.
    error: NtpDuration,
    /// How long after its reading of the clock an answer leaves.
    lead: SendLead,
    /// The answer whose leaving is awaited: its turn, its reading, and how long after it sending was over.
    sent: Option<(TransmitId, Turn, NtpTimestamp, NtpDuration)>,
}

impl Servers {
    /// A server on loopback for each of these clock errors, each on a port of the kernel's choice.
    ///
    /// # Errors
    /// No socket on 127.0.0.1.
    pub fn on_loopback(errors: &[NtpDuration]) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // Their own stamps are read in user space: good to some microseconds, and they say so.
        let variables = ServerVariables {
            leap: LeapIndicator::NoWarning,
            stratum: Stratum::PRIMARY,
            root_dispersion: NtpShort::from_duration(STAMP_ERROR),
            reference_id: ReferenceId::from_bytes(*b"LOCL"),
            reference_timestamp: Stamp::user_now().time - NtpDuration::SECOND,
            ..ServerVariables::default()
        };
        let clock = ServerClock::following(variables, Instant::ZERO).with_growth(Frequency::ZERO);
        let servers = errors.iter().map(|error| {
            let socket = Socket::bind(any, &Options::new().transmit_stamps(true)).map_err(io::Error::other)?;
            let (place, lead) = (usize::MAX, SendLead::new());
            Ok(DemoServer { socket, place, server: Server::new(clock), error: *error, lead, sent: None })
        });
        Ok(Self { servers: servers.collect::<io::Result<_>>()? })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Where they are.
    ///
    /// # Errors
    /// The kernel's.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.servers.iter().map(|server| server.socket.local_addr()).collect()
    }

    /// Waits for all of them.
    pub fn register(&mut self, poller: &mut Poller) {
        for server in &mut self.servers {
            server.place = poller.add(&server.socket);
        }
    }

    /// Answers what the last wait found.
    pub fn serve(&mut self, poller: &Poller, now: Instant) {
        for server in &mut self.servers {
            if poller.has_event(server.place) {
                server.learn();
            }
            if poller.is_readable(server.place) {
                server.serve(now);
            }
        }
    }
}

impl DemoServer {
    fn serve(&mut self, now: Instant) {
        let mut buffer = [0; DATAGRAM];
        while let Ok(datagram) = self.socket.receive(&mut buffer) {
            let received = datagram.stamp.time + self.error;
            let request = buffer.get(..datagram.len).unwrap_or_default();
            let mut answer = [0; DATAGRAM];
            let reading = Stamp::user_now().time;
            let turn = self.lead.turn(1, reading);
            let transmit = reading + self.lead.at(&turn, 0) + self.error;
            let outcome = self.server.respond(request, datagram.source, received, transmit, now, &mut answer);
            if let (Outcome::Response { length, .. }, false) = (outcome, datagram.truncated) {
                let answer = answer.get(..length).unwrap_or_default();
                // One that cannot be sent is one the client asks for again.
                if turn.wants_stamp() {
                    let id = self.socket.send_stamped(answer, datagram.source, datagram.local).ok().flatten();
                    self.sent = id.map(|id| (id, turn, reading, Stamp::user_now().time - reading));
                } else if self.socket.send_to(answer, datagram.source, datagram.local).is_ok() {
                    self.lead.learn_duration(&turn, 1, Stamp::user_now().time - reading);
                }
            }
        }
        self.learn();
    }

    /// When the last answer really left, if the kernel says so.
    fn learn(&mut self) {
        while let Ok(event) = self.socket.next_event(&mut [0; DATAGRAM]) {
            if let (Event::Transmitted(left), Some((id, turn, reading, duration))) = (event, self.sent) {
                if left.id == id {
                    self.lead.learn_stamp(&turn, left.stamp.time - reading, duration);
                }
            }
        }
    }
}
