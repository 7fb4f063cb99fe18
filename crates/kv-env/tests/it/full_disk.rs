//! A file system without room: both backends refuse alike, lose nothing, and
//! go on when space is given back.

use std::sync::Arc;

use kv_core::Error;
use kv_env::{Failure, Fault, Fs, Operation, RealFs, SimDisk};

use crate::support::Mount;

/// Small, and a whole number of pages, which is what a tmpfs counts in.
const CAPACITY_BYTES: u64 = 128 << 10;

/// A simulated disk of the capacity, and a real one where a tmpfs can be
/// mounted.
fn on_small_disks(check: impl Fn(&dyn Fs)) {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(CAPACITY_BYTES));
    check(&*disk.fs());

    let size = format!("size={CAPACITY_BYTES},mode=0700");
    if let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", &size, "kv-env-test"]) {
        check(&RealFs::open(mount.path(), false).unwrap());
    }
}

#[track_caller]
fn assert_full<T>(result: Result<T, Error>) {
    let error = result.err().expect("the disk is full");
    assert!(error.is_out_of_space(), "{error}");
}

/// Waits until closed files have given back their space: a process that another
/// test is just starting shares all descriptors until it runs its own program.
#[track_caller]
fn await_free_space(fs: &dyn Fs, expected: u64) {
    let is_there = (0..100_000).any(|_| {
        std::thread::yield_now();
        fs.free_space().unwrap() == expected
    });
    assert!(is_there, "{} bytes are free, not {expected}", fs.free_space().unwrap());
}

#[test]
fn zeros_that_do_not_fit_leave_what_was_appended_and_appends_go_on_over_them() {
    on_small_disks(|fs| {
        let mut log = fs.create("wal.log").unwrap();
        log.append(&[1; 5000]).unwrap();
        log.zero_fill(32 << 10).unwrap();
        log.append(&[2; 5000]).unwrap();
        assert_full(log.zero_fill(CAPACITY_BYTES * 2));
        assert_eq!(log.position(), 10_000);

        let bytes = fs.open("wal.log").unwrap().read_all().unwrap();
        assert!(bytes.len() >= 32 << 10 && bytes.len() as u64 <= CAPACITY_BYTES);
        assert!(bytes[..5000].iter().all(|byte| *byte == 1));
        assert!(bytes[5000..10_000].iter().all(|byte| *byte == 2));
        assert!(bytes[10_000..].iter().all(|byte| *byte == 0), "zeros, as far as they reach");

        // The room that was filled before is there, though the disk is full.
        log.append(&[3; (32 << 10) - 10_000]).unwrap();
        log.sync().unwrap();
        let bytes = fs.open("wal.log").unwrap().read_all().unwrap();
        assert!(bytes[10_000..32 << 10].iter().all(|byte| *byte == 3));
        assert!(bytes[..5000].iter().all(|byte| *byte == 1));
    });
}

#[test]
fn a_reserve_takes_space_and_gives_it_back() {
    on_small_disks(|fs| {
        let all = fs.free_space().unwrap();
        fs.reserve("reserve", 64 << 10).unwrap();
        assert_eq!(fs.free_space().unwrap(), all - (64 << 10));
        // It is there already; a smaller one does not shrink it.
        fs.reserve("reserve", 64 << 10).unwrap();
        fs.reserve("reserve", 0).unwrap();
        assert_eq!(fs.list().unwrap()[0].len, 64 << 10);

        let mut table = fs.create("sst_1.db").unwrap();
        assert_full(table.append(&vec![1; all as usize]));
        assert_eq!(fs.free_space().unwrap(), 0);
        let mut manifest = fs.create("MANIFEST").unwrap();
        assert_full(manifest.append(&[1; 4096]));
        fs.remove("reserve").unwrap();
        manifest.append(&[1; 4096]).unwrap();
        manifest.sync().unwrap();
        assert_eq!(fs.free_space().unwrap(), (64 << 10) - 4096);
    });
}

#[test]
fn a_reserve_without_room_leaves_no_file_and_an_old_one_as_it_was() {
    on_small_disks(|fs| {
        let all = fs.free_space().unwrap();
        assert_full(fs.reserve("reserve", CAPACITY_BYTES * 4));
        assert!(fs.list().unwrap().is_empty());
        assert_eq!(fs.free_space().unwrap(), all);

        fs.reserve("reserve", 8 << 10).unwrap();
        assert_full(fs.reserve("reserve", CAPACITY_BYTES * 4));
        assert_eq!(fs.list().unwrap()[0].len, 8 << 10);
        assert_eq!(fs.free_space().unwrap(), all - (8 << 10));
    });
}

#[test]
fn a_removed_file_gives_its_space_back_with_its_last_holder() {
    on_small_disks(|fs| {
        let all = fs.free_space().unwrap();
        let mut table = fs.create("sst_1.db").unwrap();
        table.append(&[1; 16 << 10]).unwrap();
        table.seal().unwrap();
        let reader = fs.open("sst_1.db").unwrap();
        let map = reader.map().unwrap();
        let handle = table.sync_handle();
        fs.remove("sst_1.db").unwrap();
        let holders: [Box<dyn std::any::Any>; 4] =
            [Box::new(table), Box::new(handle), Box::new(reader), Box::new(map)];
        for holder in holders {
            assert_eq!(fs.free_space().unwrap(), all - (16 << 10));
            drop(holder);
        }
        await_free_space(fs, all);

        // A rename removes the file that it replaces.
        for name in ["a", "b"] {
            fs.create(name).unwrap().append(&[1; 4096]).unwrap();
        }
        fs.rename("a", "b").unwrap();
        await_free_space(fs, all - 4096);
        fs.truncate("b", 0).unwrap();
        assert_eq!(fs.free_space().unwrap(), all);
    });
}

#[test]
fn every_kind_of_growth_can_find_the_disk_full_after_a_legal_part() {
    for capacity in 0..40 {
        let disk = SimDisk::new(1);
        let fs = disk.fs();
        disk.set_capacity(Some(capacity));
        let mut file = fs.create("a").unwrap();
        let zeroed = file.zero_fill(10);
        assert_eq!(zeroed.is_ok(), capacity >= 10);
        let appended = file.append(&[1; 20]);
        assert_eq!(appended.is_ok(), capacity >= 20);
        let reserved = fs.reserve("b", 10);
        assert_eq!(reserved.is_ok(), capacity >= 30);
        assert_eq!(disk.read_file("b").is_some(), capacity >= 30);
        for result in [zeroed, appended, reserved] {
            assert!(result.is_ok_and(|()| true) || disk.history().join("").contains("failed"));
        }
        let written = (capacity as usize).min(20);
        assert_eq!(disk.read_file("a").unwrap(), vec![1; written], "capacity {capacity}");
        assert_eq!(file.position(), if capacity >= 20 { 20 } else { 0 });
        // What is there may be written again.
        let mut rewritten = fs.create("c").unwrap();
        disk.set_capacity(None);
        rewritten.zero_fill(1000).unwrap();
        disk.set_capacity(Some(0));
        rewritten.append(&[2; 1000]).unwrap();
        assert_full(rewritten.append(&[2]));
    }
}

#[test]
fn a_power_cut_within_a_reserve_leaves_a_part_of_it() {
    let disk = SimDisk::new(1);
    disk.fs().reserve("reserve", 5000).unwrap();
    assert_eq!(disk.op_count(), 2, "created, then grown");
    for op in 0..=2 {
        for (choice, image) in disk.images(op) {
            let bytes = image.read_file("reserve").unwrap_or_default();
            assert!(bytes.is_empty() || bytes == vec![0; 5000], "{op} {choice:?}");
            // Whatever it was, the reserve can be made.
            image.fs().reserve("reserve", 5000).unwrap();
            assert_eq!(image.read_file("reserve").unwrap().len(), 5000);
        }
    }
}

#[test]
fn a_reserve_that_fails_for_any_reason_is_undone() {
    let disk = SimDisk::new(1);
    disk.inject(Fault::new(Failure::Device).of(Operation::Reserve));
    let fs: Arc<dyn Fs> = disk.fs();
    assert!(fs.reserve("reserve", 5000).is_err());
    assert!(fs.list().unwrap().is_empty());
    disk.write_file("reserve", &[1; 100]);
    assert!(fs.reserve("reserve", 5000).is_err());
    assert_eq!(disk.read_file("reserve").unwrap(), [1; 100]);
}

#[test]
fn a_reserve_is_written_where_the_file_system_cannot_allocate() {
    let Some(mount) = Mount::new(&["-t", "ramfs", "-o", "mode=0700", "kv-env-test"]) else {
        return;
    };
    let fs = RealFs::open(mount.path(), false).unwrap();
    fs.reserve("reserve", 5000).unwrap();
    fs.reserve("reserve", 3 << 20).unwrap();
    let bytes = fs.open("reserve").unwrap().read_all().unwrap();
    assert_eq!(bytes, vec![0; 3 << 20]);
}
