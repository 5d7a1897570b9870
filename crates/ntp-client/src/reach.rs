//! The reachability register (RFC 5905 §9.2): which of the last eight requests brought time.

use core::fmt;

/// Eight bits, the newest request in the lowest: set when its reply brought time.
///
/// Shown in octal, as every NTP program does: `377` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reach(u8);

impl Reach {
    /// From the register's eight bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The register's eight bits.
    #[must_use]
    pub const fn to_bits(self) -> u8 {
        self.0
    }

    /// Whether any of the last eight requests brought time.
    #[must_use]
    pub const fn is_reachable(self) -> bool {
        self.0 != 0
    }

    /// How many of the last eight requests brought time.
    #[must_use]
    pub const fn answered(self) -> u32 {
        self.0.count_ones()
    }

    /// A request went out.
    pub(crate) fn shift(&mut self) {
        self.0 <<= 1;
    }

    /// Its reply brought time.
    pub(crate) fn mark(&mut self) {
        self.0 |= 1;
    }

    /// The last request is taken back: it was discarded by ourselves, which says nothing of the server.
    pub(crate) fn unshift(&mut self) {
        self.0 >>= 1;
    }
}

/// Three octal digits: `017`.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}
