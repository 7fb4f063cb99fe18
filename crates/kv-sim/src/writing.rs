//! The steps that write, and what their answers mean for the history.

use std::sync::{Arc, Mutex};

use kv_engine::{Durability, Engine, Error, SeqNo, WriteBatch};
use kv_env::SimDisk;

use crate::keys::{self, COUNTER};
use crate::step::{Batch, Change};
use crate::world::{Verdict, World};

type Answer = Result<SeqNo, Error>;

/// Answers as they come, each with the op count of the disk.
type Answers = Arc<Mutex<Vec<Option<(Answer, u64)>>>>;

/// A batch that waits to be submitted by the answer to an earlier one.
struct Waiting {
    batch: WriteBatch,
    durability: Durability,
    slot: usize,
}

impl World {
    pub(crate) fn write(&mut self, batch: &Batch) -> Verdict {
        let (index, writes) = self.begin(batch);
        let was_poisoned = self.leeway.is_poisoned;
        let answer = self.attempt(|engine| engine.write(writes, batch.durability));
        let op = self.disk.op_count();
        self.note_answer(index, answer, batch.durability, op, was_poisoned)
    }

    /// Hands a batch to the history; returns its index and the engine's form.
    fn begin(&mut self, batch: &Batch) -> (usize, WriteBatch) {
        for change in &batch.changes {
            let (Change::Put(key, _) | Change::Delete(key)) = *change;
            self.keys.insert(key);
        }
        let index = self.history.begin(&batch.changes, batch.bare, self.disk.op_count());
        let mut writes = WriteBatch::new();
        for (key, value) in self.history.writes(index) {
            match value {
                Some(value) => writes.put(&key, &value),
                None => writes.delete(&key),
            }
            .expect("scripts keep to the limits");
        }
        (index, writes)
    }

    /// What an answer says about a batch that was begun; `was_poisoned` says
    /// whether the engine wrote no more by then.
    fn note_answer(
        &mut self,
        index: usize,
        answer: Answer,
        durability: Durability,
        op: u64,
        was_poisoned: bool,
    ) -> Verdict {
        let is_unknown = matches!(answer, Err(Error::Poisoned { .. }));
        match self.forgive("write", answer)? {
            Some(_) if was_poisoned => {
                Err("a write was accepted after the engine had stopped writing".into())
            }
            Some(_) => {
                self.history.acknowledge(index, durability == Durability::Sync, op);
                Ok(())
            }
            None => {
                // Only the writes in flight when writing ends have an unknown
                // outcome; later ones were never begun.
                if was_poisoned || !is_unknown {
                    self.history.refuse(index, op);
                }
                Ok(())
            }
        }
    }

    /// The engine commits what is queued while its writer role is taken. So the
    /// batches are submitted by the answer to a batch that cannot be committed,
    /// which comes while the role is held.
    pub(crate) fn crowd(&mut self, batches: &[Batch]) -> Verdict {
        let Some((first, rest)) = batches.split_first() else { return Ok(()) };
        let read = self.attempt(|engine| engine.get_for_update(COUNTER));
        let Some((_, unchanged)) = self.forgive("get_for_update", read)? else { return Ok(()) };
        self.write(first)?;

        let was_poisoned = self.leeway.is_poisoned;
        let mut indices = Vec::new();
        let mut waiting = Vec::new();
        for (slot, batch) in rest.iter().enumerate() {
            let (index, writes) = self.begin(batch);
            indices.push(index);
            waiting.push(Waiting { batch: writes, durability: batch.durability, slot });
        }
        let answers: Answers = Arc::new(Mutex::new(rest.iter().map(|_| None).collect()));
        let mut opener = WriteBatch::new();
        opener.expect(unchanged);
        let (engine, disk) = (self.engine().clone(), self.disk.clone());
        let sink = Arc::clone(&answers);
        let submit_rest = move |_: Answer| submit_all(&engine, &disk, waiting, &sink);
        let submitted = self.attempt(|engine| {
            engine.submit(opener, Durability::Os, submit_rest);
            Ok(())
        });

        let answers = std::mem::take(&mut *answers.lock().expect("nobody panics holding it"));
        for ((index, batch), answer) in indices.into_iter().zip(rest).zip(answers) {
            let (answer, op) = match (answer, &submitted) {
                (Some(answer), _) => answer,
                (None, Err(error)) => (Err(error.clone()), self.disk.op_count()),
                (None, Ok(())) => return Err("a submitted batch was never answered".into()),
            };
            self.note_answer(index, answer, batch.durability, op, was_poisoned)?;
        }
        Ok(())
    }

    pub(crate) fn update(&mut self, key: u16, batch: &Batch, disturbed: bool) -> Verdict {
        let name = keys::key(key);
        let read = self.attempt(|engine| engine.get_for_update(&name));
        let Some((value, unchanged)) = self.forgive("get_for_update", read)? else {
            return Ok(());
        };
        let expected = self.history.visible().get(&name[..]).map(|value| value.to_vec());
        // After a failure, writes that were applied and not shown may be seen.
        if !self.leeway.may_fail && value.as_deref() != expected.as_deref() {
            return Err(format!("get_for_update of {} differs from get", keys::describe(&name)));
        }
        if disturbed {
            let changes = vec![Change::Put(key, 20)];
            self.write(&Batch { durability: Durability::Os, changes, bare: true })?;
        }
        let was_poisoned = self.leeway.is_poisoned;
        let (index, mut writes) = self.begin(batch);
        writes.expect(unchanged);
        let answer = self.attempt(|engine| engine.write(writes, batch.durability));
        let op = self.disk.op_count();
        match answer {
            Err(Error::Conflict) if disturbed || self.leeway.may_fail => {
                self.history.refuse(index, op);
                Ok(())
            }
            Ok(_) if disturbed && !self.leeway.may_fail => {
                Err("a conditional batch was committed although its key had changed".into())
            }
            answer => self.note_answer(index, answer, batch.durability, op, was_poisoned),
        }
    }
}

fn submit_all(engine: &Engine, disk: &SimDisk, waiting: Vec<Waiting>, sink: &Answers) {
    for Waiting { batch, durability, slot } in waiting {
        let (sink, disk) = (Arc::clone(sink), disk.clone());
        engine.submit(batch, durability, move |answer| {
            let op = disk.op_count();
            sink.lock().expect("nobody panics holding it")[slot] = Some((answer, op));
        });
    }
}
