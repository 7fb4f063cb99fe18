//! Errors of the operating system by class: which end writing, which are waited
//! for, and that each says what to do.

use std::io::ErrorKind;

use kv_engine::{Engine, Error, Result};
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk};

use crate::sample_run::{while_work, write};
use crate::support::{contents, open, settle, tiny};

/// A call that meets the error, and whether it belongs to the log.
type Place = (Operation, &'static str, bool);

const PLACES: [Place; 7] = [
    (Operation::Append, "wal*", true),
    (Operation::Append, "MANIFEST_*", true),
    (Operation::SyncDir, "*", true),
    (Operation::Create, "*.db", false),
    (Operation::Append, "*.db", false),
    (Operation::Sync, "*.db", false),
    (Operation::Seal, "*.db", false),
];

/// An error that needs somebody to do something, its kind, and a part of the
/// sentence that says what.
const LASTING: [(Failure, ErrorKind, &str); 4] = [
    (Failure::ReadOnly, ErrorKind::ReadOnlyFilesystem, "mount it for writing again"),
    (Failure::AccessDenied, ErrorKind::PermissionDenied, "permissions"),
    (Failure::Stale, ErrorKind::StaleNetworkFileHandle, "mount it again"),
    (Failure::FileTooLarge, ErrorKind::FileTooLarge, "ulimit -f"),
];

/// Errors that pass by themselves.
const PASSING: [Failure; 4] =
    [Failure::NoSpace, Failure::Quota, Failure::OutOfMemory, Failure::TooManyOpenFiles];

/// An engine with two tables that are worth a compaction, and writes in memory.
fn engine_on(disk: &SimDisk) -> Engine {
    let engine = open(disk, tiny());
    for number in 1..=5 {
        write(&engine, number).unwrap();
        if number % 2 == 0 {
            engine.flush().unwrap();
        }
    }
    engine
}

/// Writes, flushes and compacts until something fails.
fn work(engine: &Engine) -> Result<()> {
    write(engine, 6)?;
    engine.flush()?;
    while_work(engine)?;
    engine.compact()
}

#[test]
fn what_somebody_must_mend_ends_writing_and_says_what_to_do() {
    for (failure, kind, advice) in LASTING {
        for (operation, pattern, _) in PLACES {
            let what = format!("{failure:?} in {operation:?} of {pattern}");
            let disk = SimDisk::new(7);
            let engine = engine_on(&disk);
            disk.inject(Fault::new(failure).of(operation).on(pattern));
            let error = work(&engine).expect_err(&what);
            match &error {
                Error::Io { source, .. } => assert_eq!(source.kind(), kind, "{what}"),
                Error::Poisoned { cause } => assert!(cause.contains(advice), "{what}: {cause}"),
                other => panic!("{what}: {other:?}"),
            }
            assert!(error.to_string().contains(advice), "{what}: {error}");
            assert!(engine.stats().poisoned, "{what}");
            let truth = contents(&engine);
            drop(engine);
            disk.clear_faults();
            // Mended: all that was acknowledged is there.
            for choice in [CrashChoice::None, CrashChoice::All] {
                let engine = open(&disk.crash(choice), tiny());
                let found = contents(&engine);
                assert_eq!(found, truth, "{what}, {choice:?}");
                settle(&engine);
                write(&engine, 7).unwrap();
                engine.verify().unwrap();
            }
        }
    }
}

#[test]
fn what_passes_by_itself_is_waited_for_but_in_log_and_manifest() {
    for failure in PASSING {
        for (operation, pattern, is_of_log) in PLACES {
            let what = format!("{failure:?} in {operation:?} of {pattern}");
            let disk = SimDisk::new(8);
            let engine = engine_on(&disk);
            disk.inject(Fault::new(failure).of(operation).on(pattern).times(2));
            let error = work(&engine).expect_err(&what);
            assert_eq!(engine.stats().poisoned, is_of_log, "{what}: {error}");
            if !is_of_log {
                assert!(matches!(error, Error::Io { .. } | Error::NoSpace { .. }), "{error:?}");
                let mut attempts = 0;
                while work(&engine).is_err() {
                    while_work(&engine).unwrap();
                    attempts += 1;
                    assert!(attempts < 4, "{what}");
                }
                engine.verify().unwrap();
                settle(&engine);
                let names = disk.fs().list().unwrap().into_iter().map(|entry| entry.name);
                let tables = names.filter(|name| name.ends_with(".db")).count() as u64;
                assert_eq!(tables, engine.stats().tables, "{what}: no partial output is left");
            }
            let truth = contents(&engine);
            drop(engine);
            if !is_of_log {
                assert_eq!(
                    contents(&open(&disk.crash(CrashChoice::None), tiny())),
                    truth,
                    "{what}"
                );
            }
        }
    }
}

/// Memory that a compaction does not get for reading its inputs.
#[test]
fn a_compaction_that_cannot_read_for_want_of_memory_is_repeated() {
    for operation in [Operation::Open, Operation::Read, Operation::Map, Operation::FreeSpace] {
        let disk = SimDisk::new(9);
        let engine = engine_on(&disk);
        let truth = contents(&engine);
        let before = engine.stats();
        disk.inject(Fault::new(Failure::OutOfMemory).of(operation).times(1));
        // The first attempt fails, or there is another way; the next one succeeds.
        while_work(&engine).unwrap();
        while_work(&engine).unwrap();
        let after = engine.stats();
        assert!(!after.poisoned, "{operation:?}");
        assert!(after.compactions > before.compactions, "{operation:?}: {after:?}");
        assert!(engine.trouble().is_none(), "{operation:?}");
        assert_eq!(contents(&engine), truth, "{operation:?}");
        engine.verify().unwrap();
    }
}
