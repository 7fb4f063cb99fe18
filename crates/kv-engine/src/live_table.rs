//! An open table with its place in the tree, and the end of its file.

use std::sync::Arc;

use kv_compaction::{TableMeta, TableRef};
use kv_core::{DatabaseId, Error, Result};
use kv_env::Fs;
use kv_sstable::{BlockCache, ExpectedTable, ReadMode, Table};

use crate::primitives::SegQueue;
use crate::primitives::atomic::{AtomicBool, Ordering};

/// Files that nobody refers to any more, waiting to be removed by a
/// background thread: a reader that drops the last reference must not pay for
/// an unlink.
#[derive(Debug, Default)]
pub(crate) struct Garbage {
    names: SegQueue<String>,
}

impl Garbage {
    pub(crate) fn push(&self, name: String) {
        self.names.push(name);
    }

    pub(crate) fn pop(&self) -> Option<String> {
        self.names.pop()
    }
}

/// Opens the very file that the manifest means by `meta`.
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
    let name = meta.file_name();
    let expected = ExpectedTable { database_id, file_id: meta.id, file_bytes: meta.file_bytes };
    let table = Table::open(fs, &name, expected, mode, cache)?;
    let summary = table.summary();
    if (summary.file_uid, summary.checksum) != (meta.file_uid, meta.checksum) {
        let what = "this is not the table that the manifest names; put the right one back";
        return Err(Error::corruption(name, 0, what));
    }
    Ok(table)
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
