//! Serves time: its own clock's as a local reference, or what the agent says of it.

use std::process::ExitCode;

use clap::Parser;
use ntp_examples::output::{finish, Report};
use ntp_examples::serve::{self, Arguments};

fn main() -> ExitCode {
    let served = serve::run(&Arguments::parse());
    let report = served.map(|summary| Report::done(format!("{summary}\n")));
    finish("ntp-serve", report.map_err(|error| error.to_string()))
}
