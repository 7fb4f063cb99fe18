//! What one thread leaves to others, or finds taken by them: somebody has to be woken
//! for it, also where nothing else goes on.

use std::sync::{Arc, OnceLock};

use kv_engine::{Durability, KeyRange, Options};
use kv_env::{Operation, SimDisk};

use crate::full_disk::{noise, used_bytes};
use crate::overtaken::{UNSYNCED, runs_in, submit};
use crate::steered::{Stage, at_every_step, once};
use crate::world::{World, roomy, tiny};

fn table_files(disk: &SimDisk) -> usize {
    let files = disk.fs().list().unwrap();
    files.iter().filter(|entry| entry.name.ends_with(".db")).count()
}

/// Rests until the patience of everyone in the background has ended. Without work
/// nobody waits for time after that, and comes to the rescue of others by chance.
fn await_idleness(stage: &Stage) {
    for _ in 0..4 {
        stage.rest();
    }
}

/// A mended bug. Files of tables that a compaction has replaced stay while a snapshot
/// reads them. When it went, nobody was told that they could be removed.
#[test]
fn the_files_of_a_dropped_snapshot_are_removed_on_an_idle_engine() {
    once(|stage| {
        let world = World::new(tiny());
        for name in ["a", "b", "c"] {
            world.write(name, UNSYNCED).unwrap();
            world.engine.flush().unwrap();
        }
        let snapshot = world.engine.snapshot();
        world.write("d", UNSYNCED).unwrap();
        world.engine.compact().unwrap();
        await_idleness(stage);
        let live = world.engine.stats().tables as usize;
        assert!(table_files(&world.disk) > live, "the snapshot holds files");
        drop(snapshot);
        stage.rest();
        assert_eq!(table_files(&world.disk), live);
        world.finish();
    });
}

/// A mended bug. A compaction for a caller waits while its tables are part of a plan
/// of the background. That was given up for want of space, and nobody was told.
#[test]
fn a_compaction_is_told_that_the_one_before_it_was_given_up() {
    let stops = at_every_step(|stage| {
        let disk = Arc::new(OnceLock::<SimDisk>::new());
        let full = Arc::clone(&disk);
        let hook = Arc::new(move |operation, name: &str| {
            // The edit that a flush ends with needs no more space.
            if runs_in("kv-flush")
                && operation == Operation::Append
                && name.starts_with("MANIFEST")
                && let Some(disk) = full.get()
                && table_files(disk) > 1
            {
                disk.set_capacity(Some(lasting_bytes(disk) + ROOM_BYTES));
            }
            Ok(())
        });
        let world = World::with_hook(Options { reserve_bytes: Some(0), ..tiny() }, hook);
        disk.set(world.disk.clone()).unwrap();
        stage.rest();
        for _ in 0..2 {
            for key in 0..4u8 {
                world.engine.put(&[key], &noise(u64::from(key))).unwrap();
            }
            world.engine.flush().unwrap();
        }
        stage.rest();
        let stats = world.engine.stats();
        assert!(stats.compactions_postponed > 0, "{stats:?} {:?}", world.disk.fs().list());
        stage.stop("kv-compact");
        world.engine.put(&[4], b"value").unwrap();
        world.engine.flush().unwrap();
        // It overwrites, and fits although its inputs would not fit again.
        world.engine.compact().unwrap();
        stage.leave_alone();
        assert!(world.engine.stats().compactions > 0, "the caller has compacted");
        assert_eq!(world.engine.scan(KeyRange::all()).unwrap().count(), 5);
        world.engine.close().unwrap();
    });
    assert!(stops > 10, "the compaction thread was stopped: {stops}");
}

/// Free beside two tables of 80 KB: enough for one more, and not for two.
const ROOM_BYTES: u64 = 100 << 10;

/// What is on the disk but for the segment whose writes are being flushed.
fn lasting_bytes(disk: &SimDisk) -> u64 {
    let files = disk.fs().list().unwrap();
    files.iter().filter(|file| !file.name.starts_with("wal_0")).map(|file| file.len).sum()
}

/// A writer comes while another one gives the writer role up, finds it taken and goes
/// to sleep: the one who leaves has to look at the queue again.
#[test]
fn whoever_leaves_the_writer_role_looks_again() {
    let stops = at_every_step(|stage| {
        let world = World::new(roomy());
        await_idleness(stage);
        let at_write = stage.clone();
        let holder = world.spawn_as("holder", move |world| {
            at_write.stop("holder");
            world.write("a", UNSYNCED).unwrap();
        });
        stage.rest();
        world.write("b", UNSYNCED).unwrap();
        holder.join().unwrap();
        stage.leave_alone();
        world.finish();
    });
    assert!(stops > 10, "the holder was stopped: {stops}");
}

/// Whoever holds the writer role commits for others, but not for ever: the sync thread
/// goes on, and hands on to itself.
#[test]
fn what_a_holder_of_the_writer_role_hands_on_is_committed() {
    let stops = at_every_step(|stage| {
        let world = World::new(Options { wal_batch_size: 1, ..roomy() });
        stage.rest();
        let at_write = stage.clone();
        let holder = world.spawn_as("holder", move |world| {
            at_write.stop("holder");
            world.write("held", UNSYNCED).unwrap();
        });
        stage.rest();
        let unsynced = submit(&world, 40, Durability::Os);
        let synced = submit(&world, 10, Durability::Sync);
        holder.join().unwrap();
        stage.leave_alone();
        for answer in unsynced.iter().take(40).chain(synced.iter().take(10)) {
            answer.unwrap();
        }
        world.finish();
    });
    assert!(stops > 10, "the holder was stopped: {stops}");
}

/// A mended bug. On a full disk a delete was noted before it was committed. A flush that
/// came in between took the note for what it had just frozen, and the delete, alone in
/// memory, gave nothing back.
#[test]
fn a_delete_on_a_full_disk_is_flushed_although_a_flush_overtakes_it() {
    let stops = at_every_step(|stage| {
        let options = Options { reserve_bytes: Some(256 << 10), ..tiny() };
        let world = World::new(options);
        await_idleness(stage);
        world.disk.set_capacity(Some(used_bytes(&world.disk) + (40 << 10)));
        let refused =
            (0..200u8).find(|&number| world.engine.put(&[number], &noise(number.into())).is_err());
        assert!(refused.is_some(), "the disk is full");
        stage.rest();
        world.engine.delete(&[0]).unwrap();
        let at_delete = stage.clone();
        let deleter = world.spawn_as("deleter", move |world| {
            at_delete.stop("deleter");
            world.engine.delete(&[1]).unwrap();
        });
        deleter.join().unwrap();
        stage.leave_alone();
        await_idleness(stage);
        let stats = world.engine.stats();
        assert!(stats.disk_full, "{stats:?}");
        assert_eq!(stats.memtable_entries, 0, "{stats:?}");
        world.disk.set_capacity(None);
        world.engine.close().unwrap();
    });
    assert!(stops > 10, "the delete was stopped: {stops}");
}
