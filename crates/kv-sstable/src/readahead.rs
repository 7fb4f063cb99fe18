//! Reads runs of blocks into one buffer that belongs to a cursor.

use std::ops::Range;

use kv_core::Result;

use crate::compression::Payload;
use crate::file::TableFile;

/// The first run after a seek, in bytes.
const FIRST_RUN_BYTES: u64 = 64 << 10;

/// The longest run, in bytes: a few requests of the device, and the time to
/// read it stays far below a millisecond.
const LONGEST_RUN_BYTES: u64 = 1 << 20;

/// A run of stored blocks and the one that is in use.
///
/// Each run is twice as long as the one before if it follows it, so that a
/// short scan reads little and a long one does few system calls. Blocks are
/// verified when they come into use. The buffers are reused.
#[derive(Default)]
pub(crate) struct Readahead {
    run: Vec<u8>,
    /// Offset of the run in the file.
    run_offset: u64,
    /// Numbers of the blocks that lie wholly in the run.
    blocks: Range<usize>,
    run_limit_bytes: u64,
    current: Current,
}

/// Where the block in use is.
enum Current {
    /// In the run: it is stored as it is used.
    InRun(Range<usize>),
    /// Decompressed, or copied from a map.
    Decoded(Vec<u8>),
}

impl Default for Current {
    fn default() -> Current {
        Current::InRun(0..0)
    }
}

impl Readahead {
    /// The block in use.
    #[inline]
    pub(crate) fn block(&self) -> &[u8] {
        match &self.current {
            Current::InRun(range) => &self.run[range.clone()],
            Current::Decoded(block) => block,
        }
    }

    /// Makes block `number` the one in use, reading from the file.
    pub(crate) fn read_block(&mut self, file: &TableFile, number: usize) -> Result<()> {
        if !self.blocks.contains(&number) {
            self.read_run(file, number)?;
        }
        let handle = file.index.handle(number);
        let start = (handle.offset - self.run_offset) as usize;
        let stored = &self.run[start..(handle.end() - self.run_offset) as usize];
        file.verify(handle, stored)?;
        match file.split(handle, stored)? {
            Payload::Plain(block) => self.current = Current::InRun(start..start + block.len()),
            payload => {
                let mut block = take_decoded(&mut self.current);
                file.decode(handle, payload, &mut block)?;
                self.current = Current::Decoded(block);
            }
        }
        Ok(())
    }

    /// Makes block `number` the one in use, whose stored bytes are at hand.
    pub(crate) fn decode_block(
        &mut self,
        file: &TableFile,
        number: usize,
        stored: &[u8],
    ) -> Result<()> {
        let handle = file.index.handle(number);
        file.verify(handle, stored)?;
        let mut block = take_decoded(&mut self.current);
        file.decode(handle, file.split(handle, stored)?, &mut block)?;
        self.current = Current::Decoded(block);
        Ok(())
    }

    fn read_run(&mut self, file: &TableFile, first: usize) -> Result<()> {
        let follows = !self.blocks.is_empty() && self.blocks.end == first;
        self.run_limit_bytes = match follows {
            true => (2 * self.run_limit_bytes).min(LONGEST_RUN_BYTES),
            false => FIRST_RUN_BYTES,
        };
        self.blocks = 0..0;
        let offset = file.index.handle(first).offset;
        let mut last = first;
        while last + 1 < file.index.block_count()
            && file.index.handle(last + 1).end() - offset <= self.run_limit_bytes
        {
            last += 1;
        }
        let len = (file.index.handle(last).end() - offset) as usize;
        if self.run.capacity() > LONGEST_RUN_BYTES as usize && len < self.run.capacity() / 2 {
            // The buffer of one huge value is not kept for the small ones.
            self.run = Vec::new();
        }
        self.run.resize(len, 0);
        file.read_exact(offset, &mut self.run)?;
        self.run_offset = offset;
        self.blocks = first..last + 1;
        Ok(())
    }
}

fn take_decoded(current: &mut Current) -> Vec<u8> {
    match std::mem::take(current) {
        Current::Decoded(block) => block,
        Current::InRun(_) => Vec::new(),
    }
}
