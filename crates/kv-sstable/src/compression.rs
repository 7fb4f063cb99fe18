//! How a data block is stored: compressed or not, and its trailer.
//!
//! ```text
//! payload    the block; or u32 length of the block, then the block in LZ4
//! trailer    u8 compression: 0 none, 1 LZ4, 2 reserved for Zstandard
//!            u32 CRC-32C of payload and compression byte, seeded with the
//!            file and the offset of the payload
//! ```
//!
//! The index repeats the checksum, so that a block of an older file at the
//! same place does not pass.

use kv_core::ChecksumSeed;

use crate::defect::Defect;
use crate::options::Compression;

/// Bytes behind each stored block.
pub(crate) const BLOCK_TRAILER_BYTES: usize = 5;

/// Largest block that is compressed. It bounds the memory that a hostile block
/// can ask for; values that are larger are stored as they are.
pub(crate) const MAX_COMPRESSED_BLOCK_BYTES: usize = 16 << 20;

/// Most bytes that one byte of LZ4 stands for: each byte of a length adds 255.
const MAX_LZ4_GROWTH: usize = 255;

pub(crate) const STORED_PLAIN: u8 = 0;
const STORED_LZ4: u8 = 1;
const RAW_LEN_BYTES: usize = 4;

/// A block as it goes to the file.
pub(crate) struct StoredBlock<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) compression: u8,
}

/// Compresses `block` if asked to and if it saves at least an eighth.
pub(crate) fn store<'a>(
    block: &'a [u8],
    compression: Compression,
    scratch: &'a mut Vec<u8>,
) -> StoredBlock<'a> {
    let plain = StoredBlock { payload: block, compression: STORED_PLAIN };
    if compression == Compression::None || block.len() > MAX_COMPRESSED_BLOCK_BYTES {
        return plain;
    }
    let bound = RAW_LEN_BYTES + lz4_flex::block::get_maximum_output_size(block.len());
    if scratch.len() < bound {
        scratch.resize(bound, 0);
    }
    scratch[..RAW_LEN_BYTES].copy_from_slice(&(block.len() as u32).to_le_bytes());
    let compressed_len = lz4_flex::block::compress_into(block, &mut scratch[RAW_LEN_BYTES..])
        .expect("the buffer holds the largest output");
    let stored_len = RAW_LEN_BYTES + compressed_len;
    if stored_len > block.len() - block.len() / 8 {
        return plain;
    }
    StoredBlock { payload: &scratch[..stored_len], compression: STORED_LZ4 }
}

/// The trailer of a payload given in parts, and the checksum in it.
pub(crate) fn trailer(
    seed: ChecksumSeed,
    offset: u64,
    payload: &[&[u8]],
    compression: u8,
) -> ([u8; BLOCK_TRAILER_BYTES], u32) {
    let mut parts = payload.to_vec();
    let compression_byte = [compression];
    parts.push(&compression_byte);
    let checksum = seed.checksum_of_parts(offset, &parts);
    let [a, b, c, d] = checksum.to_le_bytes();
    ([compression, a, b, c, d], checksum)
}

/// A payload as found in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    /// The block itself.
    Plain(&'a [u8]),
    /// LZ4; [`decompress`] makes a block of it.
    Lz4(&'a [u8]),
}

/// True for a compression that a trailer may name.
pub(crate) fn is_known_compression(byte: u8) -> bool {
    matches!(byte, STORED_PLAIN | STORED_LZ4)
}

/// Splits a stored block from its trailer without checking the checksum.
#[inline]
pub(crate) fn split(stored: &[u8]) -> Result<Payload<'_>, Defect> {
    let Some((payload, &[compression, ..])) = stored.split_last_chunk::<BLOCK_TRAILER_BYTES>()
    else {
        return Err(Defect::Damaged("the block is shorter than its trailer"));
    };
    match compression {
        STORED_PLAIN => Ok(Payload::Plain(payload)),
        STORED_LZ4 => Ok(Payload::Lz4(payload)),
        other => Err(Defect::Unknown("compression", u64::from(other))),
    }
}

/// Checks a stored block against its trailer and the checksum in the index.
pub(crate) fn verify(
    seed: ChecksumSeed,
    offset: u64,
    stored: &[u8],
    expected: u32,
) -> Result<(), Defect> {
    let Some((covered, trailer)) = stored.split_last_chunk::<4>() else {
        return Err(Defect::Damaged("the block is shorter than its trailer"));
    };
    let checksum = seed.checksum(offset, covered);
    if checksum != expected || checksum != u32::from_le_bytes(*trailer) {
        return Err(Defect::Damaged("the block fails its checksum"));
    }
    Ok(())
}

/// Decompresses an LZ4 payload into `block`, whose memory is reused.
pub(crate) fn decompress(payload: &[u8], block: &mut Vec<u8>) -> Result<(), Defect> {
    let Some((raw_len, compressed)) = payload.split_first_chunk::<RAW_LEN_BYTES>() else {
        return Err(Defect::Damaged("the compressed block has no length"));
    };
    let raw_len = u32::from_le_bytes(*raw_len) as usize;
    if raw_len > MAX_COMPRESSED_BLOCK_BYTES {
        return Err(Defect::Damaged("the compressed block is over the limit"));
    }
    // Before the memory is taken: a few bytes must not ask for millions.
    if raw_len / MAX_LZ4_GROWTH > compressed.len() {
        return Err(Defect::Damaged("the compressed block is too short for its length"));
    }
    block.resize(raw_len, 0);
    match lz4_flex::block::decompress_into(compressed, block) {
        Ok(len) if len == raw_len => Ok(()),
        Ok(_) => Err(Defect::Damaged("the compressed block has another length than it says")),
        Err(_) => Err(Defect::Damaged("the compressed block cannot be decompressed")),
    }
}
