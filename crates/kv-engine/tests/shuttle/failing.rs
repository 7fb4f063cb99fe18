//! A failing device: everybody gets an answer, and nobody a wrong one.

use kv_engine::{Durability, Error, Options};
use kv_env::{Failure, Fault, Operation};
use shuttle::rand::{Rng, thread_rng};

use crate::explore::explore;
use crate::world::{Call, World, roomy, tiny};

/// One call of a kind fails, once: from then on writes are refused, and what
/// was acknowledged before is on the disk.
fn one_failure(options: Options, operation: Operation, files: &str) {
    let world = World::new(options);
    let fault = Fault::new(Failure::Device).of(operation).on(files);
    world.disk.inject(fault.after(thread_rng().gen_range(0..4)).times(1));
    let calls = [
        Call::Write(Durability::Sync),
        Call::Submit(Durability::Sync),
        Call::Write(Durability::Os),
    ];
    let writers = calls.map(|call| {
        world.spawn(move |world| {
            let mut failed = false;
            for round in 0..3 {
                match world.write(&format!("{call:?} {round}"), call) {
                    Ok(_) => assert!(!failed, "no write succeeds after a failure"),
                    Err(Error::Poisoned { .. }) => failed = true,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for writer in writers {
        writer.join().unwrap();
    }
    // The outcome of closing depends on whether the call was ever made.
    let _ = world.engine.close();
    world.check();
}

#[test]
fn a_failed_sync_of_the_log_answers_everybody() {
    explore(1000, || one_failure(roomy(), Operation::Sync, "wal*"));
}

/// Writers whose log cannot be synced, while `meanwhile` syncs it as well. The
/// system tells of lost pages once: to the sync role or to the other, whichever
/// is first, and the other must not take its own success for an answer.
fn failing_sync_beside(options: Options, writers: usize, meanwhile: fn(&World)) {
    let world = World::new(options);
    for name in ["first", "second"] {
        world.write(name, Call::Write(Durability::Os)).unwrap();
    }
    let fault = Fault::new(Failure::Device).of(Operation::Sync).on("wal.log");
    world.disk.inject(fault.times(1));
    let writers: Vec<_> = (0..writers)
        .map(|writer| {
            world.spawn(move |world| {
                let outcome = world.write(&writer.to_string(), Call::Write(Durability::Sync));
                let refused = matches!(outcome, Err(Error::Poisoned { .. } | Error::Closed));
                assert!(refused || outcome.is_ok(), "{outcome:?}");
            })
        })
        .collect();
    meanwhile(&world);
    for writer in writers {
        writer.join().unwrap();
    }
    world.check();
}

#[test]
fn a_failed_sync_beside_a_close_is_a_failure_for_both() {
    explore(1500, || failing_sync_beside(roomy(), 2, |world| drop(world.engine.close())));
}

/// The third batch fills the memory table: who writes the next syncs the segment
/// that it leaves.
#[test]
fn a_failed_sync_beside_a_freeze_is_a_failure_for_both() {
    explore(3000, || failing_sync_beside(tiny(), 3, |_| ()));
}

/// Who waits for the background learns of a failure that somebody else met.
#[test]
fn a_flush_on_demand_ends_when_the_log_fails() {
    explore(1500, || {
        failing_sync_beside(roomy(), 2, |world| {
            let outcome = world.engine.flush();
            assert!(matches!(outcome, Ok(()) | Err(Error::Poisoned { .. })), "{outcome:?}");
        });
    });
}

/// Flushes, compactions and callers that compact all sync the directory.
#[test]
fn a_failed_sync_of_the_directory_is_not_tried_again() {
    explore(1500, || {
        let world = World::new(tiny());
        let fault = Fault::new(Failure::Device).of(Operation::SyncDir);
        world.disk.inject(fault.after(thread_rng().gen_range(0..24)).times(1));
        let writer = world.spawn(|world| {
            for round in 0..12 {
                let outcome = world.write(&round.to_string(), Call::Write(Durability::Os));
                assert!(matches!(outcome, Ok(_) | Err(Error::Poisoned { .. })), "{outcome:?}");
            }
        });
        for _ in 0..2 {
            let outcome = world.engine.compact();
            assert!(matches!(outcome, Ok(()) | Err(Error::Poisoned { .. })), "{outcome:?}");
        }
        writer.join().unwrap();
        let _ = world.engine.close();
        world.check();
    });
}

#[test]
fn a_failed_append_to_the_log_answers_everybody() {
    explore(600, || one_failure(roomy(), Operation::Append, "wal*"));
}

#[test]
fn a_failed_background_job_answers_everybody() {
    explore(600, || one_failure(tiny(), Operation::Create, "*"));
}

#[test]
fn a_failed_sync_of_the_manifest_answers_everybody() {
    explore(600, || one_failure(tiny(), Operation::Sync, "MANIFEST*"));
}

/// Any calls fail, one or many, while all that callers can do is done:
/// everybody gets an answer, and what was acknowledged is on the disk.
#[test]
fn whatever_fails_everybody_gets_an_answer() {
    explore(2000, || {
        let world = World::new(tiny());
        let mut random = thread_rng();
        let failures = [Failure::Device, Failure::NoSpace, Failure::TooManyOpenFiles];
        let fault = Fault::new(failures[random.gen_range(0..failures.len())]);
        // Not for ever: who waits for a descriptor waits until there is one.
        let times = if random.gen_bool(0.5) { 1 } else { random.gen_range(2..30) };
        world.disk.inject(fault.after(random.gen_range(0..60)).times(times));
        let calls = [Call::Write(Durability::Sync), Call::Submit(Durability::Interval)];
        let writers = calls.map(|call| {
            world.spawn(move |world| {
                for round in 0..4 {
                    let _ = world.write(&format!("{call:?} {round}"), call);
                }
            })
        });
        let flusher = world.spawn(|world| drop(world.engine.flush()));
        let compactor = world.spawn(|world| drop(world.engine.compact()));
        for thread in writers.into_iter().chain([flusher, compactor]) {
            thread.join().unwrap();
        }
        let _ = world.engine.close();
        world.check();
    });
}
