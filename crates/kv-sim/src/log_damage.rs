//! What a device that lies now and then has done to the log, and which losses
//! that excuses.
//!
//! The log is written front to back, so a sync that went astray leaves what was
//! synced before it alone, unless its bytes have landed there. What the syncs from
//! the first stray one to the last have written may be missing: its end looks as if
//! it had never been written. Behind that the device was honest. A record
//! there is found by the one before it, and until the next frame no stamp proves
//! that there was one: what begins within the length of a frame may be hidden, and
//! of what comes later the last promise may pass for torn. Any other loss must be
//! refused.

use std::collections::BTreeSet;

use kv_env::StraySync;

use crate::trouble::FRAME_BYTES;

/// A batch that was promised to be there behind a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// Op count at which it was begun.
    pub(crate) begun: u64,
    /// Op count at which it was promised.
    pub(crate) given: u64,
    /// Op count at which it was known to be synced: a kill must leave also what was
    /// not, and that is what the next sync may take.
    pub(crate) durable: Option<u64>,
    /// Length of its keys and values: it takes no less of the log.
    pub(crate) bytes: u64,
}

/// A sync that has hurt the log.
#[derive(Debug, Clone, Copy)]
struct Hurt {
    /// Op count behind it.
    behind: u64,
    /// Its bytes have landed in the log, perhaps on older ones.
    reaches_back: bool,
}

/// The syncs that have hurt the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogDamage {
    hurts: Vec<Hurt>,
}

impl LogDamage {
    /// A sync went astray.
    pub(crate) fn note(&mut self, stray: &StraySync) {
        let is_log = |name: &String| name.starts_with("wal");
        let reaches_back = stray.landings.iter().any(is_log);
        if reaches_back || is_log(&stray.file) {
            self.hurts.push(Hurt { behind: stray.op + 1, reaches_back });
        }
    }

    /// What came behind `op` ops has not happened.
    pub(crate) fn rewind(&mut self, op: u64) {
        self.hurts.retain(|hurt| hurt.behind <= op);
    }

    /// Whether the log was hurt within the first `op` ops.
    pub(crate) fn is_there(&self, op: u64) -> bool {
        self.before(op).next().is_some()
    }

    /// Whether the damage that was done within the first `op` ops may have cost
    /// the promises `lost`, given in their order.
    pub(crate) fn excuses(&self, op: u64, lost: &[Promise]) -> bool {
        let Some(first) = self.before(op).map(|hurt| hurt.behind).min() else {
            return lost.is_empty();
        };
        let last = self.before(op).map(|hurt| hurt.behind).max().unwrap_or(first);
        let reaches_back = self.before(op).any(|hurt| hurt.reaches_back);
        let is_earlier = |promise: &&Promise| promise.durable.is_some_and(|op| op < first);
        if !reaches_back && lost.iter().any(|promise| is_earlier(&promise)) {
            return false;
        }
        hides(lost.iter().filter(is_earlier))
            && hides(lost.iter().filter(|promise| promise.begun >= last))
    }

    fn before(&self, op: u64) -> impl Iterator<Item = &Hurt> {
        self.hurts.iter().filter(move |hurt| hurt.behind <= op)
    }
}

/// Whether a damaged place in front of `honest` promises may hide them all.
fn hides<'a>(honest: impl Iterator<Item = &'a Promise>) -> bool {
    let mut bytes = 0;
    let mut behind_frame = BTreeSet::new();
    for promise in honest {
        if bytes >= FRAME_BYTES {
            behind_frame.insert(promise.given);
        }
        bytes += promise.bytes;
    }
    behind_frame.len() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stray(op: u64, file: &str, landings: &[&str]) -> StraySync {
        let landings = landings.iter().map(|&name| name.to_owned()).collect();
        StraySync { op, file: file.to_owned(), landings }
    }

    fn promise(begun: u64, bytes: u64) -> Promise {
        Promise { begun, given: begun + 5, durable: Some(begun + 5), bytes }
    }

    #[test]
    fn what_hurts_other_files_excuses_nothing() {
        let mut damage = LogDamage::default();
        damage.note(&stray(10, "MANIFEST_000001", &["sst_000003.db"]));
        assert!(!damage.is_there(100) && !damage.excuses(100, &[promise(20, 10)]));
        damage.note(&stray(10, "MANIFEST_000001", &["wal.log"]));
        assert!(!damage.is_there(10) && damage.is_there(11));
    }

    #[test]
    fn a_lost_write_takes_nothing_that_was_promised_before() {
        let mut damage = LogDamage::default();
        damage.note(&stray(20, "wal.log", &[]));
        assert!(damage.excuses(30, &[promise(18, 10)]));
        assert!(!damage.excuses(30, &[promise(15, 10), promise(18, 10)]));
        let unsynced = Promise { durable: None, ..promise(12, 10) };
        assert!(damage.excuses(30, &[unsynced, promise(18, 10)]));
        damage.note(&stray(20, "wal.log", &["wal_000001.log"]));
        assert!(damage.excuses(30, &[promise(15, 10), promise(18, 10)]));
        damage.rewind(20);
        assert!(damage.excuses(30, &[]) && !damage.excuses(30, &[promise(18, 10)]));
    }

    #[test]
    fn behind_the_last_stray_sync_a_frame_may_be_hidden_and_one_promise() {
        let mut damage = LogDamage::default();
        damage.note(&stray(20, "wal.log", &[]));
        damage.note(&stray(30, "wal.log", &[]));
        let astray = [promise(18, 9000), promise(22, 9000), promise(28, 9000)];
        assert!(damage.excuses(90, &astray));
        let small = [promise(40, 2000), promise(50, 2000), promise(60, 2000)];
        assert!(damage.excuses(90, &[&astray[..], &small].concat()));
        let one_more = [&astray[..], &small, &[promise(70, 10)]].concat();
        assert!(damage.excuses(90, &one_more), "the last promise");
        let two_more = [&one_more[..], &[promise(80, 10)]].concat();
        assert!(!damage.excuses(90, &two_more));
    }
}
