//! The index of a table: which block may hold a key, and where it lies.
//!
//! ```text
//!  0  4  block count n, u32
//!  4  4  length of all separators, u32
//!  8  4n length of each stored block without its trailer, u32
//!  .  4n checksum of each block, u32, as in its trailer
//!  .  4n end of each separator among the separators, u32
//!  .  .  separators, one behind the other
//! ```
//!
//! The separator of a block is above every key of the block before and not
//! above its own first key; it is the shortest prefix of that key that will
//! do. The first is the smallest key of the table. Blocks stand one behind the
//! other from the end of the file header on, so their offsets need no storing.
//!
//! In memory the index adds what can be derived and thus never disagrees: the
//! common prefix of all separators and, for each, its next eight bytes as one
//! number. The numbers lie side by side, so a search touches a few cache lines
//! and compares strings only where numbers are equal.

use kv_core::{Decoder, FILE_HEADER_BYTES};

use crate::compression::BLOCK_TRAILER_BYTES;
use crate::defect::Defect;
use crate::prefix::{common_prefix_len, head};

/// Where a block lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHandle {
    pub(crate) offset: u64,
    /// Bytes as stored, without the trailer.
    pub(crate) stored_len: u32,
    pub(crate) checksum: u32,
}

impl BlockHandle {
    /// Offset behind the trailer.
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.stored_len) + BLOCK_TRAILER_BYTES as u64
    }
}

/// Collects the index while a table is written.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    stored_lens: Vec<u32>,
    checksums: Vec<u32>,
    separator_ends: Vec<u32>,
    separators: Vec<u8>,
}

impl IndexBuilder {
    /// Notes a block. False if the separators are over what 32 bits count.
    #[must_use]
    pub(crate) fn add(&mut self, separator: &[u8], stored_len: u32, checksum: u32) -> bool {
        self.separators.extend_from_slice(separator);
        let Ok(separator_end) = u32::try_from(self.separators.len()) else { return false };
        self.separator_ends.push(separator_end);
        self.stored_lens.push(stored_len);
        self.checksums.push(checksum);
        true
    }

    pub(crate) fn block_count(&self) -> usize {
        self.stored_lens.len()
    }

    /// Length of the stored form.
    pub(crate) fn size_bytes(&self) -> usize {
        8 + 12 * self.block_count() + self.separators.len()
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size_bytes());
        out.extend_from_slice(&(self.block_count() as u32).to_le_bytes());
        out.extend_from_slice(&(self.separators.len() as u32).to_le_bytes());
        for column in [&self.stored_lens, &self.checksums, &self.separator_ends] {
            column.iter().for_each(|field| out.extend_from_slice(&field.to_le_bytes()));
        }
        out.extend_from_slice(&self.separators);
        out
    }
}

/// The index of an open table.
#[derive(Debug)]
pub(crate) struct Index {
    prefix: Vec<u8>,
    heads: Vec<u64>,
    handles: Vec<BlockHandle>,
    separator_ends: Vec<u32>,
    separators: Vec<u8>,
}

impl Index {
    /// Decodes an index that fills `bytes`; the blocks end at `data_end`.
    pub(crate) fn decode(bytes: &[u8], data_end: u64) -> Result<Index, Defect> {
        let mut decoder = Decoder::new(bytes);
        let (Some(count), Some(separators_len)) = (decoder.u32(), decoder.u32()) else {
            return Err(Defect::Damaged("the index is shorter than its header"));
        };
        let column_len = u64::from(count) * 4;
        let expected_len = 3 * column_len + u64::from(separators_len);
        if count == 0 || decoder.rest().len() as u64 != expected_len {
            return Err(Defect::Damaged("the index has another length than it says"));
        }
        let mut column = || decoder.bytes(column_len as usize).map(decode_column);
        let (Some(stored_lens), Some(checksums), Some(separator_ends)) =
            (column(), column(), column())
        else {
            return Err(Defect::Damaged("the index is cut off"));
        };
        let separators = decoder.rest().to_vec();
        let handles = place_blocks(stored_lens, checksums, data_end)?;
        let separator_ends: Vec<u32> = separator_ends.collect();
        let mut index =
            Index { prefix: Vec::new(), heads: Vec::new(), handles, separator_ends, separators };
        index.check_separators()?;
        index.derive_heads();
        Ok(index)
    }

    /// Length of the stored index that `bytes` start with.
    pub(crate) fn stored_len(bytes: &[u8]) -> Option<usize> {
        let mut decoder = Decoder::new(bytes);
        let (count, separators_len) = (decoder.u32()?, decoder.u32()?);
        Some(8 + 12 * count as usize + separators_len as usize)
    }

    pub(crate) fn block_count(&self) -> usize {
        self.handles.len()
    }

    #[inline]
    pub(crate) fn handle(&self, number: usize) -> BlockHandle {
        self.handles[number]
    }

    /// The separator of a block. [`check_separators`](Index::check_separators)
    /// has made sure that it lies within bounds.
    pub(crate) fn separator(&self, number: usize) -> &[u8] {
        let start = match number {
            0 => 0,
            _ => self.separator_ends[number - 1] as usize,
        };
        &self.separators[start..self.separator_ends[number] as usize]
    }

    /// The one block that may hold `key`: the last whose separator is not
    /// above it. `None` if the key is below all of the table.
    #[inline]
    pub(crate) fn locate(&self, key: &[u8]) -> Option<usize> {
        let shared = key.len().min(self.prefix.len());
        let (key_prefix, rest) = key.split_at(shared);
        match key_prefix.cmp(&self.prefix[..shared]) {
            std::cmp::Ordering::Less => return None,
            std::cmp::Ordering::Greater => return Some(self.block_count() - 1),
            std::cmp::Ordering::Equal if shared < self.prefix.len() => return None,
            std::cmp::Ordering::Equal => {}
        }
        let head = head(rest);
        let mut above = self.heads.partition_point(|candidate| *candidate < head);
        if self.heads.get(above) == Some(&head) {
            let mut high = above + self.heads[above..].partition_point(|other| *other == head);
            while above < high {
                let middle = above.midpoint(high);
                if self.separator(middle) <= key {
                    above = middle + 1;
                } else {
                    high = middle;
                }
            }
        }
        above.checked_sub(1)
    }

    /// Memory it occupies.
    pub(crate) fn size_bytes(&self) -> usize {
        self.handles.len() * (8 + size_of::<BlockHandle>() + 4)
            + self.separators.len()
            + self.prefix.len()
    }

    fn check_separators(&self) -> Result<(), Defect> {
        let mut start = 0;
        for end in &self.separator_ends {
            if *end < start {
                return Err(Defect::Damaged("the separators of the index overlap"));
            }
            start = *end;
        }
        if start as usize != self.separators.len() {
            return Err(Defect::Damaged("the separators of the index have another length"));
        }
        let is_rising = (1..self.block_count())
            .all(|number| self.separator(number - 1) < self.separator(number));
        if !is_rising {
            return Err(Defect::Damaged("the separators of the index are out of order"));
        }
        Ok(())
    }

    fn derive_heads(&mut self) {
        let last = self.separator(self.block_count() - 1);
        let prefix_len = common_prefix_len(self.separator(0), last);
        self.prefix = last[..prefix_len].to_vec();
        self.heads = (0..self.block_count())
            .map(|number| head(&self.separator(number)[prefix_len..]))
            .collect();
    }
}

fn decode_column(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|field| u32::from_le_bytes(*field))
}

fn place_blocks(
    stored_lens: impl Iterator<Item = u32>,
    checksums: impl Iterator<Item = u32>,
    data_end: u64,
) -> Result<Vec<BlockHandle>, Defect> {
    let mut offset = FILE_HEADER_BYTES as u64;
    let mut handles = Vec::with_capacity(stored_lens.size_hint().0);
    for (stored_len, checksum) in stored_lens.zip(checksums) {
        let handle = BlockHandle { offset, stored_len, checksum };
        offset = handle.end();
        handles.push(handle);
    }
    if offset != data_end {
        return Err(Defect::Damaged("the blocks of the index do not fill the data"));
    }
    Ok(handles)
}
