//! Readers that hold a view while flushes and compactions replace its tables
//! and remove their files.

use kv_engine::{Durability, Error, FlushSize, KeyRange, Options, Scan, WriteBatch};

use crate::explore::explore;
use crate::world::{World, tiny};

const KEYS: u8 = 3;

/// Writes `number` to all keys.
fn write_all(world: &World, number: u8) {
    let mut batch = WriteBatch::new();
    for key in 0..KEYS {
        batch.put(&[key], &[number]).unwrap();
    }
    match world.engine.write(batch, Durability::Os) {
        Ok(_) | Err(Error::Closed) => {}
        Err(error) => panic!("{error}"),
    }
}

/// The number in all keys; `None` before the first write.
fn number_of(scan: Scan) -> Option<u8> {
    let numbers: Vec<u8> = scan.map(|entry| entry.unwrap().1[0]).collect();
    let first = *numbers.first()?;
    assert_eq!(numbers, [first; KEYS as usize], "one number in all keys");
    Some(first)
}

/// Every key of a held snapshot stays as it was, in whatever file it is by now.
#[test]
fn a_view_keeps_its_tables_until_it_is_dropped() {
    explore(800, || {
        let options = Options { memtable_flush_size: FlushSize::Entries(3), ..tiny() };
        let world = World::new(options);
        write_all(&world, 1);
        let readers = [0, 1].map(|_| {
            world.spawn(|world| {
                let mut last = 0;
                for _ in 0..2 {
                    let snapshot = world.engine.snapshot();
                    let forwards = number_of(snapshot.scan(KeyRange::all())).unwrap();
                    assert!(forwards >= last, "what was seen is not taken back");
                    shuttle::thread::yield_now();
                    let backwards = number_of(snapshot.scan(KeyRange::all()).reverse()).unwrap();
                    assert_eq!(backwards, forwards, "a snapshot stands still");
                    for key in 0..KEYS {
                        let value = snapshot.get(&[key]).unwrap().unwrap();
                        assert_eq!(value[0], forwards, "get and scan agree");
                    }
                    last = forwards;
                }
            })
        });
        let writer = world.spawn(|world| {
            for number in 2..6 {
                write_all(world, number);
            }
        });
        let compactor = world.spawn(|world| world.engine.compact().unwrap());
        for thread in readers.into_iter().chain([writer, compactor]) {
            thread.join().unwrap();
        }
        assert_eq!(number_of(world.engine.scan(KeyRange::all()).unwrap()), Some(5));
        world.engine.compact().unwrap();
        assert_eq!(number_of(world.engine.scan(KeyRange::all()).unwrap()), Some(5));
        world.engine.close().unwrap();
        assert_eq!(world.disk.violations(), [""; 0]);
    });
}
