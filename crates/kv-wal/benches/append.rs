//! The CPU time of the log itself: appends into a file that drops everything,
//! and replay of a file in memory.

#![allow(missing_docs, reason = "criterion_group makes a public function")]

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kv_core::{DatabaseId, Error, FileHeader, FileKind, Pinned, Result};
use kv_env::{DirEntry, DirLock, Fs, ReadFile, SimDisk, SyncHandle, WriteFile};
use kv_wal::{LogReader, LogWriter, SegmentPosition};

const NAME: &str = "wal.log";
const RECORDS_PER_GROUP: usize = 64;

fn header() -> FileHeader {
    FileHeader {
        kind: FileKind::Wal,
        database_id: DatabaseId([1; 16]),
        file_id: 1,
        file_uid: [2; 16],
    }
}

fn unsupported<T>() -> Result<T> {
    Err(Error::InvalidArgument("the benchmark has no such call".into()))
}

/// A file system of one file: what is written is dropped, what is read is
/// `contents`.
#[derive(Debug, Default)]
struct OneFile {
    contents: Arc<Vec<u8>>,
}

impl Fs for OneFile {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn create(&self, _name: &str) -> Result<Box<dyn WriteFile>> {
        Ok(Box::new(Sink { position: 0 }))
    }

    fn open(&self, _name: &str) -> Result<Arc<dyn ReadFile>> {
        Ok(Arc::new(Source { contents: Arc::clone(&self.contents) }))
    }

    fn rename(&self, _from: &str, _to: &str) -> Result<()> {
        unsupported()
    }

    fn remove(&self, _name: &str) -> Result<()> {
        unsupported()
    }

    fn truncate(&self, _name: &str, _len: u64) -> Result<()> {
        unsupported()
    }

    fn create_dir(&self, _name: &str) -> Result<()> {
        unsupported()
    }

    fn list(&self) -> Result<Vec<DirEntry>> {
        unsupported()
    }

    fn sync_dir(&self) -> Result<()> {
        unsupported()
    }

    fn lock(&self, _name: &str) -> Result<Box<dyn DirLock>> {
        unsupported()
    }

    fn free_space(&self) -> Result<u64> {
        unsupported()
    }

    fn reserve(&self, _name: &str, _bytes: u64) -> Result<()> {
        unsupported()
    }
}

struct Sink {
    position: u64,
}

impl WriteFile for Sink {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.position += std::hint::black_box(bytes).len() as u64;
        Ok(())
    }

    fn zero_fill(&mut self, _len: u64) -> Result<()> {
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        Arc::new(NoSync)
    }

    fn seal(&mut self) -> Result<()> {
        Ok(())
    }
}

struct NoSync;

impl SyncHandle for NoSync {
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

struct Source {
    contents: Arc<Vec<u8>>,
}

impl ReadFile for Source {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.contents.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn len(&self) -> u64 {
        self.contents.len() as u64
    }

    fn map(&self) -> Result<Arc<dyn Pinned>> {
        unsupported()
    }

    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for len in [100, 120, 1024] {
        let payload = vec![b'v'; len];
        group.throughput(Throughput::Elements(RECORDS_PER_GROUP as u64));
        group.bench_function(format!("{len} B, groups of {RECORDS_PER_GROUP}"), |bencher| {
            let mut log = LogWriter::create(&OneFile::default(), NAME, header(), 0)
                .expect("the sink takes it");
            bencher.iter(|| {
                for _ in 0..RECORDS_PER_GROUP {
                    log.append(&payload).expect("the sink takes it");
                }
                log.flush().expect("the sink takes it");
            });
        });
    }
    group.finish();
}

/// The bytes of a log of `bytes` bytes of payload.
fn log_of(len: usize, bytes: usize) -> Vec<u8> {
    let disk = SimDisk::new(0);
    let mut log =
        LogWriter::create(&*disk.fs(), NAME, header(), 0).expect("the simulated disk works");
    for record in 0..bytes / len {
        log.append(&vec![record as u8; len]).expect("the simulated disk works");
    }
    log.finish().expect("the simulated disk works");
    disk.read_file(NAME).expect("the log was written")
}

fn replay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay");
    for len in [100, 1024, 100 << 10] {
        let fs = OneFile { contents: Arc::new(log_of(len, 8 << 20)) };
        group.throughput(Throughput::Bytes(fs.contents.len() as u64));
        group.bench_function(format!("8 MiB of {len} B"), |bencher| {
            bencher.iter_batched_ref(
                || {
                    LogReader::open(&fs, NAME, FileKind::Wal, SegmentPosition::Last)
                        .expect("the log can be read")
                },
                |reader| {
                    let mut bytes = 0;
                    while let Some(record) = reader.next_record().expect("the log is sound") {
                        bytes += record.payload.len();
                    }
                    bytes
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20);
    targets = append, replay
}
criterion_main!(benches);
