//! Inserts into the tree. One writer, so it reads without validating.
//!
//! 1. A key behind the last one is appended to the last leaf without a descent.
//! 2. Else descend, remembering the path.
//! 3. A key that is there gets a newer version; the tree does not change.
//! 4. A new key goes into its leaf, under the leaf's lock unless it is the last.
//! 5. A full leaf is split (`split.rs`).

use std::cmp::Ordering;
use std::sync::Arc;

use kv_core::{Kind, SeqNo};

use super::arena::{Arena, ArenaWriter, KeyCell, KeyRef};
use super::node::{INNER_BYTES, LEAF_BYTES, NodeStore};
use super::pool::ArenaPool;
use super::sizes::LEAF_SLOTS;
use super::sorted_keys::{Shape, head};
use super::tree::{FIRST_LEAF, ROOT, Tree};

/// The only writer of a [`Tree`].
pub(crate) struct TreeWriter {
    pub(crate) tree: Arc<Tree>,
    pub(crate) records: ArenaWriter,
    pub(crate) leaf_count: u32,
    pub(crate) inner_count: u32,
    /// The leaf of the largest keys.
    pub(crate) last_leaf: u32,
    /// The way to the current leaf, the root first.
    pub(crate) path: Vec<Step>,
}

/// An inner node on the way down and the child that was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) inner: u32,
    pub(crate) index: usize,
}

/// One write.
#[derive(Clone, Copy)]
pub(crate) struct Write<'a> {
    pub(crate) seqno: SeqNo,
    pub(crate) kind: Kind,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl TreeWriter {
    /// An empty tree and its writer.
    pub(crate) fn create(pool: &ArenaPool) -> (Arc<Tree>, TreeWriter) {
        let (arena, records) = Arena::create(pool);
        let tree = Arc::new(Tree {
            arena,
            leaves: NodeStore::new(),
            inners: NodeStore::new(),
            sample: KeyCell::empty(),
        });
        tree.leaves.add(FIRST_LEAF);
        let root = tree.inners.add(ROOT);
        root.set_only_child(&root.keys.write(), 1, FIRST_LEAF);
        let writer = TreeWriter {
            tree: Arc::clone(&tree),
            records,
            leaf_count: 1,
            inner_count: 1,
            last_leaf: FIRST_LEAF,
            path: Vec::new(),
        };
        (tree, writer)
    }

    /// Memory taken by records and nodes, in bytes.
    pub(crate) fn used_bytes(&self) -> usize {
        self.records.used_bytes()
            + self.leaf_count as usize * LEAF_BYTES
            + self.inner_count as usize * INNER_BYTES
    }

    /// Inserts one write.
    pub(crate) fn insert(&mut self, write: Write<'_>) {
        if self.tree.sample.load().is_none() {
            return self.insert_first(write);
        }
        let root_skip = self.tree.inners.get(ROOT).keys.shape().skip;
        if self.tree.compare_with_prefix(write.key, root_skip) != Ordering::Equal {
            self.shorten_prefix(write.key);
        }
        if self.append(write) {
            return;
        }
        let leaf_id = self.descend(write.key);
        let leaf = self.tree.leaves.get(leaf_id);
        let search = self.tree.search(leaf, write.key);
        if let Some(key) = search.found {
            self.records.push_version(key, write.seqno, write.kind, write.value);
            return;
        }
        let key = push_key(&mut self.records, write);
        let Shape { count, skip } = leaf.keys.shape();
        if count == LEAF_SLOTS {
            self.split_leaf(leaf_id, search.slot, key);
        } else if search.slot == count {
            leaf.keys.append(head(write.key, skip), key);
        } else {
            leaf.keys.insert(&leaf.keys.write(), search.slot, head(write.key, skip), key);
        }
    }

    /// The first key of all is the shared prefix. Root and leaf change as one,
    /// or a reader that saw no prefix yet could compare heads behind one.
    fn insert_first(&mut self, write: Write<'_>) {
        let (root, leaf) = (self.tree.inners.get(ROOT), self.tree.leaves.get(FIRST_LEAF));
        let key = push_key(&mut self.records, write);
        self.tree.sample.store(key);
        let skip = write.key.len();
        let (root_guard, leaf_guard) = (root.keys.write(), leaf.keys.write());
        root.keys.set_skip(&root_guard, skip, |_| 0);
        leaf.keys.set_skip(&leaf_guard, skip, |_| 0);
        leaf.keys.append(head(write.key, skip), key);
    }

    /// Inserts a key that is larger than all others and for which the last leaf
    /// has room; false if it is not such a key.
    fn append(&mut self, write: Write<'_>) -> bool {
        let keys = &self.tree.leaves.get(self.last_leaf).keys;
        let Shape { count, skip } = keys.shape();
        let head = head(write.key, skip);
        let Some(last) = count.checked_sub(1).filter(|_| count < LEAF_SLOTS) else {
            return false;
        };
        let order = keys.head(last).cmp(&head);
        if order.then_with(|| self.tree.arena.key(keys.key(last)).cmp(write.key)) != Ordering::Less
        {
            return false;
        }
        keys.append(head, push_key(&mut self.records, write));
        true
    }

    /// The leaf that `key` belongs to; leaves the way there in `path`.
    fn descend(&mut self, key: &[u8]) -> u32 {
        self.path.clear();
        let mut inner = ROOT;
        loop {
            let node = self.tree.inners.get(inner);
            let index = self.tree.child_index(node, key);
            self.path.push(Step { inner, index });
            let child = node.child(index);
            if node.level() == 1 {
                return child;
            }
            inner = child;
        }
    }

    /// Cuts the shared prefix down to what `key` has in common with it.
    ///
    /// The root comes last: a reader that may pass it with such a key finds the
    /// edges of the tree ready for it.
    fn shorten_prefix(&mut self, key: &[u8]) {
        let tree = &*self.tree;
        let sample = tree.sample.load().expect("a tree with a prefix has a key");
        let skip = common_prefix_bytes(tree.arena.key(sample), key);
        let head_of = |key: KeyRef| head(tree.arena.key(key), skip);
        for leaf in [FIRST_LEAF, self.last_leaf] {
            let keys = &tree.leaves.get(leaf).keys;
            keys.set_skip(&keys.write(), skip, head_of);
        }
        let root = tree.inners.get(ROOT);
        for right in [false, true] {
            let mut node = root;
            while node.level() > 1 {
                let edge = if right { node.keys.shape().count } else { 0 };
                node = tree.inners.get(node.child(edge));
                node.keys.set_skip(&node.keys.write(), skip, head_of);
            }
        }
        root.keys.set_skip(&root.keys.write(), skip, head_of);
    }
}

fn push_key(records: &mut ArenaWriter, write: Write<'_>) -> KeyRef {
    records.push_key(write.key, write.seqno, write.kind, write.value)
}

/// Length of what two keys have in common at their start.
pub(crate) fn common_prefix_bytes(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}
