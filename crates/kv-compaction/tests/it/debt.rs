//! The debt is zero for a tree in shape, and rises and falls without leaps.

use kv_compaction::{Busy, Policy, TableMeta, Version, VersionEdit, debt_bytes, pick, pick_idle};

use crate::drawing::{apply, carry_out, policy, table, tree};

#[test]
fn levels_within_their_targets_owe_nothing() {
    assert_eq!(debt_bytes(&Version::<TableMeta>::new(), &policy()), 0);
    assert_eq!(debt_bytes(&tree("L1 1:a-z:100\n L2 2:a-z:1000\n L6 3:a-z:99999"), &policy()), 0);
}

#[test]
fn each_byte_is_charged_for_every_level_ahead_of_it() {
    // Level 0 alone: 40 bytes to read.
    assert_eq!(debt_bytes(&tree("L0 4:a-z:10 3:a-z:10 2:a-z:10 1:a-z:10"), &policy()), 40);
    // A full level 1 is read along, half of it for half a level 0 ...
    let half = "L0 4:a-z:10 3:a-z:10\n L1 1:a-z:60";
    assert_eq!(debt_bytes(&tree(half), &policy()), 20 + 30);
    // ... and passes on what it cannot keep: 20 of 120 bytes with their share
    // of level 2.
    let passing = "L0 4:a-z:10 3:a-z:10\n L1 2:a-z:100\n L2 1:a-z:600";
    assert_eq!(debt_bytes(&tree(passing), &policy()), 20 + 50 + 20 + 100);
}

#[test]
fn flushes_raise_it_evenly_and_compactions_lower_it() {
    let policy = policy();
    let mut version = tree("L1 1:a-m:50 2:n-z:50\n L2 3:a-z:950");
    let mut debts = vec![debt_bytes(&version, &policy)];
    for id in 10..14 {
        let added = vec![(0, table(id, "a", "z", 10))];
        version = apply(&version, &VersionEdit { added, ..VersionEdit::default() });
        debts.push(debt_bytes(&version, &policy));
    }
    let steps: Vec<u64> = debts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().max().unwrap() < &(2 * steps.iter().min().unwrap()), "{steps:?}");

    let mut next_id = 100;
    while let Some(plan) = pick_idle(&version, &policy, &Busy::default()) {
        let before = debt_bytes(&version, &policy);
        version = carry_out(&version, &plan, &policy, &mut next_id);
        assert!(debt_bytes(&version, &policy) < before, "{plan}");
    }
    assert_eq!(debt_bytes(&version, &policy), 0);
}

#[test]
fn absurd_figures_do_not_overflow() {
    let policy = Policy { level0_trigger: 0, level_base_bytes: 0, ..policy() };
    let huge = u64::MAX / 16;
    let version = apply(
        &Version::new(),
        &VersionEdit {
            added: (0..7)
                .map(|level| (level, table(1 + u64::from(level), "a", "z", huge)))
                .collect(),
            ..VersionEdit::default()
        },
    );
    assert_eq!(debt_bytes(&version, &policy), u64::MAX);
    assert!(pick(&version, &policy, &Busy::default()).is_some());
}
