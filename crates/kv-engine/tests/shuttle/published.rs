//! Publication of the memory table: a write is in the table before anybody may
//! see it, and becomes visible by one number, which lives in the active one. It
//! is raised once a batch is as durable as asked, whole, and never falls, not
//! even when a fresh memory table takes the place of the full one.

use kv_engine::{Durability, Options, SeqNo};

use crate::steered::{Stage, at_every_step};
use crate::world::{Call, World, batch_named, roomy, tiny};

const SYNCED: Call = Call::Write(Durability::Sync);
const UNSYNCED: Call = Call::Write(Durability::Os);

/// Reads of the main thread while the writer stands still.
const READS: usize = 3;

/// A synced write is stopped; in front of it are unsynced ones, and a synced one
/// that waits for its sync.
fn read_beside_a_write(stage: &Stage, options: Options, before: &[&str]) {
    let world = World::new(options);
    stage.rest();
    for name in before {
        world.write(name, UNSYNCED).unwrap();
    }
    // The next segment is made, if it was asked for.
    stage.rest();
    let answer = world.submit("submitted", batch_named("submitted"), Durability::Sync);
    let at_write = stage.clone();
    let writer = world.spawn_as("writer", move |world| {
        at_write.stop("writer");
        let seqno = world.write("written", SYNCED).unwrap();
        at_write.leave_alone();
        assert!(world.engine.snapshot().seqno() >= seqno, "acknowledged is visible");
    });
    let mut last = SeqNo::ZERO;
    for _ in 0..READS {
        shuttle::thread::yield_now();
        last = world.read(last);
    }
    answer.recv().unwrap().unwrap();
    last = world.read(last);
    writer.join().unwrap();
    world.read(last);
    for name in before.iter().chain(&["submitted", "written"]) {
        assert!(world.engine.get(name.as_bytes()).unwrap().is_some(), "acknowledged: {name}");
    }
    world.finish();
}

#[test]
fn a_batch_becomes_visible_whole_and_after_its_sync() {
    let stops = at_every_step(|stage| read_beside_a_write(stage, roomy(), &["a"]));
    assert!(stops > 10, "the writer was stopped: {stops}");
}

/// The write freezes the memory table, and publishes what waits for a sync in it.
#[test]
fn what_is_visible_stays_visible_in_the_next_memory_table() {
    let stops = at_every_step(|stage| read_beside_a_write(stage, tiny(), &["a", "b"]));
    assert!(stops > 20, "the writer was stopped: {stops}");
}
