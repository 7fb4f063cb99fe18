//! Bytes that pass every checksum and yet were written by no builder: nothing
//! panics, loops or asks for more memory than the file justifies.

use kv_core::Cursor;
use kv_env::Fs;
use kv_sstable::{Compression, TableOptions};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::forge::Parts;
use crate::support::{
    MODES, PURPOSES, accounts, backwards, delete, disk_with, forwards, get, is_damage, open, put,
    table_bytes,
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

/// What is complained of, and the change that causes it.
type Case<'a, Part> = (&'static str, &'a dyn Fn(&mut Part));

/// Where it is changed: heads and tails hold the lengths.
#[derive(Debug, Clone)]
enum Place {
    Start(usize),
    End(usize),
    Anywhere(Index),
}

impl Place {
    fn index(&self, len: usize) -> usize {
        match self {
            Place::Start(at) => (*at).min(len - 1),
            Place::End(at) => len.saturating_sub(1 + *at),
            Place::Anywhere(at) => at.index(len),
        }
    }
}

/// What happens to it.
#[derive(Debug, Clone)]
enum Change {
    Set(Place, u8),
    Flip(Place, u8),
    Truncate(Place),
    Insert(Place, Vec<u8>),
    Remove(Place),
    Replace(Vec<u8>),
}

fn any_place() -> impl Strategy<Value = Place> {
    prop_oneof![
        1 => (0usize..16).prop_map(Place::Start),
        1 => (0usize..16).prop_map(Place::End),
        2 => any::<Index>().prop_map(Place::Anywhere),
    ]
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
    let place = any_place;
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
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2000 }))]

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

/// A table of one block: "ab" and "abc" in one group, "b" deleted.
fn three_entries() -> Parts {
    let entries = [put("ab", 1, "11"), put("abc", 2, "22"), delete("b", 3)];
    Parts::of(&table_bytes(&TableOptions::default(), &entries))
}

#[test]
fn every_rule_of_a_block_is_insisted_on() {
    let parts = three_entries();
    // Entries of 8, 7 and 5 bytes, three offsets, three tags, the tail.
    assert_eq!(parts.blocks[0].len(), 8 + 7 + 5 + 6 + 3 + 4 + 1);
    let tail = parts.blocks[0].len() - 1 - 4;
    let cases: [(&str, usize, &[u8]); 9] = [
        ("the first key of a group is not whole", 0, &[1]),
        ("a key shares more than its group has", 8, &[3]),
        ("an entry reaches beyond the entries", 9, &[200, 1]),
        ("an entry reaches beyond the entries", 10, &[0x71]),
        ("a key is over the limit", 8, &[0xff, 0xff, 0x7f]),
        ("the header of an entry is cut off", 15, &[0x80, 0x80, 0x80, 0x80, 0x80]),
        ("a delete has a value", 16, &[0, 1 << 3]),
        ("the block has no entries", tail, &[0]),
        ("the block has less room than its entry count needs", tail, &[0xff, 0xff]),
    ];
    for (what, at, bytes) in cases {
        let mut parts = parts.clone();
        parts.blocks[0][at..at + bytes.len()].copy_from_slice(bytes);
        let table = open(&*disk_with(&parts.seal()).fs(), MODES[0]).unwrap();
        let error = forwards(&mut table.cursor(PURPOSES[0])).unwrap_err();
        assert!(error.to_string().contains(what), "{error}, not {what}");
        let error = backwards(&mut table.cursor(PURPOSES[0])).unwrap_err();
        assert!(is_damage(&error), "{error}");
    }
}

/// Complaint of a table when it is opened.
fn refusal(bytes: &[u8]) -> String {
    open(&*disk_with(bytes).fs(), MODES[0]).expect_err("it is refused").to_string()
}

#[test]
fn every_rule_of_the_index_is_insisted_on() {
    let options = TableOptions { block_bytes: 1, ..TableOptions::default() };
    let parts = Parts::of(&table_bytes(&options, &accounts(3)));
    // Three lengths, three checksums, three ends, three separators.
    let (lens, ends, separators) = (8, 8 + 24, 8 + 36);
    assert_eq!(&parts.index[separators..separators + 8], b"account:");
    let cases: [Case<Vec<u8>>; 9] = [
        ("the index is shorter than its header", &|index| index.truncate(7)),
        ("the index has another length than it says", &|index| index[0] = 0),
        ("the index has another length than it says", &|index| index[0] = 4),
        ("the index has another length than it says", &|index| index.push(0)),
        ("the blocks of the index do not fill the data", &|index| index[lens] -= 1),
        ("the blocks of the index do not fill the data", &|index| index[lens + 7] = 0xff),
        ("the separators of the index overlap", &|index| index[ends] = 0xff),
        ("the separators of the index have another length", &|index| index[ends + 8] -= 1),
        ("the separators of the index are out of order", &|index| index[separators] = b'b'),
    ];
    for (what, change) in cases {
        let refusal = refusal(&parts.seal_with(change, |_| {}));
        assert!(refusal.contains(what), "{refusal}, not {what}");
    }
}

#[test]
fn a_table_without_blocks_is_refused() {
    let mut parts = Parts::of(&table_bytes(&TableOptions::default(), &accounts(3)));
    parts.blocks.clear();
    parts.index = vec![0; 8];
    let refusal = refusal(&parts.seal());
    assert!(refusal.contains("the index has another length than it says"), "{refusal}");
}

#[test]
fn every_rule_of_the_filter_is_insisted_on() {
    let parts = Parts::of(&table_bytes(&TableOptions::default(), &accounts(3)));
    let cases: [Case<Vec<u8>>; 6] = [
        ("the filter is shorter than its header", &|filter| filter.truncate(15)),
        ("impossible number of probes", &|filter| filter[4] = 0),
        ("impossible number of probes", &|filter| filter[4] = 8),
        ("the filter has another length than it says", &|filter| filter[0] = 2),
        ("the filter has another length than it says", &|filter| filter.push(0)),
        ("the filter has another length than it says", &|filter| {
            filter[0] = 0;
            filter.truncate(16);
        }),
    ];
    for (what, change) in cases {
        let mut parts = parts.clone();
        change(&mut parts.filter);
        let refusal = refusal(&parts.seal());
        assert!(refusal.contains(what), "{refusal}, not {what}");
    }
}

#[test]
fn every_rule_of_the_footer_is_insisted_on() {
    let options = TableOptions { filter_bits_per_key: 0, ..TableOptions::default() };
    let parts = Parts::of(&table_bytes(&options, &accounts(3)));
    // Sixteen bytes a section: offset, length, checksum.
    let cases: [Case<[u8]>; 7] = [
        ("do not follow each other", &|footer| footer[0] ^= 1),
        ("do not follow each other", &|footer| footer[7] = 0xff),
        ("do not follow each other", &|footer| footer[8] = 1),
        ("do not follow each other", &|footer| footer[16 + 11] = 0xff),
        ("do not follow each other", &|footer| footer[32] ^= 1),
        ("do not follow each other", &|footer| footer[32 + 8] ^= 1),
        ("overlap its header", &|footer| {
            let index: [u8; 4] = footer[16..20].try_into().unwrap();
            footer[..8].fill(0);
            footer[8..12].copy_from_slice(&index);
        }),
    ];
    for (what, change) in cases {
        let refusal = refusal(&parts.seal_with(|_| {}, change));
        assert!(refusal.contains(what), "{refusal}, not {what}");
    }
}

#[test]
fn a_compressed_block_keeps_to_its_length() {
    let options = TableOptions { compression: Compression::Lz4, ..TableOptions::default() };
    let parts = Parts::of(&table_bytes(&options, &accounts(60)));
    let raw_len = u32::from_le_bytes(parts.blocks[0][..4].try_into().unwrap());
    for wrong_len in [0, raw_len - 1, raw_len + 1] {
        let mut parts = parts.clone();
        parts.blocks[0][..4].copy_from_slice(&wrong_len.to_le_bytes());
        for mode in MODES {
            let table = open(&*disk_with(&parts.seal()).fs(), mode).unwrap();
            let error = get(&table, b"account:00001").unwrap_err();
            assert!(error.to_string().contains("the compressed block"), "{error}");
        }
    }
}

#[test]
fn a_decompression_bomb_is_refused_before_memory_is_asked_for() {
    let options = TableOptions { compression: Compression::Lz4, ..TableOptions::default() };
    let mut parts = Parts::of(&table_bytes(&options, &accounts(60)));
    assert_eq!(parts.blocks[0].last(), Some(&1), "the block is compressed");
    let stored_len = parts.blocks[0].len() as u32;
    let cases = [
        ((16 << 20) + 1, "over the limit"),
        (u32::MAX, "over the limit"),
        (16 << 20, "too short for its length"),
        (255 * stored_len, "too short for its length"),
    ];
    for (raw_len, what) in cases {
        parts.blocks[0][..4].copy_from_slice(&raw_len.to_le_bytes());
        for mode in MODES {
            let table = open(&*disk_with(&parts.seal()).fs(), mode).unwrap();
            let error = get(&table, b"account:00001").unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
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
    let cases: [Case<Parts>; 7] = [
        ("compression 2", &|parts| *parts.blocks[0].last_mut().unwrap() = 2),
        ("block version 9", &|parts| {
            let at = parts.blocks[0].len() - 2;
            parts.blocks[0][at] = 9;
        }),
        // The third header byte of the entry: nine bytes of value, and a kind.
        ("entry kind 6", &|parts| parts.blocks[0][2] = 9 << 3 | 6),
        ("filter kind 2", &|parts| parts.filter[5] = 2),
        ("table version 2", &|parts| parts.footer_end[0] = 2),
        ("table flags 256", &|parts| parts.footer_end[3] = 1),
        ("metadata record version 2", &|parts| parts.properties[0] = 2),
    ];
    for (what, change) in cases {
        let mut parts = parts.clone();
        change(&mut parts);
        let error = read(&parts).unwrap_err();
        assert!(matches!(error, kv_core::Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}
