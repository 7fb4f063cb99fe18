//! What the database must hold: a map, and its history of commits.
//!
//! Each batch is an entry with the state that it leads to and the op counts of
//! what became of it. From these follows, for a crash at any op, which states may
//! be found: those of a prefix of the commits that has all the promised ones
//! (I1, I2), each batch wholly or not at all (I3).

use std::collections::BTreeSet;
use std::sync::Arc;

use kv_env::StraySync;

use crate::entry::{Entry, Loss};
use crate::keys::{self, COUNTER};
use crate::log_damage::{LogDamage, Promise};
use crate::state::{State, difference};
use crate::step::Change;

/// The commits so far.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// In the order in which they were begun.
    entries: Vec<Entry>,
    /// The state that readers see: the last entry that was acknowledged.
    visible: usize,
    next_number: u64,
    /// Op counts from a failed sync to the next open: until that has looked at
    /// the disk, the cache may lose what was not synced before.
    doubtful: Vec<(u64, Option<u64>)>,
    /// What the device has stored wrongly of the log of this disk.
    log_damage: LogDamage,
}

impl History {
    /// Of an empty database.
    pub(crate) fn new() -> History {
        History {
            entries: vec![Entry::start(Arc::default())],
            visible: 0,
            next_number: 1,
            doubtful: Vec::new(),
            log_damage: LogDamage::default(),
        }
    }

    /// What readers see.
    pub(crate) fn visible(&self) -> &Arc<State> {
        &self.entries[self.visible].state
    }

    /// A batch is handed to the engine. Returns its index.
    pub(crate) fn begin(&mut self, changes: &[Change], bare: bool, op: u64) -> usize {
        let number = self.next_number;
        self.next_number += 1;
        self.entries.push(Entry {
            number,
            changes: changes.to_vec(),
            bare,
            state: Arc::default(),
            bytes: 0,
            begun: op,
            acknowledged: None,
            durable: None,
            refused: None,
        });
        let index = self.entries.len() - 1;
        self.derive_states(index);
        index
    }

    /// The writes of entry `index`, as key and value or `None` for a delete.
    pub(crate) fn writes(&self, index: usize) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let entry = &self.entries[index];
        let counter = (COUNTER.to_vec(), Some(entry.number.to_be_bytes().to_vec()));
        let changes = entry.changes.iter().map(|change| match *change {
            Change::Put(key, len) => {
                (keys::key(key), Some(keys::value(key, entry.number, len as usize)))
            }
            Change::Delete(key) => (keys::key(key), None),
        });
        (!entry.bare).then_some(counter).into_iter().chain(changes).collect()
    }

    /// Works out the states from entry `index` on.
    fn derive_states(&mut self, index: usize) {
        for index in index..self.entries.len() {
            let parent = self.entries[..index].iter().rposition(|entry| entry.refused.is_none());
            let parent = parent.expect("the start was not refused");
            let mut state = State::clone(&self.entries[parent].state);
            let mut bytes = 0;
            for (key, value) in self.writes(index) {
                bytes += (key.len() + value.as_ref().map_or(0, Vec::len)) as u64;
                match value {
                    Some(value) => state.insert(key.into(), value.into()),
                    None => state.remove(&key[..]),
                };
            }
            let entry = &mut self.entries[index];
            (entry.state, entry.bytes) = (Arc::new(state), bytes);
        }
    }

    /// The engine said that a batch is committed.
    pub(crate) fn acknowledge(&mut self, index: usize, is_durable: bool, op: u64) {
        self.visible = self.visible.max(index);
        let entry = &mut self.entries[index];
        entry.acknowledged = Some(op);
        entry.durable = is_durable.then_some(op);
    }

    /// The engine said that a batch is not committed and never will be.
    pub(crate) fn refuse(&mut self, index: usize, op: u64) {
        self.entries[index].refused = Some(op);
        self.derive_states(index + 1);
    }

    /// The engine said that all it shows is durable.
    pub(crate) fn all_durable(&mut self, op: u64) {
        self.entries[self.visible].durable.get_or_insert(op);
    }

    /// A sync has failed: `op` is the op count behind it.
    pub(crate) fn doubt(&mut self, op: u64) {
        if self.doubtful.last().is_none_or(|(_, to)| to.is_some()) {
            self.doubtful.push((op, None));
        }
    }

    /// Whether a sync has failed among the ops behind the first `op`.
    pub(crate) fn was_doubted_behind(&self, op: u64) -> bool {
        self.doubtful.iter().any(|&(from, _)| from > op)
    }

    /// The device has stored something else than it was told.
    pub(crate) fn damage(&mut self, stray: &StraySync) {
        self.log_damage.note(stray);
    }

    /// Whether the log may hold something else than it was told behind `op` ops.
    pub(crate) fn is_log_damaged(&self, op: u64) -> bool {
        self.log_damage.is_there(op)
    }

    fn is_doubtful(&self, op: u64) -> bool {
        self.doubtful.iter().any(|&(from, to)| from <= op && to.is_none_or(|to| op < to))
    }

    /// The entries whose state may be found after a crash behind `op` ops, the
    /// newest first.
    fn possible(&self, op: u64, loss: Loss) -> impl Iterator<Item = usize> {
        let floor = self.floor(op, loss);
        let later = (floor + 1..self.entries.len()).rev();
        later.filter(move |&index| self.entries[index].is_under_way(op)).chain([floor])
    }

    /// The last entry that a crash behind `op` ops must have left.
    fn floor(&self, op: u64, loss: Loss) -> usize {
        let loss = self.loss_at(op, loss);
        let floor = self.entries.iter().rposition(|entry| entry.promise(op, loss).is_some());
        floor.expect("the start is durable")
    }

    /// What a crash may take that comes behind `op` ops.
    fn loss_at(&self, op: u64, loss: Loss) -> Loss {
        if self.is_doubtful(op) { Loss::Unsynced } else { loss }
    }

    /// The earlier entries that a crash behind `op` ops may have left of a log that
    /// the device has stored wrongly, the newest first.
    fn possible_behind_damage(&self, op: u64, loss: Loss) -> impl Iterator<Item = usize> {
        let (floor, loss) = (self.floor(op, loss), self.loss_at(op, loss));
        let may_be_left = move |&index: &usize| {
            let later = self.entries[index + 1..].iter();
            let lost: Vec<Promise> = later.filter_map(|entry| entry.promise(op, loss)).collect();
            self.entries[index].is_under_way(op) && self.log_damage.excuses(op, &lost)
        };
        (0..floor).rev().filter(may_be_left)
    }

    /// Which entry's state was found after a crash behind `op` ops.
    ///
    /// # Errors
    /// A sentence, if it may not be found there.
    pub(crate) fn explain(&self, found: &State, op: u64, loss: Loss) -> Result<usize, String> {
        let matching = self.possible(op, loss).find(|&index| *self.entries[index].state == *found);
        matching.ok_or_else(|| self.describe_wrong(found, self.floor(op, loss), op))
    }

    /// As [`explain`](History::explain), for a disk that has stored something
    /// else than it was told. Where that concerns the log, its end may be missing
    /// and nobody can know: what is found must be an earlier state all the same.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn explain_damaged(
        &self,
        found: &State,
        op: u64,
        loss: Loss,
    ) -> Result<usize, String> {
        self.explain(found, op, loss).or_else(|what| {
            let mut earlier = self.possible_behind_damage(op, loss);
            earlier.find(|&index| *self.entries[index].state == *found).ok_or(what)
        })
    }

    /// The states of which what can still be read of a damaged disk must be a
    /// part, after a crash behind `op` ops.
    pub(crate) fn states_behind_damage(&self, op: u64, loss: Loss) -> Vec<&State> {
        let all = self.possible(op, loss).chain(self.possible_behind_damage(op, loss));
        all.map(|index| &*self.entries[index].state).collect()
    }

    /// The last entry whose state is `found`.
    fn last_with(&self, found: &State) -> Option<usize> {
        self.entries.iter().rposition(|entry| *entry.state == *found)
    }

    fn describe_wrong(&self, found: &State, floor: usize, op: u64) -> String {
        let known = |entry: &Entry| *entry.state == *found;
        if let Some(entry) = self.entries.iter().rfind(|entry| known(entry)) {
            let floor = &self.entries[floor];
            return format!(
                "the state after batch {} was found, but {} was promised at op {:?}; batch {} was \
                 begun at op {}, the crash came behind op {op}",
                entry.number,
                floor.number,
                floor.durable.or(floor.acknowledged),
                entry.number,
                entry.begun
            );
        }
        let counter = found.get(COUNTER).and_then(|value| keys::counter_of(value));
        let number = counter.unwrap_or(self.entries[floor].number);
        match self.entries.iter().find(|entry| entry.number == number) {
            None => format!("batch {number} was found, which was never written"),
            Some(entry) => format!(
                "not the state after any batch; compared with that after batch {number}: {}",
                difference(&entry.state, found)
            ),
        }
    }

    /// The disk goes on from where it was after `op` ops: what came later has
    /// not happened.
    pub(crate) fn rewind(&mut self, op: u64) {
        let has_happened = |entry: &Entry| {
            let is_acknowledged = entry.acknowledged.is_some_and(|moment| moment <= op);
            entry.number == 0 || entry.begun < op || is_acknowledged
        };
        let last = self.entries.iter().rposition(has_happened).expect("the start has happened");
        self.entries.truncate(last + 1);
        for entry in &mut self.entries {
            for moment in [&mut entry.acknowledged, &mut entry.durable, &mut entry.refused] {
                *moment = moment.filter(|moment| *moment <= op);
            }
        }
        self.visible = self.visible.min(self.entries.len() - 1);
        self.doubtful.retain(|(from, _)| *from <= op);
        for (_, to) in &mut self.doubtful {
            *to = to.filter(|to| *to <= op);
        }
        self.log_damage.rewind(op);
    }

    /// An open has found entry `index`; its promises count from here on, and
    /// what is not in it will not come back.
    pub(crate) fn reopened(&mut self, index: usize, op: u64) {
        if let Some((_, to)) = self.doubtful.last_mut() {
            to.get_or_insert(op);
        }
        let found = &mut self.entries[index];
        found.acknowledged.get_or_insert(op);
        found.durable.get_or_insert(op);
        self.visible = index;
        for later in &mut self.entries[index + 1..] {
            later.refused.get_or_insert(op);
        }
    }

    /// The disk was replaced by one that holds entry `index` for certain, and
    /// whose ops are counted from 0.
    pub(crate) fn restart(&mut self, index: usize) {
        self.entries = vec![Entry::start(Arc::clone(&self.entries[index].state))];
        self.visible = 0;
        self.doubtful.clear();
        self.log_damage = LogDamage::default();
    }

    /// A history that began with the state of entry `index`.
    pub(crate) fn beginning_with(&self, index: usize) -> History {
        let mut history = self.clone();
        history.restart(index);
        history
    }

    /// True if `found` lacks of what was promised to be durable no more than what
    /// was promised last: rot of the end of the log cannot always be told from a
    /// tear of the last sync, rot of what lies before it can.
    pub(crate) fn is_at_most_one_promise_short(&self, found: &State) -> bool {
        let last = self.entries.iter().filter_map(|entry| entry.durable).max();
        let is_earlier = |entry: &Entry| entry.durable.is_some_and(|moment| Some(moment) < last);
        let floor = self.entries.iter().rposition(is_earlier).unwrap_or(0);
        self.last_with(found).is_some_and(|index| index >= floor)
    }

    /// True if `found` is no earlier than `least`, and no more than the last of the
    /// promises that came after `kept` is missing.
    pub(crate) fn is_short_between(&self, found: &State, least: &State, kept: &State) -> bool {
        let [found, least, kept] = [found, least, kept].map(|state| self.last_with(state));
        let (Some(found), Some(least), Some(kept)) = (found, least, kept) else { return false };
        let later = self.entries[kept + 1..].iter().filter_map(|entry| entry.durable);
        found >= least && later.collect::<BTreeSet<_>>().len() <= 1
    }

    /// The state of entry `index`.
    pub(crate) fn state(&self, index: usize) -> &Arc<State> {
        &self.entries[index].state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three batches: durable, acknowledged, begun.
    fn history() -> History {
        let mut history = History::new();
        for (begun, answered) in [(10, 20), (20, 30), (30, 40)] {
            let index = history.begin(&[Change::Put(1, begun as u32)], false, begun);
            if index < 3 {
                history.acknowledge(index, index == 1, answered);
            }
        }
        history
    }

    fn allowed(op: u64, loss: Loss) -> Vec<usize> {
        let history = history();
        (0..4).filter(|&index| history.explain(history.state(index), op, loss).is_ok()).collect()
    }

    #[test]
    fn a_crash_leaves_a_prefix_between_promised_and_begun() {
        assert_eq!(allowed(0, Loss::Unsynced), [0]);
        assert_eq!(allowed(10, Loss::Unsynced), [0]);
        assert_eq!(allowed(11, Loss::Unsynced), [0, 1]);
        assert_eq!(allowed(20, Loss::Unsynced), [1]);
        assert_eq!(allowed(25, Loss::Unsynced), [1, 2]);
        assert_eq!(allowed(31, Loss::Unsynced), [1, 2, 3]);
        assert_eq!(allowed(31, Loss::Nothing), [2, 3]);
    }

    #[test]
    fn only_behind_a_failed_sync_and_until_the_next_open_may_a_kill_lose_what_was_not_synced() {
        let mut history = history();
        history.doubt(35);
        let lost = Arc::clone(history.state(1));
        assert!(history.explain(&lost, 34, Loss::Nothing).is_err());
        assert!(history.explain(&lost, 35, Loss::Nothing).is_ok());
        assert!(history.was_doubted_behind(34) && !history.was_doubted_behind(35));
        history.reopened(1, 50);
        history.doubt(60);
        assert!(history.explain(&lost, 59, Loss::Nothing).is_ok(), "it is what was found");
        let next = history.begin(&[Change::Delete(1)], false, 51);
        history.acknowledge(next, false, 52);
        assert!(history.explain(&lost, 59, Loss::Nothing).is_err());
        assert!(history.explain(&lost, 60, Loss::Nothing).is_ok());
    }

    #[test]
    fn what_was_refused_does_not_come_back() {
        let mut history = history();
        history.refuse(3, 50);
        let state = Arc::clone(history.state(3));
        assert!(history.explain(&state, 49, Loss::Unsynced).is_ok());
        assert!(history.explain(&state, 50, Loss::Unsynced).is_err());
        let next = history.begin(&[Change::Delete(1)], false, 51);
        assert_eq!(history.state(next).len(), 1, "built on what was there before");
    }

    #[test]
    fn where_the_log_was_hurt_an_earlier_state_may_be_left_but_none_that_was_refused() {
        let mut history = history();
        history.acknowledge(2, true, 30);
        history.refuse(3, 50);
        let allowed = |history: &History, op| {
            let is_allowed = |index: &usize| {
                history.explain_damaged(history.state(*index), op, Loss::Unsynced).is_ok()
            };
            (0..4).filter(is_allowed).collect::<Vec<_>>()
        };
        let stray =
            |file: &str| StraySync { op: 24, file: file.into(), landings: BTreeSet::default() };
        history.damage(&stray("MANIFEST_000001"));
        assert_eq!(allowed(&history, 60), [2]);
        history.damage(&stray("wal.log"));
        assert_eq!(allowed(&history, 24), [1, 2], "not yet");
        assert_eq!(allowed(&history, 60), [1, 2], "the first was promised before");
        assert_eq!(history.states_behind_damage(60, Loss::Unsynced).len(), 2);
        assert!(!history.beginning_with(1).is_log_damaged(60), "another disk");
    }

    /// A mended bug of the simulation. What writes nothing is acknowledged without an
    /// op of the disk: a kill at that very op finds it, and so it has happened.
    #[test]
    fn what_is_acknowledged_without_an_op_has_happened_before_the_next_one() {
        let mut history = history();
        let refused = history.begin(&[Change::Delete(1)], false, 40);
        history.refuse(refused, 40);
        let empty = history.begin(&[], true, 40);
        history.acknowledge(empty, false, 40);
        let later = history.begin(&[Change::Put(2, 7)], false, 40);
        history.acknowledge(later, true, 45);
        let found = history.explain(&history.state(empty).clone(), 40, Loss::Nothing).unwrap();
        assert_eq!(found, empty);
        history.rewind(40);
        history.reopened(found, 50);
        assert!(history.explain(&history.state(empty).clone(), 60, Loss::Unsynced).is_ok());
        assert_eq!(history.entries.len(), empty + 1, "what came later has not happened");
    }

    #[test]
    fn a_promise_that_an_open_could_not_find_counts_no_more() {
        let mut history = history();
        history.acknowledge(2, true, 30);
        history.reopened(1, 60);
        assert!(history.explain(&history.state(1).clone(), 60, Loss::Nothing).is_ok());
        assert!(history.explain(&history.state(1).clone(), 59, Loss::Nothing).is_err());
        assert!(history.explain(&history.state(2).clone(), 60, Loss::Unsynced).is_err());
    }

    #[test]
    fn rot_may_cost_the_last_promise_and_no_earlier_one() {
        let mut history = history();
        history.acknowledge(2, true, 30);
        let state = |index: usize| Arc::clone(history.state(index));
        let is_short = |index| history.is_at_most_one_promise_short(&state(index));
        assert_eq!([0, 1, 2, 3].map(is_short), [false, true, true, true]);
        assert!(!history.is_at_most_one_promise_short(&State::from([(
            Arc::from(&b"key"[..]),
            Arc::from(&b"never written"[..])
        )])));
    }

    #[test]
    fn what_stands_around_a_damaged_place_bounds_what_it_may_cost() {
        let mut history = history();
        history.acknowledge(2, true, 30);
        let state = |index: usize| Arc::clone(history.state(index));
        let is_short = |found, least, kept| {
            history.is_short_between(&state(found), &state(least), &state(kept))
        };
        assert!(is_short(1, 1, 3), "all that is lost lies there");
        assert!(!is_short(0, 1, 3), "what lies in front is lost as well");
        assert!(is_short(1, 1, 1), "the last promise may be missing too");
        assert!(!is_short(0, 0, 0), "two promises behind it are not both lost");
    }

    #[test]
    fn half_a_batch_is_no_state() {
        let history = history();
        let mut torn = State::clone(history.state(2));
        torn.remove(COUNTER);
        let error = history.explain(&torn, 35, Loss::Unsynced).unwrap_err();
        assert!(error.contains("counter is missing"), "{error}");
    }
}
