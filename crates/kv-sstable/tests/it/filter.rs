//! How often a filter is wrong.

use kv_env::SimDisk;
use kv_sstable::{KeyHash, ReadMode, TableOptions};

use crate::support::{build, open, put};

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
        assert!(table.may_contain(KeyHash::of(&entry.key)), "a filter never denies a key");
    }
    let passed = (0..PROBES)
        .filter(|n| table.may_contain(KeyHash::of(format!("absent:{n:09}").as_bytes())))
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
