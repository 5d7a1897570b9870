//! Kiss codes: why a server refused to give time (RFC 5905 §7.4, IANA "NTP Kiss-o'-Death Codes").

use core::fmt;
use core::str::FromStr;

use crate::{ParseCodeError, ReferenceId};

macro_rules! kiss_codes {
    ($($(#[$doc:meta])* $name:ident = $octets:literal,)*) => {
        /// A kiss code: the reference id of a packet of stratum 0, as four ASCII octets.
        ///
        /// All codes IANA lists are named; every other is kept.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub enum KissCode {
            $($(#[$doc])* $name,)*
            /// Any other four octets. Those that begin with `X` are experimental (RFC 5905 §7.4).
            Other([u8; 4]),
        }

        impl KissCode {
            /// Every named code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// From the reference id's four octets.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 4]) -> Self {
                match &bytes {
                    $($octets => Self::$name,)*
                    _ => Self::Other(bytes),
                }
            }

            /// The four octets.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 4] {
                match self {
                    $(Self::$name => *$octets,)*
                    Self::Other(bytes) => bytes,
                }
            }
        }
    };
}

kiss_codes! {
    /// The association belongs to an anycast server.
    Anycast = b"ACST",
    /// Server authentication failed.
    AuthenticationFailed = b"AUTH",
    /// Autokey sequence failed.
    AutokeyFailed = b"AUTO",
    /// The association belongs to a broadcast server.
    Broadcast = b"BCST",
    /// Cryptographic authentication or identification failed.
    CryptoFailed = b"CRYP",
    /// Access denied by the remote server: stop.
    Deny = b"DENY",
    /// Lost peer in symmetric mode.
    Drop = b"DROP",
    /// Access denied by local policy: stop.
    Restrict = b"RSTR",
    /// The association has not yet synchronised for the first time.
    Init = b"INIT",
    /// The association belongs to a dynamically discovered server.
    Manycast = b"MCST",
    /// No key found.
    NoKey = b"NKEY",
    /// Network Time Security negative acknowledgement (RFC 8915).
    NtsNak = b"NTSN",
    /// The server asks for a lower rate: lengthen the poll interval (erratum 3007 to RFC 5905).
    Rate = b"RATE",
    /// Somebody is tinkering with the association from a remote host running `ntpdc`.
    Remote = b"RMOT",
    /// A step change in system time has occurred, but the association has not yet resynchronised.
    Step = b"STEP",
}

/// What a kiss code asks of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KissAction {
    /// Stop polling this server.
    Stop,
    /// Poll this server less often.
    SlowDown,
    /// Run key establishment again before the next request (RFC 8915 §5.7).
    Renegotiate,
    /// Nothing to obey: the packet is not time, and that is all.
    None,
}

impl KissCode {
    /// What the protocol asks of a client that got it (RFC 5905 §7.4, RFC 8915 §5.7).
    #[must_use]
    pub const fn action(self) -> KissAction {
        match self {
            Self::Deny | Self::Restrict => KissAction::Stop,
            Self::Rate => KissAction::SlowDown,
            Self::NtsNak => KissAction::Renegotiate,
            _ => KissAction::None,
        }
    }
}

impl From<KissCode> for ReferenceId {
    fn from(code: KissCode) -> Self {
        Self::from_bytes(code.to_bytes())
    }
}

/// The four letters; octets that are not printable ASCII as hexadecimal.
impl fmt::Display for KissCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::refid::write_ascii_or_hex(f, self.to_bytes())
    }
}

/// One to four ASCII letters or digits, any case.
impl FromStr for KissCode {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        let mut bytes = [0; 4];
        let is_code = !text.is_empty() && text.len() <= 4 && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
        if !is_code {
            return Err(ParseCodeError { expected: "kiss code (one to four letters)" });
        }
        for (place, octet) in bytes.iter_mut().zip(text.bytes()) {
            *place = octet.to_ascii_uppercase();
        }
        Ok(Self::from_bytes(bytes))
    }
}
