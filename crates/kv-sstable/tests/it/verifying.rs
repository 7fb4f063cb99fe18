//! What a deep check finds although every checksum is right: the work of a
//! broken writer.

use kv_core::OwnedEntry;
use kv_sstable::{ReadMode, TableOptions, VerifyReport};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::forge::Parts;
use crate::support::{DATABASE_ID, accounts, disk_with, open, put, table_bytes};

/// Where the key stands in a block of one small entry.
const KEY_AT: usize = 4;

/// Where the sequence number stands in such a block.
const SEQNO_AT: usize = 3;

/// From the tag of the last entry to the end: tag, tail, compression byte.
const TAG_FROM_END: usize = 1 + 4 + 1;

/// What a deep check says of a table of which `spoil` has changed a part.
fn complaint(spoil: impl FnOnce(&mut Parts), block_bytes: usize) -> String {
    let entries: Vec<OwnedEntry> =
        (1..=6).map(|n| put(format!("k{n}"), 50 + n, format!("value {n}"))).collect();
    let options = TableOptions { block_bytes, restart_interval: 1, ..TableOptions::default() };
    let mut parts = Parts::of(&table_bytes(&options, &entries));
    spoil(&mut parts);
    // The filter passes every key, unless it is what was spoilt.
    if parts.filter[16..].iter().any(|byte| *byte != 0) {
        parts.filter[16..].fill(0xff);
    }
    let disk = disk_with(&parts.seal());
    let table = match open(&*disk.fs(), ReadMode::Pread) {
        Ok(table) => table,
        Err(error) => return error.to_string(),
    };
    table.verify(false).expect("all checksums are right");
    table.verify(true).expect_err("a deep check finds it").to_string()
}

fn tag(key: &[u8]) -> u8 {
    let seed = DATABASE_ID.0.first_chunk().expect("an id has sixteen bytes");
    xxh3_64_with_seed(key, u64::from_le_bytes(*seed)) as u8
}

/// What is complained of, and the change that causes it.
type Case = (&'static str, fn(&mut Parts));

#[test]
fn an_intact_table_is_reported_with_its_size() {
    let options = TableOptions { block_bytes: 200, ..TableOptions::default() };
    let disk = disk_with(&table_bytes(&options, &accounts(30)));
    let table = open(&*disk.fs(), ReadMode::Map).unwrap();
    let blocks = table.properties().blocks;
    assert!(blocks > 3);
    for deep in [false, true] {
        assert_eq!(table.verify(deep).unwrap(), VerifyReport { blocks, entries: 30 });
    }
}

#[test]
fn a_deep_check_finds_what_checksums_cannot() {
    let cases: [Case; 8] = [
        ("the hash index of the block contradicts its keys", |parts| {
            let at = parts.blocks[2].len() - TAG_FROM_END;
            parts.blocks[2][at] ^= 0xff;
        }),
        ("the filter denies a key of the block", |parts| parts.filter[16..].fill(0)),
        ("the block holds keys of the block before", |parts| parts.blocks[2][KEY_AT + 1] = b'2'),
        ("the block before holds keys of this block", |parts| {
            parts.blocks[2][KEY_AT + 1] = b'4';
            let at = parts.blocks[2].len() - TAG_FROM_END;
            parts.blocks[2][at] = tag(b"k4");
        }),
        ("the entries of the block leave gaps", |parts| parts.blocks[2].insert(KEY_AT + 9, 0)),
        ("the properties of the table contradict its entries", |parts| {
            parts.blocks[2][SEQNO_AT] = 99;
        }),
        ("the properties of the table contradict its entries", |parts| {
            let same_length = [b'k', b'6'];
            let properties = &mut parts.properties;
            let at = properties.windows(2).rposition(|bytes| bytes == same_length).unwrap();
            properties[at + 1] = b'7';
        }),
        ("the properties of the table contradict its index", |parts| {
            let separators = parts.index.len() - 12;
            assert_eq!(&parts.index[separators..separators + 2], b"k1");
            parts.index[separators + 1] = b'0';
        }),
    ];
    for (expected, spoil) in cases {
        let complaint = complaint(spoil, 1);
        assert!(complaint.contains(expected), "{complaint}, not {expected}");
    }
}

#[test]
fn a_deep_check_finds_keys_out_of_order_inside_a_block() {
    let complaint = complaint(
        |parts| {
            // The first of six entries takes the key of the second.
            parts.blocks[0][KEY_AT + 1] = b'2';
            let first_tag = parts.blocks[0].len() - TAG_FROM_END - 5;
            parts.blocks[0][first_tag] = tag(b"k2");
        },
        4096,
    );
    assert!(complaint.contains("the keys of the block are out of order"), "{complaint}");
}
