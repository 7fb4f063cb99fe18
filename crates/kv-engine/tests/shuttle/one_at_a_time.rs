//! What one thread does at a time, or not at all: sync a file, close, give the
//! next number to a file.

use std::sync::Arc;

use kv_engine::{
    Background, Durability, Engine, Error, Options, WriteBatch, current_manifest,
    read_manifest_edits,
};
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk};
use shuttle::sync::mpsc;

use crate::explore::explore;
use crate::overtaken::{UNSYNCED, runs_in, submit};
use crate::ports::ports;
use crate::steered::{Stage, at_every_step, once};
use crate::world::{World, roomy, tiny};

/// Numbers that are given to files before more have to be reserved.
const FIRST_NUMBERS: usize = 64;

/// A world in which the sync thread rests in the middle of each sync of `wal.log`.
fn with_slow_syncs(options: Options, stage: &Stage) -> World {
    let at_sync = stage.clone();
    let hook = Arc::new(move |operation, name: &str| {
        if operation == Operation::Sync && name == "wal.log" && runs_in("kv-sync") {
            at_sync.rest();
        }
        Ok(())
    });
    World::with_hook(options, hook)
}

/// A mended bug. The sync at the end of a segment gave the sync role back before
/// the next segment had taken its place: the sync thread took it then and synced
/// the old one beside the flush thread that sealed it. The watch over syncs sees
/// that, for the system would tell one of them only of lost pages.
#[test]
fn a_segment_is_synced_by_nobody_else_while_it_is_sealed() {
    let stops = at_every_step(|stage| {
        let world = with_slow_syncs(tiny(), stage);
        stage.rest();
        world.write("a", UNSYNCED).unwrap();
        world.write("b", UNSYNCED).unwrap();
        // The flush thread makes the next segment.
        stage.rest();
        let before_freeze = stage.clone();
        let writer = world.spawn_as("writer", move |world| {
            let answers = submit(world, 1, Durability::Sync);
            before_freeze.stop("writer");
            world.write("d", UNSYNCED).unwrap();
            answers.recv().unwrap().unwrap();
        });
        writer.join().unwrap();
        stage.leave_alone();
        world.finish();
    });
    assert!(stops > 10, "the writer that freezes was stopped: {stops}");
}

/// The same at a close.
#[test]
fn a_segment_is_synced_by_nobody_else_while_a_close_ends_it() {
    let stops = at_every_step(|stage| {
        let world = with_slow_syncs(roomy(), stage);
        stage.rest();
        let before_close = stage.clone();
        let closer = world.spawn_as("closer", move |world| {
            let answers = submit(world, 1, Durability::Sync);
            before_close.stop("closer");
            world.engine.close().unwrap();
            answers.recv().unwrap().unwrap();
        });
        closer.join().unwrap();
        world.check();
    });
    assert!(stops > 10, "the close was stopped: {stops}");
}

/// A mended bug. The third of three who close at once waited for nobody, and left
/// the directory to the next open while the first was still writing.
#[test]
fn whoever_closes_second_returns_when_all_is_closed() {
    let stops = at_every_step(|stage| {
        let world = World::new(roomy());
        world.write("first", UNSYNCED).unwrap();
        stage.rest();
        let at_close = stage.clone();
        let first = world.spawn_as("first", move |world| {
            at_close.stop("first");
            world.engine.close().unwrap();
        });
        let before_close = stage.clone();
        let others = ["second", "third"].map(|name| {
            let before_close = before_close.clone();
            world.spawn_as(name, move |world| {
                before_close.rest();
                world.engine.close().unwrap();
                if name == "third" {
                    let options = Options { background: Background::Manual, ..roomy() };
                    let again = Engine::open_in(world.disk.env(), options).unwrap();
                    assert!(again.recovery_report().clean_shutdown);
                }
            })
        });
        for closer in others.into_iter().chain([first]) {
            closer.join().unwrap();
        }
    });
    assert!(stops > 10, "the first close was stopped: {stops}");
}

/// A mended bug. A compaction that had found few numbers left, and was overtaken
/// by many flushes before it had more reserved, took their reserve back: after a
/// crash their numbers would have been given again.
#[test]
fn the_reserve_of_file_numbers_only_grows() {
    let stops = at_every_step(|stage| {
        let options = Options { compaction_sstable_threshold: FIRST_NUMBERS, ..tiny() };
        let world = World::new(options);
        let flush = |round: usize| {
            world.write(&format!("a {round}"), UNSYNCED).unwrap();
            world.engine.flush().unwrap();
        };
        stage.rest();
        (1..FIRST_NUMBERS).for_each(flush);
        // The compaction begins, and needs the first number of the next reserve.
        stage.stop("kv-compact");
        flush(0);
        stage.rest();
        stage.leave_alone();
        if !world.disk.history().iter().any(|op| op.contains("create compacted_")) {
            // It has no number yet: it is overtaken, and then goes on.
            (0..70).for_each(flush);
            stage.rest();
        }
        let image = world.disk.image(world.disk.op_count(), CrashChoice::All);
        let name = current_manifest(&image.env()).unwrap().unwrap();
        let edits = read_manifest_edits(&*image.fs(), &name).unwrap();
        let reserved: Vec<u64> = edits.iter().filter_map(|edit| edit.next_file_id).collect();
        assert!(reserved.len() > 1 && reserved.is_sorted(), "{reserved:?}");
        world.engine.close().unwrap();
    });
    assert!(stops > 10, "the compaction was stopped: {stops}");
}

/// A mended bug. A callback was called by the holder of the sync role. If it
/// submitted a batch that found the memory table full it waited for that role,
/// that is for itself.
#[test]
fn a_callback_may_submit_the_next_batch() {
    fn submit_from(number: u8, engine: &Arc<Engine>, done: mpsc::Sender<()>) {
        let mut batch = WriteBatch::new();
        batch.put(&[number], b"value").unwrap();
        let (next, callback) = (Arc::clone(engine), Arc::clone(engine));
        callback.submit(batch, Durability::Sync, move |outcome| {
            outcome.unwrap();
            match number {
                0 => done.send(()).unwrap(),
                _ => submit_from(number - 1, &next, done),
            }
        });
    }
    explore(400, || {
        let world = World::new(tiny());
        let (done, finished) = mpsc::channel();
        submit_from(30, &Arc::new(world.engine.clone()), done);
        finished.recv().unwrap();
        world.finish();
    });
}

/// A mended bug. The thread that called a callback waited for its own end, if the
/// callback was the last to hold the engine.
#[test]
fn a_callback_may_hold_the_last_handle() {
    explore(400, || {
        let disk = SimDisk::new(7);
        let engine = Engine::open_in(ports(&disk, Arc::new(|_, _| Ok(()))), roomy()).unwrap();
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value").unwrap();
        let (answer, answered) = mpsc::channel();
        let last = engine.clone();
        engine.submit(batch, Durability::Sync, move |outcome| {
            drop(last);
            answer.send(outcome).unwrap();
        });
        drop(engine);
        answered.recv().unwrap().unwrap();
    });
}

/// A mended bug. A caller who compacted was not waited for by a close, and went on
/// in a directory that another engine might have opened by then.
#[test]
fn nothing_is_written_behind_a_close() {
    let stops = at_every_step(|stage| {
        let world = World::new(Options { compaction_sstable_threshold: 50, ..tiny() });
        stage.rest();
        for name in ["a", "b"] {
            world.write(name, UNSYNCED).unwrap();
            world.engine.flush().unwrap();
        }
        let at_work = stage.clone();
        let compactor = world.spawn_as("compactor", move |world| {
            at_work.stop("compactor");
            let outcome = world.engine.compact();
            assert!(matches!(outcome, Ok(()) | Err(Error::Closed)), "{outcome:?}");
        });
        let before_close = stage.clone();
        let closer = world.spawn_as("closer", move |world| {
            before_close.rest();
            world.engine.close().unwrap();
            let ops = world.disk.op_count();
            before_close.rest();
            assert_eq!(world.disk.op_count(), ops, "{:?}", world.disk.history().last());
        });
        closer.join().unwrap();
        compactor.join().unwrap();
    });
    assert!(stops > 10, "the compaction was stopped: {stops}");
}

/// A mended bug. A compaction that found no file descriptor, nor two seconds later,
/// was tried again only when somebody wrote; until then it counted as trouble.
#[test]
fn a_compaction_without_descriptors_is_repeated_while_nobody_writes() {
    once(|stage| {
        let world = World::new(tiny());
        stage.rest();
        let fault = Fault::new(Failure::TooManyOpenFiles).of(Operation::Create);
        world.disk.inject(fault.on("compacted_*").times(3));
        for name in ["a", "b"] {
            world.write(name, UNSYNCED).unwrap();
            world.engine.flush().unwrap();
        }
        for _ in 0..4 {
            stage.rest();
        }
        assert_eq!(world.engine.stats().compactions, 1);
        assert!(world.engine.trouble().is_none(), "{:?}", world.engine.trouble());
        world.finish();
    });
}
