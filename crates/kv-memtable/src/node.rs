//! The nodes of the tree, and where they are stored.

use super::arena::KeyRef;
use super::directory::Directory;
use super::optimistic_lock::WriteGuard;
use super::sizes::{INNER_SLOTS, LEAF_SLOTS, SLAB_NODES};
use super::sorted_keys::SortedKeys;
use super::sync::{AtomicU32, Ordering};

/// Memory of a leaf, in bytes.
pub(crate) const LEAF_BYTES: usize = size_of::<Leaf>();
/// Memory of an inner node, in bytes.
pub(crate) const INNER_BYTES: usize = size_of::<Inner>();
/// "No leaf": the right neighbour of the last one.
const NO_LEAF: u32 = u32::MAX;

/// A node with the keys themselves.
#[repr(align(64))]
pub(crate) struct Leaf {
    pub(crate) keys: SortedKeys<LEAF_SLOTS>,
    next: AtomicU32,
}

impl Leaf {
    /// The right neighbour.
    #[inline]
    pub(crate) fn next(&self) -> Option<u32> {
        let next = self.next.load(Ordering::Acquire);
        (next != NO_LEAF).then_some(next)
    }

    /// Puts `right` between this leaf and its right neighbour.
    pub(crate) fn link(&self, guard: &WriteGuard<'_>, right: &Leaf, right_id: u32) {
        self.keys.check(guard);
        right.next.store(self.next.load(Ordering::Relaxed), Ordering::Release);
        self.next.store(right_id, Ordering::Release);
    }
}

impl Default for Leaf {
    fn default() -> Leaf {
        Leaf { keys: SortedKeys::new(), next: AtomicU32::new(NO_LEAF) }
    }
}

/// A node that leads to others: child `i` holds the keys from separator `i - 1`
/// on and below separator `i`.
#[repr(align(64))]
pub(crate) struct Inner {
    pub(crate) keys: SortedKeys<INNER_SLOTS>,
    /// Distance to the leaves: the children of level 1 are leaves.
    level: AtomicU32,
    children: [AtomicU32; INNER_SLOTS + 1],
}

impl Inner {
    #[inline]
    pub(crate) fn level(&self) -> u32 {
        self.level.load(Ordering::Acquire)
    }

    /// The id of a leaf or inner node, depending on the level.
    #[inline]
    pub(crate) fn child(&self, index: usize) -> u32 {
        self.children[index].load(Ordering::Acquire)
    }

    /// Makes this a node with one child.
    pub(crate) fn set_only_child(&self, guard: &WriteGuard<'_>, level: u32, child: u32) {
        self.keys.truncate(guard, 0);
        self.level.store(level, Ordering::Release);
        self.children[0].store(child, Ordering::Release);
    }

    /// Adds a child right of the one at `index`.
    pub(crate) fn insert(
        &self,
        guard: &WriteGuard<'_>,
        index: usize,
        head: u64,
        separator: KeyRef,
        child: u32,
    ) {
        self.keys.check(guard);
        let count = self.keys.shape().count;
        for from in (index + 1..=count).rev() {
            self.children[from + 1].store(self.child(from), Ordering::Release);
        }
        self.children[index + 1].store(child, Ordering::Release);
        self.keys.insert(guard, index, head, separator);
    }

    /// Makes this a copy of `source` from child `from` on.
    pub(crate) fn copy_from(&self, guard: &WriteGuard<'_>, source: &Inner, from: usize) {
        self.keys.check(guard);
        for index in from..=source.keys.shape().count {
            self.children[index - from].store(source.child(index), Ordering::Release);
        }
        self.level.store(source.level(), Ordering::Release);
        self.keys.copy_from(guard, &source.keys, from);
    }
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            keys: SortedKeys::new(),
            level: AtomicU32::new(0),
            children: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

/// Nodes of one type, addressed by number; they never move and never go.
pub(crate) struct NodeStore<T> {
    slabs: Directory<Box<[T]>>,
}

impl<T: Default> NodeStore<T> {
    pub(crate) fn new() -> NodeStore<T> {
        NodeStore { slabs: Directory::new() }
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> &T {
        &self.slabs.get(id / SLAB_NODES)[(id % SLAB_NODES) as usize]
    }

    /// Makes node `id` exist; ids are added in order.
    pub(crate) fn add(&self, id: u32) -> &T {
        if id.is_multiple_of(SLAB_NODES) {
            self.slabs.set(id / SLAB_NODES, (0..SLAB_NODES).map(|_| T::default()).collect());
        }
        self.get(id)
    }
}
