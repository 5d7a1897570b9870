//! Synchronises a clock. Without arguments: a demonstration on loopback that needs neither a network nor privilege.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Parser, ValueEnum};
use ntp_client::{known_lag, SourceConfig, System, SystemConfig};
use ntp_clock::{ReadClock, SoftwareClock, SteerClock};
use ntp_discipline::{adaptive, rfc5905, Engine, Policy, StepLimit};
use ntp_examples::address::Host;
use ntp_examples::agent::{Agent, Failure};
use ntp_examples::clock::AgentClock;
use ntp_examples::demo::{self, Servers};
use ntp_examples::drift::Drift;
use ntp_examples::keys::KeyFile;
use ntp_examples::machine::MachineClock;
use ntp_examples::plot;
use ntp_examples::roster::{Roster, Wanted};
use ntp_examples::stop::Stop;
use ntp_examples::summary;
use ntp_examples::view::{Style, View};
use ntp_types::{ClockCommand, Frequency, NtpDuration, Poll, Precision, UnixTime};
use rackspace_ntp::Region;

/// Synchronise a clock with NTP servers.
///
/// Without arguments: a demonstration. Four servers of this program's own on loopback, one of them wrong, and a clock
/// that exists only as numbers, 0.35 s behind and 50 ppm fast. It needs no network and no privilege, takes 20 s and
/// writes a plot to ntp-agent.svg.
///
/// With servers: follow them. The machine's clock is only changed with --clock system --adjust; otherwise a software
/// clock over it is disciplined, which shows what would be done.
#[derive(Debug, Parser)]
#[command(
    name = "ntp-agent",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  ntp-agent                                        the demonstration
  ntp-agent --server 192.0.2.1 --iburst            watch one server
  ntp-agent --region DFW --duration 60 --json      a minute, for a program
  ntp-agent --config /etc/ntp.conf --clock system --adjust   the real thing

Exit status: 0 if the clock is synchronised at the end or was and is held over
(in the demonstration: and truly within its bounds), 1 if not, 2 for wrong
arguments."
)]
struct Arguments {
    /// A server; may be given more than once
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Vec<Host>,
    /// A name that stands for many servers, of which four are used
    #[arg(long, value_name = "NAME[:PORT]")]
    pool: Vec<Host>,
    /// Rackspace's own servers of a region: DFW, ORD, IAD, LON, HKG or SYD
    #[arg(long, value_name = "REGION")]
    region: Vec<Region>,
    /// The servers of an ntp.conf or chrony.conf
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The clock to discipline: one in numbers only, or the machine's (with --adjust)
    #[arg(long, value_enum, default_value = "software")]
    clock: Clock,
    /// Really adjust the machine's clock
    #[arg(long)]
    adjust: bool,
    /// Shortest poll interval, as its log2 in seconds
    #[arg(long, value_name = "LOG2", default_value_t = 6, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i8).range(-4..=17))]
    minpoll: i8,
    /// Longest poll interval, as its log2 in seconds
    #[arg(long, value_name = "LOG2", default_value_t = 10, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i8).range(-4..=17))]
    maxpoll: i8,
    /// How offset and frequency are estimated
    #[arg(long, value_enum, default_value = "adaptive")]
    engine: Discipline,
    /// Begin with a quick volley
    #[arg(long)]
    iburst: bool,
    /// The file of symmetric keys (ntp.keys or chrony.keys); otherwise the one that --config names
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Sign requests to the servers named here with this key, and believe no answer without
    #[arg(long, value_name = "ID", requires = "keys")]
    key: Option<NonZeroU32>,
    /// Ask for interleaved answers, which tell when the answer before truly left
    #[arg(long)]
    interleaved: bool,
    /// Step offsets above THRESHOLD seconds in the first LIMIT corrections; a negative LIMIT steps always
    #[arg(long, num_args = 2, value_names = ["THRESHOLD", "LIMIT"], allow_negative_numbers = true)]
    makestep: Option<Vec<f64>>,
    /// Start from this file's frequency, and keep it there (ntpd's or chrony's form)
    #[arg(long, value_name = "FILE")]
    driftfile: Option<PathBuf>,
    /// End after so many seconds; the demonstration takes 20
    #[arg(long, value_name = "SECONDS", value_parser = ntp_examples::text::duration)]
    duration: Option<Duration>,
    /// Write a plot of offset over time at the end
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Clock {
    /// In numbers only; the machine's clock is read and left alone
    Software,
    /// The machine's
    System,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Discipline {
    /// Every sample weighed by what its delay says about it
    Adaptive,
    /// The filter, selection and loop of RFC 5905
    Rfc5905,
}

/// A time that has passed for certain: no clock that shows an earlier one is right.
const MADE: &str = "2026-11-01T00:00:00Z";

fn made() -> Result<UnixTime, Failure> {
    Ok(MADE.parse().map_err(std::io::Error::other)?)
}

/// Sources the adaptive engine fuses; more are measured and shown.
const FUSED: usize = 16;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match check(&arguments).and_then(|policy| run(&arguments, policy).map_err(|error| error.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ntp-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the arguments ask of the clock, if they fit together.
fn check(arguments: &Arguments) -> Result<Policy, String> {
    if arguments.minpoll > arguments.maxpoll {
        return Err(format!("--minpoll {} is above --maxpoll {}", arguments.minpoll, arguments.maxpoll));
    }
    match (arguments.clock, arguments.adjust) {
        (Clock::System, false) => return Err("--clock system changes the machine's clock: say --adjust too".into()),
        (Clock::Software, true) => return Err("--adjust is for --clock system".into()),
        (Clock::System, true) if !has_sources(arguments) => return Err("--adjust needs servers to follow".into()),
        _ => {}
    }
    let mut policy = Policy::default();
    if let Some([threshold, limit]) = arguments.makestep.as_deref() {
        policy.step_threshold = NtpDuration::from_seconds_f64(*threshold);
        policy.step_limit = step_limit(*limit);
    }
    policy.validated().map_err(|error| error.to_string())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
fn step_limit(limit: f64) -> StepLimit {
    match limit {
        limit if limit < 0.0 => StepLimit::Always,
        0.0 => StepLimit::Never,
        limit => StepLimit::First(limit as u32),
    }
}

fn has_sources(arguments: &Arguments) -> bool {
    let Arguments { server, pool, region, config, .. } = arguments;
    !server.is_empty() || !pool.is_empty() || !region.is_empty() || config.is_some()
}

fn run(arguments: &Arguments, policy: Policy) -> Result<bool, Failure> {
    let stop = Stop::on_signals()?;
    match arguments.engine {
        Discipline::Adaptive => {
            let engine = adaptive::Engine::<FUSED>::new(policy).map_err(std::io::Error::other)?;
            run_with(arguments, engine, &stop)
        }
        Discipline::Rfc5905 => {
            let engine = rfc5905::Engine::new(policy, rfc5905::Options::default()).map_err(std::io::Error::other)?;
            run_with(arguments, engine, &stop)
        }
    }
}

fn run_with<E: Engine>(arguments: &Arguments, engine: E, stop: &Stop) -> Result<bool, Failure> {
    let seed = getrandom::u64().map_err(std::io::Error::from)?;
    let system = System::new(engine, SystemConfig { seed, precision: Precision::default() });
    let style = Style::choose(arguments.json);
    if has_sources(arguments) {
        follow(arguments, system, stop, style)
    } else {
        demonstrate(arguments, system, stop, style)
    }
}

fn demonstrate<E: Engine>(
    arguments: &Arguments,
    mut system: System<E>,
    stop: &Stop,
    style: Style,
) -> Result<bool, Failure> {
    let clock = SoftwareClock::realtime().with_offset(demo::OFFSET).with_frequency_error(demo::FREQUENCY_ERROR);
    let now = clock.read()?.at;
    let servers = Servers::on_loopback(&demo::SERVER_ERRORS)?;
    for address in servers.addresses()? {
        system.add_source(address, demo::source_config(), now).map_err(std::io::Error::other)?;
    }
    let mut view = View::new(style, "ntp-agent: four servers on loopback, one of them wrong");
    view.begin()?;
    let clock = AgentClock::Software(clock);
    let mut agent = Agent::new(system, clock, Roster::default(), servers, Drift::default())?;
    agent.run(Some(arguments.duration.unwrap_or(demo::DURATION)), stop, &mut view)?;
    view.end();
    let report = summary::demonstration(&agent)?;
    view.finish(&report)?;
    draw(arguments.plot.clone().or_else(|| Some(demo::PLOT.into())), &agent, &mut view)?;
    Ok(report.is_good)
}

fn follow<E: Engine>(arguments: &Arguments, system: System<E>, stop: &Stop, style: Style) -> Result<bool, Failure> {
    let (wanted, complaints) = wanted(arguments)?;
    let drift = Drift::load(arguments.driftfile.clone()).map_err(std::io::Error::other)?;
    let mut clock = match arguments.clock {
        Clock::Software => AgentClock::Software(SoftwareClock::realtime()),
        Clock::System => AgentClock::System(MachineClock::new()?),
    };
    let title = match arguments.clock {
        Clock::Software => "ntp-agent: a software clock; the machine's is left alone",
        Clock::System => "ntp-agent: the machine's clock",
    };
    let mut view = View::new(style, title);
    view.begin()?;
    for complaint in complaints {
        view.say(Duration::ZERO, &complaint)?;
    }
    if let Some(lag) = known_lag(SystemTime::now().into(), made()?) {
        let _ = clock.apply(&ClockCommand::Step { offset: lag, frequency: Frequency::ZERO })?;
        view.say(Duration::ZERO, &format!("the clock shows a time before {MADE}: stepped to that"))?;
    }
    let mut agent = Agent::new(system, clock, Roster::new(wanted), Servers::default(), drift)?;
    agent.run(arguments.duration, stop, &mut view)?;
    view.end();
    let report = summary::following(&agent)?;
    view.finish(&report)?;
    draw(arguments.plot.clone(), &agent, &mut view)?;
    Ok(report.is_good)
}

fn wanted(arguments: &Arguments) -> Result<(Vec<Wanted>, Vec<String>), Failure> {
    let keys = arguments.keys.as_deref().map(|path| KeyFile::read(path, None)).transpose();
    let keys = keys.map_err(std::io::Error::other)?;
    let mut complaints = keys.as_ref().map_or(Vec::new(), |keys| keys.complaints().to_vec());
    let key = keys.as_ref().zip(arguments.key).map(|(keys, id)| keys.key(id)).transpose();
    let config = SourceConfig {
        min_poll: Poll::from_log2(arguments.minpoll),
        max_poll: Poll::from_log2(arguments.maxpoll),
        iburst: arguments.iburst,
        interleaved: arguments.interleaved,
        key: key.map_err(std::io::Error::other)?,
        ..SourceConfig::default()
    };
    let servers = arguments.server.iter().map(|host| Wanted::server(host.clone(), config.clone()));
    let pools = arguments.pool.iter().map(|host| Wanted::pool(host.clone(), config.clone()));
    let regions = arguments.region.iter().flat_map(|region| Wanted::region(*region, config.clone()));
    let mut wanted: Vec<_> = servers.chain(pools).chain(regions).collect();
    if let Some(path) = &arguments.config {
        let (more, why_not) = Wanted::read(path, &config, keys.as_ref()).map_err(std::io::Error::other)?;
        wanted.extend(more);
        complaints.extend(why_not);
    }
    if wanted.is_empty() {
        let why = complaints.iter().map(|complaint| format!("\n  {complaint}")).collect::<String>();
        return Err(std::io::Error::other(format!("no server to follow{why}")).into());
    }
    Ok((wanted, complaints))
}

/// The plot, if one is wanted. That it cannot be written does not make the run a failure.
fn draw<E: Engine>(path: Option<PathBuf>, agent: &Agent<E>, view: &mut View) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let line = match plot::write(&path, "Offset of the clock", agent.trace()) {
        Ok(()) => format!("plot      {}", path.display()),
        Err(error) => format!("plot      {} was not written: {error}", path.display()),
    };
    Ok(view.print(&line)?)
}
