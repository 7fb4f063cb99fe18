//! The rules of an open, one by one: when it creates, which files are ours to
//! remove, and which numbers come next. Which manifest counts: `first_open`.

use std::time::Duration;

use kv_engine::{Engine, Error, Options, current_manifest, read_manifest_edits};
use kv_env::{CrashChoice, SimDisk};

use crate::support::{contents, open, tiny};

fn options() -> Options {
    // What is flushed stays where it is.
    Options { compaction_sstable_threshold: 50, ..tiny() }
}

fn existing_only() -> Options {
    Options { create_if_missing: false, ..options() }
}

/// A database of one write, in a table or just in the log, closed properly.
fn closed(is_flushed: bool) -> SimDisk {
    let disk = SimDisk::new(21);
    let engine = open(&disk, options());
    engine.put(b"key", b"value").unwrap();
    if is_flushed {
        engine.flush().unwrap();
    }
    engine.close().unwrap();
    disk.crash(CrashChoice::All)
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.fs().list().unwrap().into_iter().map(|entry| entry.name).collect()
}

fn remove(disk: &SimDisk, start: &str) {
    for name in names(disk).into_iter().filter(|name| name.starts_with(start)) {
        disk.fs().remove(&name).unwrap();
    }
}

/// Databases of segments alone, of tables alone and of both.
fn remains() -> [(SimDisk, &'static str); 3] {
    let tables_only = closed(true);
    remove(&tables_only, "wal");
    [(closed(false), "segments"), (tables_only, "tables"), (closed(true), "both")]
}

#[track_caller]
fn refusal(disk: &SimDisk, options: Options) -> Error {
    let before = disk.fingerprint();
    let error = Engine::open_in(disk.env(), options).map(|_| ()).expect_err("it opens");
    assert_eq!(disk.fingerprint(), before, "refused, yet changed: {error}");
    error
}

#[test]
fn a_database_without_tables_is_one_that_exists() {
    let engine = open(&closed(false), existing_only());
    assert_eq!(contents(&engine).len(), 1);
}

/// With or without leave to create: nothing is created beside what is left of
/// another database, and what is there is no missing database.
#[test]
fn segments_or_tables_without_a_manifest_are_refused() {
    for (disk, what) in remains() {
        remove(&disk, "MANIFEST");
        for options in [options(), existing_only()] {
            let error = refusal(&disk, options);
            let is_damage = matches!(error, Error::Corruption { offset: 0, .. });
            assert!(
                is_damage && error.to_string().contains("no valid manifest"),
                "{what}: {error}"
            );
        }
    }
}

#[test]
fn numbers_of_files_go_on_after_a_close_without_a_gap() {
    let disk = SimDisk::new(23);
    let mut expected = Vec::new();
    for round in 1..=3u64 {
        let engine = open(&disk, options());
        engine.put(&round.to_be_bytes(), b"value").unwrap();
        engine.flush().unwrap();
        engine.close().unwrap();
        expected.push(format!("sst_{round:06}.db"));
        let tables: Vec<String> =
            names(&disk).into_iter().filter(|name| name.ends_with(".db")).collect();
        assert_eq!(tables, expected);
        let manifest = current_manifest(&disk.env()).unwrap().unwrap();
        assert_eq!(manifest, format!("MANIFEST_{round:06}"));
        let edits = read_manifest_edits(&*disk.fs(), &manifest).unwrap();
        assert_eq!(edits.last().unwrap().next_file_id, Some(round + 1), "exact from a close on");
        let header = kv_wal::read_header(&*disk.fs(), &manifest, kv_core::FileKind::Manifest);
        assert_eq!(edits[0].database, Some(header.unwrap().database_id), "a snapshot says whose");
    }
}

/// Below the next number a table that nobody names is a leftover of ours, from
/// there on it is none.
#[test]
fn the_next_number_tells_leftovers_from_strangers() {
    let disk = closed(true);
    disk.write_file("compacted_000001.db", b"the beginning of a table");
    disk.write_file("compacted_000002.db", b"what somebody has put there");
    let engine = open(&disk, options());
    let report = engine.recovery_report();
    assert_eq!(report.removed, ["compacted_000001.db"]);
    assert_eq!(report.foreign, ["compacted_000002.db"]);
    assert!(names(&disk).contains(&"compacted_000002.db".into()));
}

/// What is in tables is not kept in the log, and what is not is.
#[test]
fn an_open_leaves_the_segments_that_are_needed_and_no_other() {
    for (is_flushed, segments) in [(true, 1), (false, 2)] {
        let disk = closed(is_flushed);
        let engine = open(&disk, options());
        let expected: &[&str] = match is_flushed {
            true => &["LOCK", "MANIFEST_000002", "RESERVE", "sst_000001.db", "wal.log"],
            false => &["LOCK", "MANIFEST_000002", "RESERVE", "wal.log", "wal_000001.log"],
        };
        assert_eq!(names(&disk), expected);
        assert_eq!(engine.stats().wal_segments, segments);
        let manifest = disk.read_file("MANIFEST_000002").unwrap();
        assert_eq!(manifest.len(), 64 << 10, "room for edits, durably zero");
        assert_eq!(engine.recovery_report().removed, Vec::<String>::new());
        engine.flush().unwrap();
        let killed = disk.kill(disk.op_count());
        assert_eq!(contents(&open(&killed, options())).len(), 1);
    }
}

/// Of the numbers that a killed process has reserved any may be in use.
#[test]
fn the_numbers_of_a_killed_process_are_not_given_again() {
    let disk = closed(true);
    let engine = open(&disk, options());
    let killed = disk.kill(disk.op_count());
    drop(engine);
    let engine = open(&killed, options());
    engine.put(b"more", b"value").unwrap();
    engine.flush().unwrap();
    let tables: Vec<String> =
        names(&killed).into_iter().filter(|name| name.ends_with(".db")).collect();
    assert_eq!(tables, ["sst_000001.db", "sst_000066.db"], "2 to 65 were reserved");
}

/// The manifest that an open writes knows all that the one before it did.
#[test]
fn the_place_of_the_scrub_outlives_an_open_that_is_killed() {
    let disk = closed(true);
    let engine = open(&disk, options());
    disk.clock().advance(Duration::from_secs(1000));
    while engine.scrub_step().unwrap() {}
    let completed_ms = engine.stats().scrub_completed_ms;
    assert!(completed_ms >= 1_000_000, "{completed_ms}");
    engine.close().unwrap();
    let mut killed = disk;
    for _ in 0..2 {
        let engine = open(&killed, options());
        assert_eq!(engine.stats().scrub_completed_ms, completed_ms);
        killed = killed.kill(killed.op_count());
    }
}
