//! Compacting: carrying out the plans that kv-compaction picks.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kv_compaction::{Busy, Plan, RangeCompaction, RangePick, TableRef, Version, pick, pick_idle};
use kv_core::{Cursor, Error, MergeCursor, Result};
use kv_sstable::CursorPurpose;

use crate::level_cursor::LevelCursor;
use crate::live_table::LiveTable;
use crate::options::Background;
use crate::range::KeyRange;
use crate::rewrite::RewriteJob;
use crate::shared::Shared;

/// What came of a step of a compaction that a caller has asked for.
enum RangeStep {
    Worked,
    /// Another compaction is at work on tables of the range.
    Blocked,
    Done,
}

impl Shared {
    /// Picks and carries out one plan; false if the tree is in shape. With
    /// `idle`, also what is only worth doing while nobody writes.
    pub(crate) fn compact_once(&self, idle: bool) -> Result<bool> {
        let pick = if idle { pick_idle } else { pick };
        let plan = self.begin_plan(|version, busy| pick(version, &self.policy, busy));
        let Some(plan) = plan else { return Ok(false) };
        let has_space = self.has_space_for(&plan);
        if !matches!(has_space, Ok(true)) {
            self.busy.lock().end(&plan);
            // A caller's compaction may wait for these tables.
            self.signals.announce_progress();
            return has_space;
        }
        let outcome = self.carry_out(&plan);
        if outcome.as_ref().is_err_and(Error::is_out_of_space) {
            self.note_compaction_without_space(&plan);
        }
        outcome.map(|()| true)
    }

    /// Brings all that tables hold in `range` into one level.
    pub(crate) fn compact_range(&self, range: &KeyRange) -> Result<()> {
        let bounds =
            (range.start.as_ref().map(Vec::as_slice), range.end.as_ref().map(Vec::as_slice));
        let version = Arc::clone(&self.view.load().version);
        let compaction = RangeCompaction::new(&version, bounds, self.options.retention.is_some());
        loop {
            let seen = self.signals.progress();
            match self.work_for_caller(|| self.compact_range_once(&compaction))? {
                RangeStep::Worked => self.note_progress(),
                RangeStep::Blocked if self.options.background == Background::Threads => {
                    self.signals.wait_beyond(seen);
                }
                RangeStep::Blocked | RangeStep::Done => return Ok(()),
            }
        }
    }

    fn compact_range_once(&self, compaction: &RangeCompaction) -> Result<RangeStep> {
        let mut without_plan = RangeStep::Done;
        let plan =
            self.begin_plan(|version, busy| match compaction.pick(version, &self.policy, busy) {
                RangePick::Plan(plan) => Some(plan),
                RangePick::Blocked => {
                    without_plan = RangeStep::Blocked;
                    None
                }
                RangePick::Done => None,
            });
        let Some(plan) = plan else { return Ok(without_plan) };
        self.carry_out(&plan)?;
        Ok(RangeStep::Worked)
    }

    /// Lets `pick` choose and marks its choice as running, in one step.
    fn begin_plan(
        &self,
        pick: impl FnOnce(&Version<LiveTable>, &Busy) -> Option<Plan>,
    ) -> Option<Plan> {
        let mut busy = self.busy.lock();
        let version = Arc::clone(&self.view.load().version);
        let plan = pick(&version, &busy)?;
        busy.begin(&plan);
        Some(plan)
    }

    fn carry_out(&self, plan: &Plan) -> Result<()> {
        let _guard = self.poison_on_panic("a compaction");
        let outcome = self.move_or_rewrite(plan);
        self.busy.lock().end(plan);
        outcome
    }

    fn move_or_rewrite(&self, plan: &Plan) -> Result<()> {
        let version = Arc::clone(&self.view.load().version);
        let inputs = plan.input_tables(&version)?;
        if plan.trivial_move {
            let metas =
                inputs.iter().flat_map(|(_, tables)| tables).map(|live| live.meta().clone());
            self.install(&plan.edit(metas))?;
            self.counters.trivial_moves.fetch_add(1, Relaxed);
            return Ok(());
        }
        let rewritten = self.rewrite(merge(inputs), RewriteJob::Compaction(plan))?;
        let written = rewritten.bytes_written();
        self.install(&plan.edit(rewritten.tables))?;
        self.counters.compactions.fetch_add(1, Relaxed);
        self.counters.compaction_read_bytes.fetch_add(plan.input_bytes, Relaxed);
        self.counters.compaction_written_bytes.fetch_add(written, Relaxed);
        Ok(())
    }
}

/// One cursor over the inputs of a plan, newest first.
fn merge(inputs: Vec<(u32, Vec<Arc<LiveTable>>)>) -> MergeCursor<Box<dyn Cursor>> {
    let purpose = CursorPurpose::Background;
    let mut sources: Vec<Box<dyn Cursor>> = Vec::new();
    for (level, tables) in inputs {
        if level == 0 {
            let cursors = tables.iter().map(|live| live.table.cursor(purpose));
            sources.extend(cursors.map(|cursor| -> Box<dyn Cursor> { Box::new(cursor) }));
        } else {
            sources.push(Box::new(LevelCursor::new(tables.into(), purpose)));
        }
    }
    MergeCursor::new(sources)
}
