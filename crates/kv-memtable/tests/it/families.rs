//! Many keys of the shapes that stress a tree of key heads: trees of several
//! levels, in every order of insertion, against a sorted list.

use std::collections::BTreeSet;
use std::sync::Arc;

use kv_core::{Cursor, Kind, SeqNo};
use kv_memtable::{ArenaPool, Memtable};

const KEYS: u64 = if cfg!(miri) { 300 } else { 20_000 };

/// A permutation of 64-bit numbers.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The keys of one shape, in no order.
pub(crate) fn family(name: &str, count: u64) -> Vec<Vec<u8>> {
    let key_of: fn(u64) -> Vec<u8> = match name {
        "random" => |number| mix(number).to_be_bytes().to_vec(),
        "decimal" => |number| format!("account:{number:012}").into_bytes(),
        // Every key is the start of the next one.
        "nested" => |number| vec![b'n'; number as usize % 2000],
        // Sixteen bytes alike, then two letters: heads tell little apart.
        "letters" => |number| {
            let tail = (0..40).map(|bit| b'a' + (mix(number) >> bit & 1) as u8);
            b"sixteen bytes: ".iter().copied().chain(tail).collect()
        },
        // Zero bytes at the end, which look like the padding of a head.
        "zeros" => {
            |number| [&mix(number % 97).to_be_bytes()[..], &vec![0; number as usize % 40]].concat()
        }
        _ => unreachable!("no such family"),
    };
    let keys: BTreeSet<Vec<u8>> = (0..count).map(key_of).collect();
    keys.into_iter().collect()
}

const FAMILIES: [&str; 5] = ["random", "decimal", "nested", "letters", "zeros"];

fn fill(keys: &[Vec<u8>]) -> Arc<Memtable> {
    let (table, mut writer) = Memtable::create(&ArenaPool::new(0), SeqNo(0));
    for (key, seqno) in keys.iter().zip(1..) {
        writer.insert(SeqNo(seqno), Kind::Put, key, key);
    }
    table
}

fn check(table: &Arc<Memtable>, sorted: &[Vec<u8>]) {
    let mut cursor = table.cursor();
    cursor.seek_to_first().unwrap();
    for key in sorted {
        assert_eq!(&*table.get(key, SeqNo::MAX).expect("inserted").value, key.as_slice());
        assert_eq!((cursor.key(), cursor.value()), (key.as_slice(), key.as_slice()));
        cursor.next().unwrap();
    }
    assert!(!cursor.valid());
    cursor.seek_to_last().unwrap();
    for key in sorted.iter().rev() {
        assert_eq!(cursor.key(), key.as_slice());
        cursor.prev().unwrap();
    }
    assert!(!cursor.valid());
}

/// Looks between the keys: right behind each of them, and anywhere.
fn check_absent(table: &Arc<Memtable>, sorted: &[Vec<u8>]) {
    let behind = sorted.iter().map(|key| [key.as_slice(), &[0]].concat());
    let anywhere = (0..KEYS).map(|number| mix(!number).to_be_bytes().to_vec());
    let mut cursor = table.cursor();
    for key in behind.chain(anywhere).step_by(7) {
        let at = sorted.partition_point(|other| *other < key);
        let present = sorted.get(at) == Some(&key);
        assert_eq!(table.get(&key, SeqNo::MAX).is_some(), present);
        cursor.seek(&key).unwrap();
        assert_eq!(cursor.valid().then(|| cursor.key()), sorted.get(at).map(|key| &key[..]));
        cursor.seek_before(&key).unwrap();
        let before = at.checked_sub(1).map(|before| &sorted[before][..]);
        assert_eq!(cursor.valid().then(|| cursor.key()), before);
    }
}

#[test]
fn every_family_in_every_order() {
    for name in FAMILIES {
        let sorted = family(name, KEYS);
        let mut shuffled = sorted.clone();
        shuffled.sort_by_cached_key(|key| {
            mix(key.iter().fold(1, |sum, &byte| mix(sum + u64::from(byte))))
        });
        let falling: Vec<_> = sorted.iter().rev().cloned().collect();
        for order in [&sorted, &falling, &shuffled] {
            let table = fill(order);
            check(&table, &sorted);
            check_absent(&table, &sorted);
        }
    }
}

/// The shared prefix shrinks again and again while the tree is already deep.
#[test]
fn families_one_after_the_other() {
    let mut keys: Vec<Vec<u8>> = family("letters", KEYS / 4);
    keys.extend(family("decimal", KEYS / 4));
    keys.extend(family("nested", KEYS / 4));
    keys.extend(family("random", KEYS / 4));
    let mut sorted = keys.clone();
    sorted.sort();
    let table = fill(&keys);
    check(&table, &sorted);
    check_absent(&table, &sorted);
}

/// Sorted runs that take turns: each appends in the middle of the tree.
#[test]
fn rising_keys_in_several_places_at_once() {
    let run = |name: &'static str| (0..KEYS / 4).map(move |number| format!("{name}{number:09}"));
    let turns = run("a").zip(run("m")).zip(run("z"));
    let keys: Vec<Vec<u8>> =
        turns.flat_map(|((a, m), z)| [m, z, a]).map(String::into_bytes).collect();
    let mut sorted = keys.clone();
    sorted.sort();
    let table = fill(&keys);
    check(&table, &sorted);
    let full = 24 * sorted.len() * 3;
    assert!(table.bytes() < full + sorted.len() * 64, "rising keys leave full leaves behind");
}
