//! What the ports cost: appends and syncs of the real backend, images of the
//! simulated disk.
#![allow(missing_docs, reason = "criterion's macro makes a function without documentation")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kv_env::{CrashChoice, Fs, RealFs, SimDisk};

const APPEND_BYTES: usize = 4096;

/// A real file is made anew when it is full.
const SEGMENT_BYTES: u64 = 64 << 20;

/// As short as tests make their files.
const SIMULATED_SEGMENT_BYTES: u64 = 1 << 20;

fn real(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let fs = RealFs::open(directory.path(), false).expect("the directory opens");
    let mut group = criterion.benchmark_group("real");
    for syncs in [false, true] {
        let name = if syncs { "append 4 KiB and sync" } else { "append 4 KiB" };
        let mut segment = 0;
        let mut new_segment = || {
            segment += 1;
            let mut file = fs.create(&format!("{syncs}_{segment}.log")).expect("the file is new");
            if syncs {
                file.zero_fill(SEGMENT_BYTES).expect("there is space");
                file.sync().expect("the disk works");
            }
            file
        };
        let mut file = new_segment();
        let bytes = [1; APPEND_BYTES];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                if file.position() >= SEGMENT_BYTES {
                    file = new_segment();
                }
                file.append(&bytes).expect("there is space");
                if syncs {
                    file.sync().expect("the disk works");
                }
            });
        });
    }
    group.finish();
}

/// What crash tests make: eight sealed tables, a manifest, a log filled with
/// zeros ahead of use, and a few changes that are not synced.
fn small_database() -> SimDisk {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    for number in 0..8 {
        let mut table = fs.create(&format!("sst_{number}.db")).expect("the file is new");
        table.append(&[1; 16 << 10]).expect("no fault is set");
        table.seal().expect("no fault is set");
    }
    let mut manifest = fs.create("MANIFEST").expect("the file is new");
    let mut log = fs.create("wal.log").expect("the file is new");
    log.zero_fill(64 << 10).expect("no fault is set");
    log.append(&[1; 16 << 10]).expect("no fault is set");
    log.sync().expect("no fault is set");
    fs.sync_dir().expect("no fault is set");
    log.append(&[2; APPEND_BYTES]).expect("no fault is set");
    manifest.append(&[3; 1000]).expect("no fault is set");
    disk
}

fn simulated(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulated");
    group.bench_function("append 4 KiB and sync", |bencher| {
        let disk = SimDisk::new(1);
        let mut file = disk.fs().create("a").expect("the file is new");
        file.zero_fill(SIMULATED_SEGMENT_BYTES).expect("there is space");
        bencher.iter(|| {
            if file.position() >= SIMULATED_SEGMENT_BYTES {
                disk.forget_history();
                disk.fs().remove("a").expect("the file is there");
                file = disk.fs().create("a").expect("the file is gone");
            }
            file.append(&[1; APPEND_BYTES]).expect("no fault is set");
            file.sync().expect("no fault is set");
        });
    });
    group.bench_function("image of 1 MiB in 8 files", |bencher| {
        let disk = SimDisk::new(1);
        for number in 0..8 {
            let mut file = disk.fs().create(&format!("{number}")).expect("the file is new");
            file.append(&[1; 124 << 10]).expect("no fault is set");
            file.sync().expect("no fault is set");
            file.append(&[1; APPEND_BYTES]).expect("no fault is set");
        }
        disk.fs().sync_dir().expect("no fault is set");
        let mut seed = 0;
        bencher.iter_batched(
            || {
                seed += 1;
                CrashChoice::Seeded(seed)
            },
            |choice| disk.crash(choice),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("image and fingerprint of 10 small files", |bencher| {
        let disk = small_database();
        let mut seed = 0;
        bencher.iter_batched(
            || {
                seed += 1;
                CrashChoice::Seeded(seed)
            },
            |choice| disk.crash(choice).fingerprint(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("all images of one op of 10 small files", |bencher| {
        let disk = small_database();
        bencher.iter(|| disk.images(disk.op_count()).count());
    });
    group.finish();
}

criterion_group!(benches, real, simulated);
criterion_main!(benches);
