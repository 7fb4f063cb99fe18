//! All salvaged entries as one sequence, with an eye on what has no order.

use std::hash::{BuildHasher, RandomState};

use kv_core::{Cursor, Kind, MergeCursor, Result, SeqNo};

use crate::repair::escape::escape_bytes;
use crate::repair::forward::Forward;

/// Keys named as examples in the report.
const MAX_EXAMPLES: usize = 10;

/// What was seen on the way.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) unordered_keys: u64,
    pub(super) unordered_examples: Vec<String>,
    pub(super) last_seqno: SeqNo,
}

/// The version of a key that stands before the current entry.
struct Previous {
    key: Vec<u8>,
    seqno: SeqNo,
    kind: Kind,
    /// Hash of its value, which may be too large to be kept.
    value: u64,
    is_noted: bool,
}

/// Walks a merge forwards and notes versions that have the same number and
/// differ.
pub(super) struct Watched<'s, C> {
    merge: MergeCursor<C>,
    previous: Option<Previous>,
    is_started: bool,
    hasher: RandomState,
    seen: &'s mut Seen,
}

impl<'s, C: Cursor> Watched<'s, C> {
    pub(super) fn new(sources: Vec<C>, seen: &'s mut Seen) -> Watched<'s, C> {
        let (merge, hasher) = (MergeCursor::new(sources), RandomState::new());
        Watched { merge, previous: None, is_started: false, hasher, seen }
    }

    /// Compares the current entry with the one before.
    fn watch(&mut self) {
        let merge = &self.merge;
        self.seen.last_seqno = self.seen.last_seqno.max(merge.seqno());
        let same = self
            .previous
            .as_mut()
            .filter(|last| last.key == merge.key() && last.seqno == merge.seqno());
        let value = self.hasher.hash_one(merge.value());
        match same {
            Some(last) => {
                let differs = last.kind != merge.kind() || last.value != value;
                if differs && !last.is_noted {
                    last.is_noted = true;
                    self.seen.unordered_keys += 1;
                    if self.seen.unordered_examples.len() < MAX_EXAMPLES {
                        self.seen.unordered_examples.push(escape_bytes(merge.key()));
                    }
                }
            }
            None => {
                let mut key = self.previous.take().map_or_else(Vec::new, |last| last.key);
                key.clear();
                key.extend_from_slice(merge.key());
                let (seqno, kind) = (merge.seqno(), merge.kind());
                self.previous = Some(Previous { key, seqno, kind, value, is_noted: false });
            }
        }
    }
}

impl<C: Cursor> Forward for Watched<'_, C> {
    fn advance(&mut self) -> Result<bool> {
        if self.is_started {
            self.merge.next()?;
        } else {
            self.merge.seek_to_first()?;
            self.is_started = true;
        }
        if self.merge.valid() {
            self.watch();
        }
        Ok(self.merge.valid())
    }
    fn key(&self) -> &[u8] {
        self.merge.key()
    }
    fn seqno(&self) -> SeqNo {
        self.merge.seqno()
    }
    fn kind(&self) -> Kind {
        self.merge.kind()
    }
    fn value(&self) -> &[u8] {
        self.merge.value()
    }
}
