//! A scan of the engine with the pending writes of a run laid over it.

use std::collections::btree_map;
use std::iter::Peekable;

use kv_core::{Result, Value};

use super::reader::{Direction, Entries};

/// Entries of the engine and pending writes of the same range as one scan: of
/// two with the same key the pending one wins, and pending deletes hide.
pub(crate) fn merge_pending<'a>(
    entries: Entries<'a>,
    pending: btree_map::Range<'a, Vec<u8>, Option<Value>>,
    direction: Direction,
) -> Entries<'a> {
    match direction {
        Direction::Forward => Box::new(Merged::new(entries, pending, direction)),
        Direction::Backward => Box::new(Merged::new(entries, pending.rev(), direction)),
    }
}

struct Merged<'a, P: Iterator<Item = (&'a Vec<u8>, &'a Option<Value>)>> {
    entries: Peekable<Entries<'a>>,
    pending: Peekable<P>,
    direction: Direction,
}

impl<'a, P: Iterator<Item = (&'a Vec<u8>, &'a Option<Value>)>> Merged<'a, P> {
    fn new(entries: Entries<'a>, pending: P, direction: Direction) -> Self {
        Merged { entries: entries.peekable(), pending: pending.peekable(), direction }
    }

    /// True if the next pending write stands before the engine's next entry or
    /// replaces it.
    fn is_pending_next(&mut self) -> bool {
        let Some((pending_key, _)) = self.pending.peek() else { return false };
        match self.entries.peek() {
            None => true,
            Some(Err(_)) => false,
            Some(Ok((key, _))) => match self.direction {
                Direction::Forward => *pending_key <= key,
                Direction::Backward => *pending_key >= key,
            },
        }
    }
}

impl<'a, P: Iterator<Item = (&'a Vec<u8>, &'a Option<Value>)>> Iterator for Merged<'a, P> {
    type Item = Result<(Vec<u8>, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if !self.is_pending_next() {
                return self.entries.next();
            }
            let (key, value) = self.pending.next()?;
            self.entries.next_if(|entry| matches!(entry, Ok((other, _)) if other == key));
            if let Some(value) = value {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}
