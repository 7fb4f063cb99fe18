//! Where bytes come from, how often, and how long they live.

use std::sync::Arc;

use kv_core::{Cursor, Error};
use kv_env::{Failure, Fault, FaultFs, Operation, SimDisk};
use kv_sstable::{BlockCache, Compression, CursorPurpose, KeyHash, ReadMode, Table, TableOptions};

use crate::support::{
    DATABASE_ID, FILE_ID, MODES, NAME, accounts, build, build_as, expected, forwards, get, header,
    open, put,
};

/// A disk whose reads are counted, with a table of some hundred blocks.
fn counted_table(compression: Compression) -> (SimDisk, FaultFs) {
    let disk = SimDisk::new(1);
    let options = TableOptions { block_bytes: 512, compression, ..TableOptions::default() };
    build(&*disk.fs(), &options, &accounts(8000));
    let fs = FaultFs::new(disk.fs());
    (disk, fs)
}

#[test]
fn pinned_values_outlive_everything_else() {
    for compression in [Compression::None, Compression::Lz4] {
        for mode in MODES {
            let disk = SimDisk::new(1);
            let fs = disk.fs();
            let options = TableOptions { compression, ..TableOptions::default() };
            build(&*fs, &options, &[put("a", 1, [b'a'; 300]), put("b", 2, [b'b'; 300])]);
            let table = open(&*fs, mode).unwrap();
            let got = table.get(b"a", KeyHash::of(DATABASE_ID, b"a")).unwrap().unwrap().value;
            let mut cursor = table.cursor(CursorPurpose::Read);
            cursor.seek(b"b").unwrap();
            let walked = cursor.pinned_value();
            drop((table, cursor));
            fs.remove(NAME).unwrap();
            disk.write_file(NAME, &[0xee; 2000]);
            assert_eq!(got, [b'a'; 300]);
            assert_eq!(walked, [b'b'; 300]);
        }
    }
}

#[test]
fn a_mapped_plain_table_is_read_without_system_calls() {
    let (_disk, fs) = counted_table(Compression::None);
    let table = open(&fs, ReadMode::Map).unwrap();
    let before = fs.count(Operation::Read);
    forwards(&mut table.cursor(CursorPurpose::Read)).unwrap();
    assert!(get(&table, b"account:00777").unwrap().is_some());
    assert_eq!(fs.count(Operation::Read), before);
}

#[test]
fn a_cached_block_is_read_once() {
    for (mode, compression, reads) in [
        (ReadMode::Pread, Compression::None, 1),
        (ReadMode::Pread, Compression::Lz4, 1),
        (ReadMode::Map, Compression::Lz4, 0),
    ] {
        let (_disk, fs) = counted_table(compression);
        let table = open(&fs, mode).unwrap();
        let before = fs.count(Operation::Read);
        for _ in 0..5 {
            assert!(get(&table, b"account:00777").unwrap().is_some());
        }
        assert_eq!(fs.count(Operation::Read), before + reads);
    }
}

#[test]
fn a_cache_of_no_bytes_reads_each_time() {
    let (disk, fs) = counted_table(Compression::None);
    let file_bytes = disk.read_file(NAME).unwrap().len() as u64;
    let cache = BlockCache::new(0);
    let table =
        Table::open(&fs, NAME, expected(file_bytes), ReadMode::Pread, cache.clone()).unwrap();
    let before = fs.count(Operation::Read);
    for _ in 0..5 {
        assert!(get(&table, b"account:00777").unwrap().is_some());
    }
    assert_eq!(fs.count(Operation::Read), before + 5);
    assert_eq!((cache.used_bytes(), cache.capacity_bytes()), (0, 0));
}

#[test]
fn a_cache_stays_within_its_budget() {
    let (disk, fs) = counted_table(Compression::None);
    let file_bytes = disk.read_file(NAME).unwrap().len() as u64;
    let cache = BlockCache::new(20_000);
    let table =
        Table::open(&fs, NAME, expected(file_bytes), ReadMode::Pread, cache.clone()).unwrap();
    for entry in accounts(8000) {
        get(&table, &entry.key).unwrap();
        assert!(cache.used_bytes() <= 20_000);
    }
    assert!(cache.used_bytes() > 5_000, "{}", cache.used_bytes());
}

#[test]
fn tables_that_share_a_cache_do_not_mix() {
    let disk = SimDisk::new(1);
    let cache = BlockCache::new(1 << 20);
    let mut tables = Vec::new();
    for value in ["first", "second"] {
        // The same name and number: a file that was removed and made again.
        let _ = disk.fs().remove(NAME);
        let options = TableOptions::default();
        let entries = [put("key", 1, value)];
        let summary = build_as(&*disk.fs(), NAME, header(FILE_ID), &options, &entries).unwrap();
        let expected = expected(summary.file_bytes);
        let table =
            Table::open(&*disk.fs(), NAME, expected, ReadMode::Pread, cache.clone()).unwrap();
        tables.push((table, entries));
    }
    for (table, entries) in &tables {
        assert_eq!(get(table, b"key").unwrap().as_ref(), Some(&entries[0]));
    }
}

#[test]
fn scans_read_ahead_and_leave_the_cache_alone() {
    for (mode, purpose) in [
        (ReadMode::Pread, CursorPurpose::Read),
        (ReadMode::Pread, CursorPurpose::Background),
        (ReadMode::Map, CursorPurpose::Background),
    ] {
        let (disk, fs) = counted_table(Compression::None);
        let file_bytes = disk.read_file(NAME).unwrap().len() as u64;
        let cache = BlockCache::new(1 << 20);
        let table = Table::open(&fs, NAME, expected(file_bytes), mode, cache.clone()).unwrap();
        let before = fs.count(Operation::Read);
        assert_eq!(forwards(&mut table.cursor(purpose)).unwrap(), accounts(8000));
        let reads = fs.count(Operation::Read) - before;
        let blocks = table.properties().blocks;
        assert!(reads >= 2 && reads < blocks / 20, "{reads} reads of {blocks} blocks");
        assert!(cache.used_bytes() < 3000, "{} bytes cached", cache.used_bytes());
    }
}

#[test]
fn a_background_cursor_sees_the_device_through_a_map() {
    let disk = SimDisk::new(1);
    build(&*disk.fs(), &TableOptions::default(), &accounts(20));
    let table = open(&*disk.fs(), ReadMode::Map).unwrap();
    disk.corrupt(NAME, 100, 1);
    let mut cursor = table.cursor(CursorPurpose::Background);
    let error = cursor.seek_to_first().unwrap_err();
    assert!(matches!(error, Error::Corruption { offset: 80, .. }), "{error}");
    let error = table.verify(false).unwrap_err();
    assert!(matches!(error, Error::Corruption { offset: 80, .. }), "{error}");
}

#[test]
fn a_check_asks_the_device_not_the_page_cache() {
    let (_disk, fs) = counted_table(Compression::None);
    let table = open(&fs, ReadMode::Pread).unwrap();
    table.verify(false).unwrap();
    assert_eq!(fs.count(Operation::DropCache), 1);
}

#[test]
fn errors_of_the_device_stay_errors_and_pass() {
    for mode in MODES {
        let (_disk, fs) = counted_table(Compression::None);
        let table = open(&fs, mode).unwrap();
        let mut cursor = table.cursor(CursorPurpose::Background);
        cursor.seek_to_first().unwrap();
        fs.inject(Fault::new(Failure::Device).of(Operation::Read));
        while cursor.valid() {
            if let Err(error) = cursor.next() {
                assert!(matches!(error, Error::Io { .. }), "{error}");
                assert!(!cursor.valid());
            }
        }
        assert!(matches!(table.verify(false), Err(Error::Io { .. })));
        if mode == ReadMode::Pread {
            assert!(matches!(get(&table, b"account:00777"), Err(Error::Io { .. })));
        }
        fs.clear_faults();
        assert!(get(&table, b"account:00777").unwrap().is_some(), "nothing bad was kept");
        assert_eq!(forwards(&mut cursor).unwrap().len(), 8000);
    }
}

#[test]
fn any_failing_call_of_opening_is_an_error_or_a_fallback() {
    let (disk, _) = counted_table(Compression::None);
    let fs = FaultFs::new(disk.fs());
    open(&fs, ReadMode::Map).unwrap();
    for (operation, count) in fs.counts() {
        for call in 0..count {
            let fs = FaultFs::new(disk.fs());
            fs.inject(Fault::new(Failure::OutOfMemory).of(operation).after(call).times(1));
            let opened = open(&fs, ReadMode::Map);
            if operation == Operation::Map {
                let table = opened.unwrap();
                assert_eq!(table.read_mode(), ReadMode::Pread);
                assert!(get(&table, b"account:00777").unwrap().is_some());
            } else {
                let is_io = matches!(opened, Err(Error::Io { .. }));
                assert!(is_io, "{operation:?} {call}: {opened:?}");
            }
        }
    }
}

#[test]
fn a_cursor_may_be_sent_to_another_thread() {
    let disk = SimDisk::new(1);
    build(&*disk.fs(), &TableOptions::default(), &accounts(20));
    let table = open(&*disk.fs(), ReadMode::Map).unwrap();
    let mut cursor = table.cursor(CursorPurpose::Read);
    let entries = std::thread::spawn(move || forwards(&mut cursor).unwrap()).join().unwrap();
    assert_eq!(entries, accounts(20));
}

#[test]
fn readers_of_one_table_agree() {
    for (mode, compression) in
        [(ReadMode::Map, Compression::None), (ReadMode::Pread, Compression::Lz4)]
    {
        let (_disk, fs) = counted_table(compression);
        let table = open(&fs, mode).unwrap();
        let entries = Arc::new(accounts(8000));
        std::thread::scope(|scope| {
            for start in 0..4 {
                let (table, entries) = (Arc::clone(&table), Arc::clone(&entries));
                scope.spawn(move || {
                    for entry in entries.iter().skip(start).step_by(7) {
                        assert_eq!(get(&table, &entry.key).unwrap().as_ref(), Some(entry));
                    }
                });
            }
        });
    }
}
