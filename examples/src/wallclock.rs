//! How the situation of a Xen guest is shown.

use rackspace_ntp::Region;
use serde_json::json;
use xen_wallclock::{Facts, RegionHint, Situation, WallClock};

/// One JSON object.
#[must_use]
pub fn object(facts: &Facts, situation: Situation, hint: Option<&RegionHint>) -> String {
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
        "region": hint.map(|hint| hint.region.clone()),
    });
    format!("{object}\n")
}

/// A line for each thing that is known.
#[must_use]
pub fn lines(facts: &Facts, situation: Situation, hint: Option<&RegionHint>) -> String {
    let version = match (line(&facts.version_major), line(&facts.version_minor)) {
        (Some(major), Some(minor)) => format!(" (Xen {major}.{minor})"),
        _ => String::new(),
    };
    let unknown = || "unknown".to_string();
    let mut lines = vec![
        ("guest", format!("{}{version}", situation.guest)),
        ("kernel", line(&facts.kernel).unwrap_or_else(unknown)),
        ("clocksource", line(&facts.clocksource).unwrap_or_else(unknown)),
        ("wall clock", situation.wall_clock.to_string()),
        ("NTP", if situation.can_synchronize() { "can set the clock" } else { "cannot set the clock" }.into()),
    ];
    if situation.wall_clock == WallClock::Hypervisor {
        lines.push(("to do", "xen-wallclock enable; xen-wallclock persist".into()));
    }
    if let Some((hint, region)) = hint.and_then(|hint| Some((hint, hint.region.parse::<Region>().ok()?))) {
        let [first, second] = region.hosts();
        lines.push(("region", format!("{region}, says {}: {first}, {second}", hint.origin)));
        lines.push(("", format!("ntp-conf set-servers --region {region}")));
    }
    lines.extend(facts.unreadable.iter().map(|path| ("unreadable", path.display().to_string())));
    lines.into_iter().map(|(name, text)| format!("{name:<12} {text}\n")).collect()
}

/// A file's text without its end.
fn line(text: &Option<String>) -> Option<String> {
    text.as_deref().map(|text| text.trim().to_string())
}
