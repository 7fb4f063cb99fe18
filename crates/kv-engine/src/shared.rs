//! What all threads of an engine share, and who may change it.
//!
//! Lock order, outermost first: threads, writer role, work of callers, pass of the
//! scrub, sync role, manifest, change of the space, directory, busy set, view change,
//! pending groups, segment state. What the disk's space is waited for, the findings of
//! the scrub and its place, in this order, the signals, and the callbacks that are to be
//! called are the innermost: nothing is taken under them. Nothing else nests. No lock
//! that a caller needs is held across a write of a background thread.

use std::sync::Arc;
use std::time::Duration;

use kv_compaction::{Busy, Policy, TableRef};
use kv_core::{Error, Result, SeqNo};
use kv_env::{DirLock, Env};
use kv_memtable::ArenaPool;

use crate::commit::{CommitQueue, MAX_FROZEN};
use crate::live_table::Tables;
use crate::manifest::Manifest;
use crate::options::{Background, Options};
use crate::pacing::{Debt, pause};
use crate::poison::Poison;
use crate::primitives::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::primitives::{ArcSwap, Mutex};
use crate::report::RecoveryReport;
use crate::rewrite::CancelFlag;
use crate::scrub::Scrub;
use crate::segments::Segments;
use crate::signals::Signals;
use crate::space::Space;
use crate::stats::{Counter, Counters, LevelStats, Stats};
use crate::sync::SyncQueue;
use crate::view::View;

pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) options: Options,
    pub(crate) policy: Policy,
    pub(crate) view: ArcSwap<View>,
    /// Held by the one who replaces the view.
    pub(crate) view_change: Mutex<()>,
    /// Newest write that is in the log and in a memory table.
    pub(crate) applied: AtomicU64,
    pub(crate) commit: CommitQueue,
    pub(crate) sync: SyncQueue,
    pub(crate) manifest: Mutex<Manifest>,
    /// Held by the one who syncs the directory.
    pub(crate) directory: Mutex<()>,
    /// Held by a caller who does the work of the background himself. A close waits
    /// for him: behind it nothing is written any more.
    pub(crate) callers_work: Mutex<()>,
    pub(crate) segments: Segments,
    /// Tables of running compactions.
    pub(crate) busy: Mutex<Busy>,
    pub(crate) next_file_id: AtomicU64,
    pub(crate) tables: Tables,
    /// Memory of dropped memory tables, for the next ones.
    pub(crate) pool: ArenaPool,
    pub(crate) signals: Arc<Signals>,
    pub(crate) poison: Poison,
    pub(crate) space: Space,
    pub(crate) scrub: Scrub,
    pub(crate) closed: AtomicBool,
    /// The log ends with the mark of a proper close.
    pub(crate) is_log_marked: AtomicBool,
    /// Set at close: long rewrites stop at the next entry.
    pub(crate) cancel: CancelFlag,
    pub(crate) counters: Counters,
    pub(crate) report: RecoveryReport,
    pub(crate) lock: Mutex<Option<Box<dyn DirLock>>>,
}

impl Shared {
    pub(crate) fn applied(&self) -> SeqNo {
        SeqNo(self.applied.load(Ordering::Acquire))
    }

    pub(crate) fn set_applied(&self, seqno: SeqNo) {
        self.applied.store(seqno.0, Ordering::Release);
    }

    /// Makes writes up to `seqno` visible. Called in order, under the lock of
    /// the pending groups.
    pub(crate) fn publish(&self, seqno: SeqNo) {
        self.view.load().active.publish(seqno);
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Does `work` of the background on behalf of a caller, one at a time, and not
    /// after a close.
    pub(crate) fn work_for_caller<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _turn = self.callers_work.lock();
        self.check_running()?;
        work()
    }

    /// Replaces the view; the only way to do so.
    pub(crate) fn change_view(&self, change: impl FnOnce(&View) -> View) {
        let _guard = self.view_change.lock();
        let next = change(&self.view.load());
        self.view.store(Arc::new(next));
    }

    /// Slows the holder of the writer role in proportion to the debt. Ends
    /// early when a background job is done.
    pub(crate) fn pace(&self) {
        let view = self.view.load();
        let debt = Debt {
            level0_tables: view.version.level0_runs(),
            level0_trigger: self.policy.level0_trigger,
            frozen: view.frozen.len(),
            max_frozen: MAX_FROZEN,
        };
        let pause = pause(debt);
        if pause > Duration::ZERO && self.options.background == Background::Threads {
            drop(view);
            let started = self.env.clock.monotonic();
            self.signals.wait_for_progress(pause);
            let waited = self.env.clock.monotonic().saturating_sub(started);
            self.counters.paced_us.fetch_add(waited.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// True if a writer that found no room would find some now.
    pub(crate) fn room_was_made(&self) -> bool {
        self.poison.error().is_some()
            || (self.view.load().frozen.len() < MAX_FROZEN && self.segments.has_prepared())
    }

    /// After a background job: paced writers go on, stalled ones are served.
    pub(crate) fn note_progress(&self) {
        self.signals.announce_progress();
        self.serve_queue();
    }

    /// Makes changes of directory entries durable. Like any sync it is never
    /// tried again, whoever asked for it: a failure poisons the engine.
    pub(crate) fn sync_directory(&self) -> Result<()> {
        self.alone_with_directory("cannot sync the directory", || self.env.fs.sync_dir())
    }

    /// Does `work`, which syncs the directory, while nobody else does; an error
    /// poisons the engine.
    ///
    /// The operating system reports a failure once: beside a sync that gets it
    /// another one could succeed. Here it comes after, and is not begun.
    pub(crate) fn alone_with_directory<T>(
        &self,
        failure: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let _turn = self.directory.lock();
        self.poison.check()?;
        work().map_err(|error| self.poison(format!("{failure}: {error}")))
    }

    pub(crate) fn level_stats(&self) -> Vec<LevelStats> {
        let version = Arc::clone(&self.view.load().version);
        let of_level = |(level, tables): (usize, &Arc<[Arc<crate::live_table::LiveTable>]>)| {
            let sum = |of: fn(&kv_compaction::TableMeta) -> u64| {
                tables.iter().map(|live| of(live.meta())).sum()
            };
            LevelStats {
                level: level as u32,
                tables: tables.len() as u64,
                bytes: sum(|meta| meta.file_bytes),
                entries: sum(|meta| meta.entries),
                deletes: sum(|meta| meta.deletes),
            }
        };
        version.levels().iter().enumerate().map(of_level).collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        let view = self.view.load();
        let counters = &self.counters;
        let load = |counter: &Counter| counter.load(Ordering::Relaxed);
        let (gets, probed) = (load(&counters.gets), load(&counters.tables_probed));
        let syncs = load(&counters.syncs);
        let scrub = self.scrub.place();
        let is_left = |id: u64| (scrub.next_id..scrub.end_id).contains(&id);
        let ids = view.version.tables().map(|(_, live)| live.meta().id);
        Stats {
            writes: load(&counters.writes),
            batches: load(&counters.batches),
            groups: load(&counters.groups),
            user_bytes: load(&counters.user_bytes),
            conflicts: load(&counters.conflicts),
            wal_syncs: syncs,
            wal_sync_mean_us: load(&counters.sync_us).checked_div(syncs).unwrap_or(0),
            wal_sync_max_us: load(&counters.sync_max_us),
            wal_segments: self.segments.count() as u64,
            stalls: load(&counters.stalls),
            paced_us: load(&counters.paced_us),
            memtable_bytes: view.memory_bytes(),
            memtable_entries: view.active.entries(),
            frozen_memtables: view.frozen.len() as u64,
            flushes: load(&counters.flushes),
            flush_bytes: load(&counters.flush_bytes),
            compactions: load(&counters.compactions),
            trivial_moves: load(&counters.trivial_moves),
            compaction_read_bytes: load(&counters.compaction_read_bytes),
            compaction_written_bytes: load(&counters.compaction_written_bytes),
            expired_dropped: load(&counters.expired_dropped),
            disk_full_events: load(&counters.disk_full),
            compactions_postponed: load(&counters.compactions_postponed),
            scrubbed_bytes: load(&counters.scrubbed_bytes),
            scrubbed_log_bytes: load(&counters.scrubbed_log_bytes),
            scrub_passes: load(&counters.scrub_passes),
            scrub_pass_started_ms: scrub.started_ms,
            scrub_completed_ms: scrub.completed_ms,
            scrub_tables_left: ids.filter(|&id| is_left(id)).count() as u64,
            scrub_findings: self.scrub.finding_count(),
            manifests_replaced: load(&counters.manifests_replaced),
            disk_full: self.space.is_full(),
            compaction_debt_bytes: kv_compaction::debt_bytes(&view.version, &self.policy),
            gets,
            tables_probed: probed,
            tables_per_get: if gets == 0 { 0.0 } else { probed as f64 / gets as f64 },
            scans: load(&counters.scans),
            tables: view.version.table_count() as u64,
            table_bytes: view.version.bytes(),
            visible_seqno: view.active.visible().0,
            poisoned: self.poison.error().is_some(),
        }
    }
}
