//! Conditional batches: nobody's change is lost.

use kv_engine::{Durability, Engine, Error, FlushSize, Options, WriteBatch};
use shuttle::rand::{Rng, thread_rng};

use crate::explore::explore;
use crate::world::{World, tiny};

const COUNTER: &[u8] = b"counter";

fn counter(engine: &Engine) -> u64 {
    let value = engine.get(COUNTER).unwrap();
    value.map_or(0, |value| u64::from_be_bytes((*value).try_into().unwrap()))
}

fn increment(engine: &Engine, durability: Durability) {
    loop {
        let (value, unchanged) = engine.get_for_update(COUNTER).unwrap();
        let count = value.map_or(0, |value| u64::from_be_bytes((*value).try_into().unwrap())) + 1;
        let mut batch = WriteBatch::new();
        batch.put(COUNTER, &count.to_be_bytes()).unwrap();
        batch.expect(unchanged);
        match engine.write(batch, durability) {
            Ok(_) => {
                assert!(counter(engine) >= count, "acknowledged is visible");
                return;
            }
            Err(Error::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Three threads count while the counter moves from memory to tables and from
/// table to table.
#[test]
fn increments_from_three_threads_lose_none() {
    explore(800, || {
        let options = Options { memtable_flush_size: FlushSize::Entries(2), ..tiny() };
        let world = World::new(options);
        let threads = [0, 1, 2].map(|_| {
            world.spawn(|world| {
                for _ in 0..2 {
                    let is_synced = thread_rng().gen_bool(0.5);
                    let durability = if is_synced { Durability::Sync } else { Durability::Os };
                    increment(&world.engine, durability);
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counter(&world.engine), 6);
        world.engine.close().unwrap();
    });
}
