//! What a replacement keeps, follows and refuses.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::os::unix::fs::{symlink, MetadataExt as _, PermissionsExt};
use std::path::Path;

use atomic_file::{AtomicError, Outcome, Replacement, Snapshot, Step};
use proptest::prelude::*;

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[test]
fn equal_bytes_write_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    std::fs::write(&path, "x = 1\n").unwrap();
    let before = std::fs::metadata(&path).unwrap();
    let mut steps = Vec::new();
    let file = Snapshot::read(&path).unwrap();
    let outcome = Replacement::new(&file, b"x = 1\n").on_step(|step| steps.push(step)).run().unwrap();
    assert_eq!(outcome, Outcome::Unchanged);
    assert_eq!(steps, []);
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.ctime(), before.ctime_nsec()), (after.ino(), after.ctime(), after.ctime_nsec()));
}

#[test]
fn an_empty_file_is_not_a_missing_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    assert_eq!(atomic_file::write(&path, b"").unwrap(), Outcome::Created);
    assert_eq!(atomic_file::write(&path, b"").unwrap(), Outcome::Unchanged);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn mode_is_kept_and_may_be_chosen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let missing = Snapshot::read(&path).unwrap();
    assert_eq!(Replacement::new(&missing, b"1").mode(0o600).run().unwrap(), Outcome::Created);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    for mode in [0o640, 0o444, 0o664, 0o4711] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(atomic_file::write(&path, format!("{mode}").as_bytes()).unwrap(), Outcome::Replaced);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, mode);
    }
}

#[test]
fn owner_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    std::fs::write(&path, "1").unwrap();
    if std::os::unix::fs::chown(&path, Some(65_534), Some(1)).is_err() {
        eprintln!("skipped: giving a file away needs root");
        return;
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o6755)).unwrap();
    assert_eq!(atomic_file::write(&path, b"2").unwrap(), Outcome::Replaced);
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (65_534, 1, 0o6755));
}

#[cfg(target_os = "linux")]
#[test]
fn attributes_are_kept() {
    use rustix::fs::{getxattr, setxattr, XattrFlags};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    std::fs::write(&path, "1").unwrap();
    // An access list: owner rw, user 1 rw, group r, mask rw, others r.
    let acl: Vec<u8> = [(1_u16, 6_u16, u32::MAX), (2, 6, 1), (4, 4, u32::MAX), (16, 6, u32::MAX), (32, 4, u32::MAX)]
        .iter()
        .flat_map(|(tag, permissions, id)| {
            [tag.to_le_bytes().to_vec(), permissions.to_le_bytes().to_vec(), id.to_le_bytes().to_vec()].concat()
        })
        .collect();
    let values = [("user.origin", b"guide".to_vec()), ("system.posix_acl_access", [vec![2, 0, 0, 0], acl].concat())];
    let kept: Vec<_> =
        values.iter().filter(|(name, value)| setxattr(&path, *name, value, XattrFlags::empty()).is_ok()).collect();
    if kept.is_empty() {
        eprintln!("skipped: {} is on a file system without extended attributes", path.display());
        return;
    }
    let mode = std::fs::metadata(&path).unwrap().mode();
    assert_eq!(atomic_file::write(&path, b"2").unwrap(), Outcome::Replaced);
    for (name, value) in kept {
        let mut buffer = [0_u8; 256];
        let length = getxattr(&path, *name, &mut buffer[..]).unwrap();
        assert_eq!(&buffer[..length], value, "{name}");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().mode(), mode);
}

#[test]
fn links_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("etc");
    std::fs::create_dir(&real).unwrap();
    std::fs::write(real.join("sysctl.conf"), "1").unwrap();
    let link = directory.path().join("99-sysctl.conf");
    symlink("etc/sysctl.conf", &link).unwrap();
    let file = Snapshot::read(&link).unwrap();
    assert_eq!(file.path(), real.join("sysctl.conf").canonicalize().unwrap());
    assert_eq!(file.replace(b"2").unwrap(), Outcome::Replaced);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read(real.join("sysctl.conf")).unwrap(), b"2");
    assert_eq!(entries(directory.path()), 2);
    assert_eq!(entries(&real), 1);

    // A link to a file that does not exist yet: the file is made, the link stays.
    let dangling = directory.path().join("later");
    symlink("etc/new.conf", &dangling).unwrap();
    assert_eq!(atomic_file::write(&dangling, b"3").unwrap(), Outcome::Created);
    assert_eq!(std::fs::read(real.join("new.conf")).unwrap(), b"3");
    assert!(std::fs::symlink_metadata(&dangling).unwrap().is_symlink());

    // Links in a circle end.
    symlink("circle", directory.path().join("circle")).unwrap();
    assert!(Snapshot::read(directory.path().join("circle")).is_err());
}

#[test]
fn only_regular_files() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path(), Path::new("/dev/null"), Path::new("/")] {
        assert!(matches!(Snapshot::read(path), Err(AtomicError::NotRegular { .. })), "{}", path.display());
    }
    let long = directory.path().join("long");
    std::fs::File::create(&long).unwrap().set_len((16 << 20) + 1).unwrap();
    assert!(matches!(Snapshot::read(&long), Err(AtomicError::TooLong { .. })));
    std::fs::File::create(&long).unwrap().set_len(16 << 20).unwrap();
    assert_eq!(atomic_file::read(&long).unwrap().len(), 16 << 20);
    let nowhere = directory.path().join("missing/file");
    assert_eq!(atomic_file::read(&nowhere).unwrap_err().kind(), Some(std::io::ErrorKind::NotFound));
    let error = atomic_file::write(&nowhere, b"1").unwrap_err();
    assert_eq!(error.kind(), Some(std::io::ErrorKind::NotFound));
    assert!(error.to_string().starts_with("cannot create a copy beside "), "{error}");
}

#[test]
fn a_file_that_changed_is_not_replaced() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("written", |path| std::fs::write(path, "3").unwrap()),
        ("written and of the same length", |path| std::fs::write(path, "x = 2\n").unwrap()),
        ("renamed over", |path| {
            std::fs::write(path.with_extension("new"), "x = 1\n").unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("removed", |path| std::fs::remove_file(path).unwrap()),
        ("given another mode", |path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap()),
        ("made a link", |path| {
            std::fs::rename(path, path.with_extension("moved")).unwrap();
            symlink(path.with_extension("moved"), path).unwrap();
        }),
    ];
    for (what, change) in changes {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, "x = 1\n").unwrap();
        let file = Snapshot::read(&path).unwrap();
        change(&path);
        let before = entries(directory.path());
        let state = std::fs::read(&path).ok();
        let error = file.replace(b"y\n").unwrap_err();
        if what == "removed" {
            // Nothing left to take owner and mode from.
            assert!(matches!(error, AtomicError::Io { .. } | AtomicError::Changed { .. }), "{what}: {error}");
        } else {
            assert!(matches!(error, AtomicError::Changed { .. }), "{what}: {error}");
        }
        assert_eq!(std::fs::read(&path).ok(), state, "{what}");
        assert_eq!(entries(directory.path()), before, "{what}: a temporary file stays");
    }
}

#[test]
fn a_file_that_appeared_is_not_replaced() {
    for step in [Step::Started, Step::Written, Step::Checked] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let file = Snapshot::read(&path).unwrap();
        let replacement = Replacement::new(&file, b"ours").on_step(|reached| {
            if reached == step {
                std::fs::write(&path, "theirs").unwrap();
            }
        });
        assert!(matches!(replacement.run(), Err(AtomicError::Changed { .. })), "{step:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert_eq!(entries(directory.path()), 1);
    }
}

#[test]
fn a_writer_that_comes_between_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    std::fs::write(&path, "1").unwrap();
    let first = Snapshot::read(&path).unwrap();
    let replacement = Replacement::new(&first, b"2").on_step(|step| {
        if step == Step::Synced {
            assert_eq!(atomic_file::write(&path, b"3").unwrap(), Outcome::Replaced);
        }
    });
    assert!(matches!(replacement.run(), Err(AtomicError::Changed { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"3");
    assert_eq!(entries(directory.path()), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read(first: Vec<u8>, second: Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        prop_assert_eq!(atomic_file::write(&path, &first).unwrap(), Outcome::Created);
        let expected = if first == second { Outcome::Unchanged } else { Outcome::Replaced };
        prop_assert_eq!(atomic_file::write(&path, &second).unwrap(), expected);
        let file = Snapshot::read(&path).unwrap();
        prop_assert_eq!(file.bytes(), second.as_slice());
        prop_assert_eq!(entries(directory.path()), 1);
    }
}
