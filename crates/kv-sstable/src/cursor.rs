//! Walks a table in order.

use std::ops::Range;
use std::sync::Arc;

use kv_core::{Cursor, Kind, Pinned, Result, SeqNo, Value};

use crate::block::{BlockCursor, BlockLayout, BlockView, Entry};
use crate::cache::CachedBlock;
use crate::defect::Defect;
use crate::readahead::Readahead;
use crate::table::Table;

/// What a cursor is for, which decides how it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorPurpose {
    /// A reader: from the map or the cache.
    Read,
    /// Compaction, scrub, backup: by `pread` with readahead, past the map (an
    /// error of the device stays an error) and past the cache.
    Background,
}

/// Blocks read one after the other before a reader starts to read ahead.
const SEQUENTIAL_BLOCKS: u32 = 2;

/// Where the bytes of the current block are.
enum Held {
    Nothing,
    /// In the map, at this offset.
    Mapped(Arc<dyn Pinned>, Range<usize>),
    /// In the cache, or evicted from it since.
    Cached(Arc<CachedBlock>),
    /// In the readahead buffer of this cursor.
    ReadAhead,
}

/// A [`Cursor`] over the entries of a [`Table`].
pub struct TableCursor {
    table: Arc<Table>,
    purpose: CursorPurpose,
    block_number: usize,
    held: Held,
    layout: Option<BlockLayout>,
    position: BlockCursor,
    readahead: Readahead,
    /// Blocks entered one behind the other since the last seek.
    sequential_blocks: u32,
}

impl TableCursor {
    pub(crate) fn new(table: Arc<Table>, purpose: CursorPurpose) -> TableCursor {
        TableCursor {
            table,
            purpose,
            block_number: 0,
            held: Held::Nothing,
            layout: None,
            position: BlockCursor::default(),
            readahead: Readahead::default(),
            sequential_blocks: 0,
        }
    }

    fn last_block(&self) -> usize {
        self.table.file.index.block_count() - 1
    }

    /// Makes `number` the current block, at none of its entries.
    fn enter_block(&mut self, number: usize) -> Result<()> {
        self.position.clear();
        if self.layout.is_some() && self.block_number == number {
            return Ok(());
        }
        let is_next = self.layout.is_some() && self.block_number + 1 == number;
        self.sequential_blocks = if is_next { self.sequential_blocks + 1 } else { 0 };
        self.layout = None;
        self.held = Held::Nothing;
        self.held = self.hold_block(number)?;
        self.block_number = number;
        let layout = BlockLayout::decode(self.block_bytes());
        self.layout = Some(layout.map_err(|defect| self.table.file.block_error(number, defect))?);
        Ok(())
    }

    fn hold_block(&mut self, number: usize) -> Result<Held> {
        let file = &self.table.file;
        if self.purpose == CursorPurpose::Background {
            self.readahead.read_block(file, number)?;
            return Ok(Held::ReadAhead);
        }
        if let Some((start, block)) = file.mapped_block(number)? {
            let map = Arc::clone(file.map().expect("a mapped block has a map"));
            return Ok(Held::Mapped(map, start..start + block.len()));
        }
        if self.sequential_blocks < SEQUENTIAL_BLOCKS {
            return Ok(Held::Cached(file.cached_block(number)?));
        }
        if let Some(block) = file.peek_cached(number) {
            return Ok(Held::Cached(block));
        }
        match file.stored_in_map(number) {
            Some(stored) => self.readahead.decode_block(file, number, stored)?,
            None => self.readahead.read_block(file, number)?,
        }
        Ok(Held::ReadAhead)
    }

    /// The bytes of the current block.
    #[inline]
    fn block_bytes(&self) -> &[u8] {
        match &self.held {
            Held::Nothing => &[],
            Held::Mapped(map, range) => &map.bytes()[range.clone()],
            Held::Cached(block) => block.bytes(),
            Held::ReadAhead => self.readahead.block(),
        }
    }

    /// Moves within the current block.
    #[inline]
    fn move_in_block(
        &mut self,
        step: impl FnOnce(&mut BlockCursor, BlockView<'_>) -> Result<(), Defect>,
    ) -> Result<()> {
        let Some(layout) = self.layout else { return Ok(()) };
        let mut position = std::mem::take(&mut self.position);
        let moved = step(&mut position, layout.view(self.block_bytes()));
        self.position = position;
        moved.map_err(|defect| self.table.file.block_error(self.block_number, defect))
    }

    /// Goes on with the first entry of the next block where the current has no
    /// further entry.
    #[inline]
    fn settle_forward(&mut self) -> Result<()> {
        if self.valid() || self.block_number == self.last_block() {
            return Ok(());
        }
        self.enter_block(self.block_number + 1)?;
        self.move_in_block(BlockCursor::seek_to_first)
    }

    /// Goes on with the last entry of the previous block.
    fn settle_backward(&mut self) -> Result<()> {
        if self.valid() || self.block_number == 0 {
            return Ok(());
        }
        self.enter_block(self.block_number - 1)?;
        self.move_in_block(BlockCursor::seek_to_last)
    }

    #[inline]
    fn entry(&self) -> &Entry {
        self.position.entry().expect("the cursor is valid")
    }
}

impl Cursor for TableCursor {
    #[inline]
    fn valid(&self) -> bool {
        self.position.entry().is_some()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        assert!(self.valid(), "the cursor is valid");
        self.position.key()
    }

    #[inline]
    fn seqno(&self) -> SeqNo {
        self.entry().seqno
    }

    #[inline]
    fn kind(&self) -> Kind {
        self.entry().kind
    }

    #[inline]
    fn value(&self) -> &[u8] {
        let entry = self.entry();
        &self.block_bytes()[entry.value_start..entry.end]
    }

    fn pinned_value(&self) -> Value {
        let entry = self.entry();
        if entry.value_len() == 0 {
            return Value::EMPTY;
        }
        match &self.held {
            Held::Mapped(map, range) => {
                Value::pinned(Arc::clone(map), range.start + entry.value_start, entry.value_len())
            }
            Held::Cached(block) => {
                let owner: Arc<dyn Pinned> = block.clone();
                Value::pinned(owner, entry.value_start, entry.value_len())
            }
            Held::Nothing | Held::ReadAhead => Value::copy_of(self.value()),
        }
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.enter_block(0)?;
        self.move_in_block(BlockCursor::seek_to_first)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.enter_block(self.last_block())?;
        self.move_in_block(BlockCursor::seek_to_last)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let Some(number) = self.table.file.index.locate(key) else { return self.seek_to_first() };
        self.enter_block(number)?;
        self.move_in_block(|position, block| position.seek(block, key))?;
        self.settle_forward()
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        let Some(number) = self.table.file.index.locate(key) else {
            self.position.clear();
            return Ok(());
        };
        self.enter_block(number)?;
        self.move_in_block(|position, block| position.seek_before(block, key))?;
        self.settle_backward()
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        assert!(self.valid(), "the cursor is valid");
        self.move_in_block(BlockCursor::next)?;
        self.settle_forward()
    }

    fn prev(&mut self) -> Result<()> {
        assert!(self.valid(), "the cursor is valid");
        self.move_in_block(BlockCursor::prev)?;
        self.settle_backward()
    }
}
