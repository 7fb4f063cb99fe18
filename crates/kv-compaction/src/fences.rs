//! Finding a key's table in a run without touching the tables.
//!
//! A lookup in a run is a binary search over last keys. Each of those is two
//! pointers away, so the search would wait for memory at every step. Fences
//! hold eight bytes of each last key, those behind the prefix that all keys of
//! the run share, side by side as integers: a run of 1,600 tables takes
//! 13 KB. Tables whose eight bytes are alike are compared in full. Between two
//! gets other data has pushed the tables out of the cache, and then this takes
//! half the time of a search through them.

use std::ops::Range;
use std::sync::Arc;

use crate::table_meta::TableRef;

/// The last keys of the tables of a run, shortened.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    /// What every key of the run begins with.
    prefix: Vec<u8>,
    heads: Vec<u64>,
}

impl Fences {
    /// The fences of tables that are sorted and disjoint.
    pub(crate) fn of<T: TableRef>(tables: &[Arc<T>]) -> Fences {
        let (Some(first), Some(last)) = (tables.first(), tables.last()) else {
            return Fences::default();
        };
        let (smallest, largest) = (&first.meta().smallest_key, &last.meta().largest_key);
        let shared = smallest.iter().zip(largest).take_while(|(a, b)| a == b).count();
        let heads = tables.iter().map(|table| head(&table.meta().largest_key[shared..]));
        Fences { heads: heads.collect(), prefix: smallest[..shared].to_vec() }
    }

    /// The indices that a comparison in full has to decide between; the end of
    /// the range if none of those tables reaches `key`.
    #[inline]
    fn around(&self, key: &[u8]) -> Range<usize> {
        let Some(rest) = key.strip_prefix(self.prefix.as_slice()) else {
            let index = if key < self.prefix.as_slice() { 0 } else { self.heads.len() };
            return index..index;
        };
        let head = head(rest);
        let start = self.heads.partition_point(|fence| *fence < head);
        let alike = self.heads[start..].partition_point(|fence| *fence == head);
        start..start + alike
    }

    /// The index of the first of `tables`, which these are the fences of, that
    /// does not end before `key`.
    pub(crate) fn first_reaching<T: TableRef>(&self, tables: &[Arc<T>], key: &[u8]) -> usize {
        let around = self.around(key);
        around.start
            + tables[around].partition_point(|table| table.meta().largest_key.as_slice() < key)
    }
}

/// Eight bytes as an integer that orders as they do; short keys as if zeros
/// followed.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; 8];
            head[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(head)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::table_meta::{TableMeta, TableOrigin};

    fn table(smallest_key: &[u8], largest_key: &[u8]) -> Arc<TableMeta> {
        Arc::new(TableMeta {
            id: 1,
            run: 1,
            origin: TableOrigin::Flush,
            file_uid: [0; 16],
            file_bytes: 1,
            checksum: 0,
            entries: 1,
            deletes: 0,
            smallest_key: smallest_key.to_vec(),
            largest_key: largest_key.to_vec(),
            smallest_seqno: Default::default(),
            largest_seqno: Default::default(),
            slice: None,
            properties: Default::default(),
        })
    }

    /// Keys that share prefixes of all lengths, some longer than a fence.
    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0u8), Just(7), Just(255)], 0..12)
    }

    proptest! {
        #[test]
        fn a_lookup_is_a_search_over_last_keys(
            prefix in any_key(),
            keys in btree_set(any_key(), 0..24),
            wanted in vec((any::<bool>(), any_key()), 1..20),
        ) {
            let keys: Vec<Vec<u8>> =
                keys.iter().map(|key| [prefix.as_slice(), key].concat()).collect();
            let tables: Vec<_> =
                keys.chunks_exact(2).map(|pair| table(&pair[0], &pair[1])).collect();
            let fences = Fences::of(&tables);
            for (is_inside, key) in wanted {
                let key = if is_inside { [prefix.as_slice(), &key].concat() } else { key };
                let expected = tables.partition_point(|table| table.largest_key < key);
                prop_assert_eq!(fences.first_reaching(&tables, &key), expected, "{:?}", key);
            }
        }
    }
}
