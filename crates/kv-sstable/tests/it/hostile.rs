//! Bytes that pass every checksum and yet were written by no builder: nothing
//! panics, loops or asks for more memory than the file justifies.

use kv_core::Cursor;
use kv_env::Fs;
use kv_sstable::{Compression, TableOptions};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::forge::Parts;
use crate::support::{
    MODES, PURPOSES, accounts, backwards, disk_with, forwards, get, is_damage, open, table_bytes,
};

/// Which part of the table is changed.
#[derive(Debug, Clone, Copy)]
enum Target {
    Block(u8),
    Filter,
    Index,
    Properties,
    FooterEnd,
}

/// What happens to it.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Truncate(Index),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Replace(Vec<u8>),
}

fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        5 => any::<u8>().prop_map(Target::Block),
        1 => Just(Target::Filter),
        3 => Just(Target::Index),
        2 => Just(Target::Properties),
        1 => Just(Target::FooterEnd),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        3 => (place(), prop_oneof![Just(0u8), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()])
            .prop_map(|(at, byte)| Change::Set(at, byte)),
        3 => (place(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => place().prop_map(Change::Truncate),
        1 => (place(), prop::collection::vec(any::<u8>(), 1..6))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => place().prop_map(Change::Remove),
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Change::Replace),
    ]
}

fn apply(parts: &mut Parts, target: Target, change: &Change) {
    let block_count = parts.blocks.len();
    let bytes = match target {
        Target::Block(number) => &mut parts.blocks[usize::from(number) % block_count],
        Target::Filter => &mut parts.filter,
        Target::Index => &mut parts.index,
        Target::Properties => &mut parts.properties,
        Target::FooterEnd => &mut parts.footer_end,
    };
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Set(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Change::Flip(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Change::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        Change::Insert(at, inserted) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, inserted.iter().copied());
        }
        Change::Remove(at) => {
            bytes.remove(at.index(bytes.len()));
        }
        Change::Replace(replacement) => bytes.clone_from(replacement),
    }
    // Parts of fixed size keep it, and a block keeps its compression byte.
    parts.footer_end.resize(4, 0);
    for block in &mut parts.blocks {
        if block.is_empty() {
            block.push(0);
        }
    }
}

/// Calls everything; any error must be the report of damage.
fn exercise(fs: &dyn Fs) {
    let mut keys: Vec<_> = accounts(60).into_iter().map(|entry| entry.key).collect();
    keys.extend([vec![], b"account:".to_vec(), vec![0xff; 9]]);
    for mode in MODES {
        let table = match open(fs, mode) {
            Ok(table) => table,
            Err(error) => {
                assert!(is_damage(&error), "{error}");
                continue;
            }
        };
        let damaged = |error| assert!(is_damage(&error), "{error}");
        for key in &keys {
            get(&table, key).err().map(damaged);
        }
        for purpose in PURPOSES {
            let mut cursor = table.cursor(purpose);
            forwards(&mut cursor).err().map(damaged);
            backwards(&mut cursor).err().map(damaged);
            for key in &keys {
                cursor.seek(key).err().map(damaged);
                if cursor.valid() {
                    assert_eq!(&*cursor.pinned_value(), cursor.value());
                    cursor.prev().err().map(damaged);
                }
                cursor.seek_before(key).err().map(damaged);
                if cursor.valid() {
                    cursor.next().err().map(damaged);
                }
            }
        }
        table.verify(true).err().map(damaged);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_cause_a_panic(
        is_compressed: bool,
        changes in prop::collection::vec((any_target(), any_change()), 1..4),
    ) {
        let compression = if is_compressed { Compression::Lz4 } else { Compression::None };
        let options = TableOptions {
            block_bytes: 300,
            restart_interval: 4,
            compression,
            ..TableOptions::default()
        };
        let mut parts = Parts::of(&table_bytes(&options, &accounts(60)));
        for (target, change) in &changes {
            apply(&mut parts, *target, change);
        }
        exercise(&*disk_with(&parts.seal()).fs());
    }
}

#[test]
fn a_decompression_bomb_is_refused_before_memory_is_asked_for() {
    let options = TableOptions { compression: Compression::Lz4, ..TableOptions::default() };
    let mut parts = Parts::of(&table_bytes(&options, &accounts(60)));
    assert_eq!(parts.blocks[0].last(), Some(&1), "the block is compressed");
    for raw_len in [(16 << 20) + 1, u32::MAX] {
        parts.blocks[0][..4].copy_from_slice(&raw_len.to_le_bytes());
        for mode in MODES {
            let table = open(&*disk_with(&parts.seal()).fs(), mode).unwrap();
            let error = get(&table, b"account:00001").unwrap_err();
            assert!(error.to_string().contains("over the limit"), "{error}");
        }
    }
}

#[test]
fn what_later_versions_may_write_is_told_from_damage() {
    let options = TableOptions { block_bytes: 1, ..TableOptions::default() };
    let parts = Parts::of(&table_bytes(&options, &accounts(3)));
    let read = |parts: &Parts| {
        let table = open(&*disk_with(&parts.seal()).fs(), MODES[0])?;
        get(&table, b"account:00000")
    };
    assert!(read(&parts).unwrap().is_some());
    let cases: [(&str, fn(&mut Parts)); 7] = [
        ("compression 2", |parts| *parts.blocks[0].last_mut().unwrap() = 2),
        ("block version 9", |parts| {
            let at = parts.blocks[0].len() - 2;
            parts.blocks[0][at] = 9;
        }),
        // The third header byte of the entry: nine bytes of value, and a kind.
        ("entry kind 6", |parts| parts.blocks[0][2] = 9 << 3 | 6),
        ("filter kind 2", |parts| parts.filter[5] = 2),
        ("table version 2", |parts| parts.footer_end[0] = 2),
        ("table flags 256", |parts| parts.footer_end[3] = 1),
        ("metadata record version 2", |parts| parts.properties[0] = 2),
    ];
    for (what, change) in cases {
        let mut parts = parts.clone();
        change(&mut parts);
        let error = read(&parts).unwrap_err();
        assert!(matches!(error, kv_core::Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}
