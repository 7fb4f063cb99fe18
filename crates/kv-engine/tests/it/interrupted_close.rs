//! A panic or a failure in the middle of a close.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kv_engine::{Background, Durability, Engine, Error, FlushSize, Options};
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk};

use crate::panics::silence_injected_panics;
use crate::support::{contents, open, tiny};

/// Nothing to do for the background.
fn options(background: Background) -> Options {
    Options { memtable_flush_size: FlushSize::Entries(1000), background, ..tiny() }
}

fn specimen(background: Background) -> (SimDisk, Engine) {
    let disk = SimDisk::new(5);
    let engine = open(&disk, options(background));
    for number in 0..5u8 {
        let mut batch = kv_engine::WriteBatch::new();
        batch.put(&[number], b"value").unwrap();
        engine.write(batch, Durability::Os).unwrap();
    }
    engine.put(b"last", b"value").unwrap();
    (disk, engine)
}

/// Whichever call it is, the threads end, the directory is free for the next open,
/// and nothing is lost.
#[test]
fn after_a_panic_in_any_call_of_a_close_the_directory_can_be_opened() {
    silence_injected_panics();
    for background in [Background::Manual, Background::Threads] {
        let (disk, engine) = specimen(background);
        let (begin, expected) = (disk.op_count(), contents(&engine));
        engine.close().unwrap();
        let end = disk.op_count();
        assert!(end > begin + 3, "a close is several calls: {begin} to {end}");
        for op in begin..end {
            let (disk, engine) = specimen(background);
            disk.inject(Fault::new(Failure::Panic).at_op(op));
            let what = format!("{background:?}, a panic in op {op}");
            assert!(catch_unwind(AssertUnwindSafe(|| engine.close())).is_err(), "{what}");
            let refused = engine.put(b"later", b"value");
            assert!(matches!(refused, Err(Error::Closed)), "{what}: {refused:?}");
            drop(engine);
            for image in [disk.clone(), disk.crash(CrashChoice::None)] {
                let engine = open(&image, options(Background::Manual));
                assert_eq!(contents(&engine), expected, "{what}");
            }
        }
    }
}

/// Whichever call fails, whoever closes again is told so as well.
#[test]
fn a_second_close_knows_of_the_failure_of_the_first() {
    let (disk, engine) = specimen(Background::Manual);
    let begin = disk.op_count();
    engine.close().unwrap();
    let mut failures = 0;
    for op in begin..disk.op_count() {
        let (disk, engine) = specimen(Background::Manual);
        disk.inject(Fault::new(Failure::Device).at_op(op));
        let (first, second) = (engine.close(), engine.close());
        assert_eq!(first.is_err(), second.is_err(), "op {op}: {first:?}, {second:?}");
        failures += usize::from(first.is_err());
    }
    assert!(failures > 2, "{failures}");

    // One that is about names alone: nothing of the log is in doubt.
    let disk = SimDisk::new(5);
    let engine = open(&disk, Options { memtable_flush_size: FlushSize::Entries(2), ..tiny() });
    for number in 0..4u8 {
        engine.put(&[number], b"value").unwrap();
    }
    disk.inject(Fault::new(Failure::Device).of(Operation::Rename));
    let (first, second) = (engine.close(), engine.close());
    assert!(first.is_err() && second.is_err(), "{first:?}, {second:?}");
}
