//! A map that answers like a view of the engine and takes batches like it.

use std::collections::BTreeMap;
use std::ops::Bound;

use kv_core::{Error, Expectation, Kind, Result, SeqNo, Value, WriteBatch};

use crate::command::{Direction, Entries, Reader};

/// Every key ever written, with the number and the value of its last write.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    entries: BTreeMap<Vec<u8>, (SeqNo, Option<Value>)>,
    last: SeqNo,
    /// True for a copy that stands for a published view: it makes no
    /// expectations, because it may lag behind.
    pub(super) is_published: bool,
}

impl Store {
    /// Applies a batch as a whole if what it expects is still so.
    pub(super) fn commit(&mut self, batch: &WriteBatch) -> Result<()> {
        if !batch.expectations().iter().all(|expectation| self.holds(expectation)) {
            return Err(Error::Conflict);
        }
        for op in batch.ops() {
            self.last = self.last.plus(1);
            let value = (op.kind == Kind::Put).then(|| Value::copy_of(op.value));
            self.entries.insert(op.key.to_vec(), (self.last, value));
        }
        Ok(())
    }

    /// Forgets a key as a compaction does that leaves out what has expired: no
    /// write, so that nothing has changed for those who expect something.
    pub(super) fn leave_out(&mut self, key: &[u8]) {
        assert!(self.entries.remove(key).is_some());
    }

    /// Live keys and values, whatever they mean.
    pub(super) fn contents(&self) -> BTreeMap<Vec<u8>, Value> {
        let live = self.entries.iter();
        live.filter_map(|(key, (_, value))| Some((key.clone(), value.clone()?))).collect()
    }

    fn check_is_for_update(&self) -> Result<()> {
        let refusal = Error::InvalidArgument("a published view for an update".to_owned());
        if self.is_published { Err(refusal) } else { Ok(()) }
    }

    fn holds(&self, expectation: &Expectation) -> bool {
        let written_at = self.entries.get(&expectation.key).map(|(seqno, _)| *seqno);
        written_at.is_none_or(|seqno| seqno <= expectation.read_at)
    }
}

impl Reader for Store {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.entries.get(key).and_then(|(_, value)| value.clone()))
    }

    fn get_for_update(&self, key: &[u8]) -> Result<(Option<Value>, Expectation)> {
        self.check_is_for_update()?;
        let value = self.get(key)?;
        let seen = value.as_ref().map(|_| self.entries[key].0);
        Ok((value, Expectation { key: key.to_vec(), read_at: self.last, seen }))
    }

    fn is_unchanged(&self, expectation: &Expectation) -> Result<bool> {
        self.check_is_for_update()?;
        Ok(self.holds(expectation))
    }

    fn scan(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<Entries<'_>> {
        let range = self.entries.range::<[u8], _>((start, end));
        let live = range.filter_map(|(key, (_, value))| Some(Ok((key.clone(), value.clone()?))));
        Ok(match direction {
            Direction::Forward => Box::new(live),
            Direction::Backward => Box::new(live.rev()),
        })
    }
}
