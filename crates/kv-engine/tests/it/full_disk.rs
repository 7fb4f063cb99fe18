//! Full disks: nothing is lost, reads and deletes go on, and once there is space
//! writing goes on without another open.

use std::collections::BTreeMap;

use kv_engine::{Background, Durability, Engine, Error, FlushSize, Options, WriteBatch};
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk};

use crate::support::{contents, open, settle, tiny};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// An engine whose reserve is small against the capacities below.
fn small() -> Options {
    Options { memtable_flush_size: FlushSize::Bytes(16 << 10), ..tiny() }
}

fn key(number: u64) -> Vec<u8> {
    format!("key {:05}", number).into_bytes()
}

/// Bytes that no compression makes small.
fn noise(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..700).map(|_| next()).collect()
}

/// Writes until the disk is full; the model holds what was acknowledged.
fn fill(engine: &Engine, model: &mut Model, from: u64) -> u64 {
    for number in from.. {
        match engine.put(&key(number), &noise(number)) {
            Ok(_) => {
                model.insert(key(number), noise(number));
            }
            Err(error) => {
                assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
                assert!(error.to_string().contains("no space left"), "{error}");
                return number;
            }
        }
        if number % 8 == 0 {
            settle(engine);
        }
    }
    unreachable!("the disk has an end")
}

fn assert_holds(engine: &Engine, model: &Model, what: &str) {
    let expected: Vec<_> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    assert!(contents(engine) == expected, "{what}");
}

fn assert_survives(disk: &SimDisk, model: &Model, what: &str) {
    for choice in [CrashChoice::None, CrashChoice::All, CrashChoice::Seeded(3)] {
        let image = disk.crash(choice);
        assert_holds(&open(&image, small()), model, &format!("{what}, {choice:?}"));
    }
}

#[test]
fn a_full_disk_refuses_puts_and_heals_when_space_is_freed_elsewhere() {
    for kilobytes in (300..700).step_by(40) {
        let disk = SimDisk::new(kilobytes);
        disk.set_capacity(Some(kilobytes << 10));
        let engine = open(&disk, small());
        let mut model = Model::new();
        let mut number = 0;
        for round in 1..4 {
            let what = format!("{kilobytes} KiB, round {round}");
            number = fill(&engine, &mut model, number);
            assert!(engine.stats().disk_full, "{what}");
            settle(&engine);
            assert_holds(&engine, &model, &what);
            assert_survives(&disk, &model, &what);
            disk.set_capacity(Some((kilobytes + 200 * round) << 10));
            settle(&engine);
            assert!(!engine.stats().disk_full, "{what}: {:?}", engine.stats());
        }
        engine.put(b"all is well", b"again").unwrap();
        engine.close().unwrap();
    }
}

#[test]
fn a_full_disk_empties_itself_by_deletes() {
    for kilobytes in (600..1800).step_by(75) {
        let disk = SimDisk::new(kilobytes);
        disk.set_capacity(Some(kilobytes << 10));
        let engine = open(&disk, small());
        let mut model = Model::new();
        let end = fill(&engine, &mut model, 0);
        let what = format!("{kilobytes} KiB with {end} writes");
        for number in 0..end {
            engine.delete(&key(number)).unwrap_or_else(|error| panic!("{what}, {number}: {error}"));
            model.remove(&key(number));
        }
        assert_survives(&disk, &model, &what);
        settle(&engine);
        assert!(!engine.stats().disk_full, "{what}: {:?}\n{}", engine.stats(), engine.shape());
        assert_holds(&engine, &model, &what);
        // As much fits again as did before.
        let refilled = fill(&engine, &mut model, 0);
        assert!(refilled >= end / 2, "{what}: only {refilled}");
        assert_holds(&engine, &model, &what);
    }
}

#[test]
fn a_batch_with_a_put_is_refused_and_one_of_deletes_is_taken() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(400 << 10));
    let engine = open(&disk, small());
    let mut model = Model::new();
    let end = fill(&engine, &mut model, 0);
    let mut mixed = WriteBatch::new();
    mixed.delete(&key(0)).unwrap();
    mixed.put(b"new", b"value").unwrap();
    let refused = engine.write(mixed, Durability::Sync).unwrap_err();
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused:?}");
    assert_holds(&engine, &model, "a refused batch leaves nothing");
    let mut deletes = WriteBatch::new();
    for number in 0..end {
        deletes.delete(&key(number)).unwrap();
    }
    engine.write(deletes, Durability::Sync).unwrap();
    assert!(contents(&engine).is_empty());
}

#[test]
fn a_database_opens_with_its_reserve_when_others_have_filled_the_disk() {
    for (what, is_closed) in [("closed", true), ("killed", false)] {
        let disk = SimDisk::new(2);
        let engine = open(&disk, small());
        let mut model = Model::new();
        for number in 0..100 {
            engine.put(&key(number), &noise(number)).unwrap();
            model.insert(key(number), noise(number));
        }
        settle(&engine);
        if is_closed {
            engine.close().unwrap();
        }
        drop(engine);
        let disk = disk.crash(CrashChoice::All);
        let used: u64 = disk.fs().list().unwrap().iter().map(|entry| entry.len).sum();
        disk.set_capacity(Some(used));
        let engine = open(&disk, small());
        assert_holds(&engine, &model, what);
        assert!(engine.stats().disk_full, "{what}");
        for number in 0..10 {
            engine.delete(&key(number)).unwrap();
            model.remove(&key(number));
        }
        assert_holds(&engine, &model, what);
        disk.set_capacity(None);
        settle(&engine);
        engine.put(b"enough", b"space").unwrap();
    }
}

#[test]
fn flush_on_a_full_disk_says_so_instead_of_waiting_for_ever() {
    for background in [Background::Manual, Background::Threads] {
        let disk = SimDisk::new(3);
        let engine = open(&disk, Options { background, ..small() });
        engine.put(b"key", &noise(1)).unwrap();
        disk.inject(Fault::new(Failure::NoSpace).of(Operation::Create));
        let error = engine.flush().unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{background:?}: {error:?}");
        disk.clear_faults();
        assert_eq!(engine.get(b"key").unwrap().unwrap(), noise(1));
    }
}

/// Without anybody's help: the threads look again by themselves.
#[test]
fn an_engine_with_threads_heals_by_itself() {
    let disk = SimDisk::new(4);
    disk.set_capacity(Some(400 << 10));
    let engine = open(&disk, Options { background: Background::Threads, ..small() });
    let mut written = 0u64;
    let refused = loop {
        match engine.put(&key(written), &noise(written)) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused:?}");
    disk.set_capacity(None);
    // A put that is refused does nothing: ask until one is taken.
    while engine.put(b"later", b"value").is_err() {
        std::thread::yield_now();
    }
    assert_eq!(contents(&engine).len() as u64, written + 1);
    engine.close().unwrap();
    assert_eq!(contents(&open(&disk, small())).len() as u64, written + 1);
}

/// A reserve of nothing: the engine still heals, it just has less to work with.
#[test]
fn without_a_reserve_a_full_disk_loses_nothing_either() {
    let disk = SimDisk::new(5);
    disk.set_capacity(Some(400 << 10));
    let options = Options { reserve_bytes: Some(0), ..small() };
    let engine = open(&disk, options.clone());
    assert_eq!(disk.read_file("RESERVE"), None);
    let mut model = Model::new();
    let end = fill(&engine, &mut model, 0);
    assert_holds(&engine, &model, "full");
    disk.set_capacity(Some(600 << 10));
    settle(&engine);
    let more = fill(&engine, &mut model, end);
    assert!(more > end, "{more}");
    drop(engine);
    disk.set_capacity(None);
    assert_holds(&open(&disk, options), &model, "opened again");
}

/// A mended bug, found on a failing device: a file that could not be finished for want
/// of space, and not be removed either, was in the way of the next attempt, and ended
/// writing.
#[test]
fn what_an_attempt_without_space_leaves_is_not_in_the_way_of_the_next() {
    let options = Options { manifest_edit_bytes: 1, ..tiny() };
    for name in ["wal_next.log", "MANIFEST_*"] {
        let disk = SimDisk::new(3);
        let engine = open(&disk, options.clone());
        disk.inject(Fault::new(Failure::NoSpace).of(Operation::ZeroFill).on(name).times(1));
        // Also for the next attempts, or for the two looks at the first and one more.
        disk.inject(Fault::new(Failure::Device).of(Operation::Remove).on(name).times(3));
        let mut model = Model::new();
        for number in 0..60 {
            while let Err(error) = engine.put(&key(number), b"value") {
                assert!(matches!(error, Error::NoSpace { .. }), "{name}: {error}");
                settle(&engine);
            }
            model.insert(key(number), b"value".to_vec());
            settle(&engine);
        }
        let removed = disk.history().iter().filter(|line| line.contains("remove")).count();
        assert!(removed > 3, "{name}: {removed}");
        assert!(!engine.stats().disk_full, "{name}");
        engine.close().unwrap();
        assert_holds(&open(&disk, options.clone()), &model, name);
    }
}
