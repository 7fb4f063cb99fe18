//! The tree as readers see it: descents that validate every node they pass.
//!
//! The root is always inner node 0 and the first leaf always leaf 0: nodes split
//! to the right, and a full root pushes its contents down. Nothing is removed,
//! so a separator is the smallest key of the node to its right, for ever.
//!
//! All keys share a prefix, kept as a length in the root and found in any key.
//! Nodes on the left and right edge of the tree skip exactly that prefix, since
//! nothing else bounds them; the others skip at most what their two separators
//! have in common.

use std::cmp::Ordering;
use std::sync::Arc;

use super::arena::{Arena, KeyCell, KeyRef};
use super::node::{Inner, Leaf, NodeStore};
use super::optimistic_lock::SeenVersion;
use super::sorted_keys::{Search, Shape, head};

/// The root's id among the inner nodes.
pub(crate) const ROOT: u32 = 0;
/// The first leaf's id.
pub(crate) const FIRST_LEAF: u32 = 0;

/// Keys in order; see the module.
pub(crate) struct Tree {
    pub(crate) arena: Arc<Arena>,
    pub(crate) leaves: NodeStore<Leaf>,
    pub(crate) inners: NodeStore<Inner>,
    /// Any key: where the shared prefix is found. Empty like the tree.
    pub(crate) sample: KeyCell,
}

/// A key in the tree and where it stood when the leaf had the version `seen`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) key: KeyRef,
    leaf: u32,
    slot: usize,
    seen: SeenVersion,
}

/// Which leaf a descent is looking for.
#[derive(Clone, Copy)]
enum Target<'a> {
    /// The leaf that holds the key, if any does.
    Of(&'a [u8]),
    /// The leaf of the last key below.
    Before(&'a [u8]),
    /// The last leaf.
    Last,
}

enum Landing<'a> {
    Leaf {
        id: u32,
        leaf: &'a Leaf,
        seen: SeenVersion,
    },
    /// The key is below all keys that share the prefix.
    BelowAll,
    /// The key is above all keys that share the prefix.
    AboveAll,
}

impl Tree {
    /// The key, if it is there.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<KeyRef> {
        loop {
            if let Some(found) = self.try_find(key) {
                return found;
            }
        }
    }

    /// One attempt at [`Tree::find`]; `None` if the writer came in between.
    #[inline]
    pub(crate) fn try_find(&self, key: &[u8]) -> Option<Option<KeyRef>> {
        let Landing::Leaf { leaf, seen, .. } = self.try_descend(Target::Of(key))? else {
            return Some(None);
        };
        let found = self.search(leaf, key).found;
        // A key that compares equal is the key, whatever else was going on.
        (found.is_some() || leaf.keys.is_still(seen)).then_some(found)
    }

    /// The first key.
    pub(crate) fn first(&self) -> Option<Position> {
        self.start_of(FIRST_LEAF)
    }

    /// The last key.
    pub(crate) fn last(&self) -> Option<Position> {
        loop {
            let Some(Landing::Leaf { id, leaf, seen }) = self.try_descend(Target::Last) else {
                continue;
            };
            if let Some(found) = self.position_before(id, leaf, seen, leaf.keys.shape().count) {
                return found;
            }
        }
    }

    /// The first key that is not below `key`.
    pub(crate) fn at_or_after(&self, key: &[u8]) -> Option<Position> {
        self.first_from(key, |search| search.slot)
    }

    /// The last key below `key`.
    pub(crate) fn before(&self, key: &[u8]) -> Option<Position> {
        loop {
            match self.descend(Target::Before(key)) {
                Landing::Leaf { id, leaf, seen } => {
                    let slot = self.search(leaf, key).slot;
                    if let Some(found) = self.position_before(id, leaf, seen, slot) {
                        return found;
                    }
                }
                Landing::BelowAll => return None,
                Landing::AboveAll => {
                    // As in `first_from`: the last key may be a new one.
                    let last = self.last();
                    if last.is_none_or(|last| self.arena.key(last.key) < key) {
                        return last;
                    }
                }
            }
        }
    }

    /// The key behind `position`.
    pub(crate) fn next(&self, position: &Position) -> Option<Position> {
        let leaf = self.leaves.get(position.leaf);
        let slot = position.slot + 1;
        let key = (slot < leaf.keys.shape().count).then(|| leaf.keys.key(slot));
        let neighbour = leaf.next();
        if !leaf.keys.is_still(position.seen) {
            let key = self.arena.key(position.key);
            return self
                .first_from(key, |search| search.slot + usize::from(search.found.is_some()));
        }
        match key {
            Some(key) => Some(Position { key, slot, ..*position }),
            None => self.start_of(neighbour?),
        }
    }

    /// The key before `position`.
    pub(crate) fn prev(&self, position: &Position) -> Option<Position> {
        if let Some(slot) = position.slot.checked_sub(1) {
            let leaf = self.leaves.get(position.leaf);
            let key = leaf.keys.key(slot);
            if leaf.keys.is_still(position.seen) {
                return Some(Position { key, slot, ..*position });
            }
        }
        self.before(self.arena.key(position.key))
    }

    /// How `key` relates to all keys that start like the sample's first `skip`
    /// bytes: `Equal` means that it is one of them.
    #[inline]
    pub(crate) fn compare_with_prefix(&self, key: &[u8], skip: usize) -> Ordering {
        if skip == 0 {
            return Ordering::Equal;
        }
        let sample = self.sample.load().expect("a tree with a prefix has a key");
        key[..skip.min(key.len())].cmp(&self.arena.key(sample)[..skip])
    }

    /// Searches a leaf that `key` leads to.
    #[inline]
    pub(crate) fn search(&self, leaf: &Leaf, key: &[u8]) -> Search {
        let Shape { count, skip } = leaf.keys.shape();
        leaf.keys.search(count, head(key, skip), |other| self.arena.key(other).cmp(key))
    }

    /// The child of `node` that `key` leads to.
    #[inline]
    pub(crate) fn child_index(&self, node: &Inner, key: &[u8]) -> usize {
        let search = self.search_inner(node, key);
        search.slot + usize::from(search.found.is_some())
    }

    #[inline]
    fn search_inner(&self, node: &Inner, key: &[u8]) -> Search {
        let Shape { count, skip } = node.keys.shape();
        node.keys.search(count, head(key, skip), |other| self.arena.key(other).cmp(key))
    }

    fn descend(&self, target: Target<'_>) -> Landing<'_> {
        loop {
            if let Some(landing) = self.try_descend(target) {
                return landing;
            }
        }
    }

    /// `None` if the writer came in between.
    #[inline]
    fn try_descend(&self, target: Target<'_>) -> Option<Landing<'_>> {
        let mut node = self.inners.get(ROOT);
        let mut seen = node.keys.read();
        if let Target::Of(key) | Target::Before(key) = target {
            let order = self.compare_with_prefix(key, node.keys.shape().skip);
            if order != Ordering::Equal {
                let below = order == Ordering::Less;
                let landing = if below { Landing::BelowAll } else { Landing::AboveAll };
                return node.keys.is_still(seen).then_some(landing);
            }
        }
        loop {
            let index = match target {
                Target::Of(key) => self.child_index(node, key),
                Target::Before(key) => self.search_inner(node, key).slot,
                Target::Last => node.keys.shape().count,
            };
            let (id, level) = (node.child(index), node.level());
            // The id is followed only once it is known to fit the level.
            if !node.keys.is_still(seen) {
                return None;
            }
            // The child's version is taken before the parent is checked again:
            // so the child had this version while it covered the target.
            if level == 1 {
                let leaf = self.leaves.get(id);
                let leaf_seen = leaf.keys.read();
                let landing = Landing::Leaf { id, leaf, seen: leaf_seen };
                return node.keys.is_still(seen).then_some(landing);
            }
            let child = self.inners.get(id);
            let child_seen = child.keys.read();
            if !node.keys.is_still(seen) {
                return None;
            }
            (node, seen) = (child, child_seen);
        }
    }

    /// The first key from the slot on that `choose` picks in the leaf of `key`.
    fn first_from(&self, key: &[u8], choose: impl Fn(Search) -> usize) -> Option<Position> {
        loop {
            let (id, leaf, seen) = match self.descend(Target::Of(key)) {
                Landing::Leaf { id, leaf, seen } => (id, leaf, seen),
                Landing::AboveAll => return None,
                Landing::BelowAll => {
                    // The first key may be a new one, even below `key`; then the
                    // prefix is shorter by now and the next descent finds a leaf.
                    let first = self.first();
                    if first.is_none_or(|first| self.arena.key(first.key) >= key) {
                        return first;
                    }
                    continue;
                }
            };
            let slot = choose(self.search(leaf, key));
            let found = (slot < leaf.keys.shape().count).then(|| leaf.keys.key(slot));
            let neighbour = leaf.next();
            if leaf.keys.is_still(seen) {
                return match found {
                    Some(key) => Some(Position { key, leaf: id, slot, seen }),
                    None => self.start_of(neighbour?),
                };
            }
        }
    }

    /// The position before `slot`, if there is one; `None` if the writer came
    /// in between.
    fn position_before(
        &self,
        id: u32,
        leaf: &Leaf,
        seen: SeenVersion,
        slot: usize,
    ) -> Option<Option<Position>> {
        let found = slot.checked_sub(1).map(|slot| (slot, leaf.keys.key(slot)));
        leaf.keys.is_still(seen).then_some(found.map(|(slot, key)| Position {
            key,
            leaf: id,
            slot,
            seen,
        }))
    }

    /// The first key of a leaf; only the first leaf of an empty tree has none.
    fn start_of(&self, id: u32) -> Option<Position> {
        let leaf = self.leaves.get(id);
        loop {
            let seen = leaf.keys.read();
            let key = (leaf.keys.shape().count > 0).then(|| leaf.keys.key(0));
            if leaf.keys.is_still(seen) {
                return Some(Position { key: key?, leaf: id, slot: 0, seen });
            }
        }
    }
}
