//! Panics in the middle of any call: of a writer, of a background step, with
//! and without threads. The engine is never half dead: it refuses writes, goes
//! on reading, answers everybody, and the next open finds what was acknowledged.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use kv_engine::{Background, Durability, Engine, Error, Result, WriteBatch};
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk};

use crate::support::{contents, open, settle, tiny};

const WRITES: u64 = 30;

fn write(engine: &Engine, number: u64) -> Result<()> {
    engine.put(&[b'k', (number % 7) as u8], &number.to_be_bytes()).map(|_| ())
}

/// Writes with background work in between; the number of acknowledged writes is
/// kept where a panic cannot take it away.
fn run(engine: &Engine, acknowledged: &mut u64) -> Result<()> {
    for number in 1..=WRITES {
        write(engine, number)?;
        *acknowledged = number;
        if number % 10 == 0 {
            while engine.run_background_step()? {}
        }
        if number == 25 {
            engine.compact()?;
        }
    }
    Ok(())
}

fn newest(engine: &Engine) -> u64 {
    let numbers = contents(engine).into_iter().map(|(_, value)| value.try_into().unwrap());
    numbers.map(u64::from_be_bytes).max().unwrap_or(0)
}

/// The panics that these tests ask for are not worth a page of backtraces.
pub(crate) fn silence_injected_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
            if !text.contains("injected") {
                report(panic);
            }
        }));
    });
}

#[test]
fn a_panic_in_any_call_of_a_run_poisons_and_loses_nothing() {
    silence_injected_panics();
    let probe = SimDisk::new(1);
    let engine = open(&probe, tiny());
    let opened = probe.op_count();
    run(&engine, &mut 0).unwrap();
    let ops = probe.op_count();
    drop(engine);
    for op in opened..ops {
        let disk = SimDisk::new(1);
        let engine = open(&disk, tiny());
        disk.inject(Fault::new(Failure::Panic).at_op(op));
        let mut acknowledged = 0;
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&engine, &mut acknowledged)));
        let what = format!("a panic in op {op}");
        assert!(outcome.is_err(), "{what} reaches the caller: {outcome:?}");
        assert_eq!(newest(&engine), acknowledged, "{what}: reads go on");
        let next = write(&engine, WRITES + 1).unwrap_err();
        assert!(matches!(next, Error::Poisoned { .. }), "{what}: {next:?}");
        assert!(next.to_string().contains("panic"), "{what}: {next}");
        assert!(matches!(engine.flush(), Err(Error::Poisoned { .. })), "{what}");
        assert!(engine.run_background_step().is_err(), "{what}");
        assert!(engine.close().is_err(), "{what}");
        drop(engine);
        for choice in [CrashChoice::None, CrashChoice::All, CrashChoice::Seeded(op)] {
            let engine = open(&disk.crash(choice), tiny());
            let found = newest(&engine);
            let allowed = acknowledged..=acknowledged + 1;
            assert!(allowed.contains(&found), "{what}, {choice:?}: {found} of {acknowledged}");
            settle(&engine);
        }
    }
}

/// Nobody waits for a thread that is gone.
#[test]
fn a_panic_in_a_background_thread_is_told_to_every_caller() {
    silence_injected_panics();
    let places = [
        (Operation::Create, "wal_next.log"),
        (Operation::ZeroFill, "wal_next.log"),
        (Operation::Seal, "wal.log"),
        (Operation::Rename, "wal*"),
        (Operation::Create, "sst_*"),
        (Operation::Append, "sst_*"),
        (Operation::Seal, "sst_*"),
        (Operation::Append, "MANIFEST_*"),
        (Operation::Sync, "MANIFEST_*"),
        (Operation::Remove, "wal_0*"),
        (Operation::Create, "compacted_*"),
        (Operation::Append, "compacted_*"),
        (Operation::Remove, "sst_*"),
    ];
    for (operation, name) in places {
        let disk = SimDisk::new(2);
        let engine = open(&disk, kv_engine::Options { background: Background::Threads, ..tiny() });
        disk.inject(Fault::new(Failure::Panic).of(operation).on(name));
        let what = format!("a panic in {operation:?} of {name}");
        let acknowledged = thread::scope(|scope| {
            let writers: Vec<_> = (0..3u8)
                .map(|thread| {
                    let engine = &engine;
                    scope.spawn(move || {
                        for number in 1u64.. {
                            match engine.put(&[thread], &number.to_be_bytes()) {
                                Ok(_) => {}
                                Err(Error::Poisoned { cause }) => return (number - 1, cause),
                                Err(error) => panic!("{error:?}"),
                            }
                        }
                        unreachable!("the engine is poisoned before")
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        for (_, cause) in &acknowledged {
            assert!(cause.contains("panic"), "{what}: {cause}");
        }
        assert!(engine.flush().is_err() && engine.compact().is_err(), "{what}");
        assert!(engine.stats().poisoned, "{what}");
        assert!(engine.close().is_err(), "{what}");
        drop(engine);
        let engine = open(&disk.crash(CrashChoice::None), tiny());
        for (thread, (last, _)) in acknowledged.iter().enumerate() {
            let found = engine.get(&[thread as u8]).unwrap();
            let found = found.map_or(0, |value| u64::from_be_bytes(value[..].try_into().unwrap()));
            assert!((*last..=last + 1).contains(&found), "{what}: {found}, not {last}");
        }
    }
}

/// A callback of the caller that panics hurts the engine, not its other users:
/// each of them gets an answer.
#[test]
fn a_panicking_callback_leaves_no_write_unanswered() {
    silence_injected_panics();
    let disk = SimDisk::new(3);
    let engine = open(&disk, tiny());
    let (sender, answers) = mpsc::channel();
    let batch = |key: &[u8]| {
        let mut batch = WriteBatch::new();
        batch.put(key, b"value").unwrap();
        batch
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        engine.submit(batch(b"a"), Durability::Sync, |_| panic!("injected by callback {}", 1));
    }));
    assert!(panicked.is_err());
    engine.submit(batch(b"b"), Durability::Sync, move |outcome| sender.send(outcome).unwrap());
    let outcome = answers.recv().unwrap();
    assert!(matches!(outcome, Err(Error::Poisoned { .. })), "{outcome:?}");
    drop(engine);
    assert!(open(&disk, tiny()).get(b"a").unwrap().is_some());
}
