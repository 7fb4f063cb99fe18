//! What the hot paths cost: a rewrite per entry, a lookup in the shape, a pick.
#![allow(missing_docs, reason = "criterion_group makes a public function without documentation")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kv_compaction::{
    Busy, KeyCoverage, Policy, RewriteContext, RewriteOptions, TableMeta, TableOrigin, Version,
    VersionEdit, pick, rewrite,
};
use kv_core::{
    Cursor, DatabaseId, Error, FileHeader, FileKind, Kind, MergeCursor, OwnedEntry, Result, SeqNo,
    VecCursor,
};
use kv_env::{DirEntry, DirLock, Fs, ReadFile, SimDisk, SyncHandle, WriteFile};
use kv_sstable::{BlockCache, CursorPurpose, ExpectedTable, ReadMode, Table, TableOptions};

/// Takes all writes and keeps none: what is left is the work of the CPU.
#[derive(Debug)]
struct Nowhere;

struct Hole(u64);

impl SyncHandle for Hole {
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

impl WriteFile for Hole {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.0 += black_box(bytes).len() as u64;
        Ok(())
    }
    fn zero_fill(&mut self, _len: u64) -> Result<()> {
        Ok(())
    }
    fn position(&self) -> u64 {
        self.0
    }
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }
    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        Arc::new(Hole(0))
    }
    fn seal(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Fs for Nowhere {
    fn describe(&self) -> String {
        "nowhere".into()
    }
    fn create(&self, _name: &str) -> Result<Box<dyn WriteFile>> {
        Ok(Box::new(Hole(0)))
    }
    fn open(&self, _name: &str) -> Result<Arc<dyn ReadFile>> {
        Err(Error::Closed)
    }
    fn rename(&self, _from: &str, _to: &str) -> Result<()> {
        Ok(())
    }
    fn remove(&self, _name: &str) -> Result<()> {
        Ok(())
    }
    fn truncate(&self, _name: &str, _len: u64) -> Result<()> {
        Ok(())
    }
    fn create_dir(&self, _name: &str) -> Result<()> {
        Ok(())
    }
    fn list(&self) -> Result<Vec<DirEntry>> {
        Ok(Vec::new())
    }
    fn sync_dir(&self) -> Result<()> {
        Ok(())
    }
    fn lock(&self, _name: &str) -> Result<Box<dyn DirLock>> {
        Err(Error::Closed)
    }
    fn free_space(&self) -> Result<u64> {
        Ok(u64::MAX)
    }
    fn reserve(&self, _name: &str, _bytes: u64) -> Result<()> {
        Ok(())
    }
}

fn header(file_id: u64) -> FileHeader {
    let database_id = DatabaseId([1; 16]);
    FileHeader { kind: FileKind::Table, database_id, file_id, file_uid: [2; 16] }
}

fn run(fs: &dyn Fs, input: impl Cursor, options: &RewriteOptions, first_id: u64) -> Vec<TableMeta> {
    let mut next_id = first_id;
    let mut allocate = || {
        next_id += 1;
        Ok(header(next_id - 1))
    };
    let cancel = AtomicBool::new(false);
    let context = RewriteContext { fs, allocate: &mut allocate, retention: None, cancel: &cancel };
    rewrite(input, options, context).expect("nothing fails").expect("nobody cancels").tables
}

/// Entries of 16-byte keys and 100-byte values: every `stride`th of the keys.
fn entries(count: u64, stride: u64) -> Vec<OwnedEntry> {
    let entry = |index: u64| OwnedEntry {
        key: format!("key{:013}", index * stride).into_bytes(),
        seqno: SeqNo(index + stride * count),
        kind: Kind::Put,
        value: index.to_le_bytes().repeat(13)[..100].to_vec(),
    };
    (0..count).map(entry).collect()
}

fn options() -> RewriteOptions {
    let mut options = RewriteOptions::flush(TableOptions::default(), &Policy::default());
    options.below = KeyCoverage::NOTHING;
    options
}

fn rewriting(criterion: &mut Criterion) {
    const COUNT: u64 = 50_000;
    let options = options();
    let mut group = criterion.benchmark_group("rewrite");
    group.sample_size(10);
    group.throughput(Throughput::Elements(COUNT));
    let input = VecCursor::new(entries(COUNT, 1));
    group.bench_function("flush", |bencher| {
        bencher.iter(|| run(&Nowhere, input.clone(), &options, 1));
    });

    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let cache = BlockCache::new(1 << 20);
    let tables: Vec<Arc<Table>> = (1..=4)
        .flat_map(|stride| {
            run(&*fs, VecCursor::new(entries(COUNT / 4, stride)), &options, stride * 10)
        })
        .map(|meta| {
            let (database_id, file_bytes) = (DatabaseId([1; 16]), meta.file_bytes);
            let expected = ExpectedTable { database_id, file_id: meta.id, file_bytes };
            let name = meta.file_name();
            Table::open(&*fs, &name, expected, ReadMode::Pread, Arc::clone(&cache))
                .expect("the table was just written")
        })
        .collect();
    group.bench_function("merge of 4 tables", |bencher| {
        bencher.iter(|| {
            let cursors = tables.iter().map(|table| table.cursor(CursorPurpose::Background));
            run(&Nowhere, MergeCursor::new(cursors.collect()), &options, 1)
        });
    });
    group.finish();
}

/// A tree of about 100 GB in tables of 64 MiB.
fn large_tree() -> Version<TableMeta> {
    let table = |id: u64, first: u64, last: u64| TableMeta {
        id,
        run: id,
        origin: TableOrigin::Compaction,
        file_uid: [0; 16],
        file_bytes: 64 << 20,
        checksum: 0,
        entries: 500_000,
        deletes: 0,
        smallest_key: format!("user:{first:012}").into_bytes(),
        largest_key: format!("user:{last:012}").into_bytes(),
        smallest_seqno: SeqNo(id),
        largest_seqno: SeqNo(id),
        slice: None,
        properties: BTreeMap::new(),
    };
    let mut edit = VersionEdit::default();
    let mut id = 10_000;
    for (level, count) in [(3, 1600), (2, 40), (1, 6), (0, 3)] {
        let width = 1_600_000 / count;
        for index in 0..count {
            id -= 1;
            let (first, last) = (index * width, (index + 1) * width - 1);
            edit.added.push((level, table(id, first, last)));
        }
    }
    Version::new().apply(&edit, |meta| Ok(Arc::new(meta.clone()))).expect("the edit is possible")
}

fn shape(criterion: &mut Criterion) {
    let version = large_tree();
    let mut key = 0u64;
    criterion.bench_function("candidates of a key among 1600 tables", |bencher| {
        bencher.iter(|| {
            key = key.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let name = format!("user:{:012}", (key >> 33) % 1_600_000);
            version.candidates(name.as_bytes()).map(|table| table.id).sum::<u64>()
        });
    });
    let (policy, busy) = (Policy::default(), Busy::default());
    criterion.bench_function("pick among 1600 tables", |bencher| {
        bencher.iter(|| pick(black_box(&version), &policy, &busy));
    });
    let edit =
        VersionEdit { removed: vec![(3, version.levels()[3][7].id)], ..VersionEdit::default() };
    criterion.bench_function("apply to 1600 tables", |bencher| {
        bencher.iter(|| version.apply(&edit, |meta| Ok(Arc::new(meta.clone()))));
    });
}

criterion_group!(benches, rewriting, shape);
criterion_main!(benches);
