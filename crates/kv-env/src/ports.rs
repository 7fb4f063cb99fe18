//! The ports: everything the engine asks of the outside world.
//!
//! All are synchronous and object-safe. A real backend and a simulated one
//! implement each; what differs between them must not be visible above.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kv_core::{Pinned, Result};

/// One directory and the files in it. Names are single path components, or
/// one sub-directory and a component (`quarantine/wal_000001.log`).
///
/// No call follows a symbolic link.
pub trait Fs: Send + Sync + fmt::Debug {
    /// The directory, for messages.
    fn describe(&self) -> String;
    /// Creates a file that must not exist. Its directory entry is durable only
    /// after [`sync_dir`](Fs::sync_dir).
    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>>;
    /// Opens a regular file for reading.
    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>>;
    /// Renames a file within the directory; an existing `to` is replaced
    /// atomically.
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    /// Removes a file. Open readers keep its bytes, and its space, until the
    /// last of them is dropped.
    fn remove(&self, name: &str) -> Result<()>;
    /// Cuts a file that nobody has open to `len` bytes and syncs it. It must
    /// be that long already, and not be sealed.
    fn truncate(&self, name: &str, len: u64) -> Result<()>;
    /// Creates a sub-directory; succeeds if it exists.
    fn create_dir(&self, name: &str) -> Result<()>;
    /// All entries of the directory, foreign ones too, sorted by name. What is
    /// in sub-directories is not listed.
    fn list(&self) -> Result<Vec<DirEntry>>;
    /// Makes all earlier creations, renames and removals durable, those in
    /// sub-directories included.
    fn sync_dir(&self) -> Result<()>;
    /// Takes the exclusive lock file `name` and writes the process id into it.
    ///
    /// # Errors
    /// `Locked` with the holder's process id where it is known.
    fn lock(&self, name: &str) -> Result<Box<dyn DirLock>>;
    /// Free space for this process, in bytes.
    fn free_space(&self) -> Result<u64>;
    /// Makes `name` a file of at least `bytes` bytes whose space is really
    /// taken from the file system: removing it gives that much back, also
    /// where nothing else is left. What is in it is not defined, and it is
    /// not durable: a reserve that is gone after a power cut is made anew.
    /// Costs no writing where the file system can allocate without it.
    ///
    /// # Errors
    /// One that [is out of space](kv_core::Error::is_out_of_space) if there is
    /// no room. After an error a file that was not there is not there, and one
    /// that was has its old length.
    fn reserve(&self, name: &str, bytes: u64) -> Result<()>;
    /// False where maps are less to be relied on than reads, as on network and
    /// user-space file systems, which may fail at any access: read there.
    fn trusts_maps(&self) -> bool {
        true
    }
}

/// What [`Fs::list`] reports of a directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name.
    pub name: String,
    /// File length in bytes; 0 for anything but a regular file.
    pub len: u64,
    /// True for a regular file that is no link.
    pub is_regular_file: bool,
}

/// A new file, written front to back by one owner.
pub trait WriteFile: Send {
    /// Writes all of `bytes` behind what was appended before.
    ///
    /// # Errors
    /// After an error the bytes behind the previous append are undefined.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    /// Fills the file with zeros up to `len` bytes in all, without moving the
    /// append position: later appends overwrite the zeros, and on file systems
    /// that write in place they need no more space for that. Not durable until
    /// the next sync.
    ///
    /// # Errors
    /// A full disk, among others. Whatever the error, all bytes appended
    /// before are as they were and appends go on behind them; between the
    /// append position and `len` there are zeros up to some length.
    fn zero_fill(&mut self, len: u64) -> Result<()>;
    /// Where the next append goes: the bytes appended so far.
    fn position(&self) -> u64;
    /// Makes everything appended so far durable (`fdatasync`). Never call it
    /// again after an error.
    fn sync(&mut self) -> Result<()>;
    /// A handle that syncs this file from another thread.
    fn sync_handle(&self) -> Arc<dyn SyncHandle>;
    /// Cuts everything behind the append position, syncs, and makes the file
    /// read-only.
    fn seal(&mut self) -> Result<()>;
}

/// Syncs a file while its owner goes on appending.
///
/// A failure is reported once, to one of those who sync the same file at the same
/// time, and the others may be told of a success: whoever draws conclusions from
/// it must be the only one.
pub trait SyncHandle: Send + Sync {
    /// Makes durable at least what was appended before the call.
    fn sync(&self) -> Result<()>;
}

/// A file opened for reading at any offset.
pub trait ReadFile: Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;
    /// Length in bytes when it was opened.
    fn len(&self) -> u64;
    /// True for a file of no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Maps the whole file for reading. Only for sealed files, whose bytes
    /// never change again.
    fn map(&self) -> Result<Arc<dyn Pinned>>;
    /// Drops clean cached pages, so that the next read asks the device.
    fn drop_cache(&self) -> Result<()>;
}

/// Holds a directory lock until it is dropped.
pub trait DirLock: Send + Sync {}

/// Time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Time since some fixed moment; never goes backwards.
    fn monotonic(&self) -> Duration;
    /// Milliseconds since 1970-01-01 UTC.
    fn wall_ms(&self) -> u64;
}

/// Randomness for identities, not for secrets.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Sixteen random bytes.
    fn random_id(&self) -> [u8; 16];
}

/// The ports together, as the engine takes them.
#[derive(Debug, Clone)]
pub struct Env {
    /// The database directory.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl dyn ReadFile {
    /// Reads exactly `buffer.len()` bytes; false if the file ends before.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<bool> {
        Ok(self.read_at(offset, buffer)? == buffer.len())
    }

    /// Reads the whole file into memory.
    pub fn read_all(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len() as usize];
        let got = self.read_at(0, &mut bytes)?;
        bytes.truncate(got);
        Ok(bytes)
    }
}
