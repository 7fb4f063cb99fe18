//! The face of an open database. Each verb lives in its own module.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv_core::{Error, Expectation, FoundEntry, Result, SeqNo, Value, WriteBatch};
use kv_env::{Env, RealOptions};

use crate::background::Threads;
use crate::options::{Background, Durability, Options};
use crate::primitives::{Mutex, thread};
use crate::range::KeyRange;
use crate::report::RecoveryReport;
use crate::scan::Scan;
use crate::scrub::ScrubFinding;
use crate::shared::Shared;
use crate::snapshot::{Snapshot, UpdateView};
use crate::stats::{LevelStats, Stats};
use crate::waiter::Completion;

/// An open database. Clones share it; the last one to go closes it.
///
/// All methods may be called from any number of threads. Reads take no lock and
/// wait for nobody. Writes are ordered by the engine: when a call returns
/// `Ok`, the write is as durable as asked and visible to every later read.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    owner: Arc<Owner>,
}

/// Closes the database when the last handle is gone.
struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Threads>,
}

impl Engine {
    /// Opens or creates the database in `directory`.
    ///
    /// # Errors
    /// `Locked` if it is open elsewhere, `Corruption` or `Unsupported` if what
    /// is stored cannot be trusted or understood (nothing is changed then),
    /// `InvalidArgument` for options out of range, `Io`.
    pub fn open(directory: impl AsRef<Path>, options: Options) -> Result<Engine> {
        options.validate()?;
        let place = RealOptions {
            create_if_missing: options.create_if_missing,
            allow_network_file_system: options.allow_network_file_system,
            ..RealOptions::default()
        };
        Engine::open_in(Env::real_with(directory.as_ref(), place)?, options)
    }

    /// Opens or creates the database in the directory of `env`: for
    /// simulations and other backends.
    pub fn open_in(env: Env, options: Options) -> Result<Engine> {
        options.validate()?;
        let manual = options.background == Background::Manual;
        let shared = Arc::new(crate::recovery::recover(env, options)?);
        // From here on an error closes the database again.
        let owner = Owner { shared: Arc::clone(&shared), threads: Mutex::default() };
        if !manual {
            owner.threads.lock().start(&shared)?;
        }
        // Recovery may have left full memory tables and a tree out of shape.
        shared.signals.wake_flush();
        shared.signals.wake_compact();
        Ok(Engine { shared, owner: Arc::new(owner) })
    }

    /// The value of `key`.
    ///
    /// Cost: memory tables first, then at most one table per level, most of
    /// them ruled out by their filters.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let view = self.shared.view.load();
        let found = view.get(key, view.active.visible(), &self.shared.counters)?;
        Ok(found.and_then(FoundEntry::into_value))
    }

    /// Sets `key` to `value` with the durability of the options.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<SeqNo> {
        let mut batch = WriteBatch::with_capacity(key.len() + value.len() + 16);
        batch.put(key, value)?;
        self.write(batch, self.shared.options.durability)
    }

    /// Removes `key` with the durability of the options.
    pub fn delete(&self, key: &[u8]) -> Result<SeqNo> {
        let mut batch = WriteBatch::with_capacity(key.len() + 16);
        batch.delete(key)?;
        self.write(batch, self.shared.options.durability)
    }

    /// Commits `batch` as a whole and waits until it is as durable as asked.
    /// Returns the number of its last write.
    ///
    /// # Errors
    /// `Conflict` if a key the batch is conditional on has changed: nothing
    /// was written. `Poisoned` if the log failed: the outcome is unknown.
    pub fn write(&self, batch: WriteBatch, durability: Durability) -> Result<SeqNo> {
        self.shared.write(batch, durability)
    }

    /// Commits `batch` like [`write`](Engine::write), but does not wait for the
    /// sync that it asks for: `on_done` is called once with the outcome, possibly
    /// before this returns, on whatever thread finished it. The caller may come to
    /// commit for others, and to end a full segment of the log, which waits for a
    /// sync of that. Nothing bounds how many batches may wait: that is up to the
    /// callers. A panic of `on_done` ends writing. Callbacks of different batches come
    /// in any order; the numbers tell that of the batches. It may call `submit`
    /// again and read, but nothing that waits or works: not `write`, `put`,
    /// `delete`, `flush`, `compact`, `compact_range`, `run_background_step`,
    /// `scrub_step` or `close`. If it holds the last handle, the database is closed
    /// soon after.
    pub fn submit(
        &self,
        batch: WriteBatch,
        durability: Durability,
        on_done: impl FnOnce(Result<SeqNo>) + Send + 'static,
    ) {
        self.shared.submit(batch, durability, Completion::callback(Box::new(on_done)));
    }

    /// The live entries of `range`, in order, as of now.
    pub fn scan(&self, range: KeyRange) -> Result<Scan> {
        self.shared.counters.scans.fetch_add(1, Ordering::Relaxed);
        Ok(self.snapshot().scan(range))
    }

    /// The state that readers see now, held fixed.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.shared))
    }

    /// The newest applied state, for building conditional batches: it may show
    /// writes that are not durable yet.
    pub fn view_for_update(&self) -> UpdateView {
        UpdateView::new(Arc::clone(&self.shared))
    }

    /// The newest applied value of `key`, and the expectation that makes a
    /// batch conditional on it.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// use kv_engine::{Durability, Engine, Error, Options, WriteBatch};
    ///
    /// let engine = Engine::open(directory.path(), Options::default())?;
    /// loop {
    ///     let (value, unchanged) = engine.get_for_update(b"visits")?;
    ///     let visits = value.map_or(0, |value| value.len()) + 1;
    ///     let mut batch = WriteBatch::new();
    ///     batch.put(b"visits", &vec![b'.'; visits])?;
    ///     batch.expect(unchanged);
    ///     match engine.write(batch, Durability::Sync) {
    ///         Err(Error::Conflict) => continue, // somebody was faster
    ///         outcome => break outcome,
    ///     }
    /// }?;
    /// assert_eq!(engine.get(b"visits")?.unwrap(), b".");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get_for_update(&self, key: &[u8]) -> Result<(Option<Value>, Expectation)> {
        self.view_for_update().read(key)
    }

    /// Moves everything written so far from memory into tables, and waits.
    pub fn flush(&self) -> Result<()> {
        self.shared.flush_all()
    }

    /// Flushes, then rewrites the whole tree into one level, and waits.
    pub fn compact(&self) -> Result<()> {
        self.compact_range(KeyRange::all())
    }

    /// Flushes, then rewrites the tables that overlap `range` into one level. Of
    /// several callers one works at a time, whatever their ranges.
    pub fn compact_range(&self, range: KeyRange) -> Result<()> {
        self.shared.flush_all()?;
        self.shared.compact_range(&range)
    }

    /// Reads every table and checks every checksum, order and count.
    ///
    /// # Errors
    /// The first damage found, with file and offset.
    pub fn verify(&self) -> Result<()> {
        let version = Arc::clone(&self.shared.view.load().version);
        for (_, live) in version.tables() {
            live.table.verify(true)?;
        }
        Ok(())
    }

    /// Figures since the open.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// What writes run into, or soon will; `None` while all is well. The worst
    /// first: `Poisoned`, then `NoSpace`, then the error that keeps a full
    /// memory table from being flushed for the moment.
    pub fn trouble(&self) -> Option<Error> {
        let shared = &self.shared;
        let full = || shared.space.is_full().then(|| shared.no_space());
        shared.poison.error().or_else(full).or_else(|| shared.space.waits_for())
    }

    /// The levels of the tree.
    pub fn levels(&self) -> Vec<LevelStats> {
        self.shared.level_stats()
    }

    /// A drawing of the tree, one line a level.
    pub fn shape(&self) -> String {
        kv_compaction::shape_text(&self.shared.view.load().version)
    }

    /// What the open found and did.
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.shared.report
    }

    /// Carries out one step of background work for an engine that was opened
    /// with [`Background::Manual`]; false if there was none.
    ///
    /// # Errors
    /// `InvalidArgument` if the engine has threads: they do all of it.
    pub fn run_background_step(&self) -> Result<bool> {
        self.shared.background_step()
    }

    /// Reads the next 1 MiB of manifest, sealed log segments and tables from the
    /// disk and checks it, at once and whatever
    /// [`Options::scrub_bytes_per_second`] says; false if that was the last of
    /// a pass over all of them, the next of which starts with the next call. A
    /// pass that a close has interrupted goes on.
    ///
    /// # Errors
    /// `Io` if there is no file descriptor or memory left; it may be called again.
    /// `Poisoned` if its place, or a manifest in place of a damaged one, could not
    /// be written; `Closed`. Damage, and what cannot be read, is no error but a
    /// finding.
    pub fn scrub_step(&self) -> Result<bool> {
        self.shared.scrub_step()
    }

    /// The damaged parts of files that scrubs have found since the open, in
    /// the order they were found, 100 at most. Reads of what is not damaged go
    /// on. A part stays listed even if it can be read again later.
    pub fn scrub_findings(&self) -> Vec<ScrubFinding> {
        self.shared.scrub.findings()
    }

    /// Syncs the log, stops the background and releases the directory. Later
    /// calls on any handle return `Closed`; snapshots go on reading.
    ///
    /// # Errors
    /// If the log could not be synced: the outcome of unsynced writes is
    /// unknown then. The directory is released all the same.
    pub fn close(&self) -> Result<()> {
        self.owner.close()
    }
}

impl Owner {
    fn close(&self) -> Result<()> {
        // Held to the end: who closes second returns when all is closed.
        close(&self.shared, &mut self.threads.lock())
    }
}

fn close(shared: &Shared, threads: &mut Threads) -> Result<()> {
    let outcome = shared.shut_down();
    // Also if a panic has ended an earlier close.
    shared.signals.close();
    std::mem::take(threads).join();
    let finished = shared.finish_files();
    outcome.and(finished)
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut threads = std::mem::take(&mut *self.threads.lock());
        // Whoever wants to know calls `close`; a drop has nobody to tell.
        if threads.is_running_here() {
            // The last handle was in a callback: a close waits for what this thread
            // has in hand. Without a thread for it the database stays open.
            let shared = Arc::clone(&self.shared);
            let closer = thread::Builder::new().name("kv-close".into());
            let _ = closer.spawn(move || drop(close(&shared, &mut threads)));
        } else {
            let _ = close(&self.shared, &mut threads);
        }
    }
}
