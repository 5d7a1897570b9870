//! The servers an operator named: from names to sources, again for those that did not resolve or have moved.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use ntp_client::{Association, Event, PoolConfig, PoolId, SourceConfig, SourceId, System};
use ntp_conf::{ConfigError, Configuration, Dialect, Family, Keyword, Kind};
use ntp_discipline::Engine;
use ntp_proto::mac::SharedKey;
use ntp_proto::{keys, Version};
use ntp_types::{Instant, Poll};
use rackspace_ntp::Region;

use crate::address::Host;
use crate::keys::{KeyFile, NoKey};
use crate::resolve::Resolver;

/// While a name does not resolve, its server does not answer, or its pool wants more than it brings, it is resolved again
/// after this, then after twice that, up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(15);
const LONGEST_RETRY: Duration = Duration::from_secs(960);
/// How often to look for the resolver's answers.
const LOOK: Duration = Duration::from_millis(50);

/// What to ask, and how.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where.
    pub host: Host,
    /// How.
    pub config: SourceConfig,
    /// Whether the name stands for many servers.
    pub is_pool: bool,
    /// Only addresses of this family.
    pub family: Option<Family>,
}

impl Wanted {
    /// One server.
    #[must_use]
    pub fn server(host: Host, config: SourceConfig) -> Self {
        Self { host, config, is_pool: false, family: None }
    }

    /// A pool.
    #[must_use]
    pub fn pool(host: Host, config: SourceConfig) -> Self {
        Self { is_pool: true, ..Self::server(host, config) }
    }

    /// The hosts of a region.
    pub fn region(region: Region, config: SourceConfig) -> impl Iterator<Item = Self> {
        region.hosts().into_iter().map(move |host| Self::server(Host::new(host), config.clone()))
    }

    /// The servers of an `ntp.conf` or `chrony.conf`, with their options, and what of it cannot be done. Keys are those of
    /// `keys` or else of the file that it names.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(
        path: &Path,
        config: &SourceConfig,
        keys: Option<&KeyFile>,
    ) -> Result<(Vec<Self>, Vec<String>), ConfigError> {
        let configuration = Configuration::read(path)?;
        let mut complaints: Vec<_> = configuration.not_included().iter().map(ToString::to_string).collect();
        let named = configuration.key_file().filter(|_| keys.is_none()).map(|path| read_keys(path, &configuration));
        if let Some(Ok(named)) = &named {
            complaints.extend_from_slice(named.complaints());
        }
        let keys = match &named {
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(named)) => Ok(named),
            None => keys.ok_or_else(|| "no key file is named (keys, keyfile, --keys)".into()),
        };
        let key_of = |id: u32| match (&keys, NonZeroU32::new(id)) {
            (Err(why), _) => Err(why.clone()),
            _ if !configuration.trusts(id) => Err(format!("key {id} is not among those of trustedkey")),
            (Ok(keys), Some(id)) => keys.key(id).map_err(|error| error.to_string()),
            (Ok(_), None) => Err("there is no key 0".into()),
        };
        let mut wanted = Vec::new();
        for line in configuration.associations() {
            match of_line(line, config, key_of) {
                Ok(source) => wanted.push(source),
                Err(why) => complaints.push(format!("{line}: {why}")),
            }
        }
        Ok((wanted, complaints))
    }
}

fn read_keys(path: &Path, configuration: &Configuration) -> Result<KeyFile, NoKey> {
    let is_chrony = configuration.files().first().is_some_and(|file| file.document.dialect() == Dialect::Chrony);
    let dialect = if is_chrony { keys::Dialect::Chrony } else { keys::Dialect::Ntpd };
    KeyFile::read(path, Some(dialect))
}

fn of_line(
    line: &ntp_conf::Association,
    config: &SourceConfig,
    key_of: impl Fn(u32) -> Result<SharedKey, String>,
) -> Result<Wanted, String> {
    if let Some(problem) = line.problem().filter(|_| !line.is_accepted()) {
        return Err(problem.to_string());
    }
    if !matches!(line.kind(), Kind::Server | Kind::Pool) {
        return Err(format!("{} associations are not supported, servers and pools are", line.kind()));
    }
    if line.has(Keyword::Nts) || line.has(Keyword::Autokey) {
        return Err("this kind of authentication is not supported, and it is not asked without".into());
    }
    let key = line.key().map(key_of).transpose().map_err(|why| format!("not asked without its key: {why}"))?;
    let text = line.port().map_or_else(|| line.address().to_string(), |port| format!("{}:{port}", line.host()));
    let host = text.parse().or_else(|_| format!("[{}]:{}", line.host(), line.port().unwrap_or(123)).parse::<Host>())?;
    let (least, most) = line.poll_range();
    let has_interval = line.has(Keyword::MinPoll) || line.has(Keyword::MaxPoll);
    let config = SourceConfig {
        min_poll: if has_interval { Poll::from_log2(least) } else { config.min_poll },
        max_poll: if has_interval { Poll::from_log2(most) } else { config.max_poll },
        iburst: config.iburst || line.is_iburst(),
        burst: line.has(Keyword::Burst),
        prefer: line.has(Keyword::Prefer),
        no_select: line.has(Keyword::NoSelect),
        interleaved: config.interleaved || line.has(Keyword::Interleaved),
        version: line.version().map_or(config.version, Version::from_bits),
        key,
        ..config.clone()
    };
    Ok(Wanted { host, config, is_pool: line.kind() == Kind::Pool, family: line.family() })
}

/// Everything wanted, and what has come of it.
#[derive(Debug, Default)]
pub struct Roster {
    entries: Vec<Entry>,
    resolver: Resolver<usize>,
    /// When to look whether an answer is in.
    look: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    pool: Option<PoolId>,
    source: Option<SourceId>,
    /// When to resolve it, or to see whether there is need to; `None` when there is none.
    retry: Option<Instant>,
    wait: Duration,
}

impl Roster {
    /// Nothing resolved yet: everything is due.
    #[must_use]
    pub fn new(wanted: Vec<Wanted>) -> Self {
        let entry = |wanted| Entry { wanted, pool: None, source: None, retry: Some(Instant::ZERO), wait: FIRST_RETRY };
        Self { entries: wanted.into_iter().map(entry).collect(), ..Self::default() }
    }

    /// When there is something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|entry| entry.retry).chain(self.look).min()
    }

    /// A pool may want more members, and a server that fell silent may have moved.
    pub fn handle_event(&mut self, event: &Event, now: Instant) {
        for entry in &mut self.entries {
            match *event {
                Event::CandidatesWanted { pool } if entry.pool == Some(pool) => entry.retry = Some(now + entry.wait),
                Event::Unreachable { source, .. } if entry.source == Some(source) => entry.retry = Some(now),
                _ => {}
            }
        }
    }

    /// Has resolved what is due, and makes sources of what is resolved; says what an operator should know.
    pub fn handle_timeout<E: Engine>(&mut self, system: &mut System<E>, now: Instant) -> Vec<String> {
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if entry.retry.is_some_and(|retry| retry <= now) {
                entry.retry = None;
                if entry.is_wanting(system) {
                    self.resolver.ask(index, &entry.wanted.host);
                } else {
                    entry.wait = FIRST_RETRY;
                }
            }
        }
        let mut notes = Vec::new();
        while let Some((index, answer)) = self.resolver.poll() {
            if let Some(entry) = self.entries.get_mut(index) {
                notes.extend(entry.handle_answer(system, answer, now));
            }
        }
        self.look = self.resolver.is_waiting().then(|| now + LOOK);
        notes
    }
}

impl Entry {
    /// Whether its name is worth asking for: not while the server it led to answers, or has told us to stop.
    fn is_wanting<E: Engine>(&self, system: &System<E>) -> bool {
        let association = self.source.and_then(|source| system.association(source));
        association.is_none_or(|it| it.reach().to_bits() == 0 && !it.is_stopped())
    }

    fn handle_answer<E: Engine>(
        &mut self,
        system: &mut System<E>,
        answer: io::Result<Vec<SocketAddr>>,
        now: Instant,
    ) -> Option<String> {
        let note = match answer {
            Ok(addresses) => {
                let note = self.take(system, &addresses, now).unwrap_or_else(Some);
                // A number leads nowhere else, and a pool says itself when it wants more.
                if self.wanted.is_pool || self.wanted.host.is_number() {
                    return note;
                }
                note
            }
            Err(error) => {
                let (host, wait) = (&self.wanted.host, self.wait.as_secs());
                Some(format!("{host} cannot be resolved, next try in {wait} s: {error}"))
            }
        };
        self.retry = Some(now + self.wait);
        self.wait = self.next_wait();
        note
    }

    fn next_wait(&self) -> Duration {
        (self.wait * 2).min(LONGEST_RETRY)
    }

    /// Makes a source of an address, or candidates of all; what there is to say of it, as an error when it failed.
    fn take<E: Engine>(
        &mut self,
        system: &mut System<E>,
        addresses: &[SocketAddr],
        now: Instant,
    ) -> Result<Option<String>, String> {
        let Wanted { host, config, is_pool, family } = &self.wanted;
        let fits = |address: &&SocketAddr| match family {
            Some(Family::Ipv4) => address.is_ipv4(),
            Some(Family::Ipv6) => address.is_ipv6(),
            None => true,
        };
        let mut addresses = addresses.iter().filter(fits).copied();
        if *is_pool {
            let pool = *self
                .pool
                .get_or_insert_with(|| system.add_pool(PoolConfig { source: config.clone(), ..PoolConfig::default() }));
            let is_news = system.add_candidates(pool, addresses, now) > 0;
            self.wait = if is_news { FIRST_RETRY } else { self.next_wait() };
            return Ok(None);
        }
        let before = self.source.and_then(|source| system.association(source)).map(Association::address);
        if before.is_some_and(|before| addresses.clone().any(|address| address == before)) {
            return Ok(None);
        }
        let address = addresses.next().ok_or_else(|| format!("{host} has no address of the family asked for"))?;
        let source = system.add_source(address, config.clone(), now).map_err(|error| format!("{host}: {error}"))?;
        if let Some(before) = self.source.replace(source) {
            system.remove_source(before);
        }
        Ok(before.map(|before| format!("{host} moved from {} to {}", before.ip(), address.ip())))
    }
}
