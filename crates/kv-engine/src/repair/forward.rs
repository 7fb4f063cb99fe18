//! Walking salvaged entries forwards, in the shape that a merge takes.

use kv_core::{Cursor, Error, Kind, Result, SeqNo};

/// Entries in the order of their keys that can be walked once.
pub(super) trait Forward: Send {
    /// To the next entry, at first to the first; false at the end.
    fn advance(&mut self) -> Result<bool>;
    fn key(&self) -> &[u8];
    fn seqno(&self) -> SeqNo;
    fn kind(&self) -> Kind;
    fn value(&self) -> &[u8];
}

/// A [`Cursor`] that only goes forwards: all that a rewrite asks for.
pub(super) struct ForwardCursor<F> {
    source: F,
    is_valid: bool,
}

impl<F: Forward> ForwardCursor<F> {
    pub(super) fn new(source: F) -> ForwardCursor<F> {
        ForwardCursor { source, is_valid: false }
    }
}

fn only_forwards<T>() -> Result<T> {
    Err(Error::InvalidArgument("salvaged entries can only be walked forwards".into()))
}

impl<F: Forward> Cursor for ForwardCursor<F> {
    fn valid(&self) -> bool {
        self.is_valid
    }
    fn key(&self) -> &[u8] {
        self.source.key()
    }
    fn seqno(&self) -> SeqNo {
        self.source.seqno()
    }
    fn kind(&self) -> Kind {
        self.source.kind()
    }
    fn value(&self) -> &[u8] {
        self.source.value()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.next()
    }
    fn next(&mut self) -> Result<()> {
        self.is_valid = false;
        self.is_valid = self.source.advance()?;
        Ok(())
    }
    fn seek_to_last(&mut self) -> Result<()> {
        only_forwards()
    }
    fn seek(&mut self, _: &[u8]) -> Result<()> {
        only_forwards()
    }
    fn seek_before(&mut self, _: &[u8]) -> Result<()> {
        only_forwards()
    }
    fn prev(&mut self) -> Result<()> {
        only_forwards()
    }
}
