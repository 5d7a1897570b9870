//! What came of a run: a few lines for people, an object for programs, and whether it was good.

use ntp_client::{Counters, Snapshot};
use ntp_discipline::{Engine, Status, Verdict};
use ntp_types::NtpDuration;
use serde_json::{json, Value};

use crate::address;
use crate::agent::{Agent, Failure};
use crate::demo;
use crate::text::{magnitude, ppm, signed};
use crate::{json as object, table};

/// The end of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// For people.
    pub lines: Vec<String>,
    /// For programs.
    pub json: Value,
    /// Whether the program succeeded.
    pub is_good: bool,
}

/// Of the demonstration: truth is known, so the claims are held to it.
///
/// # Errors
/// The clock's.
pub fn demonstration<E: Engine>(agent: &Agent<E>) -> Result<Report, Failure> {
    let snapshot = agent.snapshot()?;
    let system = &snapshot.system;
    let truth = agent.true_offset().unwrap_or(NtpDuration::MAX);
    let is_synchronized = system.status == Status::Synchronized;
    let is_honest = truth.abs() <= system.bound;
    let is_close = truth.abs() <= demo::GOOD_ENOUGH;
    let falsetickers = by_verdict(&snapshot, |verdict| verdict == Verdict::Falseticker);
    let agree = by_verdict(&snapshot, Verdict::is_truechimer);
    let found_out = demo::is_found_out(&snapshot);
    let lines = vec![
        format!(
            "clock     {}: started {} behind, is now off by {}",
            system.status,
            magnitude(demo::OFFSET),
            signed(truth)
        ),
        bound(&snapshot, is_honest),
        format!(
            "frequency {} fast, corrected by {}",
            ppm(demo::FREQUENCY_ERROR).trim_start_matches('+'),
            ppm(system.frequency)
        ),
        format!("servers   {} agree, rejected: {}", agree.len(), list(&falsetickers)),
        traffic(&snapshot),
        result(is_synchronized && is_honest && is_close && found_out, || {
            let mut why = Vec::new();
            if !is_synchronized {
                why.push("the clock is not synchronised".to_string());
            }
            if !is_honest {
                why.push("its error is beyond the bound it claims".into());
            }
            if !is_close {
                why.push(format!("it is more than {} off", magnitude(demo::GOOD_ENOUGH)));
            }
            if !found_out {
                why.push("the wrong server was not found out".into());
            }
            why.join(", ")
        }),
    ];
    let is_good = is_synchronized && is_honest && is_close && found_out;
    let json = json!({
        "type": "summary",
        "good": is_good,
        "status": system.status.to_string(),
        "true_offset": object::seconds(truth),
        "bound": object::seconds(system.bound),
        "frequency_ppm": system.frequency.to_ppm_f64(),
        "requests": sum(&snapshot, |counters| counters.sent),
        "good_replies": sum(&snapshot, |counters| counters.accepted),
        "rejected": falsetickers,
    });
    Ok(Report { lines, json, is_good })
}

/// Of real use: only the client's own word counts.
///
/// # Errors
/// The clock's.
pub fn following<E: Engine>(agent: &Agent<E>) -> Result<Report, Failure> {
    let snapshot = agent.snapshot()?;
    let system = &snapshot.system;
    // In holdover the bound still holds: a server that is silent at the very end is no failure.
    let is_good = system.status != Status::Unsynchronized;
    // Of a software clock, what is left alone is what it was corrected by and what is still to be.
    let machine = agent.clock().ahead().map(|ahead| ahead + system.offset);
    let mut lines = vec![table::clock(&snapshot, table::Paint::Plain)];
    if let (Some(machine), true) = (machine, system.updated.is_some()) {
        let side = if machine.is_negative() { "ahead of" } else { "behind" };
        lines.push(format!(
            "machine  its own clock is {} {side} true time, ± {}",
            magnitude(machine),
            magnitude(system.bound)
        ));
    }
    if agent.stepped() != NtpDuration::ZERO {
        lines.push(format!("steps    {} in all", signed(agent.stepped())));
    }
    lines.push(String::new());
    lines.extend(table::sources(&snapshot, table::Paint::Plain).lines().map(str::to_string));
    let json = json!({
        "type": "summary",
        "good": is_good,
        "status": system.status.to_string(),
        "offset": object::seconds(system.offset),
        "bound": object::seconds(system.bound),
        "frequency_ppm": system.frequency.to_ppm_f64(),
        "requests": sum(&snapshot, |counters| counters.sent),
        "good_replies": sum(&snapshot, |counters| counters.accepted),
        "stepped": object::seconds(agent.stepped()),
        "machine_offset": machine.map(object::seconds),
    });
    Ok(Report { lines, json, is_good })
}

fn bound(snapshot: &Snapshot, is_honest: bool) -> String {
    if snapshot.system.status == Status::Unsynchronized {
        return "bound     none claimed".into();
    }
    let kept = if is_honest { "kept" } else { "NOT kept" };
    format!("bound     ± {} claimed: {kept}", magnitude(snapshot.system.bound))
}

fn by_verdict(snapshot: &Snapshot, is: impl Fn(Verdict) -> bool) -> Vec<String> {
    let sources = snapshot.sources.iter().filter(|source| is(source.estimate.verdict));
    sources.map(|source| address::show(source.address)).collect()
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

fn sum(snapshot: &Snapshot, count: fn(&Counters) -> u64) -> u64 {
    snapshot.sources.iter().map(|source| count(&source.counters)).sum()
}

fn traffic(snapshot: &Snapshot) -> String {
    let (sent, good) = (sum(snapshot, |counters| counters.sent), sum(snapshot, |counters| counters.accepted));
    format!("packets   {sent} requests, {good} good replies")
}

fn result(is_good: bool, why: impl FnOnce() -> String) -> String {
    if is_good {
        "result    within its bounds".into()
    } else {
        format!("result    NOT within bounds: {}", why())
    }
}
