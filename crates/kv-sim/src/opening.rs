//! The ways in which an engine ends, and the open that follows each: which
//! state it finds, and what it must say about it.

use std::sync::Arc;

use kv_engine::{Engine, Error, RecoveryReport};

use crate::entry::Loss;
use crate::panics;
use crate::parts::Parts;
use crate::reading::{self, ReadFailure};
use crate::state::State;
use crate::step::Cut;
use crate::world::{Verdict, World, blames_disk};

impl World {
    pub(crate) fn reopen(&mut self) -> Verdict {
        let engine = self.engine.take().expect("the engine is open between steps");
        self.tally.add_engine(&engine.stats());
        let closed = panics::caught(|| engine.close(), || engine.stats().poisoned);
        let dropped = panics::caught(
            || {
                drop(engine);
                Ok(())
            },
            || false,
        );
        let closed = closed.and(dropped);
        let is_clean = self.forgive("close", closed)?.is_some();
        if is_clean {
            self.history.all_durable(self.disk.op_count());
        }
        // A disk without room for the marks of a close does without them.
        let has_marks = is_clean && !self.leeway.may_fail;
        self.open(self.disk.op_count(), Loss::Nothing, has_marks)
    }

    pub(crate) fn kill(&mut self, ops_back: u64) -> Verdict {
        let op = self.op_back(ops_back);
        self.note_syncs();
        let disk = self.disk.kill(op);
        self.move_to(disk, op);
        self.history.rewind(op);
        self.open(op, Loss::Nothing, false)
    }

    pub(crate) fn cut(&mut self, cut: &Cut) -> Verdict {
        let op = self.op_back(cut.ops_back);
        let disk = self.disk.image(op, cut.keeps);
        self.move_to(disk, 0);
        self.is_settled = false;
        self.open(op, Loss::Unsynced, false)
    }

    fn op_back(&self, ops_back: u64) -> u64 {
        self.disk.op_count().saturating_sub(ops_back).max(self.first_op)
    }

    /// Opens the disk, finds out which state it holds, and checks everything.
    pub(crate) fn open(&mut self, op: u64, loss: Loss, was_closed: bool) -> Verdict {
        self.note_syncs();
        let before = self.disk.op_count();
        // What fails in an open that succeeds may be felt behind it: an engine
        // without its reserve takes the disk for full.
        let may_fail = self.leeway.has_faults || self.is_armed() || self.leeway.is_damaged;
        let Some((opened, at_once)) = self.try_open()? else { return Ok(()) };
        self.note_syncs();
        // An open syncs what a killed process has left, and that may fail.
        let loss = if self.history.was_doubted_behind(before) { Loss::Unsynced } else { loss };
        let report = opened.recovery_report().clone();
        self.engine = Some(opened);
        let Some(found) = self.read_contents(op, loss)? else { return Ok(()) };
        // A first try to open the same disk may have done what the second one finds.
        let op = if before == 0 { op } else { self.disk.op_count() };
        let index = self.history.explain_damaged(&found, op, loss)?;
        let is_log_damaged = self.history.is_log_damaged(op);
        match before {
            0 => self.history.restart(index),
            _ => self.history.reopened(index, self.disk.op_count()),
        }
        self.is_settled = true;
        check_report(&report, was_closed && at_once, is_log_damaged)?;
        self.tally.add_report(&report);
        self.leeway.is_poisoned = false;
        self.leeway.may_fail = may_fail;
        self.leeway.misreads &= self.leeway.has_faults;
        self.check_everything()
    }

    /// Compares every way to read; where one is refused, each key on its own.
    fn check_everything(&mut self) -> Verdict {
        let state = Arc::clone(self.history.visible());
        let check = |engine: &Engine| reading::check_everything(engine, &state, &self.keys);
        match self.attempt_read(check) {
            Ok(()) => Ok(()),
            Err(ReadFailure::Error(error)) => {
                self.forgive("a read", Err::<(), _>(error))?;
                self.parts()?.check(&[&state])
            }
            Err(wrong) => Err(wrong.to_string()),
        }
    }

    /// Opens the disk; false if that took a second try. An open that fails
    /// because calls fail must succeed once they do not. One that damage has
    /// made impossible ends the history: `None`.
    fn try_open(&mut self) -> Verdict<Option<(Engine, bool)>> {
        let opened = self.open_once();
        if let Some(engine) = self.forgive("open", opened)? {
            return Ok(Some((engine, true)));
        }
        self.end_troubles()?;
        let opened = self.open_once();
        match opened {
            Ok(engine) => Ok(Some((engine, false))),
            Err(error) if self.leeway.is_damaged && blames_disk(&error) => {
                self.is_over = true;
                self.tally.ended_by_damage += 1;
                self.forgive("open", Err(error))
            }
            Err(error) => Err(format!("open, after one that failed: {error}")),
        }
    }

    fn open_once(&self) -> Result<Engine, Error> {
        let options = self.settings.engine_options();
        panics::caught(|| Engine::open_in(self.disk.env(), options), || false)
    }

    /// Takes back all faults. A process that has died is replaced.
    fn end_troubles(&mut self) -> Verdict {
        self.clear_faults()?;
        self.note_syncs();
        if self.disk.is_stopped() {
            self.tally.deaths += 1;
            let leeway = std::mem::take(&mut self.leeway);
            let op = self.disk.op_count();
            let disk = self.disk.kill(op);
            self.move_to(disk, op);
            self.leeway = leeway;
        }
        Ok(())
    }

    /// Everything, by a scan. `None` if damage is in the way of that; then all
    /// that can be read has been compared, and the history is over.
    fn read_contents(&mut self, op: u64, loss: Loss) -> Verdict<Option<State>> {
        match self.attempt_read(reading::contents) {
            Ok(found) => return Ok(Some(found)),
            Err(ReadFailure::Error(error)) => self.forgive("a scan", Err::<(), _>(error))?,
            Err(wrong) => return Err(wrong.to_string()),
        };
        let must_open_again = self.leeway.misreads || self.disk.is_stopped();
        self.end_troubles()?;
        if must_open_again {
            // What was read through a map stays as it was read.
            drop(self.engine.take());
            let Some((engine, _)) = self.try_open()? else { return Ok(None) };
            self.engine = Some(engine);
        }
        match self.attempt_read(reading::contents) {
            Ok(found) => Ok(Some(found)),
            Err(ReadFailure::Error(error)) if self.leeway.is_damaged && blames_disk(&error) => {
                self.forgive("a scan", Err::<(), _>(error))?;
                self.is_over = true;
                self.tally.ended_by_damage += 1;
                let parts = self.parts()?;
                parts.check(&self.history.states_behind_damage(op, loss)).map(|()| None)
            }
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// What can be read of each key.
    fn parts(&mut self) -> Verdict<Parts> {
        let keys = self.keys.clone();
        Parts::read(&keys, |name| {
            let answer = self.attempt(|engine| engine.get(name));
            let value = self.forgive("a get", answer)?;
            Ok(value.map(|value| value.map(|value| value.to_vec())))
        })
    }
}

/// What every report must say on a disk that nobody else has written to.
pub(crate) fn check_report(
    report: &RecoveryReport,
    was_closed: bool,
    is_log_damaged: bool,
) -> Verdict {
    if let Some(name) = report.foreign.first() {
        return Err(format!("the open calls {name} a foreign file"));
    }
    let stamps: u64 = report.segments.iter().map(|segment| segment.damaged_stamps).sum();
    if stamps > 0 && !is_log_damaged {
        return Err(format!("the open reports {stamps} damaged stamps on a disk without rot"));
    }
    let has_cut = report.segments.iter().any(|segment| segment.cut.is_some());
    if was_closed && (!report.clean_shutdown || has_cut) {
        return Err(format!("not clean after a close: {report}"));
    }
    Ok(())
}
