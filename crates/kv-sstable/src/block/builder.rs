//! Writes one data block.

use kv_core::{Kind, MAX_VARINT_BYTES, SeqNo, put_varint, varint_len};

use super::{BLOCK_VERSION, KIND_BITS, SLOT_BYTES, TAIL_BYTES};
use crate::key_hash::KeyHash;
use crate::options::MAX_BLOCK_BYTES;
use crate::prefix::common_prefix_len;

/// Collects entries and lays them out as a block. The buffers are reused from
/// block to block.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    interval: usize,
    bytes: Vec<u8>,
    offsets: Vec<u16>,
    tags: Vec<u8>,
    group_key: Vec<u8>,
}

impl BlockBuilder {
    /// Starts a block with a new group every `interval` entries.
    pub(crate) fn new(interval: usize) -> BlockBuilder {
        BlockBuilder {
            interval,
            bytes: Vec::new(),
            offsets: Vec::new(),
            tags: Vec::new(),
            group_key: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Size of the block if it were finished now.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len() + SLOT_BYTES * self.tags.len() + TAIL_BYTES
    }

    /// The most that an entry can add to the block.
    pub(crate) fn entry_size_bound(key: &[u8], value_len: usize) -> usize {
        let sizes = 2 * varint_len(key.len() as u64) + varint_len((value_len as u64) << KIND_BITS);
        sizes + MAX_VARINT_BYTES + key.len() + value_len + SLOT_BYTES
    }

    /// Appends an entry; its key is above all before.
    pub(crate) fn add(
        &mut self,
        key: &[u8],
        hash: KeyHash,
        seqno: SeqNo,
        kind: Kind,
        value: &[u8],
    ) {
        self.add_without_value(key, hash, seqno, kind, value.len());
        self.bytes.extend_from_slice(value);
    }

    /// Appends an entry whose value the caller writes: for large ones, which
    /// are alone in their block and need not be copied into it.
    pub(crate) fn add_without_value(
        &mut self,
        key: &[u8],
        hash: KeyHash,
        seqno: SeqNo,
        kind: Kind,
        value_len: usize,
    ) {
        assert!(self.bytes.len() < MAX_BLOCK_BYTES, "entries start below the block limit");
        let mut shared = 0;
        if self.tags.len().is_multiple_of(self.interval) {
            self.group_key.clear();
            self.group_key.extend_from_slice(key);
        } else {
            shared = common_prefix_len(&self.group_key, key);
        }
        self.offsets.push(self.bytes.len() as u16);
        self.tags.push(hash.tag());
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, (key.len() - shared) as u64);
        put_varint(&mut self.bytes, (value_len as u64) << KIND_BITS | kind as u64);
        put_varint(&mut self.bytes, seqno.0);
        self.bytes.extend_from_slice(&key[shared..]);
    }

    /// The finished block; [`clear`](BlockBuilder::clear) starts the next.
    pub(crate) fn finish(&mut self) -> &[u8] {
        self.append_tail();
        &self.bytes
    }

    /// The finished block as what stands before and behind the value of its
    /// only entry.
    pub(crate) fn finish_around_value(&mut self) -> (&[u8], &[u8]) {
        assert_eq!(self.tags.len(), 1, "a value written by the caller is alone in its block");
        let head_len = self.bytes.len();
        self.append_tail();
        self.bytes.split_at(head_len)
    }

    /// Forgets the entries, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.offsets.clear();
        self.tags.clear();
        self.group_key.clear();
    }

    fn append_tail(&mut self) {
        for offset in &self.offsets {
            self.bytes.extend_from_slice(&offset.to_le_bytes());
        }
        self.bytes.extend_from_slice(&self.tags);
        self.bytes.extend_from_slice(&(self.tags.len() as u16).to_le_bytes());
        self.bytes.push(self.interval as u8);
        self.bytes.push(BLOCK_VERSION);
    }
}
