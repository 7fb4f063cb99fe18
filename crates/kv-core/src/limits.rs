//! Every limit of the formats and of the engine, with its derivation.

use crate::error::{Error, Result};

/// Longest key, in bytes: key lengths are stored in at most three varint bytes.
/// A separator of an index may be as long as a key.
pub const MAX_KEY_BYTES: usize = 65_535;

/// Longest value, in bytes. 512 MiB is what Redis clients may send.
pub const MAX_VALUE_BYTES: usize = 512 << 20;

/// Largest encoded batch, in bytes. A batch is one log record and one memory
/// table insert, so this bounds the memory of a single commit; it holds one
/// largest value with room for its key and a second of the same size.
pub const MAX_BATCH_BYTES: usize = 1 << 30;

/// Most operations in a batch: the count is stored in 32 bits, and this many of
/// the smallest operations (3 bytes) come close to [`MAX_BATCH_BYTES`].
pub const MAX_BATCH_OPS: u32 = 256 << 20;

const _: () = assert!(MAX_VALUE_BYTES + MAX_KEY_BYTES + 64 < MAX_BATCH_BYTES);
const _: () = assert!(MAX_BATCH_BYTES <= u32::MAX as usize);

/// Fails with [`Error::TooLarge`] if `key` is over [`MAX_KEY_BYTES`].
pub fn check_key(key: &[u8]) -> Result<()> {
    check("key", key.len(), MAX_KEY_BYTES)
}

/// Fails with [`Error::TooLarge`] if `value` is over [`MAX_VALUE_BYTES`].
pub fn check_value(value: &[u8]) -> Result<()> {
    check("value", value.len(), MAX_VALUE_BYTES)
}

pub(crate) fn check(what: &'static str, size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(Error::TooLarge { what, size: size as u64, limit: limit as u64 });
    }
    Ok(())
}
