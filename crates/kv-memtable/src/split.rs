//! Splits of full nodes.
//!
//! A split leaves the left half where it is and moves the right half into a new
//! node, which the parent learns of. All nodes that change are locked until the
//! last of them is done, so no reader can find a key's old place without seeing
//! a version change on its way.

use std::sync::Arc;

use super::arena::KeyRef;
use super::node::Inner;
use super::optimistic_lock::WriteGuard;
use super::sizes::{INNER_SLOTS, LEAF_SLOTS};
use super::sorted_keys::{Shape, SortedKeys, head};
use super::tree::{ROOT, Tree};
use super::tree_writer::{Step, TreeWriter, common_prefix_bytes};

/// Keys that bound a node's range, where there are any.
#[derive(Clone, Copy)]
struct Fences {
    low: Option<KeyRef>,
    high: Option<KeyRef>,
}

impl TreeWriter {
    /// Splits the full leaf at the end of `path` and adds `key`, which belongs
    /// into its `slot`.
    pub(crate) fn split_leaf(&mut self, left_id: u32, slot: usize, key: KeyRef) {
        let right_id = self.leaf_count;
        self.leaf_count = right_id.checked_add(1).expect("a table has far fewer leaves");
        let tree = Arc::clone(&self.tree);
        let (left, right) = (tree.leaves.get(left_id), tree.leaves.add(right_id));
        let (left_guard, right_guard) = (left.keys.write(), right.keys.write());
        // Rising keys leave full leaves behind.
        let at = if slot == LEAF_SLOTS { LEAF_SLOTS } else { LEAF_SLOTS / 2 };
        right.keys.copy_from(&right_guard, &left.keys, at);
        left.keys.truncate(&left_guard, at);
        left.link(&left_guard, right, right_id);
        let head = head(tree.arena.key(key), left.keys.shape().skip);
        if slot > at || at == LEAF_SLOTS {
            right.keys.insert(&right_guard, slot - at, head, key);
        } else {
            left.keys.insert(&left_guard, slot, head, key);
        }
        if left_id == self.last_leaf {
            self.last_leaf = right_id;
        }
        let middle = right.keys.key(0);
        let fences = self.fences(&tree, self.path.len());
        renew_heads(&tree, &left_guard, &left.keys, Fences { high: Some(middle), ..fences });
        renew_heads(&tree, &right_guard, &right.keys, Fences { low: Some(middle), ..fences });
        self.add_child(&tree, self.path.len() - 1, middle, right_id);
    }

    /// Adds a child right of the one taken at `depth` of the path.
    fn add_child(&mut self, tree: &Tree, depth: usize, separator: KeyRef, child: u32) {
        let Step { inner, index } = self.path[depth];
        let left = tree.inners.get(inner);
        let Shape { count, skip } = left.keys.shape();
        let head = head(tree.arena.key(separator), skip);
        if count < INNER_SLOTS {
            left.insert(&left.keys.write(), index, head, separator, child);
            return;
        }
        if depth == 0 {
            self.push_root_down(tree);
            return self.add_child(tree, 1, separator, child);
        }
        let (right_id, right) = self.add_inner(tree);
        let (left_guard, right_guard) = (left.keys.write(), right.keys.write());
        // The separator at `at` moves up.
        let at = if index == INNER_SLOTS { INNER_SLOTS - 1 } else { INNER_SLOTS / 2 };
        let middle = left.keys.key(at);
        right.copy_from(&right_guard, left, at + 1);
        left.keys.truncate(&left_guard, at);
        if index > at {
            right.insert(&right_guard, index - at - 1, head, separator, child);
        } else {
            left.insert(&left_guard, index, head, separator, child);
        }
        let fences = self.fences(tree, depth);
        renew_heads(tree, &left_guard, &left.keys, Fences { high: Some(middle), ..fences });
        renew_heads(tree, &right_guard, &right.keys, Fences { low: Some(middle), ..fences });
        self.add_child(tree, depth - 1, middle, right_id);
    }

    /// Moves the contents of the root into its new only child.
    fn push_root_down(&mut self, tree: &Tree) {
        let (id, node) = self.add_inner(tree);
        let root = tree.inners.get(ROOT);
        node.copy_from(&node.keys.write(), root, 0);
        root.set_only_child(&root.keys.write(), root.level() + 1, id);
        self.path.insert(0, Step { inner: ROOT, index: 0 });
        self.path[1].inner = id;
    }

    fn add_inner<'a>(&mut self, tree: &'a Tree) -> (u32, &'a Inner) {
        let id = self.inner_count;
        self.inner_count = id.checked_add(1).expect("a table has far fewer nodes");
        (id, tree.inners.add(id))
    }

    /// What bounds the node below the first `depth` steps of the path.
    fn fences(&self, tree: &Tree, depth: usize) -> Fences {
        let mut fences = Fences { low: None, high: None };
        for step in &self.path[..depth] {
            let keys = &tree.inners.get(step.inner).keys;
            if let Some(low) = step.index.checked_sub(1) {
                fences.low = Some(keys.key(low));
            }
            if step.index < keys.shape().count {
                fences.high = Some(keys.key(step.index));
            }
        }
        fences
    }
}

/// Moves the heads of a node behind what its fences have in common, once half
/// of each head is spent on bytes that tell no keys apart.
fn renew_heads<const SLOTS: usize>(
    tree: &Tree,
    guard: &WriteGuard<'_>,
    keys: &SortedKeys<SLOTS>,
    fences: Fences,
) {
    let (Some(low), Some(high)) = (fences.low, fences.high) else {
        return;
    };
    let Shape { count, skip } = keys.shape();
    if count < 2 || keys.head(0) >> 32 != keys.head(count - 1) >> 32 {
        return;
    }
    let common = common_prefix_bytes(tree.arena.key(low), tree.arena.key(high));
    if common > skip {
        keys.set_skip(guard, common, |key| head(tree.arena.key(key), common));
    }
}
