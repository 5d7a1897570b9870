//! The writer is killed at every step: the file is the old or the new one, and the next replacement leaves nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use atomic_file::{Outcome, Replacement, Snapshot, Step};

const OLD: &[u8] = b"old line\n";
const NEW: &[u8] = b"new line one\nnew line two\n";

/// Where the child writes and at which step it stops; without these it is not a child.
const PATH: &str = "ATOMIC_FILE_CRASH_PATH";
const STEP: &str = "ATOMIC_FILE_CRASH_STEP";

/// The child: replaces the file, says that it reached its step, and waits there to be killed.
#[test]
fn child() {
    let (Ok(path), Ok(step)) = (std::env::var(PATH), std::env::var(STEP)) else { return };
    let step = Step::ALL[step.parse::<usize>().unwrap()];
    let file = Snapshot::read(&path).unwrap();
    let _ = Replacement::new(&file, NEW)
        .on_step(|reached| {
            if reached == step {
                println!("reached");
                loop {
                    std::thread::park();
                }
            }
        })
        .run()
        .unwrap();
}

/// Runs the child up to `step` and kills it there.
fn kill_writer_at(step: usize, path: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(PATH, path)
        .env(STEP, step.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line.ends_with("reached")), "the writer ended before its step");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
    names.sort();
    names
}

#[test]
fn killed_at_every_step() {
    for existed in [true, false] {
        for (index, step) in Step::ALL.iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("some.conf");
            if existed {
                std::fs::write(&path, OLD).unwrap();
            }
            kill_writer_at(index, &path);
            let found = std::fs::read(&path).ok();
            let expected = match (*step >= Step::Renamed, existed) {
                (true, _) => Some(NEW),
                (false, true) => Some(OLD),
                (false, false) => None,
            };
            assert_eq!(found.as_deref(), expected, "killed at {step:?}, existed: {existed}");
            let others = names(directory.path()).into_iter().filter(|name| name != Path::new("some.conf")).count();
            let has_temporary = (Step::Created..Step::Renamed).contains(step);
            assert_eq!(others, usize::from(has_temporary), "killed at {step:?}, existed: {existed}");

            // The next writer finds the file whole and leaves nothing of the first one.
            let outcome = atomic_file::write(&path, b"third\n").unwrap();
            assert_eq!(outcome, if expected.is_some() { Outcome::Replaced } else { Outcome::Created });
            assert_eq!(names(directory.path()), [Path::new("some.conf")], "killed at {step:?}, existed: {existed}");
            assert_eq!(std::fs::read(&path).unwrap(), b"third\n");
        }
    }
}
