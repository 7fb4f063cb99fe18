//! One entry of a data block.

use kv_core::{Kind, MAX_KEY_BYTES, MAX_VALUE_BYTES, SeqNo};

use super::varint::take_varint;
use super::{KIND_BITS, SLOT_BYTES, TAIL_BYTES};
use crate::defect::Defect;

/// Where the parts of an entry lie in its block. Every range was checked
/// against the end of the entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Bytes of the key taken from the first key of the group.
    pub(crate) shared: usize,
    /// Offset of the rest of the key.
    pub(crate) suffix_start: usize,
    /// Offset of the value: the end of the key.
    pub(crate) value_start: usize,
    /// Offset behind the value.
    pub(crate) end: usize,
    pub(crate) seqno: SeqNo,
    pub(crate) kind: Kind,
}

impl Entry {
    /// Decodes the entry at `start`; `bytes` ends where the entries do.
    #[inline]
    pub(crate) fn decode(bytes: &[u8], start: usize) -> Result<Entry, Defect> {
        let mut at = start;
        let (Some(shared), Some(suffix), Some(size), Some(seqno)) = (
            take_varint(bytes, &mut at),
            take_varint(bytes, &mut at),
            take_varint(bytes, &mut at),
            take_varint(bytes, &mut at),
        ) else {
            return Err(Defect::Damaged("the header of an entry is cut off"));
        };
        if shared > MAX_KEY_BYTES as u64 || suffix > MAX_KEY_BYTES as u64 - shared {
            return Err(Defect::Damaged("a key is over the limit"));
        }
        let value_len = size >> KIND_BITS;
        let kind = (size & ((1 << KIND_BITS) - 1)) as u8;
        let left = (bytes.len() - at) as u64;
        if suffix > left || value_len > left - suffix {
            return Err(Defect::Damaged("an entry reaches beyond the entries"));
        }
        let Some(kind) = Kind::from_byte(kind) else {
            return Err(Defect::Unknown("entry kind", u64::from(kind)));
        };
        if kind == Kind::Delete && value_len != 0 {
            return Err(Defect::Damaged("a delete has a value"));
        }
        let value_start = at + suffix as usize;
        Ok(Entry {
            shared: shared as usize,
            suffix_start: at,
            value_start,
            end: value_start + value_len as usize,
            seqno: SeqNo(seqno),
            kind,
        })
    }

    /// The part of the key that is stored in the entry.
    #[inline]
    pub(crate) fn suffix<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.suffix_start..self.value_start]
    }

    /// Length of the value in bytes.
    #[inline]
    pub(crate) fn value_len(&self) -> usize {
        self.end - self.value_start
    }
}

/// Length of a block that holds nothing but the entry that `head` starts with,
/// by the lengths in it; `None` if no block starts like this. The entry may be
/// longer than `head`, and is as long as a key and a value may be at most.
pub(crate) fn entry_claim(head: &[u8]) -> Option<usize> {
    let mut at = 0;
    let shared = take_varint(head, &mut at)?;
    let suffix = take_varint(head, &mut at)?;
    let size = take_varint(head, &mut at)?;
    take_varint(head, &mut at)?;
    let value_len = size >> KIND_BITS;
    Kind::from_byte((size & ((1 << KIND_BITS) - 1)) as u8)?;
    let is_possible =
        shared == 0 && suffix <= MAX_KEY_BYTES as u64 && value_len <= MAX_VALUE_BYTES as u64;
    is_possible.then_some(at + suffix as usize + value_len as usize + SLOT_BYTES + TAIL_BYTES)
}
