//! Walks the state of a memory table at one sequence number.

use std::sync::Arc;

use kv_core::{Cursor, Kind, Result, SeqNo, Value};

use crate::arena::{Version, VersionRef};
use crate::tree::{Position, Tree};

/// A cursor over the newest version of each key that is not newer than a given
/// number, deletes included; it keeps the table alive.
///
/// A key costs one step however often it was overwritten since; reaching past
/// versions that are too new costs a load for each.
pub struct VisibleCursor {
    tree: Arc<Tree>,
    at: SeqNo,
    current: Option<(Position, VersionRef)>,
}

impl VisibleCursor {
    pub(crate) fn new(tree: Arc<Tree>, at: SeqNo) -> VisibleCursor {
        VisibleCursor { tree, at, current: None }
    }

    fn current(&self) -> (Position, VersionRef) {
        self.current.expect("the cursor is valid")
    }

    fn version(&self) -> Version<'_> {
        self.tree.arena.version(self.current().1)
    }

    /// Stands at `position` or at the next one, as `step` leads, whose key was
    /// there at the cursor's number.
    fn settle(
        &mut self,
        mut position: Option<Position>,
        step: impl Fn(&Tree, &Position) -> Option<Position>,
    ) -> Result<()> {
        self.current = None;
        while let Some(here) = position {
            if let Some(version) = self.tree.arena.version_at(here.key, self.at) {
                self.current = Some((here, version));
                break;
            }
            position = step(&self.tree, &here);
        }
        Ok(())
    }
}

impl Cursor for VisibleCursor {
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
        self.settle(self.tree.first(), Tree::next)
    }
    fn seek_to_last(&mut self) -> Result<()> {
        self.settle(self.tree.last(), Tree::prev)
    }
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.settle(self.tree.at_or_after(key), Tree::next)
    }
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.settle(self.tree.before(key), Tree::prev)
    }
    fn next(&mut self) -> Result<()> {
        let (position, _) = self.current();
        self.settle(self.tree.next(&position), Tree::next)
    }
    fn prev(&mut self) -> Result<()> {
        let (position, _) = self.current();
        self.settle(self.tree.prev(&position), Tree::prev)
    }
}
