//! What an operator chooses about a source, a pool and the whole: plain data, every default said.

use core::time::Duration;

use ntp_discipline::SourceOptions;
use ntp_proto::mac::SharedKey;
use ntp_proto::Version;
use ntp_types::Poll;

/// How one server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// NTP version of the requests, 1 to 4 (any other counts as 4); replies of each of them are read.
    pub version: Version,
    /// Shortest poll interval. Default 2⁶ s.
    pub min_poll: Poll,
    /// Longest poll interval. Default 2¹⁰ s. A server that asks for less (`RATE`) is obeyed beyond it.
    pub max_poll: Poll,
    /// Begin with a quick volley: requests every [`burst_interval`](Self::burst_interval) until
    /// [`burst_good`](Self::burst_good) replies are in, at most twice as many requests; and again when an unreachable
    /// server answers, where intervals longer than asked for have saved the requests. Default off.
    pub iburst: bool,
    /// The same volley at every poll of a reachable server. Default off; only with the server's permission (RFC 8633).
    pub burst: bool,
    /// Good replies that end a volley. Default 4.
    pub burst_good: u8,
    /// Time between the requests of a volley. Default 2 s; never longer than the poll interval.
    pub burst_interval: Duration,
    /// A reply that took longer is not used. Default 3 s.
    pub max_delay: Duration,
    /// Ask for interleaved answers (RFC 9769): they tell when the answer before truly left, and a server that knows none
    /// answers as ever. Default off.
    pub interleaved: bool,
    /// Sign the requests with this key, and use or obey nothing without its MAC. Default none.
    pub key: Option<SharedKey>,
    /// Preferred among survivors. Default off.
    pub prefer: bool,
    /// Measure and show it, but never let it steer. Default off.
    pub no_select: bool,
    /// Whether the server smears leap seconds; `None`, the default, believes its reference id.
    pub smeared: Option<bool>,
}

impl SourceConfig {
    /// The part of it that concerns the discipline.
    #[must_use]
    pub fn options(&self) -> SourceOptions {
        SourceOptions {
            min_poll: self.min_poll,
            max_poll: self.max_poll,
            prefer: self.prefer,
            no_select: self.no_select,
            smeared: self.smeared,
        }
    }
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            version: Version::V4,
            min_poll: Poll::DEFAULT_MIN,
            max_poll: Poll::DEFAULT_MAX,
            iburst: false,
            burst: false,
            burst_good: 4,
            burst_interval: Duration::from_secs(2),
            max_delay: Duration::from_secs(3),
            interleaved: false,
            key: None,
            prefer: false,
            no_select: false,
            smeared: None,
        }
    }
}

/// A name that stands for many servers, of which some are used and the others wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// How many are used at a time. Default 4 (RFC 8633 §3.2).
    pub size: usize,
    /// How each is asked.
    pub source: SourceConfig,
    /// Requests in a row without an answer after which a server is replaced, if another waits. Default 10 (UNREACH).
    pub unanswered: u32,
    /// Samples as a falseticker in a row after which a server is replaced, if another waits. Default 16.
    pub falseticks: u32,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { size: 4, source: SourceConfig::default(), unanswered: 10, falseticks: 16 }
    }
}

/// What concerns the system process as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SystemConfig {
    /// Where the small random part of the poll times starts. Any number; the same one gives the same times again.
    pub seed: u64,
    /// Precision of our own clock.
    pub precision: ntp_types::Precision,
}
