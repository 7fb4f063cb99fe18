//! Two ways to read a fixed state: published, and applied for update.

use std::sync::Arc;

use kv_core::{Expectation, Result, SeqNo, Value};

use crate::range::KeyRange;
use crate::scan::Scan;
use crate::shared::Shared;
use crate::view::View;

/// The published state of one moment: a pinned view and a sequence number.
///
/// Costs one reference count to take and to hold, but keeps memory tables and
/// table files alive: drop it when done.
#[derive(Clone)]
pub struct Snapshot {
    shared: Arc<Shared>,
    view: Arc<View>,
    at: SeqNo,
}

impl Snapshot {
    pub(crate) fn new(shared: Arc<Shared>) -> Snapshot {
        let view = shared.view.load_full();
        let at = view.active.visible();
        Snapshot { shared, view, at }
    }

    /// The value of `key` at the snapshot's moment.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let found = self.view.get(key, self.at, &self.shared.counters)?;
        Ok(found.and_then(kv_core::FoundEntry::into_value))
    }

    /// The live entries of `range` at the snapshot's moment.
    pub fn scan(&self, range: KeyRange) -> Scan {
        Scan::new(Arc::clone(&self.view), self.at, range)
    }

    /// The newest write the snapshot shows.
    pub fn seqno(&self) -> SeqNo {
        self.at
    }
}

/// The applied state of one moment, for read-modify-write: it may show writes
/// that are not durable yet.
///
/// Read with it only to build a conditional batch, and hand the result out only
/// after that batch is acknowledged: its own sync covers all it has read.
#[derive(Clone)]
pub struct UpdateView {
    shared: Arc<Shared>,
    view: Arc<View>,
    at: SeqNo,
}

impl UpdateView {
    pub(crate) fn new(shared: Arc<Shared>) -> UpdateView {
        loop {
            // The number first: a view loaded later holds every write up to
            // it, the other way round a write could be in neither.
            let at = shared.applied();
            let view = shared.view.load_full();
            // Tables keep only the newest version of a key: they must not be
            // newer than the number. A flush that came in between is rare.
            if view.flushed_through <= at {
                return UpdateView { shared, view, at };
            }
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.read(key).map(|(value, _)| value)
    }

    /// The value of `key`, and the expectation that makes a batch conditional
    /// on it.
    pub fn read(&self, key: &[u8]) -> Result<(Option<Value>, Expectation)> {
        let found = self.view.get(key, self.at, &self.shared.counters)?;
        let seqno = found.as_ref().map(|entry| entry.seqno);
        let value = found.and_then(kv_core::FoundEntry::into_value);
        let seen = seqno.filter(|_| value.is_some());
        Ok((value, Expectation { key: key.to_vec(), read_at: self.at, seen }))
    }

    /// The newest write the view shows. It is durable as asked, and readers
    /// see it, once a later snapshot has reached this number.
    pub fn seqno(&self) -> SeqNo {
        self.at
    }

    /// True if nothing has written the key of `expectation` since it was read:
    /// what a commit would find, as of this view.
    pub fn is_unchanged(&self, expectation: &Expectation) -> Result<bool> {
        self.view.is_unchanged(expectation, self.at, &self.shared.counters)
    }

    /// The live entries of `range`.
    pub fn scan(&self, range: KeyRange) -> Scan {
        Scan::new(Arc::clone(&self.view), self.at, range)
    }
}
