//! Conditional batches: read, compute, commit only if nothing has changed.

use kv_engine::{Durability, Engine, Error, WriteBatch};
use kv_env::SimDisk;

use crate::support::{open, settle, small_threaded, tiny};

fn increment(engine: &Engine, key: &[u8], durability: Durability) -> u64 {
    loop {
        let (value, unchanged) = engine.get_for_update(key).unwrap();
        let count = value.map_or(0, |value| u64::from_be_bytes((*value).try_into().unwrap())) + 1;
        let mut batch = WriteBatch::new();
        batch.put(key, &count.to_be_bytes()).unwrap();
        batch.expect(unchanged);
        match engine.write(batch, durability) {
            Ok(_) => return count,
            Err(Error::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn sixteen_clients_lose_no_increment_at_any_durability() {
    for durability in [Durability::Os, Durability::Interval, Durability::Sync] {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(directory.path(), small_threaded()).unwrap();
        std::thread::scope(|scope| {
            for client in 0..16u32 {
                let engine = &engine;
                scope.spawn(move || {
                    for round in 0..50u32 {
                        increment(engine, &[((client + round) % 3) as u8], durability);
                    }
                });
            }
        });
        let total: u64 = (0..3u8)
            .map(|key| engine.get(&[key]).unwrap().unwrap())
            .map(|value| u64::from_be_bytes((*value).try_into().unwrap()))
            .sum();
        assert_eq!(total, 16 * 50, "{durability:?}");
    }
}

#[test]
fn a_changed_key_is_a_conflict_and_nothing_is_written() {
    let engine = open(&SimDisk::new(1), tiny());
    engine.put(b"watched", b"1").unwrap();
    let (_, unchanged) = engine.get_for_update(b"watched").unwrap();
    engine.put(b"watched", b"2").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"other", b"").unwrap();
    batch.expect(unchanged);
    assert!(matches!(engine.write(batch, Durability::Sync), Err(Error::Conflict)));
    assert_eq!(engine.get(b"other").unwrap(), None);
    assert_eq!(engine.stats().conflicts, 1);
}

#[test]
fn expectations_outlive_flush_and_compaction() {
    for change in [false, true] {
        for key in [&b"present"[..], b"absent", b"deleted"] {
            let engine = open(&SimDisk::new(1), tiny());
            engine.put(b"present", b"1").unwrap();
            engine.put(b"deleted", b"1").unwrap();
            engine.delete(b"deleted").unwrap();
            let (_, unchanged) = engine.get_for_update(key).unwrap();
            if change {
                engine.put(key, b"2").unwrap();
            }
            engine.put(b"unrelated", b"").unwrap();
            engine.flush().unwrap();
            engine.compact().unwrap();
            settle(&engine);
            let mut batch = WriteBatch::new();
            batch.put(b"result", b"").unwrap();
            batch.expect(unchanged);
            let outcome = engine.write(batch, Durability::Sync);
            assert_eq!(outcome.is_err(), change, "{key:?}: {outcome:?}");
        }
    }
}

#[test]
fn a_key_that_came_and_went_has_changed() {
    for flush in [false, true] {
        let engine = open(&SimDisk::new(1), tiny());
        let (_, unchanged) = engine.get_for_update(b"key").unwrap();
        assert!(engine.view_for_update().is_unchanged(&unchanged).unwrap());
        engine.put(b"key", b"1").unwrap();
        engine.delete(b"key").unwrap();
        if flush {
            engine.flush().unwrap();
        }
        assert!(!engine.view_for_update().is_unchanged(&unchanged).unwrap(), "flushed: {flush}");
        let mut batch = WriteBatch::new();
        batch.put(b"result", b"").unwrap();
        batch.expect(unchanged);
        assert!(matches!(engine.write(batch, Durability::Sync), Err(Error::Conflict)));
    }
}

#[test]
fn two_conditional_batches_of_one_group_see_each_other() {
    let engine = open(&SimDisk::new(1), tiny());
    let (_, unchanged) = engine.get_for_update(b"slot").unwrap();
    let claim = |value: &[u8]| {
        let mut batch = WriteBatch::new();
        batch.put(b"slot", value).unwrap();
        batch.expect(unchanged.clone());
        engine.write(batch, Durability::Os)
    };
    assert!(claim(b"first").is_ok());
    assert!(matches!(claim(b"second"), Err(Error::Conflict)));
    assert_eq!(engine.get(b"slot").unwrap().unwrap(), b"first");
}
