//! Counters while running, and the figures a caller gets.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_utils::CachePadded;

/// Counts without order: nobody concludes anything else from it.
pub(crate) type Counter = AtomicU64;

/// Plain counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) writes: Counter,
    pub(crate) batches: Counter,
    pub(crate) groups: Counter,
    pub(crate) user_bytes: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) syncs: Counter,
    pub(crate) sync_us: Counter,
    pub(crate) sync_max_us: Counter,
    pub(crate) stalls: Counter,
    pub(crate) paced_us: Counter,
    pub(crate) flushes: Counter,
    pub(crate) flush_bytes: Counter,
    pub(crate) compactions: Counter,
    pub(crate) trivial_moves: Counter,
    pub(crate) compaction_read_bytes: Counter,
    pub(crate) compaction_written_bytes: Counter,
    pub(crate) expired_dropped: Counter,
    pub(crate) disk_full: Counter,
    pub(crate) compactions_postponed: Counter,
    pub(crate) scrubbed_bytes: Counter,
    pub(crate) scrubbed_log_bytes: Counter,
    pub(crate) scrub_passes: Counter,
    pub(crate) manifests_replaced: Counter,
    /// Read counters apart: readers and the writer run on different cores.
    pub(crate) gets: CachePadded<Counter>,
    pub(crate) tables_probed: CachePadded<Counter>,
    pub(crate) scans: Counter,
}

impl Counters {
    pub(crate) fn record_sync(&self, took: Duration) {
        let us = took.as_micros() as u64;
        self.syncs.fetch_add(1, Relaxed);
        self.sync_us.fetch_add(us, Relaxed);
        self.sync_max_us.fetch_max(us, Relaxed);
    }
}

/// What the engine has done since it was opened, and what it holds now.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Stats {
    /// Keys written: puts and deletes.
    pub writes: u64,
    /// Batches committed.
    pub batches: u64,
    /// Groups they were committed in: one write call each.
    pub groups: u64,
    /// Bytes of batches, as encoded.
    pub user_bytes: u64,
    /// Conditional batches refused.
    pub conflicts: u64,
    /// `fdatasync` calls on the log for groups.
    pub wal_syncs: u64,
    /// Mean time of one, in microseconds.
    pub wal_sync_mean_us: u64,
    /// Longest one, in microseconds.
    pub wal_sync_max_us: u64,
    /// Log segments on disk.
    pub wal_segments: u64,
    /// Times writers had to wait for a flush.
    pub stalls: u64,
    /// Time writers were slowed down for, in microseconds.
    pub paced_us: u64,
    /// Memory of all memory tables, in bytes.
    pub memtable_bytes: u64,
    /// Entries in the active memory table.
    pub memtable_entries: u64,
    /// Memory tables waiting for their flush.
    pub frozen_memtables: u64,
    /// Flushes done.
    pub flushes: u64,
    /// Bytes of tables they wrote.
    pub flush_bytes: u64,
    /// Compactions done, without trivial moves.
    pub compactions: u64,
    /// Tables moved down without being rewritten.
    pub trivial_moves: u64,
    /// Bytes of tables that compactions read.
    pub compaction_read_bytes: u64,
    /// Bytes of tables that compactions wrote.
    pub compaction_written_bytes: u64,
    /// Expired entries that compactions dropped.
    pub expired_dropped: u64,
    /// Times the disk was found full.
    pub disk_full_events: u64,
    /// Compactions that were put off because their output would not have fit.
    pub compactions_postponed: u64,
    /// Bytes of tables that the scrub has read and checked.
    pub scrubbed_bytes: u64,
    /// Bytes of the manifest and of sealed log segments that it has read and
    /// checked.
    pub scrubbed_log_bytes: u64,
    /// Times it has come to the end of all tables.
    pub scrub_passes: u64,
    /// When its newest pass began, in milliseconds since 1970, this open or
    /// before; 0 if none ever did.
    pub scrub_pass_started_ms: u64,
    /// When the last pass that came to its end did so, likewise; 0 if none did.
    pub scrub_completed_ms: u64,
    /// Tables that the newest pass has yet to read; 0 between two passes.
    pub scrub_tables_left: u64,
    /// Damaged parts of files it has found, 100 at most; which they are says
    /// [`Engine::scrub_findings`](crate::Engine::scrub_findings).
    pub scrub_findings: u64,
    /// Manifests that were found damaged while they were in use, and of which a
    /// fresh one has taken the place.
    pub manifests_replaced: u64,
    /// Bytes that still have to be rewritten to bring the tree into shape.
    pub compaction_debt_bytes: u64,
    /// Point reads.
    pub gets: u64,
    /// Tables that were searched for them, filters not counted.
    pub tables_probed: u64,
    /// Tables searched per point read.
    pub tables_per_get: f64,
    /// Scans begun.
    pub scans: u64,
    /// Tables in the tree.
    pub tables: u64,
    /// Bytes of tables in the tree.
    pub table_bytes: u64,
    /// Newest write that readers see.
    pub visible_seqno: u64,
    /// True while the disk is full: puts are refused until there is space.
    pub disk_full: bool,
    /// True after a failure that ended writing.
    pub poisoned: bool,
}

/// One level of the tree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LevelStats {
    /// 0 is flush output.
    pub level: u32,
    /// Tables in it.
    pub tables: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Entries in them, deletes included.
    pub entries: u64,
    /// Deletes among the entries.
    pub deletes: u64,
}
