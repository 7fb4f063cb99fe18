//! The file of a table while it is written.

use kv_core::{Error, Result};
use kv_env::WriteFile;

/// Bytes handed to the file at a time: few system calls, little memory.
pub(crate) const OUTPUT_CHUNK_BYTES: usize = 256 << 10;

/// Gathers small appends and syncs as it goes.
///
/// The bytes behind a failed append are undefined, so the first error is
/// repeated for every later call.
pub(crate) struct Output {
    file: Box<dyn WriteFile>,
    buffer: Vec<u8>,
    unsynced_bytes: u64,
    sync_every_bytes: u64,
    failure: Option<Error>,
}

impl Output {
    pub(crate) fn new(file: Box<dyn WriteFile>, sync_every_bytes: u64) -> Output {
        let buffer = Vec::with_capacity(OUTPUT_CHUNK_BYTES);
        Output { file, buffer, unsynced_bytes: 0, sync_every_bytes, failure: None }
    }

    /// Offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.file.position() + self.buffer.len() as u64
    }

    /// Appends `bytes`.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() <= OUTPUT_CHUNK_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        for chunk in bytes.chunks(OUTPUT_CHUNK_BYTES) {
            if chunk.len() == OUTPUT_CHUNK_BYTES {
                self.write(chunk)?;
            } else {
                self.buffer.extend_from_slice(chunk);
            }
        }
        Ok(())
    }

    /// Writes what is gathered, makes it durable and closes the file to
    /// writers.
    pub(crate) fn seal(mut self) -> Result<()> {
        self.flush()?;
        self.file.seal()
    }

    fn flush(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = if buffer.is_empty() { Ok(()) } else { self.write(&buffer) };
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write(&mut self, chunk: &[u8]) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let outcome = self.write_and_sync(chunk);
        self.failure = outcome.as_ref().err().cloned();
        outcome
    }

    fn write_and_sync(&mut self, chunk: &[u8]) -> Result<()> {
        self.file.append(chunk)?;
        self.unsynced_bytes += chunk.len() as u64;
        if self.unsynced_bytes >= self.sync_every_bytes {
            self.file.sync()?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }
}
