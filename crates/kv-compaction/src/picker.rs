//! What all pickers share: from chosen tables to a legal plan.

use std::ops::Range;
use std::sync::Arc;

use crate::busy::Busy;
use crate::key_span::{KeyCoverage, KeySpan};
use crate::plan::{Grandparent, Plan, Reason};
use crate::policy::Policy;
use crate::table_meta::{TableMeta, TableRef};
use crate::version::{LAST_LEVEL, Version};

/// The state that a decision is made from.
pub(crate) struct Picker<'a, T> {
    pub(crate) version: &'a Version<T>,
    pub(crate) policy: &'a Policy,
    pub(crate) busy: &'a Busy,
}

/// What a picker has chosen, before it is known to be legal.
pub(crate) struct Choice<'a, T> {
    pub(crate) level: usize,
    /// Tables of `level`, in its order.
    pub(crate) sources: Vec<&'a Arc<T>>,
    pub(crate) target_level: usize,
    pub(crate) reason: Reason,
}

impl<'a, T: TableRef> Picker<'a, T> {
    /// The plan that takes the sources to the target together with every table
    /// that they overlap on the way; `None` if a running plan is in the way.
    pub(crate) fn plan(&self, choice: Choice<'a, T>) -> Option<Plan> {
        let Choice { level, sources, target_level, reason } = choice;
        let source_span = span_of(sources.iter().map(|table| table.meta()))?;
        let mut span = source_span.clone();
        let mut inputs: Vec<(u32, &TableMeta)> =
            sources.iter().map(|table| (level as u32, table.meta())).collect();
        for below in level + 1..=target_level {
            let overlapped = self.version.overlapping(below, span.bounds());
            let overlapped: Vec<&TableMeta> = overlapped.map(|table| table.meta()).collect();
            for meta in overlapped {
                span.cover(&meta.smallest_key, &meta.largest_key);
                inputs.push((below as u32, meta));
            }
        }
        let grandparents = self.grandparents(target_level, &span);
        let overlap: u64 = grandparents.iter().map(|table| table.file_bytes).sum();
        let trivial_move = target_level > level
            && inputs.len() == sources.len()
            && (level > 0 || sources.len() == 1)
            && overlap <= self.policy.overlap_limit_bytes();
        let below = match trivial_move {
            true => KeyCoverage::Everything,
            false => self.version.coverage(target_level + 1, &span),
        };
        let plan = Plan {
            level: level as u32,
            target_level: target_level as u32,
            trivial_move,
            reason,
            input_bytes: inputs.iter().map(|(_, meta)| meta.file_bytes).sum(),
            input_entries: inputs.iter().map(|(_, meta)| meta.entries).sum(),
            inputs: inputs.into_iter().map(|(level, meta)| (level, meta.id)).collect(),
            span,
            below,
            grandparents,
            source_span,
        };
        self.busy.allows(&plan).then_some(plan)
    }

    /// The level that a table of `level` which overlaps nothing in the next
    /// should go to: past full levels, so that it is moved once, but never
    /// past a level with overlap.
    pub(crate) fn resting_level(&self, level: usize, meta: &TableMeta) -> usize {
        let mut rest = level + 1;
        while rest < LAST_LEVEL {
            let filled = self.version.level_bytes(rest).saturating_add(meta.file_bytes);
            let span = self.version.run_indices(rest + 1, &meta.smallest_key, &meta.largest_key);
            if filled <= self.policy.target_bytes(rest) || !span.is_empty() {
                break;
            }
            rest += 1;
        }
        rest
    }

    /// The first level below `level` that overlaps the table, if any does.
    pub(crate) fn next_overlap(&self, level: usize, meta: &TableMeta) -> Option<usize> {
        (level + 1..=LAST_LEVEL).find(|&below| {
            !self.version.run_indices(below, &meta.smallest_key, &meta.largest_key).is_empty()
        })
    }

    pub(crate) fn is_busy(&self, table: &Arc<T>) -> bool {
        self.busy.holds(table.meta().id)
    }

    /// Widens `chosen`, indices into a run, to neighbours that overlap nothing
    /// in the next level but what is rewritten anyway: they come for free.
    pub(crate) fn grow(&self, level: usize, chosen: usize) -> Range<usize> {
        let tables = &self.version.levels()[level];
        let below = &self.version.levels()[level + 1];
        let overlap = |range: &Range<usize>| {
            let (first, last) = (tables[range.start].meta(), tables[range.end - 1].meta());
            self.version.run_indices(level + 1, &first.smallest_key, &last.largest_key)
        };
        let mut grown = chosen..chosen + 1;
        let rewritten = overlap(&grown);
        if rewritten.is_empty() {
            return grown;
        }
        let bytes_of = |table: &Arc<T>| table.meta().file_bytes;
        let mut bytes: u64 =
            below[rewritten.clone()].iter().map(bytes_of).sum::<u64>() + bytes_of(&tables[chosen]);
        let limit = self.policy.plan_limit_bytes();
        let mut admits = |neighbour: usize, wider: &Range<usize>| {
            let table = &tables[neighbour];
            let wider_bytes = bytes.saturating_add(bytes_of(table));
            let admitted =
                !self.is_busy(table) && wider_bytes <= limit && overlap(wider) == rewritten;
            if admitted {
                bytes = wider_bytes;
            }
            admitted
        };
        while grown.start > 0 && admits(grown.start - 1, &(grown.start - 1..grown.end)) {
            grown.start -= 1;
        }
        while grown.end < tables.len() && admits(grown.end, &(grown.start..grown.end + 1)) {
            grown.end += 1;
        }
        grown
    }

    fn grandparents(&self, target_level: usize, span: &KeySpan) -> Vec<Grandparent> {
        if target_level >= LAST_LEVEL {
            return Vec::new();
        }
        let tables = self.version.overlapping(target_level + 1, span.bounds());
        tables
            .map(|table| Grandparent {
                largest_key: table.meta().largest_key.clone(),
                file_bytes: table.meta().file_bytes,
            })
            .collect()
    }
}

/// The smallest span that holds all tables; `None` without tables.
pub(crate) fn span_of<'a>(mut tables: impl Iterator<Item = &'a TableMeta>) -> Option<KeySpan> {
    let mut span = tables.next()?.span();
    tables.for_each(|meta| span.cover(&meta.smallest_key, &meta.largest_key));
    Some(span)
}
