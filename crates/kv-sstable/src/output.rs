//! The file of a table while it is written.

use kv_core::{Error, Result};
use kv_env::WriteFile;

use crate::options::MAX_BLOCK_BYTES;

/// Bytes handed to the file at a time: few system calls, little memory.
pub(crate) const OUTPUT_CHUNK_BYTES: usize = 256 << 10;

// A value that is handed on in chunks has a block of its own.
const _: () = assert!(OUTPUT_CHUNK_BYTES > MAX_BLOCK_BYTES);

/// Gathers appends to chunks of one size and syncs as it goes.
///
/// The bytes behind a failed append are undefined, so the first error is
/// repeated for every later call.
pub(crate) struct Output {
    file: Box<dyn WriteFile>,
    chunk: Vec<u8>,
    chunk_bytes: usize,
    unsynced_bytes: u64,
    sync_every_bytes: u64,
    failure: Option<Error>,
}

impl Output {
    pub(crate) fn new(file: Box<dyn WriteFile>, sync_every_bytes: u64) -> Output {
        let chunk_bytes = usize::try_from(sync_every_bytes)
            .map_or(OUTPUT_CHUNK_BYTES, |most| most.min(OUTPUT_CHUNK_BYTES));
        let chunk = Vec::with_capacity(chunk_bytes);
        Output { file, chunk, chunk_bytes, unsynced_bytes: 0, sync_every_bytes, failure: None }
    }

    /// Offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.file.position() + self.chunk.len() as u64
    }

    /// Appends `bytes`.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.check()?;
        while self.chunk.len() + bytes.len() >= self.chunk_bytes {
            let (filling, rest) = bytes.split_at(self.chunk_bytes - self.chunk.len());
            if self.chunk.is_empty() {
                self.write(filling)?;
            } else {
                self.chunk.extend_from_slice(filling);
                self.write_chunk()?;
            }
            bytes = rest;
        }
        self.chunk.extend_from_slice(bytes);
        Ok(())
    }

    /// Repeats an earlier failure.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// Writes what is gathered, makes it durable and closes the file to
    /// writers.
    pub(crate) fn seal(mut self) -> Result<()> {
        self.check()?;
        if !self.chunk.is_empty() {
            self.file.append(&self.chunk)?;
        }
        self.file.seal()
    }

    fn write_chunk(&mut self) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        let written = self.write(&chunk);
        chunk.clear();
        self.chunk = chunk;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.write_and_sync(bytes);
        self.failure = written.as_ref().err().cloned();
        written
    }

    fn write_and_sync(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.append(bytes)?;
        self.unsynced_bytes += bytes.len() as u64;
        // The next chunk would go over the limit.
        if self.unsynced_bytes + self.chunk_bytes as u64 > self.sync_every_bytes {
            self.file.sync()?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }
}
