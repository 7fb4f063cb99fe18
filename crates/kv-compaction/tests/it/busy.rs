//! Plans that run at the same time stay out of each other's way.

use std::ops::Bound;

use kv_compaction::{Busy, KeyBounds, Plan, RangeCompaction, RangePick, TableMeta, Version, pick};

use crate::drawing::{policy, tree};

fn pick_all(version: &Version<TableMeta>) -> (Vec<Plan>, Busy) {
    let mut busy = Busy::default();
    let mut plans = Vec::new();
    while let Some(plan) = pick(version, &policy(), &busy) {
        busy.begin(&plan);
        plans.push(plan);
    }
    (plans, busy)
}

fn texts(plans: &[Plan]) -> Vec<String> {
    plans.iter().map(ToString::to_string).collect()
}

#[test]
fn disjoint_groups_of_level_0_run_side_by_side() {
    let (plans, busy) = pick_all(&tree(
        "L0 18:a-c:9 17:m-p:9 16:b-d:9 15:n-q:9 14:a-b:9 13:m-n:9 12:c-d:9 11:o-p:9
         L1 2:a-h:50 3:m-z:50",
    ));
    assert_eq!(
        texts(&plans),
        [
            "L0 -> L1 rewrite L0: 18 16 14 12 L1: 2 [a..h] (level 0 is full)",
            "L0 -> L1 rewrite L0: 17 15 13 11 L1: 3 [m..z] (level 0 is full)",
        ]
    );
    assert_eq!(busy.len(), 2);
    assert!(busy.holds(18) && !busy.holds(1));
}

#[test]
fn newer_tables_of_level_0_wait_for_the_older_they_overlap() {
    let older = tree("L0 4:a-m:9 3:a-m:9 2:a-m:9 1:a-m:9");
    let mut busy = Busy::default();
    let first = pick(&older, &policy(), &busy).unwrap();
    busy.begin(&first);
    // Four flushes later: what lies beside the running plan in key space and
    // in level 1 may go, but 8 overlaps 4, and 7 overlaps 8 but is older.
    let newer = tree("L0 9:p-q:9 8:k-r:9 7:q-s:9 6:t-u:9 5:t-v:9 4:a-m:9 3:a-m:9 2:a-m:9 1:a-m:9");
    let second = pick(&newer, &policy(), &busy).unwrap();
    assert_eq!(second.to_string(), "L0 -> L1 move L0: 7 [q..s] (level 0 is full)");
    busy.begin(&second);
    let third = pick(&newer, &policy(), &busy).unwrap();
    assert_eq!(third.to_string(), "L0 -> L1 rewrite L0: 6 5 [t..v] (level 0 is full)");
    busy.begin(&third);
    assert_eq!(pick(&newer, &policy(), &busy), None, "9 overlaps 8, which overlaps 4");
    busy.end(&first);
    assert!(pick(&newer, &policy(), &busy).is_some());
}

#[test]
fn outputs_of_two_plans_cannot_come_to_overlap() {
    // Tables 1 and 2 go down as one plan, whose output may span the gap between
    // them. Table 5 would fit into the gap in every level, but not for long.
    let runs = "L1 1:a-c:40 2:m-n:40\n L2 4:a-b:10";
    let version = tree(&format!("L0 8:x-y:9 7:x-y:9 6:x-y:9 5:d-e:9\n {runs}"));
    let a: KeyBounds<'_> = (Bound::Included(b"a"), Bound::Included(b"a"));
    let range = RangeCompaction::new(&version, a, false);
    let mut busy = Busy::default();
    let RangePick::Plan(plan) = range.pick(&version, &policy(), &busy) else {
        panic!("the range is in two levels")
    };
    assert_eq!(plan.to_string(), "L1 -> L2 rewrite L1: 1 2 L2: 4 [a..n] (asked for)");
    let alone = pick(&version, &policy(), &busy).unwrap();
    assert_eq!(alone.to_string(), "L0 -> L1 move L0: 5 [d..e] (level 0 is full)");
    busy.begin(&plan);
    assert!(!busy.allows(&alone));
    let beside = pick(&version, &policy(), &busy).unwrap();
    assert_eq!(beside.to_string(), "L0 -> L1 rewrite L0: 8 7 6 [x..y] (level 0 is full)");
}

#[test]
fn a_plan_ends_once_and_leaves_nothing_behind() {
    let version = tree("L0 4:a-m:9 3:a-m:9 2:a-m:9 1:a-m:9");
    let (plans, mut busy) = pick_all(&version);
    assert_eq!(plans.len(), 1);
    busy.end(&plans[0]);
    assert!(busy.is_empty() && !busy.holds(4));
    assert_eq!(pick(&version, &policy(), &busy).as_ref(), plans.first());
}

#[test]
fn beginning_a_conflicting_plan_is_our_own_mistake() {
    let version = tree("L0 4:a-m:9 3:a-m:9 2:a-m:9 1:a-m:9");
    let plan = pick(&version, &policy(), &Busy::default()).unwrap();
    let mut busy = Busy::default();
    busy.begin(&plan);
    let twice = std::panic::catch_unwind(move || busy.begin(&plan));
    assert!(twice.is_err());
}
