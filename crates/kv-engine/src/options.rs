//! How an engine is opened: every option, its default and its reason.

use std::fmt;
use std::sync::Arc;

use kv_compaction::{Policy, RetentionRule};
use kv_core::{Error, Result};
use kv_sstable::{ReadMode, TableOptions};

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// After `fdatasync`: survives a power cut. The default.
    #[default]
    Sync,
    /// Once the operating system has it; synced within
    /// [`Options::wal_flush_interval_ms`]. Survives a killed process; a power
    /// cut may take the last interval.
    Interval,
    /// Once the operating system has it; synced when the memory table is full.
    /// Survives a killed process.
    Os,
}

/// The size at which a memory table is frozen and flushed to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushSize {
    /// After this many writes.
    Entries(u64),
    /// At this much memory, in bytes.
    Bytes(u64),
}

/// Who runs flushes and compactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Background {
    /// Threads of the engine. The default.
    #[default]
    Threads,
    /// Nobody but callers of `Engine::run_background_step`: for simulations
    /// that must run the same way every time.
    Manual,
}

/// How to open a database.
#[derive(Clone)]
pub struct Options {
    /// Durability of [`put`](crate::Engine::put) and
    /// [`delete`](crate::Engine::delete).
    pub durability: Durability,
    /// When to freeze the memory table. Default 64 MiB: a flush of one second
    /// or less, and as much memory again while it runs.
    pub memtable_flush_size: FlushSize,
    /// The most writes (batches) one commit group holds. Default 1024.
    pub wal_batch_size: usize,
    /// The longest an [`Interval`](Durability::Interval) write stays unsynced,
    /// in milliseconds. Default 10.
    pub wal_flush_interval_ms: u64,
    /// Level-0 tables that start a compaction. Default 4.
    pub compaction_sstable_threshold: usize,
    /// Create the database if the directory holds none. Default true.
    pub create_if_missing: bool,
    /// Accept a directory on a network file system. Default false: whether its
    /// locks keep other machines out and its syncs reach a disk, nobody knows.
    pub allow_network_file_system: bool,
    /// Memory for decompressed blocks, in bytes. Default 256 MiB.
    pub block_cache_bytes: u64,
    /// The most files of tables that are kept open for reading, at least 1.
    /// Default 256: a quarter of what a process may usually open, so that most
    /// is left to connections and to the program around the engine. A mapped
    /// table needs none but while a compaction, a check or the scrub reads it; one
    /// that is not among the latest is opened again when it is read, which
    /// costs some microseconds. Threads in the middle of a read may hold one
    /// more each.
    pub max_open_files: usize,
    /// How tables are read. Default: mapped, which is the fastest. A mapped
    /// table whose device fails ends the process by SIGBUS, where `Pread` gives
    /// an error for the keys concerned; file systems that are known for such
    /// failures are read by `Pread` in any case.
    pub read_mode: ReadMode,
    /// Shape of new tables.
    pub table: TableOptions,
    /// Who runs flushes and compactions.
    pub background: Background,
    /// Disk space held back in the file `RESERVE`, in bytes, so that flushes,
    /// deletes and the next open succeed on a full disk. `None`, the default, is
    /// what these need: a log segment and a manifest. 0 holds nothing back.
    pub reserve_bytes: Option<u64>,
    /// Edits of the tree that a manifest may hold behind the snapshot that it
    /// begins with, in bytes, before a fresh one takes its place; behind a large one
    /// about as much as that has, if it is more. Default 4 MiB: it bounds what an open
    /// has to read, and tests that are to see the replacement choose less.
    pub manifest_edit_bytes: u64,
    /// How fast tables and sealed logs are read from the disk and checked while
    /// nobody asks for them, in bytes per second; 0 is never. Damage is listed by
    /// [`scrub_findings`](crate::Engine::scrub_findings). Default 4 MiB: a
    /// hundredth of what a solid-state disk reads and a thirtieth of what a
    /// spinning one does, yet 2.4 TB a week.
    pub scrub_bytes_per_second: u64,
    /// The least time from the start of one scrub of all files to the start of
    /// the next, in seconds, across restarts. Default one week: rot that is found so late can
    /// still be mended from a backup, and each pass costs the cached pages of
    /// the tables it reads.
    pub scrub_interval_secs: u64,
    /// Tells which entries have expired and may be dropped by compactions.
    pub retention: Option<Arc<dyn RetentionRule>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            durability: Durability::Sync,
            memtable_flush_size: FlushSize::Bytes(64 << 20),
            wal_batch_size: 1024,
            wal_flush_interval_ms: 10,
            compaction_sstable_threshold: 4,
            create_if_missing: true,
            allow_network_file_system: false,
            block_cache_bytes: 256 << 20,
            max_open_files: 256,
            read_mode: ReadMode::Map,
            table: TableOptions::default(),
            background: Background::Threads,
            reserve_bytes: None,
            manifest_edit_bytes: 4 << 20,
            scrub_bytes_per_second: 4 << 20,
            scrub_interval_secs: 7 * 24 * 60 * 60,
            retention: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("durability", &self.durability)
            .field("memtable_flush_size", &self.memtable_flush_size)
            .field("wal_batch_size", &self.wal_batch_size)
            .field("wal_flush_interval_ms", &self.wal_flush_interval_ms)
            .field("compaction_sstable_threshold", &self.compaction_sstable_threshold)
            .field("max_open_files", &self.max_open_files)
            .field("read_mode", &self.read_mode)
            .field("background", &self.background)
            .field("scrub_bytes_per_second", &self.scrub_bytes_per_second)
            .finish_non_exhaustive()
    }
}

/// Smallest memory table in bytes: below it every write would be a flush.
const MIN_FLUSH_BYTES: u64 = 1 << 10;

impl Options {
    /// Fails with `InvalidArgument` if an option is outside its range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |sentence: &str| Err(Error::InvalidArgument(sentence.into()));
        match self.memtable_flush_size {
            FlushSize::Entries(0) => {
                return refuse("memtable_flush_size must be at least 1 entry");
            }
            FlushSize::Bytes(bytes) if bytes < MIN_FLUSH_BYTES => {
                return refuse("memtable_flush_size must be at least 1KiB");
            }
            _ => {}
        }
        if self.wal_batch_size == 0 {
            return refuse("wal_batch_size must be at least 1");
        }
        if self.wal_flush_interval_ms == 0 {
            return refuse("wal_flush_interval_ms must be at least 1");
        }
        if self.compaction_sstable_threshold < 2 {
            return refuse("compaction_sstable_threshold must be at least 2");
        }
        if self.max_open_files == 0 {
            return refuse("max_open_files must be at least 1");
        }
        if self.scrub_interval_secs == 0 {
            return refuse("scrub_interval_secs must be at least 1");
        }
        self.table.validate()
    }

    /// The compaction policy these options ask for.
    pub(crate) fn policy(&self) -> Policy {
        Policy { level0_trigger: self.compaction_sstable_threshold, ..Policy::default() }
    }
}

impl FlushSize {
    /// Share of the memory table that is used, in percent; 100 and more is full.
    pub(crate) fn fill_percent(self, entries: u64, bytes: u64) -> u64 {
        let (used, size) = match self {
            FlushSize::Entries(size) => (entries, size),
            FlushSize::Bytes(size) => (bytes, size),
        };
        used.saturating_mul(100) / size
    }

    /// Zeros to write ahead into a new segment, in bytes: what the memory
    /// table will hold, as far as that is known.
    pub(crate) fn segment_bytes(self) -> u64 {
        const TYPICAL_ENTRY_BYTES: u64 = 256;
        let expected = match self {
            FlushSize::Entries(entries) => entries.saturating_mul(TYPICAL_ENTRY_BYTES),
            FlushSize::Bytes(bytes) => bytes,
        };
        expected.clamp(64 << 10, 64 << 20)
    }
}
