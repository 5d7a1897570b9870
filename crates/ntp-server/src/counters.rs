//! What a server did, counted by reason.

/// Datagrams by what became of them. They add up to [`received`](Self::received).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams handed in.
    pub received: u64,
    /// Answered with time.
    pub answered: u64,
    /// Answered with a crypto-NAK: signed with a key this server does not hold.
    pub crypto_naks: u64,
    /// Answered with the kiss NTSN: NTS cookies this server cannot open.
    pub nts_naks: u64,
    /// Dropped: too short or malformed.
    pub malformed: u64,
    /// Dropped: a version this server does not speak.
    pub versions: u64,
    /// Dropped: a mode that asks for nothing.
    pub modes: u64,
    /// Dropped: control messages (modes 6 and 7).
    pub control: u64,
    /// Dropped: from a source that nothing can be sent to.
    pub sources: u64,
    /// Dropped: the buffer for the answer was too short.
    pub no_room: u64,
}
