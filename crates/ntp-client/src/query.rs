//! One measurement of several servers, without a clock to discipline: what `ntpdate -q` and `sntp` do.
//!
//! Every server is asked for some samples, the one with the least delay stands for it, and the servers vote as in RFC
//! 5905 §11.2: intersection, cluster, combine.

use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use ntp_discipline::rfc5905::cluster::{cluster, Truechimer};
use ntp_discipline::rfc5905::combine::combine;
use ntp_discipline::rfc5905::selection::{intersect, Candidate, Edge};
use ntp_discipline::{Sample, Verdict};
use ntp_proto::mac::SharedKey;
use ntp_proto::Version;
use ntp_types::{Instant, NtpDuration, NtpTimestamp, Poll, Precision};

use crate::association::{Answer, Association, Counters};
use crate::system::sample_of;
use crate::{Ignored, Request, SourceConfig};

/// How to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryConfig {
    /// Samples wanted of each server; it gets at most twice as many requests. Default 1.
    pub samples: u8,
    /// Time between requests to one server. Default 2 s.
    pub interval: Duration,
    /// How long to wait for the reply to the last request. Default 2 s.
    pub timeout: Duration,
    /// Version of the requests.
    pub version: Version,
    /// Sign the requests with this key, and take no reply without its MAC. Default none.
    pub key: Option<SharedKey>,
    /// Precision of our own clock.
    pub precision: Precision,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            samples: 1,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            version: Version::V4,
            key: None,
            precision: Precision::default(),
        }
    }
}

/// One measurement of several servers under way.
///
/// ```
/// use core::time::Duration;
/// use ntp_client::{Query, QueryConfig};
/// use ntp_proto::{AnswerTemplate, Request, ServerVariables};
/// use ntp_types::{Instant, LeapIndicator, NtpDuration, NtpTimestamp, Stratum};
///
/// let server = "192.0.2.1:123".parse()?;
/// let mut query = Query::new([server], QueryConfig::default(), Instant::ZERO);
///
/// // The caller sends what is due; here a server 1.5 s ahead gets it and answers after 10 ms there and 10 ms back.
/// let clock = NtpTimestamp::new(3_900_000_000, 0);
/// let (_, request) = query.poll_transmit(Instant::ZERO, clock, 0x1122_3344_5566_7788).expect("it is due");
/// let variables = ServerVariables {
///     leap: LeapIndicator::NoWarning, stratum: Stratum::PRIMARY, ..ServerVariables::default()
/// };
/// let there = clock + NtpDuration::from_nanos(1_510_000_000);
/// let answer = AnswerTemplate::new(&variables).answer(&Request::parse(request.bytes())?, there, there);
///
/// let later = Duration::from_millis(20);
/// query.handle_datagram(&answer, server, clock + NtpDuration::from_std(later), Instant::ZERO + later)?;
/// assert!(query.is_finished(Instant::ZERO + later));
/// let combined = query.outcome().combined.expect("a single server is its own majority");
/// assert_eq!(combined.offset.human().to_string(), "+1.500 s");
/// assert_eq!(combined.bound.human().to_string(), "+10.00 ms");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Query {
    config: QueryConfig,
    servers: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    association: Association,
    samples: u8,
    best: Option<Sample>,
    last: Option<Instant>,
}

/// What came of a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct QueryOutcome {
    /// Every server, in the order given.
    pub servers: Vec<ServerOutcome>,
    /// What the majority says; `None` without a majority.
    pub combined: Option<CombinedOutcome>,
}

/// What came of one server.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerOutcome {
    /// Its address.
    pub address: SocketAddr,
    /// What the vote says of it.
    pub verdict: Verdict,
    /// The sample with the least delay.
    pub best: Option<Sample>,
    /// Why the last datagram that was not used was not.
    pub last_ignored: Option<Ignored>,
    /// What happened.
    pub counters: Counters,
}

/// What a majority of servers says of our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CombinedOutcome {
    /// True time minus our clock: **positive means our clock is behind**.
    pub offset: NtpDuration,
    /// How far from it the truth can be, if the majority is right.
    pub bound: NtpDuration,
    /// Servers that agree.
    pub agreeing: usize,
}

impl Query {
    /// Every server is asked at once; an address given twice is asked once.
    #[must_use]
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>, config: QueryConfig, now: Instant) -> Self {
        let source = SourceConfig {
            version: config.version,
            key: config.key.clone(),
            iburst: true,
            burst_good: config.samples.max(1),
            burst_interval: config.interval,
            max_delay: config.timeout,
            min_poll: Poll::MAX,
            max_poll: Poll::MAX,
            ..SourceConfig::default()
        };
        let mut asked: Vec<Asked> = Vec::new();
        for address in servers {
            if asked.iter().all(|known| known.association.address() != address) {
                let association = Association::new(address, source.clone(), now, 0);
                asked.push(Asked { association, samples: 0, best: None, last: None });
            }
        }
        Self { config, servers: asked }
    }

    /// When there is something to do; `None` when it is finished.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.servers.iter().filter_map(|server| server.next(&self.config)).min()
    }

    /// Whether nothing more is to be expected.
    #[must_use]
    pub fn is_finished(&self, now: Instant) -> bool {
        self.servers.iter().all(|server| server.is_finished(&self.config, now))
    }

    /// The next request that is due at `now`, and the index of its server; call again until there is none.
    ///
    /// `departure` is our clock's time at `now`; `nonce` a fresh random number for each call.
    pub fn poll_transmit(&mut self, now: Instant, departure: NtpTimestamp, nonce: u64) -> Option<(usize, Request)> {
        let Self { servers, config } = self;
        servers.iter_mut().enumerate().find_map(|(index, server)| {
            if server.may_ask(config) {
                let request = server.association.poll_transmit(now, departure, nonce)?;
                server.last = Some(now);
                return Some((index, request));
            }
            None
        })
    }

    /// A datagram that came in at `received` by our clock, which is `at` by the raw one. Returns its server's index.
    ///
    /// # Errors
    /// [`Ignored`] says why it was not used.
    pub fn handle_datagram(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        received: NtpTimestamp,
        at: Instant,
    ) -> Result<usize, Ignored> {
        let precision = self.config.precision;
        let of_address = |server: &(usize, &mut Asked)| server.1.association.address() == from;
        let (index, server) =
            self.servers.iter_mut().enumerate().find(of_address).ok_or(Ignored::UnknownSource(from))?;
        let answer = server.association.handle_datagram(bytes, from, received, at, &[])?;
        server.take(&answer, precision);
        Ok(index)
    }

    /// When request `sequence` to server `index` really left: a better T1, from the kernel's transmit stamp.
    pub fn handle_transmit_stamp(&mut self, index: usize, sequence: u32, sent: NtpTimestamp) -> bool {
        self.servers.get_mut(index).is_some_and(|server| server.association.handle_transmit_stamp(sequence, sent))
    }

    /// A request to this address could not be delivered, as an ICMP error or the sending itself says.
    ///
    /// An ICMP error may be forged by whoever guesses the port: a server is waited for until every request to it had one.
    pub fn handle_unreachable(&mut self, to: SocketAddr) {
        for server in self.servers.iter_mut().filter(|server| server.association.address() == to) {
            server.association.handle_unreachable();
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn outcome(&self) -> QueryOutcome {
        let mut servers: Vec<_> = self.servers.iter().map(Asked::outcome).collect();
        let measured: Vec<(usize, Sample)> =
            servers.iter().enumerate().filter_map(|(index, server)| Some((index, server.best?))).collect();
        let candidates: Vec<_> = measured
            .iter()
            .map(|(_, sample)| Candidate { offset: sample.offset, root_distance: sample.root_distance() })
            .collect();
        let mut edges = vec![Edge::default(); 3 * candidates.len()];
        let Some(found) = intersect(&candidates, &mut edges) else { return QueryOutcome { servers, combined: None } };
        let mut truechimers = Vec::new();
        for ((index, sample), candidate) in measured.iter().zip(&candidates) {
            let is_true = found.contains(candidate);
            if let Some(server) = servers.get_mut(*index) {
                server.verdict = if is_true { Verdict::Outlier } else { Verdict::Falseticker };
            }
            if is_true {
                truechimers.push(Truechimer {
                    index: *index,
                    offset: sample.offset,
                    jitter: sample.dispersion,
                    root_distance: candidate.root_distance,
                    stratum: sample.server.stratum,
                    prefer: false,
                });
            }
        }
        let survivors = cluster(&mut truechimers);
        truechimers.truncate(survivors);
        for (place, survivor) in truechimers.iter().enumerate() {
            if let Some(server) = servers.get_mut(survivor.index) {
                server.verdict = if place == 0 { Verdict::SystemPeer } else { Verdict::Candidate };
            }
        }
        let agreeing = servers.iter().filter(|server| server.verdict.is_truechimer()).count();
        let combined = combine(&truechimers).map(|combined| CombinedOutcome {
            offset: combined.offset,
            bound: (found.high - combined.offset).max(combined.offset - found.low),
            agreeing,
        });
        QueryOutcome { servers, combined }
    }
}

impl Asked {
    fn take(&mut self, answer: &Answer, precision: Precision) {
        let sample = sample_of(answer, precision);
        self.samples = self.samples.saturating_add(1);
        if self.best.map_or(true, |best| sample.delay < best.delay) {
            self.best = Some(sample);
        }
    }

    /// Whether samples are still wanted of it, and nothing says that none will come.
    fn is_open(&self, config: &QueryConfig) -> bool {
        let counters = self.association.counters();
        let is_refused = counters.sent > 0 && counters.unreachable >= counters.sent;
        self.samples < config.samples.max(1) && self.association.kiss().is_none() && !is_refused
    }

    /// Whether it may still get a request.
    fn may_ask(&self, config: &QueryConfig) -> bool {
        self.is_open(config) && self.association.counters().sent < u64::from(config.samples.max(1)) * 2
    }

    fn next(&self, config: &QueryConfig) -> Option<Instant> {
        if self.may_ask(config) {
            return self.association.next_timeout();
        }
        self.last.filter(|_| self.awaits(config)).map(|last| last + config.timeout)
    }

    /// Whether its last request may still be answered.
    fn awaits(&self, config: &QueryConfig) -> bool {
        self.is_open(config) && self.association.unanswered() > 0
    }

    fn is_finished(&self, config: &QueryConfig, now: Instant) -> bool {
        let is_late = self.last.is_some_and(|last| now.since(last) >= config.timeout);
        !self.may_ask(config) && (!self.awaits(config) || is_late)
    }

    fn outcome(&self) -> ServerOutcome {
        let last_ignored = self.association.last_ignored();
        let verdict = match (self.best, last_ignored) {
            (Some(_), _) => Verdict::Pending,
            (None, Some(ignored)) if ignored.is_from_server() => Verdict::Unsynchronized,
            (None, _) => Verdict::Unreachable,
        };
        ServerOutcome {
            address: self.association.address(),
            verdict,
            best: self.best,
            last_ignored,
            counters: *self.association.counters(),
        }
    }
}
