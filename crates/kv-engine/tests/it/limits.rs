//! Limits of keys, values and batches: what is exactly at one is taken, what is
//! over it is refused before anything is written.

use kv_engine::{
    Durability, Error, FlushSize, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, Options,
    WriteBatch,
};
use kv_env::SimDisk;

use crate::support::{contents, open, tiny};

#[test]
fn the_longest_key_lives_in_log_memory_and_tables() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, tiny());
    let longest = vec![b'k'; MAX_KEY_BYTES];
    engine.put(&longest, b"1").unwrap();
    let over = vec![b'k'; MAX_KEY_BYTES + 1];
    assert!(matches!(engine.put(&over, b"1"), Err(Error::TooLarge { what: "key", .. })));
    assert!(matches!(engine.delete(&over), Err(Error::TooLarge { what: "key", .. })));
    assert_eq!(engine.get(&over).unwrap(), None);
    drop(engine);
    let engine = open(&disk, tiny());
    assert_eq!(engine.get(&longest).unwrap().unwrap(), *b"1", "from the log");
    engine.compact().unwrap();
    assert_eq!(engine.get(&longest).unwrap().unwrap(), *b"1", "from a table");
    assert_eq!(contents(&engine).len(), 1);
}

/// A batch that would be longer than a log record may be is refused where it is
/// built, and stays as it was: nothing of it is ever copied into the log.
#[test]
fn a_batch_over_its_limit_is_refused_where_it_is_built() {
    let value = vec![0; MAX_VALUE_BYTES / 2];
    let mut batch = WriteBatch::new();
    let mut refused = None;
    for number in 0..8u8 {
        let before = batch.size_bytes();
        if let Err(error) = batch.put(&[number], &value) {
            refused = Some((number, error, before));
            break;
        }
    }
    let (number, error, before) = refused.expect("there is a limit");
    assert!(matches!(error, Error::TooLarge { what: "batch", .. }), "{error:?}");
    assert!(number >= 3, "three halves of the largest value fit: {number}");
    assert!(before <= MAX_BATCH_BYTES);
    let as_it_was = (before, u32::from(number));
    assert_eq!((batch.size_bytes(), batch.count()), as_it_was, "the batch is as it was");
}

/// One value larger than the whole memory table, and many small keys: both are
/// counted, so both lead to flushes.
#[test]
fn memory_of_large_values_and_of_many_keys_is_accounted_for() {
    let disk = SimDisk::new(2);
    let options = Options { memtable_flush_size: FlushSize::Bytes(64 << 10), ..tiny() };
    let engine = open(&disk, options);
    engine.put(b"large", &vec![1; 1 << 20]).unwrap();
    assert!(engine.stats().memtable_bytes >= 1 << 20);
    engine.put(b"small", b"").unwrap();
    let stats = engine.stats();
    assert!(stats.frozen_memtables == 1 && stats.memtable_bytes >= 1 << 20, "{stats:?}");
    for number in 0..20_000u32 {
        engine.write(one(number), Durability::Os).unwrap();
        let held = engine.stats().memtable_bytes;
        // The active table up to twice its size, and those waiting for a flush.
        assert!(held <= (1 << 20) + 6 * (64 << 10), "{held} bytes after {number} writes");
    }
    assert!(engine.stats().flushes > 5);
    assert_eq!(engine.get(b"large").unwrap().unwrap().len(), 1 << 20);
}

fn one(number: u32) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(&number.to_be_bytes(), b"").unwrap();
    batch
}
