//! Calls that fail: each write, sync and rename of a run in turn, the log's
//! syncs and appends, the manifest's, the tables'.
//!
//! A failure whose outcome is unknown ends writing with `Poisoned`; reads go on
//! and show what was acknowledged; no sync is tried again; nothing is removed
//! that an open could need; and whatever the disk has kept, the next open finds
//! all that was acknowledged and nothing but a prefix of the writes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use kv_engine::{Background, Engine, Error, FlushSize, Options};
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk, SimOptions};

use crate::sample_run::{
    Entries, Progress, WRITES, assert_survives, run, states, while_work, write,
};
use crate::support::{contents, open, settle, tiny};

/// After the failure of a call that changes the disk nothing is synced again.
fn assert_no_sync_after_failure(disk: &SimDisk, what: &str) {
    let history = disk.history();
    let failed = history.iter().position(|line| line.ends_with("failed")).expect("a failed call");
    let synced = history[failed + 1..].iter().find(|line| line.contains(": sync "));
    assert_eq!(synced, None, "{what}: after {}", history[failed]);
}

/// One run with a fault; returns whether anybody noticed.
fn run_with(fault: Fault, options: SimOptions, states: &[Entries], what: &str) -> bool {
    let disk = SimDisk::with_options(5, options);
    disk.inject(fault);
    let engine = match Engine::open_in(disk.env(), tiny()) {
        Ok(engine) => engine,
        Err(error) => {
            assert!(matches!(error, Error::Io { .. }), "{what}: {error:?}");
            assert_survives(&disk, states, &Progress::default(), what);
            return true;
        }
    };
    let progress = run(&engine);
    let Some((call, error)) = &progress.failure else {
        drop(engine);
        assert_survives(&disk, states, &progress, what);
        return false;
    };
    let what = &format!("{what}, noticed by {call}: {error}");
    if *call != "close" {
        assert_eq!(contents(&engine), states[progress.acknowledged as usize], "{what}");
        let poisoned = matches!(error, Error::Poisoned { .. });
        let may_be_repeated = *call == "compact" && !error.is_out_of_space();
        assert!(poisoned || may_be_repeated, "{what}: not typed: {error:?}");
        if poisoned {
            let next = write(&engine, WRITES);
            assert!(matches!(next, Err(Error::Poisoned { .. })), "{what}: {next:?}");
            assert!(engine.stats().poisoned, "{what}");
            assert!(matches!(engine.flush(), Err(Error::Poisoned { .. })), "{what}");
            assert!(matches!(engine.close(), Err(Error::Poisoned { .. })), "{what}");
            assert_no_sync_after_failure(&disk, what);
        }
    }
    drop(engine);
    assert_survives(&disk, states, &progress, what);
    true
}

fn ops_of_a_run() -> u64 {
    let disk = SimDisk::new(5);
    let progress = run(&open(&disk, tiny()));
    assert!(progress.failure.is_none(), "{progress:?}");
    disk.op_count()
}

#[test]
fn every_call_of_a_run_may_fail() {
    let (states, ops) = (states(), ops_of_a_run());
    for op in 0..ops {
        let fault = Fault::new(Failure::Device).at_op(op);
        let what = format!("a failure in op {op}");
        assert!(run_with(fault, SimOptions::default(), &states, &what), "{what} goes unnoticed");
    }
}

/// The calls that end writing if they fail once like this; at least a hundred
/// others must not.
fn calls_that_end_writing(failure: Failure) -> Vec<String> {
    let (states, ops) = (states(), ops_of_a_run());
    let probe = SimDisk::new(5);
    let engine = open(&probe, tiny());
    let opened = probe.op_count();
    run(&engine);
    let mut ended = Vec::new();
    for (op, call) in (0..ops).zip(probe.history()).skip(opened as usize) {
        let fault = Fault::new(failure).at_op(op);
        let what = format!("{failure:?} in {call}");
        if run_with(fault, SimOptions::default(), &states, &what) {
            ended.push(call);
        }
    }
    // Files are created, filled with zeros and renamed, tables are written.
    let survived = ops - opened - ended.len() as u64;
    assert!(survived > 100, "{failure:?}: {survived} of {ops} are survived");
    ended
}

fn is_of_a_log(call: &str) -> bool {
    call.contains("of wal") || call.contains("of MANIFEST")
}

/// A disk that is full for one call costs a refusal at most. The exceptions are
/// syncs of the log and of the directory, which are never tried again, and what
/// needs no space that was not there before: bytes of a record go where zeros
/// were, and a log is cut. A file system that finds itself full there is broken.
#[test]
fn every_call_of_a_run_may_find_the_disk_full() {
    let is_final = |call: &&String| {
        call.contains(": sync ")
            || call.contains(": seal ")
            || (call.contains(" bytes at ") || call.contains("set the length")) && is_of_a_log(call)
    };
    for failure in [Failure::NoSpace, Failure::Quota] {
        let ended = calls_that_end_writing(failure);
        let surprises: Vec<&String> = ended.iter().filter(|call| !is_final(call)).collect();
        assert!(surprises.is_empty(), "{failure:?}: {surprises:#?}");
    }
}

/// A system that is short of memory for one call costs a refusal at most, unless
/// the call was to log or manifest or a sync of the directory.
#[test]
fn every_call_of_a_run_may_find_no_memory() {
    let is_final = |call: &&String| {
        let is_last = call.contains(": sync ") || call.contains(": seal ");
        is_of_a_log(call) || is_last && !call.contains(".db")
    };
    let ended = calls_that_end_writing(Failure::OutOfMemory);
    let surprises: Vec<&String> = ended.iter().filter(|call| !is_final(call)).collect();
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[test]
fn every_sync_may_fail_and_take_back_what_it_should_have_kept() {
    let states = states();
    let options = SimOptions { failed_sync_reverts: true, ..SimOptions::default() };
    let mut failed = 0;
    for sync in 0.. {
        let fault = Fault::new(Failure::Device).of(Operation::Sync).after(sync).times(1);
        if !run_with(fault, options, &states, &format!("sync {sync}")) {
            break;
        }
        failed += 1;
    }
    assert!(failed > WRITES, "the log is synced for every write, {failed}");
}

#[test]
fn a_full_disk_loses_nothing() {
    let states = states();
    for kilobytes in (60..420).step_by(20) {
        let disk = SimDisk::new(6);
        disk.set_capacity(Some(kilobytes << 10));
        let what = format!("{kilobytes} KiB");
        let progress = match Engine::open_in(disk.env(), tiny()) {
            Ok(engine) => run(&engine),
            Err(error) => {
                assert!(error.is_out_of_space(), "{what}: {error}");
                Progress::default()
            }
        };
        disk.set_capacity(None);
        assert_survives(&disk, &states, &progress, &what);
    }
}

#[test]
fn a_failed_sync_of_the_log_answers_with_its_cause() {
    for sync in 0..5 {
        let disk = SimDisk::new(1);
        let engine = open(&disk, Options { memtable_flush_size: FlushSize::Entries(99), ..tiny() });
        disk.inject(Fault::new(Failure::Device).of(Operation::Sync).on("wal*").after(sync));
        for number in 0..sync {
            engine.put(&[number as u8], b"durable").unwrap();
        }
        let error = engine.put(b"unknown", b"outcome").unwrap_err();
        let message = error.to_string();
        assert!(message.contains("sync wal.log"), "{message}");
        assert!(message.contains("outcome") && message.contains("unknown"), "{message}");
        assert_eq!(engine.get(b"unknown").unwrap(), None, "not shown before it is durable");
        assert_eq!(contents(&engine).len() as u64, sync);
        // Nothing that is asked afterwards leads to another sync.
        let ops = disk.op_count();
        for _ in 0..3 {
            assert!(matches!(engine.put(b"later", b""), Err(Error::Poisoned { .. })));
        }
        assert!(engine.close().is_err());
        assert_eq!(disk.op_count(), ops, "{:?}", &disk.history()[ops as usize..]);
    }
}

#[test]
fn every_writer_of_a_crowd_gets_an_answer_when_a_sync_fails() {
    const THREADS: u64 = 4;
    for sync in [0, 3, 10] {
        let disk = SimDisk::new(sync);
        let options = Options {
            memtable_flush_size: FlushSize::Entries(1000),
            background: Background::Threads,
            ..tiny()
        };
        let engine = open(&disk, options);
        disk.inject(Fault::new(Failure::Device).of(Operation::Sync).on("wal*").after(sync));
        let acknowledged: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
        thread::scope(|scope| {
            for (thread, last) in acknowledged.iter().enumerate() {
                let engine = &engine;
                scope.spawn(move || {
                    for number in 1u64.. {
                        match engine.put(&[thread as u8], &number.to_be_bytes()) {
                            Ok(_) => last.store(number, Ordering::Relaxed),
                            Err(Error::Poisoned { .. }) => return,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        drop(engine);
        let syncs: Vec<String> =
            disk.history().into_iter().filter(|line| line.contains("sync wal")).collect();
        let failed = syncs.iter().filter(|line| line.ends_with("failed")).count();
        assert_eq!(failed, 1, "{syncs:?}");
        assert!(syncs.last().is_some_and(|last| last.ends_with("failed")), "{syncs:?}");
        for choice in [CrashChoice::None, CrashChoice::All, CrashChoice::Seeded(sync)] {
            let engine = open(&disk.crash(choice), tiny());
            for (thread, last) in acknowledged.iter().enumerate() {
                let found = engine
                    .get(&[thread as u8])
                    .unwrap()
                    .map_or(0, |value| u64::from_be_bytes(value.as_ref().try_into().unwrap()));
                let last = last.load(Ordering::Relaxed);
                assert!((last..=last + 1).contains(&found), "{choice:?}: {found}, not {last}");
            }
        }
    }
}

fn tables_and_segments(disk: &SimDisk) -> (BTreeSet<String>, usize) {
    let names: Vec<String> = disk.fs().list().unwrap().into_iter().map(|it| it.name).collect();
    let segments = names.iter().filter(|name| name.starts_with("wal")).count();
    (names.into_iter().filter(|name| name.ends_with(".db")).collect(), segments)
}

/// A database with two tables in level 0, which is worth a compaction, and
/// writes in memory.
fn with_two_tables() -> (SimDisk, Engine, Entries) {
    let disk = SimDisk::new(3);
    let engine = open(&disk, tiny());
    for number in 1..=4 {
        write(&engine, number).unwrap();
        if number % 2 == 0 {
            engine.flush().unwrap();
        }
    }
    write(&engine, 5).unwrap();
    let truth = contents(&engine);
    (disk, engine, truth)
}

#[test]
fn after_a_failed_sync_of_the_manifest_nothing_is_removed() {
    for (work, syncs) in [("flush", 2), ("compaction", 1)] {
        for sync in 0..syncs {
            let (disk, engine, truth) = with_two_tables();
            let (tables, segments) = tables_and_segments(&disk);
            let fault = Fault::new(Failure::Device).of(Operation::Sync).on("MANIFEST_*");
            disk.inject(fault.after(sync));
            let outcome = if work == "flush" { engine.flush() } else { while_work(&engine) };
            let error = outcome.unwrap_err();
            assert!(matches!(error, Error::Poisoned { .. }), "{work}: {error:?}");
            assert!(error.to_string().contains("MANIFEST_"), "{error}");
            assert!(engine.close().is_err());
            drop(engine);
            let (tables_after, segments_after) = tables_and_segments(&disk);
            assert!(tables.is_subset(&tables_after), "{work}: {tables:?}, {tables_after:?}");
            assert!(segments_after >= segments, "{work}");
            // The edit may be durable or not: both must do.
            for choice in disk.crash_choices() {
                let engine = open(&disk.crash(choice), tiny());
                assert_eq!(contents(&engine), truth, "{work}, sync {sync}, {choice:?}");
            }
        }
    }
}

#[test]
fn a_table_that_cannot_be_written_ends_writing_and_keeps_its_inputs() {
    let operations = [Operation::Create, Operation::Append, Operation::Sync, Operation::Seal];
    for operation in operations {
        for work in ["flush", "compaction"] {
            let (disk, engine, truth) = with_two_tables();
            let (tables, _) = tables_and_segments(&disk);
            disk.inject(Fault::new(Failure::Device).of(operation).on("*.db"));
            let outcome = if work == "flush" { engine.flush() } else { while_work(&engine) };
            let what = format!("{work}, {operation:?}");
            assert!(matches!(outcome, Err(Error::Poisoned { .. })), "{what}: {outcome:?}");
            assert_eq!(contents(&engine), truth, "{what}: reads go on");
            assert!(matches!(write(&engine, 6), Err(Error::Poisoned { .. })), "{what}");
            drop(engine);
            assert_eq!(tables_and_segments(&disk).0, tables, "{what}: just the inputs");
            disk.clear_faults();
            let engine = open(&disk.crash(CrashChoice::None), tiny());
            assert_eq!(contents(&engine), truth, "{what}");
            settle(&engine);
            assert_eq!(contents(&engine), truth, "{what}");
        }
    }
}

/// A compaction that a caller asks for concerns nobody else: it can fail and be
/// asked for again.
#[test]
fn a_compaction_on_demand_that_fails_can_be_repeated() {
    let (disk, engine, truth) = with_two_tables();
    disk.inject(Fault::new(Failure::NoSpace).of(Operation::Append).on("compacted_*").times(1));
    let error = engine.compact().unwrap_err();
    assert!(error.is_out_of_space(), "{error}");
    assert_eq!(contents(&engine), truth);
    write(&engine, 6).unwrap();
    engine.compact().unwrap();
    engine.verify().unwrap();
    assert_eq!(engine.stats().tables, 1);
}

/// Reading fails, not the database: damage of the device is an error of the
/// call that met it.
#[test]
fn a_read_that_fails_is_an_error_of_that_read() {
    let disk = SimDisk::new(4);
    let options = Options { read_mode: kv_engine::ReadMode::Pread, block_cache_bytes: 0, ..tiny() };
    let engine = open(&disk, options);
    write(&engine, 1).unwrap();
    engine.flush().unwrap();
    disk.inject(Fault::new(Failure::Device).of(Operation::Read).on("*.db"));
    assert!(matches!(engine.get(b"counter"), Err(Error::Io { .. })));
    write(&engine, 2).unwrap();
    disk.clear_faults();
    assert_eq!(engine.get(b"counter").unwrap().unwrap(), 2u64.to_be_bytes());
}

#[test]
fn every_call_of_a_recovery_may_fail() {
    let disk = SimDisk::new(8);
    let engine = open(&disk, tiny());
    for number in 1..=WRITES {
        write(&engine, number).unwrap();
        if number == 12 {
            settle(&engine);
        }
    }
    let truth = contents(&engine);
    let image = disk.crash(CrashChoice::All);
    drop(engine);
    let base = image.op_count();
    let probe = image.crash(CrashChoice::All);
    let engine = open(&probe, tiny());
    let ops = probe.op_count();
    drop(engine);
    for op in base..ops {
        for failure in [Failure::Device, Failure::NoSpace] {
            let disk = image.crash(CrashChoice::All);
            disk.inject(Fault::new(failure).at_op(op));
            let outcome = Engine::open_in(disk.env(), tiny()).map(|_| "an engine");
            let what = format!("{failure:?} in op {op}");
            assert!(matches!(outcome, Err(Error::Io { .. })), "{what}: {outcome:?}");
            for choice in [CrashChoice::None, CrashChoice::All, CrashChoice::Seeded(op)] {
                let engine = open(&disk.crash(choice), tiny());
                assert_eq!(contents(&engine), truth, "{what}, {choice:?}");
            }
            disk.clear_faults();
            assert_eq!(contents(&open(&disk, tiny())), truth, "{what}, opened again at once");
        }
    }
}
