//! Picking: from the shape of the tree to the next compaction, or none.
//!
//! 1. Score the levels: level 0 by its runs, those below by their bytes over
//!    their target. Deletes weigh more than they take.
//! 2. Of the levels with a score of one or more, highest first, take what can
//!    be compacted beside the running plans: in level 0 a group of overlapping
//!    tables, below the table with the least overlap for its size, then the
//!    oldest.
//! 3. If no level has such a score, rewrite a table with many deletes.
//! 4. If the tree is idle as well, bring level 0 down even though it is not
//!    full.
//!
//! Every plan takes at least one entry a level down or drops at least one, and
//! entries never go up: so picking comes to an end from any shape.

use std::cmp::Reverse;

use crate::busy::Busy;
use crate::level0::Group;
use crate::picker::{Choice, Picker};
use crate::plan::{Plan, Reason};
use crate::policy::Policy;
use crate::table_meta::{TableMeta, TableRef};
use crate::version::{LAST_LEVEL, Version};

/// Scores and ratios are in thousandths, so that decisions are exact.
const ONE: u128 = 1000;

/// Runs of level 0 that overlap before an idle tree merges them: one alone
/// costs a read nothing worth rewriting level 1 for.
const IDLE_LEVEL0_RUNS: usize = 2;

/// The most urgent compaction that can run beside those of `busy`; `None` if
/// the tree is in shape, or what is out of shape is being worked on.
///
/// Depends on its arguments alone. Weighs every table, and costs a binary search
/// in the next level per table of the level picked from. Call it again after
/// every install.
pub fn pick<T: TableRef>(version: &Version<T>, policy: &Policy, busy: &Busy) -> Option<Plan> {
    let picker = Picker { version, policy, busy };
    let by_score = picker.full_levels().into_iter().find_map(|level| match level {
        0 => picker.pick_level0(|_| true, Reason::Level0Full),
        _ => picker.pick_from_run(level),
    });
    by_score.or_else(|| picker.pick_deletes())
}

/// Like [`pick`], and then what is only worth doing while nobody else wants
/// the disk: level 0 goes down although it is not full.
pub fn pick_idle<T: TableRef>(version: &Version<T>, policy: &Policy, busy: &Busy) -> Option<Plan> {
    let picker = Picker { version, policy, busy };
    pick(version, policy, busy)
        .or_else(|| picker.pick_level0(|group| picker.is_worth_idle_time(group), Reason::Idle))
}

impl<'a, T: TableRef> Picker<'a, T> {
    /// True if merging the group spares readers a table and rewrites no more
    /// for it than the merge of a full level would.
    fn is_worth_idle_time(&self, group: &Group<'a, T>) -> bool {
        let limit = group.level0_bytes.saturating_mul(self.policy.level_ratio.saturating_add(1));
        group.runs >= IDLE_LEVEL0_RUNS && group.bytes <= limit
    }

    /// The levels that have to shrink, most urgent first.
    fn full_levels(&self) -> Vec<usize> {
        let runs = self.idle_level0_runs();
        let trigger = self.policy.level0_trigger.max(1);
        let mut scores: Vec<(u128, usize)> = (1..LAST_LEVEL)
            .map(|level| (self.level_score(level), level))
            .filter(|(score, _)| *score > ONE)
            .collect();
        if runs >= trigger {
            scores.push((runs as u128 * ONE / trigger as u128, 0));
        }
        scores.sort_by_key(|&(score, level)| (Reverse(score), level));
        scores.into_iter().map(|(_, level)| level).collect()
    }

    /// Bytes over target, without the tables that running plans take away.
    fn level_score(&self, level: usize) -> u128 {
        let idle = self.version.levels()[level].iter().filter(|table| !self.is_busy(table));
        let bytes: u128 =
            idle.map(|table| u128::from(self.policy.weight_bytes(table.meta()))).sum();
        let target = u128::from(self.policy.target_bytes(level).max(1));
        (bytes * ONE).div_ceil(target)
    }

    fn pick_from_run(&self, level: usize) -> Option<Plan> {
        let tables = &self.version.levels()[level];
        let mut ranked: Vec<(u128, u64, u64, usize)> = tables
            .iter()
            .enumerate()
            .filter(|(_, table)| !self.is_busy(table))
            .map(|(index, table)| {
                let meta = table.meta();
                (self.overlap_ratio(level, meta), meta.run, meta.id, index)
            })
            .collect();
        ranked.sort_unstable();
        ranked
            .into_iter()
            .find_map(|(_, _, _, index)| self.plan_down(level, index, Reason::LevelOverTarget))
    }

    /// Takes the table at `index` of a run one level down, with the neighbours
    /// that come for free where they can come.
    pub(crate) fn plan_down(&self, level: usize, index: usize, reason: Reason) -> Option<Plan> {
        let tables = &self.version.levels()[level];
        let meta = tables[index].meta();
        let overlaps_next = self.next_overlap(level, meta) == Some(level + 1);
        let target_level = if overlaps_next { level + 1 } else { self.resting_level(level, meta) };
        let grown = if overlaps_next { self.grow(level, index) } else { index..index + 1 };
        let plan_of = |range: std::ops::Range<usize>| {
            let sources = tables[range].iter().collect();
            self.plan(Choice { level, sources, target_level, reason })
        };
        plan_of(grown).or_else(|| plan_of(index..index + 1))
    }

    fn overlap_ratio(&self, level: usize, meta: &TableMeta) -> u128 {
        let below = &self.version.levels()[level + 1];
        let indices = self.version.run_indices(level + 1, &meta.smallest_key, &meta.largest_key);
        let overlap: u128 =
            below[indices].iter().map(|table| u128::from(table.meta().file_bytes)).sum();
        overlap * ONE / u128::from(self.policy.weight_bytes(meta).max(1))
    }

    /// The table with the largest share of deletes, if that is over the
    /// policy's limit: rewritten where it is if nothing below can hold its
    /// keys, else merged into the first level that may.
    fn pick_deletes(&self) -> Option<Plan> {
        let mut dense: Vec<(Reverse<u128>, u64, usize, &'a std::sync::Arc<T>)> = self
            .version
            .tables()
            .filter(|(level, table)| *level > 0 && self.policy.is_dense_with_deletes(table.meta()))
            .filter(|(_, table)| !self.is_busy(table))
            .map(|(level, table)| {
                let meta = table.meta();
                let share = u128::from(meta.deletes) * ONE / u128::from(meta.entries.max(1));
                (Reverse(share), meta.run, level, table)
            })
            .collect();
        dense.sort_by_key(|(share, run, level, table)| (*share, *run, *level, table.meta().id));
        let limit = self.policy.plan_limit_bytes();
        dense.into_iter().find_map(|(_, _, level, table)| {
            let target_level = self.next_overlap(level, table.meta()).unwrap_or(level);
            let choice =
                Choice { level, sources: vec![table], target_level, reason: Reason::Deletes };
            self.plan(choice).filter(|plan| plan.input_bytes <= limit)
        })
    }
}
