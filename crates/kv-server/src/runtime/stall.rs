//! A disk that does not answer: what is in flight waits, what comes after it is
//! refused.
//!
//! A write that was handed to the engine has an outcome that nobody knows until
//! the engine tells, so it is waited for, however long that takes: no timeout
//! ever counts as an answer. But a client must not pile up writes behind it, so
//! once the disk has finished nothing for [`STALL_MS`], new ones are answered
//! `BUSY` without being tried. Reads of what is published go on.

use kv_core::{Error, Result};
use parking_lot::Mutex;

/// The longest a healthy disk takes for a commit, in milliseconds, with much to
/// spare: longer than drives retry a bad sector, or spin up.
pub(crate) const STALL_MS: u64 = 10_000;

/// Watches commits on their way.
#[derive(Debug, Default)]
pub(crate) struct StallWatch {
    // Both numbers change together: with the first commit after a pause counted
    // and its time not yet noted, a second one would be taken for stalled.
    commits: Mutex<Commits>,
}

#[derive(Debug, Default)]
struct Commits {
    in_flight: u64,
    /// When one of them last ended, or the first one began.
    progress_at_ms: u64,
}

impl Commits {
    fn stalled_ms(&self, now_ms: u64) -> Option<u64> {
        let waited_ms = now_ms.saturating_sub(self.progress_at_ms);
        (self.in_flight > 0 && waited_ms > STALL_MS).then_some(waited_ms)
    }
}

impl StallWatch {
    /// Notes a commit that begins.
    ///
    /// # Errors
    /// `Busy` if the commits before it do not end: it must not begin.
    pub(crate) fn begin(&self, now_ms: u64) -> Result<()> {
        let mut commits = self.commits.lock();
        if let Some(waited_ms) = commits.stalled_ms(now_ms) {
            let waited_s = waited_ms / 1000;
            let what = format!("the disk has not finished any write for {waited_s} seconds");
            return Err(Error::Busy(what));
        }
        if commits.in_flight == 0 {
            commits.progress_at_ms = now_ms;
        }
        commits.in_flight += 1;
        Ok(())
    }

    /// Notes that one of them has ended, well or not.
    pub(crate) fn end(&self, now_ms: u64) {
        let mut commits = self.commits.lock();
        commits.progress_at_ms = now_ms;
        commits.in_flight -= 1;
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.commits.lock().in_flight
    }

    /// For how long commits have been waiting, if that is too long.
    pub(crate) fn stalled_ms(&self, now_ms: u64) -> Option<u64> {
        self.commits.lock().stalled_ms(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_a_stalled_commit_is_refused() {
        let watch = StallWatch::default();
        watch.begin(1_000).unwrap();
        watch.begin(1_000 + STALL_MS).unwrap();
        assert_eq!(watch.stalled_ms(1_000 + STALL_MS), None);
        let refused = watch.begin(1_001 + STALL_MS).unwrap_err();
        assert!(refused.to_string().contains("for 10 seconds"), "{refused}");
        assert_eq!((watch.in_flight(), watch.stalled_ms(31_000)), (2, Some(30_000)));
        watch.end(31_000);
        assert_eq!(watch.stalled_ms(31_000), None, "one has ended, so the disk answers");
        watch.end(31_001);
        assert_eq!(watch.stalled_ms(1_000_000), None, "none is in flight");
        watch.begin(1_000_000).expect("a pause of the clients is no stall of the disk");
        watch.begin(1_000_001).expect("nor is it for the second one behind it");
    }
}
