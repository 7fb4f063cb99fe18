//! Closing while others write, read and flush.

use kv_engine::{Durability, Error, Options, SeqNo};

use crate::explore::explore;
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

#[test]
fn a_close_finds_flushes_and_compactions_at_work() {
    explore(600, || close_under(tiny()));
}

/// Two at once: the second returns only after the first has stopped writing.
#[test]
fn closing_twice_at_once_is_closing() {
    explore(400, || {
        let world = World::new(roomy());
        world.write("first", Call::Write(Durability::Os)).unwrap();
        let other = world.spawn(|world| world.engine.close().unwrap());
        world.engine.close().unwrap();
        other.join().unwrap();
        world.check();
    });
}
