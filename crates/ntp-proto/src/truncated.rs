//! The one way formats of fixed layout (modes 6 and 7, NTPv5, NTP over PTP) can be refused: octets are missing.

/// A message ends before a field does, or a buffer before what is written into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} at octet {offset} needs {needed} octets, had {had}")]
pub struct Truncated {
    /// The field, in the format's words.
    pub field: &'static str,
    /// Where it begins, in octets from the start of the message.
    pub offset: usize,
    /// Octets it needs.
    pub needed: usize,
    /// Octets left there.
    pub had: usize,
}

/// Writes the parts one after the other and says how many octets they have; nothing when they do not all fit.
pub(crate) fn write_parts<const N: usize>(
    field: &'static str,
    parts: [&[u8]; N],
    out: &mut [u8],
) -> Result<usize, Truncated> {
    let needed = parts.iter().map(|part| part.len()).sum();
    let had = out.len();
    let places = out.get_mut(..needed).ok_or(Truncated { field, offset: 0, needed, had })?;
    for (place, octet) in places.iter_mut().zip(parts.into_iter().flatten()) {
        *place = *octet;
    }
    Ok(needed)
}
