//! How often a filter is wrong, also for keys that were chosen to fool it.

use std::sync::Arc;

use kv_core::{DatabaseId, FileHeader, OwnedEntry};
use kv_env::SimDisk;
use kv_sstable::{BlockCache, ExpectedTable, KeyHash, ReadMode, Table, TableOptions};
use xxhash_rust::xxh3::xxh3_64;

use crate::support::{DATABASE_ID, FILE_ID, NAME, build, build_as, expected, header, open, put};

const KEYS: u64 = 20_000;
const PROBES: u64 = 100_000;

/// Absent keys per million that the filter lets pass.
fn false_positives_per_million(filter_bits_per_key: u8) -> u64 {
    let disk = SimDisk::new(1);
    let options = TableOptions { filter_bits_per_key, ..TableOptions::default() };
    let entries: Vec<_> = (0..KEYS).map(|n| put(format!("present:{n:09}"), n, "")).collect();
    build(&*disk.fs(), &options, &entries);
    let table = open(&*disk.fs(), ReadMode::Pread).unwrap();
    for entry in &entries {
        assert!(
            table.may_contain(KeyHash::of(DATABASE_ID, &entry.key)),
            "a filter never denies a key"
        );
    }
    let passed = (0..PROBES)
        .filter(|n| {
            table.may_contain(KeyHash::of(DATABASE_ID, format!("absent:{n:09}").as_bytes()))
        })
        .count() as u64;
    passed * 1_000_000 / PROBES
}

#[test]
fn false_positives_stay_within_what_the_options_promise() {
    for (bits_per_key, most_per_million) in
        [(4, 180_000), (6, 80_000), (8, 35_000), (10, 20_000), (14, 5_000), (16, 3_000)]
    {
        let rate = false_positives_per_million(bits_per_key);
        assert!(rate <= most_per_million, "{bits_per_key} bits: {rate} per million");
        assert!(rate > 0, "{bits_per_key} bits: a filter that never errs was not asked");
    }
}

#[test]
fn without_a_filter_every_key_may_be_there() {
    assert_eq!(false_positives_per_million(0), 1_000_000);
}

/// A table of `entries` in some database; its file has the same uid in all.
fn table_of(database_id: DatabaseId, entries: &[OwnedEntry]) -> Arc<Table> {
    let disk = SimDisk::new(1);
    let header = FileHeader { database_id, ..header(FILE_ID) };
    let summary =
        build_as(&*disk.fs(), NAME, header, &TableOptions::default(), entries).expect("in order");
    let expected = ExpectedTable { database_id, ..expected(summary.file_bytes) };
    Table::open(&*disk.fs(), NAME, expected, ReadMode::Pread, BlockCache::new(0)).expect("intact")
}

/// How many of `keys` the filter of `table` lets pass.
fn passing<'a>(table: &Table, keys: impl IntoIterator<Item = &'a Vec<u8>>) -> usize {
    let database_id = table.header().database_id;
    keys.into_iter().filter(|key| table.may_contain(KeyHash::of(database_id, key))).count()
}

/// A key of 32 bytes whose unseeded XXH3 does not depend on `number`: the first
/// eight bytes are the first of the hash's public secret, which multiplies the
/// next eight by zero.
fn colliding_key(number: u64) -> Vec<u8> {
    let annihilator = 0xbe4b_a423_396c_feb8_u64.to_le_bytes();
    [&annihilator[..], &number.to_le_bytes(), &[0; 16]].concat()
}

#[test]
fn keys_made_to_share_an_unseeded_hash_fool_no_filter() {
    let absent: Vec<Vec<u8>> = (1..=10_000).map(colliding_key).collect();
    let hash = xxh3_64(&colliding_key(0));
    assert!(absent.iter().all(|key| xxh3_64(key) == hash), "they are what they should be");
    let table = table_of(DATABASE_ID, &[put(colliding_key(0), 1, "present")]);
    let passed = passing(&table, &absent);
    assert!(passed < 200, "{passed} of {} pass a filter of one key", absent.len());
}

#[test]
fn keys_that_fool_the_filter_of_one_database_are_nothing_special_in_another() {
    let entries: Vec<_> = (0..KEYS).map(|n| put(format!("present:{n:09}"), n, "")).collect();
    let (one, other) = (table_of(DATABASE_ID, &entries), table_of(DatabaseId([5; 16]), &entries));
    let hash_in_one = |key: &Vec<u8>| KeyHash::of(DATABASE_ID, key);
    let fooling: Vec<Vec<u8>> = (0..PROBES)
        .map(|n| format!("absent:{n:09}").into_bytes())
        .filter(|key| one.may_contain(hash_in_one(key)))
        .collect();
    assert!(fooling.len() > 500, "{} were found by trial", fooling.len());
    let passed = passing(&other, &fooling);
    assert!(50 * passed < 2 * fooling.len(), "{passed} of {} pass both", fooling.len());
}
