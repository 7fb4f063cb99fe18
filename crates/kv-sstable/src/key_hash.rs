//! The hash of a key, computed once per lookup and shared by every table.

use xxhash_rust::xxh3::xxh3_64;

/// XXH3 (64 bits, no seed) of a key.
///
/// Filters and hash indexes of all tables use the same hash, so a lookup that
/// visits several tables hashes its key once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Hashes `key`.
    #[inline]
    pub fn of(key: &[u8]) -> KeyHash {
        KeyHash(xxh3_64(key))
    }

    /// All 64 bits, for the filter.
    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// The byte that the hash index of a block keeps of it.
    #[inline]
    pub(crate) fn tag(self) -> u8 {
        self.0 as u8
    }
}
