//! A position in a data block.

use super::entry::Entry;
use super::view::BlockView;
use crate::defect::Defect;

/// Stands at an entry of a block, or at none.
///
/// It holds no bytes of the block: every call takes the same view again, so
/// that the owner decides how a block is kept alive. The key is put together
/// in a buffer that is reused for the life of the cursor. A move that fails
/// leaves it at no entry.
#[derive(Debug, Default)]
pub(crate) struct BlockCursor {
    entry: Option<Entry>,
    number: usize,
    /// Entries of this group before the current one.
    number_in_group: usize,
    key: Vec<u8>,
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
        self.stand_at(block, 0)
    }

    /// To the last entry.
    pub(crate) fn seek_to_last(&mut self, block: BlockView<'_>) -> Result<(), Defect> {
        self.stand_at(block, block.count() - 1)
    }

    /// To the first entry with a key `>= key`, or to none.
    pub(crate) fn seek(&mut self, block: BlockView<'_>, key: &[u8]) -> Result<(), Defect> {
        self.entry = None;
        let below = block.lower_bound(key)?;
        if below == block.count() { Ok(()) } else { self.stand_at(block, below) }
    }

    /// To the last entry with a key `< key`, or to none.
    pub(crate) fn seek_before(&mut self, block: BlockView<'_>, key: &[u8]) -> Result<(), Defect> {
        self.entry = None;
        match block.lower_bound(key)?.checked_sub(1) {
            Some(last_below) => self.stand_at(block, last_below),
            None => Ok(()),
        }
    }

    /// To the next entry, or to none behind the last.
    #[inline]
    pub(crate) fn next(&mut self, block: BlockView<'_>) -> Result<(), Defect> {
        let Some(current) = self.entry.take() else { return Ok(()) };
        let number = self.number + 1;
        if number == block.count() {
            return Ok(());
        }
        let entry = block.entry(number)?;
        // `key` starts with this much of the first key of the group.
        let (number_in_group, most_shared) = if self.number_in_group + 1 == block.interval() {
            (0, 0)
        } else if self.number_in_group == 0 {
            (1, self.key.len())
        } else {
            (self.number_in_group + 1, current.shared)
        };
        if entry.shared > most_shared {
            return Err(Defect::Damaged("a key shares more than its group has"));
        }
        self.key.truncate(entry.shared);
        self.key.extend_from_slice(entry.suffix(block.entries()));
        self.number = number;
        self.number_in_group = number_in_group;
        self.entry = Some(entry);
        Ok(())
    }

    /// To the previous entry, or to none before the first.
    pub(crate) fn prev(&mut self, block: BlockView<'_>) -> Result<(), Defect> {
        if self.entry.take().is_none() || self.number == 0 {
            return Ok(());
        }
        self.stand_at(block, self.number - 1)
    }

    fn stand_at(&mut self, block: BlockView<'_>, number: usize) -> Result<(), Defect> {
        self.entry = None;
        let entry = block.entry(number)?;
        let group_start = block.group_start(number);
        let Some(shared) = block.group_key(group_start)?.get(..entry.shared) else {
            return Err(Defect::Damaged("a key shares more than its group has"));
        };
        self.key.clear();
        self.key.extend_from_slice(shared);
        self.key.extend_from_slice(entry.suffix(block.entries()));
        self.number = number;
        self.number_in_group = number - group_start;
        self.entry = Some(entry);
        Ok(())
    }
}
