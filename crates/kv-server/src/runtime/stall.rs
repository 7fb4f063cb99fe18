//! A disk that does not answer: what is in flight waits, what comes after it is
//! refused.
//!
//! A write that was handed to the engine has an outcome that nobody knows until
//! the engine tells, so it is waited for, however long that takes: no timeout
//! ever counts as an answer. But a client must not pile up writes behind it, so
//! once the disk has finished nothing for [`STALL_MS`], new ones are answered
//! `BUSY` without being tried. Reads of what is published go on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kv_core::{Error, Result};

/// The longest a healthy disk takes for a commit, in milliseconds, with much to
/// spare: longer than drives retry a bad sector, or spin up.
pub(crate) const STALL_MS: u64 = 10_000;

/// Commits on their way, and when one of them last ended.
#[derive(Debug, Default)]
pub(crate) struct StallWatch {
    in_flight: AtomicU64,
    progress_at_ms: AtomicU64,
}

impl StallWatch {
    /// Notes a commit that begins.
    ///
    /// # Errors
    /// `Busy` if the commits before it do not end: it must not begin.
    pub(crate) fn begin(&self, now_ms: u64) -> Result<()> {
        if let Some(waited_ms) = self.stalled_ms(now_ms) {
            let waited_s = waited_ms / 1000;
            let what = format!("the disk has not finished any write for {waited_s} seconds");
            return Err(Error::Busy(what));
        }
        if self.in_flight.fetch_add(1, Relaxed) == 0 {
            self.progress_at_ms.store(now_ms, Relaxed);
        }
        Ok(())
    }

    /// Notes that one of them has ended, well or not.
    pub(crate) fn end(&self, now_ms: u64) {
        self.progress_at_ms.store(now_ms, Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// For how long commits have been waiting, if that is too long.
    pub(crate) fn stalled_ms(&self, now_ms: u64) -> Option<u64> {
        let waited_ms = now_ms.saturating_sub(self.progress_at_ms.load(Relaxed));
        (self.in_flight() > 0 && waited_ms > STALL_MS).then_some(waited_ms)
    }
}
