//! Reading the record stream out of the frames of a file.

use std::ops::Range;
use std::sync::Arc;

use kv_core::{ChecksumSeed, Error, Result};
use kv_env::ReadFile;

use crate::layout::{FRAME_BYTES, FRAME_DATA_BYTES, Lsn, STAMP_BYTES, frame_offset};
use crate::stamp::FrameStamp;

/// Bytes fetched by one read: large enough that the call does not matter,
/// small enough to stay in the cache while its records are taken.
const CHUNK_BYTES: u64 = 64 * FRAME_BYTES;

/// Where bytes of the stream were found.
pub(crate) enum Located {
    /// In one piece in the chunk.
    Chunk(Range<usize>),
    /// Put together in the scratch buffer.
    Scratch,
}

/// A file seen as a stream, chunk by chunk.
pub(crate) struct FrameReader {
    file: Arc<dyn ReadFile>,
    name: String,
    seed: ChecksumSeed,
    stream_end: Lsn,
    chunk: Vec<u8>,
    chunk_offset: u64,
    frames_checked: u64,
    damaged_stamps: u64,
}

impl FrameReader {
    pub(crate) fn new(file: Arc<dyn ReadFile>, name: &str, seed: ChecksumSeed) -> FrameReader {
        FrameReader {
            stream_end: Lsn::at_file_end(file.len()),
            file,
            name: name.into(),
            seed,
            chunk: Vec::new(),
            chunk_offset: 0,
            frames_checked: 0,
            damaged_stamps: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The end of the stream, were it to fill the file.
    pub(crate) fn stream_end(&self) -> Lsn {
        self.stream_end
    }

    /// The chunk that a [`Located::Chunk`] points into, until the next call.
    pub(crate) fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    /// Memory for the chunk, in bytes.
    #[cfg(test)]
    pub(crate) fn chunk_capacity(&self) -> usize {
        self.chunk.capacity()
    }

    /// Stamps that fail their checksum in the frames located so far.
    pub(crate) fn damaged_stamps(&self) -> u64 {
        self.damaged_stamps
    }

    /// Finds `len` bytes of the stream; `None` if the file ends before. Bytes
    /// in more than one frame replace what is in `scratch`.
    #[inline]
    pub(crate) fn locate(
        &mut self,
        from: Lsn,
        len: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<Located>> {
        if len as u64 > self.stream_end.0.saturating_sub(from.0) {
            return Ok(None);
        }
        let first = self.piece(from, len)?;
        if first.len() == len {
            return Ok(Some(Located::Chunk(first)));
        }
        scratch.clear();
        if scratch.capacity() < len {
            // Not grown: old and new would be there at once. And never longer
            // than the file, whatever its records add up to.
            let room = len.next_power_of_two().min(self.file.len() as usize);
            *scratch = Vec::new();
            scratch.reserve_exact(room.max(len));
        }
        scratch.extend_from_slice(&self.chunk[first]);
        while scratch.len() < len {
            let piece = self.piece(from.plus(scratch.len()), len - scratch.len())?;
            scratch.extend_from_slice(&self.chunk[piece]);
        }
        Ok(Some(Located::Scratch))
    }

    /// As much of `len` bytes from `from` on as its frame holds; they are
    /// before the end of the stream.
    #[inline]
    fn piece(&mut self, from: Lsn, len: usize) -> Result<Range<usize>> {
        if len == 0 {
            return Ok(0..0);
        }
        let frame = from.frame();
        let offset = frame_offset(frame);
        if offset < self.chunk_offset || offset >= self.chunk_offset + self.chunk.len() as u64 {
            self.load_chunk(offset)?;
        }
        let in_chunk = (offset - self.chunk_offset) as usize;
        if frame >= self.frames_checked {
            self.check_stamp(frame, in_chunk);
        }
        let start = in_chunk + (STAMP_BYTES + from.offset_in_frame()) as usize;
        let room = (FRAME_DATA_BYTES - from.offset_in_frame()) as usize;
        Ok(start..start + len.min(room))
    }

    fn load_chunk(&mut self, offset: u64) -> Result<()> {
        let len = CHUNK_BYTES.min(self.file.len().saturating_sub(offset));
        self.chunk.resize(len as usize, 0);
        self.chunk_offset = offset;
        let outcome = read_exactly(&*self.file, &self.name, offset, &mut self.chunk);
        // Who tries again must not be given what was not read.
        outcome.inspect_err(|_| self.chunk.clear())
    }

    /// A zero stamp is left out: where a payload of zeros runs on, nobody can
    /// tell a stamp that was never written from a damaged one.
    fn check_stamp(&mut self, frame: u64, in_chunk: usize) {
        self.frames_checked = frame + 1;
        let stamp = &self.chunk[in_chunk..in_chunk + STAMP_BYTES as usize];
        let is_valid = FrameStamp::decode(self.seed, frame_offset(frame), stamp).is_some();
        if !is_valid && !is_zero(stamp) {
            self.damaged_stamps += 1;
        }
    }

    /// The bytes of the file from the frame at `from` to the last one that is
    /// not zero, with the offset of the first; empty if all behind `from` are.
    pub(crate) fn rest(&mut self, from: Lsn) -> Result<(u64, Vec<u8>)> {
        let base = frame_offset(from.frame());
        let Some(last) = self.last_written(from.file_end())? else {
            return Ok((base, Vec::new()));
        };
        let mut bytes = vec![0; (last + 1 - base) as usize];
        read_exactly(&*self.file, &self.name, base, &mut bytes)?;
        Ok((base, bytes))
    }

    /// The offset of the last byte that is not zero at `from` or behind it.
    pub(crate) fn last_written(&mut self, from: u64) -> Result<Option<u64>> {
        let mut last = None;
        let mut offset = from;
        while offset < self.file.len() {
            self.load_chunk(offset)?;
            for (index, block) in self.chunk.chunks(FRAME_BYTES as usize).enumerate() {
                if is_zero(block) {
                    continue;
                }
                let in_block = block.iter().rposition(|&byte| byte != 0).unwrap_or(0) as u64;
                last = Some(offset + index as u64 * FRAME_BYTES + in_block);
            }
            offset += self.chunk.len() as u64;
        }
        self.chunk.clear();
        Ok(last)
    }
}

/// Without an early exit, so that it is done many bytes at a time.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |seen, byte| seen | byte) == 0
}

fn read_exactly(file: &dyn ReadFile, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
    if file.read_at(offset, buffer)? == buffer.len() {
        return Ok(());
    }
    Err(Error::corruption(name, offset, "the file became shorter while it was read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_told_from_bytes_that_cancel_out() {
        assert!(is_zero(&[]));
        assert!(is_zero(&[0; 100]));
        for bytes in [&[1][..], &[0, 0, 0x80], &[5, 0, 5], &[1, 2, 4], &[0xff; 64]] {
            assert!(!is_zero(bytes), "{bytes:?}");
        }
    }
}
