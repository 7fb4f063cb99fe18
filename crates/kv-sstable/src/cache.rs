//! Blocks that were decompressed or read, shared by all open tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;
use kv_core::{Pinned, Result};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

/// What an entry of the cache costs beside its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// Typical size of a block, for the initial size of the hash table.
const TYPICAL_BLOCK_BYTES: u64 = 4096;

/// A block without its trailer, as it is searched.
#[derive(Debug)]
pub(crate) struct CachedBlock(Vec<u8>);

impl CachedBlock {
    pub(crate) fn new(block: Vec<u8>) -> Arc<CachedBlock> {
        Arc::new(CachedBlock(block))
    }
}

impl Pinned for CachedBlock {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Identifies an open table in the cache. Never used twice, so a file that takes
/// the name of another never sees its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheId(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct BlockKey {
    table: CacheId,
    block: u32,
}

#[derive(Debug, Clone)]
struct BytesWeighter;

impl Weighter<BlockKey, Arc<CachedBlock>> for BytesWeighter {
    fn weight(&self, _key: &BlockKey, block: &Arc<CachedBlock>) -> u64 {
        (block.0.capacity() + ENTRY_OVERHEAD_BYTES) as u64
    }
}

/// A cache of blocks with a budget in bytes, shared by the tables of a
/// database (or of several).
///
/// Evicts by a variant of S3-FIFO: blocks that are read once leave first, so a
/// scan does not empty it. A block that readers still use stays in memory
/// until they let go of it.
#[derive(Debug)]
pub struct BlockCache {
    blocks: Cache<BlockKey, Arc<CachedBlock>, BytesWeighter, FixedState>,
    next_id: AtomicU64,
}

impl BlockCache {
    /// A cache of up to `capacity_bytes`; 0 keeps nothing.
    pub fn new(capacity_bytes: u64) -> Arc<BlockCache> {
        let typical_blocks = usize::try_from(capacity_bytes / TYPICAL_BLOCK_BYTES).unwrap_or(0);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(typical_blocks)
            .weight_capacity(capacity_bytes)
            .build()
            .expect("all that has no default is set");
        // Fixed, so that a simulation reads the same blocks each time it runs.
        // Clients choose no keys of this cache: they are numbers of tables and
        // of blocks.
        let (hasher, lifecycle) = (FixedState::default(), DefaultLifecycle::default());
        let blocks = Cache::with_options(options, BytesWeighter, hasher, lifecycle);
        Arc::new(BlockCache { blocks, next_id: AtomicU64::new(0) })
    }

    /// The id of the next table.
    pub(crate) fn next_id(&self) -> CacheId {
        CacheId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        self.blocks.weight()
    }

    /// The budget in bytes.
    pub fn capacity_bytes(&self) -> u64 {
        self.blocks.capacity()
    }

    /// The block if it is there.
    #[inline]
    pub(crate) fn get(&self, table: CacheId, block: usize) -> Option<Arc<CachedBlock>> {
        self.blocks.get(&BlockKey { table, block: block as u32 })
    }

    /// The block; several threads that miss it together load it once.
    #[inline]
    pub(crate) fn get_or_load(
        &self,
        table: CacheId,
        block: usize,
        load: impl FnOnce() -> Result<Arc<CachedBlock>>,
    ) -> Result<Arc<CachedBlock>> {
        self.blocks.get_or_insert_with(&BlockKey { table, block: block as u32 }, load)
    }
}
