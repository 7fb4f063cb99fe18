//! A batch in the history of a database: the state that it leads to, and the op
//! counts of the disk at which it was begun, acknowledged, known to be durable, or
//! known to be refused.

use std::sync::Arc;

use crate::log_damage::Promise;
use crate::state::State;
use crate::step::Change;

/// What a crash may have taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All that was not synced.
    Unsynced,
    /// Nothing that was acknowledged: the process died, the system did not.
    Nothing,
}

/// A batch and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    /// Empty and bare for what was there at the start.
    pub(crate) changes: Vec<Change>,
    pub(crate) bare: bool,
    pub(crate) state: Arc<State>,
    /// Length of its keys and values.
    pub(crate) bytes: u64,
    /// Op counts of the disk.
    pub(crate) begun: u64,
    pub(crate) acknowledged: Option<u64>,
    pub(crate) durable: Option<u64>,
    pub(crate) refused: Option<u64>,
}

impl Entry {
    /// What a database holds before any batch.
    pub(crate) fn start(state: Arc<State>) -> Entry {
        Entry {
            number: 0,
            changes: Vec::new(),
            bare: true,
            state,
            bytes: 0,
            begun: 0,
            acknowledged: Some(0),
            durable: Some(0),
            refused: None,
        }
    }

    /// Whether its writes may be found behind `op` ops.
    pub(crate) fn is_under_way(&self, op: u64) -> bool {
        self.begun < op && !self.is_refused(op)
    }

    fn is_refused(&self, op: u64) -> bool {
        self.refused.is_some_and(|refused| refused <= op)
    }

    /// What was promised of it behind `op` ops, if a crash can take only `loss`. A
    /// later open may have taken it back.
    pub(crate) fn promise(&self, op: u64, loss: Loss) -> Option<Promise> {
        let given = match loss {
            Loss::Unsynced => self.durable,
            Loss::Nothing => self.acknowledged,
        };
        let given = given.filter(|given| *given <= op && !self.is_refused(op))?;
        let Entry { begun, durable, bytes, .. } = *self;
        Some(Promise { begun, given, durable, bytes })
    }
}
