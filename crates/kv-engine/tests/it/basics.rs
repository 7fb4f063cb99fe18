//! Every public call, once in its plain use and once refused.

use std::sync::Arc;

use kv_engine::{
    Durability, Engine, Error, FlushSize, KeyRange, MAX_KEY_BYTES, MAX_VALUE_BYTES, Options,
    TableOptions, WriteBatch,
};
use kv_env::{Env, FaultFs, Operation, SimDisk};

use crate::support::{contents, open, settle, small_threaded, tiny};

fn fruit(engine: &Engine) {
    for (key, value) in
        [("apple", "red"), ("banana", "yellow"), ("cherry", "dark"), ("date", "brown")]
    {
        engine.put(key.as_bytes(), value.as_bytes()).unwrap();
    }
}

fn keys(scan: kv_engine::Scan) -> Vec<String> {
    scan.map(|entry| String::from_utf8(entry.unwrap().0).unwrap()).collect()
}

#[test]
fn values_are_read_back_from_memory_and_from_tables() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, tiny());
    fruit(&engine);
    engine.delete(b"banana").unwrap();
    for _ in 0..2 {
        assert_eq!(engine.get(b"apple").unwrap().unwrap(), b"red");
        assert_eq!(engine.get(b"banana").unwrap(), None);
        assert_eq!(engine.get(b"fig").unwrap(), None);
        engine.flush().unwrap();
    }
    engine.compact().unwrap();
    assert_eq!(keys(engine.scan(KeyRange::all()).unwrap()), ["apple", "cherry", "date"]);
    engine.verify().unwrap();
}

#[test]
fn the_empty_key_and_the_empty_value_are_like_any_other() {
    let engine = open(&SimDisk::new(1), tiny());
    engine.put(b"", b"").unwrap();
    assert_eq!(engine.get(b"").unwrap().unwrap(), b"");
    engine.flush().unwrap();
    assert_eq!(engine.get(b"").unwrap().unwrap(), b"");
    engine.delete(b"").unwrap();
    assert_eq!(engine.get(b"").unwrap(), None);
}

#[test]
fn scans_take_any_bounds_both_ways_and_can_be_moved() {
    let engine = open(&SimDisk::new(1), tiny());
    fruit(&engine);
    engine.flush().unwrap();
    engine.put(b"blueberry", b"blue").unwrap();
    let between = KeyRange::from_bounds(&b"banana"[..]..&b"date"[..]);
    assert_eq!(keys(engine.scan(between.clone()).unwrap()), ["banana", "blueberry", "cherry"]);
    let backwards = engine.scan(between.clone()).unwrap().reverse();
    assert_eq!(keys(backwards), ["cherry", "blueberry", "banana"]);
    assert_eq!(keys(engine.scan(KeyRange::prefix(b"b")).unwrap()), ["banana", "blueberry"]);
    assert_eq!(
        keys(engine.scan(KeyRange::from_bounds(..=&b"banana"[..])).unwrap()),
        ["apple", "banana"]
    );
    let mut scan = engine.scan(between).unwrap();
    scan.seek(b"bl").unwrap();
    assert_eq!(keys(scan), ["blueberry", "cherry"]);
    let mut scan = engine.scan(KeyRange::all()).unwrap().reverse();
    scan.seek(b"bz").unwrap();
    assert_eq!(keys(scan), ["blueberry", "banana", "apple"]);
}

#[test]
fn a_snapshot_stays_as_it_was_through_flush_and_compaction() {
    let engine = open(&SimDisk::new(1), tiny());
    fruit(&engine);
    let before = engine.snapshot();
    engine.put(b"apple", b"green").unwrap();
    engine.delete(b"cherry").unwrap();
    engine.flush().unwrap();
    engine.compact().unwrap();
    assert_eq!(before.get(b"apple").unwrap().unwrap(), b"red");
    assert_eq!(before.get(b"cherry").unwrap().unwrap(), b"dark");
    assert_eq!(keys(before.scan(KeyRange::all())), ["apple", "banana", "cherry", "date"]);
    assert_eq!(engine.get(b"apple").unwrap().unwrap(), b"green");
}

#[test]
fn a_small_data_set_is_a_log_and_nothing_else() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, Options { memtable_flush_size: FlushSize::Entries(1000), ..tiny() });
    for index in 0..200u32 {
        engine.put(&index.to_be_bytes(), b"small").unwrap();
    }
    settle(&engine);
    let names: Vec<String> =
        disk.fs().list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["LOCK", "MANIFEST_000001", "RESERVE", "wal.log"]);
}

#[test]
fn tables_are_mapped_where_maps_can_be_trusted_and_read_elsewhere() {
    for is_trusted in [true, false] {
        let disk = SimDisk::new(1);
        let fs = FaultFs::new(disk.fs());
        let fs = if is_trusted { fs } else { fs.without_trust_in_maps() };
        let env = Env { fs: Arc::new(fs.clone()), ..disk.env() };
        let engine = Engine::open_in(env, tiny()).unwrap();
        engine.put(b"key", b"value").unwrap();
        engine.flush().unwrap();
        assert_eq!(engine.get(b"key").unwrap().unwrap(), b"value");
        assert_eq!(fs.count(Operation::Map) > 0, is_trusted);
    }
}

#[test]
fn a_large_data_set_spills_into_tables_that_are_compacted() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, tiny());
    for index in 0..200u32 {
        engine.put(&(index % 50).to_be_bytes(), &index.to_be_bytes()).unwrap();
        settle(&engine);
    }
    let stats = engine.stats();
    assert!(stats.flushes > 10 && stats.compactions > 5, "{stats:?}");
    let names: Vec<String> =
        disk.fs().list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(names.iter().any(|name| name.starts_with("compacted_")), "{names:?}");
    let on_disk = names.iter().filter(|name| name.ends_with(".db")).count();
    assert_eq!(on_disk as u64, stats.tables, "old tables are gone: {names:?}");
    assert_eq!(contents(&engine).len(), 50);
    assert_eq!(disk.violations(), Vec::<String>::new());
}

#[test]
fn a_reopened_database_is_the_same_and_says_what_it_found() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, tiny());
    assert!(engine.recovery_report().created);
    for index in 0..30u32 {
        engine.put(&index.to_be_bytes(), b"value").unwrap();
    }
    let before = contents(&engine);
    engine.close().unwrap();
    let engine = open(&disk, tiny());
    assert_eq!(contents(&engine), before);
    let report = engine.recovery_report();
    assert!(report.clean_shutdown && !report.created, "{report:?}");
    assert_eq!(report.last_seqno.0, 30);
    engine.put(b"more", b"").unwrap();
    assert_eq!(engine.snapshot().seqno().0, 31);
}

#[test]
fn opening_again_and_again_keeps_the_directory_small() {
    let disk = SimDisk::new(1);
    for round in 0..40u32 {
        let engine =
            open(&disk, Options { memtable_flush_size: FlushSize::Entries(1000), ..tiny() });
        engine.put(&round.to_be_bytes(), b"value").unwrap();
        settle(&engine);
        engine.close().unwrap();
    }
    let engine = open(&disk, tiny());
    assert_eq!(contents(&engine).len(), 40);
    settle(&engine);
    let files = disk.fs().list().unwrap().len();
    assert!(files < 20, "{files} files");
}

#[test]
fn too_large_is_refused_before_anything_is_written() {
    let engine = open(&SimDisk::new(1), tiny());
    engine.put(&vec![b'k'; MAX_KEY_BYTES], b"longest key").unwrap();
    let long = engine.put(&vec![b'k'; MAX_KEY_BYTES + 1], b"");
    assert_eq!(
        long.unwrap_err().to_string(),
        "key of 65536 bytes is over the limit of 65535 bytes"
    );
    let huge = vec![0; MAX_VALUE_BYTES + 1];
    assert!(matches!(engine.put(b"k", &huge), Err(Error::TooLarge { what: "value", .. })));
    let mut batch = WriteBatch::new();
    batch.put(b"kept", b"1").unwrap();
    assert!(batch.put(b"k", &huge).is_err());
    assert_eq!(batch.count(), 1, "the batch is as before");
    assert_eq!(engine.stats().writes, 1);
}

#[test]
fn options_out_of_range_are_named() {
    let refuse = |options: Options| {
        Engine::open_in(SimDisk::new(1).env(), options).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        refuse(Options { memtable_flush_size: FlushSize::Entries(0), ..tiny() }),
        "memtable_flush_size must be at least 1 entry"
    );
    assert_eq!(
        refuse(Options { wal_batch_size: 0, ..tiny() }),
        "wal_batch_size must be at least 1"
    );
    assert_eq!(
        refuse(Options { compaction_sstable_threshold: 1, ..tiny() }),
        "compaction_sstable_threshold must be at least 2"
    );
    assert_eq!(
        refuse(Options { max_open_files: 0, ..tiny() }),
        "max_open_files must be at least 1"
    );
    let table = TableOptions { restart_interval: 0, ..TableOptions::default() };
    assert_eq!(refuse(Options { table, ..tiny() }), "restart_interval is 0, set it to 1 to 255");
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small_threaded()).unwrap();
    let second = Engine::open(directory.path(), small_threaded());
    match second.map(|_| ()).unwrap_err() {
        Error::Locked { holder_pid, .. } => assert_eq!(holder_pid, Some(std::process::id())),
        other => panic!("{other}"),
    }
    engine.close().unwrap();
    assert!(matches!(engine.put(b"late", b""), Err(Error::Closed)));
    Engine::open(directory.path(), small_threaded()).unwrap();
}

#[test]
fn dropping_the_last_handle_closes_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small_threaded()).unwrap();
    let other = engine.clone();
    engine.put(b"a", b"1").unwrap();
    drop(engine);
    other.put(b"b", b"2").unwrap();
    drop(other);
    let engine = Engine::open(directory.path(), small_threaded()).unwrap();
    assert!(engine.recovery_report().clean_shutdown);
    assert_eq!(contents(&engine).len(), 2);
}

#[test]
fn a_database_that_should_exist_is_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { create_if_missing: false, ..small_threaded() };
    let error = Engine::open(directory.path(), options).map(|_| ()).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[test]
fn foreign_files_stay_and_are_reported() {
    let disk = SimDisk::new(1);
    open(&disk, tiny()).close().unwrap();
    disk.write_file("notes.txt", b"mine");
    let engine = open(&disk, tiny());
    assert_eq!(engine.recovery_report().foreign, ["notes.txt"]);
    assert_eq!(disk.read_file("notes.txt").unwrap(), b"mine");
}

#[test]
fn a_batch_is_visible_as_a_whole() {
    let engine = open(&SimDisk::new(1), tiny());
    let mut batch = WriteBatch::new();
    for index in 0..100u32 {
        batch.put(&index.to_be_bytes(), b"x").unwrap();
    }
    batch.delete(&7u32.to_be_bytes()).unwrap();
    let last = engine.write(batch, Durability::Sync).unwrap();
    assert_eq!(last.0, 101);
    assert_eq!(contents(&engine).len(), 99);
}

/// A mended bug: reads of a snapshot, which are all that a server does, did not count.
#[test]
fn every_read_of_a_key_counts() {
    let engine = open(&SimDisk::new(1), tiny());
    engine.put(b"key", b"value").unwrap();
    engine.get(b"key").unwrap();
    engine.snapshot().get(b"key").unwrap();
    engine.get_for_update(b"key").unwrap();
    assert_eq!(engine.stats().gets, 3);
}
