//! The dissector's two views of a datagram: [`json`] for programs, [`text`] for people.

pub mod json;
pub mod text;

use ntp_proto::Message;

/// Whether the message, written again from its parts, is the same octets.
#[must_use]
pub fn round_trip(message: &Message<'_>) -> bool {
    let mut written = vec![0; message.as_bytes().len()];
    message.emit(&mut written).is_ok_and(|length| length == written.len()) && written == message.as_bytes()
}

/// Octets as hexadecimal digits.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The octets of a line of hexadecimal digits, blanks and colons between them left out.
///
/// # Errors
/// Why the line is none.
pub fn unhex(line: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = line.chars().filter(|character| !character.is_whitespace() && *character != ':').collect();
    if digits.len() % 2 == 1 {
        return Err(format!("{} hexadecimal digits, an odd number", digits.len()));
    }
    let value = |at: usize, digit: &char| {
        let value = digit.to_digit(16).and_then(|value| u8::try_from(value).ok());
        value.ok_or_else(|| format!("`{digit}` at place {} is not a hexadecimal digit", at + 1))
    };
    let values: Result<Vec<u8>, String> = digits.iter().enumerate().map(|(at, digit)| value(at, digit)).collect();
    Ok(values?.chunks_exact(2).map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit)).collect())
}
