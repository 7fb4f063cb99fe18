//! Freezing: the active memory table and its segment give way to fresh ones.

use std::sync::Arc;

use kv_core::SeqNo;
use kv_memtable::Memtable;

use crate::commit::Writer;
use crate::segments::PreparedSegment;
use crate::shared::Shared;
use crate::view::{Frozen, View};

impl Shared {
    /// Freezes the active memory table unless it is empty, and says whether it did;
    /// `None` if there is no segment for what follows, which is asked for then.
    ///
    /// Whoever gives the writer role back after that looks at the queue: a caller who
    /// came meanwhile has found the role taken.
    pub(crate) fn freeze_unless_empty(&self, writer: &mut Writer) -> Option<bool> {
        if self.view.load().active.is_empty() {
            return Some(false);
        }
        let Some(next) = self.segments.take_prepared() else {
            self.segments.request_next();
            return None;
        };
        self.freeze(writer, next);
        Some(true)
    }

    /// Puts `next` and an empty memory table in place of the active ones. Runs
    /// between groups, by the holder of the writer role.
    ///
    /// 1. Sync the segment: its successor takes no record before that.
    /// 2. Publish all that waited for it, and wake blocked callers.
    /// 3. Leave the old segment to the background, which seals and renames it.
    /// 4. Swap the view. A flush that finds the frozen memory table finds its
    ///    segment sealed or to be sealed, and not under the active name.
    /// 5. Call callbacks.
    pub(crate) fn freeze(&self, writer: &mut Writer, next: PreparedSegment) {
        let Ok(role) = self.sync_last(&mut writer.log) else { return };
        let last_seqno = SeqNo(writer.next_seqno.0 - 1);
        let (memtable, memtable_writer) = Memtable::create(&self.pool, last_seqno);
        let old_log = std::mem::replace(&mut writer.log, next.log);
        let old_segment = std::mem::replace(&mut writer.segment, next.id);
        writer.segment_requested = false;
        self.switch_segment(writer);
        drop(role);
        writer.memtable = memtable_writer;
        self.segments.retire(old_segment, old_log);
        self.change_view(|view| {
            let frozen =
                Frozen { memtable: Arc::clone(&view.active), last_seqno, next_segment: next.id };
            View {
                active: memtable,
                frozen: std::iter::once(Arc::new(frozen)).chain(view.frozen.clone()).collect(),
                version: Arc::clone(&view.version),
                flushed_through: view.flushed_through,
            }
        });
        self.signals.wake_flush();
        self.sync.acknowledgements.tell();
    }
}
