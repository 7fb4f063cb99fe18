//! Reads one data block in place.

use std::cmp::Ordering;

use super::entry::Entry;
use super::{BLOCK_VERSION, SLOT_BYTES, TAIL_BYTES};
use crate::defect::Defect;
use crate::prefix::common_prefix_len;

/// Where the parts of a block lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockLayout {
    /// End of the entries and start of their offsets.
    entries_end: usize,
    count: usize,
    interval: usize,
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
        if count == 0 || interval == 0 {
            return Err(Defect::Damaged("the block has no entries"));
        }
        let Some(entries_end) = rest.len().checked_sub(SLOT_BYTES * count) else {
            return Err(Defect::Damaged("the block has less room than its entry count needs"));
        };
        Ok(BlockLayout { entries_end, count, interval: usize::from(interval) })
    }

    /// Joins the layout with the bytes it was decoded from.
    #[inline]
    pub(crate) fn view<'a>(&self, bytes: &'a [u8]) -> BlockView<'a> {
        let (entries, rest) = bytes.split_at(self.entries_end);
        let (offsets, rest) = rest.split_at(2 * self.count);
        let (tags, _) = rest.split_at(self.count);
        BlockView { entries, offsets: offsets.as_chunks().0, tags, interval: self.interval }
    }
}

/// A block, taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockView<'a> {
    entries: &'a [u8],
    offsets: &'a [[u8; 2]],
    tags: &'a [u8],
    interval: usize,
}

impl<'a> BlockView<'a> {
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<BlockView<'a>, Defect> {
        Ok(BlockLayout::decode(bytes)?.view(bytes))
    }

    /// The number of entries, at least one.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.tags.len()
    }

    /// How many entries share a prefix.
    #[inline]
    pub(crate) fn interval(&self) -> usize {
        self.interval
    }

    /// The bytes that the ranges of an [`Entry`] refer to.
    #[inline]
    pub(crate) fn entries(&self) -> &'a [u8] {
        self.entries
    }

    /// The tag of each entry.
    pub(crate) fn tags(&self) -> &'a [u8] {
        self.tags
    }

    /// Where entry `number` starts.
    #[inline]
    pub(crate) fn offset(&self, number: usize) -> usize {
        usize::from(u16::from_le_bytes(self.offsets[number]))
    }

    /// Entry `number`.
    #[inline]
    pub(crate) fn entry(&self, number: usize) -> Result<Entry, Defect> {
        Entry::decode(self.entries, self.offset(number))
    }

    /// The number of the first entry of the group of entry `number`.
    #[inline]
    pub(crate) fn group_start(&self, number: usize) -> usize {
        // Both fit 32 bits, whose division is several times faster.
        number - (number as u32 % self.interval as u32) as usize
    }

    /// The key of the first entry of a group, which is stored whole.
    #[inline]
    pub(crate) fn group_key(&self, number: usize) -> Result<&'a [u8], Defect> {
        let entry = self.entry(number)?;
        if entry.shared != 0 {
            return Err(Defect::Damaged("the first key of a group is not whole"));
        }
        Ok(entry.suffix(self.entries))
    }

    /// How many entries have a key below `key`.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> Result<usize, Defect> {
        let group_count = self.count().div_ceil(self.interval);
        let groups_below =
            partition(0, group_count, |group| Ok(self.group_key(group * self.interval)? < key))?;
        let Some(group) = groups_below.checked_sub(1) else { return Ok(0) };
        let start = group * self.interval;
        let end = self.count().min(start + self.interval);
        let shared_with_key = common_prefix_len(self.group_key(start)?, key);
        partition(start + 1, end, |number| {
            let entry = self.entry(number)?;
            // The first key of the group is below `key`: an entry that shares
            // more with it than `key` does is below `key` too.
            Ok(entry.shared > shared_with_key
                || entry.suffix(self.entries).cmp(&key[entry.shared..]) == Ordering::Less)
        })
    }

    /// Finds the entry of exactly `key`, whose hash has the low byte `tag`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8], tag: u8) -> Result<Option<Entry>, Defect> {
        const LOW_BITS: u64 = u64::from_le_bytes([0x01; 8]);
        const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
        let pattern = LOW_BITS * u64::from(tag);
        let (words, rest) = self.tags.as_chunks::<8>();
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
    #[inline]
    fn entry_if_key(&self, number: usize, key: &[u8]) -> Result<Option<Entry>, Defect> {
        let entry = self.entry(number)?;
        let Some((shared, suffix)) = key.split_at_checked(entry.shared) else {
            return Ok(None);
        };
        if suffix != entry.suffix(self.entries) {
            return Ok(None);
        }
        let group_key = self.group_key(self.group_start(number))?;
        let is_equal = group_key.get(..shared.len()) == Some(shared);
        Ok(is_equal.then_some(entry))
    }
}

/// The first number in `low..high` for which `is_below` is false.
#[inline]
fn partition(
    mut low: usize,
    mut high: usize,
    mut is_below: impl FnMut(usize) -> Result<bool, Defect>,
) -> Result<usize, Defect> {
    while low < high {
        let middle = low.midpoint(high);
        if is_below(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
