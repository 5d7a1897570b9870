//! What a dry run shows: a file as it is and as it would be, as `diff -u` prints it.

use std::path::Path;

use similar::TextDiff;

/// The differences of two texts, empty when there are none. Octets that are not UTF-8 are shown as replaced.
#[must_use]
pub fn unified(path: &Path, before: &[u8], after: &[u8]) -> String {
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let name = path.display().to_string();
    TextDiff::from_lines(&before, &after).unified_diff().header(&name, &name).to_string()
}
