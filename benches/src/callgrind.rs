//! Instructions of single functions, counted by running this same program under callgrind.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Counts by `keeps_limits`, and fails where it says no; without valgrind nothing is counted, which is said.
#[must_use]
pub fn check(keeps_limits: impl FnOnce() -> bool) -> ExitCode {
    let version = Command::new("valgrind").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        println!("valgrind is not installed: no instructions counted");
        return ExitCode::SUCCESS;
    }
    ExitCode::from(u8::from(!keeps_limits()))
}

/// Runs this program under callgrind with `arguments` and gives the inclusive instructions of each function whose symbol
/// contains one of `names`, in the order of `names`.
///
/// # Panics
/// When valgrind fails.
#[must_use]
pub fn count(arguments: &[&str], names: &[String]) -> Vec<Option<u64>> {
    let program = std::env::current_exe().expect("this program");
    let file = std::env::temp_dir().join(format!("callgrind.{}.out", std::process::id()));
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--demangle=no", "--compress-strings=no", "--compress-pos=no", "-q"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(arguments)
        .status()
        .expect("valgrind");
    assert!(status.success(), "valgrind: {status}");
    let costs = inclusive(&file);
    let _ = std::fs::remove_file(&file);
    let sum = |name: &String| {
        // A function has a block of its own for each source file that something in it was inlined from.
        let blocks = costs.iter().filter(|(symbol, _)| symbol.contains(name)).map(|(_, cost)| *cost);
        blocks.reduce(|a, b| a + b)
    };
    names.iter().map(sum).collect()
}

/// Each function of a callgrind output with the cost of its own lines and of its calls.
fn inclusive(file: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(file).expect("callgrind's output");
    let mut functions: Vec<(String, u64)> = Vec::new();
    for line in text.lines() {
        if let Some(symbol) = line.strip_prefix("fn=") {
            functions.push((symbol.to_owned(), 0));
        } else if line.starts_with(|first: char| first.is_ascii_digit() || first == '+' || first == '-' || first == '*')
        {
            // A position and a cost: of the function's own line or, after `calls=`, of what it called.
            let cost = line.split_ascii_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok());
            if let (Some(function), Some(cost)) = (functions.last_mut(), cost) {
                function.1 += cost;
            }
        }
    }
    functions
}
