//! Memory that passes from one memory table to the next.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::arena::{CHUNK_BYTES, Memory};

/// Keeps the memory of dropped memory tables for the next ones: the first touch
/// of a page costs microseconds on a virtual machine, a page touched before
/// costs nothing. Clones share the same memory.
#[derive(Clone)]
pub struct ArenaPool {
    shared: Arc<Shared>,
}

struct Shared {
    keep_chunks: usize,
    free: Mutex<Vec<Memory>>,
}

impl ArenaPool {
    /// A pool that holds on to at most `keep_bytes` of unused memory.
    pub fn new(keep_bytes: usize) -> ArenaPool {
        let keep_chunks = keep_bytes / CHUNK_BYTES;
        ArenaPool { shared: Arc::new(Shared { keep_chunks, free: Mutex::new(Vec::new()) }) }
    }

    /// Unused memory in the pool, in bytes.
    pub fn kept_bytes(&self) -> usize {
        self.shared.free.lock().len() * CHUNK_BYTES
    }

    /// A chunk of [`CHUNK_BYTES`] with any contents.
    pub(crate) fn take(&self) -> Memory {
        let kept = self.shared.free.lock().pop();
        kept.unwrap_or_else(|| Memory::zeroed(CHUNK_BYTES))
    }

    /// Takes a chunk back, or lets it go if it is of another size or too many.
    pub(crate) fn give_back(&self, memory: Memory) {
        if memory.bytes() != CHUNK_BYTES {
            return;
        }
        let mut free = self.shared.free.lock();
        if free.len() < self.shared.keep_chunks {
            free.push(memory);
        } else {
            // Unmapping is slow: not under the lock.
            drop(free);
            drop(memory);
        }
    }
}
