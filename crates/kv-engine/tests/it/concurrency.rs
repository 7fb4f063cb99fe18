//! Threads: readers under writers, groups under a crowd, order in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, ThreadId};

use kv_engine::{Durability, Engine, Error, FlushSize, KeyRange, Options, WriteBatch};
use kv_env::SimDisk;

use crate::support::{contents, small_threaded};

/// Every batch writes the same number to all keys: any reader that sees two
/// numbers in one snapshot has seen half a batch.
#[test]
fn readers_see_whole_batches_while_tables_are_flushed_and_compacted() {
    const KEYS: u32 = 40;
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small_threaded()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let snapshot = engine.snapshot();
                    let values: Vec<u32> = snapshot
                        .scan(KeyRange::all())
                        .map(|entry| entry.unwrap().1)
                        .map(|value| u32::from_be_bytes((*value).try_into().unwrap()))
                        .collect();
                    let Some(&first) = values.first() else { continue };
                    assert_eq!(values, vec![first; KEYS as usize], "one number in all keys");
                    assert!(first >= last, "what was seen is not taken back");
                    let single = snapshot.get(&(KEYS / 2).to_be_bytes()).unwrap().unwrap();
                    assert_eq!(single, first.to_be_bytes(), "get and scan agree");
                    last = first;
                }
            });
        }
        for number in 0..600u32 {
            let mut batch = WriteBatch::new();
            for key in 0..KEYS {
                batch.put(&key.to_be_bytes(), &number.to_be_bytes()).unwrap();
            }
            engine.write(batch, Durability::Os).unwrap();
        }
        done.store(true, Ordering::Release);
    });
    let stats = engine.stats();
    assert!(stats.flushes > 20, "{stats:?}");
    assert_eq!(contents(&engine).len(), KEYS as usize);
}

#[test]
fn twenty_writers_share_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small_threaded()).unwrap();
    thread::scope(|scope| {
        for writer in 0..20u32 {
            let engine = &engine;
            scope.spawn(move || {
                for index in 0..50u32 {
                    let mut batch = WriteBatch::new();
                    batch.put(&(writer * 1000 + index).to_be_bytes(), b"value").unwrap();
                    let seqno = engine.write(batch, Durability::Sync).unwrap();
                    assert!(engine.snapshot().seqno() >= seqno, "acknowledged means visible");
                }
            });
        }
    });
    let stats = engine.stats();
    assert_eq!(stats.writes, 1000);
    assert!(stats.wal_syncs < 700, "{} syncs for 1000 writes", stats.wal_syncs);
    assert_eq!(contents(&engine).len(), 1000);
}

#[test]
fn submitted_batches_are_all_answered_in_order_of_their_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small_threaded()).unwrap();
    let (sender, receiver) = channel();
    for index in 0..500u32 {
        let mut batch = WriteBatch::new();
        batch.put(&index.to_be_bytes(), b"value").unwrap();
        let durability = match index % 3 {
            0 => Durability::Sync,
            1 => Durability::Interval,
            _ => Durability::Os,
        };
        let sender = sender.clone();
        engine.submit(batch, durability, move |outcome| {
            sender.send(outcome.unwrap().0).unwrap();
        });
    }
    let mut numbers: Vec<u64> = receiver.iter().take(500).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=500).collect::<Vec<u64>>());
    engine.close().unwrap();
}

#[test]
fn writes_during_close_are_done_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), small_threaded()).unwrap();
    let acknowledged: u32 = thread::scope(|scope| {
        let writers: Vec<_> = (0..4u32)
            .map(|writer| {
                let engine = &engine;
                scope.spawn(move || {
                    (0..u32::MAX)
                        .take_while(|index| {
                            engine
                                .put(&(writer, index).0.to_be_bytes(), &index.to_be_bytes())
                                .is_ok()
                        })
                        .count() as u32
                })
            })
            .collect();
        while engine.stats().writes < 500 {
            thread::yield_now();
        }
        engine.close().unwrap();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    let engine = Engine::open(directory.path(), small_threaded()).unwrap();
    let survived = engine.recovery_report().last_seqno.0;
    assert_eq!(survived, u64::from(acknowledged));
}

/// A writer that is asleep when the background or an unsynced writer commits
/// its batch cannot ask for the sync itself: whoever commits it has to. Left
/// out, the last writers of a stalled crowd were never answered.
#[test]
fn sleeping_writers_are_synced_by_whoever_commits_for_them() {
    const ROUNDS: usize = 150;
    let directory = tempfile::tempdir().unwrap();
    // Memory tables so small that the crowd outruns the flushes.
    let options = Options { memtable_flush_size: FlushSize::Entries(10), ..small_threaded() };
    let engine = Engine::open(directory.path(), options).unwrap();
    let (sender, receiver) = channel();
    for writer in 0..12 {
        let (engine, sender) = (engine.clone(), sender.clone());
        let durability = if writer % 3 == 0 { Durability::Os } else { Durability::Sync };
        thread::spawn(move || {
            for round in 0..ROUNDS {
                let mut batch = WriteBatch::new();
                let key = format!("{writer}:{round}");
                batch.put(key.as_bytes(), &[b'v'; 200]).unwrap();
                let (answer, answered) = channel();
                if writer % 2 == 0 {
                    engine.submit(batch, durability, move |outcome| answer.send(outcome).unwrap());
                } else {
                    answer.send(engine.write(batch, durability)).unwrap();
                }
                sender.send(answered.recv().unwrap()).unwrap();
            }
        });
    }
    drop(sender);
    // A generous deadline turns a hang into a failure; nothing is timed.
    let deadline = std::time::Duration::from_secs(60);
    for answer in 0..12 * ROUNDS {
        let outcome = receiver.recv_timeout(deadline);
        outcome
            .unwrap_or_else(|_| panic!("answer {answer} never came: {:?}", engine.stats()))
            .unwrap();
    }
    assert!(engine.stats().stalls > 0, "the crowd was stalled: {:?}", engine.stats());
}

/// Submits a batch whose callback submits the next one, `links` times; counts those
/// that the thread `watched` was made to commit.
fn chain(engine: &Engine, links: u32, watched: ThreadId, counted: &Arc<AtomicU64>) -> Receiver<()> {
    fn link(
        engine: Engine,
        left: u32,
        watched: ThreadId,
        counted: Arc<AtomicU64>,
        end: Sender<()>,
    ) {
        let mut batch = WriteBatch::new();
        batch.put(b"left", &left.to_be_bytes()).unwrap();
        let next = engine.clone();
        engine.submit(batch, Durability::Os, move |outcome| {
            outcome.unwrap();
            counted.fetch_add(u64::from(thread::current().id() == watched), Ordering::Relaxed);
            match left {
                0 => end.send(()).unwrap(),
                _ => link(next, left - 1, watched, counted, end),
            }
        });
    }
    let (end, ended) = channel();
    link(engine.clone(), links, watched, Arc::clone(counted), end);
    ended
}

/// A mended bug: who held the writer role committed for others as long as they came.
#[test]
fn a_caller_is_let_go_while_others_keep_writing() {
    let engine = Engine::open_in(SimDisk::new(1).env(), small_threaded()).unwrap();
    let counted = Arc::new(AtomicU64::new(0));
    let ended = chain(&engine, 2_000, thread::current().id(), &counted);
    let mine = counted.load(Ordering::Relaxed);
    assert!((1..=16).contains(&mine), "groups that one caller committed: {mine}");
    ended.recv().unwrap();
    engine.close().unwrap();
}

/// A mended bug: beside the flush thread a caller's step could remove a segment under
/// a name that another one had been given meanwhile.
#[test]
fn steps_of_the_background_are_not_for_callers_of_an_engine_with_threads() {
    let engine = Engine::open_in(SimDisk::new(1).env(), small_threaded()).unwrap();
    let refused = engine.run_background_step();
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
}
