//! The atomics of the tree, in one place.
//!
//! The files of the tree import from `super`, so that the loom model in
//! `tests/it` can compile them beside another `sync`, `sizes` and `arena`.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Spins that cover the few stores a writer makes inside a node.
const SPINS_BEFORE_YIELD: u32 = 64;

/// Lets time pass in a loop that waits for another thread. The writer may have
/// lost its core inside a node; then it gets this one.
pub(crate) fn pause(spins: u32) {
    if spins < SPINS_BEFORE_YIELD {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}
