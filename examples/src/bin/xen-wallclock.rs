//! Who owns a Xen guest's wall clock, and giving it to the guest.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use atomic_file::Outcome;
use clap::{Parser, Subcommand};
use ntp_examples::diff::unified;
use ntp_examples::output::{finish, warn, Report};
use ntp_examples::{text, wallclock};
use xen_wallclock::{enable, find_region, Edit, Enabled, Facts, Persistence, Situation, Target, WallClock, KEY};

/// Who owns this Xen guest's wall clock? Give it to the guest, so that NTP can set it.
///
/// Old Xen kernels copy the hypervisor's time unless /proc/sys/xen/independent_wallclock is 1. Modern ones have no such
/// file and are always independent: there is nothing to do for them, and this program says so.
#[derive(Debug, Parser)]
#[command(
    name = "xen-wallclock",
    version,
    arg_required_else_help = true,
    max_term_width = 80,
    after_help = "\
Examples:
  xen-wallclock status                  who owns the clock, can NTP work
  xen-wallclock enable                  give it to the guest now (root)
  xen-wallclock persist --dry-run       what would change in sysctl.conf
  xen-wallclock persist                 keep it over restarts (root)

Exit status: 0 if done or nothing is to be done, 1 if not; of status: 0 if
NTP can set the clock, 1 if not. 2 for wrong arguments."
)]
struct Arguments {
    /// Look at and change the system below this directory
    #[arg(long, value_name = "DIR", default_value = "/", global = true, value_parser = text::directory)]
    root: PathBuf,
    /// Show what would be done and do nothing
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say who owns the wall clock and whether NTP can work
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Switch the independent wall clock on now
    Enable,
    /// Keep it switched on over restarts, in sysctl.conf
    Persist {
        /// The file, instead of /etc/sysctl.conf or a file in /etc/sysctl.d
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Write the line although this kernel has no such switch
        #[arg(long)]
        force: bool,
    },
}

/// How long xenstore may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Status { json } => Ok(status(&arguments.root, *json)),
        Command::Enable => switch(&arguments),
        Command::Persist { file, force } => persist(&arguments, file.as_ref(), *force),
    };
    finish("xen-wallclock", result)
}

const ALWAYS: &str = "nothing to do: this kernel has no such switch, the wall clock is always the guest's\n";

fn status(root: &Path, is_json: bool) -> Report {
    let facts = Facts::read(root);
    let situation = Situation::of(&facts);
    let hint = find_region(root, situation, PATIENCE);
    let show = if is_json { wallclock::object } else { wallclock::lines };
    Report { text: show(&facts, situation, hint.as_ref()), is_success: situation.can_synchronize() }
}

fn switch(arguments: &Arguments) -> Result<Report, String> {
    if arguments.dry_run {
        let wall_clock = Situation::of(&Facts::read(&arguments.root)).wall_clock;
        let text = match wall_clock {
            WallClock::Hypervisor | WallClock::Unknown => {
                format!("would write 1 to {}\n", arguments.root.join(xen_wallclock::SWITCH).display())
            }
            other => format!("nothing to do: {other}\n"),
        };
        return Ok(Report { text, is_success: wall_clock != WallClock::NotXen });
    }
    let text = match enable(&arguments.root).map_err(|error| error.to_string())? {
        Enabled::Switched => "the wall clock is the guest's now\n",
        Enabled::AlreadyOn => "nothing to do: the wall clock is the guest's already\n",
        Enabled::NotNeeded => ALWAYS,
    };
    Ok(Report::done(text.into()))
}

fn persist(arguments: &Arguments, file: Option<&PathBuf>, force: bool) -> Result<Report, String> {
    let target = file.map_or(Target::Auto, |file| Target::File(file.clone()));
    let plan = Persistence { root: &arguments.root, target, force }.plan().map_err(|error| error.to_string())?;
    warn("xen-wallclock", &plan.warnings);
    let (Some(path), Some((before, after))) = (plan.path(), plan.before_and_after()) else {
        return Ok(Report::done(ALWAYS.into()));
    };
    if plan.edit == Some(Edit::Unchanged) {
        return Ok(Report::done(format!("nothing to do: {} sets {KEY} to 1\n", path.display())));
    }
    if arguments.dry_run {
        return Ok(Report::done(unified(path, before, after)));
    }
    let done = plan.apply().map_err(|error| error.to_string())?;
    let verb = if done == Outcome::Created { "made" } else { "changed" };
    Ok(Report::done(format!("{verb} {}\n", path.display())))
}
