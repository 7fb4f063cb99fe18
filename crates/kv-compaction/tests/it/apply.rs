//! Edits that cannot be meant are refused, and versions stay as they were.

use std::sync::Arc;

use expect_test::{Expect, expect};
use kv_compaction::{KeySpan, TableMeta, Version, VersionEdit};
use kv_core::{Error, SeqNo};

use crate::drawing::{apply, draw, table, tree};

const TREE: &str = "
    L0 9:c-p:10 8:a-d:10
    L1 5:a-f:100 6:g-z:100
    L2 1:a-z:1000
";

fn edit(added: Vec<(u32, TableMeta)>, removed: Vec<(u32, u64)>) -> VersionEdit {
    VersionEdit { added, removed, ..VersionEdit::default() }
}

fn refused(edit: &VersionEdit, expected: Expect) {
    let version = tree(TREE);
    let error = version.apply(edit, |meta| Ok(Arc::new(meta.clone()))).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
    expected.assert_eq(&error.to_string());
    assert_eq!(draw(&version), draw(&tree(TREE)));
}

#[test]
fn removing_what_is_not_there_is_refused() {
    refused(
        &edit(vec![], vec![(1, 7)]),
        expect!["the version edit is impossible: table 7 is not in level 1"],
    );
    refused(
        &edit(vec![], vec![(2, 5)]),
        expect!["the version edit is impossible: table 5 is not in level 2"],
    );
    refused(
        &edit(vec![], vec![(1, 5), (1, 5)]),
        expect!["the version edit is impossible: table 5 is removed twice"],
    );
    refused(
        &edit(vec![], vec![(7, 5)]),
        expect!["the version edit is impossible: there is no level 7"],
    );
}

#[test]
fn adding_twice_is_refused() {
    let new = table(20, "a", "b", 1);
    refused(
        &edit(vec![(3, new.clone()), (4, new.clone())], vec![]),
        expect!["the version edit is impossible: table 20 is added twice"],
    );
    refused(
        &edit(vec![(3, table(5, "a", "f", 100))], vec![]),
        expect!["the version edit is impossible: table 5 is in level 1 already"],
    );
    refused(
        &edit(vec![(u32::MAX, new)], vec![]),
        expect!["the version edit is impossible: there is no level 4294967295"],
    );
}

#[test]
fn overlap_in_a_run_is_refused() {
    refused(
        &edit(vec![(1, table(20, "f", "fa", 1))], vec![]),
        expect!["the version edit is impossible: tables 5 and 20 of a run overlap"],
    );
    refused(
        &edit(vec![(3, table(20, "a", "c", 1)), (3, table(21, "c", "d", 1))], vec![]),
        expect!["the version edit is impossible: tables 20 and 21 of a run overlap"],
    );
}

#[test]
fn open_recency_in_level_0_is_refused() {
    let mut new = table(20, "d", "e", 1);
    new.smallest_seqno = SeqNo(950);
    refused(
        &edit(vec![(0, new.clone())], vec![]),
        expect![
            "the version edit is impossible: it is open which of the level-0 tables 9 and 20 is newer"
        ],
    );
    // Beside the others in key space the same numbers are one flush's slices.
    (new.smallest_key, new.largest_key) = (b"q".to_vec(), b"z".to_vec());
    apply(&tree(TREE), &edit(vec![(0, new)], vec![]));
}

#[test]
fn impossible_tables_are_refused() {
    let new = || table(20, "a", "b", 1);
    let changed = |change: fn(&mut TableMeta)| {
        let mut meta = new();
        change(&mut meta);
        edit(vec![(3, meta)], vec![])
    };
    refused(
        &changed(|meta| meta.smallest_key = b"c".to_vec()),
        expect!["table 20 is impossible: its first key is behind its last"],
    );
    refused(
        &changed(|meta| meta.entries = 0),
        expect!["table 20 is impossible: its counts contradict each other"],
    );
    refused(
        &changed(|meta| meta.smallest_seqno = SeqNo(1 << 40)),
        expect!["table 20 is impossible: its sequence numbers are out of range"],
    );
    refused(
        &changed(|meta| meta.run = 21),
        expect!["table 20 is impossible: it is older than its run"],
    );
}

#[test]
fn a_moved_table_keeps_its_handle_and_may_not_change() {
    let version = tree(TREE);
    let moved = version.levels()[1][1].clone();
    let edit_of = |meta: TableMeta| edit(vec![(3, meta)], vec![(1, 6)]);
    let resolve_nothing = |meta: &TableMeta| panic!("table {} was opened again", meta.id);
    let next = version.apply(&edit_of((*moved).clone()), resolve_nothing).unwrap();
    assert!(Arc::ptr_eq(&next.levels()[3][0], &moved));
    assert_eq!(edit_of((*moved).clone()).obsolete_ids().count(), 0, "the file is still needed");
    assert_eq!(edit(vec![], vec![(1, 6)]).obsolete_ids().collect::<Vec<_>>(), [6]);
    assert!(Arc::ptr_eq(&next.levels()[2], &version.levels()[2]), "unchanged levels are shared");

    let mut other = (*moved).clone();
    other.file_bytes += 1;
    refused(
        &edit_of(other),
        expect!["the version edit is impossible: table 6 changes as it moves"],
    );
}

#[test]
fn an_error_of_resolve_is_passed_on() {
    let failing = |_: &TableMeta| Err(Error::corruption("sst_000020.db", 0, "no header"));
    let error = tree(TREE).apply(&edit(vec![(3, table(20, "a", "b", 1))], vec![]), failing);
    assert!(matches!(error, Err(Error::Corruption { .. })));
}

#[test]
fn level_0_is_ordered_by_age_whatever_the_order_of_edits() {
    let mut version = Version::new();
    for id in [4, 9, 2, 7] {
        version = apply(&version, &edit(vec![(0, table(id, "a", "z", 1))], vec![]));
    }
    assert_eq!(draw(&version), "L0 9:a-z:1 7:a-z:1 4:a-z:1 2:a-z:1\n");
}

#[test]
fn candidates_come_newest_first_and_only_where_the_key_can_be() {
    let version = tree(TREE);
    let ids = |key: &str| -> Vec<u64> {
        version.candidates(key.as_bytes()).map(|table| table.id).collect()
    };
    assert_eq!(ids("c"), [9, 8, 5, 1]);
    assert_eq!(ids("a"), [8, 5, 1]);
    assert_eq!(ids("f"), [9, 5, 1]);
    assert_eq!(ids("fz"), [9, 1], "between two tables of level 1");
    assert_eq!(ids("zz"), [] as [u64; 0]);
}

#[test]
fn overlapping_respects_every_kind_of_bound() {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let version = tree("L1 1:b-d:1 2:f-h:1 3:j-l:1");
    let ids = |start, end| -> Vec<u64> {
        version.overlapping(1, (start, end)).map(|table| table.id).collect()
    };
    assert_eq!(ids(Unbounded, Unbounded), [1, 2, 3]);
    assert_eq!(ids(Included(&b"d"[..]), Included(b"f")), [1, 2]);
    assert_eq!(ids(Excluded(&b"d"[..]), Excluded(b"f")), [] as [u64; 0]);
    assert_eq!(ids(Included(&b"g"[..]), Included(b"g")), [2]);
    assert_eq!(ids(Included(&b"z"[..]), Unbounded), [] as [u64; 0]);
    assert_eq!(ids(Included(&b"k"[..]), Excluded(b"c")), [] as [u64; 0], "upside down");
}

#[test]
fn coverage_of_deeper_levels_is_what_deletes_must_wait_for() {
    let version = tree("L1 1:a-z:1\n L2 2:c-e:1\n L3 3:d-g:1 4:p-q:1");
    let coverage = version.coverage(2, &KeySpan::new("a", "n"));
    for (key, held) in [("b", false), ("c", true), ("f", true), ("h", false), ("p", false)] {
        assert_eq!(coverage.may_hold(key.as_bytes()), held, "{key}");
    }
    assert!(version.coverage(4, &KeySpan::new("a", "z")).is_nothing());
}

#[test]
fn a_version_survives_as_one_edit_and_as_other_handles() {
    let version = tree(TREE);
    let again = apply(&Version::new(), &version.as_edit());
    assert_eq!(draw(&again), draw(&version));
    let mapped = version.try_map(|table| Ok(Arc::clone(table))).unwrap();
    assert_eq!(draw(&mapped), draw(&version));
    assert_eq!((version.table_count(), version.bytes(), version.level_bytes(1)), (5, 1220, 200));
    let failed = version.try_map(|_| Err::<Arc<TableMeta>, _>(Error::Closed));
    assert!(failed.is_err());
}
