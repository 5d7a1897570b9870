//! The association mode (RFC 5905 §7.3, figure 10).

use core::fmt;
use core::str::FromStr;

use ntp_types::ParseCodeError;

/// What a packet is for. Three bits, all named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Reserved (0). In version 1, which had no mode field, a client's request.
    Reserved,
    /// A peer that wants to synchronise and to be synchronised to (1).
    SymmetricActive,
    /// The answer of such a peer that has no association of its own (2).
    SymmetricPassive,
    /// A client's request (3).
    #[default]
    Client,
    /// A server's answer (4).
    Server,
    /// A server's unasked time (5).
    Broadcast,
    /// NTP control message (6, RFC 9327): another format, see [`control`](crate::control).
    Control,
    /// Private use, ntpdc (7): another format, see [`private`](crate::private).
    Private,
}

impl Mode {
    /// From the three low bits; the others are ignored.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Reserved,
            1 => Self::SymmetricActive,
            2 => Self::SymmetricPassive,
            3 => Self::Client,
            4 => Self::Server,
            5 => Self::Broadcast,
            6 => Self::Control,
            _ => Self::Private,
        }
    }

    /// The three bits.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reserved => "reserved",
            Self::SymmetricActive => "symmetric-active",
            Self::SymmetricPassive => "symmetric-passive",
            Self::Client => "client",
            Self::Server => "server",
            Self::Broadcast => "broadcast",
            Self::Control => "control",
            Self::Private => "private",
        })
    }
}

/// The word of `Display`, or the number.
impl FromStr for Mode {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        match text {
            "reserved" | "0" => Ok(Self::Reserved),
            "symmetric-active" | "1" => Ok(Self::SymmetricActive),
            "symmetric-passive" | "2" => Ok(Self::SymmetricPassive),
            "client" | "3" => Ok(Self::Client),
            "server" | "4" => Ok(Self::Server),
            "broadcast" | "5" => Ok(Self::Broadcast),
            "control" | "6" => Ok(Self::Control),
            "private" | "7" => Ok(Self::Private),
            _ => Err(ParseCodeError { expected: "mode (client, server, … or 0 to 7)" }),
        }
    }
}
