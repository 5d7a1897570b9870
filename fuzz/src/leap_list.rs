//! The table of leap seconds: what was read, written again in the file's form, is read as the same.

use std::fmt::Write as _;

use ntp_discipline::leap::LeapList;
use ntp_types::UnixTime;

/// Seconds from 1900 to 1970.
const UNIX_EPOCH: i64 = 2_208_988_800;

/// Reads `data` as a leap-seconds.list.
pub fn leap_list(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let list = match LeapList::parse(text) {
        Ok(list) => list,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let ntp = |time: UnixTime| time.seconds() + UNIX_EPOCH;
    let mut again = format!("#@ {}\n", ntp(list.expires()));
    if let Some(updated) = list.updated() {
        writeln!(again, "#$ {}", ntp(updated)).unwrap();
    }
    if let Some(words) = list.hash() {
        let words = words.map(|word| format!("{word:x}"));
        writeln!(again, "#h {}", words.join(" ")).unwrap();
    }
    for entry in list.entries() {
        writeln!(again, "{} {} # comment", ntp(entry.from), entry.tai_offset).unwrap();
    }
    assert_eq!(LeapList::parse(&again).as_ref(), Ok(&list), "{again}");
    for pair in list.entries().windows(2) {
        assert!(pair[0].from < pair[1].from && pair[0].tai_offset.abs_diff(pair[1].tai_offset) == 1);
    }
    // Each TAI second around each change is a UTC second not before the last.
    for entry in list.entries() {
        let tai = entry.from.seconds().saturating_add(i64::from(entry.tai_offset));
        let mut before = i64::MIN;
        for tai in tai.saturating_sub(3)..tai.saturating_add(3) {
            if let Some((utc, _)) = list.utc_of(tai) {
                assert!(utc >= before, "{utc} after {before}");
                before = utc;
            }
        }
    }
}
