//! Synchronises a clock. Without arguments: a demonstration on loopback that needs neither a network nor privilege.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use ntp_client::{known_lag, System, SystemConfig};
use ntp_clock::{ReadClock, SoftwareClock, SteerClock};
use ntp_discipline::{adaptive, rfc5905, Engine, Policy, StepLimit};
use ntp_examples::agent::{Agent, Arguments, Clock, Discipline, Failure};
use ntp_examples::clock::AgentClock;
use ntp_examples::demo::{self, Servers};
use ntp_examples::drift::Drift;
use ntp_examples::machine::MachineClock;
use ntp_examples::output::remark;
use ntp_examples::plot;
use ntp_examples::roster::Roster;
use ntp_examples::stop::Stop;
use ntp_examples::summary;
use ntp_examples::view::{Style, View};
use ntp_types::{ClockCommand, Frequency, Precision, UnixTime};

/// A time that has passed for certain: no clock that shows an earlier one is right.
const MADE: &str = "2026-11-01T00:00:00Z";

/// Sources the adaptive engine fuses; more are measured and shown.
const FUSED: usize = 16;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let policy = match arguments.policy() {
        Ok(policy) => policy,
        Err(error) => return failed(error, 2),
    };
    match run(&arguments, policy) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Who reads has seen enough. That the machine's clock is steered no more is to be heard all the same.
        Err(Failure::Io(error)) if error.kind() == ErrorKind::BrokenPipe && !arguments.adjust => ExitCode::SUCCESS,
        Err(error) => failed(error, 1),
    }
}

fn failed(error: impl Display, status: u8) -> ExitCode {
    remark(format_args!("ntp-agent: {error}"));
    ExitCode::from(status)
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
    if arguments.has_sources() {
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
    let (wanted, complaints) = arguments.wanted()?;
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
    let made: UnixTime = MADE.parse().map_err(std::io::Error::other)?;
    let may_step = system.engine().policy().step_limit != StepLimit::Never;
    if let Some(lag) = known_lag(SystemTime::now().into(), made).filter(|_| may_step) {
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

/// The plot, if one is wanted. That it cannot be written is said and does not make the run a failure.
fn draw<E: Engine>(path: Option<PathBuf>, agent: &Agent<E>, view: &mut View) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    match plot::write(&path, "Offset of the clock", agent.trace()) {
        Ok(()) => view.print(&format!("plot      {}", path.display()))?,
        Err(error) => remark(format_args!("ntp-agent: {} was not written: {error}", path.display())),
    }
    Ok(())
}
