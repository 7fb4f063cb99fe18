//! From any shape, with plans running side by side and ending in any order:
//! no two plans get into each other's way, every edit is possible, and picking
//! ends with a tree in shape.

use std::sync::Arc;

use kv_compaction::{
    Busy, Plan, Policy, TableMeta, Version, VersionEdit, debt_bytes, pick, pick_idle,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::drawing::{apply, carry_out, draw, table};

const KEYS: usize = 40;

/// Keys of two letters, so that there is room between them.
fn key(index: usize) -> String {
    let letter = |n: usize| char::from(b'a' + n as u8);
    format!("{}{}", letter(index / 20), letter(index % 20))
}

fn with_facts(mut meta: TableMeta, (bytes, deletes): (u64, u64)) -> TableMeta {
    (meta.file_bytes, meta.deletes) = (bytes, deletes);
    meta
}

fn any_facts() -> impl Strategy<Value = (u64, u64)> {
    (1u64..120, prop_oneof![3 => Just(0), 2 => 0u64..=100])
}

/// Disjoint tables between the drawn bounds.
fn any_run() -> impl Strategy<Value = Vec<(usize, usize, (u64, u64))>> {
    (btree_set(0..KEYS, 0..16), vec(any_facts(), 8)).prop_map(|(bounds, facts)| {
        let bounds: Vec<usize> = bounds.into_iter().collect();
        let pairs = bounds.chunks_exact(2).zip(facts);
        pairs.map(|(pair, facts)| (pair[0], pair[1], facts)).collect()
    })
}

fn any_tree() -> impl Strategy<Value = Version<TableMeta>> {
    let level0 = vec((0..KEYS, 0..KEYS, any_facts()), 0..10);
    (level0, vec(any_run(), 0..6)).prop_map(|(level0, runs)| {
        let mut id = 1;
        let mut edit = VersionEdit::default();
        let mut add = |level, first: usize, last: usize, facts| {
            id += 1;
            let meta = table(id, &key(first.min(last)), &key(first.max(last)), 0);
            edit.added.push((level, with_facts(meta, facts)));
        };
        for (depth, run) in runs.into_iter().enumerate().rev() {
            run.into_iter()
                .for_each(|(first, last, facts)| add(depth as u32 + 1, first, last, facts));
        }
        level0.into_iter().for_each(|(first, last, facts)| add(0, first, last, facts));
        apply(&Version::new(), &edit)
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (0usize..6, 1u64..300, 1u64..5, 10u64..100, 1u64..5, 1u64..9).prop_map(
        |(level0_trigger, level_base_bytes, level_ratio, table_bytes, overlap, plan)| Policy {
            level0_trigger,
            level_base_bytes,
            level_ratio,
            table_bytes,
            overlap_limit_tables: overlap,
            plan_limit_tables: plan,
            ..Policy::default()
        },
    )
}

/// Checks by itself what a plan promises.
fn check(plan: &Plan, version: &Version<TableMeta>, running: &[Plan]) {
    let inputs = plan.input_tables(version).unwrap();
    let is_input = |meta: &TableMeta| plan.inputs.iter().any(|(_, id)| *id == meta.id);
    for (level, tables) in &inputs {
        for input in tables {
            assert!(plan.span.contains(&input.smallest_key), "{plan}");
            assert!(plan.span.contains(&input.largest_key), "{plan}");
            if *level == 0 {
                let older = version.levels()[0]
                    .iter()
                    .filter(|other| other.largest_seqno < input.smallest_seqno);
                for other in older.filter(|other| other.overlaps(input)) {
                    assert!(is_input(other), "{plan} leaves behind the older {}", other.id);
                }
            }
        }
    }
    for level in plan.level + 1..=plan.target_level {
        for (_, tables) in inputs.iter().filter(|(of, _)| *of < level) {
            for above in tables {
                let overlapped =
                    version.levels()[level as usize].iter().filter(|other| other.overlaps(above));
                for other in overlapped {
                    assert!(is_input(other), "{plan} passes {} by", other.id);
                }
            }
        }
    }
    assert!(!plan.trivial_move || inputs.len() == 1, "{plan}");
    for other in running {
        let shared = plan.inputs.iter().find(|input| other.inputs.contains(input));
        assert_eq!(shared, None, "{plan} and {other}");
    }
}

fn is_in_shape(version: &Version<TableMeta>, policy: &Policy) -> bool {
    version.level0_runs() < policy.level0_trigger.max(1)
        && (1..7).all(|level| version.level_bytes(level) <= policy.target_bytes(level))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn picking_is_legal_and_ends(
        tree in any_tree(),
        policy in any_policy(),
        order in vec((any::<bool>(), any::<usize>()), 1..60),
    ) {
        let mut version = tree;
        let mut busy = Busy::default();
        let mut running: Vec<Plan> = Vec::new();
        let mut next_id = 1000;
        let mut order = order.into_iter();
        for step in 0.. {
            prop_assert!(step < 2000, "picking does not end:\n{}", draw(&version));
            let (ends_one, which) = order.next().unwrap_or((running.len() > 2, step));
            if ends_one && !running.is_empty() {
                let plan = running.swap_remove(which % running.len());
                version = carry_out(&version, &plan, &policy, &mut next_id);
                busy.end(&plan);
                continue;
            }
            match pick_idle(&version, &policy, &busy) {
                Some(plan) => {
                    check(&plan, &version, &running);
                    busy.begin(&plan);
                    running.push(plan);
                }
                None => match running.pop() {
                    Some(plan) => {
                        version = carry_out(&version, &plan, &policy, &mut next_id);
                        busy.end(&plan);
                    }
                    None => break,
                },
            }
        }
        prop_assert!(is_in_shape(&version, &policy), "{}", draw(&version));
    }

    /// The same state gives the same decision, and descriptions suffice for it.
    #[test]
    fn picking_depends_on_its_arguments_alone(tree in any_tree(), policy in any_policy()) {
        let copy = tree.try_map(|table| Ok(Arc::new((**table).clone()))).unwrap();
        let busy = Busy::default();
        prop_assert_eq!(pick(&tree, &policy, &busy), pick(&copy, &policy, &busy));
        prop_assert_eq!(debt_bytes(&tree, &policy), debt_bytes(&copy, &policy));
        if is_in_shape(&tree, &policy) {
            prop_assert_eq!(debt_bytes(&tree, &policy) > 0, !tree.levels()[0].is_empty());
        }
    }
}
