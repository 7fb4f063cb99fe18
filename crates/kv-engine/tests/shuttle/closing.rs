//! Shutdown: closing while others write, read and flush.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kv_engine::{Durability, Error, Options, SeqNo};
use kv_env::{Failure, Fault, Operation};

use crate::explore::explore;
use crate::steered::{Stage, at_every_step};
use crate::world::{Call, World, roomy, tiny};

/// Writers go on until they are refused. What was answered `Ok` is there after
/// a power cut; the close waits for the background, or the test would not end.
fn close_under(options: Options) {
    let world = World::new(options);
    let writers = [Call::Write(Durability::Sync), Call::Submit(Durability::Sync)].map(|call| {
        world.spawn(move |world| {
            for round in 0..4 {
                match world.write(&format!("{call:?} {round}"), call) {
                    Ok(_) => {}
                    Err(Error::Closed) => return,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    let reader = world.spawn(|world| {
        let last = world.read(SeqNo::ZERO);
        world.read(last);
    });
    let flusher = world.spawn(|world| {
        let outcome = world.engine.flush();
        assert!(matches!(outcome, Ok(()) | Err(Error::Closed)), "{outcome:?}");
    });
    world.engine.close().unwrap();
    let refused = world.write("late", Call::Write(Durability::Sync));
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    for thread in writers.into_iter().chain([reader, flusher]) {
        thread.join().unwrap();
    }
    world.check();
}

#[test]
fn writes_during_close_are_done_or_refused() {
    explore(800, || close_under(roomy()));
}

/// The last to come, who passed for open a moment before, and finds the writer role
/// with the close: it is answered although nobody comes after it.
#[test]
fn the_last_write_before_a_close_is_answered() {
    explore(2000, || {
        let world = World::new(roomy());
        let writers = ["a", "b"].map(|name| {
            world.spawn(move |world| {
                is_done_or_refused(world.write(name, Call::Write(Durability::Os)));
            })
        });
        world.engine.close().unwrap();
        for writer in writers {
            writer.join().unwrap();
        }
        world.check();
    });
}

#[test]
fn a_close_finds_flushes_and_compactions_at_work() {
    explore(600, || close_under(tiny()));
}

/// Two at once: either returns only after both have stopped writing.
#[test]
fn closing_twice_at_once_is_closing() {
    explore(400, || {
        let world = World::new(roomy());
        world.write("first", Call::Write(Durability::Os)).unwrap();
        let close = |world: &World| {
            world.engine.close().unwrap();
            world.disk.op_count()
        };
        let (sender, moment) = shuttle::sync::mpsc::channel();
        let other = world.spawn(move |world| sender.send(close(world)).unwrap());
        let moments = [close(&world), moment.recv().unwrap()];
        other.join().unwrap();
        assert_eq!(moments, [world.disk.op_count(); 2], "nothing is written after a close");
        world.check();
    });
}

/// Two at once, and the last sync of the log fails: neither says that what it was
/// to sync is safe.
#[test]
fn a_failure_of_a_close_is_told_to_both() {
    explore(400, || {
        let world = World::new(roomy());
        world.write("first", Call::Write(Durability::Os)).unwrap();
        world.disk.inject(Fault::new(Failure::Device).of(Operation::Sync).on("wal*").times(1));
        let is_told =
            |world: &World| assert!(matches!(world.engine.close(), Err(Error::Poisoned { .. })));
        let other = world.spawn(is_told);
        is_told(&world);
        other.join().unwrap();
        world.check();
    });
}

fn is_done_or_refused<T: std::fmt::Debug>(outcome: kv_engine::Result<T>) {
    assert!(matches!(outcome, Ok(_) | Err(Error::Closed)), "{outcome:?}");
}

/// What callers can do that waits for others.
const CALLS: [fn(&World); 4] = [
    |world| is_done_or_refused(world.write("written", Call::Write(Durability::Sync))),
    |world| is_done_or_refused(world.write("submitted", Call::Submit(Durability::Sync))),
    |world| is_done_or_refused(world.engine.flush()),
    |world| is_done_or_refused(world.engine.compact()),
];

/// An engine with writes in memory and the next segment at hand, whose flush thread
/// stands still before the first byte of a table.
fn used_world(stage: &Stage) -> World {
    let (at_table, has_rested) = (stage.clone(), AtomicBool::new(false));
    let hook = Arc::new(move |_, name: &str| {
        if name.starts_with("sst") && !has_rested.swap(true, Ordering::SeqCst) {
            at_table.rest();
        }
        Ok(())
    });
    let world = World::with_hook(tiny(), hook);
    stage.rest();
    for names in [["a", "b"], ["c", "d"]] {
        for name in names {
            world.write(name, Call::Write(Durability::Os)).unwrap();
        }
        stage.rest();
    }
    world
}

/// The close is stopped after each of its steps, and everything that callers can
/// do is done meanwhile: all of it is answered.
#[test]
fn whoever_overtakes_a_close_is_answered() {
    let stops = at_every_step(|stage| {
        let world = used_world(stage);
        let at_close = stage.clone();
        let closer = world.spawn_as("closer", move |world| {
            at_close.stop("closer");
            world.engine.close().unwrap();
            at_close.leave_alone();
        });
        shuttle::thread::yield_now();
        let callers = CALLS.map(|call| world.spawn(call));
        world.read(SeqNo::ZERO);
        closer.join().unwrap();
        let moment = world.disk.op_count();
        for caller in callers {
            caller.join().unwrap();
        }
        stage.rest();
        assert_eq!(world.disk.op_count(), moment, "nothing is written after a close");
        world.check();
    });
    assert!(stops > 30, "the close was stopped: {stops}");
}

/// The other way round: each call is stopped after each of its steps, and the
/// close goes through meanwhile.
#[test]
fn whoever_is_overtaken_by_a_close_is_answered() {
    for call in CALLS {
        let stops = at_every_step(move |stage| {
            let world = used_world(stage);
            let at_call = stage.clone();
            let caller = world.spawn_as("overtaken", move |world| {
                at_call.stop("overtaken");
                call(world);
                at_call.leave_alone();
            });
            shuttle::thread::yield_now();
            world.engine.close().unwrap();
            let moment = world.disk.op_count();
            caller.join().unwrap();
            stage.rest();
            assert_eq!(world.disk.op_count(), moment, "nothing is written after a close");
            world.check();
        });
        assert!(stops > 10, "the call was stopped: {stops}");
    }
}
