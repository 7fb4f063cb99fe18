//! Many tables and few descriptors.

use std::path::Path;
use std::sync::Arc;

use kv_core::{Error, OwnedEntry, Result};
use kv_env::{Failure, Fault, FaultFs, Fs, Operation, RealFs, SimDisk};
use kv_sstable::{
    BlockCache, CursorPurpose, ExpectedTable, OpenFiles, ReadMode, Table, TableOptions,
};

use crate::support::{MODES, accounts, build_as, expected, forwards, get, header, is_damage, put};

const TABLES: u64 = 300;

fn name(number: u64) -> String {
    format!("sst_{number:06}.db")
}

fn key(number: u64) -> String {
    format!("key of table {number}")
}

fn entries(number: u64) -> [OwnedEntry; 1] {
    [put(key(number), number, "value")]
}

/// Writes a table for each number below `count`.
fn build_tables(fs: &dyn Fs, count: u64) -> Vec<ExpectedTable> {
    (0..count)
        .map(|number| {
            let options = TableOptions::default();
            let header = header(number);
            let summary = build_as(fs, &name(number), header, &options, &entries(number)).unwrap();
            ExpectedTable { file_id: number, ..expected(summary.file_bytes) }
        })
        .collect()
}

fn open_tables(
    files: &Arc<OpenFiles>,
    tables: &[ExpectedTable],
    mode: ReadMode,
) -> Vec<Arc<Table>> {
    let cache = BlockCache::new(0);
    let open = |table: &ExpectedTable| {
        let name = name(table.file_id);
        Table::open_on_demand(files, &name, *table, mode, cache.clone()).unwrap()
    };
    tables.iter().map(open).collect()
}

/// How many descriptors of this process lead into `directory`.
#[allow(clippy::disallowed_methods, reason = "counts descriptors from outside")]
fn descriptors_in(directory: &Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.parent() == Some(directory))
        .count()
}

#[test]
fn descriptors_are_bounded_however_many_tables_there_are() {
    const MOST: usize = 7;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(RealFs::open(&path, false).unwrap());
    let expected = build_tables(&*fs, TABLES);
    for mode in MODES {
        let files = OpenFiles::new(Arc::clone(&fs), MOST);
        let tables = open_tables(&files, &expected, mode);
        let check = |most: usize, what: &str| {
            let count = descriptors_in(&path);
            assert!(count <= most, "{mode:?}, {what}: {count} descriptors");
            assert_eq!(count, files.count(), "{mode:?}, {what}");
        };
        let most_for_reads = if mode == ReadMode::Map { 0 } else { MOST };
        check(most_for_reads, "after opening");
        for (number, table) in (0..).zip(&tables) {
            assert!(get(table, key(number).as_bytes()).unwrap().is_some());
            check(most_for_reads, "after a get");
            let mut scan = table.cursor(CursorPurpose::Read);
            assert_eq!(forwards(&mut scan).unwrap(), entries(number));
            check(most_for_reads, "in a scan");
        }
        for (number, table) in (0..).zip(&tables) {
            let mut job = table.cursor(CursorPurpose::Background);
            assert_eq!(forwards(&mut job).unwrap(), entries(number));
            check(MOST, "in a background job");
            table.verify(true).unwrap();
            check(MOST, "after a check");
        }
        assert_eq!(files.count(), MOST, "the latest stay open");
        drop(tables);
        check(0, "after the tables are dropped");
    }
}

#[test]
fn a_table_that_is_dropped_closes_its_file() {
    let disk = SimDisk::new(1);
    let expected = build_tables(&*disk.fs(), 3);
    let files = OpenFiles::new(disk.fs(), 10);
    let mut tables = open_tables(&files, &expected, ReadMode::Pread);
    for left in (0..3).rev() {
        tables.pop();
        assert_eq!(files.count(), left);
    }
}

/// What a get of each table says while another file has the name of one.
fn get_of_exchanged(spoil: impl FnOnce(&SimDisk)) -> Result<Option<OwnedEntry>> {
    let disk = SimDisk::new(1);
    let expected = build_tables(&*disk.fs(), 3);
    let files = OpenFiles::new(disk.fs(), 1);
    let tables = open_tables(&files, &expected, ReadMode::Pread);
    let right = disk.read_file(&name(0)).unwrap();
    disk.fs().remove(&name(0)).unwrap();
    spoil(&disk);
    let found = get(&tables[0], key(0).as_bytes());
    assert!(get(&tables[1], key(1).as_bytes()).unwrap().is_some(), "the others are served");
    let _ = disk.fs().remove(&name(0));
    disk.write_file(&name(0), &right);
    assert!(get(&tables[0], key(0).as_bytes()).unwrap().is_some(), "back in its place");
    found
}

#[test]
fn a_file_is_opened_again_only_if_it_is_the_very_same() {
    // A table of the same keys and values, made at another time.
    let impostor = get_of_exchanged(|disk| {
        let header = kv_core::FileHeader { file_uid: [0xee; 16], ..header(0) };
        let options = TableOptions::default();
        build_as(&*disk.fs(), &name(0), header, &options, &entries(0)).unwrap();
    });
    let shorter = get_of_exchanged(|disk| {
        let whole = disk.read_file(&name(1)).unwrap();
        disk.write_file(&name(0), &whole[..100]);
    });
    let longer = get_of_exchanged(|disk| {
        let options = TableOptions::default();
        build_as(&*disk.fs(), &name(0), header(0), &options, &accounts(9)).unwrap();
    });
    for found in [impostor, shorter, longer] {
        let error = found.unwrap_err();
        assert!(is_damage(&error) && error.to_string().contains("another file"), "{error}");
    }
    let missing = get_of_exchanged(|_| {}).unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
}

#[test]
fn a_read_that_finds_no_descriptor_fails_alone() {
    for mode in MODES {
        let disk = SimDisk::new(1);
        let fs = FaultFs::new(disk.fs());
        let expected = build_tables(&fs, 3);
        let files = OpenFiles::new(Arc::new(fs.clone()), 1);
        let tables = open_tables(&files, &expected, mode);
        for failure in [Failure::TooManyOpenFiles, Failure::Device] {
            for (number, table) in (0..).zip(&tables) {
                let is_open = mode == ReadMode::Map || number == 2;
                fs.inject(Fault::new(failure).of(Operation::Open));
                let found = get(table, key(number).as_bytes());
                assert_eq!(found.is_ok(), is_open, "{mode:?}, {number}: {found:?}");
                if let Err(error) = found {
                    let passes = failure == Failure::TooManyOpenFiles;
                    assert_eq!(error.is_out_of_descriptors(), passes, "{error}");
                    assert!(matches!(error, Error::Io { .. }), "{error:?}");
                }
                fs.clear_faults();
            }
            for number in [0, 1, 2] {
                let table = &tables[number as usize];
                assert!(get(table, key(number).as_bytes()).unwrap().is_some());
                table.verify(true).unwrap();
            }
        }
    }
}

/// The calls that read, in a run whose caches are too small.
fn reads_of_a_run() -> [u64; 2] {
    let disk = SimDisk::new(1);
    let fs = FaultFs::new(disk.fs());
    let options = TableOptions { block_bytes: 512, ..TableOptions::default() };
    let files = OpenFiles::new(Arc::new(fs.clone()), 20);
    // More than one shard of the cache, and a quarter of what is read.
    let cache = BlockCache::new(1 << 18);
    let tables: Vec<Arc<Table>> = (0..40)
        .map(|number| {
            let accounts = accounts(1200);
            let summary =
                build_as(&fs, &name(number), header(number), &options, &accounts).unwrap();
            let table = ExpectedTable { file_id: number, ..expected(summary.file_bytes) };
            let (name, cache) = (name(number), cache.clone());
            Table::open_on_demand(&files, &name, table, ReadMode::Pread, cache).unwrap()
        })
        .collect();
    for step in 0..20_000u64 {
        let scattered = step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        // Some tables are read more often than others.
        let table = &tables[(scattered % 40 * (scattered / 40 % 40) / 40) as usize];
        get(table, format!("account:{:05}", scattered % 1200).as_bytes()).unwrap();
    }
    [Operation::Read, Operation::Open].map(|operation| fs.count(operation))
}

#[test]
fn the_same_reads_ask_the_disk_the_same_each_time() {
    let first = reads_of_a_run();
    assert!(first.iter().all(|count| *count > 1000), "the caches are too small: {first:?}");
    for _ in 0..3 {
        assert_eq!(reads_of_a_run(), first);
    }
}
