//! How the servers of a configuration, and what was changed in one, are shown.

mod arguments;

use std::path::Path;

use ntp_conf::{Changes, Configuration, Dialect, KnownFile};
use serde_json::json;

pub use self::arguments::{Arguments, Command, Language, Servers, Writing};

/// Every server of the file and of those it includes, in a line each.
#[must_use]
pub fn listed(configuration: &Configuration, dialect: Dialect, is_json: bool) -> String {
    let line = |(file, found): (&Path, &ntp_conf::Association)| {
        let file = file.display();
        if is_json {
            return format!("{}\n", object(&file.to_string(), found));
        }
        let problem = match (found.problem(), found.is_accepted()) {
            (Some(problem), true) => format!("   # {problem}: this and what follows is not read"),
            (Some(problem), false) => format!("   # {problem}: refused by {dialect}"),
            (None, _) => String::new(),
        };
        format!("{file}: {found}{problem}\n")
    };
    configuration.located().map(line).collect()
}

fn object(file: &str, found: &ntp_conf::Association) -> serde_json::Value {
    let (shortest, longest) = found.poll_range();
    json!({
        "type": "association",
        "file": file,
        "kind": found.kind().to_string(),
        "address": found.address(),
        "options": found.options().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "minpoll": shortest,
        "maxpoll": longest,
        "accepted": found.is_accepted(),
        "problem": found.problem().map(ToString::to_string),
    })
}

/// The files that distributions use, and which of them are below `root`.
#[must_use]
pub fn known(root: &Path) -> String {
    let line = |file: &KnownFile| {
        let mark = if file.path_in(root).is_file() { "here" } else { "-" };
        format!("{mark:<5} {:<24} {:<7} {}\n", file.path, file.dialect, file.systems)
    };
    KnownFile::ALL.iter().map(line).collect()
}

/// The lines that went, came and stayed.
#[must_use]
pub fn changed(changes: &Changes) -> String {
    let signed = [('-', &changes.removed), ('+', &changes.added), ('=', &changes.kept)];
    signed.iter().flat_map(|(sign, lines)| lines.iter().map(move |line| format!("{sign} {line}\n"))).collect()
}
