//! The file of an open table: blocks by number, checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kv_core::{ChecksumSeed, Error, Pinned, Result};

use crate::cache::{BlockCache, CacheId, CachedBlock};
use crate::compression::{self, BLOCK_TRAILER_BYTES, Payload};
use crate::defect::Defect;
use crate::index::{BlockHandle, Index};
use crate::open_files::FileSource;

/// The bytes of an open table.
///
/// Blocks come from the map or by `read_at`; either way their checksum is
/// verified before they are decoded: each time for what is read or
/// decompressed, once per open table for what is read in place.
pub(crate) struct TableFile {
    pub(crate) name: String,
    pub(crate) seed: ChecksumSeed,
    pub(crate) index: Index,
    pub(crate) source: FileSource,
    map: Option<Arc<dyn Pinned>>,
    /// One bit per block: its bytes in the map have passed their checksum.
    verified: Vec<AtomicU64>,
    cache: Arc<BlockCache>,
    cache_id: CacheId,
}

impl TableFile {
    pub(crate) fn new(
        name: String,
        seed: ChecksumSeed,
        index: Index,
        source: FileSource,
        map: Option<Arc<dyn Pinned>>,
        cache: Arc<BlockCache>,
    ) -> TableFile {
        let verified = (0..index.block_count().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let cache_id = cache.next_id();
        TableFile { name, seed, index, source, map, verified, cache, cache_id }
    }

    /// The map that plain blocks are read from, in map mode.
    #[inline]
    pub(crate) fn map(&self) -> Option<&Arc<dyn Pinned>> {
        self.map.as_ref()
    }

    /// The offset in the map and the bytes of a block that can be read in
    /// place: plain, and the table is mapped.
    #[inline]
    pub(crate) fn mapped_block(&self, number: usize) -> Result<Option<(usize, &[u8])>> {
        let Some(map) = &self.map else { return Ok(None) };
        let handle = self.index.handle(number);
        let stored = stored_in_map(&**map, handle);
        let payload = compression::split(stored);
        if matches!(payload, Ok(Payload::Lz4(_))) {
            // Whoever decompresses it verifies it, each time.
            return Ok(None);
        }
        if !self.is_verified(number) {
            self.verify(handle, stored)?;
            self.set_verified(number);
        }
        match payload.map_err(|defect| self.block_error(number, defect))? {
            Payload::Plain(block) => Ok(Some((handle.offset as usize, block))),
            Payload::Lz4(_) => Ok(None),
        }
    }

    /// A block that cannot be read in place, if it is in the cache.
    pub(crate) fn peek_cached(&self, number: usize) -> Option<Arc<CachedBlock>> {
        self.cache.get(self.cache_id, number)
    }

    /// A block that cannot be read in place, through the cache.
    #[inline]
    pub(crate) fn cached_block(&self, number: usize) -> Result<Arc<CachedBlock>> {
        self.cache.get_or_load(self.cache_id, number, || self.load_block(number))
    }

    /// The stored bytes of a block in the map, not verified.
    pub(crate) fn stored_in_map(&self, number: usize) -> Option<&[u8]> {
        self.map.as_ref().map(|map| stored_in_map(&**map, self.index.handle(number)))
    }

    /// Checks the stored bytes of a block against both copies of its checksum.
    pub(crate) fn verify(&self, handle: BlockHandle, stored: &[u8]) -> Result<()> {
        compression::verify(self.seed, handle.offset, stored, handle.checksum)
            .map_err(|defect| defect.at(&self.name, handle.offset))
    }

    /// Takes the trailer off the stored bytes of a block. Verify them first.
    #[inline]
    pub(crate) fn split<'a>(&self, handle: BlockHandle, stored: &'a [u8]) -> Result<Payload<'a>> {
        compression::split(stored).map_err(|defect| defect.at(&self.name, handle.offset))
    }

    /// Reads `buffer.len()` bytes at `offset` from the file, not the map.
    pub(crate) fn read_exact(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if self.source.file()?.read_exact_at(offset, buffer)? {
            return Ok(());
        }
        Err(Error::corruption(&*self.name, offset, "the file ends inside a block"))
    }

    /// Offset behind the last block.
    pub(crate) fn data_end(&self) -> u64 {
        self.index.handle(self.index.block_count() - 1).end()
    }

    /// The error for a defect found in block `number`.
    #[cold]
    pub(crate) fn block_error(&self, number: usize, defect: Defect) -> Error {
        defect.at(&self.name, self.index.handle(number).offset)
    }

    /// Makes a block of its payload, in memory that is reused.
    pub(crate) fn decode(
        &self,
        handle: BlockHandle,
        payload: Payload<'_>,
        block: &mut Vec<u8>,
    ) -> Result<()> {
        match payload {
            Payload::Plain(bytes) => {
                block.clear();
                block.extend_from_slice(bytes);
                Ok(())
            }
            Payload::Lz4(bytes) => compression::decompress(bytes, block)
                .map_err(|defect| defect.at(&self.name, handle.offset)),
        }
    }

    fn load_block(&self, number: usize) -> Result<Arc<CachedBlock>> {
        let handle = self.index.handle(number);
        let mut block = Vec::new();
        if let Some(stored) = self.stored_in_map(number) {
            self.verify(handle, stored)?;
            self.decode(handle, self.split(handle, stored)?, &mut block)?;
            return Ok(CachedBlock::new(block));
        }
        let mut stored = vec![0; handle.stored_len as usize + BLOCK_TRAILER_BYTES];
        self.read_exact(handle.offset, &mut stored)?;
        self.verify(handle, &stored)?;
        match self.split(handle, &stored)? {
            Payload::Plain(_) => {
                stored.truncate(handle.stored_len as usize);
                Ok(CachedBlock::new(stored))
            }
            payload => {
                self.decode(handle, payload, &mut block)?;
                Ok(CachedBlock::new(block))
            }
        }
    }

    #[inline]
    fn is_verified(&self, number: usize) -> bool {
        self.verified[number / 64].load(Ordering::Relaxed) >> (number % 64) & 1 == 1
    }

    /// Relaxed: the bit says something about immutable bytes, nothing else is
    /// published with it, and a lost race only verifies a block twice.
    fn set_verified(&self, number: usize) {
        self.verified[number / 64].fetch_or(1 << (number % 64), Ordering::Relaxed);
    }
}

/// Opening has compared the length of the map with the end of the blocks.
#[inline]
fn stored_in_map(map: &dyn Pinned, handle: BlockHandle) -> &[u8] {
    &map.bytes()[handle.offset as usize..handle.end() as usize]
}
