//! The swap of the view: a freeze puts a fresh memory table into it, an install
//! another version. Each makes the next view of the one that it finds, so of two
//! that find the same one the first swap would be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kv_engine::{Durability, SeqNo};

use crate::overtaken::runs_in;
use crate::steered::{Stage, at_every_step};
use crate::world::{Call, World, tiny};

const UNSYNCED: Call = Call::Write(Durability::Os);

/// The last of these is written by a thread of its own, and freezes the second
/// memory table while the flush of the first one is under way.
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Tables of the flushes that [`NAMES`] need: three batches, three, and one.
const FLUSHES: u64 = 3;

/// A freeze by thread "writer" beside the install of thread "kv-flush", one of
/// which is the `victim` and stopped.
fn freeze_beside_an_install(stage: &Stage, victim: &'static str) {
    let (at_table, has_rested) = (stage.clone(), AtomicBool::new(false));
    let hook = Arc::new(move |_, name: &str| {
        let is_flush = name.starts_with("sst") && runs_in("kv-flush");
        if is_flush && !has_rested.swap(true, Ordering::SeqCst) {
            at_table.rest();
            if victim == "kv-flush" {
                at_table.stop(victim);
            }
        }
        Ok(())
    });
    let world = World::with_hook(tiny(), hook);
    stage.rest();
    for batches in [&NAMES[..2], &NAMES[2..5], &NAMES[5..6]] {
        for name in batches {
            world.write(name, UNSYNCED).unwrap();
        }
        // First the next segment is made; then the memory table that the fourth
        // batch froze is about to become a table, and the one after the next is
        // there; then the flush thread goes on, if it is the victim.
        if batches.len() > 1 || victim == "kv-flush" {
            stage.rest();
        }
    }
    let at_write = stage.clone();
    let writer = world.spawn_as("writer", move |world| {
        if victim == "writer" {
            at_write.stop(victim);
        }
        world.write(NAMES[6], UNSYNCED).unwrap();
        all_are_read(world);
    });
    writer.join().unwrap();
    stage.leave_alone();
    all_are_read(&world);
    world.engine.flush().unwrap();
    all_are_read(&world);
    assert_eq!(world.engine.stats().flushes, FLUSHES, "no memory table is flushed twice");
    world.finish();
}

fn all_are_read(world: &World) {
    for name in NAMES {
        assert!(world.engine.get(name.as_bytes()).unwrap().is_some(), "acknowledged: {name}");
    }
    world.read(SeqNo::ZERO);
}

/// The version is swapped while the freeze has read the view, and would be taken
/// back by it.
#[test]
fn a_freeze_that_is_overtaken_keeps_the_new_version() {
    let stops = at_every_step(|stage| freeze_beside_an_install(stage, "writer"));
    assert!(stops > 30, "the writer was stopped: {stops}");
}

/// The fresh memory table would be taken back, with all that was written to it.
#[test]
fn an_install_that_is_overtaken_keeps_the_fresh_memory_table() {
    let stops = at_every_step(|stage| freeze_beside_an_install(stage, "kv-flush"));
    assert!(stops > 50, "the flush thread was stopped: {stops}");
}
