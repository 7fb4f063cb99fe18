//! Memory that passes from one memory table to the next.

/// Keeps the memory of dropped memory tables for the next ones.
#[derive(Debug, Clone)]
pub struct ArenaPool {
    keep_bytes: usize,
}

impl ArenaPool {
    /// A pool that holds on to at most `keep_bytes` of unused memory.
    pub fn new(keep_bytes: usize) -> ArenaPool {
        ArenaPool { keep_bytes }
    }

    /// Most unused memory the pool holds, in bytes.
    pub fn keep_bytes(&self) -> usize {
        self.keep_bytes
    }
}
