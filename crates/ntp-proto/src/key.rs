//! A symmetric key ready for use: the secret absorbed into the hash, or expanded into the cipher's round keys.
//!
//! Apart from [`crate::mac`], because only this part needs the cryptographic crates. The absorbed state makes a digest of a
//! short packet about one block cheaper than starting from the secret, and has no limit on the secret's length. Of a secret
//! for a hash it still holds in plain what does not fill a block: all of a short one.

use core::fmt;

#[cfg(feature = "cmac")]
use cmac::{digest::KeyInit, Cmac, Mac as _};
use subtle::ConstantTimeEq;

use crate::mac::{Algorithm, KeyError, MacError, MAX_DIGEST, MAX_V4_DIGEST};
use crate::Version;

/// A symmetric key: algorithm and secret.
///
/// `Debug` does not show the secret. Its memory is not wiped when it is dropped: the hashes of the 0.10 family cannot be, and what
/// every digest copies to the stack would stay anyway. Keep whom it must be hidden from out of the process and its core dumps.
///
/// ```
/// # #[cfg(feature = "sha1")] {
/// use ntp_proto::mac::{Algorithm, Key};
/// use ntp_proto::{Header, Packet, PacketWriter, Version};
///
/// let key = Key::new(Algorithm::Sha1, b"shared with the server")?;
/// let mut buffer = [0; 128];
/// let writer = PacketWriter::new(&mut buffer, &Header::default())?;
/// let digest = key.packet_digest(Version::V4, writer.as_bytes());
/// let length = writer.mac(7, digest.as_bytes())?;
///
/// let packet = Packet::parse(&buffer[..length])?;
/// let mac = packet.mac().expect("it was signed");
/// assert_eq!(mac.key_id, 7);
/// key.verify(packet.version(), packet.authenticated(), mac.digest)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Key {
    algorithm: Algorithm,
    state: State,
}

/// The digest of a packet under a key, 1 to 64 octets.
///
/// It has no `==`: compare through [`matches`](Self::matches), which takes the same time whatever differs.
#[derive(Clone, Copy)]
pub struct Digest {
    octets: [u8; MAX_DIGEST],
    length: u8,
}

/// What the secret became.
#[derive(Clone)]
#[allow(clippy::large_enum_variant)] // no allocator here to box with; a program holds few keys
enum State {
    #[cfg(feature = "md5")]
    Md5(md5::Md5),
    #[cfg(feature = "sha1")]
    Sha1(sha1::Sha1),
    #[cfg(feature = "sha2")]
    Sha256(sha2::Sha256),
    #[cfg(feature = "sha2")]
    Sha384(sha2::Sha384),
    #[cfg(feature = "sha2")]
    Sha512(sha2::Sha512),
    #[cfg(feature = "sha3")]
    Sha3_224(sha3::Sha3_224),
    #[cfg(feature = "sha3")]
    Sha3_256(sha3::Sha3_256),
    #[cfg(feature = "sha3")]
    Sha3_384(sha3::Sha3_384),
    #[cfg(feature = "sha3")]
    Sha3_512(sha3::Sha3_512),
    #[cfg(feature = "cmac")]
    Aes128(Cmac<aes::Aes128>),
    #[cfg(feature = "cmac")]
    Aes256(Cmac<aes::Aes256>),
}

impl Key {
    /// A key from its secret.
    ///
    /// # Errors
    /// [`KeyError`] when the secret is empty, or has another length than AES needs, or the algorithm's feature is off.
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        Self::from_octets(algorithm, secret.iter().copied())
    }

    /// A key from its secret, octet by octet, as a key file's line yields them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_octets<I>(algorithm: Algorithm, secret: I) -> Result<Self, KeyError>
    where
        I: Iterator<Item = u8> + Clone,
    {
        algorithm.check_secret(secret.clone().count())?;
        Ok(Self { algorithm, state: State::absorb(algorithm, secret)? })
    }

    /// The key type.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The full digest of `message`: of a packet, all octets before its key id.
    #[must_use]
    pub fn digest(&self, message: &[u8]) -> Digest {
        self.state.digest(message)
    }

    /// The digest as a packet of `version` carries it: in version 4 cut to 20 octets, else full.
    #[must_use]
    pub fn packet_digest(&self, version: Version, message: &[u8]) -> Digest {
        let full = self.digest(message);
        if version == Version::V4 {
            full.truncated(MAX_V4_DIGEST)
        } else {
            full
        }
    }

    /// Checks the digest of a packet of `version`, in constant time. `message` is every octet before the key id.
    ///
    /// # Errors
    /// [`MacError`] when its length is not the one such a packet carries, or its octets differ.
    pub fn verify(&self, version: Version, message: &[u8], digest: &[u8]) -> Result<(), MacError> {
        self.compare(&self.packet_digest(version, message), digest)
    }

    /// Checks a digest against the one computed.
    pub(crate) fn compare(&self, computed: &Digest, digest: &[u8]) -> Result<(), MacError> {
        let algorithm = self.algorithm;
        let (needed, had) = (computed.as_bytes().len(), digest.len());
        if needed != had {
            return Err(MacError::Length { algorithm, needed, had });
        }
        if computed.matches(digest) {
            Ok(())
        } else {
            Err(MacError::Mismatch { algorithm })
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Digest {
    /// Copies a digest; one longer than the longest is cut.
    fn copy(octets: &[u8]) -> Self {
        let mut digest = Self { octets: [0; MAX_DIGEST], length: 0 };
        for (place, octet) in digest.octets.iter_mut().zip(octets) {
            *place = *octet;
            digest.length += 1; // the array has 64 places
        }
        digest
    }

    /// Its octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or(&self.octets)
    }

    /// Its first `limit` octets; all of it when it is not longer.
    #[must_use]
    pub fn truncated(self, limit: usize) -> Self {
        Self::copy(self.as_bytes().get(..limit).unwrap_or(self.as_bytes()))
    }

    /// Whether `other` is the same digest, compared in constant time.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        self.as_bytes().ct_eq(other).into()
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl State {
    #[allow(unused_variables)] // `secret`, when no algorithm is built
    fn absorb(algorithm: Algorithm, secret: impl Iterator<Item = u8>) -> Result<Self, KeyError> {
        match algorithm {
            #[cfg(feature = "md5")]
            Algorithm::Md5 => Ok(Self::Md5(hash(secret))),
            #[cfg(feature = "sha1")]
            Algorithm::Sha1 => Ok(Self::Sha1(hash(secret))),
            #[cfg(feature = "sha2")]
            Algorithm::Sha256 => Ok(Self::Sha256(hash(secret))),
            #[cfg(feature = "sha2")]
            Algorithm::Sha384 => Ok(Self::Sha384(hash(secret))),
            #[cfg(feature = "sha2")]
            Algorithm::Sha512 => Ok(Self::Sha512(hash(secret))),
            #[cfg(feature = "sha3")]
            Algorithm::Sha3_224 => Ok(Self::Sha3_224(hash(secret))),
            #[cfg(feature = "sha3")]
            Algorithm::Sha3_256 => Ok(Self::Sha3_256(hash(secret))),
            #[cfg(feature = "sha3")]
            Algorithm::Sha3_384 => Ok(Self::Sha3_384(hash(secret))),
            #[cfg(feature = "sha3")]
            Algorithm::Sha3_512 => Ok(Self::Sha3_512(hash(secret))),
            #[cfg(feature = "cmac")]
            Algorithm::Aes128Cmac => Ok(Self::Aes128(KeyInit::new(&array::<16>(secret).into()))),
            #[cfg(feature = "cmac")]
            Algorithm::Aes256Cmac => Ok(Self::Aes256(KeyInit::new(&array::<32>(secret).into()))),
            #[allow(unreachable_patterns)] // with every feature on
            _ => Err(KeyError::NotBuilt { algorithm }),
        }
    }

    #[allow(unused_variables)] // `message`, when no algorithm is built
    fn digest(&self, message: &[u8]) -> Digest {
        match *self {
            #[cfg(feature = "md5")]
            Self::Md5(ref state) => finish(state, message),
            #[cfg(feature = "sha1")]
            Self::Sha1(ref state) => finish(state, message),
            #[cfg(feature = "sha2")]
            Self::Sha256(ref state) => finish(state, message),
            #[cfg(feature = "sha2")]
            Self::Sha384(ref state) => finish(state, message),
            #[cfg(feature = "sha2")]
            Self::Sha512(ref state) => finish(state, message),
            #[cfg(feature = "sha3")]
            Self::Sha3_224(ref state) => finish(state, message),
            #[cfg(feature = "sha3")]
            Self::Sha3_256(ref state) => finish(state, message),
            #[cfg(feature = "sha3")]
            Self::Sha3_384(ref state) => finish(state, message),
            #[cfg(feature = "sha3")]
            Self::Sha3_512(ref state) => finish(state, message),
            #[cfg(feature = "cmac")]
            Self::Aes128(ref state) => Digest::copy(&state.clone().chain_update(message).finalize().into_bytes()),
            #[cfg(feature = "cmac")]
            Self::Aes256(ref state) => Digest::copy(&state.clone().chain_update(message).finalize().into_bytes()),
        }
    }
}

/// A hash that has absorbed the secret.
#[cfg(any(feature = "md5", feature = "sha1", feature = "sha2", feature = "sha3"))]
fn hash<H: digest::Digest>(secret: impl Iterator<Item = u8>) -> H {
    let mut state = H::new();
    secret.for_each(|octet| state.update([octet]));
    state
}

/// The hash of the absorbed secret and the message.
#[cfg(any(feature = "md5", feature = "sha1", feature = "sha2", feature = "sha3"))]
fn finish<H: digest::Digest + Clone>(state: &H, message: &[u8]) -> Digest {
    Digest::copy(&state.clone().chain_update(message).finalize())
}

/// The secret as an array; its length has been checked.
#[cfg(feature = "cmac")]
fn array<const N: usize>(secret: impl Iterator<Item = u8>) -> [u8; N] {
    let mut array = [0; N];
    for (place, octet) in array.iter_mut().zip(secret) {
        *place = octet;
    }
    array
}
