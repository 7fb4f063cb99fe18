//! Decisions on small drawn trees.

use expect_test::{Expect, expect};
use kv_compaction::{Busy, Policy, pick, pick_idle};

use crate::drawing::{carry_out, draw, policy, tree};

/// Picks and carries out plans until there are none, and compares the story.
fn story(drawing: &str, policy: &Policy, is_idle: bool, expected: Expect) {
    let mut version = tree(drawing);
    let mut next_id = 100;
    let mut story = String::new();
    let next = |version: &_| match is_idle {
        true => pick_idle(version, policy, &Busy::default()),
        false => pick(version, policy, &Busy::default()),
    };
    while let Some(plan) = next(&version) {
        story.push_str(&format!("{plan}\n"));
        version = carry_out(&version, &plan, policy, &mut next_id);
    }
    expected.assert_eq(&format!("{story}{}", draw(&version)));
}

fn busy_story(drawing: &str, expected: Expect) {
    story(drawing, &policy(), false, expected);
}

fn idle_story(drawing: &str, expected: Expect) {
    story(drawing, &policy(), true, expected);
}

#[test]
fn an_empty_tree_and_one_in_shape_need_nothing() {
    busy_story("", expect![[""]]);
    busy_story(
        "L0 3:a-z:9 2:a-z:9\n L1 1:a-z:100",
        expect![[r#"
        L0 3:a-z:9 2:a-z:9
        L1 1:a-z:100
    "#]],
    );
}

#[test]
fn a_full_level_0_goes_down_with_all_it_overlaps() {
    busy_story(
        "L0 9:c-p:9 8:a-d:9 7:d-e:9 6:o-r:9\n L1 1:a-c:20 2:n-q:20 3:s-t:20",
        expect![[r#"
        L0 -> L1 rewrite L0: 9 8 7 6 L1: 1 2 [a..r] (level 0 is full)
        L1 100:a-r:76 3:s-t:20
    "#]],
    );
}

#[test]
fn a_sequential_fill_is_moved_and_never_rewritten() {
    busy_story(
        "L0 9:q-r:50 8:o-p:50 7:m-n:50 6:k-l:50\n L1 1:a-c:50 2:d-e:50",
        expect![[r#"
        L0 -> L2 move L0: 6 [k..l] (level 0 is full)
        L0 9:q-r:50 8:o-p:50 7:m-n:50
        L1 1:a-c:50 2:d-e:50
        L2 6:k-l:50
    "#]],
    );
}

#[test]
fn a_move_passes_full_levels_and_stops_above_the_first_overlap() {
    let full = "L0 9:x-z:9 8:x-z:9 7:x-z:9 6:k-l:50\n L1 1:a-c:100";
    busy_story(
        &format!("{full}\n L2 2:d-e:1000"),
        expect![[r#"
        L0 -> L3 move L0: 6 [k..l] (level 0 is full)
        L0 9:x-z:9 8:x-z:9 7:x-z:9
        L1 1:a-c:100
        L2 2:d-e:1000
        L3 6:k-l:50
    "#]],
    );
    busy_story(
        &format!("{full}\n L2 2:d-l:990"),
        expect![[r#"
        L0 -> L1 rewrite L0: 6 [k..l] (level 0 is full)
        L1 -> L3 move L1: 1 [a..c] (the level is over its target)
        L0 9:x-z:9 8:x-z:9 7:x-z:9
        L1 100:k-l:50
        L2 2:d-l:990
        L3 1:a-c:100
    "#]],
    );
}

#[test]
fn tables_that_one_flush_wrote_count_once() {
    let mut policy = policy();
    policy.level0_trigger = 2;
    let mut version = tree("L0 9:q-r:50 8:a-p:50");
    assert!(pick(&version, &policy, &Busy::default()).is_some());
    let mut edit = version.as_edit();
    for (_, meta) in &mut edit.added {
        meta.run = 8;
    }
    version = crate::drawing::apply(&kv_compaction::Version::new(), &edit);
    assert_eq!((version.table_count(), version.level0_runs()), (2, 1));
    assert_eq!(pick(&version, &policy, &Busy::default()), None);
}

#[test]
fn the_level_furthest_over_its_target_comes_first() {
    busy_story(
        "L0 9:a-c:9 8:a-c:9 7:a-c:9 6:a-c:9
         L1 5:a-f:60 4:g-z:60
         L2 3:a-m:900 2:n-z:900",
        expect![[r#"
            L2 -> L3 move L2: 2 [n..z] (the level is over its target)
            L1 -> L2 rewrite L1: 5 4 L2: 3 [a..z] (the level is over its target)
            L2 -> L3 move L2: 100 [a..f\xff] (the level is over its target)
            L0 -> L1 rewrite L0: 9 8 7 6 [a..c] (level 0 is full)
            L1 102:a-c:36
            L2 101:g-z:510
            L3 100:a-f\xff:510 2:n-z:900
        "#]],
    );
}

#[test]
fn the_table_with_the_least_overlap_goes_then_the_oldest() {
    busy_story(
        "L1 1:a-d:50 2:e-h:50 3:i-l:50\n L2 4:a-f:100 5:g-h:10 6:i-j:5 7:k-m:5",
        expect![[r#"
            L1 -> L2 rewrite L1: 3 L2: 6 7 [i..m] (the level is over its target)
            L1 1:a-d:50 2:e-h:50
            L2 4:a-f:100 5:g-h:10 100:i-m:60
        "#]],
    );
    busy_story(
        "L1 3:a-d:50 2:e-h:50 4:i-l:50\n L2 6:b-c:30 5:f-g:30 7:j-k:30",
        expect![[r#"
        L1 -> L2 rewrite L1: 2 L2: 5 [e..h] (the level is over its target)
        L1 3:a-d:50 4:i-l:50
        L2 6:b-c:30 100:e-h:80 7:j-k:30
    "#]],
    );
}

#[test]
fn neighbours_that_cost_nothing_come_along() {
    busy_story(
        "L1 1:a-b:70 2:c-d:70 3:e-f:70 4:g-h:70\n L2 5:a-e:9 6:f-z:500",
        expect![[r#"
        L1 -> L2 rewrite L1: 1 2 L2: 5 [a..e] (the level is over its target)
        L1 -> L2 rewrite L1: 4 L2: 6 [f..z] (the level is over its target)
        L1 3:e-f:70
        L2 100:a-b\xff:74 101:c-e:74 102:f-f\xff:285 103:g-z:285
    "#]],
    );
}

#[test]
fn a_move_next_to_a_huge_overlap_is_a_rewrite_that_cuts() {
    busy_story(
        "L1 1:a-y:101\n L3 5:b-c:300 6:d-e:300",
        expect![[r#"
        L1 -> L2 rewrite L1: 1 [a..y] (the level is over its target)
        L2 100:a-y:101
        L3 5:b-c:300 6:d-e:300
    "#]],
    );
}

#[test]
fn deletes_make_a_table_weigh_more() {
    // 60 bytes with 50 % deletes count as 120.
    busy_story(
        "L1 2:a-z:60:50\n L2 1:a-z:100",
        expect![[r#"
        L1 -> L2 rewrite L1: 2 L2: 1 [a..z] (the level is over its target)
        L2 100:a-z:160
    "#]],
    );
    // 30 % are not yet many.
    busy_story(
        "L1 2:a-z:60:30\n L2 1:a-z:100",
        expect![[r#"
        L1 2:a-z:60:30
        L2 1:a-z:100
    "#]],
    );
}

#[test]
fn dense_deletes_go_where_they_can_be_dropped() {
    busy_story(
        "L1 5:a-c:9:90 4:d-e:9:40\n L4 3:b-b:50 2:c-z:50",
        expect![[r#"
        L1 -> L4 rewrite L1: 5 L4: 3 2 [a..z] (many deletes)
        L1 -> L4 rewrite L1: 4 L4: 101 [c..z] (many deletes)
        L4 100:a-b\xff:54 102:c-z:63
    "#]],
    );
    busy_story(
        "L6 3:a-c:50:31 2:d-z:50:30",
        expect![[r#"
        L6 -> L6 rewrite L6: 3 [a..c] (many deletes)
        L6 100:a-c:50 2:d-z:50:30
    "#]],
    );
}

#[test]
fn deletes_do_not_start_a_plan_that_is_too_large() {
    busy_story(
        "L1 5:a-z:9:90\n L2 3:a-z:1000\n L3 2:a-z:1300",
        expect![[r#"
        L1 -> L2 rewrite L1: 5 L2: 3 [a..z] (many deletes)
        L2 -> L3 rewrite L2: 100 L3: 2 [a..z] (the level is over its target)
        L3 101:a-z:2309
    "#]],
    );
    busy_story(
        "L1 5:a-z:9:90\n L3 2:a-z:1300",
        expect![[r#"
        L1 5:a-z:9:90
        L3 2:a-z:1300
    "#]],
    );
}

#[test]
fn an_idle_tree_merges_what_overlaps_in_level_0() {
    idle_story(
        "L0 9:a-d:9 8:b-f:9 7:x-z:9\n L1 1:a-c:50 2:d-g:50 3:u-y:50",
        expect![[r#"
        L1 -> L2 move L1: 1 [a..c] (the level is over its target)
        L0 -> L1 rewrite L0: 9 8 L1: 2 [a..g] (idle)
        L1 -> L2 move L1: 3 [u..y] (the level is over its target)
        L0 -> L1 move L0: 7 [x..z] (idle)
        L1 100:a-g:68 7:x-z:9
        L2 1:a-c:50 3:u-y:50
    "#]],
    );
    // A merge that would rewrite far more than it brings down can wait.
    idle_story(
        "L0 9:a-d:4 8:b-f:4\n L1 1:a-f:81",
        expect![[r#"
        L0 9:a-d:4 8:b-f:4
        L1 1:a-f:81
    "#]],
    );
    idle_story(
        "L0 9:a-d:9 8:m-p:9",
        expect![[r#"
        L0 -> L1 move L0: 9 [a..d] (idle)
        L0 -> L1 move L0: 8 [m..p] (idle)
        L1 9:a-d:9 8:m-p:9
    "#]],
    );
}

#[test]
fn a_trigger_of_nothing_compacts_always() {
    let policy = Policy { level0_trigger: 0, ..policy() };
    story(
        "L0 2:a-z:9\n L1 1:a-z:50",
        &policy,
        false,
        expect![[r#"
        L0 -> L1 rewrite L0: 2 L1: 1 [a..z] (level 0 is full)
        L1 100:a-z:59
    "#]],
    );
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let policy = Policy::default();
    let targets: Vec<u64> = (0..8).map(|level| policy.target_bytes(level) >> 20).collect();
    let unlimited = u64::MAX >> 20;
    assert_eq!(targets, [unlimited, 256, 2_560, 25_600, 256_000, 2_560_000, unlimited, unlimited]);
    assert_eq!(policy.overlap_limit_bytes(), 640 << 20);
    assert_eq!(policy.plan_limit_bytes(), 1600 << 20);
    assert_eq!(policy.level0_trigger, 4);
}
