//! Flushing: the oldest frozen memory table becomes tables of level 0.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kv_compaction::VersionEdit;
use kv_core::Result;

use crate::rewrite::RewriteJob;
use crate::shared::Shared;
use crate::view::Frozen;

impl Shared {
    /// Flushes the oldest frozen memory table; false if there is none.
    ///
    /// The memory table's writes are durable already: its segment was synced
    /// when it was frozen. Its segments go after the edit is durable.
    pub(crate) fn flush_oldest(&self) -> Result<bool> {
        let oldest: Option<Arc<Frozen>> = self.view.load().frozen.last().cloned();
        let Some(frozen) = oldest else { return Ok(false) };
        // It may have been frozen since segments were sealed last: what is
        // removed below must bear its own name.
        self.seal_retired_segments()?;
        let job = RewriteJob::Flush { entries: frozen.memtable.entries() };
        let rewritten = self.rewrite(frozen.memtable.cursor(), job)?;
        let bytes = rewritten.bytes_written();
        let edit = VersionEdit {
            added: rewritten.tables.into_iter().map(|meta| (0, meta)).collect(),
            flushed_through: Some(frozen.last_seqno),
            oldest_segment: Some(frozen.next_segment),
            ..VersionEdit::default()
        };
        self.install(&edit)?;
        self.counters.flushes.fetch_add(1, Relaxed);
        self.counters.flush_bytes.fetch_add(bytes, Relaxed);
        self.remove_segments_before(frozen.next_segment)?;
        Ok(true)
    }

    /// Flushes what an open has replayed, as far as that can be done now. What
    /// cannot be is tried again, or told to writers, as in the background.
    pub(crate) fn flush_replayed(&self) {
        while !self.view.load().frozen.is_empty() {
            if !self.settle_step(self.flush_step()).unwrap_or(false) {
                return;
            }
        }
    }
}
