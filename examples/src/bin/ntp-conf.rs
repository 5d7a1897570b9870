//! Shows and changes the servers in ntp.conf and chrony.conf, and nothing else in them.

use std::path::Path;
use std::process::ExitCode;

use atomic_file::Outcome;
use clap::Parser;
use ntp_conf::{Changes, ConfigFile, Configuration, Dialect, KnownFile, SetSources};
use ntp_examples::conf::{changed, known, listed, Arguments, Command, Writing};
use ntp_examples::diff::unified;
use ntp_examples::output::{finish, warn, Report};

fn main() -> ExitCode {
    finish("ntp-conf", run(&Arguments::parse()).map(Report::done))
}

fn run(arguments: &Arguments) -> Result<String, String> {
    match &arguments.command {
        Command::List { json } => list(arguments, *json),
        Command::Files => Ok(known(&arguments.root)),
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

fn list(arguments: &Arguments, is_json: bool) -> Result<String, String> {
    let (path, dialect) = arguments.file()?;
    let configuration =
        Configuration::read_below(&arguments.root, dialect, &path).map_err(|error| error.to_string())?;
    warn("ntp-conf", configuration.not_included());
    tell_replacement(arguments, &path);
    Ok(listed(&configuration, dialect, is_json))
}

/// Edits the file, shows what was done or would be, and writes it.
fn edit(
    arguments: &Arguments,
    writing: &Writing,
    change: impl FnOnce(&mut ConfigFile) -> Result<Changes, String>,
) -> Result<String, String> {
    let (path, dialect) = arguments.file()?;
    let mut file = ConfigFile::read_as(dialect, &path).map_err(|error| error.to_string())?;
    let changes = change(&mut file)?;
    warn("ntp-conf", &changes.warnings);
    if writing.dry_run {
        return Ok(unified(file.path(), file.original(), &file.document().to_bytes()));
    }
    let outcome = file.save().map_err(|error| error.to_string())?;
    tell_replacement(arguments, &path);
    tell_included(arguments, dialect, &path);
    let (lines, shown) = (changed(&changes), file.path().display());
    if outcome == Outcome::Unchanged {
        return Ok(format!("{lines}{shown} is as it was\n"));
    }
    let known = KnownFile::at(&arguments.root, &path);
    let service = known.and_then(|known| known.services.first().copied()).unwrap_or("the daemon");
    Ok(format!("{lines}{shown} is changed; restart {service} to use it\n"))
}

/// A file that is read instead of the one at hand.
fn tell_replacement(arguments: &Arguments, path: &Path) {
    let known = KnownFile::at(&arguments.root, path);
    let other = known.and_then(|known| known.replacement_in(&arguments.root));
    warn("ntp-conf", other.map(|other| format!("{} is read instead, while it is there", other.display())));
}

/// Servers that stay, because other files name them.
fn tell_included(arguments: &Arguments, dialect: Dialect, path: &Path) {
    let Ok(configuration) = Configuration::read_below(&arguments.root, dialect, path) else { return };
    let named = configuration.included_associations();
    warn(
        "ntp-conf",
        named.map(|(file, found)| format!("{} names {} {} too", file.display(), found.kind(), found.address())),
    );
}
