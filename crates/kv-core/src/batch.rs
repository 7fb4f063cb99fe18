//! A batch: writes that take effect together, in the form the log stores.
//!
//! ```text
//! 0   8  first seqno    u64, set at commit; op i has first seqno + i
//! 8   4  count          u32
//! 12  1  flags          0; bit 0 is reserved for a checksum made by the client
//! 13     ops, one after another:
//!        1       kind   (0 delete, 1 put)
//!        varint  keyspace id
//!        varint  key length, key
//!        varint  value length, value      (put only)
//! ```

use crate::codec::{Decoder, put_varint};
use crate::entry::{KeyspaceId, Kind, SeqNo};
use crate::error::{Error, Result};
use crate::limits::{
    MAX_BATCH_BYTES, MAX_BATCH_OPS, MAX_KEY_BYTES, MAX_VALUE_BYTES, check, check_key, check_value,
};

const COUNT_AT: usize = 8;
const HEADER_BYTES: usize = 13;
/// Kind byte, keyspace, and two lengths of at most five bytes each.
const MAX_OP_OVERHEAD_BYTES: usize = 16;

/// The state of a key that a conditional batch relies on: the batch commits
/// only if nothing has changed `key` since it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The key that was read, absent or not.
    pub key: Vec<u8>,
    /// The state that was read: all writes up to this number were seen.
    pub read_at: SeqNo,
    /// When the value that was seen was written; `None` if the key was absent.
    pub seen: Option<SeqNo>,
}

/// An ordered list of writes that is committed as a whole or not at all.
///
/// ```
/// let mut batch = kv_core::WriteBatch::new();
/// batch.put(b"apple", b"red")?;
/// batch.delete(b"pear")?;
/// assert_eq!(batch.count(), 2);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    count: u32,
    expectations: Vec<Expectation>,
}

impl Default for WriteBatch {
    fn default() -> Self {
        WriteBatch::new()
    }
}

impl WriteBatch {
    /// A batch without writes.
    pub fn new() -> WriteBatch {
        WriteBatch::with_capacity(0)
    }

    /// A batch without writes, with room for `bytes` bytes of them.
    pub fn with_capacity(bytes: usize) -> WriteBatch {
        let mut buffer = Vec::with_capacity(HEADER_BYTES + bytes);
        buffer.resize(HEADER_BYTES, 0);
        WriteBatch { bytes: buffer, count: 0, expectations: Vec::new() }
    }

    /// Adds a put of the default keyspace. A later write of the same key wins.
    ///
    /// # Errors
    /// `TooLarge` for a key, value or batch over its limit; the batch is as before.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        check_value(value)?;
        self.push_op(Kind::Put, key, value)
    }

    /// Adds a delete of the default keyspace.
    ///
    /// # Errors
    /// `TooLarge` for a key or batch over its limit; the batch is as before.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.push_op(Kind::Delete, key, &[])
    }

    /// Makes the batch conditional on `expectation` as well.
    pub fn expect(&mut self, expectation: Expectation) {
        self.expectations.push(expectation);
    }

    /// What the batch is conditional on.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// What the batch is conditional on, to renew it.
    pub fn expectations_mut(&mut self) -> &mut [Expectation] {
        &mut self.expectations
    }

    /// Number of writes.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True without writes.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the encoded batch, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Removes all writes and expectations, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER_BYTES);
        self.count = 0;
        self.expectations.clear();
    }

    /// Stamps the number of the first write and returns the log's payload.
    pub fn seal(&mut self, first: SeqNo) -> &[u8] {
        self.bytes[..8].copy_from_slice(&first.0.to_le_bytes());
        self.bytes[COUNT_AT..COUNT_AT + 4].copy_from_slice(&self.count.to_le_bytes());
        &self.bytes
    }

    /// The writes in order, as a reader of the encoded form sees them.
    pub fn ops(&self) -> impl Iterator<Item = BatchOp<'_>> {
        let mut decoder = Decoder::new(&self.bytes[HEADER_BYTES..]);
        std::iter::from_fn(move || {
            (!decoder.is_empty())
                .then(|| decode_op(&mut decoder).expect("a batch decodes what it encoded"))
        })
    }

    fn push_op(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<()> {
        check_key(key)?;
        let grown = self.bytes.len() + MAX_OP_OVERHEAD_BYTES + key.len() + value.len();
        check("batch", grown, MAX_BATCH_BYTES)?;
        check("batch", self.count as usize + 1, MAX_BATCH_OPS as usize)?;
        self.bytes.push(kind as u8);
        put_varint(&mut self.bytes, u64::from(KeyspaceId::DEFAULT.0));
        put_varint(&mut self.bytes, key.len() as u64);
        self.bytes.extend_from_slice(key);
        if kind == Kind::Put {
            put_varint(&mut self.bytes, value.len() as u64);
            self.bytes.extend_from_slice(value);
        }
        self.count += 1;
        Ok(())
    }
}

/// One write of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOp<'a> {
    /// Put or delete.
    pub kind: Kind,
    /// The keyspace written to.
    pub keyspace: KeyspaceId,
    /// The key.
    pub key: &'a [u8],
    /// The value; empty for a delete.
    pub value: &'a [u8],
}

/// A batch as read back from the log: every byte is checked at decoding.
#[derive(Debug, Clone)]
pub struct DecodedBatch<'a> {
    /// Number of the first write.
    pub first_seqno: SeqNo,
    /// The writes in order.
    pub ops: BatchOps<'a>,
}

/// The writes of a decoded batch, which stay in its payload: a list of them
/// would take thirteen times as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOps<'a> {
    /// Intact, as [`DecodedBatch::decode`] has found.
    bytes: &'a [u8],
    count: u32,
}

impl<'a> BatchOps<'a> {
    /// Number of writes.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True without writes.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The writes in order.
    pub fn iter(&self) -> BatchOpsIter<'a> {
        BatchOpsIter { decoder: Decoder::new(self.bytes) }
    }
}

impl<'a> IntoIterator for &BatchOps<'a> {
    type Item = BatchOp<'a>;
    type IntoIter = BatchOpsIter<'a>;

    fn into_iter(self) -> BatchOpsIter<'a> {
        self.iter()
    }
}

/// Goes through the writes of a decoded batch.
#[derive(Debug, Clone)]
pub struct BatchOpsIter<'a> {
    decoder: Decoder<'a>,
}

impl<'a> Iterator for BatchOpsIter<'a> {
    type Item = BatchOp<'a>;

    #[inline]
    fn next(&mut self) -> Option<BatchOp<'a>> {
        // They were decoded before: nothing ends this but the last.
        decode_op(&mut self.decoder)
    }
}

impl<'a> DecodedBatch<'a> {
    /// Decodes a log payload; `payload_offset` and `file` locate an error.
    ///
    /// # Errors
    /// `Corruption` for bytes that no [`WriteBatch`] encodes to,
    /// `Unsupported` for reserved flags and keyspaces.
    pub fn decode(payload: &'a [u8], file: &str, payload_offset: u64) -> Result<DecodedBatch<'a>> {
        let corrupt = |at: usize, what: &str| {
            Error::corruption(file, payload_offset + at as u64, format!("batch: {what}"))
        };
        let mut decoder = Decoder::new(payload);
        let (Some(first), Some(count), Some(flags)) = (decoder.u64(), decoder.u32(), decoder.u8())
        else {
            return Err(corrupt(0, "shorter than its header"));
        };
        if flags != 0 {
            let what = format!("batch flags {flags:#x} are unknown");
            return Err(Error::Unsupported { file: file.into(), what });
        }
        let last = first.checked_add(u64::from(count));
        if last.is_none_or(|last| last > SeqNo::MAX.0) {
            return Err(corrupt(0, "sequence number out of range"));
        }
        let ops = BatchOps { bytes: decoder.rest(), count };
        let mut found = 0;
        while !decoder.is_empty() {
            let at = decoder.offset();
            let op = decode_op(&mut decoder).ok_or_else(|| corrupt(at, "malformed write"))?;
            if op.key.len() > MAX_KEY_BYTES || op.value.len() > MAX_VALUE_BYTES {
                return Err(corrupt(at, "a key or value is over its limit"));
            }
            if op.keyspace != KeyspaceId::DEFAULT {
                let what = format!("keyspace {} is unknown", op.keyspace.0);
                return Err(Error::Unsupported { file: file.into(), what });
            }
            found += 1;
        }
        if found != u64::from(count) {
            return Err(corrupt(COUNT_AT, "another number of writes than it says"));
        }
        Ok(DecodedBatch { first_seqno: SeqNo(first), ops })
    }

    /// Number of the last write; one before the first for an empty batch.
    pub fn last_seqno(&self) -> SeqNo {
        SeqNo((self.first_seqno.0 + self.ops.len() as u64).saturating_sub(1))
    }
}

fn decode_op<'a>(decoder: &mut Decoder<'a>) -> Option<BatchOp<'a>> {
    let kind = Kind::from_byte(decoder.u8()?)?;
    let keyspace = KeyspaceId(u32::try_from(decoder.varint()?).ok()?);
    let key = decoder.length_prefixed()?;
    let value = match kind {
        Kind::Put => decoder.length_prefixed()?,
        Kind::Delete => &[],
    };
    Some(BatchOp { kind, keyspace, key, value })
}
