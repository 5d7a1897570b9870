//! Drift files and the last known time.

#![allow(clippy::unwrap_used)] // tests

use atomic_file::AtomicError;
use ntp_clock::{restored, DriftError, DriftFile, FileError, LastTime};
use ntp_types::{Frequency, UnixTime};
use proptest::prelude::*;

#[test]
fn a_drift_file_keeps_its_form() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drift");
    assert_eq!(DriftFile::load(&path).unwrap(), None);
    let drift = DriftFile { frequency: Frequency::from_ppm_f64(12.345), skew: Some(Frequency::from_ppm_f64(0.5)) };
    drift.save(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "12.345\n");
    std::fs::write(&path, "           -1.000000             0.100000\n").unwrap();
    assert_eq!(DriftFile::load(&path).unwrap().unwrap().frequency, Frequency::from_ppm(1));
    drift.save(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "          -12.345000             0.500000\n");
    std::fs::write(&path, "oops").unwrap();
    assert!(matches!(DriftFile::load(&path), Err(FileError::Content { error: DriftError::Number { .. }, .. })));
}

/// A pipe that nobody writes into would never come to an end, nor would a device.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [directory.path(), &pipe, std::path::Path::new("/dev/zero")] {
        let refused = |error: &AtomicError| matches!(error, AtomicError::NotRegular { .. });
        assert!(matches!(DriftFile::load(path), Err(FileError::File(error)) if refused(&error)), "{}", path.display());
        for form in [LastTime::Text, LastTime::Modified] {
            assert!(matches!(form.load(path), Err(FileError::File(error)) if refused(&error)), "{}", path.display());
            let time = UnixTime::from_seconds(1_800_000_000);
            assert!(matches!(form.save(path, time), Err(FileError::File(error)) if refused(&error)), "{form:?}");
        }
    }
}

#[test]
fn what_is_no_drift_is_refused() {
    for (text, message) in [
        ("", "expected one number (ntpd) or two (chrony), found 0"),
        ("1 2 3", "expected one number (ntpd) or two (chrony), found 3"),
        ("nan", "\"nan\" is not a number"),
        ("inf 0.1", "\"inf\" is not a number"),
        ("1e9", "1000000000 ppm is beyond the 10 % a clock can be corrected by"),
    ] {
        assert_eq!(text.parse::<DriftFile>().unwrap_err().to_string(), message);
    }
    assert_eq!("3.5 0".parse::<DriftFile>().unwrap().frequency, Frequency::from_ppm_f64(3.5));
}

#[test]
fn the_last_time_never_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let at = |text: &str| text.parse::<UnixTime>().unwrap();
    let (early, late) = (at("2025-12-31T23:59:59Z"), at("2026-03-01T12:00:00Z"));
    for form in [LastTime::Text, LastTime::Modified] {
        let path = directory.path().join(format!("{form:?}"));
        assert_eq!(form.load(&path).unwrap(), None);
        assert!(form.save(&path, late).unwrap());
        assert!(!form.save(&path, early).unwrap());
        assert_eq!(form.load(&path).unwrap(), Some(late));
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("Text")).unwrap(), "2026-03-01 12:00:00\n");
    assert_eq!(restored(early, late), Some(late));
    assert_eq!(restored(late, early), None);
    assert_eq!(restored(late, late), None);
    let path = directory.path().join("broken");
    std::fs::write(&path, "2026-13-01 12:00:00\n").unwrap();
    assert!(LastTime::Text.load(&path).is_err());
    assert!(LastTime::Text.save(&path, early).unwrap(), "a broken file is replaced");
}

proptest! {
    #[test]
    fn drift_files_round_trip_in_both_forms(micro in -500_000_000_i64..500_000_000, skew in 0_i64..2_000_000_000) {
        #[allow(clippy::cast_precision_loss)] // exact below 2⁵³
        let ppm = |micro: i64| Frequency::from_ppm_f64(micro as f64 / 1e6);
        let drift = DriftFile { frequency: ppm(micro), skew: Some(ppm(skew)) };
        let back: DriftFile = drift.to_chrony().parse().unwrap();
        prop_assert_eq!(back, drift);
        let back: DriftFile = drift.to_ntpd().parse().unwrap();
        prop_assert!((back.frequency - drift.frequency).abs() <= Frequency::from_ppm_f64(0.000_501));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = text.parse::<DriftFile>().is_ok();
    }
}
