//! `ntp-sim` as it is called: text, JSON, a plot, a comparison.
#![allow(clippy::unwrap_used)] // tests

use std::process::{Command, Output};

use ntp_sim::table::{Row, HEAD};

fn run(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ntp-sim")).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

const ONE: [&str; 5] = ["off10s", "--poll", "free", "--seeds", "1"];

#[test]
fn text_and_json_say_the_same() {
    let (output, text) = run(&ONE);
    assert!(output.status.success() && output.stderr.is_empty(), "no progress where nobody looks");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEAD));
    let row = Row::parse(lines.next().unwrap()).unwrap();
    assert!(lines.next().unwrap().starts_with("one source"));

    let (output, json) = run(&[&ONE[..], &["--json"]].concat());
    assert!(output.status.success() && json.lines().count() == 1, "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["scenario"], &json["poll"]), (&"off10s".into(), &"free".into()));
    let near = |found: Option<f64>, told: &serde_json::Value| {
        let (found, told) = (found.unwrap(), told.as_f64().unwrap());
        assert!((found - told).abs() <= 0.006 * told.max(0.8), "{found} {told}");
    };
    for (column, name) in [
        ("rms", "rms"),
        ("worst", "worst_rms"),
        ("p95", "p95"),
        ("max", "max"),
        ("freq", "rms_frequency"),
        ("1ms", "to_1ms"),
        ("packets", "packets"),
        ("all", "packets_in_all"),
        ("viol", "violations"),
    ] {
        near(row.ours(column), &json[name]);
    }
    near(row.chrony("rms"), &json["chrony"]["rms"]);
    near(row.chrony("1ms"), &json["chrony"]["to_1ms"]);
    near(row.chrony("packets"), &json["chrony"]["packets"]);
    near(row.chrony("ratio"), &json["rms_over_chrony"]);
    near(row.chrony("worst"), &json["worst_over_chrony"]);
    near(row.chrony("freq"), &json["frequency_over_chrony"]);
    near(row.chrony("known"), &json["rms_over_best_known"]);
}

#[test]
fn the_plot_shows_the_offset_in_the_band_of_the_bound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plot.svg");
    let (output, _) = run(&[&ONE[..], &["--plot", path.to_str().unwrap(), "--plot-seed", "3"]].concat());
    assert!(output.status.success());
    let svg = std::fs::read_to_string(&path).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    for label in ["starts 10 s behind", "error bound", "s offset"] {
        assert!(svg.contains(label), "{label}");
    }
    // A filled band in either half, and a line of the offset.
    let count =
        |start: &str, colour: &str| svg.lines().filter(|line| line.starts_with(start) && line.contains(colour)).count();
    assert!(count("<polygon", "#E69F00") >= 2 && count("<polyline", "#1F60C4") >= 2, "{}", svg.len());
}

#[test]
fn a_table_is_compared_with_the_accepted_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.txt");
    let (_, text) = run(&ONE);
    let check = |accepted: &str| {
        std::fs::write(&path, accepted).unwrap();
        run(&[&ONE[..], &["--check", path.to_str().unwrap()]].concat())
    };
    let (output, said) = check(&text);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let (output, said) = check(&text.replace("off10s ", "off11s "));
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("- off11s ") && said.contains("+ off10s "), "{said}");
    let (output, _) = run(&["nowhere"]);
    assert_eq!(output.status.code(), Some(2));
}
