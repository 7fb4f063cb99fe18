//! Bytes that are not what was written: an error or the right answer, never a
//! wrong one, and never a panic.

use std::sync::Arc;

use kv_core::{Cursor, Error, FILE_HEADER_BYTES, FileHeader, OwnedEntry};
use kv_env::SimDisk;
use kv_sstable::{BlockCache, Compression, ReadMode, Table, TableOptions};

use crate::support::{
    FILE_ID, MODES, NAME, PURPOSES, accounts, backwards, build, build_as, disk_with, expected,
    forwards, get, header, is_damage, open, put, table_bytes,
};

/// Three blocks and a filter in half a kilobyte.
fn small_table(compression: Compression) -> (Vec<u8>, Vec<OwnedEntry>) {
    let mut entries = accounts(14);
    entries.push(put("b", 900, [b'x'; 90]));
    let options = TableOptions {
        block_bytes: 200,
        restart_interval: 4,
        compression,
        ..TableOptions::default()
    };
    (table_bytes(&options, &entries), entries)
}

/// Asks everything of a table that may be damaged. Answers must be right;
/// true if each of them was one.
fn answers_rightly(table: &Arc<Table>, entries: &[OwnedEntry]) -> bool {
    let mut all_answered = true;
    let mut note = |answered: Result<(), Error>| {
        if let Err(error) = answered {
            assert!(is_damage(&error), "{error}");
            all_answered = false;
        }
    };
    for entry in entries {
        note(get(table, &entry.key).map(|found| assert_eq!(found.as_ref(), Some(entry))));
    }
    for absent in [&b"account:"[..], b"account:00003+", b"", b"zzz"] {
        note(get(table, absent).map(|found| assert_eq!(found, None)));
    }
    for purpose in PURPOSES {
        let mut cursor = table.cursor(purpose);
        note(forwards(&mut cursor).map(|found| assert_eq!(found, entries)));
        note(backwards(&mut cursor).map(|found| assert_eq!(found, entries)));
    }
    all_answered
}

#[test]
fn every_flipped_bit_is_found() {
    for compression in [Compression::None, Compression::Lz4] {
        let (bytes, entries) = small_table(compression);
        assert!(bytes.len() < 1500, "small enough to try each bit: {}", bytes.len());
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let disk = disk_with(&flipped);
            for mode in MODES {
                let damage = match open(&*disk.fs(), mode) {
                    Ok(table) => {
                        answers_rightly(&table, &entries);
                        table.verify(false).unwrap_err()
                    }
                    Err(error) => error,
                };
                assert!(is_damage(&damage), "bit {bit}: {damage}");
            }
        }
    }
}

#[test]
fn a_table_that_is_intact_answers_everything() {
    for compression in [Compression::None, Compression::Lz4] {
        let (bytes, entries) = small_table(compression);
        for mode in MODES {
            let table = open(&*disk_with(&bytes).fs(), mode).unwrap();
            assert!(answers_rightly(&table, &entries));
            assert!(table.properties().blocks >= 3, "the other tests mean several blocks");
            let is_compressed = compression == Compression::Lz4;
            assert_eq!(table.properties().compressed_blocks > 0, is_compressed);
        }
    }
}

#[test]
fn a_table_cut_anywhere_is_refused() {
    let (bytes, _) = small_table(Compression::None);
    for len in 0..bytes.len() {
        let disk = disk_with(&bytes[..len]);
        for mode in MODES {
            // With the length of the manifest, and with the length it has.
            for expected_len in [bytes.len(), len] {
                let opened = Table::open(
                    &*disk.fs(),
                    NAME,
                    expected(expected_len as u64),
                    mode,
                    BlockCache::new(0),
                );
                assert!(matches!(opened, Err(Error::Corruption { .. })), "cut to {len} bytes");
            }
        }
    }
    let longer = disk_with(&[&bytes[..], &[0]].concat());
    for mode in MODES {
        for expected_len in [bytes.len(), bytes.len() + 1] {
            let expected = expected(expected_len as u64);
            let opened = Table::open(&*longer.fs(), NAME, expected, mode, BlockCache::new(0));
            assert!(matches!(opened, Err(Error::Corruption { .. })), "one byte more");
        }
    }
}

/// A table with a block for each of six entries; offset and length of the
/// first, all are equally long.
fn equal_blocks() -> (Vec<u8>, Vec<OwnedEntry>, usize, usize) {
    let entries: Vec<_> = (0..6).map(|n| put(format!("key{n}"), 50, format!("value{n}"))).collect();
    let options = TableOptions { block_bytes: 1, ..TableOptions::default() };
    let bytes = table_bytes(&options, &entries);
    // Four header bytes of the entry, key and value; two of its offset, one of
    // its tag, four of the tail, five of the trailer.
    let len = 4 + 4 + 6 + 2 + 1 + 4 + 5;
    (bytes, entries, FILE_HEADER_BYTES, len)
}

#[test]
fn swapped_blocks_are_refused() {
    let (bytes, entries, first, len) = equal_blocks();
    let mut swapped = bytes.clone();
    swapped[first..first + len].copy_from_slice(&bytes[first + len..first + 2 * len]);
    swapped[first + len..first + 2 * len].copy_from_slice(&bytes[first..first + len]);
    assert_ne!(swapped, bytes);
    for mode in MODES {
        let table = open(&*disk_with(&swapped).fs(), mode).unwrap();
        for entry in &entries[..2] {
            let error = get(&table, &entry.key).unwrap_err();
            assert!(matches!(error, Error::Corruption { .. }), "{error}");
        }
        for entry in &entries[2..] {
            assert_eq!(get(&table, &entry.key).unwrap().as_ref(), Some(entry));
        }
        assert!(!answers_rightly(&table, &entries));
    }
}

#[test]
fn a_block_of_another_file_is_refused() {
    let (bytes, entries, first, len) = equal_blocks();
    let disk = SimDisk::new(1);
    let options = TableOptions { block_bytes: 1, ..TableOptions::default() };
    let sibling = "sst_000008.db";
    build_as(&*disk.fs(), sibling, header(8), &options, &entries).unwrap();
    let other = disk.read_file(sibling).unwrap();
    let mut mixed = bytes.clone();
    mixed[first..first + len].copy_from_slice(&other[first..first + len]);
    assert_ne!(mixed, bytes, "the same entries have another checksum in another file");
    for mode in MODES {
        let table = open(&*disk_with(&mixed).fs(), mode).unwrap();
        assert!(is_damage(&get(&table, b"key0").unwrap_err()));
        assert_eq!(get(&table, b"key1").unwrap().as_ref(), Some(&entries[1]));
    }
}

#[test]
fn a_stale_block_of_the_same_file_is_refused() {
    let (bytes, mut entries, first, len) = equal_blocks();
    // What the file might have held before, under the same identity: such a
    // block fits its own trailer, but not the index.
    entries[0].value = b"VALUE1".to_vec();
    let options = TableOptions { block_bytes: 1, ..TableOptions::default() };
    let stale = table_bytes(&options, &entries);
    let mut mixed = bytes.clone();
    mixed[first..first + len].copy_from_slice(&stale[first..first + len]);
    for mode in MODES {
        let table = open(&*disk_with(&mixed).fs(), mode).unwrap();
        assert!(is_damage(&get(&table, b"key0").unwrap_err()));
    }
}

#[test]
fn a_file_in_the_place_of_another_is_refused() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    build_as(&*fs, "sst_000008.db", header(8), &TableOptions::default(), &accounts(9)).unwrap();
    disk.write_file(NAME, &disk.read_file("sst_000008.db").unwrap());
    let error = open(&*fs, ReadMode::Map).unwrap_err();
    assert!(matches!(error, Error::Corruption { .. }), "{error}");

    let mut foreign = header(FILE_ID);
    foreign.database_id.0[0] ^= 1;
    let name = "foreign.db";
    build_as(&*fs, name, foreign, &TableOptions::default(), &accounts(9)).unwrap();
    disk.write_file(NAME, &disk.read_file(name).unwrap());
    let error = open(&*fs, ReadMode::Map).unwrap_err();
    assert!(matches!(error, Error::Corruption { .. }), "{error}");
}

#[test]
fn an_older_file_of_the_same_name_and_number_has_another_summary() {
    let disk = SimDisk::new(1);
    let summary = build(&*disk.fs(), &TableOptions::default(), &accounts(9));
    let older = FileHeader { file_uid: [9; 16], ..header(FILE_ID) };
    let older =
        build_as(&*disk.fs(), "older", older, &TableOptions::default(), &accounts(9)).unwrap();
    assert_ne!(older.file_uid, summary.file_uid);
    assert_ne!(older.checksum, summary.checksum);
    let opened = open(&*disk.fs(), ReadMode::Pread).unwrap();
    assert_eq!(opened.summary(), &summary);
}

#[test]
fn damage_in_one_block_leaves_the_others_readable() {
    let entries = accounts(200);
    let options = TableOptions { block_bytes: 256, ..TableOptions::default() };
    let mut bytes = table_bytes(&options, &entries);
    bytes[FILE_HEADER_BYTES + 10] ^= 0x20;
    for mode in MODES {
        let table = open(&*disk_with(&bytes).fs(), mode).unwrap();
        let Err(Error::Corruption { file, offset, .. }) = get(&table, &entries[0].key) else {
            panic!("the first block is damaged");
        };
        assert_eq!((file.as_str(), offset), (NAME, FILE_HEADER_BYTES as u64));
        for entry in &entries[20..] {
            assert_eq!(get(&table, &entry.key).unwrap().as_ref(), Some(entry));
        }
        for purpose in PURPOSES {
            let mut cursor = table.cursor(purpose);
            assert!(cursor.seek_to_first().is_err());
            assert!(!cursor.valid(), "after an error a cursor is not valid");
            cursor.seek(&entries[50].key).unwrap();
            assert_eq!(cursor.key(), entries[50].key);
        }
    }
}
