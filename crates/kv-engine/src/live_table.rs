//! An open table with its place in the tree, and the end of its file.

use std::sync::{Arc, OnceLock};

use kv_compaction::{TableMeta, TableRef};
use kv_core::{DatabaseId, Error, Result};
use kv_env::{Env, Fs};
use kv_sstable::{BlockCache, ExpectedTable, OpenFiles, ReadMode, Table};

use crate::options::Options;
use crate::primitives::SegQueue;
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::signals::Signals;

/// Files that nobody refers to any more, waiting to be removed by a
/// background thread: a reader that drops the last reference must not pay for
/// an unlink.
#[derive(Default)]
pub(crate) struct Garbage {
    names: SegQueue<String>,
    /// How that thread is woken, if there is one.
    signals: OnceLock<Arc<Signals>>,
}

impl Garbage {
    fn push(&self, name: String) {
        self.names.push(name);
        if let Some(signals) = self.signals.get() {
            signals.wake_compact();
        }
    }

    fn pop(&self) -> Option<String> {
        self.names.pop()
    }
}

/// What the tables of an open database share: how they are opened and read, and
/// where their files end.
///
/// Files are opened again by their names when they are read, which is sound: a
/// name goes to the garbage when the last [`LiveTable`] of it is dropped, and
/// whoever reads a table holds that or a version with it. A scan and a snapshot
/// hold a view, a get holds one for its time, a compaction the version it has
/// picked from, the scrub the table of its slice. Ids of files, and so names,
/// are given once.
pub(crate) struct Tables {
    files: Arc<OpenFiles>,
    blocks: Arc<BlockCache>,
    read_mode: ReadMode,
    garbage: Arc<Garbage>,
}

impl Tables {
    pub(crate) fn new(env: &Env, options: &Options) -> Tables {
        Tables {
            files: OpenFiles::new(Arc::clone(&env.fs), options.max_open_files),
            blocks: BlockCache::new(options.block_cache_bytes),
            read_mode: options.read_mode,
            garbage: Arc::default(),
        }
    }

    /// Opens the very file that the manifest means by `meta`, as [`open_table`]
    /// does.
    pub(crate) fn open(&self, meta: &TableMeta, database_id: DatabaseId) -> Result<Arc<LiveTable>> {
        let (name, expected) = (meta.file_name(), expected_table(meta, database_id));
        let blocks = Arc::clone(&self.blocks);
        let table = Table::open_on_demand(&self.files, &name, expected, self.read_mode, blocks)?;
        check_is_meant(&table, meta)?;
        Ok(Arc::new(LiveTable::new(meta.clone(), table, Arc::clone(&self.garbage))))
    }

    /// From now on a file that can be removed wakes the compaction thread.
    pub(crate) fn announce_garbage(&self, signals: &Arc<Signals>) {
        // It is announced once, at the open.
        let _ = self.garbage.signals.set(Arc::clone(signals));
    }

    /// Takes back a file that could not be removed. Nobody is woken: it would fail
    /// again at once.
    pub(crate) fn push_garbage(&self, name: String) {
        self.garbage.names.push(name);
    }

    /// A file that can be removed.
    pub(crate) fn pop_garbage(&self) -> Option<String> {
        self.garbage.pop()
    }
}

/// Opens the very file that the manifest means by `meta`, and holds it open.
///
/// # Errors
/// `Corruption` for another file, however intact it is: an older copy, say.
pub(crate) fn open_table(
    fs: &dyn Fs,
    meta: &TableMeta,
    database_id: DatabaseId,
    mode: ReadMode,
    cache: Arc<BlockCache>,
) -> Result<Arc<Table>> {
    let expected = expected_table(meta, database_id);
    let table = Table::open(fs, &meta.file_name(), expected, mode, cache)?;
    check_is_meant(&table, meta)?;
    Ok(table)
}

fn expected_table(meta: &TableMeta, database_id: DatabaseId) -> ExpectedTable {
    ExpectedTable { database_id, file_id: meta.id, file_bytes: meta.file_bytes }
}

fn check_is_meant(table: &Table, meta: &TableMeta) -> Result<()> {
    let summary = table.summary();
    if (summary.file_uid, summary.checksum) != (meta.file_uid, meta.checksum) {
        let what = "this is not the table that the manifest names; put the right one back";
        return Err(Error::corruption(meta.file_name(), 0, what));
    }
    Ok(())
}

/// A table of the current version or of one that a reader still holds.
pub(crate) struct LiveTable {
    meta: TableMeta,
    pub(crate) table: Arc<Table>,
    obsolete: AtomicBool,
    garbage: Arc<Garbage>,
}

impl LiveTable {
    pub(crate) fn new(meta: TableMeta, table: Arc<Table>, garbage: Arc<Garbage>) -> LiveTable {
        LiveTable { meta, table, obsolete: AtomicBool::new(false), garbage }
    }

    /// Marks the file for removal once the last version that names it is gone.
    /// Only after the edit that removes the table is durable.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl TableRef for LiveTable {
    fn meta(&self) -> &TableMeta {
        &self.meta
    }
}

impl Drop for LiveTable {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.garbage.push(self.meta.file_name());
        }
    }
}
