//! How far the log is known to be durable, shared with whoever syncs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::Lsn;

/// The end of the stream that is known durable. Clones share one cell, so
/// that a sync on another thread can advance it while the writer goes on.
///
/// Every record carries this position as it was when the record was written;
/// a damaged record before it is provably rot and not a torn write.
#[derive(Debug, Clone, Default)]
pub struct SyncedPosition(Arc<AtomicU64>);

impl SyncedPosition {
    /// The position now.
    pub fn get(&self) -> Lsn {
        Lsn(self.0.load(Ordering::Acquire))
    }

    /// Notes that everything before `lsn` is durable; never moves back.
    ///
    /// `lsn` must be what [`LogWriter::flushed`](crate::LogWriter::flushed)
    /// said before the sync began, and the sync must have succeeded.
    pub fn advance(&self, lsn: Lsn) {
        self.0.fetch_max(lsn.0, Ordering::Release);
    }
}
