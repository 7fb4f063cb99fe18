//! Inserts, gets and scans of 400,000 entries of 20-byte keys and 100-byte
//! values, beside the same work on crossbeam's skip map. Figures are per entry:
//! read the throughput line.
#![allow(missing_docs, reason = "criterion's macros make functions without them")]

use std::cmp::Reverse;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use crossbeam_skiplist::SkipMap;
use kv_core::{Cursor, Kind, SeqNo, Value};
use kv_memtable::{ArenaPool, Memtable};

const ENTRIES: u64 = 400_000;
const VALUE: [u8; 100] = [7; 100];

type Key = [u8; 20];
type SkipList = SkipMap<(Vec<u8>, Reverse<u64>), (Kind, Value)>;

/// A permutation of 64-bit numbers (the finisher of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Keys that differ from the first byte on.
fn random_key(number: u64) -> Key {
    let mut key = [b'k'; 20];
    key[..8].copy_from_slice(&mix(number).to_be_bytes());
    key
}

/// Keys as people choose them: alike up to the last digits.
fn decimal_key(number: u64) -> Key {
    format!("account:{number:012}").into_bytes().try_into().expect("20 bytes")
}

/// The numbers below `ENTRIES` in random order.
fn shuffled() -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..ENTRIES).collect();
    numbers.sort_by_key(|&number| mix(number + 1));
    numbers
}

fn fill_memtable(pool: &ArenaPool, keys: &[Key]) -> Arc<Memtable> {
    let (table, mut writer) = Memtable::create(pool, SeqNo(0));
    for (seqno, key) in (1..).zip(keys) {
        writer.insert(SeqNo(seqno), Kind::Put, key, &VALUE);
    }
    table
}

fn fill_skip_list(keys: &[Key]) -> SkipList {
    let list = SkipMap::new();
    for (seqno, key) in (1..).zip(keys) {
        list.insert((key.to_vec(), Reverse(seqno)), (Kind::Put, Value::copy_of(&VALUE)));
    }
    list
}

fn skip_list_get(list: &SkipList, key: &Key, at: u64) -> Option<Value> {
    let from = (key.to_vec(), Reverse(at));
    let found = list.lower_bound(Bound::Included(&from))?;
    (found.key().0 == key).then(|| found.value().1.clone())
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(10);
    group
}

fn insert(criterion: &mut Criterion) {
    let random: Vec<Key> = (0..ENTRIES).map(random_key).collect();
    let decimal: Vec<Key> = shuffled().into_iter().map(decimal_key).collect();
    let rising: Vec<Key> = (0..ENTRIES).map(decimal_key).collect();
    let hot: Vec<Key> = (0..ENTRIES).map(|number| decimal_key(mix(number) % 1000)).collect();
    let pool = ArenaPool::new(256 << 20);
    let mut group = group(criterion, "insert");
    let orders =
        [("random", &random), ("random decimal", &decimal), ("rising", &rising), ("hot", &hot)];
    for (order, keys) in orders {
        group.bench_function(format!("memtable/{order}"), |bencher| {
            bencher.iter_batched(|| (), |()| fill_memtable(&pool, keys), BatchSize::PerIteration);
        });
        group.bench_function(format!("skip map/{order}"), |bencher| {
            bencher.iter_batched(|| (), |()| fill_skip_list(keys), BatchSize::PerIteration);
        });
    }
}

fn get(criterion: &mut Criterion) {
    let numbers = shuffled();
    let pool = ArenaPool::new(256 << 20);
    let mut group = group(criterion, "get");
    for (shape, key_of) in [("random", random_key as fn(u64) -> Key), ("decimal", decimal_key)] {
        let keys: Vec<Key> = numbers.iter().map(|&number| key_of(number * 2)).collect();
        let asked: Vec<Key> =
            (0..ENTRIES).map(|number| key_of(mix(number) % ENTRIES * 2)).collect();
        let missing: Vec<Key> =
            (0..ENTRIES).map(|number| key_of(mix(number) % ENTRIES * 2 + 1)).collect();
        let table = fill_memtable(&pool, &keys);
        let list = fill_skip_list(&keys);
        for (kind, asked) in [("hit", &asked), ("miss", &missing)] {
            group.bench_function(format!("memtable/{shape} {kind}"), |bencher| {
                bencher.iter(|| {
                    for key in asked {
                        black_box(table.get(key, SeqNo(ENTRIES)));
                    }
                });
            });
            group.bench_function(format!("skip map/{shape} {kind}"), |bencher| {
                bencher.iter(|| {
                    for key in asked {
                        black_box(skip_list_get(&list, key, ENTRIES));
                    }
                });
            });
        }
    }
}

fn scan(criterion: &mut Criterion) {
    let keys: Vec<Key> = (0..ENTRIES).map(random_key).collect();
    let table = fill_memtable(&ArenaPool::new(0), &keys);
    let list = fill_skip_list(&keys);
    let mut group = group(criterion, "scan");
    group.bench_function("memtable/forward", |bencher| {
        bencher.iter(|| {
            let mut cursor = table.cursor();
            cursor.seek_to_first().expect("a memory table does not fail");
            while cursor.valid() {
                black_box((cursor.key(), cursor.value()));
                cursor.next().expect("a memory table does not fail");
            }
        });
    });
    group.bench_function("memtable/backward", |bencher| {
        bencher.iter(|| {
            let mut cursor = table.visible_cursor(SeqNo::MAX);
            cursor.seek_to_last().expect("a memory table does not fail");
            while cursor.valid() {
                black_box((cursor.key(), cursor.value()));
                cursor.prev().expect("a memory table does not fail");
            }
        });
    });
    group.bench_function("skip map/forward", |bencher| {
        bencher.iter(|| {
            for entry in &list {
                black_box((entry.key(), entry.value()));
            }
        });
    });
}

criterion_group!(benches, insert, get, scan);
criterion_main!(benches);
