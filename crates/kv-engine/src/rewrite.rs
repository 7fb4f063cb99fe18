//! The engine's side of a rewrite: file ids, retention and cancelling.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use kv_compaction::{Plan, RewriteContext, RewriteOptions, Rewritten, VersionEdit, rewrite};
use kv_core::{Cursor, Error, FileHeader, FileKind, Result};

use crate::manifest::FILE_ID_RESERVE;
use crate::shared::Shared;

/// Tells kv-compaction to stop.
pub(crate) type CancelFlag = AtomicBool;

/// What a rewrite is for.
pub(crate) enum RewriteJob<'a> {
    /// Of a memory table with this many versions of keys.
    Flush {
        entries: u64,
    },
    Compaction(&'a Plan),
}

impl Shared {
    /// Writes the entries of `input` to new tables, not installed yet.
    ///
    /// # Errors
    /// `Closed` if the engine closes meanwhile; nothing is left behind then.
    pub(crate) fn rewrite(&self, input: impl Cursor, job: RewriteJob<'_>) -> Result<Rewritten> {
        let table = self.options.table.clone();
        let options = match job {
            RewriteJob::Flush { entries } => RewriteOptions {
                expected_entries: Some(entries),
                ..RewriteOptions::flush(table, &self.policy)
            },
            RewriteJob::Compaction(plan) => RewriteOptions::compaction(table, &self.policy, plan),
        };
        let context = RewriteContext {
            fs: &*self.env.fs,
            allocate: &mut || self.allocate_table(),
            retention: self.options.retention.as_deref(),
            cancel: &self.cancel,
        };
        let rewritten = rewrite(input, &options, context)?.ok_or(Error::Closed)?;
        self.counters.expired_dropped.fetch_add(rewritten.values_expired, Relaxed);
        Ok(rewritten)
    }

    /// The identity of the next table. Its id is reserved in the manifest, so
    /// that recovery knows the file as ours if it is never installed.
    ///
    /// The manifest is held from the look at the next id to the end: who was
    /// overtaken in between would take back what others have reserved since, and
    /// after a crash ids of theirs would be given again.
    fn allocate_table(&self) -> Result<FileHeader> {
        let guard = self.poison_on_panic("an edit of the manifest");
        let mut manifest = guard.holding(self.manifest.lock());
        let next = self.next_file_id.load(Relaxed);
        if next >= manifest.state().next_file_id {
            let next_file_id = Some(next + FILE_ID_RESERVE);
            let edit = VersionEdit { next_file_id, ..VersionEdit::default() };
            self.install_in(&mut manifest, &edit)?;
        }
        Ok(FileHeader {
            kind: FileKind::Table,
            database_id: manifest.database_id(),
            file_id: self.next_file_id.fetch_add(1, Relaxed),
            file_uid: self.env.entropy.random_id(),
        })
    }
}
