//! Key files: each line stands for itself, and each key read is the key written again.

use ntp_proto::keys::{Dialect, Entry, Keys, LineError};
use ntp_proto::mac::Key;

/// Reads `data` as a key file of both dialects.
pub fn keys(data: &[u8]) {
    for dialect in [Dialect::Ntpd, Dialect::Chrony] {
        let read: Vec<_> = Keys::new(dialect, data).collect();
        let mut results = read.iter();
        for (index, line) in data.split(|&octet| octet == b'\n').enumerate() {
            // A line alone says what it says in the file.
            let mut alone = Keys::new(dialect, line);
            if let Some(result) = alone.next() {
                assert_eq!(results.next(), Some(&at_line(result, index + 1)));
            }
            assert!(alone.next().is_none(), "two keys in one line");
        }
        assert!(results.next().is_none(), "a key from nowhere");
        // What follows costs as much as there are keys, squared; a few show as much as many.
        for result in read.iter().take(8) {
            match result {
                Ok(entry) => check(dialect, data, entry),
                Err(error) => assert!(error.to_string().starts_with("line ")),
            }
        }
    }
}

fn at_line(result: Result<Entry<'_>, LineError>, line: usize) -> Result<Entry<'_>, LineError> {
    result.map(|entry| Entry { line, ..entry }).map_err(|error| LineError { line, ..error })
}

fn check(dialect: Dialect, data: &[u8], entry: &Entry<'_>) {
    let secret: Vec<u8> = entry.secret.octets().collect();
    assert_eq!(secret.len(), entry.secret.len());
    assert!(!entry.secret.is_empty());
    // Written in chrony's form and read again it is the same.
    let digits: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    let line = format!("{} {} HEX:{digits}", entry.id, entry.algorithm);
    let again = Keys::new(Dialect::Chrony, line.as_bytes()).next().unwrap().expect("a key written is a key");
    assert_eq!((again.id, again.algorithm), (entry.id, entry.algorithm));
    assert!(again.secret.octets().eq(secret.iter().copied()));
    // It makes the digest the secret makes, and the last key of an id is the one found.
    let digest = entry.key().expect("every algorithm is built").digest(data);
    assert!(digest.matches(Key::new(entry.algorithm, &secret).unwrap().digest(data).as_bytes()));
    assert_eq!(digest.as_bytes().len(), entry.algorithm.digest_length());
    let found = Keys::new(dialect, data).find(entry.id.get()).expect("it is there");
    assert!(found.line >= entry.line);
}
