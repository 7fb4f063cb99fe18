//! The one way to walk entries in order, forwards and backwards.

use crate::entry::{Kind, SeqNo};
use crate::error::Result;
use crate::value::Value;

/// A position in an ordered sequence of entries.
///
/// Entries are ordered by key, ascending and bytewise; versions of one key
/// follow each other from the newest to the oldest. A new cursor is at no
/// entry: place it with one of the `seek` calls.
///
/// `key`, `seqno`, `kind`, `value` and `pinned_value` may be called only while
/// [`valid`](Cursor::valid); a violation is a bug of the caller and panics.
/// After an error a cursor is not valid.
pub trait Cursor: Send {
    /// True while the cursor stands at an entry.
    fn valid(&self) -> bool;
    /// The key.
    fn key(&self) -> &[u8];
    /// When the entry was written.
    fn seqno(&self) -> SeqNo;
    /// Put or delete.
    fn kind(&self) -> Kind;
    /// The value; empty for a delete.
    fn value(&self) -> &[u8];
    /// The value, held beyond the next move: pinned where that costs nothing,
    /// else a copy.
    fn pinned_value(&self) -> Value {
        Value::copy_of(self.value())
    }

    /// To the first entry.
    fn seek_to_first(&mut self) -> Result<()>;
    /// To the last entry.
    fn seek_to_last(&mut self) -> Result<()>;
    /// To the first entry (the newest version) of the first key `>= key`.
    fn seek(&mut self, key: &[u8]) -> Result<()>;
    /// To the last entry (the oldest version) of the last key `< key`.
    fn seek_before(&mut self, key: &[u8]) -> Result<()>;
    /// To the next entry in order. The cursor must be valid.
    fn next(&mut self) -> Result<()>;
    /// To the previous entry in order. The cursor must be valid.
    fn prev(&mut self) -> Result<()>;
}

impl<C: Cursor + ?Sized> Cursor for Box<C> {
    fn valid(&self) -> bool {
        (**self).valid()
    }
    fn key(&self) -> &[u8] {
        (**self).key()
    }
    fn seqno(&self) -> SeqNo {
        (**self).seqno()
    }
    fn kind(&self) -> Kind {
        (**self).kind()
    }
    fn value(&self) -> &[u8] {
        (**self).value()
    }
    fn pinned_value(&self) -> Value {
        (**self).pinned_value()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        (**self).seek_to_first()
    }
    fn seek_to_last(&mut self) -> Result<()> {
        (**self).seek_to_last()
    }
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        (**self).seek(key)
    }
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        (**self).seek_before(key)
    }
    fn next(&mut self) -> Result<()> {
        (**self).next()
    }
    fn prev(&mut self) -> Result<()> {
        (**self).prev()
    }
}
