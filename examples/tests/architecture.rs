//! ARCHITECTURE.md tells the truth: its table against `cargo metadata`.

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
