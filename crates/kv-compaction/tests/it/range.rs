//! Range compactions, step by step.

use std::ops::Bound;

use expect_test::{Expect, expect};
use kv_compaction::{Busy, KeyBounds, RangeCompaction, RangePick, TableMeta, VersionEdit};

use crate::drawing::{apply, carry_out, draw, policy, table, tree};

const ALL: KeyBounds<'static> = (Bound::Unbounded, Bound::Unbounded);

fn story(drawing: &str, range: KeyBounds<'_>, rewrite_all: bool, expected: Expect) {
    let mut version = tree(drawing);
    let compaction = RangeCompaction::new(&version, range, rewrite_all);
    let mut next_id = 100;
    let mut story = String::new();
    loop {
        match compaction.pick(&version, &policy(), &Busy::default()) {
            RangePick::Done => break,
            RangePick::Blocked => panic!("nothing is running"),
            RangePick::Plan(plan) => {
                story.push_str(&format!("{plan}\n"));
                version = carry_out(&version, &plan, &policy(), &mut next_id);
            }
        }
    }
    expected.assert_eq(&format!("{story}{}", draw(&version)));
}

#[test]
fn everything_comes_to_lie_in_one_level() {
    story(
        "L0 9:a-c:9 8:b-d:9 7:x-z:9\n L1 6:a-m:20 5:n-p:20\n L3 2:a-f:50 1:g-z:50",
        ALL,
        false,
        expect![[r#"
            L0 -> L1 rewrite L0: 9 8 L1: 6 [a..m] (asked for)
            L0 -> L1 move L0: 7 [x..z] (asked for)
            L1 -> L2 move L1: 100 [a..m] (asked for)
            L1 -> L2 move L1: 5 [n..p] (asked for)
            L1 -> L2 move L1: 7 [x..z] (asked for)
            L2 -> L3 rewrite L2: 100 5 7 L3: 2 1 [a..z] (asked for)
            L3 101:a-m\xff:83 102:n-z:83
        "#]],
    );
}

#[test]
fn a_tree_of_level_0_alone_gets_a_level_1() {
    story(
        "L0 9:a-c:9 8:b-d:9 7:x-z:9",
        ALL,
        false,
        expect![[r#"
        L0 -> L1 rewrite L0: 9 8 [a..d] (asked for)
        L0 -> L1 move L0: 7 [x..z] (asked for)
        L1 100:a-d:18 7:x-z:9
    "#]],
    );
    story("", ALL, true, expect![[""]]);
}

#[test]
fn tables_outside_the_range_stay() {
    let range = (Bound::Included(&b"c"[..]), Bound::Excluded(&b"g"[..]));
    story(
        "L0 9:a-b:9 8:f-h:9 7:g-z:9\n L1 6:a-b:20 5:c-d:20 4:e-f:20 3:g-k:20\n L2 2:a-z:50",
        range,
        false,
        expect![[r#"
            L0 -> L1 rewrite L0: 8 7 L1: 4 3 [e..z] (asked for)
            L1 -> L2 rewrite L1: 6 5 100 L2: 2 [a..z] (asked for)
            L0 9:a-b:9
            L2 101:a-d\xff:74 102:e-z:74
        "#]],
    );
}

#[test]
fn deletes_at_the_bottom_are_dropped_in_place() {
    story(
        "L2 3:a-c:20:5 2:d-f:20 1:g-i:20:9",
        ALL,
        false,
        expect![[r#"
        L2 -> L2 rewrite L2: 3 [a..c] (asked for)
        L2 -> L2 rewrite L2: 1 [g..i] (asked for)
        L2 100:a-c:20 2:d-f:20 101:g-i:20
    "#]],
    );
}

#[test]
fn all_is_rewritten_once_if_asked_for() {
    story(
        "L2 3:a-c:20 2:d-f:20 1:g-i:20",
        ALL,
        true,
        expect![[r#"
        L2 -> L2 rewrite L2: 3 2 1 [a..i] (asked for)
        L2 100:a-i:60
    "#]],
    );
}

#[test]
fn writes_that_come_later_are_left_alone() {
    let version = tree("L0 9:a-c:9\n L1 6:a-m:20");
    let compaction = RangeCompaction::new(&version, ALL, true);
    let RangePick::Plan(plan) = compaction.pick(&version, &policy(), &Busy::default()) else {
        panic!("there is work")
    };
    let mut next_id = 100;
    let version = carry_out(&version, &plan, &policy(), &mut next_id);
    let added = vec![(0, table(200, "a", "z", 9))];
    let version = apply(&version, &VersionEdit { added, ..VersionEdit::default() });
    assert_eq!(compaction.pick(&version, &policy(), &Busy::default()), RangePick::Done);
}

/// At each step a writer has a table that is full of deletes moved to the bottom:
/// what it deletes is none of this compaction's business.
#[test]
fn a_writer_that_never_pauses_does_not_keep_it_from_ending() {
    let mut version = tree("L0 9:a-c:9\n L1 6:a-m:20:5 5:n-p:20:5");
    let compaction = RangeCompaction::new(&version, ALL, false);
    let mut next_id = 100;
    let mut story = String::new();
    for round in 0..50 {
        match compaction.pick(&version, &policy(), &Busy::default()) {
            RangePick::Done => break,
            RangePick::Blocked => panic!("nothing is running"),
            RangePick::Plan(plan) => {
                story.push_str(&format!("{plan}\n"));
                version = carry_out(&version, &plan, &policy(), &mut next_id);
            }
        }
        let key = format!("z{round:02}");
        let new = TableMeta { deletes: 50, ..table(200 + round, &key, &key, 9) };
        let added = vec![(1, new)];
        version = apply(&version, &VersionEdit { added, ..VersionEdit::default() });
    }
    expect![[r#"
        L0 -> L1 rewrite L0: 9 L1: 6 [a..m] (asked for)
        L1 -> L1 rewrite L1: 5 [n..p] (asked for)
    "#]]
    .assert_eq(&story);
}

#[test]
fn running_plans_block_and_then_free_the_way() {
    let version = tree("L0 9:a-c:9 8:b-d:9");
    let compaction = RangeCompaction::new(&version, ALL, false);
    let mut busy = Busy::default();
    let RangePick::Plan(plan) = compaction.pick(&version, &policy(), &busy) else {
        panic!("there is work")
    };
    busy.begin(&plan);
    assert_eq!(compaction.pick(&version, &policy(), &busy), RangePick::Blocked);
    busy.end(&plan);
    assert_eq!(compaction.pick(&version, &policy(), &busy), RangePick::Plan(plan));
}
