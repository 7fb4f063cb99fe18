//! A process without descriptors left: typed errors, nothing lost,
//! and writing goes on by itself once somebody lets go.

use kv_engine::{Background, Engine, Error, Options};
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk};

use crate::support::{contents, open, settle, tiny};

/// Every call of background work that takes a descriptor, each failing for a
/// while in turn.
const CALLS: [(Operation, &str); 4] = [
    (Operation::Create, "*.db"),
    (Operation::Open, "*.db"),
    (Operation::Create, "wal_next.log"),
    (Operation::Create, "MANIFEST_*"),
];

fn put(engine: &Engine, number: u32) -> kv_engine::Result<()> {
    engine.put(&(number % 40).to_be_bytes(), &number.to_be_bytes()).map(|_| ())
}

fn is_typed(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.raw_os_error().is_some())
}

#[test]
fn a_flush_without_descriptors_is_refused_and_repeated() {
    for (operation, pattern) in CALLS {
        let what = format!("{operation:?} of {pattern}");
        let disk = SimDisk::new(1);
        let engine = open(&disk, tiny());
        disk.inject(Fault::new(Failure::TooManyOpenFiles).of(operation).on(pattern));
        let (mut written, mut refused) = (0, 0);
        for number in 0..60 {
            match put(&engine, number) {
                Ok(()) => written += 1,
                Err(error) => {
                    assert!(is_typed(&error), "{what}: {error:?}");
                    refused += 1;
                }
            }
            engine.run_background_step().unwrap();
        }
        let flushed = engine.flush();
        assert!(written > 0, "{what}");
        assert!(!engine.stats().poisoned, "{what}: {flushed:?}");
        if pattern != "MANIFEST_*" {
            assert!(flushed.is_err_and(|error| is_typed(&error)), "{what}");
            assert!(refused > 0, "{what}: memory has an end");
            assert!(engine.trouble().is_some_and(|error| is_typed(&error)), "{what}");
        }
        let truth = contents(&engine);
        // A power cut in the middle of it loses nothing.
        for choice in [CrashChoice::None, CrashChoice::All, CrashChoice::Seeded(1)] {
            assert_eq!(contents(&open(&disk.crash(choice), tiny())), truth, "{what}");
        }
        disk.clear_faults();
        engine.flush().unwrap();
        assert!(engine.trouble().is_none(), "{what}");
        put(&engine, 1000).unwrap();
        settle(&engine);
        assert_eq!(contents(&engine).len(), truth.len(), "{what}");
        engine.verify().unwrap();
        engine.close().unwrap();
    }
}

#[test]
fn threads_go_on_by_themselves_when_descriptors_are_free_again() {
    let disk = SimDisk::new(2);
    let engine = open(&disk, Options { background: Background::Threads, ..tiny() });
    disk.inject(Fault::new(Failure::TooManyOpenFiles).of(Operation::Open).on("*.db").times(3));
    let mut number = 0;
    while engine.stats().flushes < 4 {
        // Refusals while it lasts are fine, an end of writing is not.
        if let Err(error) = put(&engine, number) {
            assert!(is_typed(&error), "{error:?}");
        }
        number += 1;
        std::thread::yield_now();
    }
    engine.flush().unwrap();
    assert!(!engine.stats().poisoned);
}

/// Opening a database needs descriptors, too: without them it is refused with the
/// cause, and nothing has changed.
#[test]
fn an_open_without_descriptors_is_refused_and_can_be_repeated() {
    let disk = SimDisk::new(3);
    let engine = open(&disk, tiny());
    (0..30).for_each(|number| put(&engine, number).unwrap());
    settle(&engine);
    let truth = contents(&engine);
    drop(engine);
    for (operation, pattern) in [(Operation::Open, "*.db"), (Operation::Open, "wal*")] {
        let fault = Fault::new(Failure::TooManyOpenFiles).of(operation).on(pattern);
        disk.inject(fault.times(1));
        let refused = Engine::open_in(disk.env(), tiny()).map(|_| ());
        assert!(refused.as_ref().is_err_and(is_typed), "{pattern}: {refused:?}");
        assert_eq!(contents(&open(&disk, tiny())), truth, "{pattern}");
    }
}
