//! Message authentication with symmetric keys (RFC 5905 §7.3, RFC 8573): the digest algorithms and a ready key.
//!
//! Apart from the packet, because the packet only carries key id and digest; what they are worth the holder of the key
//! says. The digest of a hash is `H(key ‖ packet)`, not HMAC; that of AES is the CMAC of the packet. A digest that is too
//! long for an NTPv4 MAC is cut to 20 octets there, as chrony does.
//!
//! [`Algorithm`] names every key type the key files know. `Key` exists with the feature `mac`, and computes those
//! algorithms whose feature is on: `md5`, `sha1`, `sha2`, `sha3`, `cmac`. With `alloc` too there are `SharedKey`, a key under
//! the id that both sides know, and `KeyRing`, many of them.

use core::fmt;
use core::str::FromStr;

use ntp_types::ParseCodeError;

#[cfg(feature = "mac")]
pub use crate::key::{Digest, Key};
#[cfg(all(feature = "alloc", feature = "mac"))]
pub use crate::shared_key::{KeyRing, SharedKey};

/// The longest digest that fits the MAC of an NTPv4 packet, in octets (RFC 7822 §7.5.1.4: a MAC of 24 octets at most).
pub const MAX_V4_DIGEST: usize = 20;
/// The longest digest of any algorithm here, in octets.
pub const MAX_DIGEST: usize = 64;

macro_rules! algorithms {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $(| $alias:literal)*, $digest:literal, $secret:expr, $feature:literal;)*) => {
        /// A key type: how a key makes a digest of a packet.
        ///
        /// `Display` gives chrony's name, which both daemons' key files use; `FromStr` takes that of ntpd and ntpsec too,
        /// in any case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Algorithm {
            $($(#[$doc])* $variant,)*
        }

        impl Algorithm {
            /// Every algorithm, in the order of its introduction.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Length of its full digest, in octets.
            #[must_use]
            pub const fn digest_length(self) -> usize {
                match self {
                    $(Self::$variant => $digest,)*
                }
            }

            /// The length a secret must have, in octets; `None` where any length but zero will do.
            #[must_use]
            pub const fn secret_length(self) -> Option<usize> {
                match self {
                    $(Self::$variant => $secret,)*
                }
            }

            /// The feature of this crate that computes it.
            #[must_use]
            pub const fn feature(self) -> &'static str {
                match self {
                    $(Self::$variant => $feature,)*
                }
            }

            /// Its name in chrony's key file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl FromStr for Algorithm {
            type Err = ParseCodeError;

            fn from_str(text: &str) -> Result<Self, ParseCodeError> {
                $(for name in [$name $(, $alias)*] {
                    if text.eq_ignore_ascii_case(name) {
                        return Ok(Self::$variant);
                    }
                })*
                Err(ParseCodeError { expected: "key type (MD5, SHA1, SHA256, SHA384, SHA512, SHA3-…, AES128, AES256)" })
            }
        }
    };
}

algorithms! {
    /// MD5 of key and packet. Deprecated by RFC 8573; the only one every server knows.
    Md5 = "MD5" | "M", 16, None, "md5";
    /// SHA-1 of key and packet.
    Sha1 = "SHA1" | "SHA" | "SHA-1", 20, None, "sha1";
    /// SHA-256 of key and packet.
    Sha256 = "SHA256" | "SHA-256" | "SHA2-256", 32, None, "sha2";
    /// SHA-384 of key and packet.
    Sha384 = "SHA384" | "SHA-384" | "SHA2-384", 48, None, "sha2";
    /// SHA-512 of key and packet.
    Sha512 = "SHA512" | "SHA-512" | "SHA2-512", 64, None, "sha2";
    /// SHA3-224 of key and packet.
    Sha3_224 = "SHA3-224", 28, None, "sha3";
    /// SHA3-256 of key and packet.
    Sha3_256 = "SHA3-256", 32, None, "sha3";
    /// SHA3-384 of key and packet.
    Sha3_384 = "SHA3-384", 48, None, "sha3";
    /// SHA3-512 of key and packet.
    Sha3_512 = "SHA3-512", 64, None, "sha3";
    /// AES-128-CMAC of the packet (RFC 4493), what RFC 8573 recommends.
    Aes128Cmac = "AES128" | "AES128CMAC" | "AES-128" | "AES-128-CMAC" | "AES" | "CMAC", 16, Some(16), "cmac";
    /// AES-256-CMAC of the packet.
    Aes256Cmac = "AES256" | "AES256CMAC" | "AES-256" | "AES-256-CMAC", 16, Some(32), "cmac";
}

impl Algorithm {
    /// Checks the length of a secret against the algorithm's rule.
    pub(crate) const fn check_secret(self, had: usize) -> Result<(), KeyError> {
        match self.secret_length() {
            Some(needed) if needed != had => Err(KeyError::SecretLength { algorithm: self, needed, had }),
            None if had == 0 => Err(KeyError::EmptySecret { algorithm: self }),
            _ => Ok(()),
        }
    }
}

/// chrony's name: `SHA256`, `AES128`.
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A secret does not make a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The secret of a block cipher has one right length (RFC 8573 §2).
    #[error("{algorithm} key has {had} octets, must have {needed}")]
    SecretLength {
        /// The key type.
        algorithm: Algorithm,
        /// Octets it must have.
        needed: usize,
        /// Octets given.
        had: usize,
    },
    /// There is no secret.
    #[error("{algorithm} key is empty")]
    EmptySecret {
        /// The key type.
        algorithm: Algorithm,
    },
    /// This build cannot compute the algorithm.
    #[error("{algorithm} needs the feature `{}`", algorithm.feature())]
    NotBuilt {
        /// The key type.
        algorithm: Algorithm,
    },
}

/// A digest is not that of the packet under the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// It has another length than the algorithm's digest has in a packet of this version.
    #[error("{algorithm} digest has {had} octets, must have {needed}")]
    Length {
        /// The key type.
        algorithm: Algorithm,
        /// Octets it must have.
        needed: usize,
        /// Octets found.
        had: usize,
    },
    /// The octets differ.
    #[error("{algorithm} digest does not match")]
    Mismatch {
        /// The key type.
        algorithm: Algorithm,
    },
}

/// A packet is not shown to come from who holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unauthentic {
    /// It has no MAC.
    #[error("it has no MAC")]
    Unsigned,
    /// Its MAC is of another key than the one agreed on.
    #[error("its MAC is of key {had}, not of key {expected}")]
    OtherKey {
        /// The id agreed on.
        expected: u32,
        /// The id found.
        had: u32,
    },
    /// Its MAC is of a key that is not held.
    #[error("its MAC is of key {0}, which is not held")]
    UnknownKey(u32),
    /// Its MAC is not true.
    #[error(transparent)]
    Mac(#[from] MacError),
}
