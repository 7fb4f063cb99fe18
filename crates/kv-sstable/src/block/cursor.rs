//! A position in a data block.

use super::entry::Entry;
use super::view::{BlockView, Group};
use crate::defect::Defect;

/// Stands at an entry of a block, or at none.
///
/// It holds no bytes of the block: every call takes the same view again, so
/// that the owner decides how a block is kept alive. The key is put together
/// in a buffer that is reused for the life of the cursor.
#[derive(Debug, Default)]
pub(crate) struct BlockCursor {
    entry: Option<Entry>,
    key: Vec<u8>,
    group_number: usize,
    group: Group,
    /// Starts of the entries of `group_number`; empty unless the cursor moved
    /// backwards in this group.
    group_entries: Vec<usize>,
}

impl BlockCursor {
    /// The current entry.
    #[inline]
    pub(crate) fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    /// The current key.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// To no entry.
    pub(crate) fn clear(&mut self) {
        self.entry = None;
    }

    /// To the first entry.
    pub(crate) fn seek_to_first(&mut self, block: BlockView<'_>) -> Result<(), Defect> {
        self.enter_group(block, 0)
    }

    /// To the last entry.
    pub(crate) fn seek_to_last(&mut self, block: BlockView<'_>) -> Result<(), Defect> {
        self.enter_group_at_end(block, block.group_count() - 1)
    }

    /// To the first entry with a key `>= key`, or to none.
    pub(crate) fn seek(&mut self, block: BlockView<'_>, key: &[u8]) -> Result<(), Defect> {
        let below = block.groups_below(key)?;
        self.enter_group(block, below.saturating_sub(1))?;
        while self.entry.is_some() && self.key.as_slice() < key {
            self.next(block)?;
        }
        Ok(())
    }

    /// To the last entry with a key `< key`, or to none.
    pub(crate) fn seek_before(&mut self, block: BlockView<'_>, key: &[u8]) -> Result<(), Defect> {
        let below = block.groups_below(key)?;
        if below == 0 {
            self.clear();
            return Ok(());
        }
        self.enter_group_at_end(block, below - 1)?;
        while self.entry.is_some() && self.key.as_slice() >= key {
            self.prev(block)?;
        }
        Ok(())
    }

    /// To the next entry, or to none behind the last.
    #[inline]
    pub(crate) fn next(&mut self, block: BlockView<'_>) -> Result<(), Defect> {
        let Some(current) = self.entry.take() else { return Ok(()) };
        if current.end == self.group.end {
            let next_group = self.group_number + 1;
            if next_group == block.group_count() {
                return Ok(());
            }
            return self.enter_group(block, next_group);
        }
        let entry = block.entry(self.group, current.end)?;
        // `key` starts with this much of the first key of the group.
        let is_first = current.start == self.group.start;
        let most_shared = if is_first { self.key.len() } else { current.shared };
        if entry.shared > most_shared {
            return Err(Defect::Damaged("a key shares more than its group has"));
        }
        self.key.truncate(entry.shared);
        self.key.extend_from_slice(entry.suffix(block.bytes()));
        self.entry = Some(entry);
        Ok(())
    }

    /// To the previous entry, or to none before the first.
    pub(crate) fn prev(&mut self, block: BlockView<'_>) -> Result<(), Defect> {
        let Some(current) = self.entry.take() else { return Ok(()) };
        if current.start == self.group.start {
            if self.group_number == 0 {
                return Ok(());
            }
            return self.enter_group_at_end(block, self.group_number - 1);
        }
        if self.group_entries.is_empty() {
            self.list_group(block)?;
        }
        let index = self.group_entries.partition_point(|start| *start < current.start);
        let Some(previous) = index.checked_sub(1) else {
            return Err(Defect::Damaged("the entries of a group are out of order"));
        };
        self.stand_at(block, self.group_entries[previous])
    }

    /// To the first entry of a group.
    fn enter_group(&mut self, block: BlockView<'_>, number: usize) -> Result<(), Defect> {
        self.entry = None;
        let group = block.group(number)?;
        let first = block.first_entry(group)?;
        self.group_number = number;
        self.group = group;
        self.group_entries.clear();
        self.key.clear();
        self.key.extend_from_slice(first.suffix(block.bytes()));
        self.entry = Some(first);
        Ok(())
    }

    /// To the last entry of a group.
    fn enter_group_at_end(&mut self, block: BlockView<'_>, number: usize) -> Result<(), Defect> {
        self.entry = None;
        self.group = block.group(number)?;
        self.group_number = number;
        self.list_group(block)?;
        let last = self.group_entries[self.group_entries.len() - 1];
        self.stand_at(block, last)
    }

    fn list_group(&mut self, block: BlockView<'_>) -> Result<(), Defect> {
        self.group_entries.clear();
        let mut start = self.group.start;
        while start < self.group.end {
            self.group_entries.push(start);
            start = block.entry(self.group, start)?.end;
        }
        Ok(())
    }

    fn stand_at(&mut self, block: BlockView<'_>, start: usize) -> Result<(), Defect> {
        let first = block.first_entry(self.group)?;
        let entry = block.entry(self.group, start)?;
        let group_key = first.suffix(block.bytes());
        let Some(shared) = group_key.get(..entry.shared) else {
            return Err(Defect::Damaged("a key shares more than its group has"));
        };
        self.key.clear();
        self.key.extend_from_slice(shared);
        self.key.extend_from_slice(entry.suffix(block.bytes()));
        self.entry = Some(entry);
        Ok(())
    }
}
