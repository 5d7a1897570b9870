//! The files kept about clocks: `/etc/adjtime` by a plain second reader and octet for octet, drift files and chrony's
//! `rtcfile` and the last known time by what their own text says when it is read again.

use ntp_clock::rtc::{AdjTime, AdjTimeFile, RtcModel, TimeScale};
use ntp_clock::{DriftFile, LastTime};
use ntp_types::UnixTime;

/// Any octets as each of the files.
pub fn clock_files(data: &[u8]) {
    adjtime(data);
    let text = String::from_utf8_lossy(data);
    if let Ok(drift) = text.parse::<DriftFile>() {
        assert!(drift.frequency.to_ppm_f64().abs() <= 100_000.1);
        let again: DriftFile = drift.to_chrony().parse().unwrap();
        assert!((again.frequency - drift.frequency).to_ppm_f64().abs() < 1e-5);
        let again: DriftFile = drift.to_ntpd().parse().unwrap();
        assert!((again.frequency - drift.frequency).to_ppm_f64().abs() < 1e-2);
    }
    if let Ok(model) = text.parse::<RtcModel>() {
        let again: RtcModel = model.to_string().parse().unwrap();
        assert_eq!(again.reference, model.reference);
    }
    if let Ok(time) = LastTime::parse(data) {
        let written = LastTime::to_text(time).unwrap();
        assert_eq!(LastTime::parse(written.as_bytes()).unwrap().seconds(), time.seconds(), "{written}");
    }
}

fn adjtime(data: &[u8]) {
    let file = AdjTimeFile::from_bytes(data);
    assert_eq!(file.to_bytes(), data, "unchanged, it stays octet for octet");
    let read = file.adjtime;
    assert!(read.drift_factor.is_finite() && read.not_adjusted.is_finite());
    let _ = read.correction_at(UnixTime::from_seconds(1_700_000_000));
    // Written and read again it says the same, as far as six decimals go.
    let written = read.to_string();
    let again = AdjTime::parse(written.as_bytes());
    assert_eq!(again.scale, read.scale);
    assert_eq!(again.last_calibration, read.last_calibration);
    assert_eq!(again.last_adjustment, read.last_adjustment);
    assert_eq!(again.to_string(), written);
    // A second reader, for plain files: three lines of plain numbers.
    if let Some(plain) = plain(data) {
        assert_eq!(plain, read);
    }
}

/// `None` where the file is anything but plain.
fn plain(data: &[u8]) -> Option<AdjTime> {
    let text = core::str::from_utf8(data).ok()?;
    let lines: Vec<&str> = text.split('\n').collect();
    let &[first, second, third, ""] = lines.as_slice() else { return None };
    if lines.iter().any(|line| line.len() > 70) {
        return None;
    }
    let is_plain = |word: &str| {
        let digits = word.strip_prefix('-').unwrap_or(word);
        let dots = digits.bytes().filter(|&octet| octet == b'.').count();
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.ends_with(|c: char| c.is_ascii_digit())
            && dots <= 1
            && digits.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
    };
    let words: Vec<&str> = first.split(' ').collect();
    let &[drift, adjusted, left] = words.as_slice() else { return None };
    if ![drift, adjusted, left, second].iter().all(|word| is_plain(word)) {
        return None;
    }
    Some(AdjTime {
        drift_factor: drift.parse().ok()?,
        last_adjustment: adjusted.parse().ok()?,
        not_adjusted: left.parse().ok()?,
        last_calibration: second.parse().ok()?,
        scale: if third == "LOCAL" { TimeScale::Local } else { TimeScale::Utc },
    })
}
