//! A scrub goes on after a restart, near where it was.

use std::time::Duration;

use kv_engine::{Engine, FlushSize, Options};
use kv_env::SimDisk;

use crate::support::{open, tiny};

/// What is flushed stays where it is.
fn options() -> Options {
    Options {
        memtable_flush_size: FlushSize::Entries(1000),
        compaction_sstable_threshold: 50,
        ..tiny()
    }
}

const TABLES: u64 = 5;

/// Five tables, each smaller than a slice.
fn specimen() -> (SimDisk, Engine) {
    let disk = SimDisk::new(7);
    let engine = open(&disk, options());
    (0..TABLES).for_each(|table| write_table(&engine, table));
    assert_eq!(engine.stats().tables, TABLES);
    (disk, engine)
}

fn write_table(engine: &Engine, table: u64) {
    engine.put(&table.to_be_bytes(), &vec![b'x'; 700 << 10]).unwrap();
    engine.flush().unwrap();
}

fn restart(disk: &SimDisk, engine: Engine, is_orderly: bool) -> (SimDisk, Engine) {
    let next = if is_orderly {
        engine.close().unwrap();
        disk.clone()
    } else {
        disk.kill(disk.op_count())
    };
    drop(engine);
    let engine = open(&next, options());
    (next, engine)
}

fn finish_pass(engine: &Engine) {
    while engine.scrub_step().unwrap() {}
}

fn table_bytes(disk: &SimDisk) -> Vec<u64> {
    let files = disk.fs().list().unwrap();
    files.iter().filter(|file| file.name.ends_with(".db")).map(|file| file.len).collect()
}

#[test]
fn after_a_close_the_pass_goes_on_at_the_table_it_was_at() {
    let (disk, engine) = specimen();
    let started = engine.stats().scrub_pass_started_ms;
    assert_eq!(started, 0, "no pass yet");
    assert!(engine.scrub_step().unwrap(), "a slice is one table and a part of the next");
    let before = engine.stats();
    assert_eq!(before.scrub_tables_left, TABLES - 1);
    disk.clock().advance(Duration::from_secs(77));
    let (disk, engine) = restart(&disk, engine, true);
    let after = engine.stats();
    assert_eq!(after.scrub_tables_left, TABLES - 1);
    assert_eq!(after.scrub_pass_started_ms, before.scrub_pass_started_ms);
    // What comes now is for the next pass.
    let left: u64 = table_bytes(&disk)[1..].iter().sum();
    (TABLES..TABLES + 3).for_each(|table| write_table(&engine, table));
    finish_pass(&engine);
    assert_eq!(engine.stats().scrubbed_bytes, left, "the other old tables");
    assert_eq!((engine.stats().scrub_passes, engine.scrub_findings()), (1, vec![]));
}

#[test]
fn the_end_of_a_pass_is_known_after_restarts() {
    let (disk, engine) = specimen();
    disk.clock().advance(Duration::from_secs(1000));
    finish_pass(&engine);
    let before = engine.stats();
    assert!(before.scrub_completed_ms >= 1_000_000 && before.scrub_tables_left == 0);
    let (disk, engine) = restart(&disk, engine, true);
    let (_, engine) = restart(&disk, engine, true);
    let after = engine.stats();
    assert_eq!(after.scrub_completed_ms, before.scrub_completed_ms);
    assert_eq!(after.scrub_pass_started_ms, before.scrub_pass_started_ms);
    assert_eq!((after.scrub_tables_left, after.scrub_passes), (0, 0));
    // The next pass is a whole one.
    finish_pass(&engine);
    assert_eq!(engine.stats().scrubbed_bytes, engine.stats().table_bytes);
}

/// A kill takes away what no edit has recorded: the first that is written
/// anyway does, and after five minutes one that is written for it.
#[test]
fn after_a_kill_the_pass_goes_on_from_the_last_edit() {
    for (what, expected) in [("nothing", 0), ("a flush", TABLES - 1), ("five minutes", TABLES - 2)]
    {
        let (disk, engine) = specimen();
        assert!(engine.scrub_step().unwrap());
        let ops = disk.op_count();
        match what {
            "a flush" => write_table(&engine, TABLES),
            "five minutes" => {
                disk.clock().advance(Duration::from_secs(300));
                assert!(engine.scrub_step().unwrap());
                let recorded = disk.op_count();
                assert!(recorded > ops, "an edit of its own");
                assert!(engine.scrub_step().unwrap());
                assert_eq!(disk.op_count(), recorded, "not so soon again");
            }
            _ => assert_eq!(disk.op_count(), ops),
        }
        let (_, engine) = restart(&disk, engine, false);
        assert_eq!(engine.stats().scrub_tables_left, expected, "{what}");
        finish_pass(&engine);
    }
}

/// The list of findings is not kept: what is damaged must be found again, and
/// a pass that has found something does not count as done.
#[test]
fn a_restart_begins_at_the_first_damage() {
    let (disk, engine) = specimen();
    let names = disk.fs().list().unwrap().into_iter().map(|file| file.name);
    let names: Vec<String> = names.filter(|name| name.ends_with(".db")).collect();
    disk.corrupt(&names[1], 5000, 1);
    disk.corrupt(&names[3], 5000, 1);
    finish_pass(&engine);
    let found = engine.scrub_findings();
    assert_eq!(found.len(), 2, "{found:?}");
    let (_, engine) = restart(&disk, engine, true);
    assert_eq!(engine.stats().scrub_tables_left, TABLES - 1);
    finish_pass(&engine);
    assert_eq!(engine.scrub_findings(), found);
}
