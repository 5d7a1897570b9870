//! What `ntp-agent` can be told.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ntp_client::SourceConfig;
use ntp_discipline::{Policy, StepLimit};
use ntp_types::{NtpDuration, Poll};
use rackspace_ntp::Region;

use super::Failure;
use crate::address::Host;
use crate::keys::KeyFile;
use crate::roster::Wanted;
use crate::text;

/// Synchronise a clock with NTP servers.
///
/// Without arguments: a demonstration. Four servers of this program's own on loopback, one of them wrong, and a clock
/// that exists only as numbers, 0.35 s behind and 50 ppm fast. It needs no network and no privilege, takes 20 s and
/// writes a plot to ntp-agent.svg.
///
/// With servers: follow them. The machine's clock is only changed with --clock system --adjust; otherwise a software
/// clock over it is disciplined, which shows what would be done.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-agent",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-agent                                        the demonstration
  ntp-agent --server 192.0.2.1 --iburst            watch one server
  ntp-agent --region DFW --duration 60 --json      a minute, for a program
  ntp-agent --config /etc/ntp.conf --clock system --adjust   the real thing

Exit status: 0 if the clock is synchronised at the end or was and is held over
(in the demonstration: and truly within its bounds), 1 if not, 2 for wrong
arguments."
)]
pub struct Arguments {
    /// A server; may be given more than once
    #[arg(long, value_name = "HOST[:PORT]")]
    pub server: Vec<Host>,
    /// A name that stands for many servers, of which four are used
    #[arg(long, value_name = "NAME[:PORT]")]
    pub pool: Vec<Host>,
    /// Rackspace's own servers of a region: DFW, ORD, IAD, LON, HKG or SYD
    #[arg(long, value_name = "REGION")]
    pub region: Vec<Region>,
    /// The servers of an ntp.conf or chrony.conf
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The clock to discipline: one in numbers only, or the machine's (with --adjust)
    #[arg(long, value_enum, default_value = "software")]
    pub clock: Clock,
    /// Really adjust the machine's clock
    #[arg(long)]
    pub adjust: bool,
    /// Shortest poll interval, as its log2 in seconds
    #[arg(long, value_name = "LOG2", default_value_t = 6, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i8).range(-4..=17))]
    pub minpoll: i8,
    /// Longest poll interval, as its log2 in seconds
    #[arg(long, value_name = "LOG2", default_value_t = 10, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i8).range(-4..=17))]
    pub maxpoll: i8,
    /// How offset and frequency are estimated
    #[arg(long, value_enum, default_value = "adaptive")]
    pub engine: Discipline,
    /// Begin with a quick volley
    #[arg(long)]
    pub iburst: bool,
    /// The file of symmetric keys (ntp.keys or chrony.keys); otherwise the one that --config names
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Sign requests to the servers named here with this key, and believe no answer without
    #[arg(long, value_name = "ID", requires = "keys")]
    pub key: Option<NonZeroU32>,
    /// Ask for interleaved answers, which tell when the answer before truly left
    #[arg(long)]
    pub interleaved: bool,
    /// Step offsets above THRESHOLD seconds in the first LIMIT corrections; a negative LIMIT steps always
    #[arg(long, num_args = 2, value_names = ["THRESHOLD", "LIMIT"], allow_negative_numbers = true, value_parser = text::finite)]
    pub makestep: Option<Vec<f64>>,
    /// Start from this file's frequency, and keep it there (ntpd's or chrony's form)
    #[arg(long, value_name = "FILE")]
    pub driftfile: Option<PathBuf>,
    /// End after so many seconds; the demonstration takes 20
    #[arg(long, value_name = "SECONDS", value_parser = text::duration)]
    pub duration: Option<Duration>,
    /// Write a plot of offset over time at the end
    #[arg(long, value_name = "FILE.svg", value_parser = text::place())]
    pub plot: Option<PathBuf>,
    /// One JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// The clock to discipline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// In numbers only; the machine's clock is read and left alone
    Software,
    /// The machine's
    System,
}

/// How offset and frequency are estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Discipline {
    /// Every sample weighed by what its delay says about it
    Adaptive,
    /// The filter, selection and loop of RFC 5905
    Rfc5905,
}

impl Arguments {
    /// What they ask of the clock.
    ///
    /// # Errors
    /// Why they do not fit together.
    pub fn policy(&self) -> Result<Policy, String> {
        if self.minpoll > self.maxpoll {
            return Err(format!("--minpoll {} is above --maxpoll {}", self.minpoll, self.maxpoll));
        }
        match (self.clock, self.adjust) {
            (Clock::System, false) => return Err("--clock system changes the machine's clock: say --adjust too".into()),
            (Clock::Software, true) => return Err("--adjust is for --clock system".into()),
            (Clock::System, true) if !self.has_sources() => return Err("--adjust needs servers to follow".into()),
            _ => {}
        }
        let mut policy = Policy::default();
        if let Some([threshold, limit]) = self.makestep.as_deref() {
            policy.step_threshold = NtpDuration::from_seconds_f64(*threshold);
            policy.step_limit = step_limit(*limit);
        }
        policy.validated().map_err(|error| error.to_string())
    }

    /// Whether there is anybody to follow.
    #[must_use]
    pub fn has_sources(&self) -> bool {
        let Self { server, pool, region, config, .. } = self;
        !server.is_empty() || !pool.is_empty() || !region.is_empty() || config.is_some()
    }

    /// Whom to follow, and what of it cannot be done.
    ///
    /// # Errors
    /// A file cannot be read, a key is missing, or nobody is left.
    pub fn wanted(&self) -> Result<(Vec<Wanted>, Vec<String>), Failure> {
        let keys = self.keys.as_deref().map(|path| KeyFile::read(path, None)).transpose();
        let keys = keys.map_err(std::io::Error::other)?;
        let mut complaints = keys.as_ref().map_or(Vec::new(), |keys| keys.complaints().to_vec());
        let key = keys.as_ref().zip(self.key).map(|(keys, id)| keys.key(id)).transpose();
        let config = SourceConfig {
            min_poll: Poll::from_log2(self.minpoll),
            max_poll: Poll::from_log2(self.maxpoll),
            iburst: self.iburst,
            interleaved: self.interleaved,
            key: key.map_err(std::io::Error::other)?,
            ..SourceConfig::default()
        };
        let servers = self.server.iter().map(|host| Wanted::server(host.clone(), config.clone()));
        let pools = self.pool.iter().map(|host| Wanted::pool(host.clone(), config.clone()));
        let regions = self.region.iter().flat_map(|region| Wanted::region(*region, config.clone()));
        let mut wanted: Vec<_> = servers.chain(pools).chain(regions).collect();
        if let Some(path) = &self.config {
            let (more, why_not) = Wanted::read(path, &config, keys.as_ref()).map_err(std::io::Error::other)?;
            wanted.extend(more);
            complaints.extend(why_not);
        }
        if wanted.is_empty() {
            let why = complaints.iter().map(|complaint| format!("\n  {complaint}")).collect::<String>();
            return Err(std::io::Error::other(format!("no server to follow{why}")).into());
        }
        Ok((wanted, complaints))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
fn step_limit(limit: f64) -> StepLimit {
    match limit {
        limit if limit < 0.0 => StepLimit::Always,
        0.0 => StepLimit::Never,
        limit => StepLimit::First(limit as u32),
    }
}
