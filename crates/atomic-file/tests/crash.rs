//! The writer is killed at every step: the file is the old or the new one, and nothing else is left; but for a whole copy in
//! the instant between its naming and its renaming, which the next replacement clears.
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

/// Whether the file system knows files without a name.
#[cfg(target_os = "linux")]
fn has_unnamed_files(directory: &Path) -> bool {
    use rustix::fs::{open, Mode, OFlags};
    open(directory, OFlags::TMPFILE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_unnamed_files(_: &Path) -> bool {
    false
}

#[test]
fn killed_at_every_step() {
    let is_unnamed = has_unnamed_files(&std::env::temp_dir());
    println!("files without a name: {is_unnamed}");
    for existed in [true, false] {
        for (index, step) in Step::ALL.iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("some.conf");
            if existed {
                std::fs::write(&path, OLD).unwrap();
            }
            if *step == Step::Named && !existed && is_unnamed {
                continue; // linked to its own name at once
            }
            kill_writer_at(index, &path);
            let found = std::fs::read(&path).ok();
            let expected = match (*step >= Step::Placed, existed) {
                (true, _) => Some(NEW),
                (false, true) => Some(OLD),
                (false, false) => None,
            };
            assert_eq!(found.as_deref(), expected, "killed at {step:?}, existed: {existed}");
            let others: Vec<_> =
                names(directory.path()).into_iter().filter(|name| name != Path::new("some.conf")).collect();
            let first_with_name = if is_unnamed { Step::Named } else { Step::Created };
            let has_temporary = (first_with_name..Step::Placed).contains(step);
            assert_eq!(others.len(), usize::from(has_temporary), "killed at {step:?}, existed: {existed}");
            if *step == Step::Named {
                let name = others[0].to_str().unwrap();
                assert!(name.starts_with(".some.conf.") && name.ends_with(".atomic"), "{name}");
                assert_eq!(std::fs::read(directory.path().join(name)).unwrap(), NEW, "whole");
            }

            // The next writer finds the file whole and leaves nothing of the first one.
            let outcome = atomic_file::write(&path, b"third\n").unwrap();
            assert_eq!(outcome, if expected.is_some() { Outcome::Replaced } else { Outcome::Created });
            assert_eq!(names(directory.path()), [Path::new("some.conf")], "killed at {step:?}, existed: {existed}");
            assert_eq!(std::fs::read(&path).unwrap(), b"third\n");
        }
    }
}
