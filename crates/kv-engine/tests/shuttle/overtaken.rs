//! One thread is overtaken by all others, after each of its steps in turn: the
//! windows between two threads that were found open once, and those that only a
//! check or a second look keeps shut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kv_engine::{Durability, Error, FlushSize, Options, SeqNo, WriteBatch};
use kv_env::{Failure, Fault, Operation};
use shuttle::sync::mpsc;

use crate::full_disk::{noise, used_bytes};
use crate::steered::{at_every_step, once};
use crate::world::{Call, World, roomy, tiny};

const SYNCED: Call = Call::Write(Durability::Sync);
pub(crate) const UNSYNCED: Call = Call::Write(Durability::Os);

/// Frozen memory tables that may wait for their flush.
const MAX_FROZEN: u64 = 3;

/// True in a thread of that name.
pub(crate) fn runs_in(name: &str) -> bool {
    shuttle::thread::current().name() == Some(name)
}

pub(crate) type Answers = mpsc::Receiver<Result<SeqNo, Error>>;

/// Submits `count` batches without waiting for their answers.
pub(crate) fn submit(world: &World, count: usize, durability: Durability) -> Answers {
    let (answer, answers) = mpsc::channel();
    for number in 0..count {
        let mut batch = WriteBatch::new();
        batch.put(format!("submitted {number}").as_bytes(), b"value").unwrap();
        batch.put(b"last submitted", &number.to_be_bytes()).unwrap();
        let answer = answer.clone();
        world.engine.submit(batch, durability, move |outcome| answer.send(outcome).unwrap());
    }
    answers
}

/// A mended bug. Between taking the prepared segment and retiring the old one nothing
/// said that its name was in use. A flush on demand asks for a segment, and so does a
/// writer who finds the memory table well filled a moment later: one is taken, another
/// still asked for, and making it under that name ended writing.
#[test]
fn a_segment_is_not_made_twice_for_a_flush_beside_a_freeze() {
    let taken = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&taken);
    let stops = at_every_step(move |stage| {
        let (at_sync, taken) = (stage.clone(), Arc::clone(&taken));
        let hook = Arc::new(move |operation, name: &str| {
            if operation == Operation::Sync && name.starts_with("wal") && runs_in("flusher") {
                taken.fetch_add(1, Ordering::SeqCst);
                at_sync.let_go();
                at_sync.rest();
            }
            Ok(())
        });
        let world = World::with_hook(tiny(), hook);
        stage.rest();
        world.write("a", UNSYNCED).unwrap();
        let at_flush = stage.clone();
        let flusher = world.spawn_as("flusher", move |world| {
            at_flush.stop("flusher");
            world.engine.flush().unwrap();
        });
        stage.rest();
        stage.hold_back("kv-flush");
        world.write("b", UNSYNCED).unwrap();
        flusher.join().unwrap();
        stage.let_go();
        assert!(!world.engine.stats().poisoned);
        world.finish();
    });
    assert!(stops > 10, "the flush was stopped: {stops}");
    assert!(seen.load(Ordering::SeqCst) > 10, "and met the flush thread at the sync");
}

/// A mended bug. A flush thread that saw a memory table frozen but had not seen
/// its segment retired removed that under the name of the active one, and found
/// nothing to rename a moment later.
#[test]
fn a_flush_that_overtakes_a_freeze_seals_the_segment_first() {
    let stops = at_every_step(|stage| {
        let world = World::new(tiny());
        stage.rest();
        world.write("a", UNSYNCED).unwrap();
        world.write("b", UNSYNCED).unwrap();
        stage.stop("kv-flush");
        // The flush thread makes the next segment, and is stopped.
        stage.rest();
        world.write("c", UNSYNCED).unwrap();
        world.write("d", UNSYNCED).unwrap();
        world.engine.flush().unwrap();
        world.finish();
    });
    assert!(stops > 50, "the flush thread was stopped: {stops}");
}

/// A mended bug. Every failure for lack of space woke the flush thread, its own
/// failures too: it went on without a pause, and nobody else got to run.
#[test]
fn a_full_disk_is_not_tried_again_without_a_pause() {
    once(|stage| {
        let options = Options {
            memtable_flush_size: FlushSize::Bytes(32 << 10),
            reserve_bytes: Some(4 << 10),
            ..tiny()
        };
        let world = World::new(options);
        stage.rest();
        world.disk.set_capacity(Some(used_bytes(&world.disk) + (40 << 10)));
        let mut refusals = 0;
        for number in 0.. {
            match world.engine.put(&[number], &noise(number.into())) {
                Ok(_) => stage.rest(),
                Err(Error::NoSpace { .. }) if refusals == 2 => break,
                Err(Error::NoSpace { .. }) => {
                    refusals += 1;
                    // The flush thread comes to rest, or there is no next step.
                    stage.rest();
                }
                Err(error) => panic!("{error}"),
            }
        }
        world.disk.set_capacity(None);
        world.engine.flush().unwrap();
        world.engine.close().unwrap();
    });
}

/// A mended bug. Between the latch and the answers to the waiting groups the sync
/// thread found them still waiting, could do nothing for them, and woke itself
/// again.
#[test]
fn the_sync_thread_rests_while_a_failure_is_being_latched() {
    let stops = at_every_step(|stage| {
        let world = World::new(roomy());
        stage.rest();
        let at_failure = stage.clone();
        let writer = world.spawn_as("writer", move |world| {
            let answers = submit(world, 1, Durability::Sync);
            let fault = Fault::new(Failure::Device).of(Operation::Append).on("wal*");
            world.disk.inject(fault.times(1));
            at_failure.stop("writer");
            let refused = world.write("b", UNSYNCED);
            at_failure.leave_alone();
            assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
            answers.recv().unwrap().ok();
        });
        writer.join().unwrap();
        // The outcome of closing depends on what was synced before.
        let _ = world.engine.close();
        world.check();
    });
    assert!(stops > 10, "the failing writer was stopped: {stops}");
}

/// A writer commits while the sync thread is about to give its role up, finds the
/// role taken and goes to sleep: the one who leaves has to look again.
#[test]
fn whoever_leaves_the_sync_role_looks_again() {
    let stops = at_every_step(|stage| {
        let world = World::new(roomy());
        stage.rest();
        let answers = submit(&world, 1, Durability::Sync);
        stage.stop("kv-sync");
        stage.rest();
        world.write("b", SYNCED).unwrap();
        answers.recv().unwrap().unwrap();
        world.finish();
    });
    assert!(stops > 10, "the sync thread was stopped: {stops}");
}

/// A writer sleeps while another commits for it. Woken before its answer is there
/// it would go back to sleep, and nobody would wake it again.
#[test]
fn a_sleeping_writer_is_woken_after_its_answer_is_there() {
    let stops = at_every_step(|stage| {
        let (at_append, was_held) = (stage.clone(), AtomicBool::new(false));
        let hook = Arc::new(move |operation, name: &str| {
            let is_append = operation == Operation::Append && name.starts_with("wal");
            if is_append && runs_in("holder") && !was_held.swap(true, Ordering::SeqCst) {
                at_append.rest();
                at_append.stop("holder");
            }
            Ok(())
        });
        let world = World::with_hook(roomy(), hook);
        stage.rest();
        let sleeper = world.spawn_as("sleeper", |world| {
            world.write("sleeper", UNSYNCED).unwrap();
        });
        let holder = world.spawn_as("holder", |world| {
            world.write("holder", UNSYNCED).unwrap();
        });
        sleeper.join().unwrap();
        holder.join().unwrap();
        stage.leave_alone();
        world.finish();
    });
    assert!(stops > 10, "the holder of the writer role was stopped: {stops}");
}

/// Writers that found no room wait for the background to make some. If a sync
/// fails meanwhile, the background has no reason to go on: whoever latches the
/// failure has to answer them.
#[test]
fn a_failed_sync_answers_writers_that_found_no_room() {
    let stops = at_every_step(|stage| {
        let at_sync = stage.clone();
        let hook = Arc::new(move |operation, name: &str| {
            if operation == Operation::Sync && runs_in("synced") {
                at_sync.rest();
                let failure = std::io::Error::from(std::io::ErrorKind::Other);
                return Err(Error::io("sync", name, failure));
            }
            Ok(())
        });
        let world = World::with_hook(tiny(), hook);
        stage.rest();
        let synced = world.spawn_as("synced", |world| {
            // A freeze may have synced it meanwhile.
            let _ = world.write("synced", SYNCED);
        });
        stage.rest();
        let answers = submit(&world, 12, Durability::Os);
        assert!(world.engine.stats().stalls > 0, "there is no room for all");
        stage.stop("kv-flush");
        for _ in 0..12 {
            let _ = answers.recv().expect("every writer is answered");
        }
        stage.leave_alone();
        synced.join().unwrap();
        assert!(world.engine.stats().poisoned);
        let _ = world.engine.close();
        world.check();
    });
    assert!(stops > 50, "the flush thread was stopped: {stops}");
}

/// Room is made while a writer that found none gives its role up: the background
/// finds the role taken, and the writer has to look once more.
#[test]
fn a_writer_that_found_no_room_looks_again() {
    let stalls = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&stalls);
    let stops = at_every_step(move |stage| {
        let world = World::new(tiny());
        stage.rest();
        for name in ["a", "b", "c", "d", "e", "f"] {
            world.write(name, UNSYNCED).unwrap();
        }
        // The memory table holds twice its size, and no segment is prepared.
        let at_write = stage.clone();
        let writer = world.spawn_as("writer", move |world| {
            at_write.stop("writer");
            world.write("g", UNSYNCED).unwrap();
        });
        writer.join().unwrap();
        stage.leave_alone();
        seen.fetch_add(world.engine.stats().stalls, Ordering::SeqCst);
        world.finish();
    });
    assert!(stops > 10, "the writer was stopped: {stops}");
    assert!(stalls.load(Ordering::SeqCst) > 10, "it found no room, before it was stopped");
}

/// A crowd waits for a flush thread that makes segments before it flushes, and that
/// is overtaken wherever it can be: the memory that frozen tables hold is bounded all
/// the same.
#[test]
fn no_more_memory_tables_are_frozen_than_allowed() {
    once(|stage| {
        let world = World::new(Options { wal_batch_size: 1, ..tiny() });
        stage.rest();
        stage.hold_back("kv-flush");
        let most = Arc::new(AtomicU64::new(0));
        let (answer, answers) = mpsc::channel();
        for number in 0..60u8 {
            let mut batch = WriteBatch::new();
            batch.put(&[number], b"one").unwrap();
            batch.put(&[number, number], b"two").unwrap();
            let (most, engine, answer) = (Arc::clone(&most), world.engine.clone(), answer.clone());
            world.engine.submit(batch, Durability::Os, move |outcome| {
                most.fetch_max(engine.stats().frozen_memtables, Ordering::SeqCst);
                answer.send(outcome).unwrap();
            });
        }
        for _ in 0..60 {
            answers.recv().unwrap().unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), MAX_FROZEN, "as many as allowed, and no more");
        stage.let_go();
        world.engine.close().unwrap();
    });
}

/// A mended bug. On a full disk a delete that found the memory table full was refused
/// at once, although a flush was about to make room.
#[test]
fn a_delete_on_a_full_disk_waits_for_room() {
    let stops = at_every_step(|stage| {
        let options = Options { reserve_bytes: Some(256 << 10), ..tiny() };
        let world = World::new(options);
        stage.rest();
        world.disk.set_capacity(Some(used_bytes(&world.disk) + (40 << 10)));
        let refused =
            (0..200u8).find(|&number| world.engine.put(&[number], &noise(number.into())).is_err());
        assert!(refused.is_some(), "the disk is full");
        stage.rest();
        stage.stop("kv-flush");
        for number in 0..60u8 {
            let outcome = world.engine.delete(&[number]);
            assert!(outcome.is_ok(), "{number}: {outcome:?}");
        }
        stage.leave_alone();
        world.disk.set_capacity(None);
        world.engine.close().unwrap();
    });
    assert!(stops > 10, "the flush was stopped: {stops}");
}
