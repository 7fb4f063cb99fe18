//! Writers: the queue, the hand-over of the two roles, freezing under load.

use kv_engine::{Durability, Options, SeqNo};
use shuttle::rand::{Rng, thread_rng};

use crate::explore::explore;
use crate::world::{Call, World, roomy, tiny};

/// A way to write, any of them.
fn any_call() -> Call {
    let durability = match thread_rng().gen_range(0..4) {
        0 => Durability::Os,
        1 => Durability::Interval,
        _ => Durability::Sync,
    };
    if thread_rng().gen_bool(0.5) { Call::Submit(durability) } else { Call::Write(durability) }
}

/// `writers` threads write `rounds` batches each, one thread reads.
fn crowd(options: Options, writers: usize, rounds: usize) {
    let world = World::new(options);
    let mut threads: Vec<_> = (0..writers)
        .map(|writer| {
            world.spawn(move |world| {
                let mut last = SeqNo::ZERO;
                for round in 0..rounds {
                    let call = any_call();
                    let seqno = world.write(&format!("{writer}:{round}"), call).unwrap();
                    assert!(seqno > last, "numbers rise in the order of calls");
                    assert!(world.engine.snapshot().seqno() >= seqno, "acknowledged is visible");
                    last = seqno;
                }
            })
        })
        .collect();
    threads.push(world.spawn(|world| {
        let mut last = SeqNo::ZERO;
        for _ in 0..3 {
            last = world.read(last);
        }
    }));
    for thread in threads {
        thread.join().unwrap();
    }
    let writes = (writers * rounds) as u64 * 2;
    assert_eq!(world.acknowledged_writes(), writes);
    assert_eq!(world.engine.stats().visible_seqno, writes, "no number is left out");
    world.finish();
}

#[test]
fn writers_of_all_kinds_are_answered_once_and_not_before_their_sync() {
    explore(1500, || crowd(roomy(), 3, 2));
}

/// One request a group: the role is handed over as often as can be.
#[test]
fn the_writer_role_changes_hands() {
    explore(800, || crowd(Options { wal_batch_size: 1, ..roomy() }, 3, 2));
}

/// Memory tables so small that writers stall, go to sleep, and are served by
/// whoever makes room.
#[test]
fn stalled_and_sleeping_writers_are_served() {
    explore(800, || crowd(tiny(), 3, 4));
}

/// Flushes on demand take the writer role too, and switch segments.
#[test]
fn segments_are_switched_under_load() {
    explore(600, || {
        let world = World::new(tiny());
        let flusher = world.spawn(|world| {
            for _ in 0..2 {
                world.engine.flush().unwrap();
            }
        });
        let writers = [0, 1].map(|writer| {
            world.spawn(move |world| {
                for round in 0..3 {
                    world.write(&format!("{writer}:{round}"), any_call()).unwrap();
                }
            })
        });
        flusher.join().unwrap();
        for writer in writers {
            writer.join().unwrap();
        }
        world.engine.flush().unwrap();
        assert_eq!(world.engine.stats().memtable_entries, 0, "all is in tables");
        world.finish();
    });
}
