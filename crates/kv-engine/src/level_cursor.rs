//! One cursor over the tables of a level below 0, which are sorted and disjoint.

use std::sync::Arc;

use kv_compaction::TableRef;
use kv_core::{Cursor, Kind, Result, SeqNo, Value};
use kv_sstable::{CursorPurpose, TableCursor};

use crate::live_table::LiveTable;

/// Opens one table at a time, when the cursor comes to it.
pub(crate) struct LevelCursor {
    tables: Arc<[Arc<LiveTable>]>,
    purpose: CursorPurpose,
    /// Index of the open table and its cursor.
    open: Option<(usize, TableCursor)>,
}

impl LevelCursor {
    pub(crate) fn new(tables: Arc<[Arc<LiveTable>]>, purpose: CursorPurpose) -> LevelCursor {
        LevelCursor { tables, purpose, open: None }
    }

    fn current(&self) -> &TableCursor {
        &self.open.as_ref().expect("the cursor is valid").1
    }

    /// Opens table `index` (none if it is past the end) and places its cursor.
    fn enter(
        &mut self,
        index: usize,
        place: impl FnOnce(&mut TableCursor) -> Result<()>,
    ) -> Result<()> {
        let Some(live) = self.tables.get(index) else {
            self.open = None;
            return Ok(());
        };
        let mut cursor = match self.open.take() {
            Some((open, cursor)) if open == index => cursor,
            _ => live.table.cursor(self.purpose),
        };
        place(&mut cursor)?;
        self.open = Some((index, cursor));
        Ok(())
    }

    /// Goes on to the next table where the open one has ended.
    fn skip_forward(&mut self) -> Result<()> {
        while let Some((index, cursor)) = &self.open {
            if cursor.valid() {
                return Ok(());
            }
            self.enter(index + 1, TableCursor::seek_to_first)?;
        }
        Ok(())
    }

    fn skip_backward(&mut self) -> Result<()> {
        while let Some((index, cursor)) = &self.open {
            if cursor.valid() {
                return Ok(());
            }
            let Some(previous) = index.checked_sub(1) else {
                self.open = None;
                return Ok(());
            };
            self.enter(previous, TableCursor::seek_to_last)?;
        }
        Ok(())
    }
}

impl Cursor for LevelCursor {
    fn valid(&self) -> bool {
        self.open.as_ref().is_some_and(|(_, cursor)| cursor.valid())
    }
    fn key(&self) -> &[u8] {
        self.current().key()
    }
    fn seqno(&self) -> SeqNo {
        self.current().seqno()
    }
    fn kind(&self) -> Kind {
        self.current().kind()
    }
    fn value(&self) -> &[u8] {
        self.current().value()
    }
    fn pinned_value(&self) -> Value {
        self.current().pinned_value()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.enter(0, TableCursor::seek_to_first)?;
        self.skip_forward()
    }
    fn seek_to_last(&mut self) -> Result<()> {
        self.enter(self.tables.len().wrapping_sub(1), TableCursor::seek_to_last)?;
        self.skip_backward()
    }
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let index = self.tables.partition_point(|live| live.meta().largest_key.as_slice() < key);
        self.enter(index, |cursor| cursor.seek(key))?;
        self.skip_forward()
    }
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        let behind = self.tables.partition_point(|live| live.meta().smallest_key.as_slice() < key);
        self.enter(behind.wrapping_sub(1), |cursor| cursor.seek_before(key))?;
        self.skip_backward()
    }
    fn next(&mut self) -> Result<()> {
        let (_, cursor) = self.open.as_mut().expect("the cursor is valid");
        cursor.next()?;
        self.skip_forward()
    }
    fn prev(&mut self) -> Result<()> {
        let (_, cursor) = self.open.as_mut().expect("the cursor is valid");
        cursor.prev()?;
        self.skip_backward()
    }
}
