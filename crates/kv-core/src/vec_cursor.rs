//! A cursor over entries held in a vector.

use crate::cursor::Cursor;
use crate::entry::{Kind, SeqNo};
use crate::error::Result;

/// An owned entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedEntry {
    /// The key.
    pub key: Vec<u8>,
    /// When it was written.
    pub seqno: SeqNo,
    /// Put or delete.
    pub kind: Kind,
    /// The value; empty for a delete.
    pub value: Vec<u8>,
}

/// Walks a vector of entries: for small sets, tools and tests.
#[derive(Debug, Clone)]
pub struct VecCursor {
    entries: Vec<OwnedEntry>,
    /// One past the current entry; 0 is "at no entry".
    position: usize,
}

impl VecCursor {
    /// Sorts `entries` by key, newest version first, and starts at no entry.
    pub fn new(mut entries: Vec<OwnedEntry>) -> VecCursor {
        entries.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| b.seqno.cmp(&a.seqno)));
        VecCursor { entries, position: 0 }
    }

    fn current(&self) -> &OwnedEntry {
        &self.entries[self.position.checked_sub(1).expect("the cursor is valid")]
    }

    fn place(&mut self, index: usize) -> Result<()> {
        self.position = if index < self.entries.len() { index + 1 } else { 0 };
        Ok(())
    }
}

impl Cursor for VecCursor {
    fn valid(&self) -> bool {
        self.position != 0
    }
    fn key(&self) -> &[u8] {
        &self.current().key
    }
    fn seqno(&self) -> SeqNo {
        self.current().seqno
    }
    fn kind(&self) -> Kind {
        self.current().kind
    }
    fn value(&self) -> &[u8] {
        &self.current().value
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.place(0)
    }
    fn seek_to_last(&mut self) -> Result<()> {
        self.position = self.entries.len();
        Ok(())
    }
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.place(self.entries.partition_point(|entry| entry.key.as_slice() < key))
    }
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.position = self.entries.partition_point(|entry| entry.key.as_slice() < key);
        Ok(())
    }
    fn next(&mut self) -> Result<()> {
        assert!(self.valid(), "the cursor is valid");
        self.place(self.position)
    }
    fn prev(&mut self) -> Result<()> {
        assert!(self.valid(), "the cursor is valid");
        self.position -= 1;
        Ok(())
    }
}
