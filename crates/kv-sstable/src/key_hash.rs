//! The hash of a key, computed once per lookup and shared by every table.

use kv_core::DatabaseId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// XXH3 (64 bits) of a key, seeded by the database it is looked up in.
///
/// Filters and hash indexes of all tables of a database use the same hash, so a
/// lookup that visits several tables hashes its key once.
///
/// The seed is the first eight bytes of the database id: random, in every file
/// and shown to no client. Without a seed anybody could search at home for keys
/// with equal hashes, which no filter can tell apart whatever is mixed in later.
/// XXH3 is no cryptographic hash: the seed keeps out those who do not know it,
/// not those who can read the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Hashes `key` for the tables of `database_id`.
    #[inline]
    pub fn of(database_id: DatabaseId, key: &[u8]) -> KeyHash {
        let seed = database_id.0.first_chunk().expect("an id has sixteen bytes");
        KeyHash(xxh3_64_with_seed(key, u64::from_le_bytes(*seed)))
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
