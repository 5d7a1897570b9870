//! The end of a program that prints once: its text, its failure in one line, its exit status.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// What a program has to say, and whether it did what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// For standard output.
    pub text: String,
    /// Whether the exit status says success.
    pub is_success: bool,
}

impl Report {
    /// Done.
    #[must_use]
    pub fn done(text: String) -> Self {
        Self { text, is_success: true }
    }
}

/// Prints a report, or the failure in one line behind the program's name. A reader that has seen enough is no failure.
#[must_use]
pub fn finish(program: &str, result: Result<Report, String>) -> ExitCode {
    let printed = result.and_then(|report| {
        let written = io::stdout().write_all(report.text.as_bytes()).and_then(|()| io::stdout().flush());
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("cannot write: {error}")),
            _ => Ok(report.is_success),
        }
    });
    match printed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            remark(format_args!("{program}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Lines for the standard error stream, each behind the program's name and told once, however often it comes.
pub fn warn(program: &str, warnings: impl IntoIterator<Item = impl Display>) {
    let mut told = BTreeSet::new();
    for warning in warnings {
        let line = format!("{program}: warning: {warning}");
        if told.insert(line.clone()) {
            remark(line);
        }
    }
}

/// A line for the standard error stream. Where nobody hears it, the program goes on.
pub fn remark(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
