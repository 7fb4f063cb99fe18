//! Building, point lookups and scans of one table of a million entries:
//! keys of 16 bytes, values of 100, everything in memory.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use kv_core::{Cursor, DatabaseId, FileHeader, FileKind, Kind, Result, SeqNo};
use kv_env::{Fs, RealFs};
use kv_sstable::{
    BlockCache, Compression, CursorPurpose, ExpectedTable, KeyHash, ReadMode, Table, TableBuilder,
    TableOptions, TableSummary,
};

const ENTRIES: u64 = 1_000_000;

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"bench:0000000000";
    let mut rest = number;
    for digit in key[6..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Half random, half zeros.
fn value(number: u64) -> [u8; 100] {
    let mut value = [0; 100];
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for byte in &mut value[..50] {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    value
}

fn header() -> FileHeader {
    FileHeader {
        kind: FileKind::Table,
        database_id: DatabaseId([1; 16]),
        file_id: 1,
        file_uid: [2; 16],
    }
}

/// Even numbers are present, odd ones absent.
fn build(fs: &dyn Fs, name: &str, options: TableOptions, entries: u64) -> Result<TableSummary> {
    let mut builder = TableBuilder::create(fs, name, header(), options)?;
    for number in 0..entries {
        let value = value(number);
        builder.add(&key(2 * number), SeqNo(number + 1_000_000), Kind::Put, &value)?;
    }
    builder.finish()
}

fn open(fs: &dyn Fs, name: &str, file_bytes: u64, mode: ReadMode) -> Result<Arc<Table>> {
    let expected = ExpectedTable { database_id: DatabaseId([1; 16]), file_id: 1, file_bytes };
    Table::open(fs, name, expected, mode, BlockCache::new(512 << 20))
}

/// Numbers in an order that no prefetcher guesses.
fn shuffled(step: u64) -> u64 {
    step.wrapping_mul(0x9E37_79B9_7F4A_7C15) % ENTRIES
}

fn bench_build(criterion: &mut Criterion, fs: &dyn Fs) {
    let mut group = criterion.benchmark_group("build");
    group.throughput(Throughput::Elements(100_000)).sample_size(20);
    for (name, compression) in [("plain", Compression::None), ("lz4", Compression::Lz4)] {
        let options = TableOptions {
            compression,
            // What is measured is the builder, not the device.
            sync_every_bytes: u64::MAX,
            ..TableOptions::default()
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                build(fs, "built.db", options.clone(), 100_000).expect("the table is built");
                fs.remove("built.db").expect("the table is removed");
            });
        });
    }
}

fn bench_reads(criterion: &mut Criterion, name: &str, table: &Arc<Table>) {
    for step in 0..ENTRIES {
        let key = key(2 * step);
        table
            .get(&key, KeyHash::of(table.header().database_id, &key))
            .expect("the table is intact");
    }
    let mut group = criterion.benchmark_group(name);
    let mut step = 0;
    group.bench_function("hit", |bencher| {
        bencher.iter(|| {
            step += 1;
            let key = key(2 * shuffled(step));
            let found = table
                .get(&key, KeyHash::of(table.header().database_id, &key))
                .expect("the table is intact");
            assert_eq!(found.expect("the key is present").value.len(), 100);
        });
    });
    group.bench_function("miss", |bencher| {
        bencher.iter(|| {
            step += 1;
            let key = key(2 * shuffled(step) + 1);
            black_box(
                table
                    .get(&key, KeyHash::of(table.header().database_id, &key))
                    .expect("the table is intact"),
            );
        });
    });
    group.bench_function("seek", |bencher| {
        let mut cursor = table.cursor(CursorPurpose::Read);
        bencher.iter(|| {
            step += 1;
            cursor.seek(&key(2 * shuffled(step) + 1)).expect("the table is intact");
        });
    });
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(10);
    for (name, purpose) in
        [("scan", CursorPurpose::Read), ("background scan", CursorPurpose::Background)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| scan(table, purpose).expect("the table is intact"));
        });
    }
}

fn scan(table: &Arc<Table>, purpose: CursorPurpose) -> Result<usize> {
    let mut cursor = table.cursor(purpose);
    let mut bytes = 0;
    cursor.seek_to_first()?;
    while cursor.valid() {
        bytes += cursor.key().len() + cursor.value().len();
        cursor.next()?;
    }
    Ok(bytes)
}

fn bench_all(criterion: &mut Criterion) {
    let directory = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary directory");
    let fs = RealFs::open(directory.path(), false).expect("the directory opens");
    bench_build(criterion, &fs);
    for (name, compression) in [("plain", Compression::None), ("lz4", Compression::Lz4)] {
        let options = TableOptions { compression, ..TableOptions::default() };
        let summary = build(&fs, name, options, ENTRIES).expect("the table is built");
        for (mode_name, mode) in [("map", ReadMode::Map), ("pread", ReadMode::Pread)] {
            let table = open(&fs, name, summary.file_bytes, mode).expect("the table opens");
            bench_reads(criterion, &format!("{name}, {mode_name}"), &table);
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_all(&mut criterion);
    criterion.final_summary();
}
