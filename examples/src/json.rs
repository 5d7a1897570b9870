//! One object per line, for programs. Spans are seconds, frequencies ppm.

use ntp_client::{Event, Snapshot, SourceSnapshot};
use ntp_types::NtpDuration;
use serde_json::{json, Value};

/// A span in seconds.
#[must_use]
pub fn seconds(duration: NtpDuration) -> Value {
    json!(duration.to_seconds_f64())
}

/// A snapshot; `time` is seconds since the start, `true_offset` how far the clock really is off, where that is known.
#[must_use]
pub fn snapshot(time: f64, snapshot: &Snapshot, true_offset: Option<NtpDuration>) -> Value {
    let system = &snapshot.system;
    json!({
        "type": "status",
        "time": time,
        "status": system.status.to_string(),
        "leap": system.leap.to_string(),
        "stratum": system.stratum.to_bits(),
        "reference_id": snapshot.standing.reference_id.to_string(),
        "system_peer": snapshot.system_peer.map(|peer| peer.to_string()),
        "survivors": system.survivors,
        "offset": seconds(system.offset),
        "bound": seconds(system.bound),
        "true_offset": true_offset.map(seconds),
        "frequency_ppm": system.frequency.to_ppm_f64(),
        "wander_ppm": system.wander.to_ppm_f64(),
        "jitter": seconds(system.jitter),
        "root_delay": seconds(system.root_delay),
        "root_dispersion": seconds(system.root_dispersion),
        "age": system.updated.map(|updated| snapshot.at.since(updated).as_secs_f64()),
        "sources": snapshot.sources.iter().map(|it| source(it, snapshot)).collect::<Vec<_>>(),
    })
}

fn source(source: &SourceSnapshot, snapshot: &Snapshot) -> Value {
    let (estimate, counters) = (&source.estimate, &source.counters);
    json!({
        "address": source.address.to_string(),
        "verdict": estimate.verdict.to_string(),
        "reach": source.reach.to_bits(),
        "poll": source.poll.log2(),
        "offset": seconds(estimate.offset),
        "bound": seconds(estimate.bound),
        "delay": seconds(estimate.delay),
        "jitter": seconds(estimate.jitter),
        "root_distance": seconds(estimate.root_distance),
        "frequency_ppm": estimate.frequency.map(|frequency| frequency.to_ppm_f64()),
        "samples": estimate.samples,
        "age": estimate.last.map(|last| snapshot.at.since(last).as_secs_f64()),
        "stratum": source.server.map(|server| server.stratum.to_bits()),
        "server_reference_id": source.server.map(|server| server.reference_id.to_string()),
        "server_root_delay": source.server.map(|server| seconds(server.root_delay.to_duration())),
        "server_root_dispersion": source.server.map(|server| seconds(server.root_dispersion.to_duration())),
        "server_precision": source.server.map(|server| server.precision.log2()),
        "server_leap": source.server.map(|server| server.leap.to_string()),
        "kiss": source.kiss.map(|kiss| kiss.to_string()),
        "stopped": source.next.is_none(),
        "unanswered": source.unanswered,
        "last_ignored": source.last_ignored.map(|ignored| ignored.to_string()),
        "sent": counters.sent,
        "accepted": counters.accepted,
        "lost": counters.lost,
        "foreign": counters.foreign,
        "unusable": counters.unusable,
    })
}

/// An event.
#[must_use]
pub fn event(time: f64, event: &Event) -> Value {
    json!({ "type": "event", "time": time, "text": event.to_string() })
}
