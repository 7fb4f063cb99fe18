//! Single calls of the engine, one thread: what a caller pays besides the disk.

#![allow(missing_docs, reason = "the macros of criterion make a public function")]

use criterion::{Criterion, criterion_group, criterion_main};
use kv_engine::{Durability, Engine, KeyRange, Options, WriteBatch};

const ENTRIES: u32 = 100_000;

fn key(number: u32) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    key[4..8].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
    key[8..12].copy_from_slice(&number.to_be_bytes());
    key
}

fn filled(directory: &std::path::Path) -> Engine {
    let options = Options { durability: Durability::Os, ..Options::default() };
    let engine = Engine::open(directory, options).expect("the database opens");
    for number in 0..ENTRIES {
        engine.put(&key(number), &[7; 100]).expect("a put succeeds");
    }
    engine
}

fn calls(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = filled(directory.path());
    let mut number = 0u32;
    let mut next = move || {
        number = (number + 7919) % ENTRIES;
        number
    };
    criterion.bench_function("put, os", |bencher| {
        bencher.iter(|| engine.put(&key(next()), &[8; 100]).expect("a put succeeds"));
    });
    criterion.bench_function("conditional put, os", |bencher| {
        bencher.iter(|| {
            let key = key(next());
            let (_, unchanged) = engine.get_for_update(&key).expect("a get succeeds");
            let mut batch = WriteBatch::new();
            batch.put(&key, &[9; 100]).expect("within the limits");
            batch.expect(unchanged);
            engine.write(batch, Durability::Os).expect("nobody else writes")
        });
    });
    for place in ["memory", "tables"] {
        criterion.bench_function(&format!("get, {place}"), |bencher| {
            bencher.iter(|| engine.get(&key(next())).expect("a get succeeds"));
        });
        criterion.bench_function(&format!("seek and 10, {place}"), |bencher| {
            bencher.iter(|| {
                let range = KeyRange::from_bounds(&key(next())[..]..);
                engine.scan(range).expect("a scan starts").take(10).count()
            });
        });
        engine.compact().expect("a compaction succeeds");
    }
}

criterion_group!(benches, calls);
criterion_main!(benches);
