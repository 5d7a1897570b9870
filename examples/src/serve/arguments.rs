//! What `ntp-serve` can be told.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use ntp_server::{Access, AccessRules, Prefix, PrefixError, RateLimit};

/// Serve time over NTP.
///
/// Without --stratum and without --from-agent it says that it is not synchronised, because it cannot know. It needs no
/// privilege on ports from 1024 on, and drops what it has once its sockets are open.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-serve",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-serve --listen 127.0.0.1:11123 --stratum 10     try it
  ntp-agent --json --server HOST | ntp-serve --from-agent
  ntp-serve --stratum 10 --deny 0.0.0.0/0 --deny ::/0 --allow 192.0.2.0/24

It ends on SIGTERM or SIGINT and prints what it did.

Exit status: 0 if it served until then, 1 if it could not, 2 for wrong
arguments."
)]
pub struct Arguments {
    /// Where to listen; may be given more than once. An IPv6 wildcard serves IPv4 too
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:123")]
    pub listen: Vec<SocketAddr>,
    /// Threads for each address; the kernel spreads the clients among them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Serve the machine's clock as a reference of stratum N, at your word
    #[arg(long, value_name = "N", conflicts_with = "from_agent", value_parser = clap::value_parser!(u8).range(1..=15))]
    pub stratum: Option<u8>,
    /// Serve as the agent's --json lines say: read from FILE, or from standard input
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub from_agent: Option<PathBuf>,
    /// Answer these addresses, or those in a file, one on each line; the longest prefix decides
    #[arg(long, value_name = "PREFIX|@FILE")]
    pub allow: Vec<Prefixes>,
    /// Give these addresses nothing
    #[arg(long, value_name = "PREFIX|@FILE")]
    pub deny: Vec<Prefixes>,
    /// Tell these addresses to stop asking (kiss-o'-death DENY)
    #[arg(long, value_name = "PREFIX|@FILE")]
    pub refuse: Vec<Prefixes>,
    /// A file of symmetric keys (ntp.keys or chrony.keys): who signs with one of them gets a signed answer
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Answer no request that is not signed with one of them
    #[arg(long, requires = "keys")]
    pub require_key: bool,
    /// Requests per second from one address, and how many at once (8); over it most are not answered
    #[arg(long, value_name = "RATE[/BURST]")]
    pub rate_limit: Option<RateArgument>,
    /// Answers per second to everybody together, for each worker
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..))]
    pub ceiling: Option<u32>,
    /// Remember when answers truly left and tell it with the next (RFC 9769)
    #[arg(long)]
    pub interleaved: bool,
    /// Spread a leap second over HOURS (24), half before it and half after, and announce none
    #[arg(long, value_name = "HOURS", num_args = 0..=1, default_missing_value = "24",
          value_parser = clap::value_parser!(u16).range(1..=336))]
    pub smear: Option<u16>,
    /// Where to read of leap seconds; tzdata's leap-seconds.list, or from the agent
    #[arg(long, value_name = "FILE", requires = "smear")]
    pub leap_seconds: Option<PathBuf>,
    /// Show counters to Prometheus at this address
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Become this user once the sockets are open, if started with privilege
    #[arg(long, value_name = "NAME", default_value = "nobody")]
    pub user: String,
}

impl Arguments {
    /// The rules, if there are any: `None` answers everybody. With --allow alone, only those are answered.
    #[must_use]
    pub fn rules(&self) -> Option<Arc<AccessRules>> {
        let allowed = if self.require_key { Access::Signed } else { Access::Allow };
        let each = [(&self.allow, allowed), (&self.deny, Access::Ignore), (&self.refuse, Access::Refuse)];
        let rules: Vec<_> = each
            .iter()
            .flat_map(|(prefixes, access)| {
                prefixes.iter().flat_map(|Prefixes(each)| each).map(|prefix| (*prefix, *access))
            })
            .collect();
        let only_allowed = !self.allow.is_empty() && self.deny.is_empty() && self.refuse.is_empty();
        let otherwise = if only_allowed { Access::Ignore } else { allowed };
        (!rules.is_empty() || self.require_key).then(|| Arc::new(AccessRules::new(otherwise, &rules)))
    }
}

/// A prefix, or `@` and the name of a file with one on each line; `#` begins a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefixes(pub Vec<Prefix>);

impl FromStr for Prefixes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('@') else {
            return text.parse().map(|prefix| Self(vec![prefix])).map_err(|error: PrefixError| error.to_string());
        };
        if path.is_empty() {
            return Err("behind @ comes the name of a file".to_owned());
        }
        let text = atomic_file::read(path).map_err(|error| error.to_string())?;
        let text = String::from_utf8(text).map_err(|error| format!("{path}: {error}"))?;
        let lines = text.lines().zip(1..).map(|(line, number)| (line.split('#').next().unwrap_or("").trim(), number));
        let prefixes = lines
            .filter(|(line, _)| !line.is_empty())
            .map(|(line, number)| line.parse().map_err(|error: PrefixError| format!("{path}, line {number}: {error}")));
        prefixes.collect::<Result<_, _>>().map(Self)
    }
}

/// `RATE` or `RATE/BURST`: requests per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateArgument(pub RateLimit);

impl FromStr for RateArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, burst) = match text.split_once('/') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let rate: f64 = rate.parse().map_err(|_| format!("{rate:?} is not a number of requests per second"))?;
        if !(1.0 / 3600.0..=65_536.0).contains(&rate) {
            return Err("a rate lies between one in an hour (0.0003) and 65536 per second".to_owned());
        }
        let mut limit = RateLimit { interval: Duration::from_secs_f64(1.0 / rate), ..RateLimit::default() };
        if let Some(burst) = burst {
            let burst: NonZeroU32 = burst.parse().map_err(|_| format!("{burst:?} is not a number of requests"))?;
            limit.burst = burst.get();
        }
        Ok(Self(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_answer_nobody_is_refused() {
        for [option, value, reason] in [
            ["--rate-limit", "1/0", "\"0\" is not a number of requests"],
            ["--rate-limit", "nan", "between one in an hour"],
            ["--ceiling", "0", "0 is not in 1.."],
            ["--allow", "@", "the name of a file"],
            ["--workers", "0", "0 is not in 1.."],
        ] {
            let refusal = Arguments::try_parse_from(["ntp-serve", option, value]).unwrap_err().to_string();
            assert!(refusal.contains(reason), "{refusal}");
        }
    }
}
