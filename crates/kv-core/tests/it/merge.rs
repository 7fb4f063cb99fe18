//! The merge of many cursors, against one sorted list.

use kv_core::{Cursor, Kind, MergeCursor, OwnedEntry, SeqNo, VecCursor};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Move {
    First,
    Last,
    Seek(u8),
    SeekBefore(u8),
    Next,
    Prev,
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        1 => Just(Move::First),
        1 => Just(Move::Last),
        1 => (0..12u8).prop_map(Move::Seek),
        1 => (0..12u8).prop_map(Move::SeekBefore),
        4 => Just(Move::Next),
        4 => Just(Move::Prev),
    ]
}

fn carry_out(cursor: &mut impl Cursor, step: &Move) {
    match step {
        Move::First => cursor.seek_to_first(),
        Move::Last => cursor.seek_to_last(),
        Move::Seek(key) => cursor.seek(&[*key]),
        Move::SeekBefore(key) => cursor.seek_before(&[*key]),
        Move::Next if cursor.valid() => cursor.next(),
        Move::Prev if cursor.valid() => cursor.prev(),
        _ => Ok(()),
    }
    .unwrap();
}

proptest! {
    #[test]
    fn many_cursors_move_as_one(
        // The source of each entry; its number is its position.
        entries in prop::collection::vec((0..12u8, 0..4usize), 0..40),
        steps in prop::collection::vec(any_move(), 1..60),
    ) {
        let mut sources = vec![Vec::new(); 4];
        let mut all = Vec::new();
        for (index, (key, source)) in entries.iter().enumerate() {
            let entry = OwnedEntry {
                key: vec![*key],
                seqno: SeqNo(index as u64),
                kind: Kind::Put,
                value: vec![*source as u8],
            };
            sources[*source].push(entry.clone());
            all.push(entry);
        }
        let mut merged = MergeCursor::new(sources.into_iter().map(VecCursor::new).collect());
        let mut expected = VecCursor::new(all);
        for step in &steps {
            carry_out(&mut merged, step);
            carry_out(&mut expected, step);
            prop_assert_eq!(merged.valid(), expected.valid(), "{:?}", step);
            if merged.valid() {
                prop_assert_eq!(merged.key(), expected.key());
                prop_assert_eq!(merged.seqno(), expected.seqno());
                prop_assert_eq!(merged.value(), expected.value());
            }
        }
    }
}
