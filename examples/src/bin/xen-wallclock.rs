//! Who owns a Xen guest's wall clock, and giving it to the guest.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use atomic_file::Outcome;
use clap::{Parser, Subcommand};
use ntp_examples::diff::unified;
use rackspace_ntp::Region;
use serde_json::json;
use xen_wallclock::{
    enable, region_of_instance_data, region_of_xenstore, Domain, Edit, Enabled, Facts, Guest, Persistence, RegionHint,
    Situation, Target, WallClock, KEY,
};

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

Exit status: 0 if done or nothing is to be done, 1 if not; of status: 0 if NTP can
set the clock, 1 if not. 2 for wrong arguments."
)]
struct Arguments {
    /// Look at and change the system below this directory
    #[arg(long, value_name = "DIR", default_value = "/", global = true)]
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
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xen-wallclock: {error}");
            ExitCode::FAILURE
        }
    }
}

fn status(root: &Path, as_json: bool) -> bool {
    let facts = Facts::read(root);
    let situation = Situation::of(&facts);
    let hint = region(root, situation);
    let is_rackspace = hint.as_ref().and_then(|hint| hint.region.parse::<Region>().ok());
    let line = |text: &Option<String>| text.as_deref().map(|text| text.trim().to_string());
    if as_json {
        let object = json!({
            "type": "xen-wallclock",
            "guest": situation.guest.to_string(),
            "wall_clock": match situation.wall_clock {
                WallClock::NotXen => "not xen",
                WallClock::AlwaysGuest => "always guest",
                WallClock::Guest => "guest",
                WallClock::Hypervisor => "hypervisor",
                WallClock::Unknown => "unknown",
            },
            "can_synchronize": situation.can_synchronize(),
            "independent_wallclock": line(&facts.switch),
            "clocksource": line(&facts.clocksource),
            "kernel": line(&facts.kernel),
            "region": hint.as_ref().map(|hint| hint.region.clone()),
        });
        println!("{object}");
        return situation.can_synchronize();
    }
    let version = match (line(&facts.version_major), line(&facts.version_minor)) {
        (Some(major), Some(minor)) => format!(" (Xen {major}.{minor})"),
        _ => String::new(),
    };
    println!("guest        {}{version}", situation.guest);
    for (name, text) in [("kernel", &facts.kernel), ("clocksource", &facts.clocksource)] {
        println!("{name:<12} {}", line(text).unwrap_or_else(|| "unknown".into()));
    }
    println!("wall clock   {}", situation.wall_clock);
    println!("NTP          {}", if situation.can_synchronize() { "can set the clock" } else { "cannot set the clock" });
    if situation.wall_clock == WallClock::Hypervisor {
        println!("to do        xen-wallclock enable; xen-wallclock persist");
    }
    if let (Some(hint), Some(region)) = (&hint, is_rackspace) {
        let [first, second] = region.hosts();
        println!("region       {region}, says {}: {first}, {second}", hint.origin);
        println!("             ntp-conf set-servers --region {region}");
    }
    for path in &facts.unreadable {
        println!("unreadable   {}", path.display());
    }
    situation.can_synchronize()
}

fn switch(arguments: &Arguments) -> Result<bool, String> {
    if arguments.dry_run {
        let situation = Situation::of(&Facts::read(&arguments.root));
        match situation.wall_clock {
            WallClock::Hypervisor | WallClock::Unknown => {
                println!("would write 1 to {}", arguments.root.join(xen_wallclock::SWITCH).display());
            }
            other => println!("nothing to do: {other}"),
        }
        return Ok(situation.wall_clock != WallClock::NotXen);
    }
    let done = enable(&arguments.root).map_err(|error| error.to_string())?;
    println!(
        "{}",
        match done {
            Enabled::Switched => "the wall clock is the guest's now",
            Enabled::AlreadyOn => "nothing to do: the wall clock is the guest's already",
            Enabled::NotNeeded => "nothing to do: this kernel has no such switch, the wall clock is always the guest's",
        }
    );
    Ok(true)
}

fn persist(arguments: &Arguments, file: Option<&PathBuf>, force: bool) -> Result<bool, String> {
    let target = file.map_or(Target::Auto, |file| Target::File(file.clone()));
    let plan = Persistence { root: &arguments.root, target, force }.plan().map_err(|error| error.to_string())?;
    for warning in &plan.warnings {
        eprintln!("xen-wallclock: warning: {warning}");
    }
    let (Some(path), Some((before, after))) = (plan.path(), plan.before_and_after()) else {
        println!("nothing to do: this kernel has no such switch, the wall clock is always the guest's");
        return Ok(true);
    };
    if plan.edit == Some(Edit::Unchanged) {
        println!("nothing to do: {} sets {KEY} to 1", path.display());
        return Ok(true);
    }
    if arguments.dry_run {
        print!("{}", unified(path, before, after));
        return Ok(true);
    }
    let done = plan.apply().map_err(|error| error.to_string())?;
    println!("{} {}", if done == Outcome::Created { "made" } else { "changed" }, path.display());
    Ok(true)
}

/// The region as cloud-init or, in a guest, the hypervisor names it.
fn region(root: &Path, situation: Situation) -> Option<RegionHint> {
    let of_cloud_init = std::fs::read(root.join("run/cloud-init/instance-data.json")).ok();
    of_cloud_init.and_then(|json| region_of_instance_data(&json)).or_else(|| {
        let is_guest = matches!(situation.guest, Guest::Xen { domain: Domain::DomU, .. });
        if is_guest {
            ask_xenstore(root)
        } else {
            None
        }
    })
}

/// Asks on a thread of its own, which is left behind when nobody answers.
fn ask_xenstore(root: &Path) -> Option<RegionHint> {
    use std::os::unix::fs::FileTypeExt as _;

    let device = ["dev/xen/xenbus", "proc/xen/xenbus"].into_iter().map(|path| root.join(path)).find(|path| {
        std::fs::metadata(path)
            .is_ok_and(|metadata| metadata.file_type().is_char_device() || path.ends_with("proc/xen/xenbus"))
    })?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut device = OpenOptions::new().read(true).write(true).open(device).ok()?;
        let hint = region_of_xenstore(&mut device).ok()?;
        device.flush().ok()?;
        sender.send(hint).ok()
    });
    receiver.recv_timeout(PATIENCE).ok()
}
