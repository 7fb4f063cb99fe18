//! Walks all versions of all keys of a memory table.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::Arc;

use crossbeam_skiplist::map::Entry;
use kv_core::{Cursor, Kind, Result, SeqNo, Value};

use crate::memtable::{Memtable, VersionKey};

/// A cursor over all entries of a [`Memtable`]; it keeps the table alive.
pub struct MemtableCursor {
    table: Arc<Memtable>,
    current: Option<(VersionKey, Kind, Value)>,
}

impl MemtableCursor {
    pub(crate) fn new(table: Arc<Memtable>) -> MemtableCursor {
        MemtableCursor { table, current: None }
    }

    fn current(&self) -> &(VersionKey, Kind, Value) {
        self.current.as_ref().expect("the cursor is valid")
    }
}

fn copy_entry(entry: Entry<'_, VersionKey, (Kind, Value)>) -> (VersionKey, Kind, Value) {
    let (kind, value) = entry.value();
    (entry.key().clone(), *kind, value.clone())
}

impl Cursor for MemtableCursor {
    fn valid(&self) -> bool {
        self.current.is_some()
    }
    fn key(&self) -> &[u8] {
        &self.current().0.0
    }
    fn seqno(&self) -> SeqNo {
        self.current().0.1.0
    }
    fn kind(&self) -> Kind {
        self.current().1
    }
    fn value(&self) -> &[u8] {
        &self.current().2
    }
    fn pinned_value(&self) -> Value {
        self.current().2.clone()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.current = self.table.entries.front().map(copy_entry);
        Ok(())
    }
    fn seek_to_last(&mut self) -> Result<()> {
        self.current = self.table.entries.back().map(copy_entry);
        Ok(())
    }
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let from = (key.to_vec(), Reverse(SeqNo::MAX));
        let found = self.table.entries.lower_bound(Bound::Included(&from));
        self.current = found.map(copy_entry);
        Ok(())
    }
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        let to = (key.to_vec(), Reverse(SeqNo::MAX));
        let found = self.table.entries.upper_bound(Bound::Excluded(&to));
        self.current = found.map(copy_entry);
        Ok(())
    }
    fn next(&mut self) -> Result<()> {
        let found = self.table.entries.lower_bound(Bound::Excluded(&self.current().0));
        let next = found.map(copy_entry);
        self.current = next;
        Ok(())
    }
    fn prev(&mut self) -> Result<()> {
        let found = self.table.entries.upper_bound(Bound::Excluded(&self.current().0));
        let prev = found.map(copy_entry);
        self.current = prev;
        Ok(())
    }
}
