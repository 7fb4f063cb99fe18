//! The part that leaves and inner nodes share: a short sorted array of keys.
//!
//! A key is represented by its *head*: eight bytes of it, big endian, padded
//! with zeros, taken behind the `skip` bytes that all keys of the node's range
//! have in common. Heads order keys without touching them; only where heads are
//! equal the keys themselves are compared. Racing readers may see any mixture
//! of old and new slots: they validate with the lock before they rely on it.

use std::cmp::Ordering as Compared;

use super::arena::{KeyCell, KeyRef};
use super::optimistic_lock::{OptimisticLock, SeenVersion, WriteGuard};
use super::sync::{AtomicU64, Ordering};

/// Number of keys in a node and bytes before their heads; changed as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) count: usize,
    pub(crate) skip: usize,
}

/// Where a key is, or would be, in a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Search {
    /// The first slot whose key is not below the one searched for.
    pub(crate) slot: usize,
    /// The key itself, if it is there.
    pub(crate) found: Option<KeyRef>,
}

/// Up to `SLOTS` keys in order.
pub(crate) struct SortedKeys<const SLOTS: usize> {
    lock: OptimisticLock,
    shape: AtomicU64,
    heads: [AtomicU64; SLOTS],
    keys: [KeyCell; SLOTS],
}

/// The eight bytes of `key` behind `skip`, as a number that orders like them.
#[inline]
pub(crate) fn head(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(padded)
        }
    }
}

impl<const SLOTS: usize> SortedKeys<SLOTS> {
    pub(crate) fn new() -> Self {
        SortedKeys {
            lock: OptimisticLock::new(),
            shape: AtomicU64::new(0),
            heads: std::array::from_fn(|_| AtomicU64::new(0)),
            keys: std::array::from_fn(|_| KeyCell::empty()),
        }
    }

    /// Begins reading: see [`OptimisticLock`].
    #[inline]
    pub(crate) fn read(&self) -> SeenVersion {
        self.lock.read()
    }

    /// True if what was loaded since `seen` belongs together.
    #[inline]
    pub(crate) fn is_still(&self, seen: SeenVersion) -> bool {
        self.lock.is_still(seen)
    }

    #[inline]
    pub(crate) fn shape(&self) -> Shape {
        let word = self.shape.load(Ordering::Acquire);
        Shape { count: (word as u32 as usize).min(SLOTS), skip: (word >> 32) as usize }
    }

    /// The key in `slot`, which is below a count seen before.
    #[inline]
    pub(crate) fn key(&self, slot: usize) -> KeyRef {
        self.keys[slot].load().expect("a slot is filled before it is counted")
    }

    /// The head in `slot`.
    #[inline]
    pub(crate) fn head(&self, slot: usize) -> u64 {
        self.heads[slot].load(Ordering::Acquire)
    }

    /// Finds a key by its head; `compare` orders a key of the node relative to
    /// the one searched for.
    #[inline]
    pub(crate) fn search(
        &self,
        count: usize,
        head: u64,
        compare: impl Fn(KeyRef) -> Compared,
    ) -> Search {
        // Counting all lower heads beats halving: no step waits for the one
        // before, so the cache misses of a node overlap.
        let mut slot = (0..count).map(|slot| usize::from(self.head(slot) < head)).sum();
        let mut end = slot;
        while end < count && self.head(end) == head {
            end += 1;
        }
        while slot < end {
            let middle = slot + (end - slot) / 2;
            let key = self.key(middle);
            match compare(key) {
                Compared::Less => slot = middle + 1,
                Compared::Equal => return Search { slot: middle, found: Some(key) },
                Compared::Greater => end = middle,
            }
        }
        Search { slot, found: None }
    }

    /// Begins a change.
    pub(crate) fn write(&self) -> WriteGuard<'_> {
        self.lock.write()
    }

    /// Adds a key behind all others. Readers may go on: they see the node with
    /// or without it.
    pub(crate) fn append(&self, head: u64, key: KeyRef) {
        let shape = self.shape();
        self.put(shape.count, head, key);
        self.set_shape(Shape { count: shape.count + 1, ..shape });
    }

    /// Adds a key before the one in `slot`.
    pub(crate) fn insert(&self, guard: &WriteGuard<'_>, slot: usize, head: u64, key: KeyRef) {
        self.check(guard);
        let shape = self.shape();
        for from in (slot..shape.count).rev() {
            self.put(from + 1, self.head(from), self.key(from));
        }
        self.put(slot, head, key);
        self.set_shape(Shape { count: shape.count + 1, ..shape });
    }

    /// Drops the keys from `count` on.
    pub(crate) fn truncate(&self, guard: &WriteGuard<'_>, count: usize) {
        self.check(guard);
        self.set_shape(Shape { count, ..self.shape() });
    }

    /// Replaces all keys by those of `source` from slot `from` on.
    pub(crate) fn copy_from(&self, guard: &WriteGuard<'_>, source: &Self, from: usize) {
        self.check(guard);
        let Shape { count, skip } = source.shape();
        for slot in from..count {
            self.put(slot - from, source.head(slot), source.key(slot));
        }
        self.set_shape(Shape { count: count - from, skip });
    }

    /// Takes heads behind `skip` bytes from now on.
    pub(crate) fn set_skip(
        &self,
        guard: &WriteGuard<'_>,
        skip: usize,
        head_of: impl Fn(KeyRef) -> u64,
    ) {
        self.check(guard);
        let count = self.shape().count;
        for slot in 0..count {
            self.heads[slot].store(head_of(self.key(slot)), Ordering::Release);
        }
        self.set_shape(Shape { count, skip });
    }

    /// Asserts that a change of this node is in progress.
    pub(crate) fn check(&self, guard: &WriteGuard<'_>) {
        assert!(guard.guards(&self.lock), "the guard is of this node");
    }

    fn put(&self, slot: usize, head: u64, key: KeyRef) {
        self.heads[slot].store(head, Ordering::Release);
        self.keys[slot].store(key);
    }

    fn set_shape(&self, shape: Shape) {
        let word = (shape.skip as u64) << 32 | shape.count as u64;
        self.shape.store(word, Ordering::Release);
    }
}
