//! ARCHITECTURE.md tells the truth: its table against `cargo metadata`. And what every crate keeps to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::process::Command;

/// Floor and our own dependencies of each crate; `None` where any is allowed.
type Floors = BTreeMap<String, (u32, Option<Vec<String>>)>;

fn table() -> Floors {
    let page = include_str!("../../ARCHITECTURE.md");
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut floors = Floors::new();
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let floor = cells[0].parse().expect("a row begins with its floor");
        let mut dependencies = names(cells[3]);
        dependencies.sort();
        let dependencies = if cells[3] == "any" { None } else { Some(dependencies) };
        floors.insert(names(cells[1]).remove(0), (floor, dependencies));
    }
    floors
}

fn metadata() -> serde_json::Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_page_names_every_crate_with_its_true_dependencies() {
    let floors = table();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let (floor, said) = floors.get(name).unwrap_or_else(|| panic!("{name} is not in ARCHITECTURE.md"));
        // Only dependencies by path are ours: a crate of the registry may bear the same name.
        let normal = |dependency: &&serde_json::Value| dependency["kind"].is_null() && dependency["path"].is_string();
        let dependencies = package["dependencies"].as_array().unwrap().iter().filter(normal);
        let mut ours: Vec<String> = dependencies.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
        ours.sort();
        for dependency in &ours {
            assert!(floors[dependency].0 < *floor, "{name} (floor {floor}) depends on {dependency}, not below it");
        }
        if let Some(said) = said {
            assert_eq!(&ours, said, "dependencies of {name}");
        }
    }
    assert_eq!(floors.len(), packages.len(), "the page names a crate that is gone");
}

/// `cargo publish` would take the crate of the registry that bears our dependency's name.
#[test]
fn nothing_is_published_that_needs_what_is_not() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let is_kept = |package: &serde_json::Value| package["publish"].as_array().is_some_and(Vec::is_empty);
    let kept: Vec<&str> = packages.iter().filter(|p| is_kept(p)).map(|p| p["name"].as_str().unwrap()).collect();
    assert!(kept.contains(&"ntp-proto"), "the name is not ours");
    for package in packages.iter().filter(|package| !is_kept(package)) {
        for dependency in package["dependencies"].as_array().unwrap() {
            // Of what only its tests need, a package is published without the path.
            let needed = dependency["path"].is_string() && dependency["kind"] != "dev";
            let name = dependency["name"].as_str().unwrap();
            assert!(!needed || !kept.contains(&name), "{} needs {name}, which is not published", package["name"]);
        }
    }
}

/// Nothing a library hands out keeps its user on one thread: the compiler sees to it.
#[test]
fn every_machine_can_move_to_another_thread() {
    fn moves<T: Send + 'static>() {}
    moves::<ntp_client::Association>();
    moves::<ntp_client::Query>();
    moves::<ntp_client::System<ntp_discipline::adaptive::Engine<8>>>();
    moves::<ntp_client::System<ntp_discipline::rfc5905::Engine>>();
    moves::<ntp_clock::ManualClock>();
    moves::<ntp_clock::PhcClock>();
    moves::<ntp_clock::SoftwareClock>();
    moves::<ntp_clock::SystemClock>();
    moves::<ntp_clock::rtc::AdjTimeFile>();
    moves::<ntp_clock::rtc::DeviceFile>();
    moves::<ntp_clock::rtc::Rtc<ntp_clock::rtc::DeviceFile>>();
    moves::<ntp_conf::Configuration>();
    moves::<ntp_net::Batch>();
    moves::<ntp_net::Poller>();
    moves::<ntp_net::Socket>();
    moves::<ntp_proto::Pending>();
    moves::<ntp_proto::control::Assembly>();
    moves::<ntp_proto::mac::SharedKey>();
    moves::<ntp_server::Monitor>();
    moves::<ntp_server::Server>();
    moves::<xen_wallclock::Plan>();
}

/// Whatever a library refuses fits `Box<dyn Error + Send + Sync>`, and so `?` and another thread: the compiler sees to it.
#[test]
fn every_error_can_be_handed_on() {
    fn fits<E: std::error::Error + Send + Sync + 'static>() {}
    fits::<atomic_file::AtomicError>();
    fits::<ntp_client::AddError>();
    fits::<ntp_client::Ignored>();
    fits::<ntp_clock::ClockError>();
    fits::<ntp_clock::DriftError>();
    fits::<ntp_clock::FileError<ntp_clock::NotATime>>();
    fits::<ntp_clock::OutOfRange>();
    fits::<ntp_clock::rtc::AdjTimeError>();
    fits::<ntp_clock::rtc::ParseRtcModelError>();
    fits::<ntp_clock::rtc::RtcError>();
    fits::<ntp_clock::rtc::RtcTimeError>();
    fits::<ntp_conf::ConfigError>();
    fits::<ntp_conf::InvalidSource>();
    fits::<ntp_conf::NotIncluded>();
    fits::<ntp_conf::Problem>();
    fits::<ntp_conf::Warning>();
    fits::<ntp_discipline::PolicyError>();
    fits::<ntp_discipline::Refusal>();
    fits::<ntp_discipline::leap::LeapListError>();
    fits::<ntp_net::BindError>();
    fits::<ntp_proto::EmitError>();
    fits::<ntp_proto::MessageError>();
    fits::<ntp_proto::NotARequest>();
    fits::<ntp_proto::ParseError>();
    fits::<ntp_proto::Reject>();
    fits::<ntp_proto::Rejected>();
    fits::<ntp_proto::Truncated>();
    fits::<ntp_proto::UnsupportedVersion>();
    fits::<ntp_proto::control::AssemblyError>();
    fits::<ntp_proto::control::ControlEmitError>();
    fits::<ntp_proto::control::VariableError>();
    fits::<ntp_proto::keys::LineError>();
    fits::<ntp_proto::keys::Reason>();
    fits::<ntp_proto::mac::KeyError>();
    fits::<ntp_proto::mac::MacError>();
    fits::<ntp_proto::mac::Unauthentic>();
    fits::<ntp_proto::v5::V5Error>();
    fits::<ntp_server::DropReason>();
    fits::<ntp_server::NotAnswered>();
    fits::<ntp_server::PrefixError>();
    fits::<ntp_types::InvalidTime>();
    fits::<ntp_types::NegativeDuration>();
    fits::<ntp_types::OutOfRange>();
    fits::<ntp_types::ParseCodeError>();
    fits::<ntp_types::ParseTimeError>();
    fits::<rackspace_ntp::UnknownRegion>();
    fits::<xen_wallclock::EnableError>();
    fits::<xen_wallclock::PersistError>();
    fits::<xen_wallclock::Warning>();
    fits::<xen_wallclock::XenstoreError>();
}
