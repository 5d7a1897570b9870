//! Serves time: its own clock's as a local reference, or what the agent says of it.

use std::process::ExitCode;

use clap::Parser;
use ntp_examples::serve::{self, Arguments};

fn main() -> ExitCode {
    match serve::run(&Arguments::parse()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ntp-serve: {error}");
            ExitCode::FAILURE
        }
    }
}
