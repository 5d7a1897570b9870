//! Shows and changes the servers in ntp.conf and chrony.conf, and nothing else in them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use atomic_file::Outcome;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use ntp_conf::{Changes, ConfigFile, Configuration, Dialect, KnownFile, Replaced, SetSources, Source};
use ntp_examples::diff::unified;
use ntp_examples::output::{finish, Report};
use ntp_examples::text;
use rackspace_ntp::Region;
use serde_json::json;

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
struct Arguments {
    /// The file
    #[arg(long, value_name = "FILE", global = true)]
    file: Option<PathBuf>,
    /// Whose language it is in, if its path does not say
    #[arg(long, value_enum, global = true)]
    dialect: Option<Language>,
    /// Look for the files, and what they include, below this directory
    #[arg(long, value_name = "DIR", default_value = "/", global = true, value_parser = text::directory)]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the servers, those of included files too
    List {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Make these the servers
    SetServers {
        #[command(flatten)]
        servers: Servers,
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
        #[command(flatten)]
        servers: Servers,
        #[command(flatten)]
        writing: Writing,
    },
    /// Remove servers, pools and peers by name
    RemoveServers {
        /// Names or addresses as they stand in the file
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
        #[command(flatten)]
        writing: Writing,
    },
    /// List the files that distributions use, and which are here
    Files,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("servers").required(true).multiple(true)))]
struct Servers {
    /// Names or addresses
    #[arg(value_name = "HOST", group = "servers")]
    hosts: Vec<String>,
    /// Rackspace's own servers of a region: DFW, ORD, IAD, LON, HKG or SYD
    #[arg(long, value_name = "REGION", group = "servers")]
    region: Vec<Region>,
    /// A name that stands for many servers
    #[arg(long, value_name = "NAME", group = "servers")]
    pool: Vec<String>,
    /// Without the option iburst
    #[arg(long)]
    no_iburst: bool,
}

#[derive(Debug, Args)]
struct Writing {
    /// Show the difference and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete old lines instead of making them comments
    #[arg(long)]
    delete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// ntp 4.2
    Ntp,
    /// ntpsec
    Ntpsec,
    /// chrony
    Chrony,
}

fn main() -> ExitCode {
    finish("ntp-conf", run(&Arguments::parse()).map(Report::done))
}

fn run(arguments: &Arguments) -> Result<String, String> {
    match &arguments.command {
        Command::List { json } => list(arguments, *json),
        Command::Files => Ok(files(&arguments.root)),
        Command::SetServers { servers, writing, keep_options, peers } => {
            let settings = SetSources { replaced: writing.replaced(), keep_options: *keep_options, peers: *peers };
            let wanted = servers.sources()?;
            edit(arguments, writing, |file| {
                file.document_mut().set_sources(&wanted, &settings).map_err(|error| error.to_string())
            })
        }
        Command::AddServers { servers, writing } => {
            let wanted = servers.sources()?;
            edit(arguments, writing, |file| file.document_mut().add_sources(&wanted).map_err(|error| error.to_string()))
        }
        Command::RemoveServers { hosts, writing } => edit(arguments, writing, |file| {
            let is_named = |host: &str| hosts.iter().any(|named| named.eq_ignore_ascii_case(host));
            Ok(file.document_mut().remove_sources(writing.replaced(), |found| is_named(found.host())))
        }),
    }
}

/// The file to work on, from the root, and its language.
fn place(arguments: &Arguments) -> Result<(PathBuf, Dialect), String> {
    let known = || KnownFile::present(&arguments.root).next();
    let (path, dialect) = match &arguments.file {
        Some(path) => (path.clone(), Dialect::of_path(path)),
        None => match known() {
            Some(file) => (file.path_in(&arguments.root), file.dialect),
            None => {
                let paths: Vec<_> = KnownFile::ALL.iter().map(|file| file.path).collect();
                return Err(format!("no configuration file found: looked for {}", paths.join(", ")));
            }
        },
    };
    let dialect = match arguments.dialect {
        None => dialect,
        Some(Language::Ntp) => Dialect::Ntp,
        Some(Language::Ntpsec) => Dialect::Ntpsec,
        Some(Language::Chrony) => Dialect::Chrony,
    };
    Ok((path, dialect))
}

fn list(arguments: &Arguments, as_json: bool) -> Result<String, String> {
    let mut text = String::new();
    let (path, dialect) = place(arguments)?;
    let configuration =
        Configuration::read_below(&arguments.root, dialect, &path).map_err(|error| error.to_string())?;
    for (file, found) in configuration.located() {
        if as_json {
            let (shortest, longest) = found.poll_range();
            let object = json!({
                "type": "association",
                "file": file.display().to_string(),
                "kind": found.kind().to_string(),
                "address": found.address(),
                "options": found.options().iter().map(ToString::to_string).collect::<Vec<_>>(),
                "minpoll": shortest,
                "maxpoll": longest,
                "accepted": found.is_accepted(),
                "problem": found.problem().map(ToString::to_string),
            });
            text += &format!("{object}\n");
        } else {
            let problem = match (found.problem(), found.is_accepted()) {
                (Some(problem), true) => format!("   # {problem}: this and what follows is not read"),
                (Some(problem), false) => format!("   # {problem}: refused by {dialect}"),
                (None, _) => String::new(),
            };
            text += &format!("{}: {found}{problem}\n", file.display());
        }
    }
    for problem in configuration.not_included() {
        eprintln!("ntp-conf: warning: {problem}");
    }
    tell_replacement(arguments, &path);
    Ok(text)
}

fn files(root: &Path) -> String {
    let line = |file: &KnownFile| {
        let mark = if file.path_in(root).is_file() { "here" } else { "-" };
        format!("{mark:<5} {:<24} {:<7} {}\n", file.path, file.dialect, file.systems)
    };
    KnownFile::ALL.iter().map(line).collect()
}

/// Edits the file, shows what was done or would be, and writes it.
fn edit(
    arguments: &Arguments,
    writing: &Writing,
    change: impl FnOnce(&mut ConfigFile) -> Result<Changes, String>,
) -> Result<String, String> {
    let (path, dialect) = place(arguments)?;
    let mut file = ConfigFile::read_as(dialect, &path).map_err(|error| error.to_string())?;
    let changes = change(&mut file)?;
    for warning in &changes.warnings {
        eprintln!("ntp-conf: warning: {warning}");
    }
    if writing.dry_run {
        return Ok(unified(file.path(), file.original(), &file.document().to_bytes()));
    }
    let outcome = file.save().map_err(|error| error.to_string())?;
    let signed = [('-', &changes.removed), ('+', &changes.added), ('=', &changes.kept)];
    let mut text = String::new();
    for (sign, line) in signed.iter().flat_map(|(sign, lines)| lines.iter().map(move |line| (sign, line))) {
        text += &format!("{sign} {line}\n");
    }
    tell_replacement(arguments, &path);
    tell_included(arguments, dialect, &path);
    let path_shown = file.path().display();
    if outcome == Outcome::Unchanged {
        return Ok(text + &format!("{path_shown} is as it was\n"));
    }
    let known = KnownFile::ALL.iter().find(|known| known.path_in(&arguments.root) == path);
    let service = known.and_then(|known| known.services.first().copied()).unwrap_or("the daemon");
    Ok(text + &format!("{path_shown} is changed; restart {service} to use it\n"))
}

/// A file that is read instead of the one at hand.
fn tell_replacement(arguments: &Arguments, path: &Path) {
    let known = KnownFile::ALL.iter().find(|known| known.path_in(&arguments.root) == path);
    if let Some(other) = known.and_then(|known| known.replacement_in(&arguments.root)) {
        eprintln!("ntp-conf: warning: {} is read instead, while it is there", other.display());
    }
}

/// Servers that stay, because other files name them.
fn tell_included(arguments: &Arguments, dialect: Dialect, path: &Path) {
    let Ok(configuration) = Configuration::read_below(&arguments.root, dialect, path) else { return };
    for (file, found) in configuration.included_associations() {
        eprintln!("ntp-conf: warning: {} names {} {} too", file.display(), found.kind(), found.address());
    }
}

impl Servers {
    fn sources(&self) -> Result<Vec<Source>, String> {
        let regional = self.region.iter().flat_map(|region| region.hosts());
        let servers = self.hosts.iter().map(String::as_str).chain(regional).map(Source::server);
        let pools = self.pool.iter().map(|name| Source::pool(name));
        let with_options = |source: Source| if self.no_iburst { source } else { source.iburst() };
        let sources: Result<Vec<_>, _> = servers.chain(pools).map(|source| source.map(with_options)).collect();
        sources.map_err(|error| error.to_string())
    }
}

impl Writing {
    fn replaced(&self) -> Replaced {
        if self.delete {
            Replaced::Delete
        } else {
            Replaced::Comment
        }
    }
}
