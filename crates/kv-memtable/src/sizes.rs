//! How large the nodes of the tree are.

/// Keys of a leaf.
pub(crate) const LEAF_SLOTS: usize = 32;
/// Separators of an inner node.
pub(crate) const INNER_SLOTS: usize = 32;
/// Nodes that are allocated together.
pub(crate) const SLAB_NODES: u32 = 32;
