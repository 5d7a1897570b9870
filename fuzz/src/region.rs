//! The region as cloud-init's instance data and xenstore's answers name it: only what stands there, only where it may stand.

use std::io::{Cursor, Read, Result, Write};

use serde_json::Value;
use xen_wallclock::{region_of_instance_data, region_of_xenstore};

/// Any octets as either.
pub fn region(data: &[u8]) {
    instance_data(data);
    let answered = region_of_xenstore(&mut Bus(Cursor::new(data.to_vec()))).ok().map(|hint| hint.region);
    assert_eq!(answered, plain_answer(data));
}

fn instance_data(data: &[u8]) {
    let found = region_of_instance_data(data).map(|hint| hint.region);
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return assert_eq!(found, None) };
    // By going through all that is below the two places, one after the other.
    let mut named = Vec::new();
    let mut left: Vec<&Value> = json.get("ds").into_iter().collect();
    while let Some(value) = left.pop() {
        if let Some(members) = value.as_object() {
            named.extend(members.get("region").and_then(Value::as_str).filter(|name| !name.is_empty()));
            left.extend(members.values());
        }
        left.extend(value.as_array().into_iter().flatten());
    }
    match json.get("v1").and_then(|v1| v1.get("region")).and_then(Value::as_str) {
        Some(standard) if !standard.is_empty() => assert_eq!(found.as_deref(), Some(standard)),
        _ => match found {
            Some(found) => assert!(named.contains(&found.as_str()), "{found} is not one of {named:?}"),
            None => assert!(named.is_empty(), "none of {named:?} was found"),
        },
    }
}

/// What a message of the store says, octet by octet.
fn plain_answer(data: &[u8]) -> Option<String> {
    let word = |place: usize| Some(u32::from_ne_bytes(data.get(place..place + 4)?.try_into().ok()?));
    let length = usize::try_from(word(12)?).ok()?;
    if word(0)? != 2 || length > 4096 {
        return None;
    }
    let text = String::from_utf8_lossy(data.get(16..16 + length)?).into_owned();
    let text = text.trim_end_matches('\0').trim().trim_matches('"');
    (!text.is_empty()).then(|| text.to_owned())
}

/// A device that swallows the question and gives the answer.
struct Bus(Cursor<Vec<u8>>);

impl Read for Bus {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Bus {
    fn write(&mut self, question: &[u8]) -> Result<usize> {
        Ok(question.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
