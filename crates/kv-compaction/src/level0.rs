//! Level 0: groups of overlapping tables that can go down together.
//!
//! **Recency.** A table of level 0 may go down only together with every older
//! table of level 0 that it overlaps; otherwise an old version of a key would
//! come to lie above a newer one.
//!
//! 1. Leave out the tables of running plans and, oldest first, every table
//!    that overlaps an older one that is left out.
//! 2. Lay the rest and the tables of level 1 on the line of keys: what
//!    overlaps, directly or through others, is one group. A group can go
//!    down by itself, and groups of one load do not drag each other along.

use std::sync::Arc;

use crate::picker::{Choice, Picker};
use crate::plan::{Plan, Reason};
use crate::table_meta::TableRef;
use crate::version::count_runs;

/// Tables of level 0, newest first, that go down together.
pub(crate) struct Group<'a, T> {
    pub(crate) tables: Vec<&'a Arc<T>>,
    pub(crate) runs: usize,
    /// Size of the tables, in bytes.
    pub(crate) level0_bytes: u64,
    /// Size with the tables of level 1 that it overlaps, in bytes.
    pub(crate) bytes: u64,
    overlaps_level1: bool,
}

impl<T> Group<'_, T> {
    /// True for one table without overlap: it can go down as it is.
    pub(crate) fn is_alone(&self) -> bool {
        self.tables.len() == 1 && !self.overlaps_level1
    }
}

impl<'a, T: TableRef> Picker<'a, T> {
    /// Compacts the group of level 0 that readers gain most from: first what
    /// costs nothing to move, then, of those that are `worth` it, the one with
    /// the most runs for the fewest bytes.
    pub(crate) fn pick_level0(
        &self,
        worth: impl Fn(&Group<'a, T>) -> bool,
        reason: Reason,
    ) -> Option<Plan> {
        let mut groups = self.level0_groups();
        groups.retain(|group| group.is_alone() || worth(group));
        groups.sort_by_key(|group| (!group.is_alone(), std::cmp::Reverse(group.runs), group.bytes));
        groups.into_iter().find_map(|group| self.plan_group(group, reason))
    }

    pub(crate) fn plan_group(&self, group: Group<'a, T>, reason: Reason) -> Option<Plan> {
        let target_level =
            if group.is_alone() { self.resting_level(0, group.tables[0].meta()) } else { 1 };
        self.plan(Choice { level: 0, sources: group.tables, target_level, reason })
    }

    /// Runs of level 0 that no running plan has taken.
    pub(crate) fn idle_level0_runs(&self) -> usize {
        count_runs(self.version.levels()[0].iter().filter(|table| !self.is_busy(table)))
    }

    /// The groups by key; see the recipe above.
    pub(crate) fn level0_groups(&self) -> Vec<Group<'a, T>> {
        let mut line: Vec<(usize, &'a Arc<T>)> = Vec::new();
        let mut left_out: Vec<&'a Arc<T>> = Vec::new();
        for (position, table) in self.version.levels()[0].iter().enumerate().rev() {
            let blocked = left_out.iter().any(|older| older.meta().overlaps(table.meta()));
            if blocked || self.is_busy(table) {
                left_out.push(table);
            } else {
                line.push((position, table));
            }
        }
        line.extend(self.version.levels()[1].iter().map(|table| (LEVEL1, table)));
        line.sort_by(|(_, a), (_, b)| a.meta().smallest_key.cmp(&b.meta().smallest_key));
        split_at_gaps(line).into_iter().filter_map(Group::of).collect()
    }
}

/// Stands for the position in level 0 of a table of level 1.
const LEVEL1: usize = usize::MAX;

impl<'a, T: TableRef> Group<'a, T> {
    /// `None` without tables of level 0.
    fn of(mut members: Vec<(usize, &'a Arc<T>)>) -> Option<Group<'a, T>> {
        let bytes = members.iter().map(|(_, table)| table.meta().file_bytes).sum();
        let all = members.len();
        members.retain(|(position, _)| *position != LEVEL1);
        members.sort_by_key(|(position, _)| *position);
        let overlaps_level1 = members.len() < all;
        let tables: Vec<&'a Arc<T>> = members.into_iter().map(|(_, table)| table).collect();
        let level0_bytes = tables.iter().map(|table| table.meta().file_bytes).sum();
        let runs = count_runs(tables.iter().copied());
        (!tables.is_empty()).then_some(Group { tables, runs, level0_bytes, bytes, overlaps_level1 })
    }
}

/// Cuts tables in key order wherever none reaches across.
fn split_at_gaps<'a, T: TableRef>(line: Vec<(usize, &'a Arc<T>)>) -> Vec<Vec<(usize, &'a Arc<T>)>> {
    let mut groups: Vec<Vec<(usize, &'a Arc<T>)>> = Vec::new();
    let mut reach: &[u8] = &[];
    for (position, table) in line {
        let meta = table.meta();
        match groups.last_mut() {
            Some(group) if meta.smallest_key.as_slice() <= reach => group.push((position, table)),
            _ => {
                groups.push(vec![(position, table)]);
                reach = &meta.largest_key;
            }
        }
        reach = reach.max(&meta.largest_key);
    }
    groups
}
