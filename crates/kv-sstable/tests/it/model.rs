//! A table answers as an ordered map does.

use std::collections::BTreeMap;

use kv_core::{Cursor, Kind, OwnedEntry, SeqNo, VecCursor};
use kv_env::SimDisk;
use kv_sstable::{Compression, TableOptions};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::support::{MODES, NAME, PURPOSES, backwards, build, entry_at, forwards, get, open};

#[derive(Debug, Clone)]
enum Move {
    First,
    Last,
    Seek(Vec<u8>),
    SeekBefore(Vec<u8>),
    Next,
    Prev,
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    // Few letters and long runs: shared prefixes, prefixes of each other, and
    // keys that are equal in their first eight bytes.
    prop_oneof![
        vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0u8), Just(0xff)], 0..12),
        (0u32..2000).prop_map(|number| format!("account:{number:06}").into_bytes()),
        vec(any::<u8>(), 0..20),
    ]
}

fn any_value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        1 => Just(None),
        4 => vec(any::<u8>(), 0..40).prop_map(Some),
        2 => (any::<u8>(), 0usize..600).prop_map(|(byte, len)| Some(vec![byte; len])),
    ]
}

fn any_entries() -> impl Strategy<Value = Vec<OwnedEntry>> {
    btree_map(any_key(), (any_value(), 0..SeqNo::MAX.0), 1..120).prop_map(|map| {
        map.into_iter()
            .map(|(key, (value, seqno))| OwnedEntry {
                key,
                seqno: SeqNo(seqno),
                kind: if value.is_some() { Kind::Put } else { Kind::Delete },
                value: value.unwrap_or_default(),
            })
            .collect()
    })
}

fn any_options() -> impl Strategy<Value = TableOptions> {
    (
        prop_oneof![Just(1usize), 20usize..300, Just(4096), Just(65_536)],
        prop_oneof![1usize..20, Just(255)],
        prop_oneof![Just(Compression::None), Just(Compression::Lz4)],
        prop_oneof![Just(0u8), Just(10), Just(32)],
    )
        .prop_map(|(block_bytes, restart_interval, compression, filter_bits_per_key)| {
            TableOptions {
                block_bytes,
                restart_interval,
                compression,
                filter_bits_per_key,
                sync_every_bytes: 1 << 20,
            }
        })
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        1 => Just(Move::First),
        1 => Just(Move::Last),
        3 => any_key().prop_map(Move::Seek),
        3 => any_key().prop_map(Move::SeekBefore),
        10 => Just(Move::Next),
        10 => Just(Move::Prev),
    ]
}

fn apply(cursor: &mut impl Cursor, step: &Move) {
    match step {
        Move::First => cursor.seek_to_first().unwrap(),
        Move::Last => cursor.seek_to_last().unwrap(),
        Move::Seek(key) => cursor.seek(key).unwrap(),
        Move::SeekBefore(key) => cursor.seek_before(key).unwrap(),
        Move::Next if cursor.valid() => cursor.next().unwrap(),
        Move::Prev if cursor.valid() => cursor.prev().unwrap(),
        Move::Next | Move::Prev => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_table_answers_as_an_ordered_map(
        entries in any_entries(),
        options in any_options(),
        absent in vec(any_key(), 0..20),
        moves in vec(any_move(), 0..80),
    ) {
        let disk = SimDisk::new(1);
        let fs = disk.fs();
        let summary = build(&*fs, &options, &entries);
        prop_assert_eq!(summary.file_bytes, disk.read_file(NAME).unwrap().len() as u64);
        prop_assert_eq!(&summary.largest_key, &entries[entries.len() - 1].key);
        let map: BTreeMap<_, _> = entries.iter().map(|entry| (&entry.key, entry)).collect();
        for mode in MODES {
            let table = open(&*fs, mode).unwrap();
            prop_assert_eq!(table.read_mode(), mode);
            prop_assert_eq!(table.summary(), &summary);
            for key in absent.iter().chain(map.keys().copied()) {
                let found = get(&table, key).unwrap();
                prop_assert_eq!(found.as_ref(), map.get(key).copied(), "{:?} by {:?}", key, mode);
            }
            for purpose in PURPOSES {
                prop_assert_eq!(&forwards(&mut table.cursor(purpose)).unwrap(), &entries);
                prop_assert_eq!(&backwards(&mut table.cursor(purpose)).unwrap(), &entries);
                let mut model = VecCursor::new(entries.clone());
                let mut cursor = table.cursor(purpose);
                for step in &moves {
                    apply(&mut model, step);
                    apply(&mut cursor, step);
                    prop_assert_eq!(entry_at(&cursor), entry_at(&model), "after {:?}", step);
                    if cursor.valid() {
                        prop_assert_eq!(&*cursor.pinned_value(), cursor.value());
                    }
                }
            }
            let report = table.verify(true).unwrap();
            prop_assert_eq!(report.entries, entries.len() as u64);
        }
        prop_assert_eq!(disk.violations(), Vec::<String>::new());
    }
}
