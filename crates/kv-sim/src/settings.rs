//! Everything that is chosen before a history begins: the disk and the engine.

use kv_engine::{Background, Compression, Durability, FlushSize, Options, ReadMode, TableOptions};
use kv_env::{DirectoryModel, SimDisk, SimOptions};
use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::trouble::FailingCall;

/// A simulated machine that does more ops than this in one life does not end.
pub(crate) const MAX_OPS: u64 = 200_000;

/// How the simulated disk behaves and how the engine is opened. What a script
/// does not mention has its default: small sizes, at which a few writes
/// already freeze, flush and compact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seed of the disk: identities of files, fate of failed calls.
    pub seed: u64,
    /// Directory changes are lost from the end only, as on ext4; otherwise
    /// each on its own.
    pub ordered_directory: bool,
    /// Lost parts of files hold old bytes of other files, not zeros.
    pub stale_bytes: bool,
    /// After a failed sync reads see what the disk holds.
    pub failed_sync_reverts: bool,
    /// Appends take two calls, the first of which comes back short.
    pub short_writes: bool,
    /// This call fails, and no other but for what the steps ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_call: Option<FailingCall>,
    /// Syncs do nothing and report success: the negative control.
    pub lying_sync: bool,
    /// Tables are read through maps.
    pub mapped: bool,
    /// Blocks of tables are compressed.
    pub lz4: bool,
    /// When to freeze the memory table.
    pub memtable: MemtableSize,
    /// The most batches in one commit group.
    pub group_batches: usize,
    /// Level-0 tables that start a compaction.
    pub level0_trigger: usize,
    /// Target size of a table's data block, in bytes.
    pub block_bytes: usize,
    /// Bits per key of a table's filter.
    pub filter_bits: u8,
    /// Memory for decompressed blocks, in bytes.
    pub cache_bytes: u64,
    /// Edits of a manifest after which a fresh one takes its place, in bytes.
    pub manifest_edit_bytes: u64,
}

/// When to freeze the memory table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemtableSize {
    /// After this many writes.
    Entries(u64),
    /// At this much memory, in bytes.
    Bytes(u64),
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 1,
            ordered_directory: false,
            stale_bytes: false,
            failed_sync_reverts: false,
            short_writes: false,
            failing_call: None,
            lying_sync: false,
            mapped: true,
            lz4: false,
            memtable: MemtableSize::Entries(8),
            group_batches: 8,
            level0_trigger: 2,
            block_bytes: 4096,
            filter_bits: 10,
            cache_bytes: 1 << 16,
            manifest_edit_bytes: 4 << 20,
        }
    }
}

impl Settings {
    /// Draws settings.
    pub(crate) fn draw(random: &mut Random) -> Settings {
        Settings {
            seed: random.next(),
            ordered_directory: random.one_in(3),
            stale_bytes: random.one_in(3),
            failed_sync_reverts: random.one_in(2),
            short_writes: random.one_in(4),
            failing_call: None,
            lying_sync: false,
            mapped: random.one_in(2),
            lz4: random.one_in(2),
            memtable: match random.below(4) {
                0 => MemtableSize::Bytes(random.pick(&[8 << 10, 24 << 10])),
                _ => MemtableSize::Entries(random.pick(&[1, 3, 8, 20, 50])),
            },
            group_batches: random.pick(&[1, 2, 8, 1024]),
            level0_trigger: random.pick(&[2, 2, 3, 4]),
            block_bytes: random.pick(&[64, 512, 4096]),
            filter_bits: random.pick(&[0, 10]),
            cache_bytes: random.pick(&[0, 1 << 16]),
            manifest_edit_bytes: random.pick(&[0, 300, 1000, 4 << 20]),
        }
    }

    /// A new, empty disk.
    pub(crate) fn disk(&self) -> SimDisk {
        let directory_model =
            if self.ordered_directory { DirectoryModel::Ext4 } else { DirectoryModel::Weak };
        let options = SimOptions {
            directory_model,
            stale_bytes: self.stale_bytes,
            failed_sync_reverts: self.failed_sync_reverts,
            short_writes: self.short_writes,
        };
        self.ready(SimDisk::with_options(self.seed, options))
    }

    /// `disk`, lying if it is to lie, and stopped should a run have no end.
    pub(crate) fn ready(&self, disk: SimDisk) -> SimDisk {
        disk.set_lying_sync(self.lying_sync);
        disk.stop_at(disk.op_count() + MAX_OPS);
        disk
    }

    /// The options of the engine: always without threads.
    pub(crate) fn engine_options(&self) -> Options {
        Options {
            durability: Durability::Sync,
            memtable_flush_size: match self.memtable {
                MemtableSize::Entries(entries) => FlushSize::Entries(entries),
                MemtableSize::Bytes(bytes) => FlushSize::Bytes(bytes),
            },
            wal_batch_size: self.group_batches,
            compaction_sstable_threshold: self.level0_trigger,
            block_cache_bytes: self.cache_bytes,
            manifest_edit_bytes: self.manifest_edit_bytes,
            read_mode: if self.mapped { ReadMode::Map } else { ReadMode::Pread },
            table: TableOptions {
                block_bytes: self.block_bytes,
                compression: if self.lz4 { Compression::Lz4 } else { Compression::None },
                filter_bits_per_key: self.filter_bits,
                ..TableOptions::default()
            },
            background: Background::Manual,
            ..Options::default()
        }
    }
}
