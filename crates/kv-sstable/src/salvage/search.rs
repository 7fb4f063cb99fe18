//! Finding blocks without an index.
//!
//! A stored block does not say how long it is, but the checksum behind it does
//! when it is tried at every length. That is bounded: a block of more than one
//! entry ends within [`MAX_BLOCK_BYTES`]; one with a single large entry is as
//! long as the head of that entry says; a compressed one is shorter than the
//! length that stands in front of it.
//!
//! Behind a damaged block the next one starts behind a trailer, whose first
//! byte is a known compression, and starts with an entry that shares nothing.
//! Those are the places that are tried.

use kv_core::{ChecksumSeed, Result};
use kv_env::ReadFile;

use crate::block::entry_claim;
use crate::compression::{BLOCK_TRAILER_BYTES, MAX_COMPRESSED_BLOCK_BYTES, is_known_compression};
use crate::options::MAX_BLOCK_BYTES;

/// What a block of one entry holds besides key and value, at most.
const SINGLE_ENTRY_OVERHEAD_BYTES: usize = 64;

/// Bytes of the head of a block that are looked at to see how long it may be.
const HEAD_BYTES: usize = 32;

/// The stored block at `at` with its trailer, if an intact one that ends at or
/// before `end` stands there.
///
/// Cost: a checksum of 64 KiB; where the first bytes say that the entry or the
/// compressed block here is longer, a read and a checksum of that length too, by
/// single bytes for a compressed block, of 16 MiB at most.
pub(super) fn block_at(
    file: &dyn ReadFile,
    seed: ChecksumSeed,
    at: u64,
    end: u64,
) -> Result<Option<Vec<u8>>> {
    let window = read(file, at, end, MAX_BLOCK_BYTES + BLOCK_TRAILER_BYTES)?;
    if let Some(len) = stored_len(seed, at, &window) {
        return Ok(Some(window[..len].to_vec()));
    }
    // One entry that is larger than a block.
    if let Some(claim) = entry_claim(&window) {
        let len = claim + BLOCK_TRAILER_BYTES;
        if claim > MAX_BLOCK_BYTES - SINGLE_ENTRY_OVERHEAD_BYTES && len as u64 <= end - at {
            let stored = read(file, at, end, len)?;
            if is_intact(seed, at, &stored) {
                return Ok(Some(stored));
            }
        }
    }
    let Some(raw_len) = window.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize)
    else {
        return Ok(None);
    };
    if raw_len > MAX_BLOCK_BYTES && raw_len <= MAX_COMPRESSED_BLOCK_BYTES {
        let stored = read(file, at, end, raw_len)?;
        return Ok(stored_len(seed, at, &stored).map(|len| stored[..len].to_vec()));
    }
    Ok(None)
}

/// The next place behind `at` where a block may start, when none that starts
/// at `lost` or later was found up to `at`. `end` says where blocks end at the
/// latest, and whether they are known to end just there.
pub(super) fn next_start(
    file: &dyn ReadFile,
    seed: ChecksumSeed,
    at: u64,
    lost: u64,
    (end, is_end_known): (u64, bool),
) -> Result<Option<u64>> {
    const CHUNK_BYTES: usize = 256 << 10;
    if at == lost {
        // The damaged block may still say where it ends. Just this one is asked,
        // so that the proof costs no more than one look for each loss.
        let head = read(file, at, end, HEAD_BYTES)?;
        if let Some(claim) = entry_claim(&head).filter(|&claim| claim > MAX_BLOCK_BYTES) {
            let next = at + (claim + BLOCK_TRAILER_BYTES) as u64;
            // What it says may be what is damaged: whoever believed a false
            // length would never see the blocks on the way.
            let is_proven = match next < end {
                true => block_at(file, seed, next, end)?.is_some(),
                false => is_end_known && next == end,
            };
            if is_proven {
                return Ok(Some(next));
            }
        }
    }
    let mut from = at + 1;
    while from < end {
        let base = from - BLOCK_TRAILER_BYTES as u64;
        let chunk = read(file, base, end, CHUNK_BYTES)?;
        let starts = BLOCK_TRAILER_BYTES..chunk.len();
        let found = starts.into_iter().find(|&start| may_start(&chunk, start));
        if let Some(start) = found {
            return Ok(Some(base + start as u64));
        }
        if chunk.len() < CHUNK_BYTES {
            return Ok(None);
        }
        // The heads at the end of the chunk were cut short.
        from = base + (chunk.len() - HEAD_BYTES) as u64;
    }
    Ok(None)
}

/// True if a block may start at `start` of `chunk`.
fn may_start(chunk: &[u8], start: usize) -> bool {
    if !is_known_compression(chunk[start - BLOCK_TRAILER_BYTES]) {
        return false;
    }
    let head = &chunk[start..];
    // A wiped page would be a start at every byte.
    let is_wiped = head.iter().take(8).all(|&byte| byte == 0);
    !is_wiped && (entry_claim(head).is_some() || may_be_compressed(head))
}

/// True if these bytes may start a compressed block: its length, a token of
/// LZ4, and as the first literal the shared length of the first entry, 0.
fn may_be_compressed(head: &[u8]) -> bool {
    let Some([a, b, c, d, token, literal]) = head.first_chunk::<6>() else { return false };
    let raw_len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    let has_long_literals = token >> 4 == 15;
    (1..=MAX_COMPRESSED_BLOCK_BYTES).contains(&raw_len) && (has_long_literals || *literal == 0)
}

/// Length of the intact stored block that `bytes` start with.
fn stored_len(seed: ChecksumSeed, at: u64, bytes: &[u8]) -> Option<usize> {
    let ends = seed.checksums_of_prefixes(at, bytes).enumerate();
    // The byte before the checksum is the compression.
    ends.map(|(index, checksum)| (index + 1, checksum))
        .filter(|&(covered, _)| is_known_compression(bytes[covered - 1]))
        .find(|&(covered, checksum)| {
            bytes.get(covered..covered + 4) == Some(&checksum.to_le_bytes())
        })
        .map(|(covered, _)| covered + 4)
}

fn is_intact(seed: ChecksumSeed, at: u64, stored: &[u8]) -> bool {
    stored
        .split_last_chunk::<4>()
        .is_some_and(|(covered, trailer)| seed.checksum(at, covered).to_le_bytes() == *trailer)
}

/// Up to `len` bytes at `at`, none of them behind `end`.
fn read(file: &dyn ReadFile, at: u64, end: u64, len: usize) -> Result<Vec<u8>> {
    let len = (len as u64).min(end.saturating_sub(at)) as usize;
    let mut bytes = vec![0; len];
    let got = file.read_at(at, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}
