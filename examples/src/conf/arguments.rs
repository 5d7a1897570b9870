//! What `ntp-conf` can be told.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use ntp_conf::{Dialect, KnownFile, Replaced, Source};
use rackspace_ntp::Region;

use crate::text;

/// Show and change the servers in ntp.conf and chrony.conf. Every other byte stays as it is.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-conf",
    version,
    arg_required_else_help = true,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-conf list                                     the servers in use
  ntp-conf set-servers --region DFW --dry-run       what would change
  ntp-conf set-servers --region DFW                 Rackspace's own servers
  ntp-conf add-servers ntp1.example.net             one more
  ntp-conf remove-servers ntp1.example.net          one less

Without --file it is the first of the files that distributions use; see
`ntp-conf files`. The daemon is not restarted.

Exit status: 0 if done or nothing is to be done, 1 if not, 2 for wrong
arguments."
)]
pub struct Arguments {
    /// The file
    #[arg(long, value_name = "FILE", global = true)]
    pub file: Option<PathBuf>,
    /// Whose language it is in, if its path does not say
    #[arg(long, value_enum, global = true)]
    pub dialect: Option<Language>,
    /// Look for the files, and what they include, below this directory
    #[arg(long, value_name = "DIR", default_value = "/", global = true, value_parser = text::directory)]
    pub root: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the servers, those of included files too
    List {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Make these the servers
    SetServers {
        /// Which.
        #[command(flatten)]
        servers: Servers,
        /// How.
        #[command(flatten)]
        writing: Writing,
        /// Take over the options of the line that is replaced
        #[arg(long)]
        keep_options: bool,
        /// Replace peers too
        #[arg(long)]
        peers: bool,
    },
    /// Add servers
    AddServers {
        /// Which.
        #[command(flatten)]
        servers: Servers,
        /// How.
        #[command(flatten)]
        writing: Writing,
    },
    /// Remove servers, pools and peers by name
    RemoveServers {
        /// Names or addresses as they stand in the file
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
        /// How.
        #[command(flatten)]
        writing: Writing,
    },
    /// List the files that distributions use, and which are here
    Files,
}

/// The servers to write.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("servers").required(true).multiple(true)))]
pub struct Servers {
    /// Names or addresses
    #[arg(value_name = "HOST", group = "servers")]
    pub hosts: Vec<String>,
    /// Rackspace's own servers of a region: DFW, ORD, IAD, LON, HKG or SYD
    #[arg(long, value_name = "REGION", group = "servers")]
    pub region: Vec<Region>,
    /// A name that stands for many servers
    #[arg(long, value_name = "NAME", group = "servers")]
    pub pool: Vec<String>,
    /// Without the option iburst
    #[arg(long)]
    pub no_iburst: bool,
}

/// How to write.
#[derive(Debug, Args)]
pub struct Writing {
    /// Show the difference and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Delete old lines instead of making them comments
    #[arg(long)]
    pub delete: bool,
}

/// Whose language a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// ntp 4.2
    Ntp,
    /// ntpsec
    Ntpsec,
    /// chrony
    Chrony,
}

impl Arguments {
    /// The file to work on, and its language.
    ///
    /// # Errors
    /// None is named, and none is where distributions have theirs.
    pub fn file(&self) -> Result<(PathBuf, Dialect), String> {
        let (path, dialect) = match (&self.file, KnownFile::present(&self.root).next()) {
            (Some(path), _) => (path.clone(), Dialect::of_path(path)),
            (None, Some(known)) => (known.path_in(&self.root), known.dialect),
            (None, None) => {
                let paths: Vec<_> = KnownFile::ALL.iter().map(|file| file.path).collect();
                return Err(format!("no configuration file found: looked for {}", paths.join(", ")));
            }
        };
        Ok((path, self.dialect.map_or(dialect, Into::into)))
    }
}

impl From<Language> for Dialect {
    fn from(language: Language) -> Self {
        match language {
            Language::Ntp => Self::Ntp,
            Language::Ntpsec => Self::Ntpsec,
            Language::Chrony => Self::Chrony,
        }
    }
}

impl Servers {
    /// As they will stand in the file.
    ///
    /// # Errors
    /// One of them is no name.
    pub fn sources(&self) -> Result<Vec<Source>, String> {
        let regional = self.region.iter().flat_map(|region| region.hosts());
        let servers = self.hosts.iter().map(String::as_str).chain(regional).map(Source::server);
        let pools = self.pool.iter().map(|name| Source::pool(name));
        let with_options = |source: Source| if self.no_iburst { source } else { source.iburst() };
        let sources: Result<Vec<_>, _> = servers.chain(pools).map(|source| source.map(with_options)).collect();
        sources.map_err(|error| error.to_string())
    }
}

impl Writing {
    /// What becomes of old lines.
    #[must_use]
    pub fn replaced(&self) -> Replaced {
        if self.delete {
            Replaced::Delete
        } else {
            Replaced::Comment
        }
    }
}
