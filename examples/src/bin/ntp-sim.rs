//! Runs the table of simulated scenarios and prints it, chrony's figures beside ours.

use std::error::Error;
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ntp_examples::output::remark;
use ntp_examples::output::{finish, Report};
use ntp_examples::{plot, sim, text};
use ntp_sim::table::{self, Entry, Line, Polling};

/// Run the real client and real servers in simulated scenarios and score them: oscillators, networks, liars and attackers,
/// seeded and the same to the last bit on every machine.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-sim",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-sim --list                                the scenarios
  ntp-sim false1of4 outage4h --poll free        two of them, 9 seeds each
  ntp-sim wifi --seeds 1 --plot wifi.svg        one, as a picture
  ntp-sim --check crates/ntp-sim/table.txt      all, against the table accepted

Exit status: 0 if done, 1 if the table is another than --check's file, 2 for
wrong arguments and files."
)]
struct Arguments {
    /// Scenarios to run; all without any
    scenarios: Vec<String>,
    /// Only list them
    #[arg(long)]
    list: bool,
    /// Seeds to run each with
    #[arg(long, default_value_t = table::SEEDS, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,
    /// With the poll fixed at 6, or free; both without it
    #[arg(long, value_enum)]
    poll: Option<Poll>,
    /// One JSON object per line instead of the table
    #[arg(long)]
    json: bool,
    /// Write a run of the first scenario as a plot: offset over time with the error bound as a band
    #[arg(long, value_name = "FILE.svg", value_parser = text::place())]
    plot: Option<PathBuf>,
    /// Which seed's run
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "plot")]
    plot_seed: u64,
    /// Compare the table with this file instead of printing it; exit 1 and show both where they differ
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Poll {
    #[value(name = "6")]
    Fixed,
    Free,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(report) => finish("ntp-sim", Ok(report)),
        // Who reads has seen enough.
        Err(error) if error.downcast_ref().map(io::Error::kind) == Some(ErrorKind::BrokenPipe) => ExitCode::SUCCESS,
        Err(error) => {
            remark(format_args!("ntp-sim: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report, Box<dyn Error>> {
    let entries = chosen(arguments)?;
    if arguments.list {
        return Ok(sim::list(&entries));
    }
    if let (Some(path), Some(entry)) = (&arguments.plot, entries.first()) {
        let (_, seconds) = ntp_sim::run(&entry.scenario, arguments.plot_seed);
        let written = plot::write(path, &entry.scenario.about, &sim::trace(&seconds));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let accepted = arguments.check.as_deref().map(accepted).transpose()?;
    let progress = ProgressBar::with_draw_target(
        Some(entries.len() as u64 * arguments.seeds),
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
    );
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {eta} left: {msg}")?);
    let is_text = !arguments.json && arguments.check.is_none();
    if is_text {
        writeln!(io::stdout(), "{}", table::HEAD)?;
    }
    let mut lines = Vec::new();
    for entry in &entries {
        progress.set_message(entry.scenario.name.clone());
        let line = table::line(entry, arguments.seeds, || progress.inc(1));
        progress.suspend(|| show(&line, arguments))?;
        lines.push(line);
    }
    progress.finish_and_clear();
    Ok(match accepted {
        Some(accepted) => sim::check(&accepted, &table::text(&lines)),
        None if is_text => {
            Report::done(table::summaries(&lines).iter().map(|summary| format!("{summary}\n")).collect())
        }
        None => Report::done(String::new()),
    })
}

fn accepted(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn show(line: &Line, arguments: &Arguments) -> io::Result<()> {
    if arguments.json {
        writeln!(io::stdout(), "{}", sim::json(line))
    } else if arguments.check.is_none() {
        writeln!(io::stdout(), "{}", line.to_string().trim_end())
    } else {
        Ok(())
    }
}

fn chosen(arguments: &Arguments) -> Result<Vec<Entry>, String> {
    let all = table::entries();
    if let Some(name) = arguments.scenarios.iter().find(|name| all.iter().all(|entry| entry.scenario.name != **name)) {
        return Err(format!("no scenario {name:?}; --list shows them"));
    }
    let polls = |entry: &Entry| match arguments.poll {
        None => true,
        Some(Poll::Fixed) => entry.polling == Polling::Fixed,
        Some(Poll::Free) => entry.polling == Polling::Free,
    };
    let named = |entry: &Entry| arguments.scenarios.is_empty() || arguments.scenarios.contains(&entry.scenario.name);
    Ok(all.into_iter().filter(|entry| polls(entry) && named(entry)).collect())
}
