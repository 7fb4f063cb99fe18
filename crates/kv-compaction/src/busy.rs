//! The plans that are running, and what they keep others from.

use std::collections::HashSet;

use crate::key_span::KeySpan;
use crate::plan::Plan;

/// The running plans of one tree.
///
/// No table is in two of them, and their outputs cannot come to overlap: a
/// plan owns its whole key span in every level below the one it shrinks, down
/// to its target, and the span of its source tables in that one. (Level 0 is
/// owned table by table, because flushes go on adding to it.) So no entry can
/// pass a running plan on its way down, and what a plan knows about deeper
/// levels stays true.
#[derive(Debug, Clone, Default)]
pub struct Busy {
    plans: Vec<Running>,
    tables: HashSet<u64>,
}

#[derive(Debug, Clone)]
struct Running {
    inputs: Vec<(u32, u64)>,
    owned: Vec<(u32, KeySpan)>,
}

impl Busy {
    /// Marks `plan` as running.
    ///
    /// # Panics
    /// If it conflicts with a plan that runs already: it was not picked under
    /// this value.
    pub fn begin(&mut self, plan: &Plan) {
        assert!(self.allows(plan), "a plan begins only beside plans it does not conflict with");
        self.tables.extend(plan.inputs.iter().map(|(_, id)| *id));
        self.plans.push(Running { inputs: plan.inputs.clone(), owned: owned_spans(plan) });
    }

    /// Marks `plan` as done, installed or given up.
    ///
    /// # Panics
    /// If it was not running.
    pub fn end(&mut self, plan: &Plan) {
        let index = self.plans.iter().position(|running| running.inputs == plan.inputs);
        self.plans.swap_remove(index.expect("a plan ends that has begun"));
        for (_, id) in &plan.inputs {
            self.tables.remove(id);
        }
    }

    /// True if no plan is running.
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// Number of running plans.
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// True if table `id` is an input of a running plan.
    pub fn holds(&self, id: u64) -> bool {
        self.tables.contains(&id)
    }

    /// True if `plan` may run beside those that do.
    pub fn allows(&self, plan: &Plan) -> bool {
        // A table in common implies a span in common; the table is found faster.
        if plan.inputs.iter().any(|(_, id)| self.holds(*id)) {
            return false;
        }
        let wanted = owned_spans(plan);
        !self.plans.iter().flat_map(|running| &running.owned).any(|(level, span)| {
            wanted.iter().any(|(other, wanted)| level == other && span.overlaps(wanted))
        })
    }
}

fn owned_spans(plan: &Plan) -> Vec<(u32, KeySpan)> {
    let source = (plan.level > 0).then(|| (plan.level, plan.source_span.clone()));
    let below = (plan.level + 1..=plan.target_level).map(|level| (level, plan.span.clone()));
    source.into_iter().chain(below).collect()
}
