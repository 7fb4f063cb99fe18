//! Walks all versions of all keys of a memory table.

use std::sync::Arc;

use kv_core::{Cursor, Kind, Result, SeqNo, Value};

use crate::arena::{Version, VersionRef};
use crate::tree::{Position, Tree};

/// A cursor over all entries of a [`Memtable`](crate::Memtable); it keeps the
/// table alive.
///
/// A move costs a few loads; a descent of the tree where the writer has changed
/// the leaf since the last move, and for a step back into another leaf.
pub struct MemtableCursor {
    tree: Arc<Tree>,
    current: Option<(Position, VersionRef)>,
    /// Versions newer than the current one, the newest first, for the way back:
    /// links lead to older ones only. Empty means that they are not known.
    newer: Vec<VersionRef>,
}

impl MemtableCursor {
    pub(crate) fn new(tree: Arc<Tree>) -> MemtableCursor {
        MemtableCursor { tree, current: None, newer: Vec::new() }
    }

    fn current(&self) -> (Position, VersionRef) {
        self.current.expect("the cursor is valid")
    }

    fn version(&self) -> Version<'_> {
        self.tree.arena.version(self.current().1)
    }

    fn stand_at_newest(&mut self, position: Option<Position>) {
        self.newer.clear();
        self.current = position.map(|position| (position, self.tree.arena.newest(position.key)));
    }

    fn stand_at_oldest(&mut self, position: Option<Position>) {
        self.stand_at_newest(position);
        let Some((position, mut version)) = self.current else {
            return;
        };
        while let Some(older) = self.tree.arena.version(version).older {
            self.newer.push(version);
            version = older;
        }
        self.current = Some((position, version));
    }

    /// Walks down to the current version once, so that going back is a pop.
    fn learn_newer(&mut self) {
        let (position, current) = self.current();
        let mut version = self.tree.arena.newest(position.key);
        while version != current {
            self.newer.push(version);
            let older = self.tree.arena.version(version).older;
            version = older.expect("links lead from the newest version to all others");
        }
    }
}

impl Cursor for MemtableCursor {
    fn valid(&self) -> bool {
        self.current.is_some()
    }
    fn key(&self) -> &[u8] {
        self.tree.arena.key(self.current().0.key)
    }
    fn seqno(&self) -> SeqNo {
        self.version().seqno
    }
    fn kind(&self) -> Kind {
        self.version().kind
    }
    fn value(&self) -> &[u8] {
        self.version().value
    }
    fn pinned_value(&self) -> Value {
        self.tree.arena.value(self.current().1)
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.stand_at_newest(self.tree.first());
        Ok(())
    }
    fn seek_to_last(&mut self) -> Result<()> {
        self.stand_at_oldest(self.tree.last());
        Ok(())
    }
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.stand_at_newest(self.tree.at_or_after(key));
        Ok(())
    }
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.stand_at_oldest(self.tree.before(key));
        Ok(())
    }
    fn next(&mut self) -> Result<()> {
        let (position, version) = self.current();
        match self.version().older {
            Some(older) => {
                if !self.newer.is_empty() {
                    self.newer.push(version);
                }
                self.current = Some((position, older));
            }
            None => self.stand_at_newest(self.tree.next(&position)),
        }
        Ok(())
    }
    fn prev(&mut self) -> Result<()> {
        if self.newer.is_empty() {
            self.learn_newer();
        }
        let (position, _) = self.current();
        match self.newer.pop() {
            Some(newer) => self.current = Some((position, newer)),
            None => self.stand_at_oldest(self.tree.prev(&position)),
        }
        Ok(())
    }
}
