//! Reads one data block in place.

use super::entry::Entry;
use super::{BLOCK_VERSION, TAIL_BYTES};
use crate::defect::Defect;

/// Where the parts of a block lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockLayout {
    /// End of the entries and start of the group offsets.
    entries_end: usize,
    tags_start: usize,
    tags_end: usize,
    interval: usize,
    group_count: usize,
}

impl BlockLayout {
    /// Reads the tail of a block.
    #[inline]
    pub(crate) fn decode(bytes: &[u8]) -> Result<BlockLayout, Defect> {
        let Some((rest, &[count_low, count_high, interval, version])) =
            bytes.split_last_chunk::<TAIL_BYTES>()
        else {
            return Err(Defect::Damaged("the block is shorter than its tail"));
        };
        if version != BLOCK_VERSION {
            return Err(Defect::Unknown("block version", u64::from(version)));
        }
        let count = usize::from(u16::from_le_bytes([count_low, count_high]));
        let interval = usize::from(interval);
        if count == 0 || interval == 0 {
            return Err(Defect::Damaged("the block has no entries"));
        }
        // Both fit 32 bits, whose division is several times faster.
        let group_count = (count as u32).div_ceil(interval as u32) as usize;
        let tags_end = rest.len();
        let Some(entries_end) = tags_end.checked_sub(count + 2 * group_count) else {
            return Err(Defect::Damaged("the block has less room than its entry count needs"));
        };
        let tags_start = tags_end - count;
        Ok(BlockLayout { entries_end, tags_start, tags_end, interval, group_count })
    }

    /// Joins the layout with the bytes it was decoded from.
    #[inline]
    pub(crate) fn view<'a>(&self, bytes: &'a [u8]) -> BlockView<'a> {
        BlockView { bytes, layout: *self }
    }
}

/// The entries between two offsets share the key of the first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Group {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A block and its layout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockView<'a> {
    bytes: &'a [u8],
    layout: BlockLayout,
}

impl<'a> BlockView<'a> {
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<BlockView<'a>, Defect> {
        Ok(BlockLayout::decode(bytes)?.view(bytes))
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn group_count(&self) -> usize {
        self.layout.group_count
    }

    /// The tag of each entry.
    pub(crate) fn tags(&self) -> &'a [u8] {
        &self.bytes[self.layout.tags_start..self.layout.tags_end]
    }

    /// The extent of a group; never empty, always among the entries.
    #[inline]
    pub(crate) fn group(&self, number: usize) -> Result<Group, Defect> {
        let start = self.group_start(number);
        let end = if number + 1 < self.layout.group_count {
            self.group_start(number + 1)
        } else {
            self.layout.entries_end
        };
        if start >= end || end > self.layout.entries_end {
            return Err(Defect::Damaged("the groups of the block are out of order"));
        }
        Ok(Group { start, end })
    }

    #[inline]
    fn group_start(&self, number: usize) -> usize {
        let at = self.layout.entries_end + 2 * number;
        usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }

    /// The entry at `start` of `group`.
    #[inline]
    pub(crate) fn entry(&self, group: Group, start: usize) -> Result<Entry, Defect> {
        Entry::decode(&self.bytes[..group.end], start)
    }

    /// The first entry of a group, which stores its whole key.
    #[inline]
    pub(crate) fn first_entry(&self, group: Group) -> Result<Entry, Defect> {
        let entry = self.entry(group, group.start)?;
        if entry.shared != 0 {
            return Err(Defect::Damaged("the first key of a group is not whole"));
        }
        Ok(entry)
    }

    /// How many groups start with a key below `key`.
    pub(crate) fn groups_below(&self, key: &[u8]) -> Result<usize, Defect> {
        let (mut low, mut high) = (0, self.layout.group_count);
        while low < high {
            let middle = low.midpoint(high);
            let first = self.first_entry(self.group(middle)?)?;
            if first.suffix(self.bytes) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Finds the entry of exactly `key`, whose hash has the low byte `tag`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8], tag: u8) -> Result<Option<Entry>, Defect> {
        const LOW_BITS: u64 = u64::from_le_bytes([0x01; 8]);
        const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
        let pattern = LOW_BITS * u64::from(tag);
        let (words, rest) = self.tags().as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            // The high bit of each byte that equals the tag, and now and then
            // of one above it: the key is compared anyway.
            let difference = u64::from_le_bytes(*word) ^ pattern;
            let mut matches = difference.wrapping_sub(LOW_BITS) & !difference & HIGH_BITS;
            while matches != 0 {
                let number = 8 * index + matches.trailing_zeros() as usize / 8;
                if let Some(entry) = self.entry_if_key(number, key)? {
                    return Ok(Some(entry));
                }
                matches &= matches - 1;
            }
        }
        for (index, candidate) in rest.iter().enumerate() {
            if *candidate == tag
                && let Some(entry) = self.entry_if_key(8 * words.len() + index, key)?
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Entry `number` of the block if its key is `key`.
    fn entry_if_key(&self, number: usize, key: &[u8]) -> Result<Option<Entry>, Defect> {
        let (number, interval) = (number as u32, self.layout.interval as u32);
        let group = self.group((number / interval) as usize)?;
        let first = self.first_entry(group)?;
        let group_key = first.suffix(self.bytes);
        let mut entry = first;
        for _ in 0..number % interval {
            entry = self.entry(group, entry.end)?;
        }
        let Some(shared_key) = group_key.get(..entry.shared) else {
            return Err(Defect::Damaged("a key shares more than its group has"));
        };
        let Some((shared, suffix)) = key.split_at_checked(entry.shared) else {
            return Ok(None);
        };
        let is_equal = suffix == entry.suffix(self.bytes) && shared == shared_key;
        Ok(is_equal.then_some(entry))
    }
}
