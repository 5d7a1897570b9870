//! Keys as two hosts know them: under an id.
//!
//! Apart from [`crate::mac`], because these are kept where many associations and workers reach them, which takes an allocator.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use crate::mac::{Key, Unauthentic};
use crate::Packet;

/// A symmetric key and the id by which both sides name it. Cloning shares the secret and copies nothing.
///
/// Two are equal if they are the same key in memory under the same id: secrets are not compared.
///
/// ```
/// use core::num::NonZeroU32;
/// use ntp_proto::mac::{Algorithm, Key, SharedKey};
/// use ntp_proto::{Header, Packet, PacketWriter};
///
/// let key = Key::new(Algorithm::Sha1, b"a secret of both")?;
/// let key = SharedKey::new(NonZeroU32::MIN, key);
/// let mut buffer = [0; 128];
/// let length = PacketWriter::new(&mut buffer, &Header::default())?.sign(&key)?;
/// key.authenticate(&Packet::parse(&buffer[..length])?)?;
///
/// buffer[3] ^= 1;
/// let forged = key.authenticate(&Packet::parse(&buffer[..length])?).unwrap_err();
/// assert_eq!(forged.to_string(), "SHA1 digest does not match");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SharedKey {
    id: NonZeroU32,
    key: Arc<Key>,
}

impl SharedKey {
    /// `key`, which both sides name `id`.
    #[must_use]
    pub fn new(id: NonZeroU32, key: Key) -> Self {
        Self { id, key: Arc::new(key) }
    }

    /// The id that packets carry.
    #[must_use]
    pub const fn id(&self) -> NonZeroU32 {
        self.id
    }

    /// Algorithm and secret.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Checks that a packet ends in a MAC of this key, in constant time.
    ///
    /// # Errors
    /// [`Unauthentic`] when it has no MAC, one of another key, or one that is not true.
    pub fn authenticate(&self, packet: &Packet<'_>) -> Result<(), Unauthentic> {
        let mac = packet.mac().ok_or(Unauthentic::Unsigned)?;
        let expected = self.id.get();
        if mac.key_id != expected {
            return Err(Unauthentic::OtherKey { expected, had: mac.key_id });
        }
        Ok(self.key.verify(packet.version(), packet.authenticated(), mac.digest)?)
    }
}

impl PartialEq for SharedKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && Arc::ptr_eq(&self.key, &other.key)
    }
}

impl Eq for SharedKey {}

/// Keys by id: those a server answers by, or of which a client's associations have one each.
///
/// ```
/// use ntp_proto::keys::{Dialect, Keys};
/// use ntp_proto::mac::{KeyRing, SharedKey};
///
/// let file = b"1 SHA1 a-secret-of-both\n7 AES128 HEX:2b7e151628aed2a6abf7158809cf4f3c\n";
/// let mut ring = KeyRing::new();
/// for entry in Keys::new(Dialect::Chrony, file) {
///     let entry = entry?;
///     ring.insert(SharedKey::new(entry.id, entry.key()?));
/// }
/// assert_eq!(ring.get(7).unwrap().key().algorithm().to_string(), "AES128");
/// assert!(ring.get(2).is_none());
/// assert!(ring.iter().map(|key| key.id().get()).eq([1, 7]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyRing {
    /// By ascending id.
    keys: Vec<SharedKey>,
}

impl KeyRing {
    /// No key.
    #[must_use]
    pub const fn new() -> Self {
        Self { keys: Vec::new() }
    }

    /// Adds a key. Returns the one that had its id before and is forgotten.
    pub fn insert(&mut self, key: SharedKey) -> Option<SharedKey> {
        match self.place(key.id.get()) {
            Ok(place) => self.keys.get_mut(place).map(|held| core::mem::replace(held, key)),
            Err(place) => {
                self.keys.insert(place, key);
                None
            }
        }
    }

    /// The key with an id.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&SharedKey> {
        self.keys.get(self.place(id).ok()?)
    }

    /// The key whose MAC a packet ends in: that of its id, found true in constant time.
    ///
    /// # Errors
    /// [`Unauthentic`] when it has no MAC, one of a key that is not here, or one that is not true.
    pub fn authenticate(&self, packet: &Packet<'_>) -> Result<&SharedKey, Unauthentic> {
        let id = packet.mac().ok_or(Unauthentic::Unsigned)?.key_id;
        let key = self.get(id).ok_or(Unauthentic::UnknownKey(id))?;
        key.authenticate(packet).map(|()| key)
    }

    /// All of them, by ascending id.
    pub fn iter(&self) -> core::slice::Iter<'_, SharedKey> {
        self.keys.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Where the id is, or would be.
    fn place(&self, id: u32) -> Result<usize, usize> {
        self.keys.binary_search_by_key(&id, |key| key.id.get())
    }
}

/// The ids and key types; never a secret.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys.iter().map(|key| (key.id, key.key.algorithm()))).finish()
    }
}

impl<'a> IntoIterator for &'a KeyRing {
    type Item = &'a SharedKey;
    type IntoIter = core::slice::Iter<'a, SharedKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<SharedKey> for KeyRing {
    fn extend<T: IntoIterator<Item = SharedKey>>(&mut self, keys: T) {
        for key in keys {
            self.insert(key);
        }
    }
}

impl FromIterator<SharedKey> for KeyRing {
    fn from_iter<T: IntoIterator<Item = SharedKey>>(keys: T) -> Self {
        let mut ring = Self::new();
        ring.extend(keys);
        ring
    }
}
