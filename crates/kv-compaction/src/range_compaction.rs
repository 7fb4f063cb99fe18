//! Compacting a range because a caller asked for it.
//!
//! 1. Level 0 goes down, group by group.
//! 2. Then, from the top, each table of the range goes one level down, until
//!    the deepest level in use holds all of them. Levels grow tenfold, so this
//!    writes about a tenth more than one merge of everything would, and each
//!    step is small, can be cancelled, and needs little free space.
//! 3. There, tables with deletes are rewritten in place; all tables are, if
//!    the caller wants expired entries gone.
//!
//! Writes that arrive meanwhile are left alone: only tables with writes from
//! before the start have to go down or lose deletes, and what is rewritten once
//! is not rewritten again. So a range compaction ends even if writers never
//! pause.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use kv_core::SeqNo;

use crate::busy::Busy;
use crate::key_span::KeyBounds;
use crate::picker::{Choice, Picker};
use crate::plan::{Plan, Reason};
use crate::policy::Policy;
use crate::table_meta::{TableMeta, TableRef};
use crate::version::Version;

/// The next step of a range compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangePick {
    /// Carry this out and ask again.
    Plan(Plan),
    /// Running plans are in the way: ask again when one has ended.
    Blocked,
    /// The range is compacted.
    Done,
}

/// A compaction of all that was in a range when it was asked for.
#[derive(Debug, Clone)]
pub struct RangeCompaction {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    /// Newest write there was.
    through: SeqNo,
    /// Tables from this id on were written since.
    first_new_id: u64,
    rewrite_all: bool,
}

impl RangeCompaction {
    /// Plans to bring all that `version` holds in `range` into one level.
    /// With `rewrite_all` the tables that are there already are rewritten as
    /// well: for a retention rule, or for new table options.
    pub fn new<T: TableRef>(
        version: &Version<T>,
        range: KeyBounds<'_>,
        rewrite_all: bool,
    ) -> RangeCompaction {
        let metas = || version.tables().map(|(_, table)| table.meta());
        RangeCompaction {
            start: range.0.map(<[u8]>::to_vec),
            end: range.1.map(<[u8]>::to_vec),
            through: metas().map(|meta| meta.largest_seqno).max().unwrap_or_default(),
            first_new_id: metas().map(|meta| meta.id + 1).max().unwrap_or_default(),
            rewrite_all,
        }
    }

    /// The next step for the tree as it is now.
    pub fn pick<T: TableRef>(
        &self,
        version: &Version<T>,
        policy: &Policy,
        busy: &Busy,
    ) -> RangePick {
        let picker = Picker { version, policy, busy };
        let in_use = |level: &usize| version.overlapping(*level, self.bounds()).next().is_some();
        let Some(deepest) = (0..version.levels().len()).rev().find(in_use) else {
            return RangePick::Done;
        };
        let bottom = deepest.max(1);
        if let Some(pick) = self.pick_level0(&picker) {
            return pick;
        }
        (1..bottom)
            .find_map(|level| self.pick_down(&picker, level))
            .or_else(|| self.pick_in_place(&picker, bottom))
            .unwrap_or(RangePick::Done)
    }

    fn bounds(&self) -> KeyBounds<'_> {
        (self.start.as_ref().map(Vec::as_slice), self.end.as_ref().map(Vec::as_slice))
    }

    /// Ids of the tables of the range that hold writes from before the start.
    fn old_tables<T: TableRef>(&self, version: &Version<T>, level: usize) -> HashSet<u64> {
        let metas = version.overlapping(level, self.bounds()).map(|table| table.meta());
        metas.filter(|meta| self.is_old(meta)).map(|meta| meta.id).collect()
    }

    /// True if a table holds writes from before the start.
    fn is_old(&self, meta: &TableMeta) -> bool {
        meta.smallest_seqno <= self.through
    }

    fn pick_level0<T: TableRef>(&self, picker: &Picker<'_, T>) -> Option<RangePick> {
        let wanted = self.old_tables(picker.version, 0);
        if wanted.is_empty() {
            return None;
        }
        let groups = picker
            .level0_groups()
            .into_iter()
            .filter(|group| group.tables.iter().any(|table| wanted.contains(&table.meta().id)));
        let plan = groups.into_iter().find_map(|group| picker.plan_group(group, Reason::Manual));
        Some(plan.map_or(RangePick::Blocked, RangePick::Plan))
    }

    fn pick_down<T: TableRef>(&self, picker: &Picker<'_, T>, level: usize) -> Option<RangePick> {
        let wanted = self.old_tables(picker.version, level);
        let tables = &picker.version.levels()[level];
        let mut indices =
            (0..tables.len()).filter(|index| wanted.contains(&tables[*index].meta().id)).peekable();
        indices.peek()?;
        let plan = indices.find_map(|index| picker.plan_down(level, index, Reason::Manual));
        Some(plan.map_or(RangePick::Blocked, RangePick::Plan))
    }

    fn pick_in_place<T: TableRef>(
        &self,
        picker: &Picker<'_, T>,
        bottom: usize,
    ) -> Option<RangePick> {
        let limit = picker.policy.plan_limit_bytes();
        let mut blocked = false;
        let tables: Vec<&Arc<T>> = picker.version.overlapping(bottom, self.bounds()).collect();
        for stale in tables.split(|table| !self.is_stale(picker, bottom, table.meta())) {
            for sources in chunks_by_bytes(stale, limit) {
                let choice =
                    Choice { level: bottom, sources, target_level: bottom, reason: Reason::Manual };
                match picker.plan(choice) {
                    Some(plan) => return Some(RangePick::Plan(plan)),
                    None => blocked = true,
                }
            }
        }
        blocked.then_some(RangePick::Blocked)
    }

    /// True if a table of the bottom level is to be rewritten where it is.
    fn is_stale<T: TableRef>(
        &self,
        picker: &Picker<'_, T>,
        bottom: usize,
        meta: &TableMeta,
    ) -> bool {
        // New tables that overlap nothing are moved here with their deletes, and
        // may be so without end.
        let loses_deletes =
            meta.deletes > 0 && self.is_old(meta) && picker.next_overlap(bottom, meta).is_none();
        loses_deletes || (self.rewrite_all && meta.run < self.first_new_id)
    }
}

/// Cuts neighbours into pieces of at most `limit` bytes, one table at least.
fn chunks_by_bytes<'a, T: TableRef>(tables: &[&'a Arc<T>], limit: u64) -> Vec<Vec<&'a Arc<T>>> {
    let mut chunks: Vec<Vec<&'a Arc<T>>> = Vec::new();
    let mut filled = 0u64;
    for table in tables {
        let bytes = table.meta().file_bytes;
        match chunks.last_mut() {
            Some(chunk) if filled.saturating_add(bytes) <= limit => {
                chunk.push(table);
                filled += bytes;
            }
            _ => {
                chunks.push(vec![table]);
                filled = bytes;
            }
        }
    }
    chunks
}
